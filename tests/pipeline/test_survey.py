import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import Geod, Transformer

from models.detection import PixelBoxes
from models.site_class import load_site_class
from models.weights import default_weights, load_card
from pipeline.survey import Collector, DetectorSpec, SurveyPlan, load_detector, search_block
from tests.made_up import DEGREES, ROTATED, UTM_44N, UTM_ORIGIN, noise, write_raster
from tiles.blocks import plan_blocks
from tiles.catalog import BrokenSource, Catalog
from tiles.errors import SceneError
from tiles.region import region_of
from tiles.scene import GsdLimits, open_scene
from tiles.simulate import simulate_patch

KILN = load_site_class("brick_kiln")
SIDE_PX = 512


class SilentBar:
    """A progress bar that nobody watches."""

    def advance(self, blocks, area_km2, found):
        pass


@pytest.fixture(scope="module")
def detector():
    path = default_weights()
    return load_detector(DetectorSpec(path, "", "cpu", "fp32", load_card(path).halo_px))


@pytest.fixture(scope="module")
def patch():
    return simulate_patch(np.random.default_rng(11), SIDE_PX, n_kilns=24)


def scene_of(folder, pixels, crs=UTM_44N, transform=UTM_ORIGIN, name="s"):
    return open_scene(
        write_raster(folder / f"{name}.tif", pixels, crs, transform), name, GsdLimits()
    )


def survey(detector, scenes, core_px=256, order=None, broken=(), region=None):
    """Search scenes in this process, in blocks of `core_px`, and put the tables together."""
    region = region or region_of("r", [scene.footprint for scene in scenes])
    spec = DetectorSpec(None, "", "cpu", "fp32", detector.halo_px)
    plan = SurveyPlan(Catalog(tuple(scenes), tuple(broken)), region, "2026-02/2026-02", KILN, spec)
    work = [
        (scene, block)
        for scene in scenes
        for block in plan_blocks(scene, detector.halo_px, region.polygon, core_px)
    ]
    collected = Collector(strict=False)
    for index in range(len(work)) if order is None else order(len(work)):
        collected.add([search_block(detector, *work[index], KILN)], SilentBar())
    return collected.finish(plan)


def test_tiled_equals_untiled(detector, patch, tmp_path):
    pixels = patch.pixels.copy()
    pixels[:, 100:140, 60:110] = 255  # a cloud and a gap across several seams
    pixels[:, 300:, 250:262] = 0
    scene = scene_of(tmp_path, pixels)
    whole = survey(detector, [scene], SIDE_PX).detections
    assert len(whole) >= 15
    for core_px in (64, 128, 320):
        tiled = survey(detector, [scene], core_px).detections
        assert list(tiled["detection_id"]) == list(whole["detection_id"])
        for column in ("score", "p_site"):
            assert np.allclose(tiled[column], whole[column], atol=2e-4)
        for column in ("lon", "lat"):
            assert np.allclose(tiled[column], whole[column], atol=1e-7)


def test_order_does_not_matter_to_the_byte(detector, patch, tmp_path):
    scene = scene_of(tmp_path, patch.pixels)
    straight = survey(detector, [scene], 128)
    shuffled = survey(detector, [scene], 128, np.random.default_rng(0).permutation)
    assert straight.detections.equals(shuffled.detections)
    assert straight.coverage.equals(shuffled.coverage)


class ExactDetector:
    """Finds exactly the boxes it was told, so that only the survey's own geometry is tested."""

    def __init__(self, real, boxes):
        self.card, self.halo_px, self.boxes = real.card, real.halo_px, boxes

    def detect(self, pixels, usable, core, origin):
        row, col = self.boxes.peak_row - origin.row, self.boxes.peak_col - origin.col
        own = (row >= core.row0) & (row < core.row0 + core.rows)
        return self.boxes[own & (col >= core.col0) & (col < core.col0 + core.cols)]

    def unfamiliar_boxes(self, pixels, usable, boxes, origin):
        return np.zeros(len(boxes), bool)

    def unfamiliarity(self, pixels, usable):
        return 0.0


