"""How good probabilities are on places not trained on: Brier skill, slope, debiased error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.special import erf

from models.calibration import Calibration, fit_calibration, fit_logistic, score_logit
from models.judging.evaluation import Interval, interval_of
from models.logistic import Prior, logistic_mode
from tiles.errors import DatasetError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

# Bins of the calibration error: the usual number; debiasing makes the choice matter little.
BINS = 15
# Replicates of the bootstrap over blocks of land.
REPLICATES = 300
# Fewer of either kind bear no slope.
FEWEST = 5


class Reliability(BaseModel):
    """Figures of calibration, all brought to the survey's prevalence.

    Attributes:
        n_true: Detections on a site.
        n_false: Others.
        prevalence_per_1000km2: The density of sites that the figures hold for.
        brier: Mean squared error of the probability (Brier, 1950).
        brier_skill: 1 - brier / the error of always saying the base rate; 1 is perfect, 0 no use.
        slope: Of the log-odds of truth on the log-odds said (Cox, 1958); under 1 is overconfident.
        intercept: Of the same regression; log-odds of truth where P = 0.5 was said.
        in_the_large: The same with the slope held at 1 (Van Calster et al., 2016): above 0, sites
            are more frequent than said.
        expected_error: Mean absolute difference of probability and frequency over bins of equal
            mass, debiased (Kumar, Liang and Ma, 2019); 0 is perfect.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_true: int
    n_false: int
    prevalence_per_1000km2: float
    brier: float
    brier_skill: Interval
    slope: Interval
    intercept: Interval
    in_the_large: Interval
    expected_error: Interval

    def __str__(self) -> str:
        return (
            f"at {self.prevalence_per_1000km2:g} sites per 1,000 km2: Brier skill "
            f"{self.brier_skill}, slope {self.slope}, intercept {self.intercept}, in the large "
            f"{self.in_the_large}, debiased ECE {self.expected_error}"
        )


@dataclass(frozen=True)
class Forecasts:
    """Probabilities that were said, and what was true.

    Attributes:
        log_odds: Of the probabilities, which presuppose the survey's prevalence, shape (n,).
        is_site: Whether it was a site.
        per_1000km2: Density of sites of the sample each comes from.
        place: Number of the block of land, the bootstrap's unit.
    """

    log_odds: Floats
    is_site: Bools
    per_1000km2: Floats
    place: Ints

    def __len__(self) -> int:
        return len(self.log_odds)

    def __getitem__(self, index: Bools) -> Forecasts:
        return Forecasts(
            self.log_odds[index], self.is_site[index], self.per_1000km2[index], self.place[index]
        )


def forecasts_of(table: pd.DataFrame, log_odds: Floats, place: Ints | None = None) -> Forecasts:
    """The detections of a table of scores (rows of sites never found say nothing here).

    Args:
        table: As `scoring.score_table` writes them.
        log_odds: One a row of the table.
        place: The bootstrap's unit of each row, where the table's own places are none.
    """
    if place is None:
        place = pd.factorize(table["place"], sort=True)[0].astype(np.int64)
    use = ((table["score"] > 0) & (table["per_1000km2"] > 0)).to_numpy()
    return Forecasts(
        np.asarray(log_odds, float)[use],
        table["is_site"].to_numpy(bool)[use],
        table["per_1000km2"].to_numpy(float)[use],
        place[use],
    )


def reliability(
    forecasts: Forecasts, prevalence_per_1000km2: float, seed: int = 0
) -> Reliability | None:
    """All figures, with 95 % intervals from resampling blocks of land.

    A site in a sample with many sites stands for fewer in the survey: it weighs the ratio of the
    two densities, and others weigh 1 (label shift; Saerens, Latinne and Decaestecker, 2002). The
    regressions take the ratio as a known offset instead (King and Zeng, 2001), which is the same in
    expectation and steadier.

    Args:
        forecasts: Probabilities for a survey with `prevalence_per_1000km2`, and the truth.
        prevalence_per_1000km2: That density.
        seed: Of the bootstrap.

    Returns:
        None where there are too few detections of either kind.
    """
    n_true = int(forecasts.is_site.sum())
    n_false = len(forecasts) - n_true
    if min(n_true, n_false) < FEWEST:
        return None
    ones = np.ones(len(forecasts))
    whole = _figures(forecasts, ones, prevalence_per_1000km2)
    replicates = [
        _figures(forecasts, drawn, prevalence_per_1000km2, whole)
        for drawn in _draws(forecasts.place, seed)
    ]

    def both(name: str) -> Interval:
        return interval_of(whole[name], [r[name] for r in replicates])

    return Reliability(
        n_true=n_true,
        n_false=n_false,
        prevalence_per_1000km2=prevalence_per_1000km2,
        brier=round(_brier(forecasts, _weights(forecasts, ones, prevalence_per_1000km2)), 5),
        brier_skill=both("brier_skill"),
        slope=both("slope"),
        intercept=both("intercept"),
        in_the_large=both("in_the_large"),
        expected_error=both("expected_error"),
    )


