import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

from tests.made_up import UTM_44N, UTM_ORIGIN, write_raster
from tests.seasons import Cloud, ground, write_date
from tiles.blocks import Block
from tiles.clouds import CLOUD, NODATA, SEARCHED
from tiles.mask_file import read_statuses
from tiles.radiometry import MaskSource
from tiles.read import read_block


def statuses(path, scene, window):
    with rasterio.open(path) as dataset:
        return read_statuses(dataset, MaskSource(str(path), kind="scl"), scene, window)


@pytest.fixture
def scene(tmp_path):
    return write_date(tmp_path, "2026-01-14", ground(200, 200), (Cloud(80, 100, 40),))


def test_a_mask_of_20_m_covers_the_pixels_it_stands_for(scene):
    whole = statuses(scene.mask.href, scene, Window(0, 0, 200, 200))
    rows, cols = np.nonzero(whole == CLOUD)
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (70, 129, 90, 149)
    assert (whole == CLOUD).sum() == 60 * 60


def test_a_window_that_starts_between_two_pixels_of_the_mask(scene):
    whole = statuses(scene.mask.href, scene, Window(0, 0, 200, 200))
    part = statuses(scene.mask.href, scene, Window(33, 41, 151, 140))
    assert np.array_equal(part[25:-25, 25:-25], whole[66:156, 58:159])


def test_a_mask_in_another_crs_is_brought_over(scene, tmp_path):
    codes = np.full((1, 200, 200), 4, np.uint8)
    codes[0, :, :100] = 9
    degrees = write_raster(
        tmp_path / "degrees.tif", codes, "EPSG:4326", Affine(2e-4, 0, 80.99, 0, -2e-4, 27.05)
    )
    status = statuses(degrees, scene, Window(0, 0, 200, 200))
    lon, _ = scene.to_lonlat(np.array([20.0, 180.0]), np.array([100.0, 100.0]))
    assert lon[0] < 81.01 < lon[1]  # where the cloud ends
    assert (status[:, :60] == CLOUD).all()
    assert (status[:, 180:] == SEARCHED).all()


def test_where_the_mask_does_not_reach_nothing_is_known(scene, tmp_path):
    small = write_raster(
        tmp_path / "small.tif", np.full((1, 50, 50), 4, np.uint8), UTM_44N, UTM_ORIGIN
    )
    status = statuses(small, scene, Window(0, 0, 200, 200))
    assert (status[:50, :50] == SEARCHED).all()
    assert (status == NODATA).sum() == 200 * 200 - 50 * 50
    far = statuses(small, scene, Window(100, 100, 50, 50))
    assert (far == NODATA).all()


def test_statuses_by_mask_do_not_depend_on_the_cut(scene):
    whole = read_block(scene, Block(0, 0, 200, 200, 0)).status.to_numpy()
    for row in range(0, 200, 50):
        for col in range(0, 200, 50):
            part = read_block(scene, Block(row, col, 50, 50, 0)).status.to_numpy()
            assert np.array_equal(part, whole[row : row + 50, col : col + 50])


def test_stored_numbers_come_as_reflectance_with_the_saturated_left_out(tmp_path):
    pixels = ground(64, 64)
    pixels[:, 5, 5] = 65_535 - 1000
    scene = write_date(tmp_path, "2026-01-14", pixels, offset=1000, masked=False)
    read = read_block(scene, Block(0, 0, 64, 64, 0))
    pixels[:, 5, 5] = read.pixels.to_numpy()[:, 5, 5]
    assert np.array_equal(read.pixels.to_numpy(), pixels)
    assert np.argwhere(~read.usable).tolist() == [[5, 5]]
