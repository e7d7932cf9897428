import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from maps.outcomes import DONE, OUTCOMES, effective_number, precision, visited

DEGREES_PER_M = 1 / 111_320


def told(outcomes):
    """Outcomes of sites A, B, C ... in that order."""
    names = [f"KL-{number:09d}" for number in range(len(outcomes))]
    return pd.DataFrame({"site_id": names, "lon": 77.0, "lat": 28.0, "outcome": outcomes})


def listed(selection, chance):
    table = told(selection).rename(columns={"outcome": "selection"})
    return table[["site_id", "selection"]].assign(random_probability=chance)


def test_closed_sites_are_sites_and_untold_ones_are_neither():
    found = precision(
        told(["confirmed", "confirmed", "closed", "not_a_site", "unsafe", "not_reached"]),
        listed(["ranked"] * 6, 1.0),
    )
    assert (found.n_told, found.n_real, found.n_untold) == (4, 3, 2)
    assert found.of_told.mean == pytest.approx(0.75)
    assert found.of_told.low == pytest.approx(beta.ppf(0.05, 3.5, 1.5))
    assert found.of_told.high == pytest.approx(beta.ppf(0.95, 3.5, 1.5))
    assert found.if_untold == pytest.approx((3 / 6, 5 / 6))
    assert found.of_all == found.of_told, "where the whole list was packed, both are one"
    assert found.effective == pytest.approx(4)


def test_sites_drawn_by_lot_count_by_the_inverse_of_their_chance():
    found = precision(
        told(["confirmed", "confirmed", "confirmed", "not_a_site"]),
        listed(["ranked", "floor", "random", "random"], [0.9, 0.3, 0.5, 0.1]),
    )
    assert found.of_told.mean == pytest.approx(0.75)
    assert found.of_all.mean == pytest.approx((1 / 0.5) / (1 / 0.5 + 1 / 0.1))
    assert found.effective == pytest.approx(12**2 / (4 + 100))


def test_where_no_lot_was_told_of_nothing_is_said_of_the_rest():
    found = precision(told(["confirmed"]), listed(["ranked"], [0.2]))
    assert found.of_told.mean == 1
    assert found.of_all is None
    nothing = precision(told([]), listed([], []))
    assert nothing.of_told is None
    assert nothing.if_untold is None


def test_a_site_of_no_pack_counts_as_told_only():
    found = precision(told(["confirmed", "not_a_site"]), listed(["random"], [0.5]))
    assert found.n_told == 2
    assert found.of_all.mean == 1.0


def test_weighted_precision_is_right_on_average_and_its_interval_holds_it():
    """A made-up list of which the best are right far more often than the rest."""
    rng = np.random.default_rng(3)
    p_site = np.linspace(0.95, 0.15, 400)
    chance = np.minimum(1.0, 60 * p_site / p_site.sum())
    covered, means, naive = 0, [], []
    for _ in range(300):
        real = rng.uniform(size=400) < p_site
        lot = rng.uniform(size=400) < chance
        best = (np.arange(400) < 60) & ~lot
        went = lot | best
        names = np.array([f"KL-{n:09d}" for n in range(400)])
        outcomes = pd.DataFrame({"site_id": names[went], "lon": 77.0, "lat": 28.0}).assign(
            outcome=np.where(real[went], "confirmed", "not_a_site")
        )
        drawn = pd.DataFrame({"site_id": names[went], "random_probability": chance[went]}).assign(
            selection=np.where(lot[went], "random", "ranked")
        )
        found = precision(outcomes, drawn)
        covered += found.of_all.low <= real.mean() <= found.of_all.high
        means.append(found.of_all.mean - real.mean())
        naive.append(found.of_told.mean - real.mean())
    assert abs(np.mean(means)) < 0.01
    assert np.mean(naive) > 0.1, "what was visited flatters the list"
    assert covered / 300 > 0.86


def test_kish():
    one, none = np.ones(3), np.zeros(0)
    assert effective_number(one, 2 * one) == pytest.approx(3)
    assert effective_number(np.array([1.0, 0.0, 1.0]), 2 * one) == pytest.approx(3)
    assert effective_number(one, np.array([1.0, 1.0, 4.0])) == pytest.approx(36 / 18)
    assert effective_number(none, none) == 0


def test_a_heavy_site_apart_from_the_rest_leaves_less_than_its_weight_says():
    real, weights = np.array([1.0] * 9 + [0.0]), np.array([1.0] * 9 + [3.0])
    share = 9 / 12
    variance = (9 * (1 - share) ** 2 + 9 * share**2) / 144
    assert effective_number(real, weights) == pytest.approx(share * (1 - share) / variance)
    assert effective_number(real, weights) < 144 / 18


def test_a_place_that_was_seen_is_done_under_a_new_name_too():
    assert set(OUTCOMES) - set(DONE) == {"not_reached"}
    outcomes = told(["confirmed", "not_reached", "unsafe"]).assign(lon=[77.0, 77.1, 77.2])
    sites = pd.DataFrame(
        {
            "site_id": ["KL-000000000", "KL-NEWNAME01", "KL-NEWNAME02", "KL-000000001", "KL-X"],
            "lon": [79.0, 77.0 + 50 * DEGREES_PER_M, 77.2, 77.1, 77.0 + 90 * DEGREES_PER_M],
            "lat": 28.0,
        }
    )
    assert visited(sites, outcomes, 60.0).tolist() == [True, True, True, False, False]
    assert visited(sites.iloc[:0], outcomes, 60.0).tolist() == []
    assert not visited(sites, outcomes.iloc[:0], 60.0).any()
