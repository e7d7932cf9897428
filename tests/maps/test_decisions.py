import pytest

from maps.decisions import hotspot_decisions, write_decisions
from maps.hotspots import find_hotspots
from maps.positions import position_in
from maps.stability import stability

PERIOD = "2025-11/2026-06"


@pytest.fixture(scope="module")
def log(survey):
    share = stability(survey.cells, survey.sites, survey.hotspots["hotspot_class"])
    return hotspot_decisions(survey.hotspots.assign(stability=share), survey.cells)


def test_the_log_says_what_the_tables_say(survey, log):
    text = " ".join(one.text for one in log)
    tested = (survey.hotspots["hotspot_class"] != "not_tested").sum()
    hot = survey.hotspots["cluster_id"].notna().sum()
    assert f"{tested} of {len(survey.cells)} cells of 5 km" in text
    assert f"{hot} of {tested} tested cells are hot" in text
    assert "within 15.0 km of a cell, 29 where none is missing" in text
    assert f"{survey.cells['n_sites'].sum():,}. Reports play no part." in text
    empty = (survey.hotspots["cluster_id"].notna() & (survey.hotspots["n_sites"] == 0)).sum()
    assert f"{empty} of the hot cells hold no site themselves" in text


def test_the_log_names_no_place_and_can_stand_in_public(log):
    for one in log:
        assert position_in(one.text) is None
        assert "cluster_" not in one.text


def test_where_nothing_can_be_tested_the_log_says_why(survey):
    one = survey.cells.head(1)
    log = hotspot_decisions(find_hotspots(one, PERIOD, "brick_kiln"), one)
    assert "No cell has others to be compared with" in next(
        d.text for d in log if d.about == "What is tested"
    )


def test_the_file_is_headings_and_sentences(log, tmp_path):
    write_decisions(tmp_path / "decisions.md", "How it came about", log)
    lines = (tmp_path / "decisions.md").read_text().splitlines()
    assert lines[0] == "# How it came about"
    assert [line for line in lines if line.startswith("## ")] == [f"## {d.about}" for d in log]
