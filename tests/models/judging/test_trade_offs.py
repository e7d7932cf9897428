"""Costs of thresholds, by hand."""

import pandas as pd
import pytest

from models.judging.trade_offs import cheapest, trade_offs

TABLE = pd.DataFrame(
    {
        "score": [0.9, 0.8, 0.6, 0.4, 0.2, 0.0],
        "is_site": [True, True, False, True, False, True],
        "area_km2": 100.0,
    }
)


def test_one_threshold_by_hand() -> None:
    at = {a.threshold: a for a in trade_offs(TABLE, 0.55, 30.0)}
    assert 0.55 in at
    half = at[0.55]
    assert half.recall == 0.5
    assert half.found_per_1000km2 == 15.0
    assert half.missed_per_1000km2 == 15.0
    assert half.false_alarms_per_1000km2 == 10.0
    assert half.looks_per_site == pytest.approx(25 / 15, abs=0.01)
    assert at[0.9].looks_per_site is None


def test_a_dearer_miss_lowers_the_threshold() -> None:
    one, five, twenty = cheapest(TABLE, 30.0)
    # 0.6: misses 15. 0.2: misses 7.5 and 10 false alarms. Equal prices favour the first.
    assert (one.price, one.threshold, one.cost_per_1000km2) == (1, 0.6, 15.0)
    assert (five.threshold, five.cost_per_1000km2) == (0.2, 47.5)
    assert (twenty.threshold, twenty.cost_per_1000km2) == (0.2, 160.0)
