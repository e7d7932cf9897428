import base64
import hashlib
import json
import re
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
from pydantic import ValidationError

from maps import page, publish
from maps.facts import Publication
from maps.layers import themes
from maps.publish import MANIFEST, PAGES, PUBLIC_COLUMNS, TABLES
from maps.wording import TOO_FEW, describe, interval, share
from tiles.cells import project
from tiles.errors import PublishError

XSS = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"' {{7*7}} &"


def put(survey, folder, **changes):
    parts = {
        "groups": survey.groups,
        "cells": survey.cells,
        "sites": survey.sites,
        "facts": survey.facts,
    } | changes
    return publish.publish(**parts, folder=folder)


def test_folder_holds_what_it_lists_and_the_manifest_fits(public):
    names = sorted(path.name for path in public.iterdir())
    assert names == sorted([*PAGES, *TABLES, MANIFEST])
    manifest = json.loads((public / MANIFEST).read_text())
    for name, digest in manifest["sha256"].items():
        assert hashlib.sha256((public / name).read_bytes()).hexdigest() == digest
    assert sorted(manifest["sha256"]) == sorted([*PAGES, *TABLES])
    assert manifest["disclaimer"] == "worksite detected, labour conditions not assessed"


def test_same_survey_same_bytes(public, survey, tmp_path):
    for path in put(survey, tmp_path / "again"):
        assert path.read_bytes() == (public / path.name).read_bytes(), path.name


def test_every_page_says_what_it_is_not(public):
    for name in PAGES:
        text = (public / name).read_text(encoding="utf-8").lower()
        assert "worksite detected, labour conditions not assessed" in text
        assert "made-up data" in text


def test_groups_table_opens_and_agrees_with_the_survey(public, survey):
    table = pd.read_csv(public / "groups.csv", encoding="utf-8-sig")
    assert list(table.columns) == list(PUBLIC_COLUMNS)
    assert table["expected_sites"].sum() == pytest.approx(
        survey.groups["expected_sites"].sum(), abs=0.06 * len(table)
    )
    missing = table["report_rate"].isna()
    assert set(table.loc[missing, "report_note"]) <= {TOO_FEW, "not released"}
    assert table.loc[~missing, "report_note"].isna().all()
    shapes = gpd.read_file(public / "groups.geojson")
    assert list(shapes["group_id"]) == list(table["group_id"])
    assert shapes.geometry.is_valid.all()


def test_every_script_and_style_is_named_in_the_policy(public):
    for name in PAGES:
        text = (public / name).read_text(encoding="utf-8")
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text).group(1)
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        for content in re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", text, re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy
        assert not re.search(r"\son\w+=|\sstyle=", text.split("<script>")[0])


def test_no_page_names_a_host(public):
    for name in PAGES:
        text = (public / name).read_text(encoding="utf-8")
        for known in page.LEAFLET_SHA256:
            text = text.replace(page.leaflet(known), "")
        assert not re.search(r"\w+://|(?:src|href)=.?//", text)


def test_names_from_users_are_text_and_never_code(survey, tmp_path):
    facts = survey.facts.model_copy(update={"region_name": XSS, "imagery": XSS})
    groups = survey.groups.assign(group_id=[f"{XSS} {n}" for n in range(len(survey.groups))])
    folder = tmp_path / "public"
    put(survey, folder, groups=groups, facts=facts)
    html, index = (
        (folder / name).read_text(encoding="utf-8") for name in ("map.html", "index.html")
    )
    for text in (html, index):
        assert "<script>alert" not in text
        assert "<img" not in text
        assert "{{7*7}}" in text.replace("&#123;", "{")
    block = re.search(r'id="groups">(.*?)</script>', html, re.DOTALL).group(1)
    assert json.loads(block)["features"][0]["properties"]["title"] == f"Area {XSS} 0"


