"""Groups of cells as one polygon each, with corners that neighbours share to the last bit."""

from collections.abc import Iterable

import numpy as np
import shapely
from pyproj.enums import TransformDirection
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from tiles.cells import GRID_NORTH_M, GRID_WEST_M, Cell, FloatArray, to_equal_area


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
        x_m, y_m = GRID_WEST_M + steps[:, 0] * size_m, GRID_NORTH_M + steps[:, 1] * size_m
        inverse = TransformDirection.INVERSE
        return np.column_stack(to_equal_area().transform(x_m, y_m, direction=inverse))

    plain = shapely.normalize(shapely.simplify(union, 0))
    return counter_clockwise(shapely.transform(plain, to_degrees))


def counter_clockwise(geometry: BaseGeometry) -> BaseGeometry:
    """Return a polygon whose outer rings run counter-clockwise, as RFC 7946 wants them."""
    parts = [orient(part) for part in shapely.get_parts(geometry)]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
