"""A block's pixels with its halo, and the coverage status of each pixel."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import groupby

import numpy as np
import numpy.typing as npt
import xarray as xr
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from tiles.blocks import Block
from tiles.clouds import MASK_REACH_PX, NODATA, SEARCHED, StatusArray, pixel_status
from tiles.errors import SceneError
from tiles.handles import kept_open
from tiles.headers import pixel_size
from tiles.looks import Looks
from tiles.mask_file import read_statuses
from tiles.radiometry import all_bands, to_reflectance, valid_numbers
from tiles.scene import Scene

COARSER = 1.2  # times the file's own pixels: nearer to them, a mean would only shift the picture
HALF_VALID = 128  # a mask of an averaged pixel is the share of its ground that is valid, of 255

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class BlockPixels:
    """What was read of one block, halo included.

    Attributes:
        pixels: (band, y, x), red, green, blue: uint8 true colour, or reflectance as
            `tiles.radiometry` brings it about; coordinates y and x are rows and columns of the
            scene's working grid. Pixels outside the scene are 0.
        status: (y, x), index into `tiles.coverage.STATUSES`; outside the scene it is nodata.
        looks: how often and when each pixel was seen; only a composite has it.
    """

    pixels: xr.DataArray
    status: xr.DataArray
    looks: Looks | None = None

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        """(y, x), True where the network may look."""
        return np.asarray(self.status.to_numpy() == SEARCHED)


def read_block(scene: Scene, block: Block) -> BlockPixels:
    """Read a block with its halo.

    Raises:
        SceneError: the file cannot be read there.
    """
    try:
        return _read(scene, block)
    except RasterioError as error:
        raise SceneError(
            f"{scene.path} cannot be read at row {block.row}, column {block.col}: the file is "
            "damaged or cut off, so fetch it again."
        ) from error


@dataclass(frozen=True)
class _Stored:
    """What the files hold in a window: numbers (band, y, x), and where all of them are valid."""

    pixels: npt.NDArray[np.generic]
    valid: Bools


def _stored(scene: Scene, window: Window) -> _Stored:
    """Read red, green and blue from the one, two or three files that hold them."""
    by_file = groupby(scene.colours, key=lambda colour: colour.href)
    files = [(href, [band.index for band in bands]) for href, bands in by_file]
    if scene.is_remote and len(files) > 1:
        futures = [
            lane.submit(_of_file, scene, href, indexes, window)
            for lane, (href, indexes) in zip(_lanes(), files, strict=False)
        ]
        parts = [future.result() for future in futures]
    else:
        parts = [_of_file(scene, href, indexes, window) for href, indexes in files]
    if len(parts) == 1:
        return parts[0]
    valid = all_bands(np.stack([part.valid for part in parts]))
    return _Stored(np.concatenate([part.pixels for part in parts]), valid)


@cache
def _lanes() -> tuple[ThreadPoolExecutor, ...]:
    """A thread for each file of a scene on a server, which waits for its bytes beside the others.

    Always the same thread for red, and so on, for each keeps its own files open.
    """
    return tuple(ThreadPoolExecutor(1, f"band-{number}") for number in range(3))


def _of_file(scene: Scene, href: str, indexes: list[int], window: Window) -> _Stored:
    with kept_open(href, scene.access) as dataset:
        if not scene.resampled:
            return _part(dataset, indexes, window)
        with _averaged(dataset, scene, indexes[0]) as coarser:
            return _part(coarser, indexes, window)


def _part(dataset: DatasetReader | WarpedVRT, indexes: list[int], window: Window) -> _Stored:
    pixels = dataset.read(indexes, window=window)
    flags = [dataset.mask_flag_enums[index - 1] for index in indexes]
    if all(MaskFlags.all_valid in flag for flag in flags):
        return _Stored(pixels, np.ones(pixels.shape[1:], np.bool_))
    if all(flag == [MaskFlags.nodata] for flag in flags) and isinstance(dataset, DatasetReader):
        # as GDAL tells it, which would go through all pixels once more
        return _Stored(pixels, _unlike(pixels, [dataset.nodatavals[i - 1] for i in indexes]))
    shared = all(MaskFlags.per_dataset in flag for flag in flags)
    masks = dataset.read_masks(indexes[:1] if shared else indexes, window=window)
    return _Stored(pixels, (masks >= HALF_VALID).all(axis=0))


def _unlike(pixels: npt.NDArray[np.generic], nodata: list[float]) -> Bools:
    """Where no band (axis 0) holds its number for no data; NaN is for `pixel_status` to find."""
    return all_bands(np.stack([band != value for band, value in zip(pixels, nodata, strict=True)]))


def _averaged(dataset: DatasetReader, scene: Scene, index: int) -> WarpedVRT:
    """The file on the scene's own grid, where that is another: valid pixels alone, and the rest.

    A coarser grid takes means; one that only lies otherwise takes values between.
    """
    masked_apart = MaskFlags.per_dataset in dataset.mask_flag_enums[index - 1]
    has_alpha = ColorInterp.alpha in dataset.colorinterp
    return WarpedVRT(
        dataset,
        crs=scene.crs_wkt,
        transform=scene.transform,
        width=scene.cols,
        height=scene.rows,
        resampling=Resampling.average if _is_coarser(dataset, scene) else Resampling.bilinear,
        add_alpha=masked_apart and not has_alpha,
    )


def _judged(
    stored: npt.NDArray[np.generic], valid: Bools, scene: Scene, window: Window
) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.uint8]]:
    """Stored numbers as reflectance (band, y, x), and the status of each pixel (y, x)."""
    special = valid_numbers(stored, scene.radiometry)
    reflectance = to_reflectance(stored, scene.radiometry)
    known = valid if special is None else valid & special
    return reflectance, pixel_status(reflectance, known, classes_of(scene, window))


def classes_of(scene: Scene, window: Window) -> StatusArray | None:
    """Statuses of a window by the scene's own classification, where it has one."""
    if scene.mask is None:
        return None
    reach = MASK_REACH_PX
    rows, cols = window.height + 2 * reach, window.width + 2 * reach
    around = window_within(scene, window.row_off - reach, window.col_off - reach, rows, cols)
    with kept_open(scene.mask.href, scene.access) as dataset:
        status = read_statuses(dataset, scene.mask, scene, around)
    down, right = window.row_off - around.row_off, window.col_off - around.col_off
    return status[down : down + window.height, right : right + window.width]


