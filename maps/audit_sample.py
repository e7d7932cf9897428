"""Draws chips for a person to mark: places that were found, and ground where nothing was.

Two kinds of chips. A *place* is a site of the list; the question is whether it is one. A *ground*
chip is a square of 500 m that was searched; the question is how many sites stand in it that the
list lacks: what the detector saw and left below its threshold, and what a gate let nobody see. Both
are drawn without replacement within strata, so every chip has a known chance of being drawn, and
`maps.audit_estimate` weights marks by its inverse (Horvitz and Thompson, JASA 47 (1952) 663-685).

Ground that was not searched is no part of it: nobody can mark what no image shows.
"""

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from pyproj.enums import TransformDirection
from shapely.geometry.base import BaseGeometry

from maps.expected import COUNTED_FROM
from tiles.cells import CELL_SIZE_M, GRID_NORTH_M, GRID_WEST_M, Cell, to_equal_area
from tiles.coverage import searched_km2
from tiles.errors import ConfigError
from tiles.tables import Column, TableSchema

Floats = npt.NDArray[np.float64]
Names = npt.NDArray[np.str_]

SIDE_M = 500  # a person sees a kiln in it at a glance; a hundred to a cell of 5 km
PER_CELL = CELL_SIZE_M // SIDE_M
PLACE, GROUND = "place", "ground"
SURE_FROM = 0.9  # of p_site; from COUNTED_FROM on a site counts, below it is doubtful
PLACE_STRATA = ("detected_sure", "detected_likely", "detected_doubtful")
GROUND_STRATA = ("below_threshold_near", "below_threshold_far", "gated")
# Shares of the chips. Half go to ground: what is missed is rarer and less known than what is false.
# Doubtful places are where marks teach most a chip; missed kilns stand where others were found.
SHARES = {
    "detected_sure": 0.12,
    "detected_likely": 0.18,
    "detected_doubtful": 0.20,
    "below_threshold_near": 0.30,
    "below_threshold_far": 0.12,
    "gated": 0.08,
}
FEWEST = 2  # chips of a stratum: of one nobody can tell how much chips differ

AUDIT_DESIGN = TableSchema(
    name="audit_design",
    version=1,
    columns=(
        Column("chip_id", "string", "name on the sheet; says nothing of the stratum"),
        Column("kind", "string", "place or ground"),
        Column("stratum", "string", "one of " + ", ".join((*PLACE_STRATA, *GROUND_STRATA))),
        Column("population", "int64", "places or squares of the stratum in the whole region"),
        Column("inclusion_probability", "float64", "chance of the chip to be drawn"),
        Column("site_id", "string", "of a place", nullable=True),
        Column("cell_id", "string", "5 km cell that holds the chip's middle"),
        Column("lon", "float64", "longitude of the middle, degrees, WGS 84"),
        Column("lat", "float64", "latitude of the middle, degrees, WGS 84"),
        Column("predicted", "float64", "p_site of a place; 0 for ground, where none was seen"),
    ),
    geometry_doc="the middle of the chip, a point",
)


@dataclass(frozen=True)
class Frame:
    """Everything that a chip can be drawn from: one row a place or a square of ground."""

    units: pd.DataFrame  # kind, stratum, site_id, cell_id, lon, lat, predicted


def place_stratum(p_site: Floats) -> Names:
    """Return the stratum of each site of the list."""
    return np.select(
        [p_site >= SURE_FROM, p_site >= COUNTED_FROM], PLACE_STRATA[:2], PLACE_STRATA[2]
    )


def ground_frame(
    coverage: pd.DataFrame, sites: pd.DataFrame, polygon: BaseGeometry
) -> pd.DataFrame:
    """Return the squares of 500 m of all cells that were searched, in part or whole.

    In a cell that was searched in part, squares that no image shows are marked so and count for
    nothing: the estimate is of searched ground.

    Args:
        coverage: a COVERAGE table of one period.
        sites: linked sites: cell_id, p_site.
        polygon: the region (EPSG:4326); squares with their middle outside are left out.

    Returns:
        One row a square: row and col on the grid of 500 m, lon and lat of its middle, cell_id,
        stratum.
    """
    strata = _cell_strata(coverage, sites)
    cells = [Cell.parse(str(cell_id)) for cell_id in strata.index]
    step = np.arange(PER_CELL)
    down, across = (axis.ravel() for axis in np.meshgrid(step, step, indexing="ij"))
    row = (np.array([cell.row for cell in cells], np.int64)[:, None] * PER_CELL + down).ravel()
    col = (np.array([cell.col for cell in cells], np.int64)[:, None] * PER_CELL + across).ravel()
    lon, lat = to_equal_area().transform(
        GRID_WEST_M + (col + 0.5) * SIDE_M,
        GRID_NORTH_M - (row + 0.5) * SIDE_M,
        direction=TransformDirection.INVERSE,
    )
    squares = pd.DataFrame({"row": row, "col": col, "lon": lon, "lat": lat})
    squares["cell_id"] = np.repeat(np.array(strata.index, dtype=object), PER_CELL**2)
    squares["stratum"] = np.repeat(strata.to_numpy(dtype=object), PER_CELL**2)
    shapely.prepare(polygon)
    return squares[shapely.contains_xy(polygon, squares["lon"], squares["lat"])].reset_index(
        drop=True
    )


