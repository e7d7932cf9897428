from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from maps.evidence import (
    EVIDENCE_CLASSES,
    GROUPS,
    OUTSIDE,
    group_evidence,
)
from maps.expected import Recall, expected_by_cell, expected_over
from maps.hotspots import find_hotspots
from maps.reporting import Release
from maps.wording import describe
from models.site_class import load_site_class
from tiles.cells import project
from tiles.tables import read_table, write_table

PERIOD = "2025-11/2026-06"
KILNS = load_site_class("brick_kiln")


def test_every_cell_counts_once_and_group_figures_are_sums(survey):
    groups = survey.groups
    assert groups["n_cells"].sum() == len(survey.cells)
    assert groups["expected_sites"].sum() == pytest.approx(survey.cells["expected_sites"].sum())
    assert groups["area_km2"].sum() == pytest.approx(survey.cells["area_km2"].sum())
    assert groups["searched_km2"].sum() == pytest.approx(survey.cells["searched_km2"].sum())
    hot = survey.hotspots["hotspot_class"].str.startswith("hot_").sum()
    assert groups["n_hot_cells"].sum() == hot > 20


def test_intervals_of_groups_hold_their_mean_and_narrow_with_size(survey):
    groups = survey.groups
    assert (groups["expected_low"] <= groups["expected_sites"]).all()
    assert (groups["expected_sites"] <= groups["expected_high"]).all()
    total = expected_over(survey.cells)
    of_groups = (groups["expected_high"] - groups["expected_low"]).sum()
    assert total.high - total.low < of_groups


def test_classes_speak_of_the_right_groups(survey):
    groups = survey.groups.set_index("group_id")
    assert set(groups["evidence_class"]) <= set(EVIDENCE_CLASSES)
    assert groups.loc["rest", "evidence_class"] in ("no_release", "not_searched")
    unheard = groups[groups["evidence_class"] == "unheard"]
    heard = groups[groups["evidence_class"] == "both"]
    assert len(unheard) >= 2
    assert (unheard["expected_low"] >= 5).all()
    assert unheard["report_rate_high"].max() < groups["report_rate"].median() / 2
    assert heard["report_rate"].median() > 1


def test_rest_never_gets_a_rate_even_if_a_count_is_there(survey):
    counts = pd.concat([survey.release.count_noised, pd.Series({"rest": 40})])
    release = replace(survey.release, count_noised=counts)
    groups = group_evidence(survey.cells, survey.hotspots, survey.partition, PERIOD, release)
    rest = groups.set_index("group_id").loc["rest"]
    assert np.isnan(rest["report_rate"])
    assert rest["evidence_class"] in ("no_release", "not_searched")


def test_without_a_release_there_is_no_rate_and_no_word_of_reports(survey):
    groups = group_evidence(survey.cells, survey.hotspots, survey.partition, PERIOD)
    assert groups["report_rate"].isna().all()
    assert set(groups["evidence_class"]) <= {"no_release", "not_searched"}


def test_hardly_searched_groups_are_not_judged(survey):
    cells = survey.cells.assign(searched_km2=survey.cells["searched_km2"] * 0.1)
    groups = group_evidence(cells, survey.hotspots, survey.partition, PERIOD, survey.release)
    assert set(groups["evidence_class"]) == {"not_searched"}
    assert groups["report_rate"].isna().all()


def test_reports_where_no_site_is_seen(survey):
    nothing = {"expected_sites": 1e-3, "var_own": 1e-3, "sd_density": 0.0}
    cells = survey.cells.assign(**nothing, **{f"whole_{name}": nothing[name] for name in nothing})
    groups = group_evidence(cells, survey.hotspots, survey.partition, PERIOD, survey.release)
    assert "reports_only" in set(groups["evidence_class"])
    assert groups["report_rate"].isna().all()


def test_ground_beyond_the_survey_counts_as_unsearched(survey):
    kept = survey.cells["col"] < survey.cells["col"].median()
    groups = group_evidence(survey.cells[kept], survey.hotspots, survey.partition, PERIOD)
    assert groups["area_km2"].sum() == pytest.approx(survey.cells["area_km2"].sum())
    beyond = groups[groups["searched_share"] == 0]
    assert len(beyond) > 3
    density = survey.cells[kept]["expected_sites"].sum() / survey.cells[kept]["area_km2"].sum()
    np.testing.assert_allclose(beyond["expected_sites"] / beyond["area_km2"], density)


