"""The map in a real browser, from disk: it asks nobody, makes no error, and its layers work."""

from itertools import pairwise

import pytest
from playwright.sync_api import sync_playwright

from maps.publish import publish

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser(chromium):
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(chromium), args=QUIET)
        yield running
        running.close()


@pytest.fixture(scope="module")
def folder(survey, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "public"
    groups = survey.groups.copy()
    groups.loc[0, "group_id"] = "<img src=x onerror=window.hacked=1>"
    facts = survey.facts.model_copy(
        update={
            "region_name": "<script>window.hacked=1</script>",
            "cautions": ("The first caution.", "The second caution."),
            "release": survey.facts.release.model_copy(update={"ledger_head_sha256": 64 * "f"}),
        }
    )
    publish(groups, survey.cells, survey.sites, facts, folder)
    return folder


@pytest.fixture(params=[(360, 740), (1440, 900)], ids=["phone", "desktop"])
def opened(browser, folder, request):
    """A page with all its requests and complaints recorded."""
    width, height = request.param
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(5000)
    page.requests, page.complaints = [], []
    page.on("request", lambda asked: page.requests.append(asked.url))
    page.on("console", lambda said: page.complaints.append(said.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    yield page
    page.close()


@pytest.mark.parametrize("name", ["index.html", "map.html", "method.html"])
def test_pages_ask_for_themselves_only_and_fit_the_width(opened, folder, name):
    opened.goto((folder / name).as_uri())
    opened.wait_for_timeout(200)
    assert opened.requests == [(folder / name).as_uri()]
    assert opened.complaints == []
    width = opened.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert width <= 0
    assert opened.evaluate("window.hacked") is None


@pytest.mark.parametrize("name", ["index.html", "map.html", "method.html"])
def test_made_up_data_and_every_caution_can_be_read(opened, folder, name):
    opened.goto((folder / name).as_uri())
    boxes = [box.bounding_box() for box in opened.locator(".banner:visible").all()]
    assert len(boxes) == 3
    for above, below in pairwise(boxes):
        assert below["y"] >= above["y"] + above["height"] - 1
    if name == "map.html":
        area = opened.locator(".folium-map").bounding_box()
        assert area["y"] >= boxes[-1]["y"] + boxes[-1]["height"] - 1
        assert area["height"] > 200


def test_layers_switch_with_their_legend_and_a_popup_opens(opened, folder):
    opened.goto((folder / "map.html").as_uri())
    radios = opened.get_by_role("radio")
    assert radios.count() == 5
    assert (
        opened.locator("section.legend:visible h2").inner_text() == "Sites expected per 1,000 km²"
    )
    before = opened.locator(".folium-map").screenshot()
    opened.get_by_role("radio", name="Reporting rate").check()
    legend = opened.locator("section.legend:visible")
    assert legend.count() == 1
    assert legend.locator("h2").inner_text() == "People reporting per expected site"
    opened.wait_for_timeout(100)
    assert opened.locator(".folium-map").screenshot() != before
    for name in ("Not searched", "Region surveyed", "Degrees"):
        opened.get_by_role("checkbox", name=name).uncheck()
    assert opened.locator(".degrees").count() == 0
    box = opened.locator(".folium-map").bounding_box()
    middle = {"x": 0.5 * box["width"], "y": 0.5 * box["height"]}
    opened.locator(".folium-map").click(position=middle)
    popup = opened.locator(".leaflet-popup-content")
    popup.wait_for()
    assert "Expected sites" in popup.inner_text()
    assert "Searched" in popup.inner_text()
    assert opened.complaints == []
    assert opened.evaluate("window.hacked") is None


def test_keyboard_moves_and_zooms_the_map(opened, folder):
    opened.goto((folder / "map.html").as_uri())
    width_before = opened.evaluate(
        "survey => survey.getZoom()", opened.evaluate_handle("map_survey")
    )
    opened.locator(".folium-map").focus()
    opened.keyboard.press("+")
    opened.wait_for_timeout(500)
    zoom = opened.evaluate("map_survey.getZoom()")
    assert zoom > width_before
    assert opened.complaints == []
