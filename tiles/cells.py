"""One equal-area grid for every survey: squares of EPSG:6933, named by row and column."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyproj
import shapely
from pyproj.enums import TransformDirection
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from tiles.errors import RegionError

EQUAL_AREA = 6933  # EASE-Grid 2.0 global, cylindrical equal-area, metres (https://epsg.io/6933)
GRID_WEST_M = -17367530.45  # the EASE-Grid's north-west corner, where rows and columns start
GRID_NORTH_M = 7314540.83
# Where the projection ends, at 180 degrees. The grid's corner lies 5 mm beyond it, and its last
# column is 61 m wide: what reached over the edge would come back on the other side of the globe.
EDGE_M = 17367530.445
CELL_SIZE_M = 5000  # fine enough to drive to, coarse enough to hold a few kilns in the belt
SQUARE_METRES_PER_KM2 = 1e6

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@cache
def to_equal_area() -> pyproj.Transformer:
    """The transformer from longitude, latitude (degrees) to EPSG:6933 (metres)."""
    return pyproj.Transformer.from_crs(4326, EQUAL_AREA, always_xy=True)


@dataclass(frozen=True, order=True)
class Cell:
    """One square: rows are counted downwards from the north, columns eastwards."""

    size_m: int
    row: int
    col: int

    @property
    def cell_id(self) -> str:
        """The name every table uses, e.g. 5000_812_4512."""
        return f"{self.size_m}_{self.row}_{self.col}"

    @classmethod
    def parse(cls, cell_id: str) -> "Cell":
        """Read a cell_id.

        Raises:
            RegionError: the text is no cell_id.
        """
        parts = cell_id.split("_")
        if len(parts) != 3 or not all(part.isdigit() for part in parts):
            raise RegionError(f"{cell_id!r} is no cell id: it reads like 5000_812_4512.")
        return cls(*(int(part) for part in parts))

    def parent(self, factor: int = 2) -> "Cell":
        """The square `factor` times as wide that holds this one (2: 10 km, 4: 20 km, 8: 40 km)."""
        return Cell(self.size_m * factor, self.row // factor, self.col // factor)

    @property
    def square(self) -> shapely.Polygon:
        """The square in EPSG:6933 metres."""
        west = GRID_WEST_M + self.col * self.size_m
        north = GRID_NORTH_M - self.row * self.size_m
        return shapely.box(west, north - self.size_m, west + self.size_m, north)


@dataclass(frozen=True)
class CellGrid:
    """The grid of squares of one size."""

    size_m: int = CELL_SIZE_M

    def cells_at(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> tuple[IntArray, IntArray]:
        """Return (rows, cols) of the cells that hold points given in degrees, WGS 84."""
        x_m, y_m = to_equal_area().transform(np.asarray(lon, float), np.asarray(lat, float))
        return self.rows_of(y_m), self.cols_of(x_m)

    def rows_of(self, y_m: npt.ArrayLike) -> IntArray:
        """Rows that hold northings of EPSG:6933."""
        return np.floor((GRID_NORTH_M - np.asarray(y_m)) / self.size_m).astype(np.int64)

    def cols_of(self, x_m: npt.ArrayLike) -> IntArray:
        """Columns that hold eastings of EPSG:6933."""
        return np.floor((np.asarray(x_m) - GRID_WEST_M) / self.size_m).astype(np.int64)

    def cell_ids_at(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> list[str]:
        """Return the cell_id of each point given in degrees, WGS 84."""
        rows, cols = self.cells_at(lon, lat)
        return [Cell(self.size_m, int(r), int(c)).cell_id for r, c in zip(rows, cols, strict=True)]

    def cells_of(self, polygon: BaseGeometry) -> pd.DataFrame:
        """Return the cells that a polygon (EPSG:4326) touches with some area.

        Returns:
            One row a cell, sorted by row and column: cell_id, row, col and area_km2, the equal-area
            size of the part of the cell inside the polygon.
        """
        ground = project(polygon)
        west, south, east, north = ground.bounds
        rows = np.arange(int(self.rows_of(north)), int(self.rows_of(south)) + 1)
        cols = np.arange(int(self.cols_of(west)), int(self.cols_of(east)) + 1)
        grid_rows, grid_cols = (axis.ravel() for axis in np.meshgrid(rows, cols, indexing="ij"))
        squares = self._squares(grid_rows, grid_cols)
        shapely.prepare(ground)
        touched = shapely.intersects(ground, squares)
        area_km2 = (
            shapely.area(shapely.intersection(squares[touched], ground)) / SQUARE_METRES_PER_KM2
        )
        frame = pd.DataFrame(
            {"row": grid_rows[touched], "col": grid_cols[touched], "area_km2": area_km2}
        )
        frame = frame[frame["area_km2"] > 0].reset_index(drop=True)
        ids = [
            Cell(self.size_m, int(r), int(c)).cell_id
            for r, c in zip(frame["row"], frame["col"], strict=True)
        ]
        frame.insert(0, "cell_id", pd.Series(ids, dtype=object))
        return frame

    def _squares(self, rows: IntArray, cols: IntArray) -> npt.NDArray[np.object_]:
        west = GRID_WEST_M + cols * self.size_m
        north = GRID_NORTH_M - rows * self.size_m
        return np.asarray(shapely.box(west, north - self.size_m, west + self.size_m, north))


def project(polygon: BaseGeometry) -> BaseGeometry:
    """Bring a polygon from EPSG:4326 to EPSG:6933, its long edges cut so that they may bend.

    Edges are cut at 0.05 degrees (about 5 km): a straight edge in degrees is straight in the
    cylindrical projection along meridians and parallels and off by metres on a slope.
    """
    dense = shapely.segmentize(polygon, max_segment_length=0.05)
    ground = shapely.transform(
        dense, lambda xy: np.column_stack(to_equal_area().transform(xy[:, 0], xy[:, 1]))
    )
    if not all(math.isfinite(bound) for bound in ground.bounds):
        raise RegionError(
            "the region reaches beyond 86 degrees of latitude, where the grid ends: cut it off."
        )
    return ground


def unproject(geometries: npt.ArrayLike) -> gpd.GeoSeries:
    """Bring EPSG:6933 geometries to longitude, latitude."""
    return gpd.GeoSeries(np.asarray(geometries, dtype=object), crs=EQUAL_AREA).to_crs(4326)


def cell_polygons(cell_ids: list[str]) -> gpd.GeoSeries:
    """Return the squares of cells as polygons in EPSG:4326."""
    squares = np.array([Cell.parse(c).square for c in cell_ids], dtype=object)
    return unproject(shapely.transform(squares, _within_edge))


def _within_edge(xy: FloatArray) -> FloatArray:
    return np.column_stack([np.clip(xy[:, 0], -EDGE_M, EDGE_M), xy[:, 1]])


def join_cells(cell_ids: Iterable[str]) -> BaseGeometry:
    """Return the union of cells of one size as a polygon in longitude, latitude (EPSG:4326).

    The squares are joined in whole rows and columns and brought to degrees afterwards: joined in
    metres, squares that touch can differ in the last bit and leave slivers.
    """
    cells = sorted(Cell.parse(str(cell_id)) for cell_id in cell_ids)
    if not cells:
        return shapely.MultiPolygon()
    cols = np.array([cell.col for cell in cells])
    rows = np.array([cell.row for cell in cells])
    union = shapely.union_all(shapely.box(cols, -rows - 1, cols + 1, -rows))
    size_m = cells[0].size_m

    def to_degrees(steps: FloatArray) -> FloatArray:
        x_m = np.clip(GRID_WEST_M + steps[:, 0] * size_m, -EDGE_M, EDGE_M)
        y_m = GRID_NORTH_M + steps[:, 1] * size_m
        inverse = TransformDirection.INVERSE
        return np.column_stack(to_equal_area().transform(x_m, y_m, direction=inverse))

    plain = shapely.normalize(shapely.simplify(union, 0))
    return counter_clockwise(shapely.transform(plain, to_degrees))


def counter_clockwise(geometry: BaseGeometry) -> BaseGeometry:
    """Return a polygon whose outer rings run counter-clockwise, as RFC 7946 wants them."""
    parts = [orient(part) for part in shapely.get_parts(geometry)]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
