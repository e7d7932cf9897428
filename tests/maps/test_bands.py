import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maps.bands import LEAST_SITES, Band, choose_band, neighbourhoods

PLACES = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=60, unique=True
)


@pytest.mark.parametrize(
    ("squared", "cells"), [(2, 9), (4, 13), (5, 21), (8, 25), (9, 29), (10, 37)]
)
def test_cells_of_whole_neighbourhoods(squared, cells):
    assert Band(squared).n_cells == cells
    row, col = np.divmod(np.arange(121), 11)
    near = neighbourhoods(row, col, Band(squared))
    assert near.size[60] == cells
    assert near.size.max() == cells


@given(PLACES, st.sampled_from([2, 4, 5, 8, 9, 10]), st.randoms())
def test_members_are_those_within_the_radius(places, squared, shuffle):
    shuffle.shuffle(places)
    row, col = np.array(places, dtype=np.int64).T
    near = neighbourhoods(row, col, Band(squared))
    within = (row[:, None] - row) ** 2 + (col[:, None] - col) ** 2 <= squared
    values = np.arange(len(row), dtype=float) ** 2
    assert list(near.size) == list(within.sum(axis=1))
    assert near.sums(values) == pytest.approx(within @ values)
    for cell in range(len(row)):
        assert sorted(near.members(cell)) == list(np.flatnonzero(within[cell]))


def test_neighbourhoods_do_not_reach_round_into_the_next_row():
    near = neighbourhoods(np.array([0, 1]), np.array([9, 0]), Band(10))
    assert list(near.size) == [1, 1]


def test_connected_cells():
    row, col = np.array([0, 5, 1, 5, 9]), np.array([0, 5, 1, 6, 9])
    label = neighbourhoods(row, col, Band(2)).connected()
    assert label[0] == label[2]
    assert label[1] == label[3]
    assert len(set(label)) == 3
    assert len(neighbourhoods(row[:0], col[:0], Band(2)).connected()) == 0


def test_the_neighbourhood_is_the_smallest_that_holds_enough_sites():
    assert choose_band(10_000, 7_500) == Band(10)  # the belt: 0.75 a cell, 16 km
    assert choose_band(10_000, 15_000) == Band(5)
    assert choose_band(10_000, 50_000) == Band(2)
    assert choose_band(10_000, 2_000) == Band(10)  # sparse: no wider than 16 km
    assert choose_band(60, 45).n_cells <= 15  # a small region: a quarter of it at most
    assert choose_band(1, 3) == Band(2)
    assert choose_band(0, 0) == Band(2)
    assert choose_band(10_000, 10_000, size_m=4000).n_cells >= LEAST_SITES


def test_radius_in_km():
    assert Band(10).radius_km == pytest.approx(15.811, abs=1e-3)
    assert Band(5, 4000).radius_km == pytest.approx(8.944, abs=1e-3)
