"""Logistic regression: the mode is found from anywhere, and is where the gradient vanishes."""

import numpy as np
import pytest
from scipy.optimize import minimize

from models.calibration import fit_logistic
from models.logistic import Prior, logistic_mode

FLAT = Prior(np.zeros(2), 1e-6 * np.eye(2))


def sample(intercept: float, slope: float, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(-3, 2, n)
    p = 1 / (1 + np.exp(-(intercept + slope * x)))
    return np.stack([np.ones(n), x], axis=1), (rng.random(n) < p).astype(float)


def test_the_mode_is_that_of_a_general_optimiser() -> None:
    design, target = sample(-0.5, 1.2)

    def loss(beta: np.ndarray) -> float:
        log_odds = design @ beta
        return float((np.logaddexp(0, log_odds) - target * log_odds).sum())

    other = minimize(loss, np.zeros(2), method="BFGS").x
    assert logistic_mode(design, target, FLAT).beta == pytest.approx(other, abs=1e-4)


@pytest.mark.parametrize("start", [(0.0, 1.0), (9.0, -4.0), (-20.0, 8.0)])
def test_it_is_found_from_far_away(start: tuple[float, float]) -> None:
    design, target = sample(-8.0, -1.5)
    near = logistic_mode(design, target, FLAT, start=np.array([-8.0, -1.5])).beta
    assert near == pytest.approx([-8.0, -1.5], abs=0.8)
    far = logistic_mode(design, target, FLAT, start=np.array(start)).beta
    assert far == pytest.approx(near, abs=1e-6)


def test_log_odds_far_off_do_not_leave_the_fit_at_its_start() -> None:
    # Said with log-odds around -15 where every tenth is true: full Newton steps jump to and fro.
    rng = np.random.default_rng(1)
    said = rng.normal(-15, 4, 3000)
    target = (rng.random(3000) < 1 / (1 + np.exp(-(2 + 0.3 * said)))).astype(float)
    none, ones = np.zeros(3000), np.ones(3000)
    intercept, slope = fit_logistic(said, target, none, ones)
    assert slope == pytest.approx(0.3, abs=0.06)
    assert intercept == pytest.approx(2.0, abs=0.8)


def test_offsets_and_weights() -> None:
    design, target = sample(-0.5, 1.0)
    shifted = logistic_mode(design, target, FLAT, offsets=np.full(len(target), 2.0)).beta
    plain = logistic_mode(design, target, FLAT).beta
    assert shifted == pytest.approx(plain - [2.0, 0.0], abs=1e-4)
    twice = logistic_mode(np.tile(design, (2, 1)), np.tile(target, 2), FLAT).beta
    weighed = logistic_mode(design, target, FLAT, weights=np.full(len(target), 2.0)).beta
    assert weighed == pytest.approx(twice, abs=1e-8)


def test_a_strong_prior_decides() -> None:
    design, target = sample(-0.5, 1.0, n=50)
    sure = Prior(np.array([1.0, 2.0]), 1e9 * np.eye(2))
    assert logistic_mode(design, target, sure).beta == pytest.approx([1.0, 2.0], abs=1e-4)
