"""False alarms per 1,000 km2 by kind of land, with intervals from resampling the land."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from models.chips import Picture
from models.judging.backgrounds import KINDS, NO_KIND, classify_land
from models.judging.evaluation import Interval, draws, interval_of
from models.judging.scoring import land_blocks, place_numbers

Floats = NDArray[np.float64]
Kinds = NDArray[np.int8]

ALL_LAND = "all land"


class LandRate(BaseModel):
    """False alarms on one kind of land.

    Attributes:
        kind: See `models.judging.backgrounds`; or all land.
        area_km2: How much of it was looked at.
        false_alarms: How many lie on it.
        per_1000km2: The rate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    area_km2: float
    false_alarms: int
    per_1000km2: Interval

    def __str__(self) -> str:
        rate = self.per_1000km2
        return (
            f"{self.kind}: {rate.value:.0f} [{rate.low:.0f}, {rate.high:.0f}] per 1,000 km2 "
            f"({self.false_alarms} on {self.area_km2:,.0f} km2)"
        )


def land_rates(pictures: Sequence[Picture], false_alarms: Floats) -> tuple[LandRate, ...]:
    """Rates on all land and on each kind of which there is some.

    Args:
        pictures: What was looked at.
        false_alarms: Number of the picture, row and column of each, shape (n, 3).
    """
    areas, counts, blocks = [], [], []
    places = place_numbers(pictures)
    for number, picture in enumerate(pictures):
        kinds = _inner(classify_land(picture.pixels, picture.usable), picture.blind_edge_px)
        here = false_alarms[false_alarms[:, 0] == number, 1:]
        area, count, block = _tally(picture, kinds, here, places[number])
        areas.append(area)
        counts.append(count)
        blocks.append(block)
    area, count = np.concatenate(areas), np.concatenate(counts)  # (picture and block, kind)
    _, index = np.unique(np.concatenate(blocks), return_inverse=True)
    area = np.stack([np.bincount(index, column) for column in area.T], axis=1)
    count = np.stack([np.bincount(index, column) for column in count.T], axis=1)
    drawn = draws(len(area), seed=0)
    rates = [_rate(ALL_LAND, area.sum(axis=1), count.sum(axis=1), drawn)]
    rates += [_rate(kind, area[:, i], count[:, i], drawn) for i, kind in enumerate(KINDS)]
    return tuple(rate for rate in rates if rate.area_km2 > 0)


def _inner(kinds: Kinds, edge_px: int) -> Kinds:
    if edge_px:
        kinds[:edge_px] = kinds[-edge_px:] = NO_KIND
        kinds[:, :edge_px] = kinds[:, -edge_px:] = NO_KIND
    return kinds


def _tally(
    picture: Picture, kinds: Kinds, false_alarms: Floats, place: int
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Area (km2) and false alarms of each kind in each block of land, and the blocks."""
    ground, (rows, cols) = picture.ground, kinds.shape
    # Blocks are squares of kilometres: deciding them on every eighth pixel loses nothing.
    row, col = (a.ravel() for a in np.mgrid[0:rows:8, 0:cols:8])
    block = land_blocks(
        picture, ground.east_m + col * ground.col_m, ground.north_m - row * ground.row_m, place
    )
    names, at = np.unique(block, return_inverse=True)
    coarse = at.reshape(-(-rows // 8), -(-cols // 8))
    area = np.zeros((len(names), len(KINDS)))
    count = np.zeros_like(area)
    for i in range(len(KINDS)):
        pixels = np.add.reduceat(
            np.add.reduceat(kinds == i, range(0, rows, 8), axis=0, dtype=np.int64),
            range(0, cols, 8),
            axis=1,
        )
        area[:, i] = np.bincount(coarse.ravel(), pixels.ravel(), len(names))
    pixel_row = np.clip(false_alarms[:, 0].astype(int), 0, rows - 1)
    pixel_col = np.clip(false_alarms[:, 1].astype(int), 0, cols - 1)
    kind = kinds[pixel_row, pixel_col]
    known = kind != NO_KIND
    np.add.at(count, (coarse[pixel_row[known] // 8, pixel_col[known] // 8], kind[known]), 1)
    return area * ground.col_m * ground.row_m / 1e6, count, names


def _rate(kind: str, area_km2: Floats, count: Floats, drawn: Floats) -> LandRate:
    def per_1000km2(weights: Floats) -> Floats:
        return np.asarray(1000 * (weights @ count) / np.maximum(weights @ area_km2, 1e-9))

    total = float(area_km2.sum())
    value = 1000 * float(count.sum()) / max(total, 1e-9)
    some = drawn[drawn @ area_km2 > 0]
    replicates = per_1000km2(some) if len(some) else np.zeros(1)
    interval = interval_of(value, replicates)
    return LandRate(
        kind=kind, area_km2=round(total, 2), false_alarms=int(count.sum()), per_1000km2=interval
    )
