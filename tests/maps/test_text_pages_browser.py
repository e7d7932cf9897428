"""The pages of words in a real browser, from disk: nothing runs that a name brought in."""

import pytest

from maps.publish import publish

HOSTILE = (
    "<script>window.hacked=1</script>"
    "<img src=x onerror=window.hacked=1>"
    "\"'><svg onload=window.hacked=1>"
    "</style><style>body{display:none}</style>"
    "javascript:window.hacked=1 {{7*7}} {% raw %} 🧱 &amp; \u202e \u2028"
)
LONG = "Ø" * 500
PAGES = ["index.html", "table.html", "method.html", "index.ur.html", "table.bn.html", "map.html"]


@pytest.fixture(scope="module")
def folder(survey, make_contents, tmp_path_factory):
    """A partner folder in which every text of the user is hostile."""
    weights = survey.facts.weights.model_copy(update={"trained_on": HOSTILE, "licence": HOSTILE})
    facts = {
        "region_name": HOSTILE + LONG,
        "imagery": HOSTILE,
        "cautions": (HOSTILE, LONG),
        "publisher": HOSTILE,
        "contact": HOSTILE,
        "weights": weights,
    }
    contents = make_contents(survey, "partner", **facts)
    folder = tmp_path_factory.mktemp("hostile") / "partner"
    publish(contents, survey.sites, folder)
    return folder


@pytest.fixture
def opened(browser):
    page = browser.new_page(viewport={"width": 360, "height": 740})
    page.set_default_timeout(5000)
    page.requests, page.complaints = [], []
    page.on("request", lambda asked: page.requests.append(asked.url))
    page.on("console", lambda said: page.complaints.append(said.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    yield page
    page.close()


@pytest.mark.parametrize("name", PAGES)
def test_no_name_runs_hides_or_widens_anything(opened, folder, name):
    address = (folder / name).as_uri()
    opened.goto(address)
    opened.wait_for_timeout(200)
    assert opened.requests == [address]
    assert opened.complaints == []
    assert opened.evaluate("window.hacked") is None
    assert opened.evaluate("getComputedStyle(document.body).display") != "none"
    assert (
        opened.locator("h1").inner_text().startswith("Brick kiln") or ".ur" in name or ".bn" in name
    )
    assert "<script>window.hacked=1</script>" in opened.locator("h1").inner_text()
    assert opened.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_table_leads_to_the_map_by_keyboard_and_back(opened, folder):
    opened.goto((folder / "table.html").as_uri())
    first = opened.locator("tbody tr").first
    row = first.get_attribute("id")
    first.locator("a").focus()
    opened.keyboard.press("Enter")
    opened.wait_for_url("**/map.html#area=*")
    assert opened.url.endswith(row.removeprefix("area-"))
    assert opened.complaints == []


def test_every_row_says_its_figures_to_a_screen_reader(opened, folder, survey):
    opened.goto((folder / "table.html").as_uri())
    table = opened.get_by_role("table")
    assert table.get_by_role("row").count() == len(survey.groups) + 1
    assert table.get_by_role("rowheader").count() == len(survey.groups)
    labels = table.get_by_role("columnheader").all_inner_texts()
    cells = table.get_by_role("row").nth(1).get_by_role("cell")
    assert cells.count() == len(labels) - 1
    link = cells.last.get_by_role("link")
    name = table.get_by_role("rowheader").first.inner_text()
    assert link.get_attribute("aria-label") == f"Show {name} on the map"


@pytest.mark.parametrize(("code", "direction"), [("ur", "rtl"), ("hi", "ltr"), ("en", "ltr")])
def test_languages_are_pages_of_their_own_that_link_to_each_other(opened, folder, code, direction):
    opened.goto((folder / "index.html").as_uri())
    if code != "en":
        opened.locator(f'a[href="index.{code}.html"]').first.click()
    assert opened.locator("html").get_attribute("lang") == code
    assert opened.evaluate("getComputedStyle(document.documentElement).direction") == direction
    table = "table.html" if code == "en" else f"table.{code}.html"
    opened.locator(f'main a[href="{table}"]').click()
    assert opened.locator("html").get_attribute("lang") == code
    assert opened.complaints == []
