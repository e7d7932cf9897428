"""Rectangles around the cells let through: all of them, none twice, and few pixels to see."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.gate.looks import CellBox, boxes_around

MARGIN_PX = 88


def looked_at(let):
    seen = np.zeros(let.shape, int)
    for box in boxes_around(let, MARGIN_PX):
        seen[box.row : box.row + box.rows, box.col : box.col + box.cols] += 1
    return seen


@given(arrays(bool, st.tuples(st.integers(1, 16), st.integers(1, 16))))
def test_all_cells_are_looked_at_and_none_twice_and_never_more_than_the_whole(let):
    seen = looked_at(let)
    assert seen.max(initial=0) <= 1
    assert seen[let].all()
    whole = CellBox(0, 0, *let.shape).pixels(MARGIN_PX)
    assert sum(box.pixels(MARGIN_PX) for box in boxes_around(let, MARGIN_PX)) <= whole


def test_neighbours_share_an_array_and_cells_far_apart_do_not():
    let = np.zeros((16, 16), bool)
    assert boxes_around(let, MARGIN_PX) == []
    let[2, 3] = let[3, 4] = True
    assert boxes_around(let, MARGIN_PX) == [CellBox(2, 3, 2, 2)]
    let[12, 12] = True
    # (2 x 64 + 2 x 88)^2 + (64 + 2 x 88)^2 px instead of (11 x 64 + 2 x 88)(10 x 64 + 2 x 88)
    boxes = boxes_around(let, MARGIN_PX)
    assert boxes == [CellBox(2, 3, 2, 2), CellBox(12, 12, 1, 1)]
    assert sum(box.pixels(MARGIN_PX) for box in boxes) == 304**2 + 240**2
    let[:] = True
    assert boxes_around(let, MARGIN_PX) == [CellBox(0, 0, 16, 16)]
