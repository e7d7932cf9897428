"""What need not be read in full: tiles of which an overview or the scene's mask shows nothing."""

from math import ceil

import numpy as np
import numpy.typing as npt
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from tiles.blocks import TILE_PX, Block
from tiles.clouds import NODATA, SEARCHED
from tiles.composite import Composite
from tiles.coverage import GROUND_PIXEL_M, STATUSES
from tiles.handles import kept_open
from tiles.read import classes_of, window_within
from tiles.scene import Scene

# Side, in pixels, of the cells that a gate shuts or lets through: around a smaller one a detector
# would read mostly margin.
GATE_PX = 64
SEARCHED_GATE = STATUSES.index("searched_gate")

StatusArray = npt.NDArray[np.uint8]


def unread_status(scene: Scene, block: Block) -> StatusArray | None:
    """The statuses of a block's core where none of it need be read, else None."""
    known = known_status(scene, block)
    return None if (known == SEARCHED).any() else known


def known_status(scene: Scene, block: Block) -> StatusArray:
    """What of a block's core is known without reading it: statuses, and `searched` elsewhere.

    It is told for whole tiles of the network's grid, so that no cut of the work shows: a tile is
    known to be empty in whichever block it lies, and stays so where its block is read for another.
    Only what is certain counts: the scene's own classification, which decides anyway; or every
    pixel of an overview no coarser than coverage is sampled being nodata. Where there is no such
    overview, or it cannot be read, the tile is read in full and that decides.

    Returns:
        (y, x) of the core's pixels inside the scene, indexes into `tiles.coverage.STATUSES`.
    """
    core = window_within(scene, block.row, block.col, block.rows, block.cols)
    status = np.full((core.height, core.width), SEARCHED, np.uint8)
    if isinstance(scene, Composite) or scene.resampled:
        return status
    for row in range(0, core.height, TILE_PX):
        for col in range(0, core.width, TILE_PX):
            rows, cols = min(TILE_PX, core.height - row), min(TILE_PX, core.width - col)
            tile = Window(core.col_off + col, core.row_off + row, cols, rows)
            status[row : row + rows, col : col + cols] = _of_tile(scene, tile)
    return status


def _of_tile(scene: Scene, tile: Window) -> StatusArray | int:
    """The statuses of a tile with nothing to search, or `searched`."""
    try:
        status = classes_of(scene, tile)
        if status is not None and not (status == SEARCHED).any():
            return status
        return NODATA if _empty_in_overview(scene, tile) else SEARCHED
    except RasterioError:
        return SEARCHED


def _empty_in_overview(scene: Scene, tile: Window) -> bool:
    """Whether an overview shows nodata, or black in all bands, all over a tile."""
    first = scene.colours[0]
    with kept_open(first.href, scene.access) as dataset:
        factor = _factor(dataset, first.index, scene)
        if factor is None:
            return False
        shape = ceil(tile.height / factor), ceil(tile.width / factor)
        if MaskFlags.all_valid not in dataset.mask_flag_enums[first.index - 1]:
            mask = dataset.read_masks(first.index, window=tile, out_shape=shape)
            if not mask.any():
                return True
        if any(colour.href != first.href for colour in scene.colours):
            return False  # black in one band of several files is no border yet
        indexes = [colour.index for colour in scene.colours]
        return not dataset.read(indexes, window=tile, out_shape=(len(indexes), *shape)).any()


def _factor(dataset: DatasetReader, index: int, scene: Scene) -> int | None:
    """The coarsest overview with whole pixels in a tile, none larger than a ground pixel."""
    fine = [
        factor
        for factor in dataset.overviews(index)
        if factor * max(scene.gsd.x_m, scene.gsd.y_m) <= GROUND_PIXEL_M and TILE_PX % factor == 0
    ]
    return max(fine, default=None)


def gate_status(status: StatusArray, passed: npt.NDArray[np.bool_]) -> StatusArray:
    """Statuses of a core in which the detector looked only where a gate let it.

    Args:
        status: (y, x) of the core.
        passed: (rows, columns) of its cells of GATE_PX.
    """
    looked = passed.repeat(GATE_PX, axis=0).repeat(GATE_PX, axis=1)
    shut = ~looked[: status.shape[0], : status.shape[1]]
    return np.where(shut & (status == SEARCHED), SEARCHED_GATE, status).astype(np.uint8)
