"""From cells and sites to hotspots, their names and steadiness, districts, and the decision log."""

from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd

from maps.audit_estimate import AuditEstimates, read_audit
from maps.audit_sample import make_frame
from maps.boundaries import Districts, Places, read_districts, read_places
from maps.clusters import CLUSTERS, Names, describe_clusters
from maps.decisions import Decision, district_decision, hotspot_decisions, write_decisions
from maps.district_audit import Audit, audit_in_districts
from maps.districts import DISTRICTS, district_figures, district_ground, without_intervals
from maps.hotspots import HOTSPOTS, find_hotspots
from maps.sheets import write_csv
from maps.stability import stability
from models.site_class import SiteClass
from tiles.errors import ConfigError
from tiles.region import Region
from tiles.tables import TableSchema, write_table

DECISIONS_FILE = "decisions.md"
# Figures for people: a tenth of a site or km2 is more than is known; a ratio needs two digits.
DECIMALS = {"rate_ratio": 2, "stability": 2, "workers_low": 0, "workers_high": 0}
USUAL_DECIMALS = 1


@dataclass(frozen=True)
class Boundaries:
    """What the user brought to name things by, and to correct them with."""

    districts: Districts | None = None
    places: Places | None = None
    audit: AuditEstimates | None = None

    @classmethod
    def read(
        cls, districts: Path | None, places: Path | None, audit: Path | None = None
    ) -> "Boundaries":
        """Read the files that are given.

        Raises:
            RegionError: districts or places cannot be used.
            TableError: the audit sample is not marked, or cannot be read.
            ConfigError: there is an audit sample without districts that it could correct.
        """
        if audit is not None and districts is None:
            raise ConfigError(f"{audit} corrects districts: give them with --districts.")
        return cls(
            None if districts is None else read_districts(districts),
            None if places is None else read_places(places),
            None if audit is None else read_audit(audit),
        )

    def audit_of(
        self, coverage: pd.DataFrame | None, sites: pd.DataFrame, region: Region
    ) -> Audit | None:
        """Return what the audit sample says of the districts, if there is one.

        Raises:
            TableError: the sample was drawn from another survey.
        """
        if self.audit is None or self.districts is None or coverage is None:
            return None
        frame = make_frame(coverage, sites, region.polygon)
        return audit_in_districts(self.audit, frame, self.districts)


@dataclass(frozen=True)
class HotspotTables:
    """What was made of the cells: tables, and how they came about."""

    hotspots: gpd.GeoDataFrame
    clusters: gpd.GeoDataFrame
    districts: gpd.GeoDataFrame | None
    decisions: tuple[Decision, ...]


def make_hotspot_tables(
    cells: pd.DataFrame,
    sites: pd.DataFrame,
    region: Region,
    site_class: SiteClass,
    period: str,
    boundaries: Boundaries,
    *,
    coverage: pd.DataFrame | None = None,
    listed: bool = False,
) -> HotspotTables:
    """Test the cells, name what is hot, and add up districts.

    Args:
        cells: what `expected_by_cell` returns.
        sites: what `link_sites` returns, or a list: lon, lat, cell_id, p_site, p_low, p_high.
        region: the ground that was surveyed.
        site_class: what was looked for.
        period: months that the figures speak for.
        boundaries: the user's districts and places.
        coverage: what was searched; needed where an audit sample corrects the districts.
        listed: the sites are a list that nobody has checked, so nothing has an interval.

    Raises:
        RegionError: no district reaches into the region.
    """
    hotspots = find_hotspots(cells, period, site_class.name)
    hotspots["stability"] = stability(cells, sites, hotspots["hotspot_class"])
    decisions = hotspot_decisions(hotspots, cells)
    figures, ground = None, None
    if boundaries.districts is not None:
        ground = district_ground(cells, sites, boundaries.districts, region.polygon)
        audit = boundaries.audit_of(coverage, sites, region)
        figures = district_figures(
            cells, sites, boundaries.districts, ground, site_class, period, audit
        )
        figures = without_intervals(figures) if listed else figures
        decisions.append(district_decision(figures))
    names = Names(boundaries.places, boundaries.districts, ground)
    clusters = describe_clusters(hotspots, cells, names)
    if listed:
        clusters[["expected_low", "expected_high"]] = np.nan
    return HotspotTables(hotspots, clusters, figures, tuple(decisions))


def write_hotspot_tables(tables: HotspotTables, folder: Path, title: str, note: str) -> None:
    """Write the tables as GeoParquet, clusters and districts as CSV too, and the decision log.

    Args:
        tables: what `make_hotspot_tables` returns.
        folder: the operator's own; none of this is for the public as it is.
        title: of the decision log.
        note: the disclaimer, which stands in every row of the CSV files.
    """
    write_table(tables.hotspots, folder / "hotspots.parquet", HOTSPOTS)
    for frame, schema in ((tables.clusters, CLUSTERS), (tables.districts, DISTRICTS)):
        paths = [folder / f"{schema.name}.{suffix}" for suffix in ("parquet", "csv")]
        if frame is None:  # of an earlier run with districts
            for path in paths:
                path.unlink(missing_ok=True)
            continue
        write_table(frame, paths[0], schema)
        _write_sheet(frame, paths[1], schema, note)
    write_decisions(folder / DECISIONS_FILE, title, tables.decisions)


def _write_sheet(frame: gpd.GeoDataFrame, path: Path, schema: TableSchema, note: str) -> None:
    decimals = {
        column.name: DECIMALS.get(column.name, USUAL_DECIMALS)
        for column in schema.columns
        if column.dtype == "float64"
    }
    rows = pd.DataFrame(frame[schema.column_names]).round(decimals).assign(disclaimer=note)
    rows = rows.astype(object).where(rows.notna(), None)
    write_csv(path, list(rows.columns), rows.itertuples(index=False, name=None))
