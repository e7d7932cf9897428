import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from tests.made_up import UTM_44N, UTM_ORIGIN
from tiles.blocks import STRIDE_PX, core_shape, plan_blocks
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
    rows=st.integers(1, 3000),
    cols=st.integers(1, 3000),
    file_rows=st.sampled_from([1, 21, 64, 128, 256, 400, 512, 1024, 2048]),
    wanted=st.sampled_from([64, 256, 512, 1024]),
)
def test_cores_cover_every_pixel_once_on_the_stride(rows, cols, file_rows, wanted):
    scene = made_up_scene(rows, cols, file_rows, 256)
    owners = np.zeros((-(-rows // 32), -(-cols // 32)), int)
    for block in plan_blocks(scene, 64, WORLD, wanted):
        assert block.row % STRIDE_PX == block.col % STRIDE_PX == 0
        assert block.rows % STRIDE_PX == block.cols % STRIDE_PX == 0
        r, c = block.row // 32, block.col // 32
        owners[r : r + block.rows // 32, c : c + block.cols // 32] += 1
    assert (owners == 1).all()


@pytest.mark.parametrize(
    ("scene", "shape"),
    [
        (made_up_scene(9000, 9000), (1024, 1024)),
        (made_up_scene(9000, 9000, 400, 400), (1024, 1024)),  # 400 is no multiple of the stride
        (made_up_scene(9000, 9000, 96, 96), (960, 960)),
        (made_up_scene(128, 128, 21, 128), (128, 128)),
        (made_up_scene(100, 5000, 1, 5000), (128, 1024)),
    ],
)
def test_cores_are_whole_file_blocks_where_they_fit(scene, shape):
    assert core_shape(scene) == shape


def test_blocks_that_miss_the_region_are_not_planned():
    scene = made_up_scene(4096, 4096)
    inside = scene.outline(1100, 1100, 100, 100)
    assert [(b.row, b.col) for b in plan_blocks(scene, 64, inside)] == [(1024, 1024)]
    assert not list(plan_blocks(scene, 64, shapely.box(0, 0, 1, 1)))
