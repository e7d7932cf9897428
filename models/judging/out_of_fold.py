"""What tables of out-of-fold scores say: figures by region, nested thresholds, paired gains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from models.judging.evaluation import (
    FIXED_RECALL,
    Curve,
    Interval,
    Ranking,
    best_threshold,
    curve,
    draws,
    false_alarms_at_recall,
    interval_of,
)
from models.judging.reliability import left_out
from models.weights import Figure
from tiles.errors import DatasetError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NAMES = {
    "average precision": "ap",
    "F1": "f1",
    "precision": "precision",
    "recall": "recall",
}
GAINS = {"average precision": "ap", "F1": "f1"}


@dataclass(frozen=True)
class Threshold:
    """Detections above a score; one figure for all, or one a row where it differs by place."""

    above: pd.Series[bool]

    @classmethod
    def fixed(cls, table: pd.DataFrame, score: float) -> Threshold:
        """The same score everywhere."""
        return cls(table["score"] > score)


def figures_of_table(table: pd.DataFrame, threshold: float) -> list[Figure]:
    """Figures of every region of a table of scores, for a card.

    With several seeds a figure is the mean over seeds, its interval comes from resampling the same
    blocks for all of them, and `seed_spread` is the greatest less the smallest.
    """
    return [
        figure
        for region, part in table.groupby("region")
        for figure in figures_above(str(region), part, Threshold.fixed(part, threshold))
    ]


def nested_figures_of_table(table: pd.DataFrame) -> list[Figure]:
    """The same, with the threshold of every place chosen on the other places; see `nested`."""
    thresholds = nested(table)
    return [
        figure
        for region, part in table.groupby("region")
        for figure in figures_above(str(region), part, Threshold(thresholds.above[part.index]))
    ]


@dataclass(frozen=True)
class Nested:
    """Thresholds that no place chose for itself.

    Attributes:
        above: For every row of the table, whether its score is above its place's threshold.
        by_place: The thresholds, by place and seed.
    """

    above: pd.Series[bool]
    by_place: dict[tuple[str, int], float]


def nested(table: pd.DataFrame) -> Nested:
    """For each place the threshold of greatest F1 on the out-of-fold scores of the others.

    The others are those of the same region where there are any, else all; always of the same seed.

    Args:
        table: Out-of-fold scores, `scoring.SCORE_COLUMNS`, with a fresh index.

    Raises:
        DatasetError: There is no other place to choose a threshold on.
    """
    place = left_out(table)
    above = pd.Series(False, index=table.index)
    by_place = {}
    for name, seed in sorted(set(zip(place, table["seed"], strict=True))):
        here = table[(place == name) & (table["seed"] == seed)]
        elsewhere = table[(place != name) & (table["seed"] == seed)]
        alike = elsewhere[elsewhere["region"].isin(here["region"].unique())]
        others = alike if alike["is_site"].any() else elsewhere
        if not others["is_site"].any():
            raise DatasetError(
                f"There is no place but {name} with known sites in the scores, so no threshold can "
                "be chosen elsewhere: join the tables of several folds."
            )
        threshold = best_of(others)
        above[here.index] = here["score"] > threshold
        by_place[str(name), int(seed)] = threshold
    return Nested(above, by_place)


def best_of(table: pd.DataFrame) -> float:
    """The threshold of greatest F1 on a table of scores."""
    found = table[table["score"] > 0]
    return best_threshold(
        found["score"].to_numpy(float),
        found["is_site"].to_numpy(bool),
        int(table["is_site"].sum()),
    )


class Gain(BaseModel):
    """How much the second detector is better than the first, over the same blocks of land.

    Attributes:
        region: Where.
        figure: Of what.
        first: The first detector's.
        second: The second's.
        gain: Second less first; it counts when its interval excludes 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    region: str
    figure: str
    first: float
    second: float
    gain: Interval

    @property
    def counts(self) -> bool:
        """Whether the interval excludes 0."""
        return self.gain.low > 0 or self.gain.high < 0

    def __str__(self) -> str:
        words = "excludes 0" if self.counts else "holds 0: no difference shown"
        return (
            f"{self.region}: {self.figure} {self.first:.3f} to {self.second:.3f}, gain {self.gain} "
            f"({words})"
        )


def compare_tables(
    first: pd.DataFrame, second: pd.DataFrame, first_threshold: float, second_threshold: float
) -> list[Gain]:
    """Paired bootstrap of two detectors' tables of scores, region by region.

    Both are resampled with the same draws of the same blocks (Efron and Tibshirani, 1993), so land
    that is hard for both does not blur the difference. Several seeds are averaged first.

    Args:
        first: Out-of-fold scores of the detector to beat.
        second: Those of the other.
        first_threshold: Score above which detections of the first count for F1.
        second_threshold: The same for the second.

    Raises:
        DatasetError: The tables have no region in common.
    """
    shared = sorted(set(first["region"]) & set(second["region"]))
    if not shared:
        raise DatasetError(
            f"The scores have no region in common: {sorted(set(first['region']))} and "
            f"{sorted(set(second['region']))}; score both detectors on the same places."
        )
    gains = []
    for region in shared:
        parts = [t[t["region"] == region] for t in (first, second)]
        blocks = sorted(set(parts[0]["place"]) | set(parts[1]["place"]))
        a, b = (
            _rankings(part, Threshold.fixed(part, at), blocks)
            for part, at in zip(parts, (first_threshold, second_threshold), strict=True)
        )
        gains += paired_gains(region, a, b, len(blocks))
    return gains


