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
from maps.expected import expected_over
from tiles.cells import project
from tiles.tables import read_table, write_table

PERIOD = "2025-11/2026-06"


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
    assert unheard["report_rate"].max() < heard["report_rate"].median()


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
    cells = survey.cells.assign(expected_sites=1e-3, var_own=1e-3, sd_density=0.0)
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
