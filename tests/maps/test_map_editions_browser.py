"""The map in a real browser where it is not the usual public one: partners, pictures, date line."""

import io
import json

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

from maps.language import LANGUAGES, load_language
from maps.map_data import MapSurvey
from maps.map_page import MapLook, MapPicture, map_page
from tests.maps.browsing import card, go, picture, view
from tiles.cells import cell_polygons, join_cells

PAGES = ["index.html", "table.html", "method.html", "map.html"]
SERIOUS = {"serious", "critical"}


@pytest.fixture
def opened(page, public):
    """The public map, opened from disk."""
    go(page, public)
    return page


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("tier", ["public", "partner"])
def test_axe_finds_nothing_serious(request, page, tier, name, code):
    folder = request.getfixturevalue(tier)
    file = name if code == "en" or name == "map.html" else name.replace(".", f".{code}.")
    page.goto((folder / file).as_uri() + (f"#lang={code}" if name == "map.html" else ""))
    if name == "map.html":
        page.wait_for_selector("body[data-ready=yes]")
        page.locator("#search").fill("5000")
    found = Axe().run(page).response["violations"]
    page.complaints.clear()  # the policy stops what axe itself would load, and says so
    assert [(one["id"], one["help"]) for one in found if one["impact"] in SERIOUS] == []


def test_partner_map_shows_and_finds_each_site(page, partner, survey):
    go(page, partner)
    names = page.evaluate(
        "Array.from({length: kilnlight.survey.sites.count}, (_, n) => kilnlight.survey.sites.id(n))"
    )
    assert sorted(names) == sorted(survey.sites["site_id"])
    site = survey.sites.iloc[7]
    go(page, partner, f"#site={site['site_id']}")
    assert site["site_id"] in card(page).inner_text()
    place = page.evaluate(
        "(() => { const at = map_survey._popup.getLatLng(); return [at.lng, at.lat]; })()"
    )
    assert place == pytest.approx([site["lon"], site["lat"]], abs=2e-5)


def test_online_tiles_are_asked_only_after_consent(page, survey, make_contents, tmp_path):
    look = MapLook(tiles="https://tiles.example.org/{z}/{x}/{y}.png", tiles_credit="Example")
    contents = make_contents(survey)
    made = map_page([MapSurvey(contents.groups, contents.cells)], contents.facts, look=look)
    (tmp_path / "map.html").write_text(made.html, encoding="utf-8")
    go(page, tmp_path)
    page.locator("#show-tiles").check()
    assert "tiles.example.org" in page.locator("#tiles-consent").inner_text()
    page.wait_for_timeout(200)
    assert page.asked == [(tmp_path / "map.html").as_uri()]
    page.locator("#tiles-yes").click()
    page.wait_for_timeout(300)
    hosts = {address.split("/")[2] for address in page.asked if address.startswith("http")}
    assert hosts == {"tiles.example.org"}
    page.complaints.clear()  # there is no network: the browser says that it has none


def test_another_host_than_the_one_named_is_stopped_by_the_policy(opened):
    assert (
        opened.evaluate("fetch('https://example.org').then(() => 'gone', () => 'stopped')")
        == "stopped"
    )
    assert any("Content Security Policy" in said for said in opened.complaints)
    opened.complaints.clear()


def test_the_words_in_the_page_are_the_catalogues(opened):
    words = json.loads(opened.locator("#words").inner_text())
    assert set(words) == set(LANGUAGES)
    for code in LANGUAGES:
        for key, text in words[code]["texts"].items():
            assert load_language(code).texts[key] == text


def test_a_survey_across_the_antimeridian_is_drawn_in_one_piece(page, survey, tmp_path):
    sides = [["5000_1400_6945", "5000_1400_6946"], ["5000_1400_0", "5000_1400_1"]]
    groups = survey.groups.head(2).assign(n_cells=2)
    groups = groups.set_geometry([join_cells(ids) for ids in sides], crs="EPSG:4326")
    cells = survey.cells.head(4).assign(cell_id=sides[0] + sides[1])
    made = map_page([MapSurvey(groups, cells)], survey.facts)
    (tmp_path / "map.html").write_text(made.html, encoding="utf-8")
    go(page, tmp_path)
    zoom, _, lon = view(page)
    assert lon == pytest.approx(180, abs=0.1)
    assert zoom > 8
    lat = cell_polygons(["5000_1400_0"])[0].centroid.y
    found = [
        page.evaluate(f"kilnlight.survey.groupOn(L.latLng({lat}, {at}))") for at in (179.95, 180.05)
    ]
    assert found == [0, 1]


def test_the_surveys_own_picture_is_in_the_page_and_shown_when_asked(page, survey, tmp_path):
    held = io.BytesIO()
    Image.new("RGB", (40, 30), (200, 30, 30)).save(held, "WEBP")
    look = MapLook(pictures=(MapPicture(held.getvalue(), 77.0, 28.0, 78.0, 28.9),))
    made = map_page([MapSurvey(survey.groups, survey.cells)], survey.facts, look=look)
    (tmp_path / "map.html").write_text(made.html, encoding="utf-8")
    go(page, tmp_path)
    before = picture(page)
    page.locator("#show-picture").check()
    page.wait_for_timeout(200)
    assert picture(page) != before
    assert [address for address in page.asked if not address.startswith("data:image/webp")] == [
        (tmp_path / "map.html").as_uri()
    ]
