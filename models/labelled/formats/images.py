"""An image file as pixels: its bands, which pixels count, and where on the ground they lie."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.warp import transform as warp

from models.chips import METRES_PER_DEGREE, Bools, Floats, Ground, LonLat
from tiles.errors import DatasetError

RGB = (1, 2, 3)
# The detector works on a grid of 10 m; a network cannot learn a kiln's size at another scale.
FINEST_GSD_M, COARSEST_GSD_M = 7.0, 12.5
# Of an image that does not say where it lies, such as a PNG: nothing tells its scale.
ASSUMED_GSD_M = 10.0


@dataclass(frozen=True)
class Image:
    """One image in memory.

    Attributes:
        path: The file.
        pixels: (band, y, x), native number type.
        usable: (y, x), False where the file says nodata.
        ground: For distances within the image.
        middle: Middle of the image; None where the file does not say where it lies.
        crs: None likewise.
        transform: From pixels to the CRS, an Affine.
    """

    path: Path
    pixels: NDArray[Any]
    usable: Bools
    ground: Ground
    middle: LonLat | None
    crs: CRS | None
    transform: Any

    def to_pixels(self, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
        """Columns and rows of positions in degrees, pixel-corner convention.

        Raises:
            DatasetError: The image does not say where it lies, or a position is none.
        """
        nowhere = (np.abs(lon) > 180) | (np.abs(lat) >= 90)
        if nowhere.any():
            i = int(np.flatnonzero(nowhere)[0])
            raise DatasetError(
                f"A site of {self.path} is said to lie at longitude {lon[i]:g}, latitude "
                f"{lat[i]:g}: there is no such place, so check the columns lon and lat."
            )
        if self.crs is None:
            raise DatasetError(
                f"{self.path} does not say where it lies, so positions in degrees cannot be put on "
                "it: use a GeoTIFF, or give pixel positions."
            )
        x, y = warp("EPSG:4326", self.crs, lon.tolist(), lat.tolist())
        col, row = ~self.transform @ (np.array(x), np.array(y))
        return col, row


def read_image(path: Path, bands: tuple[int, ...] = RGB) -> Image:
    """Read the bands of an image.

    Args:
        path: A GeoTIFF, PNG or anything else that GDAL reads.
        bands: One-based numbers of red, green and blue in the file.

    Raises:
        DatasetError: The image is missing, unreadable, lacks a band, holds NaN outside its nodata,
            or its pixels are of another size than the detector works at.

    An image that does not say where it lies is taken to have pixels of `ASSUMED_GSD_M`.
    """
    if not path.is_file():
        raise DatasetError(f"There is no image at {path}: check the path and the data folder.")
    try:
        with _opened(path) as source:
            if source.count < max(bands):
                raise DatasetError(
                    f"{path} has {source.count} band(s): red, green and blue are read from the "
                    f"bands {', '.join(map(str, bands))}."
                )
            pixels = source.read(list(bands))
            usable = source.dataset_mask() > 0
            image = Image(path, pixels, usable, _ground(source), _middle(source), *_where(source))
    except RasterioError as error:
        raise DatasetError(f"{path} is no image that can be read ({error}): replace it.") from error
    check_numbers(image.pixels, image.usable, path)
    _check_gsd(image)
    return image


def check_numbers(pixels: NDArray[Any], usable: Bools, where: Path) -> None:
    """Refuse pixels that are no numbers where they should be.

    Raises:
        DatasetError: A usable pixel is NaN or infinite.
    """
    if pixels.dtype.kind != "f":
        return
    bad = usable & ~np.isfinite(pixels).all(axis=-3)
    if bad.any():
        raise DatasetError(
            f"{where} holds {int(bad.sum())} pixels that are NaN or infinite but not marked as "
            "nodata: set its nodata value, or fill them."
        )


def check_inside(x: Floats, y: Floats, shape: tuple[int, ...], path: Path) -> None:
    """Refuse sites whose centre lies outside their image of shape (..., y, x).

    Raises:
        DatasetError: One does, or is no number.
    """
    outside = ~((x >= 0) & (x <= shape[-1]) & (y >= 0) & (y <= shape[-2]))
    if outside.any():
        i = int(np.flatnonzero(outside)[0])
        raise DatasetError(
            f"{path} places a site at x {x[i]:.1f}, y {y[i]:.1f}, outside the image of "
            f"{shape[-1]} x {shape[-2]} px: correct or remove it."
        )


def read_csv(path: Path, columns: tuple[str, ...], text: tuple[str, ...] = ()) -> pd.DataFrame:
    """A CSV that has at least these columns; see `numbers` for those that must hold numbers.

    Args:
        path: The file.
        columns: Names of the columns.
        text: Those whose cells stay as they are written: a tile may be called 0012.

    Raises:
        DatasetError: It is missing, unreadable, or a column is.
    """
    if not path.is_file():
        raise DatasetError(f"There is no table at {path}: check the path and the data folder.")
    try:
        frame = pd.read_csv(path, dtype=dict.fromkeys(text, str))
    except (ValueError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} is no CSV that can be read ({error}): replace it.") from error
    missing = [name for name in columns if name not in frame]
    if missing:
        raise DatasetError(f"{path} has no column {missing[0]!r}: its columns are {list(frame)}.")
    return frame


def numbers(frame: pd.DataFrame, columns: Sequence[str], path: Path, blank: bool = True) -> Floats:
    """Columns of a table as numbers, (n, column).

    Args:
        frame: The table.
        columns: Names of the columns.
        path: Its file, for messages.
        blank: Whether a cell may be empty; it becomes NaN.

    Raises:
        DatasetError: A cell holds something else.
    """
    cells = frame[list(columns)]
    values = cells.apply(pd.to_numeric, errors="coerce")
    wrong = np.argwhere((values.isna() & (cells.notna() | (not blank))).to_numpy())
    if len(wrong):
        row, column = wrong[0]
        raise DatasetError(
            f"{path}, line {row + 2}, has {_said(cells.iat[row, column])} in the column "
            f"{columns[column]!r}: write a number."
        )
    return np.asarray(values, float)


def _said(cell: object) -> str:
    return "nothing" if pd.isna(cell) else repr(str(cell))  # type: ignore[call-overload]


def _opened(path: Path) -> Any:  # noqa: ANN401  (rasterio ships no types)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # its place may stand in a table
        return rasterio.open(path)


def _check_gsd(image: Image) -> None:
    if image.crs is None:
        return
    for size_m in (image.ground.col_m, image.ground.row_m):
        if not FINEST_GSD_M <= size_m <= COARSEST_GSD_M:
            raise DatasetError(
                f"{image.path} has pixels of {size_m:.1f} m: the detector works at 10 m "
                f"({FINEST_GSD_M:g} to {COARSEST_GSD_M:g}), so resample the image first."
            )


def _where(source: Any) -> tuple[CRS | None, Any]:  # noqa: ANN401  (rasterio ships no types)
    return source.crs, source.transform


def _middle(source: Any) -> LonLat | None:  # noqa: ANN401
    if source.crs is None:
        return None
    x, y = source.transform @ (source.width / 2, source.height / 2)
    lon, lat = warp(source.crs, "EPSG:4326", [x], [y])
    return LonLat(float(lon[0]), float(lat[0]))


def _ground(source: Any) -> Ground:  # noqa: ANN401
    """Metres per pixel; for a picture in degrees at the latitude of its middle."""
    t = source.transform
    if source.crs is None:
        return Ground(0.0, 0.0, ASSUMED_GSD_M, ASSUMED_GSD_M)
    if not source.crs.is_geographic:
        return Ground(t.c, t.f, abs(t.a), abs(t.e))
    latitude = t.f + t.e * source.height / 2
    east = METRES_PER_DEGREE * float(np.cos(np.radians(latitude)))
    return Ground(t.c * east, t.f * METRES_PER_DEGREE, t.a * east, -t.e * METRES_PER_DEGREE)
