"""The review page in a real browser, from disk, by keyboard alone."""

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from maps.audit_sample import GROUND, PLACE
from maps.review.decisions import read_decisions
from maps.review.page import About, Known, Question, Sides, review_pages
from tests.made_up import noise, write_raster
from tiles.catalog import find_scenes
from tiles.scene import GsdLimits

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
NO_STORAGE = "Object.defineProperty(window, 'localStorage', {get() { throw new Error('no'); }});"
PLACES = 8
ABOUT = About(
    title="Brick kilns, <b>made-up</b> land, 2025-11/2026-06",
    site_title="Brick kiln",
    disclaimer="worksite detected, labour conditions not assessed",
    survey="made-up-1234",
    usual_box=Sides(90.0, 45.0, 0.0),
    simulated=True,
)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """A page of eight places on two dates, and one square of ground."""
    folder = tmp_path_factory.mktemp("review")
    for date in ("20260115", "20260301"):
        write_raster(folder / f"s_{date}.tif", noise(500, 700, int(date) % 97))
    scenes = find_scenes([str(folder)], GsdLimits()).scenes
    cols = 100 + 60 * np.arange(PLACES + 1)
    lon, lat = scenes[0].to_lonlat(cols, np.full(PLACES + 1, 250))
    questions = [
        Question(
            kind=PLACE,
            site_id=f"KL-{n:09d}",
            lon=float(lon[n]),
            lat=float(lat[n]),
            queue="ranked",
            why="<script>window.hacked=1</script>",
            box=Sides(100.0, 50.0, 90.0),
            p_site=0.5,
        )
        for n in range(PLACES)
    ]
    known = (Known(float(lon[PLACES]), float(lat[PLACES])),)
    square = Question(
        GROUND, "", float(lon[PLACES]), float(lat[PLACES]), "audit", "by chance", known=known
    )
    ((name, html),) = review_pages([*questions, square], scenes, ABOUT)
    (folder / name).write_text(html, encoding="utf-8")
    return folder / name


@pytest.fixture(scope="module")
def playwright():
    with sync_playwright() as running:
        yield running


@pytest.fixture
def browse(playwright, chromium, tmp_path):
    """Open the page in a browser that remembers, as often as asked; nothing may go wrong in it."""
    opened, complaints, requests = [], [], []

    def start(address, size=(1366, 768), script="", profile="profile"):
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path / profile),
            executable_path=str(chromium),
            args=QUIET,
            viewport={"width": size[0], "height": size[1]},
            accept_downloads=True,
        )
        opened.append(context)
        if script:
            context.add_init_script(script)
        page = context.new_page()
        page.set_default_timeout(5000)
        page.on("console", lambda said: complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: requests.append(asked.url))
        page.goto(address)
        return page

    yield start
    for context in opened:
        context.close()
    assert complaints == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in requests)


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def exported(page, tmp_path):
    with page.expect_download() as waiting:
        press(page, "e")
    path = tmp_path / "exported.csv"
    waiting.value.save_as(path)
    return read_decisions(path)


