import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiles.radiometry import Radiometry, to_reflectance, valid_numbers

SHIFTED = Radiometry("sentinel-2-l2a", (1e-4,) * 3, (-0.1,) * 3, 0.0, 65_535.0)
LANDSAT = Radiometry("landsat-c2-l2", (2.75e-5,) * 3, (-0.2,) * 3, 0.0)


def bands(*numbers, dtype=np.uint16):
    return np.broadcast_to(np.array(numbers, dtype), (3, 1, len(numbers)))


def test_the_baseline_offset_comes_off_and_dark_water_is_not_no_data():
    # ESA: reflectance = (DN - 1,000) / 10,000 from baseline 04.00
    stored = bands(1, 999, 1000, 1001, 4500, 65_535)
    assert to_reflectance(stored, SHIFTED)[0, 0].tolist() == [1, 1, 1, 1, 3500, 64_535]


def test_landsats_scale_and_offset_are_the_guides():
    # USGS LSDS-1619: valid range 7,273 to 43,636 is a reflectance of 0.0 to 1.0
    assert to_reflectance(bands(7273, 43_636), LANDSAT)[0, 0].tolist() == [1, 10_000]
    assert to_reflectance(bands(18_182), LANDSAT)[1, 0, 0] == 3000


def test_fractions_and_not_a_number():
    fraction = Radiometry("reflectance", (1.0,) * 3, (0.0,) * 3)
    stored = bands(0.25, np.nan, -0.01, 9.0, dtype=np.float32)
    assert to_reflectance(stored, fraction)[2, 0].tolist() == [2500, 1, 1, 65_534]


def test_bands_may_have_scales_of_their_own():
    own = Radiometry("file", (1e-4, 2e-4, 1e-3), (0.0, 0.0, 0.05))
    assert to_reflectance(bands(100), own)[:, 0, 0].tolist() == [100, 200, 1500]


@given(
    st.integers(0, 65_535),
    st.floats(1e-6, 1e-2),
    st.floats(-0.5, 0.5),
    st.sampled_from([np.uint16, np.int16, np.uint8, np.int32, np.float32]),
)
def test_every_road_gives_what_the_formula_gives(number, scale, offset, dtype):
    stored = np.array([number % 256 if dtype == np.uint8 else number % 32_768]).astype(dtype)
    got = to_reflectance(np.tile(stored, (3, 1, 1)), Radiometry("x", (scale,) * 3, (offset,) * 3))
    exact = np.clip((float(stored[0]) * scale + offset) * 10_000, 1, 65_534)
    assert got.dtype == np.uint16
    assert abs(int(got[0, 0, 0]) - exact) <= 0.5 + 1e-6 * exact


def test_without_a_word_numbers_stay_as_they_are():
    stored = bands(0, 7, 255, dtype=np.uint8)
    assert to_reflectance(stored, None) is stored
    assert valid_numbers(stored, None) is None


def test_no_data_and_saturated_numbers_are_not_valid():
    stored = bands(0, 1, 65_534, 65_535).copy()
    stored[1, 0, 1] = 0  # one band is enough
    assert valid_numbers(stored, SHIFTED).tolist() == [[False, False, True, False]]


def test_a_nodata_number_in_signed_types_is_found():
    signed = Radiometry("own", (1e-4,) * 3, (0.0,) * 3, nodata=-999.0)
    assert valid_numbers(bands(-999, 5, dtype=np.int16), signed).tolist() == [[False, True]]


@pytest.mark.parametrize("counts", [0.0, -0.1, 0.1])
def test_the_fast_road_of_whole_counts_is_the_slow_one(counts):
    stored = np.arange(65_536, dtype=np.uint16).reshape(1, 256, 256).repeat(3, axis=0)
    fast = to_reflectance(stored, Radiometry("s2", (1e-4,) * 3, (counts,) * 3))
    slow = to_reflectance(stored.astype(np.int32), Radiometry("s2", (1e-4,) * 3, (counts,) * 3))
    assert np.array_equal(fast, slow)
