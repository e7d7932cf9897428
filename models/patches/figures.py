"""How well scores tell chips with a site from others: AUC, sensitivity at a stated specificity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.labelled.chip_dataset import Chips
from models.weights import Figure

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

# Six squares in a thousand: the operating point of the published detectors of these mines.
SPECIFICITY = 0.994
# Replicates of the bootstrap over places; the ends of the intervals move in the third digit.
REPLICATES = 400
HARD, RANDOM = "hard negatives", "random land"


@dataclass(frozen=True)
class Contrast:
    """Scores of chips with a site against scores of others, from one network.

    Attributes:
        score: (n,).
        is_site: (n,).
        place: (n,) number of the place of each, the unit of the bootstrap.
    """

    score: Floats
    is_site: Bools
    place: Ints

    def auc(self, weight: Floats) -> float:
        """Chance that a chip with a site scores higher than one without, ties counting half.

        Args:
            weight: (n,), how often each chip counts.
        """
        site, other = self._binned(weight)
        below = np.cumsum(other) - other
        total = site.sum() * other.sum()
        return float((site * (below + 0.5 * other)).sum() / total) if total else float("nan")

    def sensitivity(self, weight: Floats, specificity: float = SPECIFICITY) -> float:
        """Share of sites that score above what at most 1 - `specificity` of the others do."""
        site, other = self._binned(weight)
        above = other.sum() - np.cumsum(other)
        first = int(np.argmax(above <= (1 - specificity) * other.sum() + 1e-9))
        return float(site[first + 1 :].sum() / site.sum()) if site.sum() else float("nan")

    def _binned(self, weight: Floats) -> tuple[Floats, Floats]:
        """Weight of sites and of others at every score that occurs, in rising order."""
        values, bins = np.unique(self.score, return_inverse=True)
        site = np.bincount(bins, weight * self.is_site, len(values))
        other = np.bincount(bins, weight * ~self.is_site, len(values))
        return site.astype(float), other.astype(float)


Measure = Callable[[Contrast, Floats], float]


def patch_figures(scores: pd.DataFrame, chips: Chips) -> list[Figure]:
    """The figures of out-of-fold scores, hard negatives and random land apart.

    Each network is judged on its own fold: folds are averaged by their number of sites, then
    seeds. The 95 % intervals come from resampling places, the same in all folds and seeds.

    Args:
        scores: `chip, fold, seed, logit`; see `patch_training`.
        chips: The chips.
    """
    figures = []
    for against in (HARD, RANDOM):
        parts = contrasts(scores, chips, against)
        figures.append(_figure(f"AUC, {against}", parts, chips, Contrast.auc))
        name = f"sensitivity at specificity {SPECIFICITY}, {against}"
        figures.append(_figure(name, parts, chips, Contrast.sensitivity))
        for fold in chips.fold_names:
            own = [part for part in parts if part.fold == fold]
            figures.append(_figure(f"fold {fold}: AUC, {against}", own, chips, Contrast.auc))
    return figures


@dataclass(frozen=True)
class JudgedFold(Contrast):
    """The contrast of one fold's network.

    Attributes:
        fold: Name of the fold that it never saw.
        seed: Of its training.
    """

    fold: str = ""
    seed: int = 0


def contrasts(scores: pd.DataFrame, chips: Chips, against: str) -> list[JudgedFold]:
    """Sites against hard negatives or random land, a fold and seed at a time, in their order."""
    parts = []
    for (fold, seed), table in scores.groupby(["fold", "seed"], sort=True):
        index = table["chip"].to_numpy(np.int64)
        other = chips.random_land[index] == (against == RANDOM)
        kept = chips.is_site[index] | (other & ~chips.is_site[index])
        index = index[kept]
        score = table["logit"].to_numpy(float)[kept]
        parts.append(
            JudgedFold(score, chips.is_site[index], chips.place[index], str(fold), int(str(seed)))
        )
    return parts


def _figure(name: str, parts: Sequence[JudgedFold], chips: Chips, measure: Measure) -> Figure:
    rng = np.random.default_rng(0)
    n_places = int(chips.place.max()) + 1
    replicates = [
        mean_over_networks(parts, measure, times)
        for times in rng.multinomial(n_places, np.full(n_places, 1 / n_places), size=REPLICATES)
    ]
    low, high = np.nanquantile(replicates, [0.025, 0.975])
    once = np.ones(n_places, np.int64)
    by_seed = [
        mean_over_networks([p for p in parts if p.seed == seed], measure, once)
        for seed in sorted({p.seed for p in parts})
    ]
    return Figure(
        name=name,
        value=round(float(np.mean(by_seed)), 4),
        low=round(float(low), 4),
        high=round(float(high), 4),
        seed_spread=round(max(by_seed) - min(by_seed), 4) if len(by_seed) > 1 else None,
    )


def mean_over_networks(parts: Sequence[JudgedFold], measure: Measure, times: Ints) -> float:
    """Mean of a measure over networks, by the number of sites each judged."""
    values = [measure(part, times[part.place].astype(float)) for part in parts]
    return float(np.average(values, weights=[part.is_site.sum() for part in parts]))
