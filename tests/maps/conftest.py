"""A made-up survey for the tests of maps: 400 kilns, two clusters, gaps, noised counts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from playwright.sync_api import Browser, Page, sync_playwright

from maps.editions import SurveyTables, contents_of, points_of
from maps.evidence import group_evidence
from maps.expected import Recall, expected_by_cell, expected_over
from maps.facts import Publication, ReleaseFacts, WeightsFacts
from maps.hotspots import find_hotspots
from maps.linking import link_sites
from maps.priority import rank_sites
from maps.publish import Contents, publish
from maps.record import SurveyRecord
from maps.reporting import Release
from models.detection import DETECTIONS
from models.site_class import SiteClass, load_site_class
from tests.maps.browsing import QUIET
from tiles.cells import CellGrid, cell_polygons
from tiles.coverage import COVERAGE
from tiles.partition import build_partition
from tiles.region import Region

DEGREES_PER_M = 1 / 111_320
PERIOD = "2025-11/2026-06"
SHA = "a" * 64

Detect = Callable[..., gpd.GeoDataFrame]


@pytest.fixture(scope="session")
def kilns() -> SiteClass:
    return load_site_class("brick_kiln")


def detections_at(
    lon: np.ndarray, lat: np.ndarray, scene: str = "A", p_site: float | np.ndarray = 0.9, **more
) -> gpd.GeoDataFrame:
    """Boxes of 100 x 45 m, long side north-south, one at each place."""
    lon, lat = np.atleast_1d(np.asarray(lon, float)), np.atleast_1d(np.asarray(lat, float))
    half_width = 22.5 * DEGREES_PER_M / np.cos(np.radians(lat))
    half_length = 50 * DEGREES_PER_M
    peaks = np.arange(len(lon), dtype=np.int64)
    p_site = np.broadcast_to(p_site, lon.shape).astype(float)
    columns = {
        "detection_id": [f"{scene}_{peak}_0" for peak in peaks],
        "scene_id": scene,
        "site_class": "brick_kiln",
        "kind": "unknown",
        "score": p_site,
        "p_site": p_site,
        "p_low": np.clip(p_site - 0.08, 0, 1),
        "p_high": np.clip(p_site + 0.05, 0, 1),
        "lon": lon,
        "lat": lat,
        "length_m": 100.0,
        "width_m": 45.0,
        "azimuth_deg": 0.0,
        "peak_row": peaks,
        "peak_col": np.zeros(len(lon), dtype=np.int64),
        "date": "2026-01-15",
        "unfamiliar": False,
    } | more
    columns |= {"first_date": columns["date"], "last_date": columns["date"], "looks": 1}
    boxes = shapely.box(lon - half_width, lat - half_length, lon + half_width, lat + half_length)
    frame = gpd.GeoDataFrame(columns, geometry=boxes, crs="EPSG:4326")
    return frame[[*DETECTIONS.column_names, "geometry"]]


@pytest.fixture(scope="session")
def detect() -> Detect:
    return detections_at


def coverage_of(region: Region, share: Callable[[pd.DataFrame], np.ndarray]) -> gpd.GeoDataFrame:
    """A COVERAGE table with this share of each cell searched and the rest under cloud."""
    cells = CellGrid().cells_of(region.polygon)
    searched = np.clip(share(cells), 0, 1)
    parts = [
        cells.assign(status=status, area_km2=cells["area_km2"] * part)
        for status, part in (("searched", searched), ("cloud", 1 - searched))
    ]
    table = pd.concat(parts, ignore_index=True).query("area_km2 > 0").assign(period=PERIOD)
    geometry = cell_polygons(list(table["cell_id"])).to_numpy()
    table = table.assign(first_date=None, last_date=None)
    frame = gpd.GeoDataFrame(table, geometry=geometry, crs="EPSG:4326")
    return frame[[*COVERAGE.column_names, "geometry"]]


@dataclass(frozen=True)
class MadeUpSurvey:
    """All tables of one survey, from detections to groups."""

    region: Region
    detections: gpd.GeoDataFrame
    coverage: gpd.GeoDataFrame
    cells: pd.DataFrame
    hotspots: gpd.GeoDataFrame
    partition: gpd.GeoDataFrame
    release: Release
    groups: gpd.GeoDataFrame
    sites: gpd.GeoDataFrame
    facts: Publication


def _places(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """400 places: 90 and 70 round two centres, the others anywhere; none nearer than 150 m."""
    clusters = [
        rng.normal((lon, lat), 0.045, (size, 2))
        for lon, lat, size in ((77.35, 28.7, 90), (77.75, 28.3, 70))
    ]
    anywhere = rng.uniform((77.05, 28.05), (77.95, 28.85), (240, 2))
    lon, lat = np.vstack([*clusters, anywhere]).T
    return lon, lat


def make_survey(reporters: float = 1.0) -> MadeUpSurvey:
    """The survey; `reporters` times as many people report, evenly or not as the seed has it."""
    rng = np.random.default_rng(20260115)
    region = Region("Made-up brick belt", shapely.box(77.0, 28.0, 78.02, 28.9))
    lon, lat = _places(rng)
    p_site = rng.beta(6, 1, len(lon)).round(4)
    coverage = coverage_of(region, lambda cells: _clear_share(cells, rng))
    seen = _seen(lon, lat, coverage, rng)
    lon, lat, p_site = lon[seen], lat[seen], p_site[seen]
    first = detections_at(lon, lat, "A", p_site)
    east = np.flatnonzero(lon > 77.4)
    nudge = rng.normal(0, 8 * DEGREES_PER_M, (len(east), 2))
    second = detections_at(
        lon[east] + nudge[:, 0],
        lat[east] + nudge[:, 1],
        "B",
        p_site[east] * 0.97,
        date="2026-03-02",
    )
    detections = gpd.GeoDataFrame(pd.concat([first, second], ignore_index=True), crs="EPSG:4326")
    kilns = load_site_class("brick_kiln")
    linked = link_sites(detections, kilns)
    recall = Recall(0.82, 0.74, 0.88)
    cells = expected_by_cell(linked, coverage, recall, kilns)
    hotspots = find_hotspots(cells, PERIOD, kilns.name)
    partition = build_partition(linked, cells)
    release = _release(partition, cells, rng, reporters)
    groups = group_evidence(cells, hotspots, partition, PERIOD, release)
    sites = rank_sites(linked, hotspots, kilns)
    facts = Publication(
        region_name=region.name,
        period=PERIOD,
        site_title=kilns.title,
        disclaimer=kilns.disclaimer,
        imagery="Simulated imagery at 10 m; no real place is shown.",
        software="Kilnlight 0.1.0",
        weights=WeightsFacts(
            name="kiln-s2-rgb",
            version="1",
            licence="CC BY-NC 4.0",
            threshold=0.3,
            recall=recall,
            trained_on="Trained on simulated scenes.",
        ),
        expected_total=expected_over(cells),
        release=ReleaseFacts(release_id="demo-1", epsilon=1.0, noise_scale=1.0),
        not_before="2026-10",
        simulated=True,
    )
    return MadeUpSurvey(
        region, detections, coverage, cells, hotspots, partition, release, groups, sites, facts
    )


def _clear_share(cells: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """A cloud bank in the north-east, a gap in the south-west, haze elsewhere."""
    row, col = cells["row"] - cells["row"].min(), cells["col"] - cells["col"].min()
    share = rng.uniform(0.9, 1.0, len(cells))
    share[np.hypot(row - 3, col - 17) < 4.5] = 0.1
    share[np.hypot(row - 16, col - 3) < 3] = 0.0
    return share


def _seen(
    lon: np.ndarray, lat: np.ndarray, coverage: pd.DataFrame, rng: np.random.Generator
) -> np.ndarray:
    by_cell = coverage.pivot(index="cell_id", columns="status", values="area_km2").fillna(0)
    share = by_cell["searched"] / by_cell.sum(axis=1)
    chance = share.reindex(CellGrid().cell_ids_at(lon, lat)).to_numpy()
    return np.asarray(rng.uniform(size=len(lon)) < chance)


def _release(
    partition: pd.DataFrame, cells: pd.DataFrame, rng: np.random.Generator, reporters: float
) -> Release:
    expected = cells.set_index("cell_id")["expected_sites"]
    counts = {}
    for row in partition.itertuples():
        if row.group_id == "rest":
            continue
        mean = 3.0 * reporters * expected.reindex(row.cell_ids).fillna(0).sum()
        noise = rng.geometric(1 - np.exp(-1)) - rng.geometric(1 - np.exp(-1))
        heard = 0.05 if len(counts) % 7 == 3 else rng.gamma(3, 1 / 3)
        counts[row.group_id] = int(rng.poisson(mean * heard) + noise)
    return Release("demo-1", pd.Series(counts, dtype="int64"), 1.0, 1.0)


@pytest.fixture(scope="session")
def survey() -> MadeUpSurvey:
    return make_survey()


@pytest.fixture(scope="session")
def more_heard() -> MadeUpSurvey:
    """The same imagery, other reports."""
    return make_survey(reporters=4.0)


def contents_for(survey: MadeUpSurvey, tier: str = "public", **facts: object) -> Contents:
    """What a tier's folder is made of; `facts` change what the pages say."""
    said = survey.facts.model_copy(update={"tier": tier, **facts})
    record = SurveyRecord(facts=said, site_class=load_site_class("brick_kiln"))
    tables = SurveyTables(
        survey.sites, survey.coverage, survey.hotspots, survey.partition, survey.release, record
    )
    return contents_of(tables, said, points_of(tier, survey.sites, unreviewed=True))


