"""Whatever the cut, the order, the cluster or the format of the file: the same bytes."""

import json

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import shapely
from affine import Affine
from pyproj import Geod, Transformer
from rasterio.enums import Resampling

from models.detection import PixelBoxes
from models.detector import Search
from models.site_class import load_site_class
from models.weights import default_weights, load_card
from pipeline.engine.journal import JOURNAL, Journal
from pipeline.engine.search import DetectorSpec, Searcher
from tests.made_up import DEGREES, ROTATED, UTM_44N, UTM_ORIGIN, noise, write_raster
from tests.pipeline.engine_runs import (
    engine,
    settings_for,
    survey,
    table_bytes,
    threads_cluster,
    write_belt,
)
from tests.seasons import open_date
from tiles.blocks import plan_blocks
from tiles.cells import project
from tiles.coverage import COVERAGE
from tiles.errors import RunFolderError, SceneError, SurveyError
from tiles.ground import read_ground
from tiles.scene import GsdLimits, open_scene
from tiles.tables import read_table

KILN = load_site_class("brick_kiln")
ROWS, COLS = 1100, 2100  # two by three tiles of the network, the last ones cut
WEBP = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}


@pytest.fixture(scope="module")
def cluster():
    with threads_cluster() as address:
        yield address


@pytest.fixture(scope="module")
def belt(tmp_path_factory):
    return write_belt(tmp_path_factory.mktemp("belt") / "belt.tif", ROWS, COLS)


@pytest.fixture(scope="module")
def first(belt, cluster, tmp_path_factory):
    """The belt surveyed once, in blocks of one tile."""
    settings = settings_for(
        belt,
        tmp_path_factory.mktemp("first") / "run",
        scheduler=cluster,
        engine=engine(block_px=1024),
    )
    made = survey(settings)
    assert made.blocks == 6
    assert len(made.detections) > 10
    return settings


@pytest.mark.parametrize("block_px", [512, 2048, 4096])
def test_the_size_of_blocks_changes_no_byte(belt, cluster, first, tmp_path, block_px):
    settings = settings_for(
        belt, tmp_path / "run", scheduler=cluster, engine=engine(block_px=block_px)
    )
    assert survey(settings).blocks == {512: 6, 2048: 2, 4096: 1}[block_px]
    assert table_bytes(settings.out) == table_bytes(first.out)


def test_the_order_of_tasks_changes_no_byte(belt, cluster, first, tmp_path, monkeypatch):
    pending = Journal.pending
    rng = np.random.default_rng(3)
    monkeypatch.setattr(Journal, "pending", lambda self: iter(rng.permutation(list(pending(self)))))
    settings = settings_for(belt, tmp_path / "run", scheduler=cluster, engine=engine(block_px=1024))
    survey(settings)
    assert table_bytes(settings.out) == table_bytes(first.out)


def test_what_is_done_is_not_done_again(belt, cluster, first):
    before = (first.out / "detections.parquet").stat().st_mtime_ns
    survey(first)
    assert (first.out / "detections.parquet").stat().st_mtime_ns == before
    with pytest.raises(RunFolderError) as said:
        survey(first.model_copy(update={"prevalence": 99.0}))
    assert "site_class.prevalence_per_1000km2: was 30.0, now 99.0" in str(said.value)
    assert "--refresh" in str(said.value)


class CutShortError(Exception):
    """What a kill looks like to a test that goes on living."""


def interrupted(settings, monkeypatch, after):
    """Survey until so many results have landed."""
    add, landed = Journal.add, []

    def add_and_stop(self, key, result):
        add(self, key, result)
        landed.append(key)
        if len(landed) == after:
            raise CutShortError

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "add", add_and_stop)
        with pytest.raises(CutShortError):
            survey(settings)
    return landed


def computed(settings, monkeypatch, **kwargs):
    """Keys of the tasks that a survey computed."""
    add, keys = Journal.add, []
    with monkeypatch.context() as patched:
        patched.setattr(
            Journal, "add", lambda self, key, result: keys.append(key) or add(self, key, result)
        )
        survey(settings, **kwargs)
    return keys


def test_another_size_of_blocks_does_not_throw_away_what_is_done(
    belt, cluster, first, tmp_path, monkeypatch
):
    def in_blocks_of(side_px):
        cut = engine(block_px=side_px)
        return settings_for(belt, tmp_path / "run", scheduler=cluster, engine=cut)

    done = interrupted(in_blocks_of(1024), monkeypatch, after=2)
    for _ in range(2):
        with pytest.raises(RunFolderError, match=r"2 results of blocks of another size.*--refresh"):
            survey(in_blocks_of(2048))
    assert not {*done} & {*computed(in_blocks_of(1024), monkeypatch)}
    survey(in_blocks_of(2048), refresh=True)
    assert table_bytes(tmp_path / "run") == table_bytes(first.out)


