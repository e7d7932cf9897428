"""The grid of the network's arrays: on the scene, whatever the block."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.detection import ArrayWindow, PixelOrigin
from models.inference.tiling import grown, shrunk, slices, tiles_of

STEP = 64


@given(
    first=st.tuples(st.integers(-3, 9), st.integers(-3, 9)),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    halo=st.integers(0, 4),
)
def test_tiles_cover_a_core_once_and_are_cut_on_the_scene_s_grid(first, size, halo):
    origin = PixelOrigin(8 * (first[0] - halo), 8 * (first[1] - halo))
    core = ArrayWindow(8 * halo, 8 * halo, 8 * size[0], 8 * size[1])
    owners = np.zeros((8 * (size[0] + 2 * halo), 8 * (size[1] + 2 * halo)), int)
    for tile in tiles_of(core, origin, STEP):
        owners[slices(tile)] += 1
        for at, length in (
            (tile.row0 + origin.row, tile.rows),
            (tile.col0 + origin.col, tile.cols),
        ):
            assert at // STEP == (at + length - 1) // STEP, "no tile crosses a line of the grid"
    assert (owners[slices(core)] == 1).all()
    assert owners.sum() == core.rows * core.cols


def test_a_tile_shrinks_to_its_usable_pixels_on_the_stride():
    usable = np.zeros((64, 64), bool)
    tile = ArrayWindow(16, 16, 32, 32)
    assert shrunk(tile, usable) is None
    usable[0, 0] = True
    assert shrunk(tile, usable) is None, "what lies outside does not count"
    usable[21, 30] = usable[26, 40] = True
    assert shrunk(tile, usable) == ArrayWindow(16, 24, 16, 24)


def test_a_margin_ends_where_the_array_does():
    assert grown(ArrayWindow(8, 40, 16, 16), 16, 64, 64) == ArrayWindow(0, 24, 40, 40)