@pytest.mark.parametrize("core_px", [64, 160, SIDE_PX])
@pytest.mark.parametrize(
    ("crs", "transform"), [(UTM_44N, UTM_ORIGIN), ("EPSG:4326", DEGREES), (UTM_44N, ROTATED)]
)
def test_positions_and_sizes_are_right_to_a_metre(detector, tmp_path, crs, transform, core_px):
    rng = np.random.default_rng(3)
    row, col = rng.uniform(20, SIDE_PX - 20, (2, 40))
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
    scene = scene_of(tmp_path, noise(SIDE_PX, SIDE_PX), crs, transform)
    found = survey(ExactDetector(detector, boxes), [scene], core_px).detections
    order = np.lexsort((boxes.peak_col, boxes.peak_row))
    with rasterio.open(scene.path) as dataset:  # GDAL's own idea of where a pixel lies
        x, y = rasterio.transform.xy(dataset.transform, row[order], col[order], offset="ul")
        lon, lat = Transformer.from_crs(dataset.crs, 4326, always_xy=True).transform(x, y)
    distance_m = Geod(ellps="WGS84").inv(found["lon"], found["lat"], lon, lat)[2]
    assert np.max(distance_m) < 1.0
    stretch = scene.gsd.x_m / scene.gsd.y_m
    assert found["length_m"].between(100 * min(stretch, 1) - 1, 101).all()


def test_real_detections_lie_on_their_kilns(detector, patch, tmp_path):
    scene = scene_of(tmp_path, patch.pixels)
    found = survey(detector, [scene]).detections
    col, row = scene.to_pixel(found["lon"], found["lat"])
    away = np.hypot(col[:, None] - patch.boxes[:, 0], row[:, None] - patch.boxes[:, 1])
    nearest = away.min(axis=0)
    assert (nearest < 6).sum() >= 15
    assert np.median(nearest[nearest < 6]) < 1.5


def test_a_kiln_on_a_seam_comes_once(detector, patch, tmp_path):
    known = survey(detector, [scene_of(tmp_path, patch.pixels)], SIDE_PX).detections
    best = known.sort_values("score", ascending=False).head(4)
    shifts = ((0, 0), (1, 0), (0, -1), (-1, 1))
    for (shift_row, shift_col), kiln in zip(shifts, best.itertuples(), strict=True):
        # the kiln's peak comes to lie on the corner of four cores of 128 px, or a pixel beside it
        move = 256 + shift_row - kiln.peak_row, 256 + shift_col - kiln.peak_col
        pixels = np.roll(patch.pixels, move, axis=(1, 2))
        scene = scene_of(tmp_path, pixels, name=f"s{shift_row}{shift_col}")
        found = survey(detector, [scene], 128).detections
        away = np.hypot(found["peak_row"] - 256, found["peak_col"] - 256)
        assert (away < 8).sum() == 1


def test_a_scene_that_breaks_off_is_failed_in_coverage(detector, patch, tmp_path):
    good = scene_of(tmp_path, patch.pixels)
    east = UTM_ORIGIN @ Affine.translation(SIDE_PX, 0)
    path = write_raster(
        tmp_path / "cut.tif",
        patch.pixels,
        transform=east,
        tiled=True,
        blockxsize=256,
        blockysize=256,
    )
    cut = open_scene(path, "cut", GsdLimits())
    path.write_bytes(path.read_bytes()[:300_000])
    result = survey(detector, [good, cut])
    areas = result.coverage.groupby("status")["area_km2"].sum()
    assert len(result.failures) > 0
    assert "cut.tif cannot be read" in result.failures[0]
    # half of the region is the broken scene, and more than half of that was cut off
    assert 0.25 < areas["failed"] / areas.sum() < 0.5
    alone = survey(detector, [good]).detections
    assert set(alone["detection_id"]) <= set(result.detections["detection_id"])


def test_a_file_that_cannot_be_used_is_failed_where_nothing_else_looked(detector, patch, tmp_path):
    scene = scene_of(tmp_path, patch.pixels)
    west, south, east, north = scene.footprint.bounds
    beside = shapely.box(east, south, east + (east - west) / 2, north)  # half as wide
    broken = [BrokenSource(tmp_path / "x.tif", "grey", shapely.union(beside, scene.footprint))]
    region = region_of("r", [scene.footprint, beside])
    areas = (
        survey(detector, [scene], broken=broken, region=region)
        .coverage.groupby("status")["area_km2"]
        .sum()
    )
    assert areas["failed"] / areas.sum() == pytest.approx(1 / 3, abs=0.03)
    assert areas["searched"] / areas.sum() == pytest.approx(2 / 3, abs=0.03)


def test_nothing_searched_is_one_sentence(detector, tmp_path):
    black = open_scene(
        write_raster(tmp_path / "b.tif", noise(64, 64) * 0, nodata=0), "b", GsdLimits()
    )
    with pytest.raises(SceneError, match="every pixel is nodata or under cloud"):
        survey(detector, [black])
