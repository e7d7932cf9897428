"""The published map in a real browser, from disk: it asks nobody, and does what readers need."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import shapely
from playwright.sync_api import expect

from maps.basemap import MapNames
from maps.boundaries import Districts, Places
from maps.language import LANGUAGES, load_language
from maps.map_data import MapSurvey
from maps.publish import publish
from maps.wording import describe
from tests.maps.browsing import card, go, picture, view
from tiles.cells import project, to_equal_area

XSS = "</script><img src=x onerror=window.hacked=1>\"' 🧱 &"
PAGES = ["index.html", "table.html", "method.html", "map.html"]


def made_up_names():
    """Two districts and three places round the survey, one of each with a hostile name."""
    shapes = np.array([shapely.box(77, 28, 77.5, 28.9), shapely.box(77.5, 28, 78, 28.9)])
    ground = np.array([project(shape) for shape in shapes])
    districts = Districts(("Western Made-up", f"Eastern {XSS}"), shapes, ground)
    lon, lat = np.array([77.3, 77.7, 77.71]), np.array([28.7, 28.3, 28.31])
    return MapNames(districts, Places(("Brickton", f"Kilnpur {XSS}", "N" * 500), lon, lat))


@pytest.fixture(scope="module")
def folder(survey, make_contents, tmp_path_factory):
    """A public folder with everything that a user can name named as badly as may be."""
    folder = tmp_path_factory.mktemp("run") / "public"
    contents = make_contents(
        survey,
        region_name=f"Belt {XSS}",
        cautions=("The first caution.", f"The second {XSS}."),
    )
    earlier = contents.groups.assign(
        period="2024-11/2025-06", expected_sites=contents.groups["expected_sites"] / 2
    )
    contents = replace(
        contents, names=made_up_names(), earlier=(MapSurvey(earlier, contents.cells),)
    )
    publish(contents, survey.sites, folder)
    return folder


@pytest.fixture(scope="module")
def groups(survey, make_contents):
    return make_contents(survey).groups


@pytest.fixture
def opened(page, folder):
    """The map, opened from disk."""
    go(page, folder)
    return page


@pytest.mark.parametrize("width", [360, 768, 1440])
@pytest.mark.parametrize("name", PAGES)
def test_pages_ask_nobody_and_fit_the_width(page, folder, name, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.goto((folder / name).as_uri())
    page.wait_for_timeout(150)
    assert page.asked == [(folder / name).as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    assert page.evaluate("window.hacked") is None
    boxes = [box.bounding_box() for box in page.locator(".banner:visible").all()]
    assert len(boxes) == 3
    for above, below in pairwise(boxes):
        assert below["y"] >= above["y"] + above["height"] - 1


@pytest.mark.parametrize("width", [360, 768, 1440])
@pytest.mark.parametrize("code", LANGUAGES)
def test_no_text_of_the_panel_is_cut_or_lies_on_another(page, folder, code, width):
    page.set_viewport_size({"width": width, "height": 900})
    go(page, folder, f"#lang={code}")
    cut = page.evaluate(
        """() => Array.from(document.querySelectorAll('.panel *, .bar *, .banner')).filter(
            e => !e.closest('#told, [hidden], svg, .unseen') && e.scrollWidth > e.clientWidth + 1
            && getComputedStyle(e).overflow !== 'visible').map(e => e.outerHTML.slice(0, 80))"""
    )
    assert cut == []
    labels = page.locator(".panel fieldset label:visible, .legend li:visible").all()
    boxes = [label.bounding_box() for label in labels]
    for one, other in pairwise(boxes):
        beside = one["x"] + one["width"] <= other["x"] + 1 or other["x"] + other["width"] <= (
            one["x"] + 1
        )
        assert beside or other["y"] >= one["y"] + one["height"] - 1
    if code == "ur":  # Nastaliq hangs far below its line: less room, and lines lie on each other
        rooms = page.evaluate(
            """() => Array.from(document.querySelectorAll('.legend li, .panel label, h1'))
                .map(e => getComputedStyle(e))
                .map(style => parseFloat(style.lineHeight) / parseFloat(style.fontSize))"""
        )
        assert min(rooms) >= 1.8


def test_the_map_is_as_large_as_its_place_and_every_theme_looks_another_way(opened):
    seen = {picture(opened)}
    radios = opened.get_by_role("radio")
    assert radios.count() == 5
    for radio in radios.all()[1:]:
        radio.check()
        heading = opened.locator("#legend h2").inner_text()
        assert heading == load_language("en").say(f"theme.{radio.get_attribute('value')}.heading")
        assert opened.locator("#legend li").count() >= 4
        seen.add(picture(opened))
    assert len(seen) == 5


def test_each_class_of_a_legend_has_a_pattern_of_its_own(opened):
    for radio in opened.get_by_role("radio").all():
        radio.check()
        swatches = opened.evaluate(
            """() => Array.from(document.querySelectorAll('#legend .swatch')).map(svg =>
                (svg.querySelector('path') || {getAttribute: () => ''}).getAttribute('d'))"""
        )
        assert len(set(swatches)) == len(swatches), radio.get_attribute("value")


@pytest.mark.parametrize("name", ["gaps", "outline", "names", "graticule", "patterns"])
def test_what_is_also_shown_can_be_hidden(opened, name):
    before = picture(opened)
    box = opened.locator(f"#show-{name}")
    box.uncheck()
    assert picture(opened) != before
    box.check()
    assert picture(opened) == before


def test_a_click_tells_the_figures_of_the_area(opened, groups):
    lon, lat = 77.35, 28.7
    box = opened.locator(".folium-map").bounding_box()
    at = opened.evaluate(f"map_survey.latLngToContainerPoint([{lat}, {lon}])")
    opened.mouse.click(box["x"] + at["x"], box["y"] + at["y"])
    held = groups.geometry.contains(shapely.Point(lon, lat)).to_numpy()
    words = describe(groups)[int(np.flatnonzero(held)[0])]
    assert card(opened).locator("h3").inner_text() == words.title
    assert card(opened).locator("dd").all_inner_texts() == [text for _, text in words.rows()]


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_word_of_every_area_is_that_of_the_table(page, folder, groups, code):
    go(page, folder, f"#lang={code}")
    said = page.evaluate(
        """() => kilnlight.survey.block.group_ids.map((_, n) =>
            [kilnlight.survey.title(n), kilnlight.survey.rows(n)])"""
    )
    words = describe(groups, load_language(code))
    assert said == [[one.title, [list(row) for row in one.rows()]] for one in words]


def test_the_projection_is_the_grids(opened):
    lon = np.array([77.35, -179.99, 0.0, 101.7, 12.5])
    lat = np.array([28.7, -60.2, 0.0, 83.9, -33.3])
    x_m, y_m = to_equal_area().transform(lon, lat)
    for place in zip(lon, lat, x_m, y_m, strict=True):
        lon_deg, lat_deg, x, y = (float(value) for value in place)
        found = opened.evaluate(f"kilnlight.toMetres({lon_deg}, {lat_deg})")
        assert found["x"] == pytest.approx(x, abs=0.01)
        assert found["y"] == pytest.approx(y, abs=0.01)
        back = opened.evaluate(f"kilnlight.toDegrees({x}, {y})")
        assert back["lon"] == pytest.approx(lon_deg, abs=1e-7)
        assert back["lat"] == pytest.approx(lat_deg, abs=1e-6)


def test_slider_changes_the_period_and_what_is_said(opened):
    opened.goto(opened.url.split("#")[0] + "#area=0")
    now = card(opened).locator("dd").first.inner_text()
    slider = opened.locator("#period")
    assert opened.locator("#period-text").inner_text() == "November 2025 to June 2026"
    slider.focus()
    opened.keyboard.press("ArrowLeft")
    assert opened.locator("#period-text").inner_text() == "November 2024 to June 2025"
    assert slider.get_attribute("aria-valuetext") == "November 2024 to June 2025"
    assert card(opened).locator("dd").first.inner_text() != now
    assert "period=2024-11/2025-06" in opened.url


def test_search_by_keyboard_goes_to_places_districts_and_areas(opened, groups):
    field = opened.get_by_role("combobox")
    field.focus()
    opened.keyboard.type("brick")
    options = opened.get_by_role("option")
    assert options.count() == 1
    assert options.first.inner_text().split() == ["Brickton", "place"]
    opened.keyboard.press("Enter")
    _, lat, lon = view(opened)
    assert (lat, lon) == (pytest.approx(28.7, abs=0.02), pytest.approx(77.3, abs=0.02))
    expect(opened.locator("#told")).to_have_text("Map shows Brickton.")
    field.fill("made-UP")
    assert options.count() == 1
    field.fill("area 5000")
    opened.keyboard.press("ArrowDown")
    chosen = opened.locator("[role=option][aria-selected=true]")
    assert field.get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    title = chosen.locator("bdi").inner_text()
    opened.keyboard.press("Enter")
    assert card(opened).locator("h3").inner_text() == title
    assert opened.evaluate("document.activeElement.className") == "card"
    opened.keyboard.press("Escape")
    expect(opened.locator(".card")).to_have_count(0)
    field.fill("no such place")
    assert options.count() == 0
    expect(opened.locator("#told")).to_have_text("Nothing found")


def test_hostile_and_endless_names_are_only_text(opened):
    field = opened.get_by_role("combobox")
    for asked in ("kilnpur", "eastern", "nnnnnn"):
        field.fill(asked)
        assert opened.get_by_role("option").count() == 1
        opened.keyboard.press("Enter")
    field.fill("kilnpur")
    assert opened.locator("#found bdi").inner_text() == f"Kilnpur {XSS}"
    assert XSS in opened.title()
    assert opened.evaluate("window.hacked") is None
    assert opened.evaluate("document.images.length") == 0


def test_keyboard_moves_and_zooms_the_map(opened):
    zoom, lat, _ = view(opened)
    opened.locator(".folium-map").focus()
    opened.keyboard.press("+")
    opened.wait_for_timeout(400)
    assert view(opened)[0] > zoom
    opened.keyboard.press("ArrowUp")
    opened.wait_for_timeout(400)
    assert view(opened)[1] > lat


def test_everything_can_be_reached_by_tab_and_the_first_skips_the_header(opened):
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(40):
        opened.keyboard.press("Tab")
        reached.add(opened.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert {"map_survey", "search", "period", "show-gaps", "share", "print"} <= reached


def test_table_moves_the_map_and_the_map_leads_back(page, folder, groups):
    page.goto((folder / "table.html").as_uri())
    row = page.locator("tr#area-2")
    row.get_by_role("link").first.click()
    page.wait_for_selector("body[data-ready=yes]")
    expect(card(page).locator("h3")).to_have_text(describe(groups)[2].title)
    middle = shapely.box(*groups.geometry.iloc[2].bounds).centroid
    _, lat, lon = view(page)
    assert (lon, lat) == (pytest.approx(middle.x, abs=0.3), pytest.approx(middle.y, abs=0.3))
    card(page).get_by_role("link").click()
    page.wait_for_url(re.compile(r"table\.html#area-2$"))
    assert page.locator("tr#area-2").bounding_box()["y"] < 900


def test_a_shared_link_brings_back_view_layer_period_area_and_language(page, folder):
    go(page, folder, "#lang=hi")
    page.locator("input[name=theme][value=coverage]").check()
    page.locator("#period").focus()
    page.keyboard.press("ArrowLeft")
    page.evaluate("map_survey.setView([28.5, 77.4], 10, {animate: false})")
    box = page.locator(".folium-map").bounding_box()
    page.mouse.click(box["x"] + 500, box["y"] + 400)
    card(page).wait_for()
    address, title, seen = page.url, card(page).locator("h3").inner_text(), view(page)
    go(page, folder, "#" + address.split("#")[1])
    assert view(page) == pytest.approx(seen, abs=0.02)
    assert page.locator("input[name=theme]:checked").get_attribute("value") == "coverage"
    assert page.locator("#period").input_value() == "0"
    assert card(page).locator("h3").inner_text() == title
    assert page.evaluate("document.documentElement.lang") == "hi"


@pytest.mark.parametrize(
    "hash_",
    ["#v=a/b/c&layer=none&area=99999&lang=xx", "#v=5/99/77", "#area=-1", "#layer=%E0%A4%A", "#v="],
)
def test_a_broken_link_opens_the_whole_map(page, folder, hash_):
    go(page, folder, hash_)
    assert page.locator(".card").count() == 0
    assert page.locator("input[name=theme]:checked").get_attribute("value") == "expected"
    assert view(page)[1] == pytest.approx(28.45, abs=0.1)


def test_link_button_says_what_it_did(opened):
    opened.get_by_role("button", name="Copy a link").click()
    expect(opened.locator("#told")).to_have_text(re.compile("^(Link copied|The link stands)"))


@pytest.mark.parametrize("code", LANGUAGES)
def test_language_switch_changes_words_direction_and_links(opened, code):
    language = load_language(code)
    opened.locator(f"[data-language-link={code}]").click()
    root = opened.locator("html")
    expect(root).to_have_attribute("lang", code)
    expect(root).to_have_attribute("dir", language.direction)
    legend = opened.locator(".themes legend")
    expect(legend).to_have_text(language.say("map.show"))
    href = opened.locator("[data-page=method]").get_attribute("href")
    assert href == ("method.html" if code == "en" else f"method.{code}.html")
    note = opened.locator("#not-reviewed")
    assert note.is_visible() == (language.reviewed_by == "")
    panel, stage = (opened.locator(name).bounding_box() for name in (".panel", ".stage"))
    assert (panel["x"] < stage["x"]) == (language.direction == "rtl")


def test_less_motion_is_honoured(browser, folder):
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    go(page, folder)
    assert page.evaluate("map_survey.options.zoomAnimation") is False
    assert page.evaluate("map_survey.options.inertia") is False
    context.close()


def test_print_holds_one_flat_map_and_its_legend(opened):
    opened.emulate_media(media="print")
    opened.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert opened.locator(".flat").count() == 1
    colours = opened.evaluate(
        """() => { const c = document.querySelector('.flat'), p = c.getContext('2d');
            const d = p.getImageData(0, 0, c.width, c.height).data, seen = new Set();
            for (let n = 0; n < d.length; n += 400) seen.add(d[n] + ',' + d[n+1] + ',' + d[n+2]);
            return seen.size; }"""
    )
    assert colours > 10
    assert opened.locator("#legend").is_visible()
    assert not opened.locator("#search").is_visible()
    opened.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert opened.locator(".flat").count() == 0
