"""A block's pixels with its halo, and the coverage status of each pixel."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import rasterio
import xarray as xr
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from tiles.blocks import Block
from tiles.clouds import MASK_REACH_PX, NODATA, SEARCHED, pixel_status
from tiles.errors import SceneError
from tiles.scene import Scene

HALF_VALID = 128  # a mask of an averaged pixel is the share of its ground that is valid, of 255


@dataclass(frozen=True)
class BlockPixels:
    """What was read of one block, halo included.

    Attributes:
        pixels: (band, y, x), red, green, blue in the file's own type; coordinates y and x are rows
            and columns of the scene's working grid. Pixels outside the scene are 0.
        status: (y, x), index into `tiles.coverage.STATUSES`; outside the scene it is nodata.
    """

    pixels: xr.DataArray
    status: xr.DataArray

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
        with rasterio.open(scene.path) as dataset:
            if not scene.resampled:
                return _read(dataset, scene, block)
            with _averaged(dataset, scene) as coarser:
                return _read(coarser, scene, block)
    except RasterioError as error:
        raise SceneError(
            f"{scene.path} cannot be read at row {block.row}, column {block.col}: the file is "
            "damaged or cut off, so fetch it again."
        ) from error


def _averaged(dataset: DatasetReader, scene: Scene) -> WarpedVRT:
    """The file on the scene's coarser grid: means of the valid pixels, and where there are none."""
    masked_apart = MaskFlags.per_dataset in dataset.mask_flag_enums[scene.bands.red - 1]
    has_alpha = ColorInterp.alpha in dataset.colorinterp
    return WarpedVRT(
        dataset,
        crs=dataset.crs,
        transform=scene.transform,
        width=scene.cols,
        height=scene.rows,
        resampling=Resampling.average,
        add_alpha=masked_apart and not has_alpha,
    )


def _read(dataset: DatasetReader | WarpedVRT, scene: Scene, block: Block) -> BlockPixels:
    # a pixel's status depends on its surroundings: read on, so that no cut changes it in the halo
    margin = block.halo + MASK_REACH_PX
    top, left = block.row - margin, block.col - margin
    rows, cols = block.rows + 2 * margin, block.cols + 2 * margin
    first_row, first_col = max(top, 0), max(left, 0)
    window = Window(
        first_col,
        first_row,
        min(left + cols, scene.cols) - first_col,
        min(top + rows, scene.rows) - first_row,
    )
    inner = dataset.read(scene.bands.indexes, window=window)
    masks = dataset.read_masks(scene.bands.indexes, window=window)
    pixels = np.zeros((len(inner), rows, cols), dtype=inner.dtype)
    status = np.full((rows, cols), NODATA, dtype=np.uint8)
    inside = np.s_[
        first_row - top : first_row - top + inner.shape[1],
        first_col - left : first_col - left + inner.shape[2],
    ]
    pixels[:, *inside] = inner
    status[inside] = pixel_status(inner, (masks >= HALF_VALID).all(axis=0))
    kept = np.s_[MASK_REACH_PX : rows - MASK_REACH_PX, MASK_REACH_PX : cols - MASK_REACH_PX]
    grid = {
        "y": np.arange(block.row - block.halo, block.row + block.rows + block.halo),
        "x": np.arange(block.col - block.halo, block.col + block.cols + block.halo),
    }
    bands = {"band": ["red", "green", "blue"]}
    return BlockPixels(
        pixels=xr.DataArray(pixels[:, *kept], dims=("band", "y", "x"), coords={**bands, **grid}),
        status=xr.DataArray(status[kept], dims=("y", "x"), coords=grid),
    )
