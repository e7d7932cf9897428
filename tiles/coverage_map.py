"""From what blocks saw to the tables of coverage: one status a ground pixel, cell by cell."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from tiles.cells import GRID_NORTH_M, GRID_WEST_M, CellGrid, to_equal_area
from tiles.coverage import (
    ALL_NOT_IMAGED,
    FULL_CELL_KM2,
    GROUND_PIXEL_M,
    GROUND_PIXELS_PER_CELL,
    NO_FIRST,
    NO_LAST,
    NOT_IMAGED,
    STATUSES,
    GroundStatus,
    coverage_table,
    day_text,
)
from tiles.ground import (
    CellRaster,
    CellSpan,
    GroundSquare,
    GroundWindow,
    cells_of_window,
    ground_table,
    spans_of,
    window_of,
)
from tiles.region import Region

EDGE_SLACK = 1e-6  # a cell cut by less than this share counts as whole
SQUARE_CELLS = 32  # side of what is held at once: 160 km, 25 MB, however large the region is

WindowsWithin = Callable[[CellSpan], Iterable[GroundWindow]]


@dataclass(frozen=True)
class CoverageTables:
    """The COVERAGE table of a region, and the GROUND table of its cells behind it."""

    coverage: gpd.GeoDataFrame
    ground: gpd.GeoDataFrame


@dataclass(frozen=True)
class _CellRow:
    """One row of the COVERAGE table, with what it is sorted by."""

    row: int
    col: int
    code: int
    cell_id: str
    status: str
    area_km2: float
    first_date: str | None
    last_date: str | None


def coverage_of(region: Region, period: str, windows_within: WindowsWithin) -> CoverageTables:
    """Make the tables of a region, a square of cells at a time.

    The rows of a cell sum to its area inside the region.

    Args:
        region: the ground that counts.
        period: months, for the table.
        windows_within: gives what was seen in a rectangle of cells, in any order.
    """
    cells = CellGrid().cells_of(region.polygon)
    shapely.prepare(region.polygon)
    rows: list[_CellRow] = []
    rasters: dict[tuple[int, int], tuple[str, CellRaster]] = {}
    for span in spans_of(cells["row"], cells["col"], SQUARE_CELLS):
        square = GroundSquare(span)
        for window in windows_within(span):
            square.add(window)
        here = cells[
            cells["row"].between(span.first_row, span.last_row)
            & cells["col"].between(span.first_col, span.last_col)
        ]
        for cell_id, row, col, area_km2 in here.itertuples(index=False):
            cell = square.cell(int(row), int(col))
            rows += _rows(cell, str(cell_id), float(area_km2), region)
            if (cell.status != NOT_IMAGED).any():
                rasters[int(row), int(col)] = str(cell_id), cell.status.copy()
    rows.sort(key=lambda one: (one.row, one.col, one.code))
    frame = pd.DataFrame(rows)
    table = coverage_table(frame.drop(columns=["row", "col", "code"]), period)
    return CoverageTables(table, ground_table(rasters[key] for key in sorted(rasters)))


def _rows(cell: GroundWindow, cell_id: str, area_km2: float, region: Region) -> Iterator[_CellRow]:
    """A cell's rows: the area and days of each status among its ground pixels in the region."""
    row, col = cell.row0 // GROUND_PIXELS_PER_CELL, cell.col0 // GROUND_PIXELS_PER_CELL
    counted = np.ones(cell.status.shape, bool)
    if area_km2 < FULL_CELL_KM2 * (1 - EDGE_SLACK):
        inside = _inside(region.polygon, *_ground_pixels(row, col)).reshape(counted.shape)
        counted = inside if inside.any() else counted
    codes = np.where(cell.status == NOT_IMAGED, ALL_NOT_IMAGED, cell.status)
    shares = np.bincount(codes[counted], minlength=len(STATUSES)) / counted.sum()
    for code in np.flatnonzero(shares):
        of_code = counted & (codes == code)
        yield _CellRow(
            *(row, col, int(code), cell_id, STATUSES[code], float(shares[code] * area_km2)),
            first_date=day_text(int(cell.first_day[of_code].min())),
            last_date=day_text(int(cell.last_day[of_code].max())),
        )


@dataclass
class CoverageMap:
    """Coverage of a few blocks, held in memory: for broken files, and for tests."""

    windows: list[GroundWindow] = field(default_factory=list)

    def add(self, seen: GroundStatus) -> None:
        """Take in what one block saw."""
        self.windows.append(window_of(seen))

    def add_polygon(self, polygon: BaseGeometry, status: str) -> None:
        """Give all ground pixels in a polygon (EPSG:4326) a status, as for a broken scene."""
        cells = CellGrid().cells_of(polygon)
        for cell_row, cell_col in zip(cells["row"], cells["col"], strict=True):
            rows, cols = _ground_pixels(int(cell_row), int(cell_col))
            inside = _inside(polygon, rows, cols)
            size = int(inside.sum())
            code = np.full(size, STATUSES.index(status), np.uint8)
            first, last = np.full(size, NO_FIRST, np.int32), np.full(size, NO_LAST, np.int32)
            self.add(GroundStatus(rows[inside], cols[inside], code, first, last))

    def within(self, span: CellSpan) -> Iterator[GroundWindow]:
        """What was seen in a rectangle of cells."""
        return (window for window in self.windows if span.meets(cells_of_window(window)))

    def table(self, region: Region, period: str) -> gpd.GeoDataFrame:
        """Return the COVERAGE table."""
        return coverage_of(region, period, self.within).coverage


def _ground_pixels(
    cell_row: int, cell_col: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    side = np.arange(GROUND_PIXELS_PER_CELL, dtype=np.int32)
    rows, cols = np.meshgrid(
        cell_row * GROUND_PIXELS_PER_CELL + side,
        cell_col * GROUND_PIXELS_PER_CELL + side,
        indexing="ij",
    )
    return rows.ravel(), cols.ravel()


def _inside(
    polygon: BaseGeometry, rows: npt.NDArray[np.int32], cols: npt.NDArray[np.int32]
) -> npt.NDArray[np.bool_]:
    x_m = GRID_WEST_M + (cols + 0.5) * GROUND_PIXEL_M
    y_m = GRID_NORTH_M - (rows + 0.5) * GROUND_PIXEL_M
    lon, lat = to_equal_area().transform(x_m, y_m, direction="INVERSE")
    return np.asarray(shapely.contains_xy(polygon, lon, lat))
