import time

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from geopandas.testing import assert_geodataframe_equal
from scipy.stats import kendalltau, spearmanr

from maps.priorities import (
    PRIORITIES,
    OperatorWeights,
    operator_priority,
    prioritise,
    ratio_share,
    value_of_information,
)
from maps.priority import Base, PriorityWeights, imagery_shares, weighted_mean
from maps.team_list import choose_list, squares
from models.site_class import load_site_class
from tiles.tables import read_table, write_table

KILNS = load_site_class("brick_kiln")
WEIGHTS = OperatorWeights()


def priorities(survey, weights=WEIGHTS, base=None, size=None, seed=1):
    areas = squares(survey.sites["cell_id"])
    chosen = choose_list(survey.sites, areas, size, 0.15, 1, seed)
    return prioritise(
        survey.sites, survey.groups, survey.partition, KILNS, areas, chosen, weights, base, seed
    )


def placed(table):
    return table.assign(lon=table.geometry.x, lat=table.geometry.y)


@pytest.fixture(scope="module")
def table(survey):
    return priorities(survey)


def test_the_table_fits_its_schema_and_is_the_same_again(survey, table, tmp_path):
    write_table(table, tmp_path / "priorities.parquet", PRIORITIES)
    back = read_table(tmp_path / "priorities.parquet", PRIORITIES)
    assert list(back["place"]) == list(range(1, len(survey.sites) + 1))
    assert_geodataframe_equal(priorities(survey), table)


def test_columns_stand_apart_and_say_what_they_are(survey, table):
    sites = survey.sites.set_index("site_id")
    by_site = table.set_index("site_id")
    assert by_site["p_site"].equals(sites["p_site"].reindex(by_site.index))
    assert by_site["team_rank"].sort_index().equals(sites["rank"].rename("team_rank").sort_index())
    assert (table["p_active"] == 1).all()
    people = table[["workers_low", "workers_mid", "workers_high"]].drop_duplicates()
    assert people.to_numpy().tolist() == [[50, 120, 250]]
    assert table["travel_km"].isna().all()
    assert table["reason"].str.contains("report").sum() == 0


def test_the_ratio_is_the_rate_of_the_group_over_the_median(survey, table):
    groups = survey.groups.set_index("group_id")
    usual = groups["report_rate"].median()
    for row in table.itertuples():
        rate = groups["report_rate"][row.group_id]
        if np.isnan(rate):
            assert np.isnan(row.report_rate_ratio)
        else:
            assert row.report_rate_ratio == pytest.approx(rate / usual)
            assert row.report_rate_ratio_low <= row.report_rate_ratio <= row.report_rate_ratio_high
    assert table["report_rate_ratio"].isna().any()


def test_ranks_lie_in_their_intervals_and_most_are_uncertain(table):
    assert (table["rank_low"] <= table["rank"]).all()
    assert (table["rank"] <= table["rank_high"]).all()
    assert (table["rank_high"] - table["rank_low"]).median() > 10
    assert table["rank"].sort_values().tolist() == list(range(1, len(table) + 1))


def test_what_is_known_exactly_has_one_rank(survey):
    sure = survey.sites.assign(p_low=survey.sites["p_site"], p_high=survey.sites["p_site"])
    areas = squares(sure["cell_id"])
    chosen = choose_list(sure, areas, None, 0.15, 1, 1)
    groups = survey.groups.assign(
        report_rate=np.nan, report_rate_low=np.nan, report_rate_high=np.nan
    )
    table = prioritise(sure, groups, survey.partition, KILNS, areas, chosen, WEIGHTS)
    assert table["rank_low"].equals(table["rank"].rename("rank_low"))
    assert table["rank_high"].equals(table["rank"].rename("rank_high"))


def test_a_visit_teaches_most_where_nothing_is_sure_or_nobody_can_speak():
    p = np.array([0.5, 0.9, 0.99, 0.99])
    unheard = np.array([False, False, False, True])
    np.testing.assert_allclose(value_of_information(p, unheard), [1, 0.36, 0.0396, 0.99])


