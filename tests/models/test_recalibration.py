import numpy as np
import pytest

from models.calibration import Calibration, score_logit
from models.recalibration import Recalibration, recalibrate
from tiles.errors import ReviewError

SAID = Calibration(
    intercept=-0.5, slope=1.2, variance_intercept=0.04, variance_slope=0.02, covariance=0.0,
    prevalence_per_1000km2=30, n_true=500, n_false=500, variance_between=0.5,
)  # fmt: skip


def decided(n: int, shift: float, slope: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and answers drawn from the curve moved in log-odds."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.2, 0.95, n)
    truth = shift + slope * (SAID.intercept + SAID.slope * score_logit(scores))
    return scores, rng.random(n) < 1 / (1 + np.exp(-truth))


def test_many_decisions_bring_back_the_curve_they_came_from():
    curve = recalibrate(*decided(5000, -1.5, 0.8, 0), SAID, "w")
    assert curve.intercept == pytest.approx(-1.5, abs=0.12)
    assert curve.slope == pytest.approx(0.8, abs=0.1)


def test_fifty_decisions_bring_a_region_that_was_far_off_nearer_to_the_truth():
    scores, truth = decided(5000, -2.0, 1.0, 1)
    errors = []
    for seed in range(20):
        curve = recalibrate(*decided(50, -2.0, 1.0, seed + 2), SAID, "w")
        p = curve.applied_to(SAID).probabilities(scores).p
        errors.append(abs(p.mean() - truth.mean()))
    before = abs(SAID.probabilities(scores).p.mean() - truth.mean())
    assert np.mean(errors) < before / 4


def test_its_intervals_hold_the_true_curve_nine_times_in_ten():
    scores = np.array([0.3, 0.5, 0.8])
    held = []
    for seed in range(120):
        rng = np.random.default_rng([seed, 9])
        shift, slope = rng.normal(0, 2), rng.normal(1, 0.3)
        try:
            curve = recalibrate(*decided(80, shift, slope, seed), SAID, "w")
        except ReviewError:
            continue  # nearly all say the same
        said = curve.applied_to(SAID).probabilities(scores)
        truth = shift + slope * (SAID.intercept + SAID.slope * score_logit(scores))
        p = 1 / (1 + np.exp(-truth))
        held.append((said.low - 1e-4 <= p) & (p <= said.high + 1e-4))
    assert len(held) > 60
    assert 0.82 < np.mean(held) < 0.97


def test_the_spread_between_regions_gives_way_to_what_this_one_says():
    curve = recalibrate(*decided(200, 0.0, 1.0, 3), SAID, "w")
    own = curve.applied_to(SAID)
    assert own.variance_between == 0
    wide, narrow = SAID.probabilities(np.array([0.5])), own.probabilities(np.array([0.5]))
    assert narrow.high - narrow.low < wide.high - wide.low
    assert (own.n_true + own.n_false, own.prevalence_per_1000km2) == (200, 30)


def test_composing_two_curves_is_exact():
    curve = Recalibration(
        intercept=-1, slope=0.5, variance_intercept=0.1, variance_slope=0.02, covariance=0.01,
        n_yes=30, n_no=30, weights_sha256="w", prevalence_per_1000km2=30,
    )  # fmt: skip
    scores = np.array([0.1, 0.5, 0.9])
    said = SAID.intercept + SAID.slope * score_logit(scores)
    expected = 1 / (1 + np.exp(-(-1 + 0.5 * said)))
    assert curve.applied_to(SAID).probabilities(scores).p == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("yes", "no"), [(49, 0), (30, 19), (56, 4), (3, 60)])
def test_too_few_decisions_or_nearly_all_alike_are_refused(yes, no):
    answers = np.arange(yes + no) < yes
    with pytest.raises(ReviewError, match=f"{yes} yes and {no} no are too few"):
        recalibrate(np.full(yes + no, 0.5), answers, SAID, "w")