def test_a_survey_goes_on_where_it_was(belt, cluster, first, tmp_path, monkeypatch):
    settings = first.model_copy(update={"out": tmp_path / "run"})
    landed = interrupted(settings, monkeypatch, after=4)
    assert not (settings.out / "detections.parquet").exists()
    rest = computed(settings, monkeypatch)
    assert (len(landed), len(rest)) == (4, 2)
    assert not {*landed} & {*rest}
    assert table_bytes(settings.out) == table_bytes(first.out)


def test_refresh_computes_just_what_changed(belt, cluster, first, tmp_path, monkeypatch):
    """Another region, a second scene, and one that is gone: the rest is taken from the journal."""
    scene = open_scene(belt, "belt", GsdLimits())
    west = scene.outline(0, 0, ROWS, 1024).buffer(-0.001)
    (tmp_path / "west.geojson").write_text(json.dumps(shapely.geometry.mapping(west)))
    out = tmp_path / "run"
    part = first.model_copy(update={"out": out, "region": tmp_path / "west.geojson"})
    assert len(computed(part, monkeypatch)) == 2
    whole = part.model_copy(update={"region": None})
    with pytest.raises(RunFolderError, match="region: another outline"):
        survey(whole)
    assert len(computed(whole, monkeypatch, refresh=True)) == 4, "the two of the west are kept"
    assert table_bytes(out) == table_bytes(first.out)
    other = write_belt(tmp_path / "other.tif", 600, 600, seed=9)
    two = whole.model_copy(update={"imagery": (str(belt), str(other))})
    assert len(computed(two, monkeypatch, refresh=True)) == 1
    assert computed(whole, monkeypatch, refresh=True) == []
    assert table_bytes(out) == table_bytes(first.out)


FORMATS = {
    "strips": {"compress": "deflate", "blockysize": 1},
    "planar interleaved": {"interleave": "band", **WEBP},
    "one whole strip": {"blockysize": ROWS},
    "big tiles": {"tiled": True, "blockxsize": 1024, "blockysize": 1024, "compress": "zstd"},
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_format_of_the_file_changes_no_byte(cluster, first, tmp_path, name):
    path = write_belt(tmp_path / "belt.tif", ROWS, COLS, **FORMATS[name])
    settings = settings_for(path, tmp_path / "run", scheduler=cluster)
    survey(settings)
    assert table_bytes(settings.out) == table_bytes(first.out)


def masked(path, internal):
    """The belt with its left fifth masked, by a mask inside the file or beside it."""
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal):
        write_belt(path, ROWS, COLS)
        with rasterio.open(path, "r+") as dataset:
            valid = np.full((ROWS, COLS), 255, np.uint8)
            valid[:, : COLS // 5] = 0
            dataset.write_mask(valid)
    return path


def test_masks_within_and_beside_the_file_are_one(cluster, first, tmp_path):
    found = []
    for name, internal in (("a", True), ("b", False)):
        (tmp_path / name).mkdir()
        path = masked(tmp_path / name / "belt.tif", internal)
        assert path.with_name("belt.tif.msk").exists() != internal
        settings = settings_for(path, tmp_path / name / "run", scheduler=cluster)
        made = survey(settings)
        areas = made.coverage.groupby("status")["area_km2"].sum()
        assert areas["nodata"] / areas.sum() == pytest.approx(0.2, abs=0.01)
        found.append(table_bytes(settings.out))
    assert found[0] == found[1]


def test_overviews_beside_the_file_change_no_byte(cluster, first, tmp_path):
    path = write_belt(tmp_path / "belt.tif", ROWS, COLS)
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4, 8, 16], Resampling.average)
    assert path.with_name("belt.tif.ovr").exists()
    settings = settings_for(path, tmp_path / "run", scheduler=cluster)
    survey(settings)
    assert table_bytes(settings.out) == table_bytes(first.out)


