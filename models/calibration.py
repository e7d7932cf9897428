"""From score to probability at a stated prevalence, fitted on places that training never saw."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.detection import SiteProbabilities
from models.logistic import Prior, logistic_mode

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# Scores of exactly 0 or 1 have no log-odds; beyond these the network's rounding says nothing.
SCORE_CLIP = 1e-4
# Two-sided 90 % of the normal distribution.
Z_90 = 1.6448536269514722
# Keeps the fit finite when detections are few or perfectly separated: a weak prior on the slope.
RIDGE = 1e-2
# Enough replicates for the covariance of two coefficients; more changes the second digit.
BOOTSTRAP_REPLICATES = 200
PROBABILITY_DECIMALS = 4
# What unfamiliar imagery adds to the spread of the log-odds: false alarms in Europe and on bare
# land of the Amazon basin, never trained on, were 6.5 and 9.5 times as many as in Delhi's east at
# the same threshold, that is log 6.5 = 1.9 and log 9.5 = 2.3 off the curve.
UNFAMILIAR_DEVIATION = 2.0
# Rounds after which a survey's density is taken as found; it settles in ten to fifty.
MAX_ROUNDS = 500


class Calibration(BaseModel):
    """logit P(site | score) = intercept + slope * logit(score), at a stated prevalence.

    The coefficients' covariance comes from a bootstrap over blocks of land and says how far the
    curve itself is known; `variance_between` says how far one place lies from another's curve, as
    far as the places seen tell. Both are in every interval.

    Attributes:
        intercept: Log-odds of a detection with score 0.5.
        slope: Log-odds of P per log-odds of score.
        variance_intercept: Variance of the intercept.
        variance_slope: Variance of the slope.
        covariance: Covariance of the two.
        prevalence_per_1000km2: Sites per 1,000 km2 that the probabilities presuppose.
        n_true: Detections on a site that the fit saw.
        n_false: Detections on no site that the fit saw.
        variance_between: Variance of the places' own intercepts around this one.
        variance_elsewhere: The same of regions that the network never saw, see `shift_elsewhere`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    intercept: float
    slope: float
    variance_intercept: float = Field(ge=0)
    variance_slope: float = Field(ge=0)
    covariance: float
    prevalence_per_1000km2: float = Field(gt=0)
    n_true: int = Field(ge=0)
    n_false: int = Field(ge=0)
    variance_between: float = Field(default=0.0, ge=0)
    variance_elsewhere: float = Field(default=0.0, ge=0)

    @classmethod
    def unknown(cls, prevalence_per_1000km2: float) -> Calibration:
        """Of a network that nobody has judged yet: the score itself, widely uncertain."""
        return cls(
            intercept=0,
            slope=1,
            variance_intercept=4,  # a 90 % interval of 3.3 log-odds either way
            variance_slope=0,
            covariance=0,
            prevalence_per_1000km2=prevalence_per_1000km2,
            n_true=0,
            n_false=0,
        )

    def probabilities(self, scores: Floats, unfamiliar: Bools | None = None) -> SiteProbabilities:
        """Calibrated probability and its 90 % interval (delta method) of each score.

        Args:
            scores: Shape (n,).
            unfamiliar: Which lie in imagery unlike the training: their interval is wider.
        """
        logits = score_logit(scores)
        centre = self.intercept + self.slope * logits
        variance = (
            self.variance_intercept + 2 * self.covariance * logits + self.variance_slope * logits**2
        )
        variance = np.maximum(variance, 0.0) + self.variance_between
        if unfamiliar is not None:
            variance = variance + np.where(unfamiliar, UNFAMILIAR_DEVIATION**2, 0.0)
        half = Z_90 * np.sqrt(variance)
        return SiteProbabilities(
            p=_sigmoid(centre), low=_sigmoid(centre - half), high=_sigmoid(centre + half)
        )

    def elsewhere(self) -> Calibration:
        """The same curve, as little as is known of it far from all places trained on."""
        wider = max(self.variance_between, self.variance_elsewhere)
        return self.model_copy(update={"variance_between": wider})

    def at_prevalence(self, per_1000km2: float) -> Calibration:
        """The same curve for land with another density of sites.

        Only the prior odds change (label shift; Saerens, Latinne and Decaestecker, 2002): how a
        site looks, and how often other land looks like one, stay as they were.
        """
        shift = math.log(per_1000km2 / self.prevalence_per_1000km2)
        return self.model_copy(
            update={
                "intercept": self.intercept + shift,
                "prevalence_per_1000km2": per_1000km2,
            }
        )

    def survey_prevalence(self, scores: Floats, area_km2: float, recall: float) -> float:
        """Sites per 1,000 km2 that a survey's own scores speak for.

        Probabilities presuppose a density, and their sum gives one: this is the density at which
        the two agree, found by repeating (the expectation maximisation of Saerens, Latinne and
        Decaestecker, 2002). One site at the reference density is added as a prior, so that a few
        square kilometres do not decide alone. `at_prevalence` of it gives the survey's own curve.

        Args:
            scores: Of all detections of the survey.
            area_km2: Area searched.
            recall: Share of sites that become detections.
        """
        logits = score_logit(scores)
        prior_km2 = 1000 / self.prevalence_per_1000km2
        density = self.prevalence_per_1000km2
        for _ in range(MAX_ROUNDS):
            shift = math.log(density / self.prevalence_per_1000km2)
            expected = float(_raw_sigmoid(self.intercept + shift + self.slope * logits).sum())
            before, density = density, 1000 * (expected + 1) / (recall * area_km2 + prior_km2)
            if abs(density - before) < 1e-6 * before:
                break
        return round(density, 3)


