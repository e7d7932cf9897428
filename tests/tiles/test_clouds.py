import numpy as np
import pytest
from scipy import ndimage

from tiles.clouds import (
    CLOUD,
    CLOUD_UINT8,
    NODATA,
    SEARCHED,
    SNOW,
    classified,
    pixel_status,
)


def scl(rows=60, cols=60, fill=4):
    return np.full((rows, cols), fill, np.uint8)


@pytest.mark.parametrize(
    ("code", "status"),
    [(3, CLOUD), (8, CLOUD), (9, CLOUD), (10, CLOUD), (11, SNOW), (0, NODATA), (1, NODATA)],
)
def test_classes_of_sentinel_2_by_name(code, status):
    codes = scl()
    codes[20:40, 20:40] = code
    assert (classified(codes, "scl", 20.0)[20:40, 20:40] == status).all()


@pytest.mark.parametrize("code", [2, 4, 5, 6, 7])
def test_land_water_and_dark_ground_are_searched(code):
    assert (classified(scl(fill=code), "scl", 20.0) == SEARCHED).all()


def test_clouds_grow_by_100_m_and_missing_pixels_do_not():
    codes = scl()
    codes[20:30, 20:30] = 9
    status = classified(codes, "scl", 20.0)
    assert (status == CLOUD).sum() == 20 * 20
    assert (status[15:35, 15:35] == CLOUD).all()
    codes[20:30, 20:30] = 0
    assert (classified(codes, "scl", 20.0) == NODATA).sum() == 10 * 10


def test_a_bright_roof_is_no_cloud():
    codes = scl()
    codes[20:22, 20:30] = 8  # 40 x 200 m
    assert (classified(codes, "scl", 20.0) == SEARCHED).all()


def test_bits_of_landsats_quality_band():
    clear, cloud, shadow, snow, fill = 21_824, 22_280, 23_888, 30_048, 1  # as the guide lists them
    codes = np.full((30, 50), clear, np.uint16)
    for number, value in enumerate((cloud, shadow, snow, fill)):
        codes[:, 10 * number + 2 : 10 * number + 6] = value
    status = classified(codes, "qa_pixel", 30.0)
    assert status[15, [4, 14, 24, 34, 46]].tolist() == [CLOUD, CLOUD, SNOW, NODATA, SEARCHED]


def test_the_scenes_own_word_goes_before_brightness():
    white = np.full((3, 60, 60), 255, np.uint8)
    valid = np.ones((60, 60), bool)
    assert (pixel_status(white, valid) == CLOUD)[10:-10, 10:-10].all()
    known = np.zeros((60, 60), np.uint8)
    known[:5] = SNOW
    status = pixel_status(white, valid, known)
    assert (status[5:] == SEARCHED).all()
    assert (status[:5] == SNOW).all()
    valid[:, 0] = False
    assert (pixel_status(white, valid, known)[:, 0] == NODATA).all()


def thick_cloud_by_scipy(pixels):
    white = (pixels >= CLOUD_UINT8).all(axis=0)
    core = ndimage.binary_erosion(white, structure=np.ones((15, 15), bool))
    return ndimage.maximum_filter(core, size=35).astype(bool)


def fill_by_scipy(pixels):
    black, square = (pixels == 0).all(axis=0), np.ones((9, 9), bool)
    core = ndimage.binary_erosion(black, structure=square, border_value=1)
    return ndimage.binary_dilation(core, structure=square) & black


@pytest.mark.parametrize("seed", range(12))
def test_windows_that_double_are_scipys_morphology(seed):
    rng = np.random.default_rng(seed)
    rows, cols = (int(side) for side in rng.integers(40, 160, 2))
    pixels = rng.integers(60, 120, (3, rows, cols)).astype(np.uint8)
    for value in (0, 255) * 5:
        row, col = rng.integers(0, 150, 2)
        height, width = rng.integers(3, 45, 2)
        pixels[:, row : row + height, col : col + width] = value
    status = pixel_status(pixels, np.ones((rows, cols), bool))
    fill = fill_by_scipy(pixels)
    assert np.array_equal(status == NODATA, fill)
    assert np.array_equal(status == CLOUD, thick_cloud_by_scipy(pixels) & ~fill)
