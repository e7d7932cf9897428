import gzip
import json
import re

import numpy as np
import pytest
import shapely
from pydantic import ValidationError

from maps import basemap
from maps.basemap import MapNames, base_block, natural_earth
from maps.boundaries import Districts, Places
from maps.cell_code import Bounds
from maps.evidence import EVIDENCE_CLASSES
from maps.figures import per_cent, shown_figures
from maps.layers import PATTERNS, themes
from maps.map_block import MapBlock
from maps.map_data import MapSurvey, decode_sites, map_block
from maps.map_page import MapLook, map_page
from tiles.cells import project
from tiles.errors import PublishError

DELHI = Bounds(77.0, 28.0, 78.0, 29.0)


@pytest.fixture(scope="module")
def block(survey):
    return map_block([MapSurvey(survey.groups, survey.cells)], "public")


def test_the_block_holds_no_polygon_and_no_fine_number(block):
    text = block.model_dump_json()
    assert "coordinates" not in text
    assert not re.search(r"\d\.\d{3,}", text)
    assert len(text) < 20_000


def test_the_block_refuses_what_it_does_not_know(block):
    data = json.loads(block.model_dump_json())
    for change in ({"note": "x"}, {"tier": "restricted"}, {"cells": [1.5]}):
        with pytest.raises(ValidationError):
            MapBlock.model_validate(data | change)


def test_single_sites_are_never_put_into_the_public_map(survey):
    with pytest.raises(PublishError, match="partner tier"):
        map_block([MapSurvey(survey.groups, survey.cells)], "public", survey.sites)


def test_sites_come_back_to_two_metres_with_all_that_is_said_of_them(survey):
    block = map_block([MapSurvey(survey.groups, survey.cells)], "partner", survey.sites)
    places = decode_sites(block.sites)
    assert len(places.lon) == len(survey.sites)
    there = shapely.STRtree(shapely.points(survey.sites["lon"], survey.sites["lat"]))
    at, away = there.query_nearest(
        shapely.points(places.lon, places.lat), return_distance=True, all_matches=False
    )
    assert away.max() < 2.0 / 111_320 / 0.87
    assert len(set(at[1])) == len(survey.sites)


def test_periods_of_other_groups_are_refused(survey):
    fewer = survey.groups.iloc[1:].assign(period="2024-11/2025-06")
    with pytest.raises(PublishError, match="has other groups than that of 2025-11/2026-06"):
        map_block(
            [MapSurvey(fewer, survey.cells), MapSurvey(survey.groups, survey.cells)], "public"
        )


def test_figures_are_rounded_once_to_what_they_can_say(survey):
    groups = survey.groups.head(3).assign(
        expected_sites=[0.04, 9.96, 12.6],
        report_rate=[0.996, 1.26, np.nan],
        searched_share=[0.001, 0.999, 1.0],
    )
    figures = shown_figures(groups)
    assert figures["expected"].tolist() == [0, 100, 130]
    assert figures["rate"].tolist()[:2] == [100, 130]
    assert figures["rate"].isna().tolist() == [False, False, True]
    assert figures["searched"].tolist() == [1, 99, 100]
    assert figures["evidence"].map(lambda at: EVIDENCE_CLASSES[at]).tolist() == (
        groups["evidence_class"].tolist()
    )


def test_all_and_nothing_only_where_it_is():
    assert per_cent(np.array([0, 1e-6, 0.5, 1 - 1e-6, 1.0])).tolist() == [0, 1, 50, 99, 100]


def test_every_theme_has_a_pattern_for_each_class_and_the_hatch_for_unsearched(survey):
    groups = survey.groups.assign(hot_stability=np.linspace(0, 1, len(survey.groups)))
    for theme in themes(groups):
        patterns = [line.pattern for line in theme.classes]
        assert len(set(patterns)) == len(patterns), theme.key
        assert set(patterns) <= set(PATTERNS)
        assert patterns[-1] == "hatch"


def test_stability_is_a_theme_only_where_it_was_tried(survey):
    silent = survey.groups.assign(hot_stability=np.nan)
    assert "stability" not in [theme.key for theme in themes(silent)]
    tried = silent.assign(hot_stability=0.9, n_hot_cells=2, searched_share=1.0)
    found = next(theme for theme in themes(tried) if theme.key == "stability")
    assert {found.classes[at].key for at in found.group_classes} == {"class.between_share"}
    assert dict(found.classes[found.group_classes[0]].values) == {"low": 80, "high": 95}


def test_borders_are_natural_earths_and_coarse():
    base = base_block(DELHI)
    assert [name["en"] for name in base.country_names.names] == ["India"]
    assert base.country_names.names[0]["hi"] == "भारत"
    wide = base_block(Bounds(85.0, 22.0, 92.0, 27.0))
    assert {"Bangladesh", "India", "Nepal"} <= {n["en"] for n in wide.country_names.names}
    points = sum(len(line) // 2 for line in wide.land.lines)
    assert 200 < points < 8_000


def test_another_natural_earth_is_not_drawn(monkeypatch):
    monkeypatch.setattr(basemap, "COUNTRIES_SHA256", "0" * 64)
    basemap._check_edition.cache_clear()
    with pytest.raises(PublishError, match="install the pinned version"):
        natural_earth()
    basemap._check_edition.cache_clear()


def test_natural_earth_that_is_not_installed_is_said(monkeypatch):
    monkeypatch.setattr(basemap, "PACKAGE", "no_such_package")
    with pytest.raises(PublishError, match="not installed"):
        natural_earth()


def test_names_of_the_user_are_too_coarse_to_place_a_site():
    small = shapely.box(77.40, 28.40, 77.41, 28.41)  # a square kilometre, drawn round a kiln
    shapes = np.array([shapely.box(77, 28, 77.5, 28.9), small], dtype=object)
    districts = Districts(("Large", "Small"), shapes, np.array([project(s) for s in shapes]))
    places = Places(("Here", "Far away"), np.array([77.12345, 12.0]), np.array([28.54321, 50.0]))
    base = base_block(DELHI, MapNames(districts, places))
    assert [name["en"] for name in base.district_names.names] == ["Large"]
    assert [name["en"] for name in base.place_names.names] == ["Here"]
    assert (base.place_names.lon, base.place_names.lat) == ((7712,), (2854,))
    assert base.districts.unit == 2000
    assert len(base.districts.lines) == 1


def test_a_survey_of_one_cell_has_a_map(survey):
    single = survey.groups[survey.groups["n_cells"] == 1].head(1)
    page = map_page([MapSurvey(single, survey.cells.head(1))], survey.facts)
    assert len(gzip.compress(page.html.encode())) < 150_000


@pytest.mark.parametrize(
    "address", ["http://host/{z}/{x}/{y}.png", "https://user@host/{z}", "https://h/'; script-src *"]
)
def test_tiles_of_an_address_that_a_policy_cannot_name_are_refused(address):
    with pytest.raises(PublishError, match="give an address like"):
        MapLook(tiles=address)


def test_only_the_named_host_enters_the_policy(survey):
    look = MapLook(tiles="https://tiles.example.org/{z}/{x}/{y}.png")
    page = map_page([MapSurvey(survey.groups, survey.cells)], survey.facts, look=look)
    assert "img-src data: https://tiles.example.org;" in page.html
    plain = map_page([MapSurvey(survey.groups, survey.cells)], survey.facts)
    assert "img-src data:;" in plain.html
    assert "https:" not in re.sub(
        r"<script.*?</script>|<style.*?</style>", "", plain.html, flags=re.S
    )
