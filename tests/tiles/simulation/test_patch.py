import numpy as np
import pytest
from scipy import ndimage

from tiles.errors import SimulationError
from tiles.simulation.patch import simulate_patch


def corners(box):
    cx, cy, length, width, angle = box
    along = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    across = np.array([-np.sin(angle), np.cos(angle)]) * width / 2
    signs = ((1, 1), (1, -1), (-1, -1), (-1, 1))
    return np.array([(cx, cy) + a * along + b * across for a, b in signs])


def box_masks(box, size_px):
    """Pixels well inside the box, and a frame of ground around it."""
    row, col = np.mgrid[:size_px, :size_px] + 0.5
    cx, cy, length, width, angle = box
    u = (col - cx) * np.cos(angle) + (row - cy) * np.sin(angle)
    v = (row - cy) * np.cos(angle) - (col - cx) * np.sin(angle)
    inside = (np.abs(u) < length / 2 - 1) & (np.abs(v) < width / 2 - 1)
    around = (np.abs(u) < length / 2 + 6) & (np.abs(v) < width / 2 + 6)
    return inside, around & ~((np.abs(u) < length / 2 + 2) & (np.abs(v) < width / 2 + 2))


def test_a_patch_has_pixels_boxes_and_kinds():
    patch = simulate_patch(np.random.default_rng(0), size_px=160, n_kilns=3)
    assert patch.pixels.shape == (3, 160, 160)
    assert patch.pixels.dtype == np.uint8
    assert patch.pixels.min() >= 1
    assert patch.boxes.shape == (3, 5)
    assert patch.boxes.dtype == np.float32
    assert len(patch.kinds) == 3


def test_the_same_state_makes_the_same_patch():
    first, again = (simulate_patch(np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.boxes, again.boxes)
    other = simulate_patch(np.random.default_rng(8))
    assert not np.array_equal(first.pixels, other.pixels)


def test_boxes_lie_wholly_inside_and_have_the_sizes_of_kilns():
    for seed in range(40):
        patch = simulate_patch(np.random.default_rng(seed), size_px=128, n_kilns=4)
        for box in patch.boxes:
            assert corners(box).min() > 0
            assert corners(box).max() < 128
            assert 5.6 <= box[2] <= 13.4
            assert box[3] < box[2]


def test_patches_without_kilns_have_no_boxes():
    patch = simulate_patch(np.random.default_rng(1), n_kilns=0)
    assert patch.boxes.shape == (0, 5)
    assert patch.kinds == ()


def test_painted_kilns_are_at_their_boxes_and_redder_than_what_is_around():
    """The box must sit on the kiln: shifted or turned by 90 degrees it holds less red."""
    here, shifted, turned, contrast = [], [], [], []
    for seed in range(60):
        patch = simulate_patch(np.random.default_rng(seed), size_px=96, n_kilns=1)
        if "CFCBK" in patch.kinds or not patch.kinds:
            continue
        red = 2.0 * patch.pixels[0] - patch.pixels[1].astype(float) - patch.pixels[2]
        box = patch.boxes[0]
        inside, around = box_masks(box, 96)
        contrast.append(red[inside].mean() - red[around].mean())
        here.append(red[inside].mean())
        shifted.append(red[box_masks(box + np.array([5, 0, 0, 0, 0]), 96)[0]].mean())
        turned.append(red[box_masks(box + np.array([0, 0, 0, 0, np.pi / 2]), 96)[0]].mean())
    assert len(here) > 40
    assert np.mean(np.array(contrast) > 0) > 0.95
    assert np.median(contrast) > 15
    assert np.mean(np.array(here) > shifted) > 0.85
    assert np.mean(np.array(here) > turned) > 0.85


def test_light_varies_as_much_as_between_stretched_tiles():
    patches = [simulate_patch(np.random.default_rng(seed), 64) for seed in range(60)]
    means = np.array([patch.pixels.mean() for patch in patches])
    low, high = np.percentile(means, [5, 95])
    assert high / low > 3
    sharpness = [
        np.abs(ndimage.laplace(patch.pixels[1].astype(float))).mean() / patch.pixels[1].std()
        for patch in patches
    ]
    assert max(sharpness) > 2 * min(sharpness)


@pytest.mark.parametrize(
    ("bad", "part"),
    [({"size_px": 16}, "size_px=16"), ({"n_kilns": -1}, "n_kilns=-1"), ({"gsd_m": 60}, "gsd_m=60")],
)
def test_what_cannot_be_painted_is_refused(bad, part):
    with pytest.raises(SimulationError, match=part):
        simulate_patch(np.random.default_rng(0), **bad)
