"""How often the 95 % intervals of an audit sample hold the truth, in simulated surveys.

Every survey has a land of its own: 100 to 3,000 listed places whose probabilities are too bold or
too timid, 4,000 to 40,000 squares of ground, recall of 0.5 to 0.95, misses near the found or not,
alone or in clumps, with a gate in half of them. All of it is known, and `draw_sample` draws.

python -m pytest -s tests/benchmarks/bench_audit.py
"""

import numpy as np
import pandas as pd
import pytest

from maps.audit_estimate import TOLD, estimate
from maps.audit_sample import GROUND, GROUND_STRATA, PLACE, Frame, draw_sample, place_stratum

SURVEYS = 500
CHIPS = (60, 100, 200, 300)
ERROR = (0.95 * 0.05 / SURVEYS) ** 0.5  # chance of the simulation itself
FIGURES = ("recall", "precision", "found", "missed", "total")


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def made_up_places(rng: np.random.Generator) -> pd.DataFrame:
    p = rng.beta(rng.uniform(0.5, 2), rng.uniform(0.5, 1.5), int(log_uniform(rng, 100, 3000)))
    p = np.clip(p, 0.01, 0.99)
    bold = rng.normal(0, 0.7)  # in log-odds
    real = 1 / (1 + np.exp(bold) * (1 - p) / p)
    return pd.DataFrame(
        {"kind": PLACE, "stratum": place_stratum(p), "truth": rng.uniform(size=len(p)) < real}
    )


def made_up_ground(rng: np.random.Generator, missed: float) -> pd.DataFrame:
    n = int(log_uniform(rng, 4000, 40_000))
    land = np.array([rng.uniform(0.1, 0.5), 1.0, rng.choice([0.0, 0.3])])
    misses = np.array([rng.uniform(0.6, 0.95), 0.0, 0.05 * (land[2] > 0)])
    land[1], misses[1] = 1 - land[0] - 0.5 * land[2], 1 - misses[0] - misses[2] * 0.5
    stratum = rng.choice(3, n, p=land / land.sum())
    squares = np.maximum(np.bincount(stratum, minlength=3), 1)
    rate = (missed * misses / misses.sum() / squares)[stratum]
    clump = rng.uniform(0.3, 3)  # shape of the rates: below 1 most squares have none, few several
    truth = rng.poisson(rate * rng.gamma(clump, 1 / clump, n))
    return pd.DataFrame(
        {"kind": GROUND, "stratum": np.array(GROUND_STRATA)[stratum], "truth": truth}
    )


def made_up_survey(rng: np.random.Generator) -> pd.DataFrame:
    places = made_up_places(rng)
    recall = rng.uniform(0.5, 0.95)
    ground = made_up_ground(rng, places["truth"].sum() * (1 - recall) / recall)
    units = pd.concat([places, ground], ignore_index=True)
    units["truth"] = units["truth"].astype(float)
    return units.assign(predicted=0.0, site_id=None, cell_id="", lon=77.0, lat=28.0)


def known(units: pd.DataFrame) -> dict[str, float]:
    place = units["kind"] == PLACE
    found, missed = units.loc[place, "truth"].sum(), units.loc[~place, "truth"].sum()
    likely = units["stratum"].isin(["detected_sure", "detected_likely"])
    return {
        "recall": found / (found + missed),
        "precision": units.loc[likely, "truth"].mean(),
        "found": found,
        "missed": missed,
        "total": found + missed,
    }


def audited(units: pd.DataFrame, chips: int, seed: int) -> pd.DataFrame:
    drawn = pd.DataFrame(draw_sample(Frame(units), chips, seed)).assign(answer=TOLD)
    audit, truth = estimate(drawn.rename(columns={"truth": "value"})), known(units)
    rows = [
        (name, one.low <= truth[name] <= one.high, truth[name] < one.low)
        for name, one in audit.figures.items()
        if np.isfinite(truth[name]) and np.isfinite(one.mean)
    ]
    return pd.DataFrame(rows, columns=["figure", "inside", "below"])


@pytest.mark.parametrize("chips", CHIPS)
def test_intervals_of_95_per_cent_hold_the_truth(chips):
    surveys = [
        audited(made_up_survey(np.random.default_rng(seed)), chips, seed) for seed in range(SURVEYS)
    ]
    by = pd.concat(surveys).groupby("figure")
    held, below = by["inside"].mean(), by["below"].mean()
    words = (f"{name} {held[name]:.3f} (below: {below[name]:.3f})" for name in FIGURES)
    print(f"\n{chips} chips, {SURVEYS} surveys: " + ", ".join(words))
    assert held.between(0.93 - 2 * ERROR, 0.97 + 2 * ERROR).all()
