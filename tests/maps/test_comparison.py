from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from maps.comparison import COMPARISON, Looked, compare_list, compare_runs
from maps.expected import Recall
from tiles.tables import read_table, write_table

STEP = 0.01  # about a kilometre
RECALL = Recall(0.8, 0.7, 0.9)


def sites(*rows: tuple[str, float, float]) -> pd.DataFrame:
    """Sites by name, number of steps east, and p_site."""
    return pd.DataFrame(
        [(name, 77 + STEP * east, 28.0, p) for name, east, p in rows],
        columns=["site_id", "lon", "lat", "p_site"],
    )


def searched_west_of(steps: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda lon, lat: np.where(lon < 77 + STEP * steps, "searched", "cloud")


def looked(frame: pd.DataFrame, steps: float = 1e6) -> Looked:
    return Looked(frame, searched_west_of(steps), RECALL)


def status_of(table: pd.DataFrame) -> dict[str, str]:
    return dict(zip(table["place_id"], table["status"], strict=True))


def test_each_place_of_two_surveys_has_the_status_that_coverage_allows():
    before = sites(("stays", 0, 0.9), ("goes", 1, 0.9), ("hidden", 8, 0.9), ("faint", 2, 0.3))
    after = sites(("stays2", 0.0005, 0.8), ("comes", 3, 0.7), ("comes-hidden", 6, 0.7))
    found = compare_runs(looked(before, steps=5), looked(after, steps=7), within_m=100)
    assert status_of(found.table) == {
        "stays2": "unchanged",
        "goes": "gone",
        "hidden": "not_seen_after",
        "faint": "unsure",
        "comes": "new",
        "comes-hidden": "not_seen_before",
    }
    pair = found.table.set_index("place_id").loc["stays2"]
    assert (pair["first_id"], pair["second_id"]) == ("stays", "stays2")
    assert pair["distance_m"] == pytest.approx(0.0005 * STEP * 98_300, abs=0.05)


def test_a_pair_counts_when_either_survey_is_sure_enough():
    found = compare_runs(
        looked(sites(("a", 0, 0.3), ("b", 1, 0.2))),
        looked(sites(("c", 0, 0.6), ("d", 1, 0.4))),
        100,
    )
    assert status_of(found.table) == {"c": "unchanged", "d": "unsure"}


def test_what_chance_alone_would_take_away_is_said():
    before = sites(("a", 0, 0.9), ("b", 1, 0.6), ("unsure", 2, 0.4), ("hidden", 9, 0.9))
    found = compare_runs(looked(before), looked(before, steps=5), 100)
    assert found.by_chance == pytest.approx(0.9 * 0.2 + 0.1 + 0.6 * 0.2 + 0.4)


def test_a_list_is_matched_missed_or_not_seen_and_the_rest_is_extra():
    survey = looked(sites(("hit", 0, 0.4), ("more", 1, 0.9), ("faint", 2, 0.3)), steps=5)
    listed = pd.DataFrame({"lon": [77.0, 77 + 3 * STEP, 77 + 8 * STEP], "lat": [28.0] * 3})
    found = compare_list(survey, listed, 100)
    assert status_of(found.table) == {
        "list-1": "matched",
        "list-2": "missed",
        "list-3": "not_seen",
        "more": "extra",
        "faint": "unsure",
    }
    assert found.count("matched") == 1
    assert found.offset.length_m == 0
    assert found.by_chance is None


def test_a_displaced_list_is_compared_where_it_belongs():
    rng = np.random.default_rng(0)
    east, north = rng.uniform(0, 0.5, (2, 200))
    there = pd.DataFrame({"lon": 77 + east, "lat": 28 + north})
    survey = looked(there.assign(site_id=[f"s{i}" for i in range(200)], p_site=0.9))
    listed = there.add([0.0009, -0.0009])  # 88 m east, 100 m south
    found = compare_list(survey, listed, 100)
    assert found.count("matched") == 200
    assert found.table["lon"].to_numpy() == pytest.approx(
        found.table["second_id"].str[5:].astype(int).map(lambda row: there["lon"].iloc[row - 1]),
        abs=2e-5,
    )


def test_the_table_is_written_and_read_as_its_schema_says(tmp_path):
    found = compare_runs(looked(sites(("a", 0, 0.9))), looked(sites(("b", 4, 0.9))), 100)
    write_table(found.table, tmp_path / "comparison.parquet", COMPARISON)
    read = read_table(tmp_path / "comparison.parquet", COMPARISON)
    assert status_of(read) == {"a": "gone", "b": "new"}
    assert read["first_id"].fillna("none").tolist() == ["a", "none"]


def test_two_empty_surveys_compare_to_nothing():
    none = sites(("a", 0, 0.9)).iloc[:0]
    found = compare_runs(looked(none), looked(none), 100)
    assert len(found.table) == 0
    assert found.by_chance == 0