def make_frame(coverage: pd.DataFrame, sites: pd.DataFrame, polygon: BaseGeometry) -> Frame:
    """Return all places and squares; see `ground_frame`."""
    covered = sites[sites["cell_id"].isin(coverage["cell_id"])]
    places = pd.DataFrame(covered[["site_id", "cell_id", "lon", "lat"]]).assign(
        kind=PLACE,
        stratum=place_stratum(covered["p_site"].to_numpy()),
        predicted=covered["p_site"],
    )
    ground = ground_frame(coverage, sites, polygon).assign(kind=GROUND, predicted=0.0, site_id=None)
    units = pd.concat([places, ground[places.columns]], ignore_index=True)
    return Frame(units)


def draw_sample(frame: Frame, n: int, seed: int) -> gpd.GeoDataFrame:
    """Return the AUDIT_DESIGN table of n chips in random order.

    Raises:
        ConfigError: there is nothing to draw from, or n is too small for two chips a stratum.
    """
    population = frame.units.groupby("stratum").size()
    if population.empty:
        raise ConfigError("nothing was searched and nothing found: there is no chip to draw.")
    drawn = allocate(population, n)
    rng = np.random.default_rng(seed)
    picked = []
    for stratum in (*PLACE_STRATA, *GROUND_STRATA):
        if stratum in drawn:
            here = np.flatnonzero(frame.units["stratum"] == stratum)
            picked.append(rng.choice(here, drawn[stratum], replace=False))
    chips = frame.units.iloc[rng.permutation(np.concatenate(picked))].reset_index(drop=True)
    chips["population"] = chips["stratum"].map(population).astype("int64")
    chips["inclusion_probability"] = chips["stratum"].map(drawn) / chips["population"]
    chips.insert(0, "chip_id", [f"chip-{number:04d}" for number in range(1, len(chips) + 1)])
    points = gpd.points_from_xy(chips["lon"], chips["lat"], crs="EPSG:4326")
    return gpd.GeoDataFrame(chips, geometry=points)


def allocate(population: "pd.Series[int]", n: int) -> dict[str, int]:
    """Return chips a stratum: SHARES among the strata that there are, none above its population.

    Raises:
        ConfigError: n is less than two a stratum.
    """
    least = {str(name): min(FEWEST, int(size)) for name, size in population.items()}
    if n < sum(least.values()):
        raise ConfigError(
            f"{n} chips are too few for {len(least)} kinds of ground and places: draw at least "
            f"{sum(least.values())}, better 200."
        )
    drawn = dict(least)
    for _ in range(min(n, int(population.sum())) - sum(least.values())):
        open_strata = [name for name in drawn if drawn[name] < population[name]]
        neediest = max(open_strata, key=lambda name: SHARES[name] / (drawn[name] + 1))
        drawn[neediest] += 1
    return drawn


def _cell_strata(coverage: pd.DataFrame, sites: pd.DataFrame) -> "pd.Series[str]":
    """Stratum of the ground of every cell that was searched."""
    searched = searched_km2(coverage)
    searched = searched[searched > 0].sort_index()
    gated = coverage[coverage["status"] == "searched_gate"].groupby("cell_id")["area_km2"].sum()
    mostly = gated.reindex(searched.index, fill_value=0.0) > searched / 2
    likely = sites.loc[sites["p_site"] >= COUNTED_FROM, "cell_id"].unique()
    around = {
        Cell(cell.size_m, cell.row + down, cell.col + right).cell_id
        for cell in (Cell.parse(str(cell_id)) for cell_id in likely)
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
    }
    near, far, behind_gate = GROUND_STRATA
    names = np.select([mostly, searched.index.isin(around)], [behind_gate, near], far)
    return pd.Series(names, index=searched.index, dtype=object)
