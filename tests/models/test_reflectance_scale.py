"""Bringing real imagery to the reflectance scale must not change what committed weights find."""

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from models.detection import ArrayWindow, PixelOrigin
from models.detector import Detector
from models.weights import default_weights
from tiles.radiometry import Radiometry, to_reflectance
from tiles.sensors import true_colour

pytestmark = pytest.mark.real_data
SIDE = 512
# Rounding to ten-thousandths is a fourteenth of an 8-bit step; bf16 keeps three digits of a score.
NOISE = 0.01


@pytest.fixture(scope="module")
def kilns():
    detector = Detector.load(default_weights("brick_kiln"), "cpu", "fp32", threads=1)
    detector.threshold = 0.05
    return detector


def boxes_of(detector, pixels):
    halo = detector.halo_px
    around = np.pad(pixels, ((0, 0), (halo, halo), (halo, halo)))
    usable = np.pad(np.ones(pixels.shape[1:], bool), halo)
    core = ArrayWindow(halo, halo, *pixels.shape[1:])
    return detector.detect(around, usable, core, PixelOrigin(-halo, -halo))


def worst_change(one, other):
    """The largest change of score over all peaks of either; one that is missing had 0."""
    scores = [
        {(r, c): s for r, c, s in zip(b.peak_row, b.peak_col, b.score, strict=True)}
        for b in (one, other)
    ]
    peaks = set(scores[0]) | set(scores[1])
    # a peak may move to the cell beside it where two were nearly level
    return max(abs(_near(scores[0], peak) - _near(scores[1], peak)) for peak in peaks)


def _near(scores, peak):
    near = [s for (r, c), s in scores.items() if max(abs(r - peak[0]), abs(c - peak[1])) <= 2]
    return max(near, default=0.05)


def test_true_colour_of_delhi_finds_the_same_as_reflectance(shared_data, kilns):
    with rasterio.open(shared_data / "delhi_s2" / "scene.tif") as dataset:
        pixels = dataset.read(window=Window(6400, 2000, SIDE, SIDE))
    as_it_is = boxes_of(kilns, pixels)
    reflectance = boxes_of(kilns, to_reflectance(pixels, true_colour()))
    assert (as_it_is.score > 0.3).sum() >= 5
    change = worst_change(as_it_is, reflectance)
    print(f"\nDelhi: {len(as_it_is)} boxes, largest change of a score {change:.4f}")
    assert change < NOISE


def test_an_offset_of_baseline_04_left_in_or_taken_off_twice_changes_little(shared_data, kilns):
    chips = np.load(shared_data / "negatives_s2" / "chips64_rgb.npz")["x"][:64]
    grid = chips.reshape(8, 8, 3, 64, 64).transpose(2, 0, 3, 1, 4).reshape(3, SIDE, SIDE)
    true = boxes_of(kilns, to_reflectance(grid, Radiometry("s2", (1e-4,) * 3, (0.0,) * 3)))
    stored = (grid + 1000).astype(np.uint16)
    right = Radiometry("s2", (1e-4,) * 3, (-0.1,) * 3)
    assert np.array_equal(to_reflectance(stored, right), np.maximum(grid, 1))
    left_in = worst_change(true, boxes_of(kilns, stored))
    print(f"\nEurope: {len(true)} boxes; offset left in: largest change of a score {left_in:.3f}")
    assert worst_change(true, boxes_of(kilns, to_reflectance(stored, right))) == 0.0
    assert left_in < 0.2


def test_true_colour_of_the_amazon_finds_the_same_mines(shared_data):
    detector = Detector.load(default_weights("gold_mine"), "cpu", "fp32", threads=1)
    chips = np.load(shared_data / "mines_s2" / "chips48_rgb.npz")
    pixels = chips["x"][chips["y"] == 1][:36]
    grid = pixels.reshape(6, 6, 48, 48, 3).transpose(4, 0, 2, 1, 3).reshape(3, 288, 288)
    as_it_is = boxes_of(detector, grid)
    reflectance = boxes_of(detector, to_reflectance(grid, true_colour()))
    change = worst_change(as_it_is, reflectance)
    print(f"\nAmazon: {len(as_it_is)} squares, largest change of a score {change:.4f}")
    assert len(as_it_is) >= 10
    assert change < NOISE
