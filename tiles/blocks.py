"""The windows a scene is read in: each block owns its core and reads a halo around it."""

from collections.abc import Iterator
from dataclasses import dataclass

import shapely
from shapely.geometry.base import BaseGeometry

from tiles.scene import Scene

CORE_PX = 1024  # 10 km: the halo costs under a third, and one block's activations stay under 1 GB
STRIDE_PX = 32  # cores start on multiples of this, so every network stride up to 32 divides them


@dataclass(frozen=True)
class Block:
    """First row and column, and shape, of the core it owns, in pixels of the working grid."""

    row: int
    col: int
    rows: int
    cols: int
    halo: int


def core_shape(scene: Scene, wanted_px: int = CORE_PX) -> tuple[int, int]:
    """Rows and columns of a core: whole file blocks where they fit, never more than the scene.

    A function of the scene alone, so that every run cuts it alike.
    """
    return (
        _core_side(scene.rows, scene.file_block.rows, wanted_px, scene.resampled),
        _core_side(scene.cols, scene.file_block.cols, wanted_px, scene.resampled),
    )


def _core_side(scene_px: int, file_px: int, wanted_px: int, resampled: bool) -> int:
    aligned = not resampled and file_px % STRIDE_PX == 0 and file_px <= wanted_px
    side = wanted_px // file_px * file_px if aligned else wanted_px
    whole = -(-scene_px // STRIDE_PX) * STRIDE_PX
    return min(side, whole)


def plan_blocks(
    scene: Scene, halo_px: int, region: BaseGeometry, wanted_px: int = CORE_PX
) -> Iterator[Block]:
    """Yield the blocks of a scene whose cores touch the region (EPSG:4326), row by row."""
    rows, cols = core_shape(scene, wanted_px)
    shapely.prepare(region)
    for row in range(0, scene.rows, rows):
        for col in range(0, scene.cols, cols):
            inside_rows, inside_cols = min(rows, scene.rows - row), min(cols, scene.cols - col)
            if region.intersects(scene.outline(row, col, inside_rows, inside_cols)):
                yield Block(row, col, rows, cols, halo_px)