def test_failure_leaves_what_was_public(public, survey, tmp_path):
    folder = tmp_path / "public"
    put(survey, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(PublishError):
        put(
            survey,
            folder,
            groups=survey.groups.assign(
                group_id=list(survey.sites["site_id"][: len(survey.groups)])
            ),
        )
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["public"]


def test_failing_rename_leaves_what_was_public(survey, tmp_path, monkeypatch):
    folder = tmp_path / "public"
    put(survey, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    rename = Path.rename

    def full(path, target):
        if path.name.endswith(".part"):
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="No space left"):
        put(survey, folder, facts=survey.facts.model_copy(update={"region_name": "another"}))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["public"]


def test_delay_is_said_on_overview_and_method(public, survey, tmp_path):
    sentence = "To be made public not before 2026-10."
    for name in ("index.html", "method.html"):
        assert sentence in (public / name).read_text(encoding="utf-8")
    assert json.loads((public / MANIFEST).read_text())["not_before"] == "2026-10"
    put(survey, tmp_path / "p", facts=survey.facts.model_copy(update={"not_before": None}))
    assert "not before" not in (tmp_path / "p" / "index.html").read_text(encoding="utf-8")
    with pytest.raises(ValidationError):
        Publication(**{**survey.facts.model_dump(), "not_before": "1.10.2026"})


def test_nothing_to_publish_is_said(survey, tmp_path):
    with pytest.raises(PublishError, match="no area"):
        put(survey, tmp_path / "public", groups=survey.groups.iloc[:0])
    assert not (tmp_path / "public").exists()


def test_another_leaflet_is_not_inlined(monkeypatch):
    monkeypatch.setitem(page.LEAFLET_SHA256, "leaflet.js", "0" * 64)
    with pytest.raises(PublishError, match="install the pinned version"):
        page.leaflet("leaflet.js")


def test_themes_give_every_group_a_class_and_drop_reports_without_a_release(survey):
    for theme in themes(survey.groups):
        assert len(theme.group_classes) == len(survey.groups)
        assert max(theme.group_classes) < len(theme.classes)
    silent = survey.groups.assign(evidence_class="no_release", report_rate=float("nan"))
    assert [theme.key for theme in themes(silent)] == ["expected", "hotspots", "coverage"]
    assert len(themes(survey.groups)) == 5


def test_hardly_searched_is_hatched_and_never_the_lowest_class(survey):
    groups = survey.groups.assign(searched_share=0.1, expected_sites=0.0)
    expected = themes(groups)[0]
    assert {expected.classes[at].pattern for at in expected.group_classes} == {"hatch"}


def test_gaps_are_the_cells_hardly_searched(survey):
    gaps = publish.search_gaps(survey.cells)
    hardly = survey.cells["searched_km2"] < 0.2 * survey.cells["area_km2"]
    assert hardly.sum() > 50
    assert project(gaps).area == pytest.approx(25e6 * hardly.sum(), rel=1e-6)
    searched = survey.cells.assign(searched_km2=survey.cells["area_km2"])
    assert publish.search_gaps(searched).is_empty


def test_a_survey_of_one_cell_makes_a_page(survey, tmp_path):
    one = survey.groups[survey.groups["n_cells"] == 1].head(1)
    cells = survey.cells.assign(searched_km2=survey.cells["area_km2"]).head(1)
    paths = put(survey, tmp_path / "public", groups=one, cells=cells)
    assert len(paths) == 6


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        ((12.3, 8, 17), "12 (8 to 17)"),
        ((0.04, 0, 1), "0.0 (0 to 1)"),
        ((1234, 1000, 1500), "1,234 (1,000 to 1,500)"),
    ],
)
def test_numbers_of_sites_in_words(figures, text):
    assert interval(*figures) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 %"), (0.001, "1 %"), (0.5, "50 %"), (0.999, "99 %"), (1.0, "100 %")]
)
def test_shares_in_words_say_all_and_nothing_only_where_it_is(value, text):
    assert share(value) == text


def test_words_never_say_nothing_happens(survey):
    silent = describe(survey.groups.assign(evidence_class="imagery_only", report_rate=float("nan")))
    assert {words.reporting for words in silent} == {TOO_FEW}
    assert all("does not mean that nothing happens" in words.evidence for words in silent)