def test_a_whole_page_by_keyboard_closed_opened_again_and_exported(browse, page_file, tmp_path):
    page = browse(page_file.as_uri())
    page.keyboard.type("Asha")  # the field for the name has the focus
    press(page, "Enter", "y", "n", "u", "w")
    assert page.inner_text("#position") == "Place 5 of 9"
    press(page, "n", "z")  # undone: the same place again
    assert page.inner_text("#position") == "Place 5 of 9"
    press(page, "ArrowRight", "ArrowRight", "Shift+ArrowUp", "]", "+", ".", "y")
    page.context.close()

    page = browse(page_file.as_uri())
    assert page.input_value("#reviewer") == "Asha"
    assert page.inner_text("#decided") == "5 decided"
    press(page, "t")
    page.keyboard.type("=a note, with a comma")
    press(page, "Enter", "y", "n", "n")
    assert "How many brick kilns" in page.inner_text("#question")
    press(page, "y", "3")  # yes is no answer to how many
    assert "All places are decided" in page.inner_text("#pace")

    decisions = exported(page, tmp_path)
    assert list(decisions["decision"]) == [
        *("confirmed", "rejected", "unsure", "wrong_class", "confirmed"),
        *("confirmed", "rejected", "rejected", "counted"),
    ]
    assert set(decisions["reviewer"]) == {"Asha"}
    assert decisions["count"].iloc[8] == 3
    assert decisions["note"].iloc[5] == "=a note, with a comma"
    assert (decisions["seconds"] >= 0).all()
    assert set(decisions["seen"]) == {"2026-03-01 2026-01-15"}
    moved = decisions.iloc[4]
    assert (moved["length_m"], moved["width_m"], moved["azimuth_deg"]) == (105.0, 55.0, 95.0)
    east_m = (moved["moved_lon"] - moved["lon"]) * 111_320 * np.cos(np.radians(moved["lat"]))
    north_m = (moved["moved_lat"] - moved["lat"]) * 110_800
    assert (east_m, north_m) == pytest.approx((20.0, 2.0), abs=0.3)
    assert decisions["moved_lon"].notna().sum() == 1
    assert page.evaluate("window.hacked") is None


def test_one_more_site_is_added_drawn_and_left_out_by_keyboard(browse, page_file, tmp_path):
    page = browse(page_file.as_uri())
    page.keyboard.type("Bina")
    press(page, "Enter", "a", "ArrowDown", "Enter", "x")
    page.keyboard.type("x")
    page.fill("#exclude-reason", "a shelter")
    page.click("button[data-do=exclude]")
    press(page, "y")
    decisions = exported(page, tmp_path)
    assert list(decisions["queue"]) == ["ranked", "added"]
    assert decisions["exclude_m"].iloc[0] == 100
    assert decisions["exclude_reason"].iloc[0] == "a shelter"
    added = decisions.iloc[1]
    assert (added["site_id"], added["decision"]) == ("", "confirmed")
    assert (added["length_m"], added["width_m"]) == (90.0, 45.0)
    assert added["lon"] == added["moved_lon"]
    press(page, "z", "z", "z")
    assert page.inner_text("#decided") == "0 decided"


def test_two_tabs_at_once_lose_nothing(browse, page_file, tmp_path):
    one = browse(page_file.as_uri())
    one.keyboard.type("Asha")
    press(one, "Enter", "y")
    other = one.context.new_page()
    other.goto(page_file.as_uri())
    assert other.inner_text("#position") == "Place 2 of 9"
    press(one, "n")
    press(other, "j", "u")  # the third place, in a tab that was opened before the second's answer
    assert list(exported(other, tmp_path)["decision"]) == ["confirmed", "rejected", "unsure"]
    press(one, "k", "w")
    assert len(exported(one, tmp_path)) == 3


def test_a_place_left_out_stays_so_without_an_answer(browse, page_file, tmp_path):
    page = browse(page_file.as_uri())
    page.keyboard.type("Bina")
    press(page, "Enter", "x")
    page.fill("#exclude-reason", "a shelter")
    page.click("button[data-do=exclude]")
    press(page, "j")
    (kept,) = exported(page, tmp_path).to_dict("records")
    assert (kept["decision"], kept["exclude_reason"]) == ("unsure", "a shelter")


def test_an_older_file_and_another_reviewers_take_nothing_away(browse, page_file, tmp_path):
    page = browse(page_file.as_uri())
    page.keyboard.type("Asha")
    press(page, "Enter", "y", "n")
    exported(page, tmp_path)
    page.wait_for_timeout(1100)  # answers are timed to the second
    press(page, "k", "k", "w")
    text = (tmp_path / "exported.csv").read_text(encoding="utf-8-sig")
    (tmp_path / "bina.csv").write_text(text.replace("Asha", "Bina"))
    for name in ("exported.csv", "bina.csv"):
        page.set_input_files("#load", tmp_path / name)
        page.locator("#said-file", has_text=name).wait_for()
    after = exported(page, tmp_path)
    assert list(after["decision"]) == ["wrong_class", "rejected"]
    assert set(after["reviewer"]) == {"Asha"}


