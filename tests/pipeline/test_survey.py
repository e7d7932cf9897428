import numpy as np
import pytest
from affine import Affine
from pyproj import Geod

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
    return load_detector(DetectorSpec(path, "cpu", "fp32", load_card(path).halo_px))


@pytest.fixture(scope="module")
def patch():
    return simulate_patch(np.random.default_rng(11), SIDE_PX, n_kilns=24)


def scene_of(folder, pixels, crs=UTM_44N, transform=UTM_ORIGIN, name="s"):
    return open_scene(
        write_raster(folder / f"{name}.tif", pixels, crs, transform), name, GsdLimits()
    )


def survey(detector, scenes, core_px=256, order=None, broken=()):
    """Search scenes in this process, in blocks of `core_px`, and put the tables together."""
    region = region_of("r", [scene.footprint for scene in scenes])
    spec = DetectorSpec(None, "cpu", "fp32", detector.halo_px)
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
    scene = scene_of(tmp_path, patch.pixels)
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


@pytest.mark.parametrize(
    ("crs", "transform"), [(UTM_44N, UTM_ORIGIN), ("EPSG:4326", DEGREES), (UTM_44N, ROTATED)]
)
def test_positions_are_right_to_half_a_pixel(detector, patch, tmp_path, crs, transform):
    scene = scene_of(tmp_path, patch.pixels, crs, transform)
    found = survey(detector, [scene]).detections
    lon, lat = scene.to_lonlat(patch.boxes[:, 0], patch.boxes[:, 1])
    geod = Geod(ellps="WGS84")
    offsets = []
    for kiln_lon, kiln_lat in zip(lon, lat, strict=True):
        n = len(found)
        azimuth, _, distance_m = geod.inv(
            [kiln_lon] * n, [kiln_lat] * n, found["lon"], found["lat"]
        )
        nearest = int(np.argmin(distance_m))
        if distance_m[nearest] < 60:
            east = distance_m[nearest] * np.sin(np.radians(azimuth[nearest]))
            north = distance_m[nearest] * np.cos(np.radians(azimuth[nearest]))
            offsets.append((east, north))
    assert len(offsets) >= 15
    # the network's own error averages out; an error of the grid would not
    assert np.abs(np.mean(offsets, axis=0)).max() < 5.0


def test_a_kiln_on_a_seam_comes_once(detector, tmp_path):
    kiln = simulate_patch(np.random.default_rng(5), 128, n_kilns=1)
    col, row = (round(value) for value in kiln.boxes[0, :2])
    for shift_row, shift_col in ((0, 0), (1, 0), (0, -1), (-1, 1)):
        pixels = noise(256, 256)
        # the kiln's centre lies on the corner of four cores of 128 px, or a pixel beside it
        top, left = 128 + shift_row - row, 128 + shift_col - col
        pixels[:, top : top + 128, left : left + 128] = kiln.pixels
        scene = scene_of(tmp_path, pixels, name=f"s{shift_row}{shift_col}")
        near = survey(detector, [scene], 128).detections
        back_col, back_row = scene.to_pixel(near["lon"], near["lat"])
        here = np.hypot(back_col - 128, back_row - 128) < 8
        assert here.sum() == 1


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


def test_a_file_that_never_opened_is_failed_where_its_ground_is_known(detector, patch, tmp_path):
    scene = scene_of(tmp_path, patch.pixels)
    beside = scene.footprint.buffer(0)
    result = survey(detector, [scene], broken=[BrokenSource(tmp_path / "x.tif", "grey", beside)])
    assert set(result.coverage["status"]) == {"searched"}, "searched is better than failed"


def test_nothing_searched_is_one_sentence(detector, tmp_path):
    black = open_scene(
        write_raster(tmp_path / "b.tif", noise(64, 64) * 0, nodata=0), "b", GsdLimits()
    )
    with pytest.raises(SceneError, match="every pixel is nodata or under cloud"):
        survey(detector, [black])
