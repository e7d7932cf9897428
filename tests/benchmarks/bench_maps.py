"""How large the maps are, how fast they are built and how soon a slow phone can use them.

    .venv/bin/python -m pytest -s tests/benchmarks/bench_maps.py

A public map of 30,000 cells in groups of four and a partner map of 55,000 sites; the browser is the
system's Chromium without a network, as it is and with its processor slowed four times. The same
sites as folium markers stand beside, so many that it ends (time grows with their number).
"""

import gzip
import time
from dataclasses import dataclass

import folium
import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import sync_playwright

from maps.evidence import EVIDENCE_CLASSES, GROUPS
from maps.expected import Estimate, Recall
from maps.facts import Publication, WeightsFacts
from maps.hotspots import STRONGEST_FIRST
from maps.linking import _site_ids
from maps.map_data import MapSurvey
from maps.map_page import map_page
from tiles.cells import Cell, join_cells

CELLS, SITES, MARKERS = 30_000, 55_000, 3_000
MEGABYTE = 1e6
WEST_NORTH = (4860, 740)  # column and row in the Indo-Gangetic plain
ROWS = 150
PERIOD = "2025-11/2026-06"


@dataclass(frozen=True)
class World:
    """A made-up survey of the size of the belt."""

    survey: MapSurvey
    sites: pd.DataFrame
    facts: Publication


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(7)
    rows, cols = np.divmod(np.arange(CELLS), CELLS // ROWS)
    found = [
        Cell(5000, int(WEST_NORTH[1] + row), int(WEST_NORTH[0] + col))
        for row, col in zip(rows, cols, strict=True)
    ]
    cells = pd.DataFrame({"cell_id": [cell.cell_id for cell in found], "area_km2": 25.0})
    cells["searched_km2"] = 25.0 * rng.choice([0.05, 0.7, 1.0], CELLS, p=[0.1, 0.2, 0.7])
    groups = _groups(found, rng)
    return World(MapSurvey(groups, cells), _sites(found, rng), _facts())


def _groups(cells, rng):
    members = pd.Series([cell.cell_id for cell in cells]).groupby(
        [cell.parent(2).cell_id for cell in cells], sort=False
    )
    size = members.size().to_numpy()
    count = len(size)
    expected = rng.gamma(1.5, 4.0, count)
    rate = np.where(rng.uniform(size=count) < 0.3, np.nan, rng.gamma(1.0, 0.5, count))
    table = pd.DataFrame(
        {
            "group_id": list(members.groups),
            "period": PERIOD,
            "n_cells": size,
            "area_km2": 25.0 * size,
            "searched_km2": 25.0 * size,
            "searched_share": rng.beta(5, 1, count),
            "expected_sites": expected,
            "expected_low": expected // 2,
            "expected_high": expected * 2,
            "hotspot_class": rng.choice(STRONGEST_FIRST, count),
            "n_hot_cells": rng.integers(0, 5, count),
            "hot_stability": rng.uniform(0, 1, count),
            "report_rate": rate,
            "report_rate_low": rate / 2,
            "report_rate_high": rate * 2,
            "evidence_class": rng.choice(EVIDENCE_CLASSES, count),
        }
    )
    shapes = [join_cells(ids) for _, ids in members]
    return gpd.GeoDataFrame(table[GROUPS.column_names], geometry=shapes, crs="EPSG:4326")


def _sites(cells, rng):
    ground = gpd.GeoSeries([join_cells([cells[0].cell_id, cells[-1].cell_id])], crs="EPSG:4326")
    west, south, east, north = ground.total_bounds
    lon, lat = rng.uniform(west, east, SITES), rng.uniform(south, north, SITES)
    sites = pd.DataFrame({"lon": lon, "lat": lat, "p_site": rng.beta(4, 1, SITES)})
    sites["kind"] = rng.choice(["FCBK", "Zigzag"], SITES)
    sites["site_id"] = _site_ids(sites)
    return sites.sort_values("site_id", ignore_index=True)


def _facts():
    return Publication(
        region_name="Made-up belt",
        period=PERIOD,
        site_title="Brick kiln",
        disclaimer="worksite detected, labour conditions not assessed",
        imagery="Simulated.",
        software="Kilnlight",
        weights=WeightsFacts(
            name="made up",
            version="1",
            licence="none",
            threshold=0.3,
            recall=Recall(0.8, 0.7, 0.9),
            trained_on="Nothing.",
        ),
        expected_total=Estimate(SITES, SITES * 0.9, SITES * 1.1),
        simulated=True,
    )


@pytest.fixture(scope="module")
def maps(world, tmp_path_factory):
    """Both maps, written; and the seconds that each took, the second time it is made."""
    folder, seconds = tmp_path_factory.mktemp("maps"), {}
    for tier, sites in (("public", None), ("partner", world.sites)):
        facts = world.facts.model_copy(update={"tier": tier})
        for _ in range(2):
            start = time.perf_counter()
            page = map_page([world.survey], facts, sites=sites)
            seconds[tier] = time.perf_counter() - start
        (folder / f"{tier}.html").write_text(page.html, encoding="utf-8")
    return folder, seconds


@pytest.mark.parametrize("tier", ["public", "partner"])
def test_size_and_build(maps, tier):
    folder, seconds = maps
    content = (folder / f"{tier}.html").read_bytes()
    packed = len(gzip.compress(content, 9))
    print(
        f"\n{tier}: {len(content) / MEGABYTE:.2f} MB, {packed / MEGABYTE:.2f} MB gzipped, "
        f"built in {seconds[tier]:.2f} s"
    )
    assert len(content) <= 1.5 * MEGABYTE
    assert packed <= 0.5 * MEGABYTE
    assert seconds[tier] < 3


def test_build_beside_folium_markers(world, maps):
    """Time a site: ours with everything else on the page, folium's with the markers alone."""
    start = time.perf_counter()
    drawn = folium.Map(tiles=None)
    for row in world.sites.head(MARKERS).itertuples():
        folium.CircleMarker((row.lat, row.lon), popup=row.site_id).add_to(drawn)
    size = len(drawn.get_root().render())
    theirs = (time.perf_counter() - start) / MARKERS
    ours = maps[1]["partner"] / SITES
    print(
        f"\nfolium markers: {1e3 * theirs:.2f} ms and {size / MARKERS:.0f} bytes a site; ours: "
        f"{1e3 * ours:.3f} ms; {theirs / ours:.0f} times as fast"
    )
    assert theirs >= 10 * ours


@pytest.mark.parametrize(("slowed", "limit_s"), [(1, 1.0), (4, 3.0)])
@pytest.mark.parametrize("tier", ["public", "partner"])
def test_interactive(maps, tier, slowed, limit_s):
    """Until the map is drawn and its controls answer: from the start of loading to a shown card."""
    args = ["--no-sandbox", "--disable-gpu"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=args)
        context = browser.new_context(viewport={"width": 1280, "height": 800}, offline=True)
        seconds = []
        for _ in range(3):
            page = context.new_page()
            tool = context.new_cdp_session(page)
            tool.send("Emulation.setCPUThrottlingRate", {"rate": slowed})
            page.goto((maps[0] / f"{tier}.html").as_uri(), wait_until="commit")
            page.wait_for_selector("body[data-ready=yes]")
            drawn = page.evaluate(
                "new Promise(done => requestAnimationFrame(() => done(performance.now())))"
            )
            clicked = page.evaluate(
                """() => { const start = performance.now();
                    document.querySelector('input[value=coverage]').click();
                    return performance.now() - start; }"""
            )
            seconds.append((drawn / 1e3, clicked / 1e3))
            page.close()
        browser.close()
    drawn_s, click_s = np.median(seconds, axis=0)
    print(
        f"\n{tier}, processor / {slowed}: interactive after {drawn_s:.2f} s, click {click_s:.2f} s"
    )
    assert drawn_s < limit_s
