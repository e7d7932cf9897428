import numpy as np
import pandas as pd
import pytest

from maps.team_list import (
    FLOOR,
    NOT_LISTED,
    RANDOM,
    RANKED,
    choose_list,
    inclusion_probabilities,
    spread_groups,
    squares,
)


def made_up(count=400):
    """Sites in order of rank; the best are all in the first area."""
    p_site = np.linspace(0.99, 0.05, count)
    areas = pd.Series(np.repeat(["a", "b", "c", "d"], count // 4))
    return pd.DataFrame({"p_site": p_site}), areas


def choose(seed=1, size=60, floor=2):
    sites, areas = made_up()
    return choose_list(sites, areas, size, 0.15, floor, seed), areas


def test_a_list_holds_sample_floor_and_the_best():
    chosen, areas = choose()
    listed = np.isfinite(chosen.place)
    assert sorted(chosen.place[listed]) == list(range(1, 61))
    sizes = pd.Series(chosen.selection).value_counts()
    assert sizes[RANDOM] == 9  # 15 % of 60
    assert sizes[RANKED] + sizes[FLOOR] == 51
    assert (areas[listed].value_counts() >= 2).all()
    assert np.array_equal(listed, chosen.selection != NOT_LISTED)


def test_the_best_keep_their_order_and_the_sample_stands_among_them():
    chosen, _ = choose()
    kept = chosen.place[np.isin(chosen.selection, [RANKED, FLOOR])]
    assert np.all(np.diff(kept) > 0)
    drawn = np.concatenate(
        [choose(seed)[0].place[choose(seed)[0].selection == RANDOM] for seed in range(8)]
    )
    assert 20 < drawn.mean() < 41  # anywhere in 1 to 60, not at the end


def test_every_site_is_drawn_as_often_as_its_probability_says():
    sites, areas = made_up(40)
    rounds = 500
    times = np.zeros(40)
    for seed in range(rounds):
        chosen = choose_list(sites, areas, 20, 0.2, 0, seed)
        times += chosen.selection == RANDOM
    expected = chosen.random_probability
    assert expected.sum() == pytest.approx(4)
    np.testing.assert_allclose(expected, 4 * sites["p_site"] / sites["p_site"].sum())
    spread = np.sqrt(expected * (1 - expected) / rounds)
    assert np.all(np.abs(times / rounds - expected) < 4.5 * spread)


def test_probabilities_stop_at_one():
    chance = inclusion_probabilities(np.array([100.0, 1, 1, 1, 1]), 3)
    np.testing.assert_allclose(chance, [1, 0.5, 0.5, 0.5, 0.5])
    assert inclusion_probabilities(np.zeros(3), 2).tolist() == [0, 0, 0]


def test_a_list_of_all_sites_needs_no_sample():
    sites, areas = made_up()
    chosen = choose_list(sites, areas, None, 0.15, 1, 1)
    assert chosen.place.tolist() == list(range(1, 401))
    assert set(chosen.selection) == {RANKED}
    assert (chosen.random_probability == 1).all()


def test_floors_of_many_areas_leave_half_of_the_list_to_the_best():
    sites, _ = made_up()
    areas = pd.Series([f"area {n}" for n in range(400)])
    chosen = choose_list(sites, areas, 20, 0.1, 3, 1)
    assert (chosen.selection == FLOOR).sum() == 9
    assert (chosen.selection == RANKED).sum() == 9


def test_no_group_takes_more_than_one_place_in_25():
    groups = pd.Series(np.repeat([f"g{n}" for n in range(40)], 30))
    place = spread_groups(np.arange(1, 1201), groups)
    assert sorted(place) == list(range(1, 1201))
    first = pd.Series(groups.to_numpy()[np.argsort(place)])
    for length in (25, 50, 100, 200):
        assert first.head(length).value_counts().max() <= length // 25
    assert first.iloc[0] == "g0"


def test_sites_without_a_group_never_wait_and_few_groups_fill_the_list():
    alone = spread_groups(np.arange(1, 51), pd.Series([None] * 50, dtype=object))
    assert alone.tolist() == list(range(1, 51))
    two = spread_groups(np.arange(1, 61), pd.Series(["a"] * 30 + ["b"] * 30))
    assert sorted(two) == list(range(1, 61))
    assert two[30] == 2  # the best of b comes second, not thirty-first


def test_squares_of_40_km_stand_for_districts():
    names = squares(pd.Series(["5000_700_4900", "5000_703_4903", "5000_704_4900"]))
    assert names.tolist() == ["40000_87_612", "40000_87_612", "40000_88_612"]
