import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tiles.order_statistics import median, medoid, selection_network


def by_numpy(layers, usable):
    """The same median, pixel by pixel, by a slow road."""
    values = np.where(usable[:, None], layers.astype(float), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # pixels without any look
        return np.floor(np.nan_to_num(np.nanmedian(values, axis=0), nan=0.0))


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 20))
def test_the_median_is_numpys_for_any_number_of_looks(data, n):
    layers = data.draw(arrays(np.uint16, (n, 2, 5, 4), elements=st.integers(0, 65_534)))
    usable = data.draw(arrays(np.bool_, (n, 5, 4)))
    assert np.array_equal(median(layers, usable), by_numpy(layers, usable))


def test_strips_of_rows_join_without_a_seam():
    rng = np.random.default_rng(0)
    layers = rng.integers(0, 65_535, (8, 3, 300, 700), dtype=np.uint16)  # four strips
    usable = rng.random((8, 300, 700)) < 0.6
    assert np.array_equal(median(layers, usable), by_numpy(layers, usable))


def test_the_network_of_eight_is_shorter_than_a_full_sort():
    assert len(selection_network(8)) == 17  # Batcher's full sort takes 19
    assert selection_network(1) == ()
    assert selection_network(2) == ((0, 1),)


def test_the_medoid_is_one_look_with_all_its_bands():
    layers = np.array([[100, 100], [300, 320], [310, 290], [900, 900]], np.uint16)
    layers = layers[:, :, None, None]
    seen = np.ones((4, 1, 1), bool)
    # the median is (305, 305): (310, 290) and (300, 320) are 20 off each, and the earlier counts
    assert median(layers, seen).ravel().tolist() == [305, 305]
    assert medoid(layers, seen).ravel().tolist() == [300, 320]
    seen[1] = False
    assert medoid(layers, seen).ravel().tolist() == [310, 290]


@pytest.mark.parametrize("composite", [median, medoid])
def test_a_pixel_that_was_never_seen_is_0(composite):
    layers = np.full((3, 3, 1, 2), 500, np.uint16)
    usable = np.array([[[True, False]]] * 3)
    assert composite(layers, usable)[:, 0].tolist() == [[500, 0]] * 3
