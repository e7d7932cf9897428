"""Which pixels are usable: not nodata, not under thick cloud, judged from the pixels alone."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from tiles.coverage import STATUSES

SEARCHED, CLOUD, NODATA = (STATUSES.index(name) for name in ("searched", "cloud", "nodata"))
CLOUD_UINT8 = 247  # a Sentinel-2 true-colour image saturates at 255 (reflectance 0.36)
CLOUD_REFLECTANCE = 0.35  # Level-2A reflectance of thick cloud; bright soil stays below 0.3
CLOUD_PATCH_PX = 15  # white over 150 m: larger than any roof of a brick belt's villages
CLOUD_MARGIN_PX = 10  # the thin edge of a cloud, 100 m
FILL_PATCH_PX = 9  # black over 90 m: shadow is never 0 in all bands over that much ground
MASK_REACH_PX = CLOUD_PATCH_PX + CLOUD_MARGIN_PX  # how far a pixel's status depends on others

StatusArray = npt.NDArray[np.uint8]


def pixel_status(pixels: npt.NDArray[np.generic], valid: npt.NDArray[np.bool_]) -> StatusArray:
    """Give every pixel the index of its coverage status.

    Args:
        pixels: (band, y, x), red, green and blue as stored: uint8 true colour, or reflectance as
            uint16 times 10,000 or float.
        valid: (y, x), False where the file says nodata.

    Returns:
        (y, x) indexes into `tiles.coverage.STATUSES`: searched, cloud or nodata.
    """
    finite = np.isfinite(pixels).all(axis=0) if pixels.dtype.kind == "f" else True
    status = np.where(valid & finite & ~_black_fill(pixels), SEARCHED, NODATA).astype(np.uint8)
    status[_thick_cloud(pixels) & (status == SEARCHED)] = CLOUD
    return status


def _black_fill(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """0 in all bands over a square of FILL_PATCH_PX: a border that no nodata tag tells of.

    Sentinel-2's own true-colour images have such borders. Pixels beyond the array count as black.
    """
    black = np.asarray((pixels == 0).all(axis=0), dtype=np.bool_)
    if not black.any():
        return black
    square = np.ones((FILL_PATCH_PX, FILL_PATCH_PX), dtype=bool)
    core = ndimage.binary_erosion(black, structure=square, border_value=1)
    return np.asarray(ndimage.binary_dilation(core, structure=square) & black, dtype=np.bool_)


def _thick_cloud(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """White in all bands over a square of CLOUD_PATCH_PX, grown by CLOUD_MARGIN_PX."""
    white = pixels.min(axis=0) >= _cloud_level(pixels.dtype)
    if not white.any():
        return np.zeros(white.shape, dtype=np.bool_)
    core = ndimage.binary_erosion(white, structure=np.ones((CLOUD_PATCH_PX,) * 2, dtype=bool))
    grown = CLOUD_PATCH_PX + 2 * CLOUD_MARGIN_PX
    return np.asarray(ndimage.maximum_filter(core, size=grown), dtype=bool)


def _cloud_level(dtype: np.dtype[np.generic]) -> float:
    if dtype == np.uint8:
        return CLOUD_UINT8
    return CLOUD_REFLECTANCE * (10_000 if dtype.kind in "ui" else 1)
