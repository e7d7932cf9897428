"""Tables of out-of-fold scores: nested thresholds, gains, and figures over seeds, by hand."""

import numpy as np
import pandas as pd
import pytest

from models.judging.out_of_fold import (
    compare_tables,
    figures_of_table,
    nested,
    nested_figures_of_table,
)
from models.judging.scoring import join_scores, read_scores, write_scores
from tiles.errors import DatasetError


def rows(place: str, scores: list[float], truth: list[int], seed: int = 0) -> pd.DataFrame:
    n = len(scores)
    return pd.DataFrame(
        {
            "score": scores,
            "is_site": np.array(truth, bool),
            "per_1000km2": 1000 * sum(truth) / 50.0,
            "place": [f"{place}/{i % 2}" for i in range(n)],
            "region": place.partition("-")[0],
            "fold": place,
            "seed": seed,
            "area_km2": 50.0,
        }
    )


FIRST = rows("delhi-1", [0.9, 0.8, 0.4, 0.3, 0.0], [1, 1, 1, 0, 1])
SECOND = rows("delhi-2", [0.9, 0.7, 0.6, 0.5], [1, 1, 0, 0])


def test_a_threshold_is_chosen_on_the_other_places_alone() -> None:
    table = join_scores([FIRST, SECOND])
    found = nested(table)
    # On the second, F1 is 1 from 0.6 up; on the first, 0.4's hit is worth having: from 0.3 up.
    assert found.by_place == {("delhi-1", 0): 0.6, ("delhi-2", 0): 0.3}
    assert found.above.tolist() == [True, True, False, False, False, True, True, True, True]


def test_nested_figures_use_those_thresholds() -> None:
    figures = {f.name: f.value for f in nested_figures_of_table(join_scores([FIRST, SECOND]))}
    # Above: 2 hits of 4 sites in the first; 2 hits and 2 false in the second.
    assert figures["delhi: precision"] == pytest.approx(4 / 6, abs=1e-4)
    assert figures["delhi: recall"] == pytest.approx(4 / 6, abs=1e-4)
    assert figures["delhi: false alarms per 1,000 km2"] == pytest.approx(20.0)


def test_places_of_the_same_region_are_asked_first() -> None:
    other = rows("dhaka", [0.2, 0.15, 0.1], [1, 1, 0])
    found = nested(join_scores([FIRST, SECOND, other]))
    assert found.by_place["delhi-1", 0] == 0.6
    # Dhaka has no other place: both of Delhi together are best above 0.6 (F1 8/10, not 10/13).
    assert found.by_place["dhaka", 0] == 0.6


def test_one_place_has_no_other_to_choose_on() -> None:
    with pytest.raises(DatasetError, match="no place but delhi-1"):
        nested(join_scores([FIRST]))


def test_seeds_are_averaged_and_their_spread_is_told() -> None:
    worse = rows("delhi-1", [0.9, 0.8, 0.4, 0.3, 0.0], [0, 1, 1, 1, 1], seed=1)
    figures = {f.name: f for f in figures_of_table(join_scores([FIRST, worse]), 0.35)}
    recall = figures["delhi: recall"]
    assert recall.value == pytest.approx((3 / 4 + 2 / 4) / 2, abs=1e-4)
    assert recall.seed_spread == pytest.approx(0.25, abs=1e-4)
    ap = figures["delhi: average precision"]
    first, second = 3 / 4, (1 / 2 + 2 / 3 + 3 / 4) / 4
    assert ap.value == pytest.approx((first + second) / 2, abs=1e-4)


def test_one_seed_has_no_spread() -> None:
    assert all(f.seed_spread is None for f in figures_of_table(join_scores([FIRST]), 0.5))


def test_false_alarms_at_a_fixed_recall_are_given_where_it_is_reached() -> None:
    names = {f.name: f.value for f in figures_of_table(join_scores([SECOND]), 0.8)}
    assert names["delhi: false alarms per 1,000 km2 at recall 0.9"] == 0.0
    assert "delhi: false alarms per 1,000 km2 at recall 0.9" not in {
        f.name for f in figures_of_table(join_scores([FIRST]), 0.8)
    }


def land(better: bool) -> pd.DataFrame:
    """Twenty blocks; the better detector ranks every site above every false alarm of its block."""
    rng = np.random.default_rng(1)
    parts = []
    for block in range(20):
        difficulty = rng.uniform(-0.1, 0.1)
        hits = 0.7 + difficulty + (0.15 if better else 0.0)
        parts.append(
            pd.DataFrame(
                {
                    "score": [hits, hits - 0.1, 0.65 + difficulty, 0.55 + difficulty],
                    "is_site": [True, True, False, False],
                    "place": f"east/{block}",
                }
            )
        )
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(per_1000km2=20.0, region="east", fold="", seed=0, area_km2=2000.0)


def test_a_real_gain_excludes_zero_and_none_holds_it() -> None:
    ap, f1 = compare_tables(land(False), land(True), 0.6, 0.6)
    assert (ap.figure, f1.figure) == ("average precision", "F1")
    assert ap.gain.low > 0
    assert ap.counts
    assert "excludes 0" in str(ap)
    same, _ = compare_tables(land(True), land(True), 0.6, 0.6)
    assert (same.gain.value, same.gain.low, same.gain.high) == (0.0, 0.0, 0.0)
    assert not same.counts


def test_a_gain_turned_round_is_a_loss_of_the_same_size() -> None:
    forth = compare_tables(land(False), land(True), 0.6, 0.6)[0].gain
    back = compare_tables(land(True), land(False), 0.6, 0.6)[0].gain
    assert (back.value, back.low, back.high) == (-forth.value, -forth.high, -forth.low)


def test_tables_without_a_common_region_cannot_be_compared() -> None:
    with pytest.raises(DatasetError, match="no region in common"):
        compare_tables(FIRST, rows("dhaka", [0.5], [1]), 0.5, 0.5)


def test_a_region_with_places_that_hold_no_site_keeps_its_area(tmp_path) -> None:
    empty = rows("delhi-3", [0.4], [0])
    joined = join_scores([FIRST.assign(fold="d"), empty.assign(fold="d")])
    # Four sites on 100 km2, not on the 50 where they stand.
    assert set(joined["per_1000km2"]) == {40.0}
    write_scores(joined, tmp_path / "t.csv")
    pd.testing.assert_frame_equal(read_scores([tmp_path / "t.csv"]), joined)


def test_tables_of_four_columns_are_still_read(tmp_path) -> None:
    old = FIRST[["score", "is_site", "per_1000km2", "place"]]
    old.to_csv(tmp_path / "old.csv", index=False)
    read = read_scores([tmp_path / "old.csv"])
    assert set(read["region"]) == {"delhi-1"}
    assert read["area_km2"].iloc[0] == pytest.approx(50.0)
