"""The review page of 1,000 places: size, time to make, to open, to go to the next, and axe.

Places lie on a lattice over the imagery, so that most show fields and villages. Opening is from the
call to the page's first picture; the next place is timed in the browser from the key to the second
frame after it, its picture decoded.
"""

import time

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

from maps.audit_sample import PLACE
from maps.review.page import About, Question, Sides, review_pages
from tiles.catalog import find_scenes
from tiles.scene import GsdLimits
from tiles.simulate import BeltSettings, simulate_belt

PLACES = 1000
KEYS = 200  # decisions timed
CHROMIUM = "/usr/bin/chromium"
ABOUT = About("Benchmark", "Brick kiln", "a benchmark", "bench", Sides(90.0, 45.0, 0.0), "A")
TIMED = """async (keys) => {
  const times = [];
  for (let n = 0; n < keys; n += 1) {
    const start = performance.now();
    document.dispatchEvent(new KeyboardEvent("keydown", {key: n % 3 ? "y" : "n"}));
    const shown = document.querySelector("#near image");
    const image = new Image();
    image.src = shown.getAttribute("href");
    await image.decode();
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    times.push(performance.now() - start);
  }
  return times;
}"""


def test_a_page_of_simulated_places(tmp_path):
    settings = BeltSettings(side_km=30, n_kilns=40)
    belt = simulate_belt(settings, tmp_path / "belt", processes=1)
    measure([str(scene) for scene in belt.scenes], tmp_path / "index.html")


@pytest.mark.real_data
def test_a_page_of_real_places(shared_data, tmp_path):
    measure([str(shared_data / "delhi_s2" / "scene.tif")], tmp_path / "index.html")


def measure(named, page):
    """Make the page, look at it, print its figures, and hold them to what they must reach."""
    scenes = find_scenes(named, GsdLimits()).scenes
    started = time.perf_counter()
    ((_, html),) = review_pages(lattice(scenes), scenes, ABOUT)
    made_s = time.perf_counter() - started
    page.write_text(html, encoding="utf-8")
    size_mb = page.stat().st_size / 1e6
    opened_s, next_ms, violations = look(page)
    print(
        f"\n{PLACES} places: made in {made_s:.0f} s, {size_mb:.1f} MB; opened in "
        f"{np.median(opened_s):.2f} s (longest of 3: {max(opened_s):.2f} s); next place in "
        f"{np.median(next_ms):.0f} ms (95 %: {np.percentile(next_ms, 95):.0f} ms, longest of "
        f"{KEYS}: {next_ms.max():.0f} ms); axe: {violations} violations"
    )
    assert size_mb < 30
    assert np.median(opened_s) < 2
    assert np.percentile(next_ms, 95) < 100
    assert violations == 0


def lattice(scenes):
    """Places spread evenly over the scenes, those of one scene after another."""
    questions = []
    share = -(-PLACES // len(scenes))
    for scene in scenes:
        side = int(np.ceil(np.sqrt(share)))
        steps = (np.arange(side) + 0.5) / side
        down, across = (axis.ravel() for axis in np.meshgrid(steps, steps, indexing="ij"))
        lon, lat = scene.to_lonlat(across * scene.cols, down * scene.rows)
        questions += [
            Question(
                kind=PLACE,
                site_id=f"{scene.scene_id}-{n}",
                lon=float(lon[n]),
                lat=float(lat[n]),
                queue="ranked",
                why=f"number {n} of the list",
                box=Sides(100.0, 50.0, 30.0),
                p_site=0.5,
            )
            for n in range(side**2)
        ]
    return questions[:PLACES]


def look(page):
    """Open the page from disk: seconds to open it, milliseconds to the next place, axe's finds."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened_s = []
        for _ in range(3):
            tab = browser.new_page(viewport={"width": 1366, "height": 768})
            started = time.perf_counter()
            tab.goto(page.as_uri())
            tab.wait_for_selector("#near image")
            opened_s.append(time.perf_counter() - started)
        next_ms = np.array(tab.evaluate(TIMED, KEYS))
        violations = Axe().run(tab).violations_count
        browser.close()
    return opened_s, next_ms, violations