def score_logit(scores: Floats) -> Floats:
    """Log-odds of scores, clipped away from 0 and 1."""
    clipped = np.clip(np.asarray(scores, float), SCORE_CLIP, 1 - SCORE_CLIP)
    return np.asarray(np.log(clipped / (1 - clipped)))


def fit_calibration(
    scores: Floats,
    is_site: Bools,
    region_per_1000km2: Floats,
    place: Ints,
    prevalence_per_1000km2: float,
    seed: int = 0,
    region: Ints | None = None,
) -> Calibration:
    """Fit the curve on detections in places that the network was not trained on.

    Each detection enters with the density of sites where it was found as a known offset of the
    log-odds (prior correction; King and Zeng, 2001), so that a sample rich in sites, such as tiles
    chosen because they hold one, does not make the survey overconfident.

    Args:
        scores: Scores in [0, 1], shape (n,).
        is_site: Whether the detection lies on a labelled site, shape (n,).
        region_per_1000km2: Density of sites of the sample each detection comes from, shape (n,).
        place: Number of the block of land each detection comes from; the bootstrap's unit. Several
            seeds of one place share its blocks, so that they do not count as more land.
        prevalence_per_1000km2: Density that the probabilities are to presuppose.
        seed: Of the bootstrap.
        region: Number of the region each comes from; without it none differs from another.
    """
    logits, target = score_logit(scores), np.asarray(is_site, float)
    offsets = np.log(np.asarray(region_per_1000km2, float) / prevalence_per_1000km2)
    coefficients = fit_logistic(logits, target, offsets, np.ones_like(logits))
    spread = np.cov(_bootstrap(logits, target, offsets, place, seed, coefficients).T)
    centre = coefficients[0] + coefficients[1] * logits + offsets
    between = 0.0 if region is None else _between(centre, target, place, region)
    return Calibration(
        intercept=float(coefficients[0]),
        slope=float(coefficients[1]),
        variance_intercept=float(spread[0, 0]),
        variance_slope=float(spread[1, 1]),
        covariance=float(spread[0, 1]),
        prevalence_per_1000km2=prevalence_per_1000km2,
        n_true=int(target.sum()),
        n_false=int(len(target) - target.sum()),
        variance_between=round(between, 6),
    )


