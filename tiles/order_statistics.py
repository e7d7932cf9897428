"""The median and the medoid of many looks at each pixel, by a network of minima and maxima.

A sorting network compares fixed pairs of layers (Batcher, 1968), so each comparison is one
vectorised minimum and maximum over a whole strip of pixels; numpy's own nanmedian sorts pixel by
pixel.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import numpy.typing as npt

NO_LOOK = 65_535  # above every reflectance (see tiles.radiometry): sorted behind them all
NUMBER_BITS = 12  # of a look's number in a word whose upper bits hold a distance below 2 ** 18
NEVER = 2**32 - 1  # above every such word
STRIP_BYTES = 1 << 20  # all layers of a strip of one band stay in a core's second-level cache

U16 = npt.NDArray[np.uint16]
Bools = npt.NDArray[np.bool_]
Pairs = tuple[tuple[int, int], ...]


def median(layers: U16, usable: Bools) -> U16:
    """Per pixel and band the median of the usable looks.

    Args:
        layers: (look, band, y, x), none above 65,534.
        usable: (look, y, x).

    Returns:
        (band, y, x); of an even number of looks the mean of the middle two, rounded down. 0 where
        there is no usable look.
    """
    out = np.zeros(layers.shape[1:], np.uint16)
    for rows in _strips(layers):
        out[:, rows] = _median(layers[:, :, rows], usable[:, rows])
    return out


def medoid(layers: U16, usable: Bools) -> U16:
    """Per pixel the usable look nearest to the median of the bands: one date, all bands of it.

    Nearness is the sum over the bands of absolute differences, and of equals the first look counts
    (as in LandTrendr's composites, Kennedy et al. 2018, Remote Sensing 10, 691).

    Args:
        layers: (look, band, y, x), none above 65,534.
        usable: (look, y, x).

    Returns:
        (band, y, x); 0 where there is no usable look.
    """
    out = np.zeros(layers.shape[1:], np.uint16)
    for rows in _strips(layers):
        looks, seen = layers[:, :, rows], usable[:, rows]
        nearest = _nearest(looks, seen, _median(looks, seen))
        for number, look in enumerate(looks):
            out[:, rows] |= look & _all_bits(nearest == number)
    return out


def _median(looks: U16, usable: Bools) -> U16:
    """The median of a strip: (band, y, x) of (look, band, y, x)."""
    out = np.empty(looks.shape[1:], np.uint16)
    kept, fill, odd = _fillers(usable)
    anything = _all_bits(np.asarray(usable.any(axis=0)))
    for band in range(looks.shape[1]):
        strip = [(v & k) | f for v, k, f in zip(looks[:, band], kept, fill, strict=True)]
        np.bitwise_and(_middle(strip, odd), anything, out=out[band])
    return out


def _nearest(looks: U16, usable: Bools, middle: U16) -> npt.NDArray[np.uint32]:
    """(y, x), the number of the usable look nearest to the median; 4,095 where there is none.

    Distance and number share one word, the distance in its upper bits, so the smallest word of all
    looks holds the first of the nearest.
    """
    best = np.full(middle.shape[1:], NEVER, np.uint32)
    for number, (look, seen) in enumerate(zip(looks, usable, strict=True)):
        word = _distance(look, middle)
        np.left_shift(word, NUMBER_BITS, out=word)
        word |= np.uint32(number)
        word |= np.negative((~seen).astype(np.uint32))  # NEVER where it was not seen
        np.minimum(best, word, out=best)
    return best & np.uint32((1 << NUMBER_BITS) - 1)


def _all_bits(true: Bools) -> U16:
    """65,535 where True and 0 where False: what `&` and `|` select by.

    Many times faster than numpy's `where`, which takes a branch a pixel.
    """
    return np.negative(true.astype(np.uint16))


def _distance(look: U16, middle: U16) -> npt.NDArray[np.uint32]:
    """Sum over the bands (axis 0) of absolute differences, in unsigned numbers throughout."""
    total = np.zeros(middle.shape[1:], np.uint32)
    apart, below = np.empty_like(middle[0]), np.empty_like(middle[0])
    for ours, theirs in zip(look, middle, strict=True):
        np.maximum(ours, theirs, out=apart)
        np.minimum(ours, theirs, out=below)
        np.subtract(apart, below, out=apart)
        total += apart
    return total


def _strips(layers: U16) -> Iterator[slice]:
    """Slices of rows (axis 2) whose layers of one band fit the cache together."""
    looks, _, rows, cols = layers.shape
    step = max(1, STRIP_BYTES // max(1, looks * cols * layers.itemsize))
    for first in range(0, rows, step):
        yield slice(first, first + step)


def _fillers(usable: Bools) -> tuple[list[U16], list[U16], U16]:
    """What stands in for unusable looks: NO_LOOK and 0 by turns, pixel by pixel, NO_LOOK first.

    As many then sort below the median as above it (or one more above), so it stands at a fixed
    place.

    Returns:
        For each look (y, x): all bits where it is kept, and what stands there where it is not; and
        all bits where the number of usable looks is odd.
    """
    kept, fill = [_all_bits(seen) for seen in usable], []
    above = np.full(usable.shape[1:], NO_LOOK, np.uint16)
    odd = np.zeros(usable.shape[1:], np.uint16)
    for bits in kept:
        lacking = ~bits
        fill.append(above & lacking)
        above ^= lacking  # NO_LOOK and 0 are each other's complement
        odd ^= bits
    return kept, fill, odd


def _middle(strip: list[U16], odd: U16) -> U16:
    """The median of looks of which the unusable are filled from above and below by turns.

    Args:
        strip: one (y, x) a look; overwritten.
        odd: all bits where the number of usable looks is odd.
    """
    n = len(strip)
    spare = np.empty_like(strip[0])
    for first, second in selection_network(n):
        np.minimum(strip[first], strip[second], out=spare)
        np.maximum(strip[first], strip[second], out=strip[second])
        strip[first], spare = spare, strip[first]
    middle, other = (strip[place] for place in _places(n))
    mean = _mean(middle, other)
    return mean ^ ((mean ^ middle) & odd)


def _places(n: int) -> tuple[int, int]:
    """Where in n sorted layers the median stands, and with which it is averaged for an even number.

    An odd number of fillers has one more above the median than below.
    """
    middle = (n - 1) // 2
    return middle, max(0, middle - 1) if n % 2 else middle + 1


def _mean(a: U16, b: U16) -> U16:
    """Mean of two without leaving 16 bits, rounded down."""
    return np.asarray((a & b) + ((a ^ b) >> np.uint16(1)), np.uint16)


@cache
def selection_network(n: int) -> Pairs:
    """Pairs to compare, in order, after which the middle of n layers stands where it belongs.

    Batcher's odd-even merge sort, without the comparisons that no middle layer depends on.
    """
    needed, kept = set(_places(n)), []
    for pair in reversed(_sorting_network(n)):
        if needed & set(pair):
            needed |= set(pair)
            kept.append(pair)
    return tuple(reversed(kept))


def _sorting_network(n: int) -> list[tuple[int, int]]:
    """Batcher's odd-even merge sort for any n (Knuth, TAOCP 3, 5.2.2, algorithm M)."""
    pairs: list[tuple[int, int]] = []
    top = 1 << (n - 1).bit_length() - 1 if n > 1 else 0
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while True:
            pairs += [(i, i + d) for i in range(n - d) if i & p == r]
            if q == p:
                break
            d, q, r = q - p, q >> 1, p
        p >>= 1
    return pairs