def test_cells_that_the_partition_lacks_come_last_as_one_group(survey):
    partition = survey.partition[survey.partition["group_id"] != "rest"]
    groups = group_evidence(survey.cells, survey.hotspots, partition, PERIOD, survey.release)
    last = groups.iloc[-1]
    assert last["group_id"] == OUTSIDE
    assert last["evidence_class"] in ("no_release", "not_searched")
    assert groups["n_cells"].sum() == len(survey.cells)


def test_shape_of_a_group_is_the_union_of_its_cells(survey):
    area_m2 = survey.groups.geometry.map(lambda shape: project(shape).area)
    np.testing.assert_allclose(area_m2, survey.groups["n_cells"] * 25e6, rtol=1e-6)


def test_round_trip_through_the_table(survey, tmp_path):
    write_table(survey.groups, tmp_path / "groups.parquet", GROUPS)
    back = read_table(tmp_path / "groups.parquet", GROUPS)
    assert list(back["report_rate"].isna()) == list(survey.groups["report_rate"].isna())
    assert list(back["group_id"]) == list(survey.groups["group_id"])


EDGE, GROUPS_OF_4 = 8, 40


def edged_world(inside_share=0.4, lost=0):
    """0.4 sites per km2 everywhere; the cells of one group reach beyond the region, 40 are inside.

    Of the first inner group, `lost` of four cells lie outside the survey.
    """
    inner = [f"5000_{700 + n // 40}_{4900 + n % 40}" for n in range(4 * GROUPS_OF_4)]
    edge = [f"5000_710_{4900 + n}" for n in range(EDGE)]
    area_km2 = [25.0] * len(inner) + [25.0 * inside_share] * EDGE
    table = pd.DataFrame({"cell_id": inner + edge, "area_km2": area_km2})
    seen = table.iloc[lost:]
    places = [(i, n) for i, km2 in seen.itertuples(index=False) for n in range(round(0.4 * km2))]
    sites = pd.DataFrame({"cell_id": [i for i, _ in places], "p_site": 1.0})
    sites[["p_low", "p_high"]] = 1.0
    cells = expected_by_cell(sites, seen.assign(status="searched"), Recall(1, 1, 1), KILNS)
    ids = [inner[4 * n : 4 * n + 4] for n in range(GROUPS_OF_4)] + [edge]
    partition = pd.DataFrame({"group_id": [f"g{n}" for n in range(len(ids))], "cell_ids": ids})
    area = table.set_index("cell_id")["area_km2"]
    partition["area_km2"] = [area[cell_ids].sum() for cell_ids in ids]
    return cells, find_hotspots(cells, PERIOD, "brick_kiln"), partition


def released(partition, per_cell, scale=1.0):
    counts = [round(per_cell * len(ids)) for ids in partition["cell_ids"]]
    return Release("r1", pd.Series(counts, index=partition["group_id"]), scale, 1.0)


@pytest.mark.parametrize("lost", [0, 2])
def test_groups_at_the_edge_have_the_rate_of_the_others(lost):
    """Reports come from whole cells, sites from the 40 % inside: that is no rate 2.5 times as high.

    Two lost cells of an inner group are ground that only the reports know.
    """
    cells, hotspots, partition = edged_world(lost=lost)
    groups = group_evidence(cells, hotspots, partition, PERIOD, released(partition, 16))
    edge, inner = groups.iloc[-1], groups.iloc[1:-1]
    assert edge["area_km2"] == pytest.approx(EDGE * 10)
    assert edge["expected_sites"] == pytest.approx(EDGE * 4, rel=0.01)
    assert edge["report_rate"] == pytest.approx(inner["report_rate"].median(), rel=0.04)
    assert groups.iloc[0]["report_rate"] == pytest.approx(inner["report_rate"].median(), rel=0.06)


def test_no_rate_where_hardly_any_of_the_whole_cells_was_seen():
    cells, hotspots, partition = edged_world(inside_share=0.16)
    edge = group_evidence(cells, hotspots, partition, PERIOD, released(partition, 16)).iloc[-1]
    assert edge["searched_share"] == 1
    assert np.isnan(edge["report_rate"])


@pytest.mark.parametrize("false_reporters", [0, 150, 1500, 100_000])
def test_false_reporters_in_one_group_make_no_other_unheard(false_reporters):
    cells, hotspots, partition = edged_world(inside_share=1.0)
    release = released(partition, 10)
    release.count_noised.iloc[7] += false_reporters
    groups = group_evidence(cells, hotspots, partition, PERIOD, release)
    assert groups["report_rate"].median() == pytest.approx(1.0, abs=0.05)
    assert (groups["evidence_class"] == "unheard").sum() == 0


