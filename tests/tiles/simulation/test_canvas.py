import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiles.simulation.canvas import (
    LATTICE_PX,
    Canvas,
    Colour,
    Frame,
    cell_bits,
    cell_noise,
    value_noise,
    windows,
)

SLOPE = 0.02  # a grid turned by a little over a degree


def turned_grid(col, row):
    return 10 * col + SLOPE * 10 * row, -10 * row + SLOPE * 10 * col


def test_cells_hash_to_even_and_unrelated_numbers():
    i, j = np.meshgrid(np.arange(-100, 100, dtype=np.int32), np.arange(200, dtype=np.int32))
    bits = cell_bits(i, j, seed=7)
    assert len(np.unique(bits)) == bits.size  # 40,000 cells: 0.2 collisions expected
    share = bits.astype(np.float64) / 2**32
    assert share.mean() == pytest.approx(0.5, abs=0.01)
    assert abs(np.corrcoef(share[:, 1:].ravel(), share[:, :-1].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(share.ravel(), (cell_bits(i, j, 8) / 2**32).ravel())[0, 1]) < 0.02


def test_grain_is_one_number_in_each_cell():
    x = np.array([0.0, 13.9, 14.1, -0.1], np.float32)
    grain = cell_noise(x, np.zeros_like(x), 14.0, seed=1)
    assert grain[0] == grain[1]
    assert len({float(value) for value in grain}) == 3


@given(x=st.floats(-60_000, 60_000), y=st.floats(-60_000, 60_000))
def test_smooth_noise_is_bounded_and_has_no_steps(x, y):
    xs = np.array([x, x + 1], np.float32)
    ys = np.array([y, y], np.float32)
    low, high = value_noise(xs, ys, 400.0, seed=3)
    assert 0 <= low < 1
    assert abs(high - low) < 0.006  # the smooth step climbs by at most 1.5 / wavelength per metre


@settings(max_examples=30)
@given(
    row0=st.integers(-40, 700),
    col0=st.integers(-40, 700),
    rows=st.integers(1, 50),
    cols=st.integers(1, 50),
)
def test_upsampling_meets_a_plane_at_every_pixel_centre(row0, col0, rows, cols):
    frame = Frame(row0, col0, rows, cols, 10.0, turned_grid)
    x, y = (frame.upsample(coarse) for coarse in frame.lattice())
    col, row = np.meshgrid(col0 + np.arange(cols) + 0.5, row0 + np.arange(rows) + 0.5)
    expected_x, expected_y = turned_grid(col, row)
    np.testing.assert_allclose(x, expected_x, atol=0.01)
    np.testing.assert_allclose(y, expected_y, atol=0.01)


def test_upsampling_does_not_depend_on_the_window():
    whole = Frame(0, 0, 64, 64, 10.0, turned_grid)
    part = Frame(5, LATTICE_PX + 3, 20, 30, 10.0, turned_grid)

    def bumpy(frame):
        x, y = frame.lattice()
        return frame.upsample(value_noise(x, y, 300.0, seed=4))

    np.testing.assert_array_equal(bumpy(whole)[5:25, 19:49], bumpy(part))


def test_windows_hold_every_pixel_within_reach_and_nothing_far_away():
    frame = Frame(0, 0, 60, 80, 10.0, turned_grid)
    x, y = (frame.upsample(coarse) for coarse in frame.lattice())
    canvas = Canvas(np.zeros((3, 60, 80), np.float32), x, y, 10.0)
    places = np.array([[400.0, -300.0, 55.0], [5000.0, 0.0, 50.0], [0.0, 0.0, 30.0]])
    found = windows(canvas, places)
    assert [number for number, _ in found] == [0, 2]
    for number, cut in found:
        cut.blend(np.ones(cut.x_m.shape, np.float32), Colour(255, 0, 0).column())
        near = np.hypot(x - places[number, 0], y - places[number, 1]) <= places[number, 2]
        assert (canvas.rgb[0][near] == 255).all()
    assert (canvas.rgb[0] == 255).mean() < 0.1
