"""The windows a scene is read in: each block owns its core and reads a halo around it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import shapely
from shapely.geometry.base import BaseGeometry

from tiles.scene import Scene

TILE_PX = 1024  # the network's fixed array without its margin: the margin costs a third
STRIDE_PX = 32  # cores end on multiples of this, so every network stride up to 32 divides them
CORE_PX = 2048  # 4 megapixels, one or two seconds of work: small next to a run, large next to Dask
# A core's outline follows the curves of its sides less closely than its tiles' outlines do, by at
# most this: some 10 m.
OUTLINE_OFF_DEG = 1e-4
COMPOSITE_CORE_PX = 4096  # half the share of file blocks that two cores read, of all dates


@dataclass(frozen=True)
class Block:
    """First row and column, and shape, of the core it owns, in pixels of the working grid."""

    row: int
    col: int
    rows: int
    cols: int
    halo: int


@dataclass(frozen=True)
class CoreShape:
    """Rows and columns of a whole core, multiples of TILE_PX."""

    rows: int
    cols: int


def core_shape(scene: Scene, wanted_px: int = CORE_PX) -> CoreShape:
    """Shape of a scene's cores: whole tiles of the network, near `wanted_px` squared in all.

    The network's tiles lie on one grid of TILE_PX a scene and are never cut by a core, so whatever
    is wanted the same arrays are computed, to the same bits. A core of 2, 4 or 8 tiles' sides is
    also a whole number of the file's own blocks of 128 to 1,024 px. A file of strips, or of no
    blocks at all, must be decoded over its full width for any window: its cores are as wide.
    """
    across = _tiles(scene.cols)
    wanted = min(max(round(wanted_px / TILE_PX), 1), max(across, _tiles(scene.rows)))
    if not is_striped(scene):
        return CoreShape(min(wanted, _tiles(scene.rows)) * TILE_PX, min(wanted, across) * TILE_PX)
    rows = max(wanted * wanted // across, 1)
    return CoreShape(min(rows, _tiles(scene.rows)) * TILE_PX, across * TILE_PX)


def is_striped(scene: Scene) -> bool:
    """Whether the file is stored in lines from edge to edge, and wide enough for it to matter."""
    if scene.resampled or scene.cols <= TILE_PX:
        return False
    return scene.file_block.cols >= scene.cols


def describe_layout(scene: Scene) -> str:
    """How a file is stored and read, in one phrase for a plan."""
    stored, shape = scene.file_block, core_shape(scene)
    read = f"read in blocks of {shape.rows} x {shape.cols} px"
    if scene.resampled:
        return f"averaged to {scene.gsd.x_m:.0f} m, {read}"
    if not is_striped(scene):
        return f"stored in tiles of {stored.rows} x {stored.cols} px, {read}"
    kind = "one whole" if stored.rows >= scene.rows else f"strips of {stored.rows} rows"
    return f"stored as {kind}, read in bands of {shape.rows} rows over its full width"


def plan_blocks(
    scene: Scene, halo_px: int, region: BaseGeometry, wanted_px: int = CORE_PX
) -> Iterator[Block]:
    """Yield the blocks of a scene whose cores touch the region (EPSG:4326), row by row.

    A core at the region's edge is cut down to those of its tiles that touch the region, so that
    the same tiles are looked at in cores of any size.
    """
    whole = core_shape(scene, wanted_px)
    shapely.prepare(region)
    for row in range(0, scene.rows, whole.rows):
        for col in range(0, scene.cols, whole.cols):
            block = _within(scene, Block(row, col, whole.rows, whole.cols, halo_px))
            outline = _outline(scene, block)
            if region.contains(outline):
                yield block
            elif region.dwithin(outline, OUTLINE_OFF_DEG):
                yield from _cut_down(scene, block, region)


def _cut_down(scene: Scene, block: Block, region: BaseGeometry) -> Iterator[Block]:
    """Blocks of just those tiles of a block that touch the region."""
    held: Block | None = None
    for run in _runs(scene, block, region):
        if held is None:
            held = run
        elif (held.col, held.cols, held.row + held.rows) == (run.col, run.cols, run.row):
            held = replace(held, rows=held.rows + run.rows)
        else:
            yield _within(scene, held)
            held = run
    if held is not None:
        yield _within(scene, held)


def _runs(scene: Scene, block: Block, region: BaseGeometry) -> Iterator[Block]:
    """Neighbours in each row of a block's tiles that touch the region, row by row."""
    for row in range(block.row, min(block.row + block.rows, scene.rows), TILE_PX):
        touching = [
            Block(row, col, TILE_PX, TILE_PX, block.halo)
            for col in range(block.col, min(block.col + block.cols, scene.cols), TILE_PX)
            if region.intersects(_outline(scene, Block(row, col, TILE_PX, TILE_PX, block.halo)))
        ]
        for _, run in groupby(enumerate(touching), lambda nth: nth[1].col - TILE_PX * nth[0]):
            tiles = [tile for _, tile in run]
            yield replace(tiles[0], cols=TILE_PX * len(tiles))


def _within(scene: Scene, block: Block) -> Block:
    """A block cut off where the scene ends, on the next multiple of STRIDE_PX."""
    return replace(
        block,
        rows=min(block.rows, _up(scene.rows - block.row, STRIDE_PX)),
        cols=min(block.cols, _up(scene.cols - block.col, STRIDE_PX)),
    )


def _outline(scene: Scene, block: Block) -> shapely.Polygon:
    rows, cols = min(block.rows, scene.rows - block.row), min(block.cols, scene.cols - block.col)
    return scene.outline(block.row, block.col, rows, cols)


def _tiles(side_px: int) -> int:
    return _up(side_px, TILE_PX) // TILE_PX


def _up(length_px: int, step_px: int) -> int:
    """The next multiple of a step."""
    return -(-length_px // step_px) * step_px
