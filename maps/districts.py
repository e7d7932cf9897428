"""Sites of each district, with 90 % intervals, and how many people they may employ.

Districts cut cells, so each cell is cut into pieces. A site found belongs to the district that its
centre lies in. What was missed, and what stands on ground not searched, is spread evenly over its
cell: a piece takes the share of it that it has of the cell's ground inside the region. Errors of
recall, calibration and density are shared between pieces as `maps.expected` shares them between
cells. Missed sites are then independent between the pieces of a cell given its density (splitting
of a Poisson process: Kingman, Poisson Processes, 1993, 5.1); their uncertain density is taken in
proportion, which is a little wide.
"""

import math
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from maps.bands import Floats, Ints
from maps.boundaries import Districts
from maps.district_audit import Audit, audited_moments
from maps.expected import (
    COUNTED_FROM,
    PARTS,
    UNSEARCHED,
    Z_90,
    ends_90,
    interval_90,
    moments_by,
    whole_cell_km2,
)
from maps.hotspots import LEAST_SEARCHED_SHARE
from models.site_class import SiteClass
from tiles.cells import SQUARE_METRES_PER_KM2, Cell, project
from tiles.errors import RegionError
from tiles.tables import Column, TableSchema

NO_DISTRICT = "(no district)"
# Of a district: borders drawn by two hands differ by as much, and that is no part left out.
WHOLE_SHARE = 0.99
LEAST_REST_KM2 = 1.0  # ground between districts smaller than this is the drawing of borders
BY_MODEL, BY_AUDIT, BY_LIST = "model", "audit", "list"
NO_INTERVAL = "no interval: nobody has checked how many sites the list misses or makes up"

DISTRICTS = TableSchema(
    name="districts",
    version=1,
    columns=(
        Column("district", "string", "name of the district; with its state where two share one"),
        Column("site_class", "string", "name of the site class"),
        Column("period", "string", "first and last month, as 2025-11/2026-06"),
        Column("area_km2", "float64", "area of the whole district"),
        Column("surveyed_km2", "float64", "of that: inside the region of the survey"),
        Column("searched_km2", "float64", "of that: searched + searched_gate + water"),
        Column("n_sites", "int64", "sites found in it with p_site of 0.5 or more"),
        Column("expected_sites", "float64", "sites on surveyed_km2, found or not", nullable=True),
        Column("expected_low", "float64", "lower end of its 90 % interval", nullable=True),
        Column("expected_high", "float64", "upper end of its 90 % interval", nullable=True),
        Column("per_1000km2", "float64", "expected_sites on 1,000 km2 surveyed", nullable=True),
        Column(
            "method", "string", "model: corrected by the weights' recall; audit; or list: as it is"
        ),
        Column(
            "workers_low",
            "float64",
            "expected_low times the class's fewest workers a site; not counted by anybody",
            nullable=True,
        ),
        Column("workers_high", "float64", "the same from the upper ends", nullable=True),
        Column("workers", "string", "order of magnitude of that, in words", nullable=True),
        Column("note", "string", "what a reader must know, or why a figure is missing"),
    ),
    geometry_doc="the whole district, as the user brought it; of (no district) nothing",
)


@dataclass(frozen=True)
class DistrictGround:
    """How districts cut cells and which district each site lies in; -1 is none of them."""

    cell: Ints  # (pieces,) position of the cell
    district: Ints  # (pieces,) position of the district, or -1
    share: Floats  # (pieces,) of the cell's ground inside the region
    site_district: Ints  # (sites,)


def district_ground(
    cells: pd.DataFrame, sites: pd.DataFrame, districts: Districts, surveyed: BaseGeometry
) -> DistrictGround:
    """Cut the cells along the districts' borders.

    Args:
        cells: what `expected_by_cell` returns.
        sites: linked sites: lon, lat.
        districts: where the borders lie.
        surveyed: the survey's region (EPSG:4326); it bounds the ground of the cells at its edge.

    Raises:
        RegionError: no district reaches into the region.
    """
    inside = _ground_inside(cells, surveyed)
    tree = shapely.STRtree(inside)
    district, cell = tree.query(districts.ground, predicate="intersects")
    for polygon in districts.ground:
        shapely.prepare(polygon)
    whole = shapely.contains_properly(districts.ground[district], inside[cell])
    shared = shapely.area(inside[cell])
    cut = np.flatnonzero(~whole)
    shared[cut] = shapely.area(
        shapely.intersection(districts.ground[district[cut]], inside[cell[cut]])
    )
    share = shared / shapely.area(inside)[cell]
    real = share > 0
    if not real.any():
        raise RegionError(
            f"none of the {len(districts.names)} districts reaches into the surveyed region: "
            "give districts of this region."
        )
    rest = np.maximum(1 - np.bincount(cell[real], share[real], minlength=len(cells)), 0.0)
    nowhere = np.flatnonzero(rest > 0)
    return DistrictGround(
        np.concatenate([cell[real], nowhere]),
        np.concatenate([district[real], np.full(len(nowhere), -1)]),
        np.concatenate([share[real], rest[nowhere]]),
        districts.at(sites["lon"].to_numpy(), sites["lat"].to_numpy()),
    )