def _reach_px(scene: Scene) -> int:
    """How far beyond a block its pixels are read, for their brightness bears on its statuses.

    With a classification it does not, and reflectance is never black fill.
    """
    return 0 if scene.mask is not None and scene.radiometry is not None else MASK_REACH_PX


def _is_coarser(dataset: DatasetReader, scene: Scene) -> bool:
    native = pixel_size(dataset)
    return bool(max(scene.gsd.x_m, scene.gsd.y_m) > COARSER * max(native.x_m, native.y_m))


def _read(scene: Scene, block: Block) -> BlockPixels:
    # a pixel's status depends on its surroundings: read on, so that no cut changes it in the halo
    reach = _reach_px(scene)
    margin = block.halo + reach
    top, left = block.row - margin, block.col - margin
    rows, cols = block.rows + 2 * margin, block.cols + 2 * margin
    window = window_within(scene, top, left, rows, cols)
    inner = _stored(scene, window)
    reflectance, of_inner = _judged(inner.pixels, inner.valid, scene, window)
    if of_inner.shape == (rows, cols):
        return _labelled(reflectance, of_inner, block, reach)
    pixels = np.zeros((len(reflectance), rows, cols), dtype=reflectance.dtype)
    status = np.full((rows, cols), NODATA, dtype=np.uint8)
    first_row, first_col = window.row_off - top, window.col_off - left
    inside = np.s_[first_row : first_row + window.height, first_col : first_col + window.width]
    pixels[:, *inside] = reflectance
    status[inside] = of_inner
    return _labelled(pixels, status, block, reach)


def _labelled(
    pixels: npt.NDArray[np.generic], status: StatusArray, block: Block, reach: int
) -> BlockPixels:
    """What was read `reach` pixels beyond a block and its halo, cut to these two."""
    kept = np.s_[reach : status.shape[0] - reach, reach : status.shape[1] - reach]
    grid = {
        "y": np.arange(block.row - block.halo, block.row + block.rows + block.halo),
        "x": np.arange(block.col - block.halo, block.col + block.cols + block.halo),
    }
    bands = {"band": ["red", "green", "blue"]}
    return BlockPixels(
        pixels=xr.DataArray(pixels[:, *kept], dims=("band", "y", "x"), coords={**bands, **grid}),
        status=xr.DataArray(status[kept], dims=("y", "x"), coords=grid),
    )


def window_within(scene: Scene, row: int, col: int, rows: int, cols: int) -> Window:
    """A rectangle of the working grid as far as the scene reaches."""
    first_row, first_col = max(row, 0), max(col, 0)
    last_row, last_col = min(row + rows, scene.rows), min(col + cols, scene.cols)
    return Window(first_col, first_row, last_col - first_col, last_row - first_row)
