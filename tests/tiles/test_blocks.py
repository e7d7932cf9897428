import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from tests.made_up import UTM_44N, UTM_ORIGIN
from tiles.blocks import STRIDE_PX, TILE_PX, CoreShape, core_shape, describe_layout, plan_blocks
from tiles.scene import Bands, FileBlock, PixelSize, Scene

WORLD = shapely.box(-180, -90, 180, 90)


def made_up_scene(rows, cols, block_rows=512, block_cols=512, resampled=False):
    return Scene(
        scene_id="s",
        path="s.tif",
        crs_wkt=UTM_44N,
        transform=UTM_ORIGIN,
        rows=rows,
        cols=cols,
        bands=Bands(),
        dtype="uint8",
        nodata=None,
        date=None,
        gsd=PixelSize(10.0, 10.0),
        file_block=FileBlock(block_rows, block_cols),
        resampled=resampled,
    )


@given(
    rows=st.integers(1, 6000),
    cols=st.integers(1, 6000),
    strips=st.booleans(),
    wanted=st.sampled_from([64, 512, 1024, 2048, 4096]),
)
def test_cores_cover_every_pixel_once_and_cut_no_tile(rows, cols, strips, wanted):
    scene = made_up_scene(rows, cols, 8 if strips else 512, cols if strips else 512)
    owners = np.zeros((-(-rows // 32), -(-cols // 32)), int)
    for block in plan_blocks(scene, 64, WORLD, wanted):
        assert block.row % TILE_PX == block.col % TILE_PX == 0
        for first, length, whole in ((block.row, block.rows, rows), (block.col, block.cols, cols)):
            assert length % TILE_PX == 0 or 0 <= first + length - whole < STRIDE_PX
            assert length % STRIDE_PX == 0
        r, c = block.row // 32, block.col // 32
        owners[r : r + block.rows // 32, c : c + block.cols // 32] += 1
    assert (owners == 1).all()


@pytest.mark.parametrize(
    ("scene", "wanted", "shape"),
    [
        (made_up_scene(9000, 9000), 2048, CoreShape(2048, 2048)),
        (made_up_scene(9000, 9000), 512, CoreShape(1024, 1024)),  # a tile is never cut
        (made_up_scene(9000, 9000), 4000, CoreShape(4096, 4096)),
        (made_up_scene(9000, 3000), 4096, CoreShape(4096, 3072)),
        (made_up_scene(9000, 9000, 1, 9000), 2048, CoreShape(1024, 9216)),  # strips: full width
        (made_up_scene(9000, 3000, 9000, 3000), 4096, CoreShape(5120, 3072)),  # one block
        (made_up_scene(100, 900, 1, 900), 2048, CoreShape(1024, 1024)),
    ],
)
def test_shape_of_cores(scene, wanted, shape):
    assert core_shape(scene, wanted) == shape


def test_a_plan_says_how_a_file_is_stored():
    assert describe_layout(made_up_scene(9000, 9000)) == (
        "stored in tiles of 512 x 512 px, read in blocks of 2048 x 2048 px"
    )
    assert describe_layout(made_up_scene(9000, 9000, 8, 9000)) == (
        "stored as strips of 8 rows, read in bands of 1024 rows over its full width"
    )
    assert "averaged to 10 m" in describe_layout(made_up_scene(9000, 9000, resampled=True))


def test_blocks_that_miss_the_region_are_not_planned():
    scene = made_up_scene(8192, 8192)
    assert not list(plan_blocks(scene, 64, shapely.box(0, 0, 1, 1)))
    inside = scene.outline(3100, 3100, 100, 100)
    planned = [(b.row, b.col, b.rows, b.cols) for b in plan_blocks(scene, 64, inside)]
    assert planned == [(3072, 3072, 1024, 1024)], "cut down to the tile that touches the region"


def tiles_planned(scene, region, wanted):
    blocks = list(plan_blocks(scene, 64, region, wanted))
    tiles = [
        (row, col)
        for block in blocks
        for row in range(block.row, block.row + block.rows, TILE_PX)
        for col in range(block.col, block.col + block.cols, TILE_PX)
    ]
    assert len(tiles) == len({*tiles}), "no tile lies in two blocks"
    return {*tiles}


@given(corners=st.lists(st.tuples(*[st.integers(-500, 9000)] * 2), min_size=3, max_size=5))
def test_the_same_tiles_are_looked_at_in_blocks_of_any_size(corners):
    scene = made_up_scene(8192, 7000)
    lon, lat = scene.to_lonlat(*np.array(corners, float).T)
    region = shapely.MultiPoint(np.column_stack([lon, lat])).convex_hull
    hole = scene.outline(2100, 2100, 3000, 2900)  # some tiles in the middle touch nothing
    ring = shapely.difference(region, hole)
    for outline in (region, ring):
        small = tiles_planned(scene, outline, 1024)
        assert tiles_planned(scene, outline, 2048) == small
        assert tiles_planned(scene, outline, 4096) == small
    strips = made_up_scene(8192, 7000, 8, 7000)
    assert tiles_planned(strips, region, 2048) == tiles_planned(scene, region, 1024)


def test_tiles_of_a_block_that_miss_the_region_are_left_out():
    scene = made_up_scene(4096, 4096)
    three = [scene.outline(r, c, 1000, 1000) for r, c in ((20, 20), (1040, 20), (1040, 2060))]
    planned = [
        (b.row, b.col, b.rows, b.cols)
        for b in plan_blocks(scene, 64, shapely.union_all(three), 4096)
    ]
    assert planned == [(0, 0, 2048, 1024), (1024, 2048, 1024, 1024)]
