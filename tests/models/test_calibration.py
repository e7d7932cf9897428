"""Calibration: a known curve is recovered, whatever the sample's density of sites."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.calibration import (
    Calibration,
    fit_calibration,
    score_logit,
    shift_elsewhere,
)
from tests.models.made_up_models import make_card


def sample(
    rng: np.random.Generator, n: int, intercept: float, slope: float
) -> tuple[np.ndarray, np.ndarray]:
    """Scores and truths that follow the curve exactly."""
    scores = rng.beta(0.7, 1.0, n)
    p = 1 / (1 + np.exp(-(intercept + slope * score_logit(scores))))
    return scores, rng.random(n) < p


def test_a_known_slope_is_recovered() -> None:
    rng = np.random.default_rng(0)
    scores, truth = sample(rng, 8000, intercept=-1.0, slope=1.5)
    place = rng.integers(0, 60, len(scores))
    fitted = fit_calibration(scores, truth, np.full(len(scores), 30.0), place, 30.0)
    assert fitted.slope == pytest.approx(1.5, abs=0.08)
    assert fitted.intercept == pytest.approx(-1.0, abs=0.12)
    # The bootstrap's standard errors are those of logistic regression on 8,000 points.
    assert 0.01 < fitted.variance_slope**0.5 < 0.06
    assert (fitted.n_true, fitted.n_false) == (truth.sum(), (~truth).sum())


def test_a_sample_rich_in_sites_is_brought_to_the_stated_density() -> None:
    rng = np.random.default_rng(1)
    # At 952 sites per 1,000 km2 the log-odds stand log(952 / 30) higher than at 30.
    scores, truth = sample(rng, 8000, intercept=-1.0 + np.log(952 / 30), slope=1.2)
    place = rng.integers(0, 60, len(scores))
    fitted = fit_calibration(scores, truth, np.full(len(scores), 952.0), place, 30.0)
    assert fitted.slope == pytest.approx(1.2, abs=0.12)
    assert fitted.intercept == pytest.approx(-1.0, abs=0.2)


def test_few_perfectly_separated_detections_still_give_a_curve() -> None:
    scores = np.array([0.1, 0.2, 0.8, 0.9])
    truth = scores > 0.5
    fitted = fit_calibration(scores, truth, np.full(4, 30.0), np.arange(4), 30.0)
    assert np.isfinite([fitted.slope, fitted.intercept, fitted.variance_slope]).all()
    p = fitted.probabilities(scores)
    assert (np.diff(p.p) > 0).all()


def test_the_same_input_gives_the_same_curve() -> None:
    rng = np.random.default_rng(2)
    scores, truth = sample(rng, 300, 0.0, 1.0)
    place = rng.integers(0, 9, 300)
    density = np.full(300, 30.0)
    first = fit_calibration(scores, truth, density, place, 30.0)
    assert first == fit_calibration(scores, truth, density, place, 30.0)


@given(arrays(np.float64, 20, elements=st.floats(0, 1)))
def test_probabilities_lie_within_their_interval_and_rise(scores: np.ndarray) -> None:
    p = make_card().calibration.probabilities(np.sort(scores))
    assert (p.low <= p.p).all()
    assert (p.p <= p.high).all()
    assert (p.low >= 0).all()
    assert (p.high <= 1).all()
    assert (np.diff(p.p) >= 0).all()


def test_golden_probability_and_interval() -> None:
    curve = Calibration(
        intercept=0.5,
        slope=1.2,
        variance_intercept=0.04,
        variance_slope=0.01,
        covariance=0.0,
        prevalence_per_1000km2=30.0,
        n_true=1,
        n_false=1,
    )
    p = curve.probabilities(np.array([0.5]))
    # logit(0.5) = 0, so the log-odds are 0.5 +- 1.645 * 0.2.
    assert p.p[0] == pytest.approx(1 / (1 + np.exp(-0.5)), abs=1e-4)
    assert p.low[0] == pytest.approx(1 / (1 + np.exp(-(0.5 - 1.6449 * 0.2))), abs=1e-4)
    assert p.high[0] == pytest.approx(1 / (1 + np.exp(-(0.5 + 1.6449 * 0.2))), abs=1e-4)


def test_twice_the_density_is_twice_the_odds() -> None:
    curve = make_card().calibration
    before = curve.probabilities(np.array([0.4])).p[0]
    after = curve.at_prevalence(60.0).probabilities(np.array([0.4])).p[0]
    assert after / (1 - after) == pytest.approx(2 * before / (1 - before), rel=1e-3)


@pytest.mark.parametrize("density", [8.0, 30.0, 240.0])
def test_a_survey_tells_its_own_density(density: float) -> None:
    rng = np.random.default_rng(4)
    curve = make_card().calibration.model_copy(update={"intercept": -2.0, "slope": 2.0})
    area_km2, recall = 20_000.0, 0.8
    # Land full of detections whose truth follows the curve at that density.
    scores = rng.beta(1.2, 1.2, 60_000)
    p = curve.at_prevalence(density).probabilities(scores).p
    n_sites = density * area_km2 / 1000 * recall
    keep = rng.random(len(scores)) < n_sites / p.sum()
    found = curve.survey_prevalence(scores[keep], area_km2, recall)
    assert found == pytest.approx(density, rel=0.2)


def test_a_small_survey_stays_near_the_stated_density() -> None:
    curve = make_card().calibration
    assert curve.survey_prevalence(np.zeros(0), 1.0, 0.8) == pytest.approx(30.0, rel=0.05)


def test_unfamiliar_imagery_widens_the_interval_and_moves_nothing_else() -> None:
    curve = make_card().calibration
    scores = np.array([0.3, 0.3, 0.7])
    plain = curve.probabilities(scores)
    flagged = curve.probabilities(scores, np.array([True, False, False]))
    assert np.array_equal(plain.p, flagged.p)
    assert flagged.low[0] < plain.low[0]
    assert flagged.high[0] > plain.high[0]
    assert np.array_equal(flagged.low[1:], plain.low[1:])
    # Two deviations of log-odds and the curve's own: 1.645 * sqrt(4 + ...) on either side.
    half = np.log(flagged.high[0] / (1 - flagged.high[0])) - np.log(plain.p[0] / (1 - plain.p[0]))
    assert half == pytest.approx(1.645 * np.sqrt(4 + 0.04 + 0.01 * 0.8473**2), abs=0.01)


def test_regions_that_differ_widen_every_interval_and_alike_ones_do_not() -> None:
    rng = np.random.default_rng(6)
    n, regions = 24_000, 6
    region = rng.integers(0, regions, n)
    place = region * 20 + rng.integers(0, 20, n)
    scores = rng.beta(0.7, 1.0, n)
    shift = np.array([-1.5, 1.5, -0.7, 0.7, -1.0, 1.0])

    def fitted(scale: float) -> Calibration:
        p = 1 / (1 + np.exp(-(score_logit(scores) + scale * shift[region])))
        truth = np.random.default_rng(7).random(n) < p
        return fit_calibration(scores, truth, np.full(n, 30.0), place, 30.0, region=region)

    alike, different = fitted(0.0), fitted(1.0)
    assert alike.variance_between < 0.01
    assert different.variance_between == pytest.approx(shift.var(ddof=1), rel=0.5)
    wide, narrow = (c.probabilities(np.array([0.4])) for c in (different, alike))
    assert wide.high[0] - wide.low[0] > 5 * (narrow.high[0] - narrow.low[0])


def test_regions_never_seen_widen_intervals_elsewhere_only() -> None:
    rng = np.random.default_rng(3)
    curve = Calibration.unknown(30.0).model_copy(update={"variance_intercept": 0.01})
    parts = [sample(rng, 3000, intercept, 1.0) for intercept in (-2.0, 1.0)]
    scores, truth = (np.concatenate(part) for part in zip(*parts, strict=True))
    region = np.repeat([0, 1], 3000)
    variance = shift_elsewhere(curve, scores, truth, np.full(6000, 30.0), region)
    assert variance == pytest.approx((2.0**2 + 1.0**2) / 2, abs=0.35)
    known = curve.model_copy(update={"variance_elsewhere": variance})
    half = np.array([0.5])
    assert known.probabilities(half) == curve.probabilities(half)
    near, far = (c.probabilities(half) for c in (known, known.elsewhere()))
    assert far.p == near.p
    # 1.645 standard deviations of the root of 0.01 + variance around log-odds of 0
    reach = 1.6449 * (0.01 + variance) ** 0.5
    assert far.low[0] == pytest.approx(1 / (1 + np.exp(reach)), abs=1e-3)
    assert far.high[0] == pytest.approx(1 / (1 + np.exp(-reach)), abs=1e-3)
