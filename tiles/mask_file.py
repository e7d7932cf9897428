"""A scene's own classification of its pixels, from its file to statuses on the working grid."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from tiles.clouds import NO_CODE, NODATA, StatusArray, classified
from tiles.radiometry import MaskSource
from tiles.scene import Scene

Indexes = npt.NDArray[np.int64]


def read_statuses(
    dataset: DatasetReader, mask: MaskSource, scene: Scene, window: Window
) -> StatusArray:
    """Statuses of a window of the scene's working grid, by its own classification.

    The window must reach `tiles.clouds.MASK_REACH_PX` beyond the pixels that are wanted, as
    classes are grown within it. Each pixel takes the nearest of the classification.

    Args:
        dataset: the mask's raster, open.
        mask: which band of it, and of what kind.
        scene: whose grid.
        window: within the scene.

    Returns:
        (y, x) indexes into `tiles.coverage.STATUSES`; nodata where the classification does not
        reach.
    """
    if _upright(dataset, scene):
        return _nearest(dataset, mask, scene, window)
    with WarpedVRT(
        dataset,
        crs=scene.crs_wkt,
        transform=scene.transform,
        width=scene.cols,
        height=scene.rows,
        resampling=Resampling.nearest,
        nodata=NO_CODE[mask.kind],
    ) as warped:
        codes = warped.read(mask.band, window=window)
    return classified(codes, mask.kind, scene.gsd.x_m)


def _upright(dataset: DatasetReader, scene: Scene) -> bool:
    """Whether columns of the scene are columns of the mask, so that no warping is needed."""
    straight = all(t.b == t.d == 0 for t in (dataset.transform, scene.transform))
    return straight and dataset.crs == CRS.from_wkt(scene.crs_wkt)


@dataclass(frozen=True)
class _Line:
    """Along one axis: which pixels of the window the mask has, and which of its own they are."""

    own: slice
    index: Indexes

    @property
    def span(self) -> slice:
        """The pixels of the mask that are wanted."""
        return slice(int(self.index.min()), int(self.index.max()) + 1)


def _nearest(dataset: DatasetReader, mask: MaskSource, scene: Scene, window: Window) -> StatusArray:
    shift = ~dataset.transform @ scene.transform
    rows = _line(shift.e, shift.f, window.row_off, window.height, dataset.height)
    cols = _line(shift.a, shift.c, window.col_off, window.width, dataset.width)
    out = np.full((window.height, window.width), NODATA, np.uint8)
    if not (len(rows.index) and len(cols.index)):
        return out
    codes = dataset.read(mask.band, window=Window.from_slices(rows.span, cols.span))
    status = classified(codes, mask.kind, scene.gsd.x_m / abs(shift.a))
    across = np.take(status, cols.index - cols.span.start, axis=1)
    np.take(across, rows.index - rows.span.start, axis=0, out=out[rows.own, cols.own], mode="clip")
    return out


def _line(scale: float, offset: float, first: int, count: int, length: int) -> _Line:
    index = np.floor((np.arange(first, first + count) + 0.5) * scale + offset).astype(np.int64)
    within = np.flatnonzero((index >= 0) & (index < length))
    own = slice(int(within[0]), int(within[-1]) + 1) if len(within) else slice(0, 0)
    return _Line(own, index[own])