def test_a_file_that_breaks_off_is_failed_in_coverage_and_the_run_goes_on(cluster, tmp_path):
    """Its header is whole and its last rows are not there."""
    whole, cut = tmp_path / "whole" / "belt.tif", tmp_path / "cut" / "belt.tif"
    for path in (whole, cut):
        path.parent.mkdir()
        write_belt(path, COLS, ROWS, tiled=True, blockxsize=256, blockysize=256)
    cut.write_bytes(cut.read_bytes()[: int(whole.stat().st_size * 0.8)])
    quick = engine(block_px=1024, retries=1)
    good = survey(settings_for(whole, tmp_path / "good", scheduler=cluster, engine=quick))
    settings = settings_for(cut, tmp_path / "run", scheduler=cluster, engine=quick)
    made = survey(settings)
    areas = made.coverage.groupby("status")["area_km2"].sum()
    assert areas.sum() == pytest.approx(good.coverage["area_km2"].sum(), rel=1e-9)
    assert areas["failed"] / areas.sum() == pytest.approx(1 - 1024 / COLS, abs=0.01)
    assert len(made.failures) == 4
    assert all("belt.tif cannot be read" in reason for reason in made.failures)
    assert all(reason.endswith("(tried 2 times).") for reason in made.failures)
    found = good.detections[good.detections["peak_row"] < 1024]
    assert list(made.detections["detection_id"]) == list(found["detection_id"])
    strict = settings.model_copy(update={"strict": True, "out": tmp_path / "strict"})
    with pytest.raises(SceneError, match=r"belt\.tif cannot be read"):
        survey(strict)
    few = {"out": tmp_path / "few", "engine": settings.engine.model_copy(update={"max_failed": 2})}
    with pytest.raises(SurveyError, match=r"3 tasks failed, more than max_failed = 2.*go on"):
        survey(settings.model_copy(update=few))
    cut.write_bytes(whole.read_bytes())
    survey(settings, refresh=True)
    assert table_bytes(settings.out) == table_bytes(tmp_path / "good")


def test_a_region_over_two_zones_and_one_over_the_antimeridian(cluster, tmp_path):
    """Coverage sums to the region, and a kiln that both zones show is one detection in each."""
    zones = {"32643": 77.9, "32644": 78.04}  # either side of 78 degrees east
    antimeridian = {"32760": 179.96, "32701": -179.98}
    for name, scenes in (("zones", zones), ("antimeridian", antimeridian)):
        folder = tmp_path / name
        folder.mkdir()
        for epsg, lon in scenes.items():
            to_utm = Transformer.from_crs(4326, int(epsg), always_xy=True)
            x, y = to_utm.transform(lon, 27.0 if name == "zones" else -17.0)
            origin = Affine(10.0, 0.0, round(x, -1), 0.0, -10.0, round(y, -1))
            write_belt(folder / f"{epsg}.tif", 400, 400, f"EPSG:{epsg}", origin, kilns=24)
        settings = settings_for(folder, folder / "run", scheduler=cluster)
        made = survey(settings)
        assert {*made.detections["scene_id"]} == {*scenes}
        whole_km2 = project(shapely.from_wkb(bytes.fromhex(region_wkb(settings.out)))).area / 1e6
        assert made.coverage["area_km2"].sum() == pytest.approx(whole_km2, rel=1e-3)
        assert made.coverage["area_km2"].sum() < 33, "and not the whole way round"


def region_wkb(folder):
    return json.loads((folder / "manifest.json").read_text())["survey"]["region"]["wkb"]


def test_nothing_searched_is_one_sentence(cluster, tmp_path):
    black = write_raster(tmp_path / "b.tif", noise(64, 64) * 0, nodata=0)
    with pytest.raises(SceneError, match=r"every pixel is nodata or under cloud.*other dates\.$"):
        survey(settings_for(black, tmp_path / "run", scheduler=cluster))


def test_an_empty_patch_says_where_nothing_was_seen(cluster, tmp_path):
    pixels = noise(300, 300)
    pixels[:, :, 150:] = 0
    path = write_raster(tmp_path / "half.tif", pixels, nodata=0)
    settings = settings_for(path, tmp_path / "run", scheduler=cluster)
    survey(settings)
    scene = open_scene(path, "half", GsdLimits())
    ground = read_ground(settings.out / "ground.parquet")
    assert list(ground.status_at(*scene.to_lonlat([50, 250], [150, 150]))) == ["searched", "nodata"]
    assert read_table(settings.out / "coverage.parquet", COVERAGE)["area_km2"].sum() == (
        pytest.approx(9.0, rel=0.01)
    )
    assert (settings.out / JOURNAL).exists()


@pytest.mark.real_data
def test_the_scene_of_the_whole_world_is_refused_with_a_sentence(cluster, shared_data, tmp_path):
    path = shared_data / "rasters" / "misc" / "cog_world.tif"
    if not path.exists():
        path = next((shared_data / "rasters").rglob("cog_world.tif"))
    with pytest.raises(SceneError, match=r"pixels of .* m, too coarse to show the sites sought"):
        survey(settings_for(path, tmp_path / "run", scheduler=cluster))
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def searcher():
    path = default_weights()
    return Searcher.load(DetectorSpec(path, "", "cpu", "fp32", load_card(path).halo_px))


