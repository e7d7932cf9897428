"""Which pixels are usable: by the scene's own classification where it has one, else by brightness.

Thick and thin cloud, cloud shadow, snow, saturated and missing pixels are left out.
"""

import math

import numpy as np
import numpy.typing as npt

from tiles.coverage import STATUSES
from tiles.radiometry import MaskKind

SEARCHED, CLOUD, SNOW, NODATA = (
    STATUSES.index(name) for name in ("searched", "cloud", "snow", "nodata")
)
CLOUD_UINT8 = 247  # a Sentinel-2 true-colour image saturates at 255 (reflectance 0.36)
CLOUD_REFLECTANCE = 0.35  # Level-2A reflectance of thick cloud; bright soil stays below 0.3
CLOUD_PATCH_PX = 15  # white over 150 m: larger than any roof of a brick belt's villages
CLOUD_MARGIN_PX = 10  # the thin edge of a cloud, 100 m
FILL_PATCH_PX = 9  # black over 90 m: shadow is never 0 in all bands over that much ground
MASK_REACH_PX = CLOUD_PATCH_PX + CLOUD_MARGIN_PX  # how far a pixel's status depends on others
MARGIN_M = 100.0  # around cloud, shadow and snow of a classification: their thin edges are missed
SPECK_M = 50.0  # classifications call bright roofs cloud; what is under 50 m across is a roof

# Sentinel-2 scene classification (ESA, Sentinel-2 Products Specification Document): 0 no data,
# 1 saturated or defective, 2 dark or shade of terrain, 3 cloud shadow, 4 vegetation, 5 bare,
# 6 water, 7 unclassified, 8 and 9 cloud of medium and high probability, 10 cirrus, 11 snow.
SCL_STATUS = {0: NODATA, 1: NODATA, 3: CLOUD, 8: CLOUD, 9: CLOUD, 10: CLOUD, 11: SNOW}
# Landsat Collection 2 QA_PIXEL (USGS LSDS-1619): bit 0 fill, 1 dilated cloud, 2 cirrus, 3 cloud,
# 4 cloud shadow, 5 snow. Fill goes before cloud, and cloud before snow.
QA_FILL, QA_CLOUD, QA_SNOW = 1 << 0, (1 << 1) | (1 << 2) | (1 << 3) | (1 << 4), 1 << 5
NO_CODE = {"scl": 0, "qa_pixel": QA_FILL}  # what the classification says where it does not reach

StatusArray = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]


def pixel_status(
    pixels: npt.NDArray[np.generic], valid: Bools, known: StatusArray | None = None
) -> StatusArray:
    """Give every pixel the index of its coverage status.

    Args:
        pixels: (band, y, x), red, green and blue: uint8 true colour, or reflectance as uint16 times
            10,000 or float.
        valid: (y, x), False where the file says nodata or the pixel is saturated.
        known: (y, x) statuses by the scene's own classification (`classified`); brightness decides
            where there is none.

    Returns:
        (y, x) indexes into `tiles.coverage.STATUSES`: searched, cloud, snow or nodata.
    """
    unknown = ~valid | _black_fill(pixels)
    if pixels.dtype.kind == "f":
        unknown |= ~np.isfinite(pixels).all(axis=0)
    status = np.where(unknown, np.uint8(NODATA), np.uint8(SEARCHED))
    if known is not None:
        return np.maximum(status, known)
    status[_thick_cloud(pixels) & (status == SEARCHED)] = CLOUD
    return status


def classified(codes: npt.NDArray[np.generic], kind: MaskKind, pixel_m: float) -> StatusArray:
    """Statuses by a scene's own classification, on the grid of the classification.

    Specks of cloud and snow under SPECK_M are dropped and the rest is grown by MARGIN_M.

    Args:
        codes: (y, x), as the product writes them.
        kind: what the codes mean.
        pixel_m: side of a pixel, metres.

    Returns:
        (y, x) indexes into `tiles.coverage.STATUSES`: searched, cloud, snow or nodata.
    """
    raw = _raw_status(codes, kind)
    status = np.zeros(raw.shape, np.uint8)
    margin_px, speck_px = math.ceil(MARGIN_M / pixel_m), round(SPECK_M / (2 * pixel_m))
    for cover in (SNOW, CLOUD):  # where both reach, cloud stands: snow was seen less surely there
        mask = raw == cover
        if mask.any():
            status[_within(_without_specks(mask, speck_px), margin_px)] = cover
    status[raw == NODATA] = NODATA
    return status


