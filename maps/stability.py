"""Does a hotspot stay when the grid is drawn elsewhere or at another scale?

Where the edges of cells fall is chance, and so is their size: what is hot on one grid may not be on
the next (the modifiable areal unit problem: Openshaw, The Modifiable Areal Unit Problem, 1984). So
the same sites are counted and tested again on eleven other grids, and each cell says in what share
of them its ground is hot.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import pandas as pd

from maps.bands import Floats, Ints, choose_band
from maps.expected import COUNTED_FROM
from maps.hotspots import HOT_CLASSES, LEAST_SEARCHED_SHARE, NOT_TESTED, check_cells
from tiles.cells import (
    CELL_SIZE_M,
    GRID_NORTH_M,
    GRID_WEST_M,
    SQUARE_METRES_PER_KM2,
    to_equal_area,
)

COLUMNS = 1 << 32  # more than a grid has, so that row and column make one number
HALF = 0.5  # of a cell's ground: it is hot on another grid if more than not is
WEAKEST_RATE = max(HOT_CLASSES.values())


@dataclass(frozen=True)
class OtherGrid:
    """A grid of other squares: their size, and how far its corner lies south and east of ours."""

    size_m: int
    south_m: float
    east_m: float


@dataclass(frozen=True)
class _Overlaps:
    """Which square of another grid shares ground with which cell; arrays of one length."""

    cell: Ints  # position of our cell
    square: Ints  # number of the other square
    share: Floats  # of the cell's ground


def other_grids(size_m: int = CELL_SIZE_M) -> list[OtherGrid]:
    """Return the grids to compare with: a fifth smaller, alike, a quarter larger; shifted by half.

    Sizes are a factor of 1.25 apart, area 1.56: neighbouring choices that anyone might have made.
    """
    sizes = (size_m * 4 // 5, size_m, size_m * 5 // 4)
    shifts = product(sizes, (0.0, HALF), (0.0, HALF))
    grids = [OtherGrid(size, size * south, size * east) for size, south, east in shifts]
    return [grid for grid in grids if grid != OtherGrid(size_m, 0.0, 0.0)]


def stability(
    cells: pd.DataFrame, sites: pd.DataFrame, classes: pd.Series, size_m: int = CELL_SIZE_M
) -> Floats:
    """Return the share of the other grids in which each cell's ground is hot; NaN if not tested.

    Ground is hot on another grid if at least half of the cell lies in squares with a false
    discovery rate of 10 % or less, tested in the same way. What was searched of a cell is taken to
    lie evenly in it. For a cell that is not hot the share says how near it came.

    Args:
        cells: what `expected_by_cell` returns.
        sites: linked sites: lon, lat, cell_id, p_site.
        classes: hotspot_class of each cell.
        size_m: side of the cells.
    """
    counted = sites[(sites["p_site"] >= COUNTED_FROM) & sites["cell_id"].isin(cells["cell_id"])]
    x_m, y_m = to_equal_area().transform(counted["lon"].to_numpy(), counted["lat"].to_numpy())
    east_m, south_m = np.asarray(x_m) - GRID_WEST_M, GRID_NORTH_M - np.asarray(y_m)
    grids = other_grids(size_m)
    times_hot = np.zeros(len(cells))
    for grid in grids:
        times_hot += _hot_share(cells, size_m, grid, east_m, south_m) >= HALF
    return np.where(classes == NOT_TESTED, np.nan, times_hot / len(grids))


def _hot_share(
    cells: pd.DataFrame, size_m: int, grid: OtherGrid, east_m: Floats, south_m: Floats
) -> Floats:
    """Share of each cell's ground that lies in hot squares of another grid."""
    rows, cols, overlaps = _overlay(cells["row"].to_numpy(), cells["col"].to_numpy(), size_m, grid)
    searched = np.zeros(len(rows))
    np.add.at(
        searched, overlaps.square, overlaps.share * cells["searched_km2"].to_numpy()[overlaps.cell]
    )
    site_rows = np.floor((south_m - grid.south_m) / grid.size_m).astype(np.int64)
    site_cols = np.floor((east_m - grid.east_m) / grid.size_m).astype(np.int64)
    counts = _count(rows, cols, site_rows, site_cols)
    whole_km2 = grid.size_m**2 / SQUARE_METRES_PER_KM2
    tested = np.flatnonzero(searched >= LEAST_SEARCHED_SHARE * whole_km2)
    band = choose_band(len(tested), int(counts[tested].sum()), grid.size_m)
    result = check_cells(rows[tested], cols[tested], counts[tested], searched[tested], band)
    hot = np.zeros(len(rows))
    hot[tested] = result.q_value <= WEAKEST_RATE
    share: Floats = np.zeros(len(cells))
    np.add.at(share, overlaps.cell, overlaps.share * hot[overlaps.square])
    return share


def _overlay(rows: Ints, cols: Ints, size_m: int, grid: OtherGrid) -> tuple[Ints, Ints, _Overlaps]:
    """Lay another grid over cells: rows and cols of its squares, and what each shares with which.

    Along one axis a cell is cut by at most one edge of larger squares and two of smaller ones, so
    it meets at most three squares; shares along both axes multiply.
    """
    down, east = (
        _cuts(at, size_m, grid.size_m, offset_m)
        for at, offset_m in ((rows, grid.south_m), (cols, grid.east_m))
    )
    parts = list(product(down, east))
    share = np.concatenate([one * other for (_, one), (_, other) in parts])
    at_row = np.concatenate([row for (row, _), _ in parts])
    at_col = np.concatenate([col for _, (col, _) in parts])
    cell = np.tile(np.arange(len(rows)), len(parts))
    meets = share > 1e-9  # squares that touch share nothing but rounding
    # The first square of a shifted grid can begin west of ours, at column -1.
    keys, square = np.unique(at_row[meets] * COLUMNS + at_col[meets] + 1, return_inverse=True)
    return keys // COLUMNS, keys % COLUMNS - 1, _Overlaps(cell[meets], square, share[meets])


def _cuts(at: Ints, size_m: int, other_m: int, offset_m: float) -> list[tuple[Ints, Floats]]:
    """Squares that cells meet along one axis, and which share of each cell lies in them."""
    start, end = at * size_m - offset_m, (at + 1) * size_m - offset_m
    first = np.floor(start / other_m).astype(np.int64)
    cuts = []
    for step in range(3):
        low = np.maximum(start, (first + step) * other_m)
        high = np.minimum(end, (first + step + 1) * other_m)
        cuts.append((first + step, np.maximum(high - low, 0.0) / size_m))
    return cuts


def _count(rows: Ints, cols: Ints, site_rows: Ints, site_cols: Ints) -> npt.NDArray[np.int64]:
    """Sites in each square; squares are named once."""
    squares = pd.MultiIndex.from_arrays([rows, cols])
    at = squares.get_indexer(pd.MultiIndex.from_arrays([site_rows, site_cols]))
    return np.bincount(at[at >= 0], minlength=len(rows)).astype(np.int64)