def test_a_silent_group_is_unheard_beside_enough_others():
    cells, hotspots, partition = edged_world(inside_share=1.0)
    release = released(partition, 10)
    release.count_noised.iloc[[3, 4]] = [1, 25]  # of 40; the second is below, not under half
    groups = group_evidence(cells, hotspots, partition, PERIOD, release)
    assert np.flatnonzero(groups["evidence_class"] == "unheard").tolist() == [3]
    few = release.count_noised.iloc[[3, 4, 5, 6]]
    groups = group_evidence(cells, hotspots, partition, PERIOD, replace(release, count_noised=few))
    assert groups["report_rate"].notna().sum() == 4
    assert "unheard" not in set(groups["evidence_class"])


def test_above_the_median_is_never_unheard():
    """A rate of 2.47 (1.50 to 3.67) where one group in three is far above it and lifts the mean."""
    cells, hotspots, partition = edged_world(inside_share=1.0)
    release = released(partition, 10)
    release.count_noised.iloc[:13] *= 20
    release.count_noised.iloc[20] = 99
    groups = group_evidence(cells, hotspots, partition, PERIOD, release)
    assert groups["report_rate"].iloc[20] == pytest.approx(2.47, abs=0.05)
    assert groups["report_rate_high"].iloc[20] < groups["report_rate"].mean() / 2
    assert "unheard" not in set(groups["evidence_class"])


def one_group(survey, cell_ids):
    """The group of these cells, and what is said of its hotspots."""
    partition = pd.DataFrame({"group_id": ["g"], "cell_ids": [cell_ids], "area_km2": [25.0]})
    groups = group_evidence(survey.cells, survey.hotspots, partition, PERIOD)
    return groups.iloc[0], describe(groups)[0].hotspot


def test_cells_outside_the_survey_count_as_not_tested(survey):
    hot = list(survey.hotspots.query("hotspot_class == 'hot_99'")["cell_id"].head(2))
    beyond = [f"5000_760_{4000 + n}" for n in range(3)]
    group, words = one_group(survey, hot + beyond[:2])
    assert (group["hotspot_class"], group["n_hot_cells"]) == ("hot_99", 2)
    assert words == "hotspot (99 %): 2 of 4 cells"
    group, words = one_group(survey, hot + beyond)
    assert (group["hotspot_class"], group["n_hot_cells"]) == ("not_tested", 2)
    assert words.startswith("2 of 5 cells are hot; as a whole not tested: ")


def test_a_group_searched_well_is_not_said_to_be_searched_too_little():
    cells, hotspots, partition = edged_world(inside_share=0.16)
    groups = group_evidence(cells, hotspots, partition, PERIOD)
    assert (groups["hotspot_class"].iloc[-1], groups["searched_share"].iloc[-1]) == (
        "not_tested",
        1,
    )
    said = describe(groups)[-1].hotspot
    assert (
        said
        == "not tested: of most of its cells, under a fifth lies in the survey and was searched"
    )
    unsearched = describe(groups.assign(searched_share=0.1))[-1].hotspot
    assert unsearched == "not tested: too little was searched"


def test_access_is_told_apart_from_silence():
    """Half of the groups can hardly report: their few reports are no low rate, but unheard."""
    cells, hotspots, partition = edged_world(inside_share=1.0)
    release = released(partition, 10)
    hindered = np.arange(0, 40, 2)
    release.count_noised.iloc[hindered] = 2
    ids = partition["cell_ids"]
    reach = {cell: 0.1 if n in hindered else 1.0 for n in range(len(ids)) for cell in ids[n]}
    access = pd.Series(reach)
    groups = group_evidence(cells, hotspots, partition, PERIOD, release, access)
    assert set(groups["evidence_class"].iloc[hindered]) == {"unheard"}
    others = np.setdiff1d(np.arange(40), hindered)
    assert set(groups["evidence_class"].iloc[others]) == {"both"}
    access[ids[1]] = np.nan
    groups = group_evidence(cells, hotspots, partition, PERIOD, release, access)
    assert np.isnan(groups["report_rate"].iloc[1])
    assert groups["report_rate"].notna().sum() >= len(others)


def test_equal_access_changes_nothing():
    cells, hotspots, partition = edged_world(inside_share=1.0)
    release = released(partition, 10)
    plain = group_evidence(cells, hotspots, partition, PERIOD, release)
    access = pd.Series(3.5, index=partition["cell_ids"].explode())
    same = group_evidence(cells, hotspots, partition, PERIOD, release, access)
    np.testing.assert_allclose(plain["report_rate"], same["report_rate"], rtol=1e-9)
    assert list(plain["evidence_class"]) == list(same["evidence_class"])
