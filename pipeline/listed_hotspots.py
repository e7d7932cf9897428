"""Hotspots of a published list of positions, as if all ground had been searched for it."""

from dataclasses import dataclass, replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pydantic import BaseModel, ConfigDict
from scipy.stats import spearmanr

from maps.boundaries import Districts
from maps.decisions import Decision
from maps.districts import DistrictGround, district_ground
from maps.expected import Recall, expected_by_cell
from maps.hotspots import HOT_CLASSES
from models.site_class import SiteClass, load_site_class
from pipeline.hotspot_tables import (
    Boundaries,
    HotspotTables,
    make_hotspot_tables,
    write_hotspot_tables,
)
from pipeline.run_folder import MANIFEST
from tiles.cells import CellGrid, cell_polygons
from tiles.errors import ConfigError, RegionError
from tiles.listed import read_listed
from tiles.region import UNDATED, Period, Region, read_region

# A list states no recall; that everything on the ground is in it is stipulated, and said.
AS_LISTED = Recall(1.0, 1.0, 1.0)
REAL = 1.0
DRAWS = 2000  # bootstrap; the ends of a 90 % interval are good to a hundredth then
SEED = 6


class ListSettings(BaseModel):
    """What `kilnlight hotspots` is told; unknown keys are refused.

    Attributes:
        positions: CSV with lat and lon.
        region: polygons of the ground that the list covers.
        out: folder for the tables.
        districts: named areas to add up.
        places: named points to call hotspots after.
        against: another list, whose districts are compared.
        name: what the region is called; the region file's name when absent.
        period: months that the list speaks for.
        site_class: what is listed; says how close two positions of one site can lie.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    positions: Path
    region: Path
    out: Path
    districts: Path | None = None
    places: Path | None = None
    against: Path | None = None
    name: str | None = None
    period: str = UNDATED
    site_class: str = "brick_kiln"


@dataclass(frozen=True)
class Agreement:
    """How alike two lists order the districts: Spearman's rank correlation with 90 % interval."""

    districts: int
    rho: float
    low: float
    high: float

    def __str__(self) -> str:
        if np.isnan(self.rho):
            return f"no rank correlation: too few districts ({self.districts}), or all alike"
        return (
            f"rank correlation {self.rho:.2f} ({self.low:.2f} to {self.high:.2f}) "
            f"over {self.districts} districts"
        )


def map_list(settings: ListSettings) -> str:
    """Write the tables of a list, and say what they hold.

    Raises:
        TableError: a list cannot be read.
        RegionError: region, districts or places cannot be used, or no position lies in the region.
        ConfigError: another list was given without districts, or the folder holds a survey.
    """
    if settings.against is not None and settings.districts is None:
        raise ConfigError("--against compares districts: give them with --districts.")
    if (settings.out / MANIFEST).exists():
        raise ConfigError(f"{settings.out} holds a survey: give the list a folder of its own.")
    site_class = load_site_class(settings.site_class)
    period = settings.period if settings.period == UNDATED else str(Period.parse(settings.period))
    region = read_region(settings.region, settings.name)
    boundaries = Boundaries.read(settings.districts, settings.places)
    coverage = _all_searched(region, period)
    sites = _listed(settings.positions, region, coverage, site_class)
    cells = expected_by_cell(sites, coverage, AS_LISTED, site_class)
    tables = make_hotspot_tables(cells, sites, region, site_class, period, boundaries, listed=True)
    said = [_stipulated(settings, sites, site_class), *tables.decisions]
    if settings.against is not None and boundaries.districts is not None:
        other = _listed(settings.against, region, coverage, site_class)
        grounds = [
            district_ground(cells, listed, boundaries.districts, region.polygon)
            for listed in (sites, other)
        ]
        alike = agreement(boundaries.districts, *grounds)
        said.append(Decision("Another list", f"{settings.against.name}: {alike}."))
    tables = replace(tables, decisions=tuple(said))
    title = f"How the hotspots of {region.name} came about"
    write_hotspot_tables(tables, settings.out, title, site_class.disclaimer)
    return _summary(settings, tables, sites, said)


def agreement(districts: Districts, ours: DistrictGround, theirs: DistrictGround) -> Agreement:
    """Compare the numbers of sites in the districts that reach into the region.

    Spearman, American Journal of Psychology 15 (1904) 72-101; the interval is a percentile
    bootstrap of districts (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, 13.3).
    """
    held = np.unique(ours.district[ours.district >= 0])
    counts = np.array(
        [
            np.bincount(g.site_district[g.site_district >= 0], minlength=len(districts.names))[held]
            for g in (ours, theirs)
        ]
    )
    if any(len(np.unique(one)) < 2 for one in counts):
        return Agreement(len(held), np.nan, np.nan, np.nan)
    rng = np.random.default_rng(SEED)
    draws = rng.integers(0, len(held), (DRAWS, len(held)))
    rhos = [_spearman(counts[:, draw]) for draw in draws]
    low, high = np.nanquantile(rhos, [0.05, 0.95])
    return Agreement(len(held), _spearman(counts), float(low), float(high))


def _spearman(counts: np.ndarray) -> float:
    if any(len(np.unique(one)) < 2 for one in counts):
        return float("nan")
    return float(spearmanr(counts[0], counts[1]).statistic)


def _all_searched(region: Region, period: str) -> gpd.GeoDataFrame:
    cells = CellGrid().cells_of(region.polygon)
    if len(cells) < 2:
        raise RegionError(
            f"region {region.name} lies in {len(cells)} cell of 5 km: hotspots compare cells with "
            "others, so give a larger region."
        )
    frame = cells[["cell_id", "area_km2"]].assign(status="searched", period=period)
    return gpd.GeoDataFrame(frame, geometry=cell_polygons(list(cells["cell_id"])))


def _listed(
    path: Path, region: Region, coverage: pd.DataFrame, site_class: SiteClass
) -> pd.DataFrame:
    """The list's sites inside the region, each taken to be real."""
    listed = read_listed(path, REAL, site_class.merge_radius_m)
    shapely.prepare(region.polygon)
    inside = shapely.contains_xy(region.polygon, listed["lon"], listed["lat"])
    sites = listed[inside & listed["cell_id"].isin(coverage["cell_id"])]
    if sites.empty:
        raise RegionError(
            f"none of the {len(listed)} places of {path} lies in region {region.name}: check both."
        )
    return sites.assign(p_site=REAL, p_low=REAL, p_high=REAL).reset_index(drop=True)


def _stipulated(settings: ListSettings, sites: pd.DataFrame, site_class: SiteClass) -> Decision:
    return Decision(
        "What this is made from",
        f"{settings.positions.name}: {len(sites):,} places in the region, positions within "
        f"{site_class.merge_radius_m:.0f} m of each other taken as one. It is taken as if all "
        "ground had been searched and every position were real and none missing, which nobody has "
        "checked: so numbers of sites have no interval here, and a hotspot may be where somebody "
        "looked harder.",
    )


def _summary(
    settings: ListSettings, tables: HotspotTables, sites: pd.DataFrame, said: list[Decision]
) -> str:
    hot = tables.hotspots["hotspot_class"].isin(HOT_CLASSES)
    lines = [
        f"{len(sites):,} places on {len(tables.hotspots):,} cells; {hot.sum():,} cells are hot, in "
        f"{len(tables.clusters):,} cluster{'' if len(tables.clusters) == 1 else 's'}.",
        "As if all ground had been searched and the list were whole: nobody has checked that.",
    ]
    lines += [one.text for one in said if one.about == "Another list"]
    return "\n".join([*lines, f"Tables and decisions.md: {settings.out}"])