def _raw_status(codes: npt.NDArray[np.generic], kind: MaskKind) -> StatusArray:
    if kind == "scl":
        table = np.full(256, SEARCHED, np.uint8)
        table[list(SCL_STATUS)] = list(SCL_STATUS.values())
        return np.asarray(table[codes.astype(np.uint8, copy=False)], np.uint8)
    bits = codes.astype(np.uint16)
    status = np.full(bits.shape, SEARCHED, np.uint8)
    status[(bits & QA_SNOW) > 0] = SNOW
    status[(bits & QA_CLOUD) > 0] = CLOUD
    status[(bits & QA_FILL) > 0] = NODATA
    return status


def _without_specks(mask: Bools, reach: int) -> Bools:
    """Only what holds a square of 2 reach + 1; pixels beyond the array count as part of it."""
    return _within(_all_within(mask, reach, outside=True), reach) & mask


def _black_fill(pixels: npt.NDArray[np.generic]) -> Bools:
    """0 in all bands over a square of FILL_PATCH_PX: a border that no nodata tag tells of.

    Sentinel-2's own true-colour images have such borders. Pixels beyond the array count as black.
    """
    black = np.asarray(pixels.max(axis=0) == 0, dtype=np.bool_)
    if not black.any():
        return black
    reach = FILL_PATCH_PX // 2
    return _within(_all_within(black, reach, outside=True), reach) & black


def _thick_cloud(pixels: npt.NDArray[np.generic]) -> Bools:
    """White in all bands over a square of CLOUD_PATCH_PX, grown by CLOUD_MARGIN_PX."""
    white = np.asarray(pixels.min(axis=0) >= _cloud_level(pixels.dtype))
    if not _may_hold(white, CLOUD_PATCH_PX):
        return np.zeros_like(white)
    reach = CLOUD_PATCH_PX // 2
    return _within(_all_within(white, reach, outside=False), reach + CLOUD_MARGIN_PX)


def _may_hold(mask: Bools, side: int) -> bool:
    """Whether a square of so many set pixels can lie inside: a quick look, surely True if one does.

    Of the squares of half the side on a fixed grid, such a square covers at least one.
    """
    half = (side + 1) // 2
    rows, cols = (length // half for length in mask.shape)
    cut = mask[: rows * half, : cols * half]
    lines = cut.reshape(rows, half, cols * half).all(axis=1)
    return bool(lines.reshape(rows, cols, half).all(axis=2).any())


def _cloud_level(dtype: np.dtype[np.generic]) -> float:
    if dtype == np.uint8:
        return CLOUD_UINT8
    return CLOUD_REFLECTANCE * (10_000 if dtype.kind in "ui" else 1)


def _within(mask: Bools, reach: int) -> Bools:
    """Whether any pixel of the square of 2 reach + 1 around is set; none is beyond the array."""
    for axis in (0, 1):
        mask = _any_along(mask, reach, axis)
    return mask


def _all_within(mask: Bools, reach: int, outside: bool) -> Bools:
    """Whether all pixels of the square of 2 reach + 1 around are set."""
    unset = ~np.pad(mask, reach, constant_values=outside)
    inner = slice(reach, -reach)
    return ~_within(unset, reach)[inner, inner]


def _any_along(mask: Bools, reach: int, axis: int) -> Bools:
    """Whether any of the 2 reach + 1 pixels around along one axis is set.

    Windows double until they are long enough, so the cost grows with the logarithm of the reach.
    """
    size = 2 * reach + 1
    widths = [(reach, reach) if side == axis else (0, 0) for side in (0, 1)]
    run = np.moveaxis(np.pad(mask, widths), axis, 0)
    width = 1
    while width < size:
        step = min(width, size - width)
        run = run[:-step] | run[step:]
        width += step
    return np.moveaxis(run, 0, axis)