@pytest.mark.parametrize("how", ["slivers that overviews miss", "a cloud over the border"])
def test_what_is_known_before_reading_does_not_depend_on_the_cut(searcher, tmp_path, how):
    pixels = np.maximum(noise(1024, 2048), 1)
    if how.startswith("slivers"):
        east = pixels[:, :, 1024:]
        east[:, :, ~np.isin(np.arange(1024) % 8, (4, 5, 6))] = 0
        path = write_raster(tmp_path / "s.tif", pixels, nodata=0, tiled=True)
        with rasterio.open(path, "r+") as dataset:
            dataset.build_overviews([2, 4, 8], Resampling.nearest)
        scene = open_scene(path, "s", GsdLimits())
    else:
        pixels[:, :, 1600:] = 0
        codes = np.full((1, 512, 1024), 4, np.uint8)  # vegetation, and cloud of high probability
        codes[:, :, 512:] = 9
        path = write_raster(tmp_path / "s.tif", pixels, tiled=True)
        mask = write_raster(tmp_path / "scl.tif", codes, transform=UTM_ORIGIN @ Affine.scale(2))
        scene = open_date(path, mask, "2026-01-14")
    seen = [ground_of(searcher, scene, core_px) for core_px in (1024, 2048)]
    assert seen[0] == seen[1]


def ground_of(searcher, scene, core_px):
    """The status of each ground pixel, and what was found, by blocks of a size."""
    blocks = plan_blocks(scene, searcher.detector.halo_px, scene.footprint, core_px)
    results = [searcher.search(scene, block, KILN) for block in blocks]
    grounds = [one.ground for one in results]
    status = {
        (int(row), int(col)): int(code)
        for g in grounds
        for row, col, code in zip(g.row, g.col, g.status, strict=True)
    }
    found = sorted(name for one in results for name in one.detections["detection_id"])
    return status, found, sum(one.looked for one in results), sum(one.unfamiliar for one in results)


class ExactDetector:
    """Finds exactly the boxes it was told, so that only the survey's own geometry is tested."""

    def __init__(self, real, boxes):
        self.card, self.halo_px, self.boxes = real.card, real.halo_px, boxes
        self.device = real.device

    def search(self, pixels, usable, core, origin, wanted):
        row, col = self.boxes.peak_row - origin.row, self.boxes.peak_col - origin.col
        own = (row >= core.row0) & (row < core.row0 + core.rows)
        found = self.boxes[own & (col >= core.col0) & (col < core.col0 + core.cols)]
        return Search(found, np.zeros(len(found), bool), 1, 0)


@pytest.mark.parametrize("core_px", [1024, 2048])
@pytest.mark.parametrize(
    ("crs", "transform"), [(UTM_44N, UTM_ORIGIN), ("EPSG:4326", DEGREES), (UTM_44N, ROTATED)]
)
def test_positions_and_sizes_are_right_to_a_metre(searcher, tmp_path, crs, transform, core_px):
    rng = np.random.default_rng(3)
    side_px = 1200
    row, col = rng.uniform(20, side_px - 20, (2, 40))
    boxes = PixelBoxes(
        row,
        col,
        row.astype(int),
        col.astype(int),
        np.full(40, 10.0),
        np.full(40, 5.0),
        rng.uniform(0, np.pi, 40),
        np.full(40, 0.9),
    )
    path = write_raster(tmp_path / "s.tif", noise(side_px, side_px), crs, transform)
    scene = open_scene(path, "s", GsdLimits())
    exact = Searcher(ExactDetector(searcher.detector, boxes))
    blocks = plan_blocks(scene, 128, scene.footprint, core_px)
    parts = [exact.search(scene, block, KILN).detections for block in blocks]
    found = {(one.peak_row, one.peak_col): one for part in parts for one in part.itertuples()}
    assert len(found) == sum(len(part) for part in parts) == 40
    with rasterio.open(scene.path) as dataset:  # GDAL's own idea of where a pixel lies
        x, y = rasterio.transform.xy(dataset.transform, row, col, offset="ul")
        lon, lat = Transformer.from_crs(dataset.crs, 4326, always_xy=True).transform(x, y)
    ordered = [found[int(r), int(c)] for r, c in zip(row, col, strict=True)]
    geod = Geod(ellps="WGS84")
    ours = [one.lon for one in ordered], [one.lat for one in ordered]
    assert np.max(geod.inv(*ours, lon, lat)[2]) < 1.0
    stretch = scene.gsd.x_m / scene.gsd.y_m
    assert all(100 * min(stretch, 1) - 1 < one.length_m < 101 for one in ordered)
