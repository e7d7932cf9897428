"""The pack's page in a real browser, from disk: it asks nobody and makes no error."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from maps.language import LANGUAGES, load_language
from maps.packs.page import write_page
from tests.made_up_packs import chips_of, facts_of, places_of, rows_of

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
SERIOUS = ("serious", "critical")
HOSTILE = "<script>window.hacked=1</script>\"'><img src=x onerror=window.hacked=1>"


@pytest.fixture(scope="module")
def browser(chromium):
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(chromium), args=QUIET)
        yield running
        running.close()


def opened(browser, path, width=360):
    page = browser.new_page(viewport={"width": width, "height": 740})
    page.requests, page.complaints = [], []
    page.on("request", lambda asked: page.requests.append(asked.url))
    page.on("console", lambda said: page.complaints.append(said.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_timeout(150)
    return page


def write(survey, path, code="en", names=("Rampur", "दौसा"), **changes):
    facts = facts_of(expires="2999-01-01", **changes)
    rows = rows_of(survey, code, facts, places=places_of(*names))
    write_page(rows, path, facts, load_language(code), chips_of(rows))
    return path


@pytest.mark.parametrize("code", ["en", "ur"])
@pytest.mark.parametrize("width", [360, 768, 1440])
def test_it_asks_for_itself_only_and_fits_the_width(browser, survey, tmp_path, code, width):
    path = write(survey, tmp_path / "index.html", code, team="T" * 300)
    page = opened(browser, path, width)
    asked = [url for url in page.requests if not url.startswith("data:")]
    assert asked == [path.as_uri()]
    assert page.complaints == []
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    assert page.locator(".site").count() == 12
    assert page.evaluate("document.querySelector('.site img').naturalWidth") == 96
    assert page.locator("html").get_attribute("dir") == load_language(code).direction
    assert page.locator("#expired").is_hidden()
    page.close()


@pytest.mark.parametrize("code", LANGUAGES)
def test_axe_finds_nothing_serious(browser, survey, tmp_path, code):
    page = opened(browser, write(survey, tmp_path / "index.html", code))
    found = Axe().run(page).response["violations"]
    serious = [(one["id"], one["help"]) for one in found if one["impact"] in SERIOUS]
    assert serious == []
    page.close()


def test_names_cannot_run(browser, survey, tmp_path):
    path = write(
        survey, tmp_path / "index.html", names=(HOSTILE,), team=HOSTILE, region_name=HOSTILE
    )
    page = opened(browser, path)
    assert page.evaluate("window.hacked") is None
    assert page.complaints == []
    assert HOSTILE in page.locator(".site").first.inner_text()
    page.close()


def test_a_site_is_found_by_name_and_opened_in_the_phones_map(browser, survey, tmp_path):
    path = write(survey, tmp_path / "index.html")
    rows = rows_of(survey)
    page = opened(browser, path)
    page.locator("#find").fill(rows["site_id"].iloc[3].lower())
    assert page.locator(".site:visible").count() == 1
    link = page.locator(".site:visible a").get_attribute("href")
    assert link == f"geo:{rows['lat'].iloc[3]:.5f},{rows['lon'].iloc[3]:.5f}"
    page.locator("#find").fill("nowhere at all")
    assert page.locator("#none").is_visible()
    page.locator("#find").fill("")
    assert page.locator(".site:visible").count() == 12
    page.close()


def test_a_pack_past_its_day_says_so(browser, survey, tmp_path):
    facts = facts_of(expires="2020-01-31")
    rows = rows_of(survey, facts=facts)
    path = tmp_path / "index.html"
    write_page(rows, path, facts, load_language("en"), chips_of(rows))
    page = opened(browser, path)
    assert page.locator("#expired").is_visible()
    assert "2020-01-31" in page.locator("#expired").inner_text()
    page.close()


def test_without_its_script_it_is_read_all_the_same(browser, survey, tmp_path):
    path = write(survey, tmp_path / "index.html")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.locator(".site:visible").count() == 12
    context.close()
