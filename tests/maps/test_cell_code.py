import geopandas as gpd
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maps.cell_code import (
    SPAN,
    GroupedCells,
    bounds_of_cells,
    cell_ids,
    cell_keys,
    cells_of_groups,
    decode_cells,
    decode_groups,
    encode_cells,
    encode_groups,
)
from maps.short_text import pack, unpack
from tiles.cells import cell_polygons, join_cells
from tiles.errors import PublishError, RegionError

CELL = st.tuples(st.integers(0, 2925), st.integers(0, 6946))


@given(st.sets(CELL, max_size=60))
def test_cells_survive_the_way_into_a_page_and_back(cells):
    names = [f"5000_{row}_{col}" for row, col in cells]
    keys = cell_keys(names)
    assert np.array_equal(decode_cells(encode_cells(keys)), keys)
    assert sorted(cell_ids(keys)) == sorted(names)


@given(st.dictionaries(CELL, st.integers(0, 9), min_size=1, max_size=60))
def test_groups_survive_the_way_into_a_page_and_back(grouped):
    keys = np.array(sorted(row * SPAN + col for row, col in grouped))
    group = np.array([grouped[int(key) // SPAN, int(key) % SPAN] for key in keys])
    back = decode_groups(encode_groups(GroupedCells(keys, group)))
    assert np.array_equal(back.keys, keys)
    assert np.array_equal(back.group, group)


def test_a_block_of_cells_is_as_many_runs_as_rows():
    names = [f"5000_{row}_{col}" for row in range(700, 710) for col in range(4900, 5000)]
    code = encode_cells(cell_keys(names))
    assert code == [700 * SPAN + 4900, 100, *9 * [SPAN - 100, 100]]


def test_a_cell_that_is_none_is_named():
    with pytest.raises(RegionError, match="'somewhere' is no cell id"):
        cell_keys(["5000_1_2", "somewhere"])


def test_groups_are_read_from_their_ground_cell_by_cell(survey):
    found = cells_of_groups(survey.groups)
    members = survey.partition.set_index("group_id")["cell_ids"]
    for at, group_id in enumerate(survey.groups["group_id"]):
        assert cell_ids(found.keys[found.group == at]) == sorted(
            members[group_id], key=lambda name: tuple(map(int, name.split("_")))
        )


def test_groups_that_overlap_are_refused():
    shape = join_cells(["5000_740_4900", "5000_740_4901"])
    groups = gpd.GeoDataFrame(
        {"group_id": ["a", "b"], "n_cells": [2, 2]}, geometry=[shape, shape], crs="EPSG:4326"
    )
    with pytest.raises(PublishError, match="group a says that it holds 2 cells"):
        cells_of_groups(groups)


def test_ends_of_cells_are_those_of_their_squares():
    names = ["5000_740_4900", "5000_760_4870"]
    bounds = bounds_of_cells(cell_keys(names))
    west, south, east, north = cell_polygons(names).total_bounds
    assert (bounds.west, bounds.south, bounds.east, bounds.north) == pytest.approx(
        (west, south, east, north), abs=1e-9
    )


@given(st.lists(st.integers(-(2**45), 2**45), max_size=50))
def test_numbers_survive_as_short_text(numbers):
    text = pack(numbers)
    assert text.isascii()
    assert unpack(text).tolist() == numbers


def test_small_numbers_are_one_letter_each():
    assert pack([0, -1, 1, 15, -16]) == "ABCef"
    assert pack([16]) == "gB"


def test_text_that_ends_within_a_number_is_refused():
    with pytest.raises(ValueError, match="ends within a number"):
        unpack("g")
    with pytest.raises(ValueError, match="more than 64 bits"):
        unpack(20 * "g" + "A")
