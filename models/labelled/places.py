"""Places on the ground: blocks and strips of land, held out whole and with a guard around them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import numpy as np
from pyproj import Transformer

from models.chips import LonLat, Picture, PixelRect
from tiles.errors import DatasetError

# Land this near a place held out is not trained on: no kiln yard, and no normalisation window of
# 560 m, reaches over.
GUARD_M = 1000.0
# Blocks held out without anybody naming places: what lies 20 km apart shares no town and no haze.
BLOCK_M = 20_000.0
# The narrowest strip of a scene that may be held out on its own.
NARROWEST_STRIP_M = 15_000.0


@cache
def _to_plane() -> Transformer:
    return Transformer.from_crs("EPSG:4326", "EPSG:6933", always_xy=True)


def block_name(region: str, position: LonLat, block_m: float) -> str:
    """The square block of land (EPSG:6933, equal-area) that a position lies in, `region/row_col`.

    Args:
        region: Stands before the block's number.
        position: In degrees, WGS 84.
        block_m: Side of the block, metres.
    """
    x_m, y_m = _to_plane().transform(position.lon, position.lat)
    number = f"{math.floor(-y_m / block_m)}_{math.floor(x_m / block_m)}"
    return f"{region}/{number}" if region else number


@dataclass(frozen=True)
class Part:
    """A part of a scene that is a place of its own."""

    place: str
    rect: PixelRect


def scene_parts(picture: Picture, strips: int | None, block_m: float = BLOCK_M) -> list[Part]:
    """A scene cut into places `region/1`, `region/2`, ...: strips from west to east, or blocks.

    Args:
        picture: The whole scene; its place is the region's name.
        strips: Number of strips over the whole height; None for blocks of at least `block_m`.
        block_m: Least side of a block, metres.

    Raises:
        DatasetError: The strips would be narrower than `NARROWEST_STRIP_M`.
    """
    rows, cols = picture.usable.shape
    width_m, height_m = cols * picture.ground.col_m, rows * picture.ground.row_m
    if strips is not None and strips > 1 and width_m / strips < NARROWEST_STRIP_M:
        raise DatasetError(
            f"{picture.name} is {width_m / 1000:.1f} km wide: {strips} strips would be "
            f"{width_m / strips / 1000:.1f} km each, at least {NARROWEST_STRIP_M / 1000:.0f} km "
            "are needed."
        )
    n_cols = strips or max(int(width_m // block_m), 1)
    n_rows = 1 if strips else max(int(height_m // block_m), 1)
    down, across = _cuts(rows, n_rows), _cuts(cols, n_cols)
    if n_rows * n_cols == 1:
        return [Part(picture.place, picture.rect)]
    return [
        Part(f"{picture.place}/{i * n_cols + j + 1}", PixelRect(*down[i], *across[j]))
        for i in range(n_rows)
        for j in range(n_cols)
    ]


def _cuts(length: int, n: int) -> list[tuple[int, int]]:
    ends = [round(length * i / n) for i in range(n + 1)]
    return list(pairwise(ends))


def training_rects(
    parts: Sequence[Part], held: AbstractSet[str], guard: PixelRect
) -> list[PixelRect]:
    """What is left of a scene to train on: runs of parts side by side, kept off what is held out.

    Args:
        parts: All parts of the scene.
        held: Places of those that are not trained on.
        guard: Its `row1` and `col1` are the guard's height and width in pixels.
    """
    closed = [part.rect for part in parts if part.place in held]
    rects = []
    for run in _runs([part for part in parts if part.place not in held], bool(closed)):
        for other in closed:
            run = _kept_off(run, other, guard)
        if run.row1 > run.row0 and run.col1 > run.col0:
            rects.append(run)
    return rects


def _runs(parts: Sequence[Part], cut: bool) -> list[PixelRect]:
    """Parts side by side in one row as one rectangle; all of the scene where nothing is cut out."""
    rects = [part.rect for part in parts]
    if not cut and rects:
        last = rects[-1]
        return [PixelRect(rects[0].row0, last.row1, rects[0].col0, last.col1)]
    runs: list[PixelRect] = []
    for rect in rects:
        if runs and runs[-1].row0 == rect.row0 and runs[-1].col1 == rect.col0:
            runs[-1] = replace(runs[-1], col1=rect.col1)
        else:
            runs.append(rect)
    return runs


def _kept_off(rect: PixelRect, other: PixelRect, guard: PixelRect) -> PixelRect:
    """The largest part of a rectangle on one side of another, the guard between them."""
    rows, cols = guard.row1, guard.col1
    apart_rows = max(other.row0 - rect.row1, rect.row0 - other.row1) >= rows
    if apart_rows or max(other.col0 - rect.col1, rect.col0 - other.col1) >= cols:
        return rect
    sides = [
        replace(rect, col0=max(rect.col0, other.col1 + cols)),
        replace(rect, col1=min(rect.col1, other.col0 - cols)),
        replace(rect, row0=max(rect.row0, other.row1 + rows)),
        replace(rect, row1=min(rect.row1, other.row0 - rows)),
    ]
    return max(sides, key=_area)


def _area(rect: PixelRect) -> int:
    return max(rect.row1 - rect.row0, 0) * max(rect.col1 - rect.col0, 0)


def near_any(pictures: Sequence[Picture], others: Sequence[Picture], guard_m: float) -> list[bool]:
    """Whether each picture lies within a guard of any of the others, by their outlines.

    Pictures that do not say where they lie are near nobody: only their place's name keeps them
    apart. Outlines are taken as upright, and distances are good to a few metres in a thousand.
    """
    boxes = np.array([_extent(p) for p in others if p.middle is not None]).reshape(-1, 4)
    return [p.middle is not None and bool(_near(_extent(p), boxes, guard_m)) for p in pictures]


def _extent(picture: Picture) -> tuple[float, float, float, float]:
    """Longitude and latitude of the middle, half the width and height in metres."""
    rows, cols = picture.usable.shape
    assert picture.middle is not None
    half_width, half_height = cols * picture.ground.col_m / 2, rows * picture.ground.row_m / 2
    return picture.middle.lon, picture.middle.lat, half_width, half_height


def _near(
    one: tuple[float, float, float, float],
    boxes: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    guard_m: float,
) -> bool:
    lon, lat, half_width, half_height = one
    gap_x = np.abs(boxes[:, 0] - lon) * _degree_east_m(lat) - half_width - boxes[:, 2]
    gap_y = np.abs(boxes[:, 1] - lat) * _degree_north_m(lat) - half_height - boxes[:, 3]
    return bool((np.hypot(gap_x.clip(0), gap_y.clip(0)) < guard_m).any())


def _degree_north_m(lat: float) -> float:
    """Length of a degree of latitude on WGS 84 (the series of NGA's length calculator; to 1 m)."""
    phi = math.radians(lat)
    return 111_132.92 - 559.82 * math.cos(2 * phi) + 1.175 * math.cos(4 * phi)


def _degree_east_m(lat: float) -> float:
    """Length of a degree of longitude on WGS 84, from the same series."""
    phi = math.radians(lat)
    return 111_412.84 * math.cos(phi) - 93.5 * math.cos(3 * phi) + 0.118 * math.cos(5 * phi)