def district_figures(
    cells: pd.DataFrame,
    sites: pd.DataFrame,
    districts: Districts,
    ground: DistrictGround,
    site_class: SiteClass,
    period: str,
    audit: Audit | None = None,
) -> gpd.GeoDataFrame:
    """Return the DISTRICTS table: districts that the region reaches, by name.

    Ground and sites in no district come last, so that the rows sum to the survey. A district of
    which under a fifth was searched has no figure, and says so.

    Args:
        cells: what `expected_by_cell` returns.
        sites: linked sites: cell_id, p_site, p_low, p_high.
        districts: the user's.
        ground: what `district_ground` returns for these.
        site_class: how many people work at a site.
        period: months that the figures speak for.
        audit: what an audit sample of this survey says, in place of the weights' recall.
    """
    pieces = cell_pieces(cells, sites, ground)
    place = pieces["district"].to_numpy(np.int64)
    if audit is None:
        moments = moments_by(pieces, place)
        low, high = ends_90(moments)
    else:
        moments = audited_moments(audit, pieces)
        low, high = interval_90(moments["mean"].to_numpy(), moments["variance"].to_numpy())
    found = np.unique(place)
    sums = pieces.groupby("district")[["area_km2", "searched_km2", "n_sites"]].sum()
    table = pd.DataFrame(
        {
            "district": [districts.names[at] if at >= 0 else NO_DISTRICT for at in found],
            "surveyed_km2": sums["area_km2"].to_numpy(),
            "searched_km2": sums["searched_km2"].to_numpy(),
            "n_sites": sums["n_sites"].to_numpy(np.int64),
            "expected_sites": moments["mean"].to_numpy(),
            "expected_low": low,
            "expected_high": high,
        }
    )
    table["area_km2"] = _areas_km2(districts, found, table["surveyed_km2"].to_numpy())
    method = BY_MODEL if audit is None else BY_AUDIT
    table["site_class"], table["period"], table["method"] = site_class.name, period, method
    return finished(table, found, districts, site_class)


def cell_pieces(cells: pd.DataFrame, sites: pd.DataFrame, ground: DistrictGround) -> pd.DataFrame:
    """Return the cells cut along the borders, with what `moments_by` needs of each piece.

    Sites in cells that the survey does not hold count nowhere, as in `expected_by_cell`.
    """
    known = pd.Series(np.arange(len(cells)), index=cells["cell_id"])
    at = known.reindex(sites["cell_id"]).to_numpy()
    held = np.isfinite(at)
    own = _own_parts(sites[held]).assign(
        cell=at[held].astype(np.int64), district=ground.site_district[held]
    )
    own_here = own.groupby(["cell", "district"]).sum()
    own_cell = own.groupby("cell").sum().reindex(range(len(cells)), fill_value=0.0)
    shares = pd.Series(
        ground.share, index=pd.MultiIndex.from_arrays([ground.cell, ground.district])
    )
    # A site may stand a few metres beyond the border of a piece that has no ground in its cell.
    index = shares.index.union(own_here.index).set_names(["cell", "district"])
    share = shares.reindex(index, fill_value=0.0).to_numpy()
    here = own_here.reindex(index, fill_value=0.0)
    cell = index.get_level_values("cell").to_numpy()
    pieces = pd.DataFrame({"district": index.get_level_values("district")})
    for name in ("row", "col"):
        pieces[name] = cells[name].to_numpy()[cell]
    for name in ("area_km2", "searched_km2", *UNSEARCHED, *PARTS):
        spread = cells[name].to_numpy()[cell]
        if name in own_cell:
            spread = spread - own_cell[name].to_numpy()[cell]
        pieces[name] = spread * share + (here[name].to_numpy() if name in here else 0.0)
    pieces["n_sites"] = here["n_sites"].to_numpy()
    return pieces