def test_no_rate_is_neither_heard_nor_silent():
    share = ratio_share(np.array([0.5, 1.0, 2.0, np.nan]))
    np.testing.assert_allclose(share, [1 / 3, 1 / 2, 2 / 3, 1 / 2])
    assert ratio_share(np.array([np.nan, np.nan])).tolist() == [0.5, 0.5]


def test_the_team_order_says_nothing_of_the_reporting_rate(survey, more_heard):
    """The attack of an earlier version: ranks against rates, group by group, gave 0.99."""
    for made in (survey, more_heard):
        table = priorities(made)
        known = table[table["report_rate_ratio"].notna()]
        by_group = known.groupby("group_id")
        ratio = by_group["report_rate_ratio"].first()
        own = spearmanr(by_group["rank"].median(), ratio).statistic
        assert own < -0.5  # the operator's order gives it away, and stays with the operator
    first, second = priorities(survey), priorities(more_heard)
    columns = [
        "site_id",
        "team_rank",
        "team_place",
        "team_selection",
        "random_probability",
        "reason",
    ]
    one, other = (
        pd.DataFrame(t[columns]).sort_values("site_id", ignore_index=True) for t in (first, second)
    )
    assert one.equals(other)
    assert not first["site_id"].equals(second["site_id"])


@pytest.mark.parametrize("factor", [0.8, 1.2])
@pytest.mark.parametrize("name", list(OperatorWeights.model_fields))
def test_ranks_hold_when_a_weight_changes_by_a_fifth(table, name, factor):
    base = Base(lon=77.5, lat=28.5)
    changed = WEIGHTS.model_copy(update={name: getattr(WEIGHTS, name) * factor})
    before, after = (operator_priority(placed(table), w, base) for w in (WEIGHTS, changed))
    assert kendalltau(before, after).statistic >= 0.85


def test_ranks_hold_when_all_weights_change_by_a_fifth(survey, table):
    rng = np.random.default_rng(5)
    base = Base(lon=77.5, lat=28.5)
    before = operator_priority(placed(table), WEIGHTS, base)
    team = imagery_shares(survey.sites, base)
    team_before = weighted_mean(team, PriorityWeights().model_dump())
    for _ in range(20):
        factors = iter(rng.uniform(0.8, 1.2, 11))
        changed = OperatorWeights(**{k: v * next(factors) for k, v in WEIGHTS.model_dump().items()})
        assert kendalltau(before, operator_priority(placed(table), changed, base)).statistic >= 0.85
        of_team = {k: v * next(factors) for k, v in PriorityWeights().model_dump().items()}
        assert kendalltau(team_before, weighted_mean(team, of_team)).statistic >= 0.85


def test_a_base_adds_the_distance(survey):
    base = Base(lon=77.5, lat=28.5)
    near = priorities(survey, OperatorWeights(p_site=1e-6, report_rate_ratio=0, travel=5), base)
    assert near["travel_km"].notna().all()
    top, end = near.head(30)["travel_km"].mean(), near.tail(30)["travel_km"].mean()
    assert top < end


def test_nothing_found_gives_an_empty_table(survey):
    none = survey.sites.head(0)
    chosen = choose_list(none, squares(none["cell_id"]), 10, 0.15, 1, 1)
    empty = prioritise(
        none, survey.groups, survey.partition, KILNS, squares(none["cell_id"]), chosen, WEIGHTS
    )
    assert len(empty) == 0
    assert list(empty.columns) == [*PRIORITIES.column_names, "geometry"]


def test_a_hundred_thousand_sites_are_ranked_in_time(survey):
    """The target is 5 s on an idle core; the bench says how long it took there."""
    times = -(-100_000 // len(survey.sites))
    many = gpd.GeoDataFrame(pd.concat([survey.sites] * times, ignore_index=True)).head(100_000)
    rng = np.random.default_rng(2)
    many["p_site"] = rng.beta(6, 1, len(many))
    many["p_low"], many["p_high"] = many["p_site"] * 0.9, 1 - 0.9 * (1 - many["p_site"])
    started = time.process_time()
    areas = squares(many["cell_id"])
    chosen = choose_list(many, areas, 1000, 0.15, 1, 1)
    table = prioritise(many, survey.groups, survey.partition, KILNS, areas, chosen, WEIGHTS)
    assert len(table) == 100_000
    assert time.process_time() - started < 15
