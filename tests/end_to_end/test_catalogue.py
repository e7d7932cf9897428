"""A region, a season and a catalogue in ten lines: the same as with the files at hand."""

import hashlib
import re

import numpy as np
import pandas as pd
import pytest
import rasterio

from pipeline.config import RunSettings, read_run_file
from pipeline.engine.progress import Screen
from pipeline.engine.search import Searcher
from pipeline.fetch import fetch
from pipeline.plan import plan_survey
from pipeline.run import run
from tests.conftest import REPOSITORY
from tests.loopback import Fault, collection, item, loopback, stac_api
from tests.made_up import write_raster
from tests.safe import PRODUCT, write_safe
from tiles.blocks import plan_blocks
from tiles.catalog import find_scenes
from tiles.errors import AccessError
from tiles.scene import GsdLimits, open_scene
from tiles.simulate import BeltSettings, simulate_belt

QUIET = Screen(quiet=True)
COLLECTION = "sentinel-2-c1-l2a"
RUN_FILE = """\
imagery = ["stac:{url}#{collection}"]
region = "{region}"
period = "2025-11/2026-06"
country = "IN"
out = "run"
precision = "fp32"
[search]
max_cloud_percent = 50
[access]
retries = 1
"""


@pytest.fixture(scope="module")
def belt(tmp_path_factory):
    settings = BeltSettings(side_km=8, n_kilns=16, n_reporters=50)
    return simulate_belt(settings, tmp_path_factory.mktemp("belt"), processes=1)


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "web"
    folder.mkdir()
    with loopback(folder) as server:
        yield server


@pytest.fixture
def items(belt, server):
    """Items with one picture in true colour each, of scenes that lie on the server."""
    made = []
    for path in belt.scenes:
        (server.folder / path.name).write_bytes(path.read_bytes())
        scene = open_scene(path, path.stem, GsdLimits())
        assets = {"visual": server.file(path.name)}
        made.append(item(scene, assets, "belt", scene.date, **{"eo:cloud_cover": 10.0}))
    return made


def settings_of(folder, text, **values):
    path = folder / "run.toml"
    path.write_text(text.format(**values))
    return RunSettings.of(read_run_file(path) | {"workers": 1}, str(path))


def found_in(settings):
    """Everything found, by the survey's own code in this process."""
    plan, _ = plan_survey(settings)
    searcher = Searcher.load(plan.detector)
    return pd.concat(
        searcher.search(scene, block, plan.site_class).detections
        for scene in plan.catalog.scenes
        for block in plan_blocks(scene, plan.detector.halo_px, plan.region.polygon, plan.block_px)
    )


def test_a_catalogue_gives_the_bytes_that_its_files_give(belt, server, items, tmp_path):
    with stac_api(server, [collection("belt"), *items]) as url:
        values = {"url": url, "collection": "belt", "region": belt.region}
        remote = run(settings_of(tmp_path, RUN_FILE, **values), QUIET)
        assert remote.survey.failures == ()
        asked = server.took()
        assert {"/", "/search"} <= {one.path for one in asked}
    local = RunSettings(
        imagery=tuple(str(path) for path in belt.scenes),
        region=belt.region,
        period="2025-11/2026-06",
        country="IN",
        precision="fp32",
        workers=1,
        out=tmp_path / "local",
    )
    run(local, QUIET)
    for name in ("detections", "coverage", "sites", "hotspots"):
        digests = {
            hashlib.sha256((tmp_path / folder / f"{name}.parquet").read_bytes()).hexdigest()
            for folder in ("run", "local")
        }
        assert len(digests) == 1, name
    assert len(pd.read_parquet(tmp_path / "run" / "detections.parquet")) > 5


def test_what_was_fetched_needs_no_network(belt, server, items, tmp_path):
    with stac_api(server, [collection("belt"), *items]) as url:
        values = {"url": url, "collection": "belt", "region": belt.region}
        settings = settings_of(tmp_path, RUN_FILE, **values)
        server.faults = [Fault(r"west\.tif", status=500, only_range=True)]
        with pytest.raises(AccessError, match=r"are missing \(.*HTTP 500.*same command again"):
            fetch(settings, QUIET)
        assert any("scene_east" in one.path for one in server.took())
        server.faults = []
        fetched = fetch(settings, QUIET)
        assert (fetched.scenes, fetched.cache) == (2, tmp_path / "imagery_cache")
        data = {one.path for one in server.took()}
        assert data == {"/files/scene_west.tif"}, "the rest was there"
        fetch(settings, QUIET)
        assert server.took() == []
        read = sum((server.folder / path.name).stat().st_size for path in belt.scenes)
        assert fetched.bytes_kept < 1.1 * read
    offline = settings.model_copy(
        update={"access": settings.access.model_copy(update={"offline": True})}
    )
    assert len(found_in(offline)) > 5
    assert server.took() == []


def test_a_fetch_that_does_not_fit_says_so(belt, server, items, tmp_path):
    with stac_api(server, [collection("belt"), *items]) as url:
        text = RUN_FILE + "cache_limit_gb = 0.0001\n"
        values = {"url": url, "collection": "belt", "region": belt.region}
        with pytest.raises(AccessError, match=r"cache_limit_gb = 0.0001: raise it"):
            fetch(settings_of(tmp_path, text, **values), QUIET)


