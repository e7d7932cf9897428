"""Stored numbers to reflectance: one documented scale, whatever sensor and product they come from.

The scale is reflectance x 10,000 in uint16, 1 to 65,534; 0 never stands for a valid pixel. A scene
of 8-bit true colour keeps its numbers where it is read alone: they are that scale divided by a
constant, and the detector divides constants out (see `models.network.normalise`).
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

QUANTIFICATION = 10_000.0  # of Sentinel-2's products, and of every table of numbers here
DARKEST = 1  # 0 is left to pixels of which nothing is known
BRIGHTEST = 65_534  # 65,535 is what composites use for "no look"
LUT_TYPES = ("uint8", "int8", "uint16", "int16")  # few enough values to convert by a table
PLAIN_8_BIT = "uint8"  # true colour: usable without a word about its sensor

MaskKind = Literal["scl", "qa_pixel"]
Pixels = npt.NDArray[np.generic]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Radiometry:
    """How the stored numbers of one scene become reflectance: scale * number + offset.

    Attributes:
        sensor: name of the sensor profile, or `file` where the file itself says scale and offset.
        scale: of the red, green and blue band.
        offset: of the red, green and blue band, in reflectance.
        nodata: a number that stands for no data in any band; None where there is none.
        saturated: the lowest number that stands for a saturated pixel; None where there is none.
        basis: where the offset was taken from, in words for the manifest.
    """

    sensor: str
    scale: tuple[float, float, float]
    offset: tuple[float, float, float]
    nodata: float | None = None
    saturated: float | None = None
    basis: str = ""


@dataclass(frozen=True)
class MaskSource:
    """Where a scene's own classification of its pixels lies.

    Attributes:
        href: path or address of the raster, in the CRS of the scene; its pixels may be coarser.
        kind: `scl` (Sentinel-2 scene classification) or `qa_pixel` (Landsat quality bits).
        band: one-based number of the band in it.
    """

    href: str
    kind: MaskKind
    band: int = 1


def to_reflectance(pixels: Pixels, radiometry: Radiometry | None) -> Pixels:
    """Bring stored numbers to reflectance x 10,000.

    Args:
        pixels: (band, y, x), red, green, blue as stored.
        radiometry: of the scene; None leaves the numbers as they are.

    Returns:
        (band, y, x), uint16 within DARKEST and BRIGHTEST; or `pixels` itself where there is nothing
        to do. Numbers that stand for no data come out as something: `valid_numbers` finds them.
    """
    if radiometry is None:
        return pixels
    bands = zip(pixels, radiometry.scale, radiometry.offset, strict=True)
    if _is_shift(radiometry) and pixels.dtype == np.uint16:
        return _shifted(np.asarray(pixels, np.uint16), round(radiometry.offset[0] * QUANTIFICATION))
    if _one_rule(radiometry) and pixels.dtype.name in LUT_TYPES:
        return _by_table(pixels, radiometry.scale[0], radiometry.offset[0])
    return np.stack([_by_formula(band, scale, offset) for band, scale, offset in bands])


def valid_numbers(pixels: Pixels, radiometry: Radiometry | None) -> Bools | None:
    """Say which stored numbers are neither no data nor saturated in any band.

    Args:
        pixels: (band, y, x) as stored.
        radiometry: of the scene.

    Returns:
        (y, x), or None where no number is special.
    """
    valid: Bools | None = None
    if radiometry is None:
        return None
    if radiometry.nodata is not None:
        valid = all_bands(pixels != radiometry.nodata)
    if radiometry.saturated is not None:
        below = all_bands(np.less(pixels, radiometry.saturated))
        valid = below if valid is None else valid & below
    return valid


def all_bands(true: Bools) -> Bools:
    """Where all bands (axis 0) are true; many times faster than numpy's own reduction."""
    out: Bools = true[0].copy()
    for band in true[1:]:
        out &= band
    return out


def _one_rule(radiometry: Radiometry) -> bool:
    return len(set(radiometry.scale)) == len(set(radiometry.offset)) == 1


def _is_shift(radiometry: Radiometry) -> bool:
    """Whether a count is already a ten-thousandth, as in Sentinel-2's products."""
    return _one_rule(radiometry) and math.isclose(radiometry.scale[0] * QUANTIFICATION, 1.0)


def _shifted(pixels: npt.NDArray[np.uint16], counts: int) -> npt.NDArray[np.uint16]:
    """Numbers with whole counts added, kept within DARKEST and BRIGHTEST."""
    lowest, highest = max(DARKEST - counts, 0), min(BRIGHTEST - counts, 65_535)
    kept: npt.NDArray[np.uint16] = np.maximum(pixels, np.uint16(lowest))
    if highest < 65_535:
        np.minimum(kept, np.uint16(highest), out=kept)
    if counts:
        kept += np.uint16(counts % 65_536)  # sums wrap at 16 bits
    return kept


def _by_formula(band: Pixels, scale: float, offset: float) -> npt.NDArray[np.uint16]:
    values = band.astype(np.float64) * (scale * QUANTIFICATION) + offset * QUANTIFICATION
    clean = np.nan_to_num(np.rint(values), nan=DARKEST, posinf=BRIGHTEST, neginf=DARKEST)
    return np.asarray(np.clip(clean, DARKEST, BRIGHTEST), dtype=np.uint16)


def _by_table(pixels: Pixels, scale: float, offset: float) -> npt.NDArray[np.uint16]:
    table = _table(pixels.dtype.name, scale, offset)
    unsigned = pixels.view(f"uint{8 * pixels.dtype.itemsize}")
    return np.asarray(table[unsigned], dtype=np.uint16)


@lru_cache(maxsize=32)  # one a sensor and baseline; 128 KB each
def _table(dtype: str, scale: float, offset: float) -> npt.NDArray[np.uint16]:
    """Reflectance of every number of a small type, in the order of its unsigned bits."""
    bits = np.dtype(dtype).itemsize * 8
    numbers = np.arange(2**bits, dtype=f"uint{bits}").view(dtype)
    return _by_formula(numbers, scale, offset)
