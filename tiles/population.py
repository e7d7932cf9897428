"""How many people live in each cell, from a raster of counts such as WorldPop or GHS-POP."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import rasterio
import rasterio.errors
import rasterio.warp
import shapely
from pyproj import Transformer
from rasterio.windows import Window

from tiles.cells import EQUAL_AREA, Cell, CellGrid
from tiles.errors import TableError

LEAST_PIXELS = 4  # pixels over a cell's width at least: a pixel goes to one cell as a whole
STRIP_ROWS = 512  # read at once: a country's width of 100 m pixels is then some 50 MB


def with_people(cells: pd.DataFrame, raster: Path) -> pd.DataFrame:
    """Return the cells with a column people: the sum of the pixels whose centre lies in them.

    Pixels are read as people in the pixel, not as people per square kilometre; no data, negative
    and missing pixels count as nobody, so that ground of which too little is known is not released.

    Args:
        cells: table with cell_id.
        raster: one band, north up, any CRS; read in strips, and only around the cells.

    Raises:
        TableError: the raster cannot be read, is turned, too coarse or without CRS, or does not
            touch the cells.
    """
    wanted = [Cell.parse(str(cell_id)) for cell_id in cells["cell_id"]]
    try:
        with rasterio.open(raster) as source:
            people = _people(source, wanted, raster)
    except rasterio.errors.RasterioIOError:
        raise TableError(
            f"{raster} is no readable raster of people: give a GeoTIFF of people per pixel."
        ) from None
    if not people:
        raise TableError(f"{raster} does not reach the region: give the raster of this region.")
    return cells.assign(people=[people.get(cell, 0.0) for cell in wanted])


def _people(source: rasterio.DatasetReader, wanted: list[Cell], raster: Path) -> dict[Cell, float]:
    if source.crs is None or source.transform.b or source.transform.d:
        raise TableError(f"{raster} is turned or has no coordinate system: warp it to EPSG:4326.")
    size_m = wanted[0].size_m
    grid, known = CellGrid(size_m), set(wanted)
    to_ground = Transformer.from_crs(source.crs, EQUAL_AREA, always_xy=True)
    people: dict[Cell, float] = {}
    for window in _strips(source, wanted):
        x_m, y_m = _centres(source, window, to_ground)
        if np.ptp(x_m) > size_m / LEAST_PIXELS * max(window.width - 1, 1):
            raise TableError(
                f"{raster} has pixels of over {size_m / LEAST_PIXELS:g} m: give a finer one."
            )
        values = source.read(1, window=window, masked=True).filled(0).astype(np.float64).ravel()
        values[~(np.isfinite(values) & (values > 0))] = 0.0
        found = pd.DataFrame({"row": grid.rows_of(y_m), "col": grid.cols_of(x_m), "n": values})
        sums = found.groupby(["row", "col"], as_index=False)["n"].sum()
        for row, col, number in zip(sums["row"], sums["col"], sums["n"], strict=True):
            cell = Cell(size_m, int(row), int(col))
            if cell in known:
                people[cell] = people.get(cell, 0.0) + float(number)
    return people


def _strips(source: rasterio.DatasetReader, wanted: list[Cell]) -> Iterator[Window]:
    """Windows of whole rows that together hold every pixel around the cells."""
    bounds = shapely.total_bounds([cell.square for cell in wanted])
    around = rasterio.warp.transform_bounds(EQUAL_AREA, source.crs, *bounds)
    lines, samples = rasterio.transform.rowcol(
        source.transform, [around[0], around[2]], [around[3], around[1]]
    )
    top, bottom = max(min(lines) - 1, 0), min(max(lines) + 2, source.height)
    left, right = max(min(samples) - 1, 0), min(max(samples) + 2, source.width)
    if left < right:
        for row in range(top, bottom, STRIP_ROWS):
            yield Window(left, row, right - left, min(STRIP_ROWS, bottom - row))


def _centres(
    source: rasterio.DatasetReader, window: Window, to_ground: Transformer
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Centres of a window's pixels, row by row, in metres of EPSG:6933."""
    cols, rows = np.meshgrid(
        np.arange(window.width) + window.col_off + 0.5,
        np.arange(window.height) + window.row_off + 0.5,
    )
    at = source.transform
    x, y = at.c + at.a * cols.ravel(), at.f + at.e * rows.ravel()
    x_m, y_m = to_ground.transform(x, y)
    return np.asarray(x_m), np.asarray(y_m)
