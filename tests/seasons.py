"""A seeded factory of seasons: several dates of one ground as GeoTIFFs, with cloud and masks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine

from tests.made_up import UTM_44N, UTM_ORIGIN, write_raster
from tiles.headers import GsdLimits, SceneSource
from tiles.radiometry import MaskSource
from tiles.scene import Scene, open_source

LAND = 900  # darkest reflectance x 10,000 of the ground
CLOUD_SCL, SHADOW_SCL, SNOW_SCL, CLEAR_SCL = 9, 3, 11, 4
WHITE = 5200  # reflectance x 10,000 of a cloud


@dataclass(frozen=True)
class Cloud:
    """A square cloud: first row and column, and side, in pixels of 10 m; even, as SCL is 20 m."""

    row: int
    col: int
    side: int
    code: int = CLOUD_SCL


def ground(rows: int, cols: int, seed: int = 0) -> np.ndarray:
    """Reflectance x 10,000 of a made-up ground without clouds: (3, rows, cols), uint16."""
    rng = np.random.default_rng(seed)
    return (LAND + rng.integers(0, 1500, (3, rows, cols))).astype(np.uint16)


def write_date(
    folder: Path,
    date: str,
    pixels: np.ndarray,
    clouds: tuple[Cloud, ...] = (),
    transform: Affine = UTM_ORIGIN,
    crs: str = UTM_44N,
    masked: bool = True,
    offset: int = 0,
    **options: object,
) -> Scene:
    """Write one date (three bands and its SCL at 20 m) and open it as a Sentinel-2 L2A scene.

    `offset` counts are added to the stored numbers, as the baselines since 2022 have 1,000.
    """
    stored = pixels.copy()
    codes = np.full((pixels.shape[1] // 2, pixels.shape[2] // 2), CLEAR_SCL, np.uint8)
    for cloud in clouds:
        top, left, half = cloud.row, cloud.col, cloud.side // 2
        shade = LAND // 3 if cloud.code == SHADOW_SCL else WHITE
        stored[:, top : top + cloud.side, left : left + cloud.side] = shade
        codes[top // 2 : top // 2 + half, left // 2 : left // 2 + half] = cloud.code
    baseline = "N0510" if offset else "N0300"
    name = f"S2A_MSIL2A_{date.replace('-', '')}T053000_{baseline}_R005_T44RKR"
    numbers = (stored + offset).astype(pixels.dtype)
    path = write_raster(folder / f"{name}.tif", numbers, crs, transform, **options)
    if not masked:
        return open_date(path, None, date)
    coarser = transform @ Affine.scale(2)
    return open_date(
        path, write_raster(folder / f"{name}_SCL.tif", codes[None], crs, coarser), date
    )


def open_date(path: Path, scl: Path | None, date: str) -> Scene:
    """Open a file with its scene classification, as a catalogue would."""
    mask = None if scl is None else MaskSource(str(scl), kind="scl")
    source = SceneSource(path.stem, (str(path),), str(path), text=path.stem, mask=mask, date=date)
    return open_source(source, GsdLimits())
