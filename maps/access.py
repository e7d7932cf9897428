"""How many people can report, cell by cell, from a raster of population or of phone coverage.

Only ratios of the values count: a group where twice as many people are reached is twice as exposed
to being heard, so population (people a pixel or a km2) and coverage (shares) serve alike. Pixels
without a value are left out of a cell's mean; a cell without any value has none.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import rasterio
from affine import Affine
from rasterio.enums import Resampling
from rasterio.errors import CRSError, RasterioIOError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from tiles.cells import CELL_SIZE_M, EQUAL_AREA, GRID_NORTH_M, GRID_WEST_M, Cell
from tiles.errors import TableError

Floats = npt.NDArray[np.float64]

MISSING = -1.0  # no share and no population is negative, so it can stand for "no value"
LEAST_KNOWN = 0.5  # of the cells asked for: a raster of elsewhere would make half of them silent


def read_access(path: Path, cell_ids: list[str]) -> "pd.Series[float]":
    """Return the mean value of each cell, by cell_id; NaN where the raster has none.

    The raster may lie in any coordinate reference system: it is averaged onto the 5 km squares.

    Raises:
        TableError: it is no raster of one band with a reference system, a value is negative, every
            value is nought, or under half of the cells have one.
    """
    cells = [Cell.parse(cell_id) for cell_id in cell_ids]
    rows, cols = (np.array([getattr(cell, axis) for cell in cells]) for axis in ("row", "col"))
    try:
        grid = _averaged(path, rows, cols)
    except (RasterioIOError, CRSError) as error:
        raise TableError(f"{path} is no readable raster ({error}): check the path.") from error
    values = np.where(grid == MISSING, np.nan, grid)[rows - rows.min(), cols - cols.min()]
    _check(path, values)
    return pd.Series(values, index=pd.Index(cell_ids), dtype="float64")


def _averaged(path: Path, rows: npt.NDArray[np.int64], cols: npt.NDArray[np.int64]) -> Floats:
    """Mean of the pixels of each square from the first to the last row and column."""
    height, width = int(np.ptp(rows)) + 1, int(np.ptp(cols)) + 1
    with rasterio.open(path) as raster:
        if raster.crs is None:
            raise TableError(
                f"{path} names no coordinate reference system: write one into it (gdal_edit)."
            )
        if raster.count != 1:
            raise TableError(f"{path} has {raster.count} bands: give a raster of one.")
        _check_signs(path, raster)
        west_m = GRID_WEST_M + int(cols.min()) * CELL_SIZE_M
        north_m = GRID_NORTH_M - int(rows.min()) * CELL_SIZE_M
        options = {
            "crs": f"EPSG:{EQUAL_AREA}",
            "transform": Affine(CELL_SIZE_M, 0, west_m, 0, -CELL_SIZE_M, north_m),
            "width": width,
            "height": height,
            "resampling": Resampling.average,
            "nodata": MISSING,
            "dtype": "float64",
        }
        if raster.nodata is None and np.issubdtype(raster.dtypes[0], np.floating):
            options["src_nodata"] = float("nan")
        with WarpedVRT(raster, **options) as squares:
            return np.asarray(squares.read(1), dtype=np.float64)


def _check_signs(path: Path, raster: rasterio.DatasetReader) -> None:
    """A nodata value that nobody declared is usually negative: it must not be averaged in."""
    for _, window in raster.block_windows(1):
        values = raster.read(1, window=Window(*window.flatten()), masked=True)
        if (lowest := values.min()) is not np.ma.masked and lowest < 0:
            raise TableError(
                f"{path} holds the value {float(lowest):g}: numbers of people are not negative; "
                "if it means that nothing is known, declare it as nodata."
            )


def _check(path: Path, values: Floats) -> None:
    known = np.isfinite(values)
    if known.mean() < LEAST_KNOWN:
        raise TableError(
            f"{path} has values for {known.sum()} of {len(values)} cells: give one of this region."
        )
    if not (values[known] > 0).any():
        raise TableError(f"{path} is 0 in every cell: nobody could report; check the raster.")