@pytest.fixture(scope="session")
def make_contents() -> Callable[..., Contents]:
    """`contents_for`, for tests that change something."""
    return contents_for


@pytest.fixture(scope="session")
def public(survey: MadeUpSurvey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The survey's public folder; not to be written into."""
    folder = tmp_path_factory.mktemp("run") / "public"
    publish(contents_for(survey), survey.sites, folder)
    return folder


@pytest.fixture(scope="session")
def partner(survey: MadeUpSurvey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The survey's partner folder, not encrypted; not to be written into."""
    folder = tmp_path_factory.mktemp("run") / "partner"
    publish(contents_for(survey, "partner"), survey.sites, folder)
    return folder


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The system's Chromium; the test is skipped where there is none."""
    for name in ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"):
        if Path(name).is_file():
            return Path(name)
    pytest.skip("no Chromium on this machine: the continuous integration installs one")


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[Browser]:
    """A running Chromium that asks nobody by itself."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(chromium), args=QUIET)
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page with no network, and all its requests and complaints recorded."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, offline=True)
    page = context.new_page()
    page.set_default_timeout(5000)
    page.asked, page.complaints = [], []
    page.on("request", lambda asked: page.asked.append(asked.url))
    page.on("console", lambda said: page.complaints.append(said.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    yield page
    assert page.complaints == []
    context.close()