def _draws(place: Ints, seed: int) -> list[Floats]:
    """Weights of detections, one array a replicate."""
    rng = np.random.default_rng(seed)
    _, index = np.unique(place, return_inverse=True)
    n = int(index.max()) + 1
    return [
        draw[index].astype(float) for draw in rng.multinomial(n, np.full(n, 1 / n), size=REPLICATES)
    ]


def _weights(forecasts: Forecasts, drawn: Floats, prevalence: float) -> Floats:
    return drawn * np.where(forecasts.is_site, prevalence / forecasts.per_1000km2, 1.0)


def _probabilities(log_odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -30, 30))))


def _brier(forecasts: Forecasts, weights: Floats) -> float:
    error = _probabilities(forecasts.log_odds) - forecasts.is_site
    return float((weights * error**2).sum() / max(weights.sum(), 1e-12))


def _figures(
    forecasts: Forecasts, drawn: Floats, prevalence: float, near: dict[str, float] | None = None
) -> dict[str, float]:
    """All figures of one replicate, whose detections count `drawn` times each.

    Those of another replicate are `near`, where the regressions may start.
    """
    target = forecasts.is_site.astype(float)
    offsets = np.log(forecasts.per_1000km2 / prevalence)
    line = np.array([near["intercept"], near["slope"]]) if near else None
    intercept, slope = fit_logistic(forecasts.log_odds, target, offsets, drawn, line)
    flat = Prior(np.zeros(1), np.full((1, 1), 1e-9))
    shift = logistic_mode(
        np.ones((len(forecasts), 1)),
        target,
        flat,
        forecasts.log_odds + offsets,
        drawn,
        np.array([near["in_the_large"]]) if near else None,
    )
    return {
        "brier_skill": _brier_skill(forecasts, drawn, prevalence),
        "slope": float(slope),
        "intercept": float(intercept),
        "in_the_large": float(shift.beta[0]),
        "expected_error": _expected_error(forecasts, drawn, prevalence),
    }


def _brier_skill(forecasts: Forecasts, drawn: Floats, prevalence: float) -> float:
    weights = _weights(forecasts, drawn, prevalence)
    base = float((weights * forecasts.is_site).sum() / max(weights.sum(), 1e-12))
    return 1 - _brier(forecasts, weights) / max(base * (1 - base), 1e-12)


def _expected_error(forecasts: Forecasts, drawn: Floats, prevalence: float) -> float:
    weights = _weights(forecasts, drawn, prevalence)
    p = _probabilities(forecasts.log_odds)
    return debiased_error(p, forecasts.is_site, weights)