def test_blocks_that_cannot_be_had_are_failed_and_done_by_the_next_run(
    belt, server, items, tmp_path
):
    with stac_api(server, [collection("belt"), *items]) as url:
        text = RUN_FILE + "timeout_s = 1\n[engine]\nretries = 0\n"
        values = {"url": url, "collection": "belt", "region": belt.region}
        settings = settings_of(tmp_path, text, **values)
        server.faults = [Fault(r"west\.tif", drop_half=True, only_range=True)]
        first = run(settings, QUIET)
        assert "connection broke off" in first.survey.failures[0]
        assert (first.survey.coverage["status"] == "failed").any()
        server.faults = []
        server.took()
        second = run(settings, QUIET, refresh=True)
        assert second.survey.failures == ()
        assert not (second.survey.coverage["status"] == "failed").any()
        assert {one.path for one in server.took()} == {"/files/scene_west.tif"}


def sentinel_item(server, scene, day):
    """An item as Earth Search describes Sentinel-2: a file a band, and the classification."""
    assets = {
        "red": server.file("B04.tif"),
        "green": server.file("B03.tif"),
        "blue": server.file("B02.tif"),
        "scl": server.file("SCL.tif"),
        "thumbnail": server.file("L2A_PVI.jpg"),
    }
    properties = {
        "eo:cloud_cover": 12.5,
        "platform": "sentinel-2b",
        "s2:processing_baseline": "05.11",
        "earthsearch:boa_offset_applied": False,
    }
    return item(scene, assets, COLLECTION, day, **properties)


@pytest.fixture
def product(belt, tmp_path):
    """A simulated scene as a `.SAFE` product: reflectance with the offset of 2022."""
    with rasterio.open(belt.scenes[0]) as dataset:
        colours, transform, crs = dataset.read(), dataset.transform, dataset.crs
    colours = colours[:, : colours.shape[1] // 2 * 2, : colours.shape[2] // 2 * 2]
    counts = colours.astype(np.uint16) * 14 + 1000
    return write_safe(tmp_path / "esa", counts, transform=transform, crs=crs)


@pytest.fixture
def archive(product, server):
    """The same product as a public archive has it: its bands as COGs, and an item."""
    for band in ("B04_10m", "B03_10m", "B02_10m", "SCL_20m"):
        with rasterio.open(next(product.rglob(f"*_{band}.jp2"))) as dataset:
            where = {"crs": dataset.crs, "transform": dataset.transform}
            path = server.folder / f"{band[:3]}.tif"
            write_raster(path, dataset.read(), driver="COG", compress="none", **where)
    [scene] = find_scenes([str(product)], GsdLimits()).scenes
    return sentinel_item(server, scene, "2026-01-15")


def test_a_product_at_hand_and_in_an_archive_are_one_scene(
    belt, product, archive, server, tmp_path
):
    with stac_api(server, [collection(COLLECTION), archive]) as url:
        values = {"url": url, "collection": COLLECTION, "region": belt.region}
        settings = settings_of(tmp_path, RUN_FILE, **values)
        remote = found_in(settings)
    at_hand = found_in(settings.model_copy(update={"imagery": (str(product),)}))
    assert len(remote) > 0
    assert set(remote["scene_id"]) == {PRODUCT}
    pd.testing.assert_frame_equal(pd.DataFrame(remote), pd.DataFrame(at_hand), check_exact=True)


def test_the_worked_example_makes_the_requests_that_its_page_lists(belt, archive, server, tmp_path):
    page = (REPOSITORY / "docs" / "imagery.md").read_text(encoding="utf-8")
    example = re.search(r"```toml\n(imagery = .*?)```", page, re.DOTALL)[1]
    assert len(example.splitlines()) <= 10
    public = "https://earth-search.aws.element84.com/v1"
    with stac_api(server, [collection(COLLECTION), archive]) as url:
        (tmp_path / "rohtak.geojson").write_bytes(belt.region.read_bytes())
        settings = settings_of(tmp_path, example.replace(public, url))
        fetch(settings, QUIET)
        asked = server.took()
        found_in(settings)
        assert server.took() == [], "a second run makes none"
    listed = re.search(r"recorded by the test -->\n```\n(.*?)```", page, re.DOTALL)[1]
    assert in_words(asked) == [line.partition("#")[0].strip() for line in listed.splitlines()]


def in_words(asked):
    """Requests as the page lists them: catalogue, then heads of files, then parts of them."""
    catalogue = [f"{one.method} {one.path}" for one in asked if not one.range]
    files = [(one.path.removeprefix("/files/"), one.range) for one in asked if one.range]
    order = ["B04.tif", "B03.tif", "B02.tif", "SCL.tif"]
    heads = [name for name, part in files if part == "bytes=0-131071"]
    parts = [name for name, part in files if part != "bytes=0-131071"]
    return [
        *catalogue,
        *(f"GET {name} 0-131071" for name in sorted(heads, key=order.index)),
        # the three bands are asked for side by side
        *(f"GET {name} …" for name in sorted(dict.fromkeys(parts), key=("SCL.tif", *order).index)),
    ]