def test_the_box_is_moved_and_drawn_with_a_pointer(browse, page_file, tmp_path):
    page = browse(page_file.as_uri())
    page.keyboard.type("Asha")
    press(page, "Enter")
    frame = page.locator("#near").bounding_box()
    m_per_px = 640 / frame["width"]
    x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2

    def drag(start, end):
        page.mouse.move(x + start[0] / m_per_px, y + start[1] / m_per_px)
        page.mouse.down()
        page.mouse.move(x + end[0] / m_per_px, y + end[1] / m_per_px, steps=4)
        page.mouse.up()

    drag((-20, 0), (40, -30))  # 60 m to the east, 30 m to the north
    press(page, "y", "d")
    drag((-60, 0), (60, 0))
    press(page, "y")
    moved, drawn = exported(page, tmp_path).iloc[:2].to_dict("records")
    east_m = (moved["moved_lon"] - moved["lon"]) * 111_320 * np.cos(np.radians(moved["lat"]))
    assert east_m == pytest.approx(60, abs=2)
    assert (moved["length_m"], moved["azimuth_deg"]) == (100.0, 90.0)
    assert drawn["length_m"] == pytest.approx(120, abs=3)
    assert drawn["azimuth_deg"] == pytest.approx(90, abs=2)


def test_without_storage_the_export_is_loaded_again(browse, page_file, tmp_path):
    page = browse(page_file.as_uri(), script=NO_STORAGE)
    assert page.is_visible("#no-storage")
    page.keyboard.type("Asha")
    press(page, "Enter", "y", "n", "ArrowLeft", "y")
    before = exported(page, tmp_path)
    page = browse(page_file.as_uri(), script=NO_STORAGE, profile="another")
    assert page.inner_text("#decided") == "0 decided"
    page.set_input_files("#load", tmp_path / "exported.csv")
    page.locator("#decided", has_text="3 decided").wait_for()
    after = exported(page, tmp_path)
    assert after.drop(columns=["moved_lon", "moved_lat"]).equals(
        before.drop(columns=["moved_lon", "moved_lat"])
    )
    assert after["moved_lon"].iloc[2] == pytest.approx(before["moved_lon"].iloc[2], abs=2e-6)


def test_another_reviewer_of_the_same_browser_begins_anew(browse, page_file):
    page = browse(page_file.as_uri())
    page.keyboard.type("Asha")
    press(page, "Enter", "y", "y")
    page.fill("#reviewer", "Bina")
    press(page, "Enter")
    assert page.inner_text("#decided") == "0 decided"
    page.fill("#reviewer", "asha ")
    press(page, "Enter")
    assert page.inner_text("#decided") == "2 decided"


def test_no_answer_is_taken_without_a_name(browse, page_file):
    page = browse(page_file.as_uri())
    press(page, "Enter", "y")
    assert page.inner_text("#decided") == "0 decided"
    assert "Write your name first" in page.inner_text("#said-file")
    assert page.evaluate("document.activeElement.id") == "reviewer"


@pytest.mark.parametrize("size", [(360, 740), (1366, 768)], ids=["phone", "desktop"])
def test_axe_finds_nothing_and_the_page_fits_its_width(browse, page_file, size):
    page = browse(page_file.as_uri(), size=size)
    page.keyboard.type("Asha")
    press(page, "Enter", "y")
    for keys in ((), ("?",), ("Escape", "a"), ("Escape", "x")):
        press(page, *keys)
        found = Axe().run(page).response["violations"]
        assert [(one["id"], [n["html"] for n in one["nodes"]]) for one in found] == []
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= size[0]
