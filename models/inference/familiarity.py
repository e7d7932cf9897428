"""Whether imagery looks like what the weights were trained on, by simple statistics of patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.weights import Familiarity, FamiliarSource

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# A quarter of a square kilometre and more: enough pixels for stable statistics, and half a tile.
PATCH_PX = 64
# Beyond 99 of 100 training patches. A block is flagged when its median patch lies out there, which
# happened to none of the blocks held out.
FAMILIAR_SHARE = 0.99
# Pulls covariances towards their diagonal: one source may have fewer patches than it has bends.
SHRINKAGE = 0.05
# Correlations are kept off 1, where their Fisher transform has no value.
MOST_CORRELATION = 0.999
TINY = 1e-9


@dataclass(frozen=True)
class Patches:
    """Statistics of square patches of one array.

    Attributes:
        features: (n, 7): log ratios of band means (red/green, blue/green); log of the gradient at
            1 px over the contrast; log ratios of the gradients at 1 and 2, 2 and 4 px, which tell
            the true resolution; Fisher-transformed correlations of red with green and with blue.
        row: First row of each patch in the array.
        col: First column.
    """

    features: Floats
    row: NDArray[np.int64]
    col: NDArray[np.int64]


def patch_statistics(
    pixels: NDArray[Any], usable: Bools, first_row: int = 0, first_col: int = 0, every: int = 1
) -> Patches:
    """Statistics of all patches without an unusable pixel, on a grid from the first row and column.

    Args:
        pixels: (band, y, x), red, green, blue first, any scaling.
        usable: (y, x).
        first_row: Where the grid of patches starts.
        first_col: Where the grid of patches starts.
        every: Take only every so-manieth patch, along rows and columns of patches.
    """
    whole: Bools = np.all(_tiles(usable[None, first_row:, first_col:], every)[:, 0], axis=(1, 2))
    n_cols = max(-(-((usable.shape[1] - first_col) // PATCH_PX) // every), 1)
    index = np.flatnonzero(whole)
    taken = _tiles(np.asarray(pixels[:3, first_row:, first_col:]), every)
    values = taken[index].astype(np.float32)
    bright = np.isfinite(values).all(axis=(1, 2, 3)) & (values.mean(axis=(2, 3)) > 0).all(axis=1)
    index = index[bright]
    return Patches(
        features=_features(values[bright]),
        row=first_row + PATCH_PX * every * (index // n_cols),
        col=first_col + PATCH_PX * every * (index % n_cols),
    )


@dataclass(frozen=True)
class NumberedPatches:
    """Statistics of some of the patches asked for, as in `Patches`, and the numbers of these."""

    features: Floats
    number: NDArray[np.int64]


def statistics_at(
    pixels: NDArray[Any], usable: Bools, rows: NDArray[np.int64], cols: NDArray[np.int64]
) -> NumberedPatches:
    """Statistics of the patches with these first rows and columns, of those wholly usable.

    Args:
        pixels: (band, y, x), red, green, blue first, any scaling.
        usable: (y, x).
        rows: First row of each patch, (n,); a patch that leaves the array is left out.
        cols: First column of each patch.
    """
    numbers, parts = [], []
    for number, (row, col) in enumerate(zip(rows, cols, strict=True)):
        inside = np.s_[row : row + PATCH_PX, col : col + PATCH_PX]
        whole = row >= 0 and col >= 0 and usable[inside].shape == (PATCH_PX, PATCH_PX)
        if whole and usable[inside].all():
            parts.append(statistics_of(pixels[:, *inside], usable[inside]))
            numbers += [number] * len(parts[-1])
    features = np.concatenate(parts) if parts else np.zeros((0, 7))
    return NumberedPatches(features, np.array(numbers, np.int64))


def statistics_of(pixels: NDArray[Any], usable: Bools) -> Floats:
    """Features (0 or 1, 7) of an array of one patch."""
    return patch_statistics(pixels, usable).features


def fit_familiarity(sources: Sequence[tuple[str, Floats]]) -> Familiarity:
    """One normal distribution a source of training imagery, and a threshold for all.

    A patch is as far from the training as from the nearest source (the class-conditional distance
    of Lee et al., 2018). Every source has the same say in the threshold.

    Args:
        sources: Name and features (n, 7) of each source's patches.
    """
    fitted = [_fit_source(name, features) for name, features in sources if len(features) > 8]
    draft = Familiarity(sources=tuple(fitted), threshold=1.0)
    thresholds = [
        np.quantile(distances(draft, features), FAMILIAR_SHARE)
        for _, features in sources
        if len(features) > 8
    ]
    return draft.model_copy(update={"threshold": round(float(np.mean(thresholds)), 4)})


def distances(familiarity: Familiarity, features: Floats) -> Floats:
    """Mahalanobis distance of each patch to the nearest source, shape (n,)."""
    squares = []
    for source in familiarity.sources:
        offset = features - np.array(source.mean)
        inverse = np.array(source.inverse_covariance)
        squares.append(np.einsum("ij,jk,ik->i", offset, inverse, offset))
    return np.asarray(np.sqrt(np.maximum(np.min(squares, axis=0), 0.0)))


def _fit_source(name: str, features: Floats) -> FamiliarSource:
    covariance = np.cov(features.T)
    diagonal = np.diag(np.diag(covariance)) + 1e-6 * np.eye(len(covariance))
    inverse = np.linalg.inv((1 - SHRINKAGE) * covariance + SHRINKAGE * diagonal)
    return FamiliarSource(
        name=name,
        mean=tuple(np.round(features.mean(axis=0), 6).tolist()),
        inverse_covariance=tuple(tuple(row) for row in np.round(inverse, 4).tolist()),
    )


def _tiles(values: NDArray[Any], every: int) -> NDArray[Any]:
    """(band, y, x) to (patch, band, PATCH_PX, PATCH_PX); what does not fill a patch is left out.

    Of every so-manieth patch, along rows and columns of patches.
    """
    bands, rows, cols = values.shape
    down, across = rows // PATCH_PX, cols // PATCH_PX
    cut = values[:, : down * PATCH_PX, : across * PATCH_PX]
    cut = cut.reshape(bands, down, PATCH_PX, across, PATCH_PX)[:, ::every, :, ::every]
    return cut.transpose(1, 3, 0, 2, 4).reshape(-1, bands, PATCH_PX, PATCH_PX)


def _features(values: NDArray[np.float32]) -> Floats:
    """(patch, 3, y, x) to (patch, 7)."""
    mean = values.mean(axis=(2, 3), dtype=np.float64)  # (n, 3)
    offset = values - mean[:, :, None, None].astype(np.float32)
    covariance = np.einsum("nbyx,ncyx->nbc", offset, offset) / PATCH_PX**2  # (n, 3, 3)
    grey = values.mean(axis=1)  # (n, y, x)
    contrast = grey.std(axis=(1, 2), dtype=np.float64) + TINY
    steps = [_gradient(grey, lag) for lag in (1, 2, 4)]
    return np.stack(
        [
            np.log(mean[:, 0] / mean[:, 1]),
            np.log(mean[:, 2] / mean[:, 1]),
            np.log(steps[0] / contrast),
            np.log(steps[0] / steps[1]),
            np.log(steps[1] / steps[2]),
            _fisher(covariance, 0, 1),
            _fisher(covariance, 0, 2),
        ],
        axis=1,
    ).astype(np.float64)


def _gradient(grey: NDArray[np.float32], lag: int) -> Floats:
    """Mean absolute difference of pixels `lag` apart, along rows and columns, per patch."""
    across = np.abs(grey[:, :, lag:] - grey[:, :, :-lag]).mean(axis=(1, 2), dtype=np.float64)
    down = np.abs(grey[:, lag:] - grey[:, :-lag]).mean(axis=(1, 2), dtype=np.float64)
    return np.asarray(across + down + TINY)


def _fisher(covariance: Floats, first: int, second: int) -> Floats:
    scale = np.sqrt(covariance[:, first, first] * covariance[:, second, second]) + TINY
    correlation = covariance[:, first, second] / scale
    return np.asarray(np.arctanh(np.clip(correlation, -MOST_CORRELATION, MOST_CORRELATION)))
