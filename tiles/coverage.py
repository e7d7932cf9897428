"""What was looked at: every ground pixel of the region has one status, the best over all scenes."""

from dataclasses import dataclass, field
from typing import cast

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from tiles.blocks import Block
from tiles.cells import (
    CELL_SIZE_M,
    EQUAL_AREA,
    GRID_NORTH_M,
    GRID_WEST_M,
    CellGrid,
    cell_polygons,
    project,
    to_equal_area,
)
from tiles.region import Region
from tiles.scene import Scene
from tiles.tables import Column, TableSchema

STATUSES = ("searched", "searched_gate", "water", "cloud", "nodata", "out_of_season", "failed")
SEARCHED = ("searched", "searched_gate", "water")  # the denominator of every rate
NOT_IMAGED = len(STATUSES)  # no scene reached the ground pixel yet; worse than every status
ALL_NOT_IMAGED = STATUSES.index("nodata")  # what such a pixel becomes in the table
GROUND_PIXEL_M = 100  # sampling step of coverage: 2,500 ground pixels a 5 km cell
GROUND_PIXELS_PER_CELL = CELL_SIZE_M // GROUND_PIXEL_M  # along one side
FULL_CELL_KM2 = CELL_SIZE_M**2 / 1e6
EDGE_SLACK = 1e-6  # a cell cut by less than this share counts as whole

FloatArray = npt.NDArray[np.float64]

COVERAGE = TableSchema(
    name="coverage",
    version=1,
    columns=(
        Column("cell_id", "string", "square of the 5 km equal-area grid"),
        Column("period", "string", "first and last month, as 2025-11/2026-06"),
        Column("status", "string", "one of " + ", ".join(STATUSES)),
        Column("area_km2", "float64", "area of the cell inside the region that has this status"),
    ),
    geometry_doc="the whole cell",
)


@dataclass(frozen=True)
class GroundStatus:
    """Statuses of the ground pixels that one block saw: arrays of equal length.

    `row` and `col` count squares of GROUND_PIXEL_M on the equal-area grid; `status` indexes
    STATUSES.
    """

    row: npt.NDArray[np.int32]
    col: npt.NDArray[np.int32]
    status: npt.NDArray[np.uint8]


def sample_ground(scene: Scene, block: Block, status: npt.NDArray[np.uint8] | int) -> GroundStatus:
    """Give each ground pixel with its centre in the block's core the status of the pixel there.

    Args:
        scene: the scene the block belongs to.
        block: its core says which ground pixels it answers for.
        status: (y, x) of the core's pixels inside the scene, or one status for all of them.
    """
    rows, cols = min(block.rows, scene.rows - block.row), min(block.cols, scene.cols - block.col)
    west, south, east, north = project(scene.outline(block.row, block.col, rows, cols)).bounds
    ground = CellGrid(GROUND_PIXEL_M)
    row_range = np.arange(int(ground.rows_of(north)), int(ground.rows_of(south)) + 1)
    col_range = np.arange(int(ground.cols_of(west)), int(ground.cols_of(east)) + 1)
    ground_row, ground_col = (a.ravel() for a in np.meshgrid(row_range, col_range, indexing="ij"))
    x_m = GRID_WEST_M + (ground_col + 0.5) * GROUND_PIXEL_M
    y_m = GRID_NORTH_M - (ground_row + 0.5) * GROUND_PIXEL_M
    px_col, px_row = scene.from_crs(f"EPSG:{EQUAL_AREA}", x_m, y_m)
    col = np.floor(px_col).astype(np.int64) - block.col
    row = np.floor(px_row).astype(np.int64) - block.row
    inside = (row >= 0) & (row < rows) & (col >= 0) & (col < cols)
    row, col = row[inside], col[inside]
    seen = np.full(row.shape, status) if isinstance(status, int) else status[row, col]
    return GroundStatus(
        ground_row[inside].astype(np.int32),
        ground_col[inside].astype(np.int32),
        seen.astype(np.uint8),
    )


@dataclass
class CoverageMap:
    """Collects ground statuses of blocks in any order; the best status of a ground pixel wins."""

    cells: dict[tuple[int, int], npt.NDArray[np.uint8]] = field(default_factory=dict)

    def add(self, seen: GroundStatus) -> None:
        """Take in what one block saw."""
        side = GROUND_PIXELS_PER_CELL
        cell_row, cell_col = seen.row // side, seen.col // side
        order = np.lexsort((cell_col, cell_row))
        keys = np.column_stack([cell_row, cell_col])[order]
        starts = np.flatnonzero(np.any(np.diff(keys, axis=0, prepend=keys[:1] - 1) != 0, axis=1))
        for members in np.split(order, starts[1:]):
            if len(members):
                key = (int(cell_row[members[0]]), int(cell_col[members[0]]))
                raster = self.cells.setdefault(key, np.full((side, side), NOT_IMAGED, np.uint8))
                at = (seen.row[members] % side, seen.col[members] % side)
                np.minimum.at(raster, at, seen.status[members])

    def add_polygon(self, polygon: BaseGeometry, status: str) -> None:
        """Give all ground pixels in a polygon (EPSG:4326) a status, as for a broken scene."""
        cells = CellGrid().cells_of(polygon)
        for cell_row, cell_col in zip(cells["row"], cells["col"], strict=True):
            rows, cols = _ground_pixels(int(cell_row), int(cell_col))
            inside = _inside(polygon, rows, cols)
            code = np.full(int(inside.sum()), STATUSES.index(status), np.uint8)
            self.add(GroundStatus(rows[inside], cols[inside], code))

    def table(self, region: Region, period: str) -> gpd.GeoDataFrame:
        """Return the coverage table: the rows of a cell sum to its area inside the region."""
        cells = CellGrid().cells_of(region.polygon)
        shapely.prepare(region.polygon)
        ids: list[str] = []
        statuses: list[str] = []
        areas_km2: list[float] = []
        for cell_id, row, col, area_km2 in cells.itertuples(index=False):
            shares = self._shares((int(row), int(col)), float(area_km2), region)
            codes = np.flatnonzero(shares)
            ids += [str(cell_id)] * len(codes)
            statuses += [STATUSES[code] for code in codes]
            areas_km2 += [float(shares[code] * area_km2) for code in codes]
        frame = pd.DataFrame({"cell_id": ids, "status": statuses, "area_km2": areas_km2})
        frame["period"] = period
        return gpd.GeoDataFrame(frame, geometry=cell_polygons(ids).values, crs="EPSG:4326")

    def _shares(self, key: tuple[int, int], area_km2: float, region: Region) -> FloatArray:
        """The share of each status among a cell's ground pixels inside the region."""
        raster = self.cells.get(key)
        codes = np.array([ALL_NOT_IMAGED]) if raster is None else raster.ravel()
        if raster is not None and area_km2 < FULL_CELL_KM2 * (1 - EDGE_SLACK):
            inside = _inside(region.polygon, *_ground_pixels(*key))
            codes = codes[inside] if inside.any() else codes
        counts = np.bincount(
            np.where(codes == NOT_IMAGED, ALL_NOT_IMAGED, codes), minlength=len(STATUSES)
        )
        return np.asarray(counts / counts.sum())


def searched_km2(coverage: pd.DataFrame) -> "pd.Series[float]":
    """Return the searched area per cell_id: the denominator of every rate, in km2."""
    seen = coverage[coverage["status"].isin(SEARCHED)]
    return cast("pd.Series[float]", seen.groupby("cell_id")["area_km2"].sum())


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
