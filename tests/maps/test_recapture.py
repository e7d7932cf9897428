import numpy as np
import pandas as pd
import pytest

from maps.recapture import check_independent, count_sites
from tiles.errors import ConfigError


def drawn(n: int, found: float, listed: float, seed: int, false_alarms: int = 0) -> pd.DataFrame:
    """A comparison of a survey and a list that each hold a random part of n sites."""
    rng = np.random.default_rng(seed)
    lon, lat = rng.uniform(77, 78, n), rng.uniform(28, 29, n)
    in_survey, in_list = rng.random(n) < found, rng.random(n) < listed
    status = np.select(
        [in_survey & in_list, in_list, in_survey], ["matched", "missed", "extra"], ""
    )
    table = pd.DataFrame({"lon": lon, "lat": lat, "status": status, "seen_first": True})
    table["p_first"] = np.where(in_survey, 0.9, np.nan)
    table["second_id"] = np.where(in_list, "list-1", None)
    more = pd.DataFrame(
        {
            "lon": rng.uniform(77, 78, false_alarms),
            "lat": rng.uniform(28, 29, false_alarms),
            "status": "extra",
            "seen_first": True,
            "p_first": 0.9,
            "second_id": None,
        }
    )
    return pd.concat([table[status != ""], more] if false_alarms else [table[status != ""]])


def test_intervals_hold_the_number_of_sites_as_often_as_they_say():
    held = 0
    for seed in range(100):
        # one in ten of what the survey calls 0.9 is none
        n_found = 400 * 0.7
        counts = count_sites(drawn(400, 0.7, 0.5, seed, round(n_found / 9)), share_real=1.0)
        held += counts.total.low <= 400 <= counts.total.high
    assert 83 <= held <= 98  # 90 of 100, give or take three standard errors


def test_the_shares_are_of_all_sites():
    counts = count_sites(drawn(4000, 0.7, 0.5, 1), share_real=1.0)
    assert counts.listed.mean == pytest.approx(0.5, abs=0.06)  # p of 0.9 takes a tenth off
    assert counts.recall.mean == pytest.approx(0.7, abs=0.03)
    assert counts.recall.low < counts.recall.mean < counts.recall.high


def test_a_list_that_is_half_false_says_half_as_much():
    table = drawn(4000, 0.7, 0.5, 1)
    sure, half = count_sites(table, 1.0), count_sites(table, 0.75)
    assert half.total.mean < sure.total.mean
    assert half.recall.mean > sure.recall.mean


def test_ground_that_was_not_searched_is_no_part_of_it():
    table = drawn(400, 0.7, 0.5, 2)
    unseen = table.assign(seen_first=False, status="not_seen", p_first=np.nan)
    both = count_sites(pd.concat([table, unseen]), 1.0)
    assert both.total.mean == count_sites(table, 1.0).total.mean


def test_too_few_in_both_is_refused():
    with pytest.raises(ConfigError, match=r"only .* places are in both lists"):
        count_sites(drawn(20, 0.3, 0.3, 3), 1.0)


def test_land_too_small_to_resample_is_refused():
    table = drawn(200, 0.7, 0.5, 3)
    table = table.assign(lon=77 + 0.05 * (table["lon"] - 77), lat=28.02)
    with pytest.raises(ConfigError, match="squares of 10 km: at least 6"):
        count_sites(table, 1.0)


@pytest.mark.parametrize(
    ("sources", "taught", "here"),
    [
        (["BrickKilnsNeurIPS24/haryana"], ["positions of BrickKilnsNeurIPS24, Planet"], []),
        (["Planet-labels/delhi_airshed"], ["positions of BrickKilnsNeurIPS24, Planet"], []),
        (["somebody else"], ["Planet"], ["Delhi"]),
    ],
)
def test_what_taught_the_detector_counts_nothing(sources, taught, here):
    with pytest.raises(ConfigError, match="so no count can follow"):
        check_independent(sources, taught, here)


def test_an_independent_list_may_count():
    check_independent(["Kashmir-registered", "brick kilns of India"], ["Planet labels, India"], [])
