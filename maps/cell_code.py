"""Cells of the grid as short lists of whole numbers, for a file that a browser reads.

Cells are put in the order of `row * SPAN + col`; what follows without a gap is one run, so a
survey's ground is a list of gaps and lengths, and polygons are in no file. EPSG:6933 has 6,947
columns of 5 km, so a run never reaches from one row into the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely
from pyproj.enums import TransformDirection
from rasterio.features import rasterize
from rasterio.transform import Affine

from tiles.cells import CELL_SIZE_M, GRID_NORTH_M, GRID_WEST_M, Cell, to_equal_area
from tiles.errors import PublishError

DATE_LINE_EAST = 180 - 1e-5  # degrees; a metre from the line
LAST_EDGE_M = GRID_WEST_M + 6948 * CELL_SIZE_M  # where the last column would end
SPAN = 8192  # a row's numbers; more than the columns of the grid, and easy to divide by
NO_GROUP = 0  # of the raster; groups are burnt as 1, 2, ...

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class GroupedCells:
    """Every cell of some groups once, sorted; arrays of one length."""

    keys: Ints
    """row * SPAN + col"""
    group: Ints
    """Position of the group that holds the cell."""


def cell_keys(cell_ids: Sequence[str]) -> Ints:
    """Return the numbers of cells, sorted and each once.

    Raises:
        RegionError: a text is no cell id.
    """
    if not len(cell_ids):
        return np.zeros(0, dtype=np.int64)
    try:
        parts = np.array("_".join(cell_ids).split("_"), dtype=np.int64).reshape(len(cell_ids), 3)
    except ValueError:
        parts = np.array([_parts(cell_id) for cell_id in cell_ids], dtype=np.int64)
    return np.unique(parts[:, 1] * SPAN + parts[:, 2])


def _parts(cell_id: str) -> list[int]:
    cell = Cell.parse(cell_id)
    return [cell.size_m, cell.row, cell.col]


def cell_ids(keys: Ints, size_m: int = CELL_SIZE_M) -> list[str]:
    """Return the names of cells from their numbers."""
    return [Cell(size_m, int(key) // SPAN, int(key) % SPAN).cell_id for key in keys]


def encode_cells(keys: Ints) -> list[int]:
    """Return sorted cell numbers as [gap, length, gap, length, ...]; a gap ends at a run."""
    starts, lengths = _runs(keys, np.zeros(len(keys), dtype=np.int64))
    return _interleaved(_gaps(keys[starts], lengths), lengths)


def decode_cells(code: Sequence[int]) -> Ints:
    """Return the cell numbers that `encode_cells` wrote."""
    gaps, lengths = np.array(code, dtype=np.int64).reshape(-1, 2).T
    return _expanded(gaps, lengths)


def encode_groups(cells: GroupedCells) -> list[int]:
    """Return cells with their group as [gap, length, group, gap, length, group, ...]."""
    starts, lengths = _runs(cells.keys, cells.group)
    return _interleaved(_gaps(cells.keys[starts], lengths), lengths, cells.group[starts])


def decode_groups(code: Sequence[int]) -> GroupedCells:
    """Return what `encode_groups` was given."""
    gaps, lengths, group = np.array(code, dtype=np.int64).reshape(-1, 3).T
    return GroupedCells(_expanded(gaps, lengths), np.repeat(group, lengths))


def cells_of_groups(groups: gpd.GeoDataFrame, size_m: int = CELL_SIZE_M) -> GroupedCells:
    """Return the cells of groups from their geometry, which is whole cells joined.

    A cell belongs to the group that holds its middle: the polygons are laid on the grid as a
    picture of one pixel a cell.

    Raises:
        PublishError: the groups do not hold as many cells as they say, so they overlap.
    """
    to_metres = to_equal_area()

    def on_grid(at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        x_m, y_m = to_metres.transform(at[:, 0], at[:, 1])
        # The date line cuts the last column: its cells are drawn as wide as the others.
        return np.column_stack([np.where(at[:, 0] > DATE_LINE_EAST, LAST_EDGE_M, x_m), y_m])

    ground = shapely.transform(groups.geometry.to_numpy(), on_grid)
    west, south, east, north = (float(end) for end in shapely.total_bounds(ground))
    row, col = round((GRID_NORTH_M - north) / size_m), round((west - GRID_WEST_M) / size_m)
    shape = (round((north - south) / size_m), round((east - west) / size_m))
    corner = Affine(size_m, 0, GRID_WEST_M + col * size_m, 0, -size_m, GRID_NORTH_M - row * size_m)
    numbered = ((shape_m, number + 1) for number, shape_m in enumerate(ground))
    picture = rasterize(numbered, shape, fill=NO_GROUP, transform=corner, dtype="int32")
    rows, cols = np.nonzero(picture)
    found = GroupedCells((rows + row) * SPAN + cols + col, picture[rows, cols].astype(np.int64) - 1)
    _check_number(found, groups)
    return found


def _check_number(found: GroupedCells, groups: gpd.GeoDataFrame) -> None:
    counted = np.bincount(found.group, minlength=len(groups))
    wrong = np.flatnonzero(counted != groups["n_cells"].to_numpy())
    if len(wrong):
        row = groups.iloc[int(wrong[0])]
        raise PublishError(
            f"group {row['group_id']} says that it holds {row['n_cells']} cells and its ground has "
            f"{counted[wrong[0]]}: the groups overlap or are not whole cells; make them again."
        )


def _runs(keys: Ints, group: Ints) -> tuple[Ints, Ints]:
    """Where runs of neighbouring cells of one group start, and how long they are."""
    if not len(keys):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    breaks = (np.diff(keys) != 1) | (np.diff(group) != 0)
    starts = np.concatenate([[0], np.flatnonzero(breaks) + 1])
    return starts, np.diff(np.append(starts, len(keys)))


def _gaps(first: Ints, lengths: Ints) -> Ints:
    ends = np.concatenate([[0], (first + lengths)[:-1]]) if len(first) else first
    return first - ends


def _expanded(gaps: Ints, lengths: Ints) -> Ints:
    ends = np.cumsum(gaps + lengths)
    steps = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    keys: Ints = np.repeat(ends - lengths, lengths) + steps
    return keys


def _interleaved(*columns: Ints) -> list[int]:
    numbers: list[int] = np.column_stack(columns).ravel().tolist()
    return numbers


@dataclass(frozen=True)
class Bounds:
    """Ends of some ground in degrees."""

    west: float
    south: float
    east: float
    north: float


def bounds_of_cells(keys: Ints, size_m: int = CELL_SIZE_M) -> Bounds:
    """Return the ends of the ground of cells."""
    rows, cols = keys // SPAN, keys % SPAN
    x_m = GRID_WEST_M + np.array([cols.min(), cols.max() + 1]) * size_m
    y_m = GRID_NORTH_M - np.array([rows.max() + 1, rows.min()]) * size_m
    lon, lat = to_equal_area().transform(x_m, y_m, direction=TransformDirection.INVERSE)
    return Bounds(float(lon[0]), float(lat[0]), float(lon[1]), float(lat[1]))
