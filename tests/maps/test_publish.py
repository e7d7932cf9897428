import base64
import dataclasses
import hashlib
import json
import re
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
from pydantic import ValidationError

from maps import publish
from maps.dictionary import SITE_NAMES
from maps.downloads import GROUP_NAMES, MANIFEST, downloads_of
from maps.facts import Publication
from maps.language import LANGUAGES, page_name
from maps.layers import themes
from maps.page import LEAFLET_SHA256, leaflet
from maps.wording import TOO_FEW, describe, interval, share
from tiles.cells import project
from tiles.errors import PublishError

XSS = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"' {{7*7}} &"
PAGES = [
    "map.html",
    *(page_name(page, code, "en") for page in publish.TEXT_PAGES for code in LANGUAGES),
]
ENGLISH = ["index.html", "map.html", "table.html", "method.html"]


@pytest.fixture
def put(survey, make_contents):
    """Publishes the survey, a part of its contents or facts changed."""

    def write(folder, tier="public", languages=("en",), facts=None, **changes):
        contents = make_contents(survey, tier, **(facts or {}))
        contents = dataclasses.replace(contents, **changes)
        return publish.publish(contents, survey.sites, folder, languages=languages)

    return write


@pytest.mark.parametrize("tier", ["public", "partner"])
def test_folder_holds_what_it_lists_and_the_manifest_fits(tier, request):
    folder = request.getfixturevalue(tier)
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted([*PAGES, *downloads_of(tier)])
    manifest = json.loads((folder / MANIFEST).read_text())
    for name, digest in manifest["sha256"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert sorted(manifest["sha256"]) == sorted(set(names) - {MANIFEST})
    assert manifest["disclaimer"] == "worksite detected, labour conditions not assessed"
    assert (manifest["tier"], manifest["epsilon"], manifest["k"]) == (tier, 1.0, 5)


def test_same_survey_same_bytes(public, put, tmp_path):
    for path in put(tmp_path / "again", languages=LANGUAGES):
        assert path.read_bytes() == (public / path.name).read_bytes(), path.name


def test_every_page_says_what_it_is_not(public):
    for name in ENGLISH:
        text = (public / name).read_text(encoding="utf-8").lower()
        assert "worksite detected, labour conditions not assessed" in text
        assert "made-up data" in text


def test_groups_table_opens_and_agrees_with_the_survey(public, survey):
    table = pd.read_csv(public / "groups.csv", encoding="utf-8-sig")
    assert list(table.columns) == list(GROUP_NAMES)
    assert table["expected_sites"].sum() == pytest.approx(
        survey.groups["expected_sites"].sum(), abs=0.06 * len(table)
    )
    missing = table["report_rate"].isna()
    assert set(table.loc[missing, "report_note"]) <= {TOO_FEW, "not released"}
    assert table.loc[~missing, "report_note"].isna().all()
    shapes = gpd.read_file(public / "groups.geojson")
    assert list(shapes["group_id"]) == list(table["group_id"])
    assert shapes.geometry.is_valid.all()


def test_public_figures_are_sums_of_the_partners(public, partner, survey, make_contents):
    wide, fine = (
        pd.read_csv(folder / "groups.csv", encoding="utf-8-sig") for folder in (public, partner)
    )
    assert 5 < len(wide) < len(fine)
    members = make_contents(survey).partition.set_index("group_id")["members"]
    by_id = fine.set_index("group_id")
    for row in wide.to_dict("records"):
        parts = by_id.loc[members[row["group_id"]]]
        for name in ("expected_sites", "area_km2", "searched_km2", "n_cells"):
            assert parts[name].sum() == pytest.approx(row[name], abs=0.06 * (len(parts) + 1)), name


def test_partner_tier_lists_sites_without_rank_in_the_order_of_their_names(partner, survey):
    table = pd.read_csv(partner / "sites.csv", encoding="utf-8-sig")
    assert list(table.columns) == list(SITE_NAMES)
    assert not {"rank", "priority", "reason"} & set(table.columns)
    assert list(table["site_id"]) == sorted(survey.sites["site_id"])
    points = gpd.read_file(partner / "sites.geojson")
    known = survey.sites.set_index("site_id").loc[table["site_id"]]
    metres = points.to_crs(32643).distance(known.to_crs(32643).geometry.reset_index(drop=True))
    assert metres.max() < 1
    for name in ("index.html", "table.html", "method.html", "groups.csv"):
        assert "KL-" not in (partner / name).read_text(encoding="utf-8")


def test_dictionary_says_every_column_of_every_table(partner):
    entries = pd.read_csv(partner / "data_dictionary.csv", encoding="utf-8-sig")
    for name in ("groups.csv", "sites.csv"):
        columns = pd.read_csv(partner / name, encoding="utf-8-sig").columns
        said = entries[entries["file"].str.contains(name, regex=False)]
        assert list(said["column"])[: len(columns)] == list(columns)
        assert said["meaning"].str.len().min() > 8
    assert entries.set_index("column")["unit"]["area_km2"] == "km2"


def test_every_script_and_style_is_named_in_the_policy(public):
    for name in ENGLISH:
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
        for known in LEAFLET_SHA256:
            text = text.replace(leaflet(known), "")
        assert not re.search(r"\w+://(?!www\.w3\.org)|(?:src|href)=.?//", text), name


def test_names_from_users_are_text_and_never_code(put, tmp_path):
    facts = {"region_name": XSS, "imagery": XSS, "publisher": XSS, "contact": XSS}
    for path in put(tmp_path / "public", facts=facts):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".html":
            assert "<script>alert" not in text
            assert "<img" not in text
            assert "{{7*7}}" in text.replace("&#123;", "{")


def test_failure_leaves_what_was_public(put, survey, tmp_path):
    folder = tmp_path / "public"
    put(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(PublishError):
        put(folder, facts={"region_name": survey.sites["site_id"][0]})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["public"]


def test_failing_rename_leaves_what_was_public(put, tmp_path, monkeypatch):
    folder = tmp_path / "public"
    put(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    rename = Path.rename

    def full(path, target):
        if path.name.endswith(".part"):
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="No space left"):
        put(folder, facts={"region_name": "another"})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["public"]


def test_delay_preview_and_contact_are_said(public, put, tmp_path):
    for name in ("index.html", "method.html"):
        assert "Held back until October 2026" in (public / name).read_text(encoding="utf-8")
    assert json.loads((public / MANIFEST).read_text())["not_before"] == "2026-10"
    facts = {"preview": True, "publisher": "Kiln Watch", "contact": "ask@example.org"}
    put(tmp_path / "p", facts=facts)
    index, method = ((tmp_path / "p" / f"{n}.html").read_text() for n in ("index", "method"))
    assert "not before October 2026" in index
    assert "Published by Kiln Watch. Write to: ask@example.org" in method
    put(tmp_path / "q", facts={"not_before": None})
    assert "Held back" not in (tmp_path / "q" / "index.html").read_text(encoding="utf-8")
    with pytest.raises(ValidationError):
        Publication(**{**make_values(public), "not_before": "1.10.2026"})


def make_values(public):
    """The least that a Publication must say."""
    manifest = json.loads((public / MANIFEST).read_text())
    return {"region_name": manifest["region"], "period": manifest["period"]}


def test_nothing_to_publish_is_said(put, survey, tmp_path):
    with pytest.raises(PublishError, match="no area"):
        put(tmp_path / "public", groups=survey.groups.iloc[:0])
    assert not (tmp_path / "public").exists()


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


def test_a_survey_of_one_cell_makes_a_page(make_contents, survey, tmp_path):
    contents = make_contents(survey, "partner")
    at = contents.groups.index[contents.groups["n_cells"] == 1][:1]
    group_id = contents.groups["group_id"][at[0]]
    cell_ids = contents.partition.set_index("group_id")["cell_ids"][group_id]
    one = dataclasses.replace(
        contents,
        groups=contents.groups.loc[at].reset_index(drop=True),
        cells=contents.cells[contents.cells["cell_id"].isin(cell_ids)],
    )
    assert len(one.cells) == 1
    files = publish.publish(one, survey.sites, tmp_path / "public", languages=("en",))
    assert len(files) == 4 + len(downloads_of("partner"))


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