def _own_parts(sites: pd.DataFrame) -> pd.DataFrame:
    """What each site found adds to its own cell's parts, and so to its own district's."""
    p_site = sites["p_site"]
    return pd.DataFrame(
        {
            "n_sites": (p_site >= COUNTED_FROM).astype("float64"),
            "expected_sites": p_site,
            "var_own": p_site * (1 - p_site),
            "sd_calibration": (sites["p_high"] - sites["p_low"]) / (2 * Z_90),
        }
    )


def finished(
    table: pd.DataFrame, found: Ints, districts: Districts, site_class: SiteClass
) -> gpd.GeoDataFrame:
    """Take out figures that cannot be had, and add workers, notes and borders."""
    # "or equal": a site a few metres beyond the region's edge can be all that a district has.
    unsearched = table["searched_km2"] <= LEAST_SEARCHED_SHARE * table["surveyed_km2"]
    figures = ["expected_sites", "expected_low", "expected_high"]
    table.loc[unsearched, figures] = np.nan
    table["per_1000km2"] = 1000 * table["expected_sites"] / table["surveyed_km2"]
    table["workers_low"] = site_class.workers_per_site.low * table["expected_low"]
    table["workers_high"] = site_class.workers_per_site.high * table["expected_high"]
    ends = zip(table["workers_low"], table["workers_high"], strict=True)
    table["workers"] = [order_of_magnitude(low, high) for low, high in ends]
    part = table["surveyed_km2"] / table["area_km2"]
    table["note"] = [_note(*row) for row in zip(unsearched, part, strict=True)]
    shapes = [districts.polygons[at] if at >= 0 else shapely.Polygon() for at in found]
    frame = gpd.GeoDataFrame(table, geometry=shapes, crs="EPSG:4326")
    last = (frame["district"] == NO_DISTRICT).to_numpy()
    slight = last & (frame["surveyed_km2"] < LEAST_REST_KM2) & (frame["n_sites"] == 0)
    ordered = pd.concat([frame[~last], frame[last & ~slight]], ignore_index=True)
    return ordered[[*DISTRICTS.column_names, "geometry"]]


def without_intervals(figures: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Leave out what nobody can know of a published list: how far its numbers are off."""
    unknown = ["expected_low", "expected_high", "workers_low", "workers_high"]
    table = figures.assign(**dict.fromkeys(unknown, np.nan), workers=None, method=BY_LIST)
    table["note"] = [f"{note}; {NO_INTERVAL}".removeprefix("; ") for note in table["note"]]
    return table


def order_of_magnitude(low: float, high: float) -> str | None:
    """Say a range of people by its powers of ten: `thousands to tens of thousands`.

    Workers a site were never counted in this survey: digits would claim that they were.
    """
    if math.isnan(high):
        return None
    if high < 1:
        return "none expected"
    words = ("a few", "tens", "hundreds", "thousands", "tens of thousands", "hundreds of thousands")
    first, last = (words[min(int(math.log10(max(end, 1))), len(words) - 1)] for end in (low, high))
    start = "none" if low < 1 else first
    return last if start == last else f"{start} to {last}"


def _note(unsearched: bool, part: float) -> str:
    notes = []
    if unsearched:
        notes.append("no figure: under 20 % of the ground was searched")
    if part < WHOLE_SHARE:
        notes.append(f"the survey's region holds {max(round(100 * part), 1)} % of the district")
    return "; ".join(notes)


def _areas_km2(districts: Districts, found: Ints, surveyed_km2: Floats) -> Floats:
    whole = shapely.area(districts.ground[found]) / SQUARE_METRES_PER_KM2
    return np.asarray(np.where(found >= 0, whole, surveyed_km2))


def _ground_inside(cells: pd.DataFrame, surveyed: BaseGeometry) -> npt.NDArray[np.object_]:
    """Each cell's ground inside the region, in EPSG:6933; whole squares where all of it is."""
    squares = np.array([Cell.parse(str(name)).square for name in cells["cell_id"]], dtype=object)
    edge = np.flatnonzero(
        cells["area_km2"].to_numpy() < (1 - 1e-6) * whole_cell_km2(str(cells["cell_id"].iloc[0]))
    )
    if len(edge):
        region = project(surveyed)
        shapely.prepare(region)
        squares[edge] = shapely.intersection(squares[edge], region)
    return squares