@dataclass(frozen=True)
class Judged:
    """A ranking whose blocks are numbered from 0, and which of its detections count for F1."""

    ranking: Ranking
    above: NDArray[np.bool_]


def paired_gains(
    region: str, first: Sequence[Judged], second: Sequence[Judged], n_blocks: int
) -> list[Gain]:
    """Gains of the second detector; each is given as one ranking a seed."""
    if not any(len(judged.ranking.site_block) for judged in [*first, *second]):
        return []
    drawn = draws(n_blocks, seed=0)
    whole = np.ones((1, n_blocks))
    curves = [[_mean_curves(j, w) for w in (whole, drawn)] for j in (first, second)]
    gains = []
    for name, key in GAINS.items():
        (a, many_a), (b, many_b) = ([c[key] for c in pair] for pair in curves)
        gains.append(
            Gain(
                region=region,
                figure=name,
                first=round(float(a[0]), 4),
                second=round(float(b[0]), 4),
                gain=interval_of(float(b[0] - a[0]), many_b - many_a),
            )
        )
    return gains


def _mean_curves(judged: Sequence[Judged], weights: Floats) -> dict[str, Floats]:
    """Figures of each row of weights, averaged over seeds."""
    by_seed = [_curves(one, weights) for one in judged]
    return {
        key: np.mean([[getattr(c, key) for c in curves] for curves in by_seed], axis=0)
        for key in NAMES.values()
    }


def _curves(judged: Judged, weights: Floats) -> list[Curve]:
    blocks = np.arange(weights.shape[1])
    return [curve(judged.ranking, blocks, w, judged.above) for w in weights]


def figures_above(region: str, table: pd.DataFrame, threshold: Threshold) -> list[Figure]:
    """Figures of one region's table of scores, those of F1 above a threshold."""
    if not table["is_site"].any():
        return []
    blocks = sorted(set(table["place"]))
    judged = _rankings(table, threshold, blocks)
    drawn = draws(len(blocks), seed=0)
    replicates = _mean_curves(judged, drawn)
    whole = [_curves(one, np.ones((1, len(blocks))))[0] for one in judged]
    figures = []
    for name, key in NAMES.items():
        values = [float(getattr(one, key)) for one in whole]
        i = interval_of(float(np.mean(values)), replicates[key])
        figures.append(
            Figure(
                name=f"{region}: {name}",
                value=i.value,
                low=i.low,
                high=i.high,
                seed_spread=_spread(values),
            )
        )
    return [*figures, *_rates(region, table, judged)]


def _rates(region: str, table: pd.DataFrame, judged: Sequence[Judged]) -> list[Figure]:
    """False alarms per 1,000 km2, at the threshold and at `FIXED_RECALL`."""
    one_seed = table[table["seed"] == table["seed"].iloc[0]]
    area_km2 = _area_km2(one_seed)
    at = [1000 * float((j.above & ~j.ranking.hit).sum()) / area_km2 for j in judged]
    fixed = [
        false_alarms_at_recall(j.ranking.hit, len(j.ranking.site_block), FIXED_RECALL)
        for j in judged
    ]
    name = f"{region}: false alarms per 1,000 km2"
    figures = [Figure(name=name, value=round(float(np.mean(at)), 1), seed_spread=_spread(at))]
    reached = [1000 * n / area_km2 for n in fixed if n is not None]
    if len(reached) == len(judged):
        figures.append(
            Figure(
                name=f"{name} at recall {FIXED_RECALL:g}",
                value=round(float(np.mean(reached)), 1),
                seed_spread=_spread(reached),
            )
        )
    return figures


def _area_km2(table: pd.DataFrame) -> float:
    """Area of all places of a table."""
    return float(table.groupby(left_out(table))["area_km2"].first().sum())


def _spread(values: Sequence[float]) -> float | None:
    return round(max(values) - min(values), 4) if len(values) > 1 else None


def _rankings(table: pd.DataFrame, threshold: Threshold, blocks: Sequence[str]) -> list[Judged]:
    """One ranking a seed, with blocks numbered as in `blocks`."""
    number = {name: i for i, name in enumerate(blocks)}
    judged = []
    for _, part in table.groupby("seed"):
        found = part[part["score"] > 0].sort_values("score", ascending=False, kind="stable")
        sites = part[part["is_site"]]
        ranking = Ranking(
            found["is_site"].to_numpy(bool),
            found["score"].to_numpy(float),
            np.array([number[name] for name in found["place"]], np.int64),
            np.array([number[name] for name in sites["place"]], np.int64),
        )
        judged.append(Judged(ranking, threshold.above[found.index].to_numpy(bool)))
    return judged