def shift_elsewhere(
    curve: Calibration,
    scores: Floats,
    is_site: Bools,
    region_per_1000km2: Floats,
    region: Ints,
) -> float:
    """Mean square of the shifts of regions' own log-odds from a curve, for regions never seen.

    A region's shift is the intercept that its detections call for when the slope is the curve's.
    The mean is taken around the curve and not around the regions' own mean: that the curve is off
    in all of them alike is part of what nobody knows of the next.

    Args:
        curve: Fitted on other places.
        scores: Of detections in regions that their network never saw, shape (n,).
        is_site: Whether each lies on a site, shape (n,).
        region_per_1000km2: Density of sites of each one's region, shape (n,).
        region: Number of the region, shape (n,).
    """
    said = curve.intercept + curve.slope * score_logit(scores)
    said = said + np.log(np.asarray(region_per_1000km2, float) / curve.prevalence_per_1000km2)
    prior = Prior(np.zeros(1), np.full((1, 1), RIDGE))
    shifts = []
    for number in np.unique(region):
        here = region == number
        target = np.asarray(is_site[here], float)
        flat = np.ones((len(target), 1))
        shifts.append(float(logistic_mode(flat, target, prior, said[here]).beta[0]))
    return round(float(np.mean(np.square(shifts))), 6) if shifts else 0.0


def _between(log_odds: Floats, target: Floats, place: Ints, region: Ints) -> float:
    """Variance of regions' intercepts around the common curve, by moments.

    Each region's own shift is one Newton step of its intercept, with the variance of a sandwich
    over blocks of land; what the shifts scatter beyond those variances lies between regions
    (DerSimonian and Laird, 1986).
    """
    p = _raw_sigmoid(log_odds)
    residual, information = target - p, p * (1 - p)
    shifts, variances = [], []
    for number in np.unique(region):
        here = region == number
        bread = information[here].sum()
        _, block = np.unique(place[here], return_inverse=True)
        if bread < 1.0 or block.max() < 1:  # hardly a detection in doubt, or one block of land
            continue
        meat = (np.bincount(block, residual[here]) ** 2).sum()
        shifts.append(residual[here].sum() / bread)
        variances.append(meat / bread**2)
    if len(shifts) < 2:  # one region differs from no other
        return 0.0
    weights = 1 / np.maximum(variances, 1e-9)
    mean = (weights * shifts).sum() / weights.sum()
    excess = (weights * (shifts - mean) ** 2).sum() - (len(shifts) - 1)
    scale = weights.sum() - (weights**2).sum() / weights.sum()
    return max(float(excess / scale), 0.0)


def _bootstrap(
    logits: Floats, target: Floats, offsets: Floats, place: Ints, seed: int, start: Floats
) -> Floats:
    """Coefficients of fits on places drawn with replacement, shape (replicates, 2)."""
    rng = np.random.default_rng(seed)
    _, index = np.unique(place, return_inverse=True)
    n_places = int(index.max()) + 1
    draws = rng.multinomial(
        n_places, np.full(n_places, 1 / n_places), size=BOOTSTRAP_REPLICATES
    ).astype(float)
    return np.stack([fit_logistic(logits, target, offsets, draw[index], start) for draw in draws])


def fit_logistic(
    logits: Floats,
    target: Floats,
    offsets: Floats,
    weights: Floats,
    start: Floats | None = None,
) -> Floats:
    """Intercept and slope of a weighted logistic regression with offsets.

    Args:
        logits: The one regressor, shape (n,).
        target: 0 or 1, shape (n,).
        offsets: Added to the log-odds with a coefficient of 1, shape (n,).
        weights: Of each, shape (n,).
        start: Intercept and slope to start from.
    """
    design = np.stack([np.ones_like(logits), logits], axis=1)
    prior = Prior(np.array([0.0, 1.0]), RIDGE * np.eye(2))
    return logistic_mode(design, target, prior, offsets, weights, start).beta


def _raw_sigmoid(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -30, 30))))


def _sigmoid(values: Floats) -> Floats:
    return np.round(_raw_sigmoid(values), PROBABILITY_DECIMALS)
