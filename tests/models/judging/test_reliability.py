"""Calibration figures against numbers worked out by hand and curves that are known."""

import numpy as np
import pandas as pd
import pytest

from models.judging.reliability import (
    Forecasts,
    crossfitted_log_odds,
    debiased_error,
    reliability,
    reliability_by_region,
)
from tiles.errors import DatasetError


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def forecasts(
    n: int = 6_000, density: float = 30.0, slope: float = 1.0, shift: float = 0.0, seed: int = 0
) -> Forecasts:
    """What is said has log-odds x; the truth follows shift + slope x at the sample's density."""
    rng = np.random.default_rng(seed)
    said = rng.normal(-1, 2, n)
    truth = rng.random(n) < sigmoid(shift + slope * said + np.log(density / 30))
    return Forecasts(said, truth, np.full(n, density), rng.integers(0, 80, n))


def test_perfect_probabilities_have_slope_one_and_no_error() -> None:
    r = reliability(forecasts(), 30.0)
    assert r is not None
    assert r.slope.value == pytest.approx(1.0, abs=0.08)
    assert r.intercept.value == pytest.approx(0.0, abs=0.12)
    assert r.in_the_large.value == pytest.approx(0.0, abs=0.1)
    assert r.expected_error.value < 0.02
    assert r.brier_skill.low < r.brier_skill.value < r.brier_skill.high
    assert r.brier_skill.value > 0.3


def test_overconfidence_is_a_slope_under_one() -> None:
    r = reliability(forecasts(slope=0.5), 30.0)
    assert r is not None
    assert r.slope.value == pytest.approx(0.5, abs=0.05)
    assert r.slope.high < 0.6
    assert r.expected_error.value > 0.03


def test_a_sample_rich_in_sites_is_judged_at_the_surveys_density() -> None:
    # 960 per 1,000 km2 in the sample, 30 in the survey: the odds differ 32-fold, the curve does not
    r = reliability(forecasts(density=960.0, n=12_000), 30.0)
    assert r is not None
    assert r.slope.value == pytest.approx(1.0, abs=0.08)
    assert r.in_the_large.value == pytest.approx(0.0, abs=0.12)
    assert r.expected_error.value < 0.03


def test_brier_skill_by_hand() -> None:
    p = np.array([0.8] * 5 + [0.2] * 5)
    truth = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 1], bool)
    f = Forecasts(np.log(p / (1 - p)), truth, np.full(10, 30.0), np.arange(10))
    r = reliability(f, 30.0)
    assert r is not None
    # Eight squared errors of 0.04 and two of 0.64 over ten; always saying 0.5 costs 0.25.
    assert r.brier == pytest.approx(0.16, abs=1e-5)
    assert r.brier_skill.value == pytest.approx(1 - 0.16 / 0.25, abs=1e-4)
    # Both groups are as frequent as said.
    assert r.slope.value == pytest.approx(1.0, abs=0.02)


def test_too_few_of_a_kind_bear_no_figure() -> None:
    f = forecasts(n=60)
    assert reliability(f[~f.is_site], 30.0) is None


def test_debiasing_takes_away_what_chance_gives() -> None:
    rng = np.random.default_rng(3)
    plain, debiased = [], []
    for _ in range(200):
        p = rng.uniform(0.05, 0.95, 150)
        truth = rng.random(150) < p
        index = np.argsort(p).argsort() * 15 // 150
        gap = [abs(p[index == b].mean() - truth[index == b].mean()) for b in range(15)]
        plain.append(np.mean(gap))
        debiased.append(debiased_error(p, truth, np.ones(150)))
    assert np.mean(plain) > 0.09
    assert np.mean(debiased) < 0.7 * np.mean(plain)


def test_a_real_error_stays_after_debiasing() -> None:
    truth = np.zeros(3000, bool)
    truth[:900] = True
    assert debiased_error(np.full(3000, 0.5), truth, np.ones(3000)) == pytest.approx(0.2, abs=0.01)


def table(places: dict[str, float], n: int = 1500) -> pd.DataFrame:
    """Scores of places whose truth follows logit(score) + their own shift."""
    rng = np.random.default_rng(5)
    parts = []
    for place, shift in places.items():
        scores = rng.uniform(0.05, 0.9, n)
        truth = rng.random(n) < sigmoid(np.log(scores / (1 - scores)) + shift)
        parts.append(
            pd.DataFrame(
                {
                    "score": scores,
                    "is_site": truth,
                    "per_1000km2": 30.0,
                    "place": [f"{place}/{b}" for b in rng.integers(0, 9, n)],
                    "region": place.partition("-")[0],
                    "fold": place,
                    "seed": 0,
                    "area_km2": 100.0,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def test_a_place_is_judged_by_the_curve_of_the_others() -> None:
    scores = table({"north-1": 0.0, "north-2": 0.0, "south": 1.0})
    log_odds = crossfitted_log_odds(scores, 30.0)
    found = reliability_by_region(scores, log_odds, 30.0)
    assert list(found) == ["north", "south", "all"]
    # South's truth lies 1 above what the two in the north taught.
    assert found["south"].in_the_large.value == pytest.approx(1.0, abs=0.2)
    assert found["south"].slope.value == pytest.approx(1.0, abs=0.15)


def test_one_place_cannot_be_crossfitted() -> None:
    with pytest.raises(DatasetError, match="one place only"):
        crossfitted_log_odds(table({"north": 0.0}), 30.0)
