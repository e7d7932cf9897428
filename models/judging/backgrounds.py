"""What kind of land a false alarm lies on: four kinds, told from red, green and blue alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

Floats = NDArray[np.float64]
Kinds = NDArray[np.int8]

KINDS = ("water", "vegetation", "bare soil", "built-up")
NO_KIND = -1
# Colour is judged over 90 m, texture over 150 m: a village has both, a single roof neither.
COLOUR_PX, TEXTURE_PX = 9, 15
# Red far under blue is water in every stretch seen; a little under it only where nothing has edges.
DEEP_BLUE, SMOOTH = -0.45, 0.15
MOST_WATER_GREEN = 0.1
# Water is no brighter than the picture as a whole, grey and smooth as a dense town may be.
MOST_WATER_BRIGHTNESS = 1.05
# Green over red, as the index of Tucker (1979) for green and red has it: crops and trees.
GREEN = 0.05
# Roofs and streets change from pixel to pixel, fields from one to the next; both have contrast.
FINE_GRAIN, CONTRAST = 0.47, 0.2
TINY = 1e-9
# Large scenes are classified in strips of rows, so that a dozen filtered copies fit into memory.
STRIP_PX = 1024


def classify_land(pixels: NDArray[Any], usable: NDArray[np.bool_]) -> Kinds:
    """The kind of land of every pixel, as an index of `KINDS`, `NO_KIND` where unusable.

    A rule of thumb for reports, not a land cover map. With r, g, b the means of a 90 m window and
    the texture of a 150 m window, the first that holds decides:

    1. water: (r - b) / (r + b) below -0.45, or below 0 where the contrast (deviation over mean) is
       under 0.15, the green index under 0.1 and the mean no brighter than the picture's;
    2. vegetation: the green index (g - r) / (g + r) (Tucker, 1979) above 0.05;
    3. built-up: contrast above 0.2, and differences of neighbours above 0.47 of those of pixels
       40 m apart;
    4. bare soil, and all that is left: fallow, sand, dry grass.

    Known to be wrong: dark tropical rivers in L1C haze count as vegetation, smooth grey soil as
    water, low houses among trees as vegetation.

    Args:
        pixels: (band, y, x), red, green, blue first, any scaling.
        usable: (y, x).

    Returns:
        (y, x), int8.
    """
    rows = usable.shape[0]
    brightness = _brightness(pixels, usable)
    kinds = np.empty(usable.shape, np.int8)
    for first in range(0, rows, STRIP_PX):
        # A window's half and the longest lag reach over the strip.
        top = max(first - TEXTURE_PX, 0)
        bottom = min(first + STRIP_PX + TEXTURE_PX, rows)
        strip = _classify(pixels[:3, top:bottom], usable[top:bottom], brightness)
        kinds[first : first + STRIP_PX] = strip[first - top : first - top + STRIP_PX]
    return kinds


def _brightness(pixels: NDArray[Any], usable: NDArray[np.bool_]) -> float:
    total = sum(float(band.sum(where=usable, dtype=np.float64)) for band in pixels[:3])
    return total / (3 * max(int(usable.sum()), 1))


def _classify(pixels: NDArray[Any], usable: NDArray[np.bool_], brightness: float) -> Kinds:
    red, green, blue = (_mean(_filled(band, usable), usable, COLOUR_PX) for band in pixels)
    grey = _filled(np.asarray(pixels, np.float64).mean(axis=0), usable)
    mean = _mean(grey, usable, TEXTURE_PX)
    square = _mean(grey * grey, usable, TEXTURE_PX)
    contrast = np.sqrt(np.maximum(square - mean * mean, 0)) / (mean + TINY)
    fine = _differences(grey, 1) / (_differences(grey, 4) + TINY)
    greenness, redness = _index(green, red), _index(red, blue)
    water = (redness < 0) & (contrast < SMOOTH) & (greenness < MOST_WATER_GREEN)
    water &= mean <= MOST_WATER_BRIGHTNESS * brightness
    kinds = np.full(usable.shape, KINDS.index("bare soil"), np.int8)
    kinds[(contrast > CONTRAST) & (fine > FINE_GRAIN)] = KINDS.index("built-up")
    kinds[greenness > GREEN] = KINDS.index("vegetation")
    kinds[water | (redness < DEEP_BLUE)] = KINDS.index("water")
    kinds[~usable] = NO_KIND
    return kinds


def _filled(band: NDArray[Any], usable: NDArray[np.bool_]) -> Floats:
    return np.where(usable, np.asarray(band, np.float64), 0.0)


def _mean(values: Floats, usable: NDArray[np.bool_], side_px: int) -> Floats:
    """Mean of the usable pixels of a window around each pixel."""
    share = uniform_filter(usable.astype(np.float64), side_px)
    return np.asarray(uniform_filter(values, side_px) / (share + TINY))


def _differences(grey: Floats, lag: int) -> Floats:
    """Mean absolute difference of pixels `lag` apart, along rows and columns, around each pixel."""
    apart = np.zeros_like(grey)
    apart[:, lag:] += np.abs(grey[:, lag:] - grey[:, :-lag])
    apart[lag:] += np.abs(grey[lag:] - grey[:-lag])
    return np.asarray(uniform_filter(apart, TEXTURE_PX))


def _index(first: Floats, second: Floats) -> Floats:
    return np.asarray((first - second) / (first + second + TINY))