def debiased_error(p: Floats, is_site: Bools, weights: Floats, bins: int = BINS) -> float:
    """Expected calibration error over bins of equal mass, less what chance alone gives it.

    The plug-in error is too large, since frequencies in finite bins scatter; Kumar, Liang and Ma
    (2019, "Verified uncertainty calibration") subtract the mean excess of errors drawn anew from a
    normal distribution around each bin's frequency. That mean is known in closed form (the mean of
    a folded normal distribution, Leone, Nelson and Nottingham, 1961), so nothing is drawn here.

    Args:
        p: Probabilities, shape (n,).
        is_site: Truth, shape (n,).
        weights: Of each, shape (n,).
        bins: How many.
    """
    total = weights.sum()
    if total <= 0:
        return 0.0
    # Equal probabilities share a bin, which the middle of their weight decides.
    values, group = np.unique(p, return_inverse=True)
    heavy = np.bincount(group, weights, len(values))
    at = (np.cumsum(heavy) - heavy / 2) / total
    index = np.minimum((at * bins).astype(int), bins - 1)[group]
    mass, squares = np.bincount(index, weights, bins), np.bincount(index, weights**2, bins)
    used = mass > 0
    said = np.bincount(index, weights * p, bins)[used] / mass[used]
    frequency = np.bincount(index, weights * is_site, bins)[used] / mass[used]
    effective = mass[used] ** 2 / squares[used]  # Kish's number of equally weighted ones
    scatter = np.sqrt(frequency * (1 - frequency) / effective)
    plug_in = np.abs(frequency - said)
    expected = _folded_normal_mean(frequency - said, scatter)
    return max(float((mass[used] / total * (2 * plug_in - expected)).sum()), 0.0)


def _folded_normal_mean(mean: Floats, deviation: Floats) -> Floats:
    safe = np.maximum(deviation, 1e-12)
    bell = safe * np.sqrt(2 / np.pi) * np.exp(-(mean**2) / (2 * safe**2))
    return np.asarray(bell + mean * erf(mean / (safe * np.sqrt(2))))


def log_odds_of(calibration: Calibration, scores: Floats) -> Floats:
    """Log-odds that a curve gives to scores."""
    return np.asarray(calibration.intercept + calibration.slope * score_logit(scores))


def crossfitted_log_odds(table: pd.DataFrame, prevalence_per_1000km2: float) -> Floats:
    """For each row of a table of scores, the log-odds of the curve fitted on the other places.

    The place that is left out is the fold where the table has folds, else the region. Rows of land
    without any site take no part in the fits.

    Args:
        table: Out-of-fold scores of several places.
        prevalence_per_1000km2: Density that the curves presuppose.

    Raises:
        DatasetError: The table holds one place only.
    """
    place = left_out(table)
    if place.nunique() < 2:
        raise DatasetError(
            f"The scores hold one place only ({place.iloc[0]}): a curve for a place is fitted on "
            "others, so join the tables of several folds or regions."
        )
    log_odds = np.zeros(len(table))
    for name in place.unique():
        here = place == name
        log_odds[here.to_numpy()] = log_odds_from(table[~here], table[here], prevalence_per_1000km2)
    return log_odds


def log_odds_from(
    others: pd.DataFrame, table: pd.DataFrame, prevalence_per_1000km2: float
) -> Floats:
    """Log-odds of a table's scores by the curve that other places' scores give.

    Args:
        others: Scores to fit on; rows of land without any site take no part.
        table: Scores to judge.
        prevalence_per_1000km2: Density that the curve presupposes.
    """
    seen = others[(others["score"] > 0) & (others["per_1000km2"] > 0)]
    curve = fit_calibration(
        seen["score"].to_numpy(float),
        seen["is_site"].to_numpy(bool),
        seen["per_1000km2"].to_numpy(float),
        pd.factorize(seen["place"], sort=True)[0].astype(np.int64),
        prevalence_per_1000km2,
    )
    return log_odds_of(curve, table["score"].to_numpy(float))


def left_out(table: pd.DataFrame) -> pd.Series[str]:
    """The unit that is left out of a fit: a row's place without its block of land."""
    return table["place"].str.rsplit("/", n=1).str[0]


def reliability_by_region(
    table: pd.DataFrame,
    log_odds: Floats,
    prevalence_per_1000km2: float,
    threshold: float = 0.0,
    place: Ints | None = None,
) -> dict[str, Reliability]:
    """Figures of each region of a table, of detections above a threshold; and of all as `all`.

    `place` is as in `forecasts_of`.
    """
    above = (table["score"] > threshold).to_numpy()
    found = {}
    for region in [*sorted(table["region"].unique()), "all"]:
        here = above & ((table["region"] == region).to_numpy() | (region == "all"))
        if not here.any():
            continue
        unit = None if place is None else place[here]
        forecasts = forecasts_of(table[here], log_odds[here], unit)
        figures = reliability(forecasts, prevalence_per_1000km2)
        if figures is not None:
            found[region] = figures
    return found
