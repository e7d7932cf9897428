import numpy as np
import pytest
from pyproj import Transformer

from tiles.simulation.canvas import Frame
from tiles.simulation.pixels import Cloud, Gap, Radiometry, Sky, render
from tiles.simulation.plan import plan_belt
from tiles.simulation.scenes import ground_crs, scene_specs
from tiles.simulation.settings import BeltSettings

CLEAR = BeltSettings(side_km=4, seed=5, cloud_share=0, haze=0, overlap_share=0.5)


def painted(plan, spec, block_px):
    picture = np.zeros((3, spec.rows, spec.cols), np.uint8)
    for window, block in spec.blocks(plan.landscape(spec.date_number), block_px):
        rows, cols = window.toslices()
        picture[:, rows, cols] = block
    return picture


@pytest.fixture(scope="module")
def clear_belt():
    """A plan, its two scenes without cloud and haze, and their pictures."""
    plan = plan_belt(CLEAR)
    specs = scene_specs(CLEAR)
    return plan, specs, [painted(plan, spec, 256) for spec in specs]


def test_scenes_lie_in_two_utm_zones_on_whole_pixels():
    west, east = scene_specs(BeltSettings(side_km=4))
    assert (west.epsg, east.epsg) == (32643, 32644)
    assert west.left_m % 10 == west.top_m % 10 == east.left_m % 10 == 0
    assert (west.taken[:10], east.taken[:10]) == ("2026:02:14", "2026:03:06")
    south, _ = scene_specs(BeltSettings(side_km=4, centre_lat=-10, centre_lon=33.1))
    assert south.epsg == 32736


def test_the_two_scenes_hold_the_whole_region_between_them():
    settings = BeltSettings(side_km=6)
    edge = np.linspace(-3000, 3000, 41)
    grid = np.stack(np.meshgrid(edge, edge), -1).reshape(-1, 2)
    no_sky = [(spec.left_m, spec) for spec in scene_specs(settings)]
    seen = np.zeros(len(grid), bool)
    for _, spec in no_sky:
        to_utm = Transformer.from_crs(ground_crs(settings), spec.epsg, always_xy=True)
        x, y = to_utm.transform(grid[:, 0], grid[:, 1])
        inside = (x >= spec.left_m) & (x <= spec.left_m + spec.cols * 10)
        seen |= inside & (y <= spec.top_m) & (y >= spec.top_m - spec.rows * 10)
    assert seen.all()


@pytest.mark.parametrize("block_px", [512, 96])
def test_pixels_do_not_depend_on_how_the_scene_is_cut(block_px):
    settings = BeltSettings(side_km=3, seed=11)
    plan, spec = plan_belt(settings), scene_specs(settings)[1]
    np.testing.assert_array_equal(painted(plan, spec, 256), painted(plan, spec, block_px))


def test_both_scenes_show_the_same_ground(clear_belt):
    _, specs, pictures = clear_belt
    assert not np.array_equal(pictures[0][:, :300, :300], pictures[1][:, :300, :300])
    rng = np.random.default_rng(0)
    points = rng.uniform([-700, -1500], [700, 1500], (4000, 2))
    shown = [spec.shows(points) for spec in specs]
    both = shown[0] & shown[1]
    assert both.mean() > 0.8
    values = [
        sample(picture, spec, points[both]) for picture, spec in zip(pictures, specs, strict=True)
    ]
    moved = sample(pictures[1], specs[1], points[both] + [60, 0])
    for band in range(3):
        same = np.corrcoef(values[0][band], values[1][band])[0, 1]
        apart = np.corrcoef(values[0][band], moved[band])[0, 1]
        assert same > 0.75
        assert same > apart + 0.25


def sample(picture, spec, points):
    to_utm = Transformer.from_crs(ground_crs(spec.settings), spec.epsg, always_xy=True)
    x, y = to_utm.transform(points[:, 0], points[:, 1])
    row = ((spec.top_m - y) // spec.settings.gsd_m).astype(int)
    col = ((x - spec.left_m) // spec.settings.gsd_m).astype(int)
    return picture[:, row, col].astype(float)


def test_kilns_are_red_where_the_truth_says_in_each_scene(clear_belt):
    plan, specs, pictures = clear_belt
    checked = 0
    for spec, picture in zip(specs, pictures, strict=True):
        kilns = np.array([(kiln.x_m, kiln.y_m) for kiln in plan.kilns])
        kilns = kilns[spec.shows(kilns)]
        inside = sample(picture, spec, kilns)
        ring = [
            sample(picture, spec, kilns + 400 * np.array([np.cos(a), np.sin(a)]))
            for a in np.linspace(0, 2 * np.pi, 12)
            if spec.shows(kilns + 400 * np.array([np.cos(a), np.sin(a)])).all()
        ]
        around = np.mean(ring, axis=0) if ring else picture.mean(axis=(1, 2))[:, None]
        redness = (inside[0] - inside[2]) - (around[0] - around[2])
        assert (redness > 5).mean() > 0.8
        checked += len(kilns)
    assert checked >= 8


def test_gaps_are_zero_and_everything_else_is_not(clear_belt):
    _, specs, pictures = clear_belt
    for spec, picture in zip(specs, pictures, strict=True):
        empty = (picture == 0).all(axis=0)
        assert 0.01 < empty.mean() < 0.12
        assert ((picture == 0).any(axis=0) == empty).all()
        rows, cols = np.nonzero(empty)
        x, y = spec.locate(cols + 0.5, rows + 0.5)
        gap = spec.sky.gaps[0]
        along = np.asarray(x) * np.cos(gap.angle_rad) + np.asarray(y) * np.sin(gap.angle_rad)
        assert (along > gap.distance_m - 1).all()


def test_clouds_are_white_shadowed_and_hide_what_they_cover():
    settings = BeltSettings(side_km=6, seed=2, cloud_share=0.1)
    plan, spec = plan_belt(settings), scene_specs(settings)[0]
    picture = painted(plan, spec, 256)
    rows, cols = np.mgrid[: spec.rows, : spec.cols]
    x, y = spec.locate(cols.ravel() + 0.5, rows.ravel() + 0.5)
    alpha = spec.sky.cloud_alpha(np.asarray(x, np.float32), np.asarray(y, np.float32))
    alpha = alpha.reshape(rows.shape)
    valid = picture.max(axis=0) > 0
    assert 0.02 < (alpha > 0.5).mean() < 0.25
    assert picture.min(axis=0)[(alpha > 0.95) & valid].min() >= 247
    assert np.median(picture[:, (alpha == 0) & valid]) < 130
    cloud = spec.sky.clouds[0]
    assert not spec.shows(np.array([[cloud.x_m, cloud.y_m]]))[0]


def test_cloud_opacity_ends_at_its_reach():
    for seed in range(20):
        cloud = Cloud(0, 0, 500, seed)
        angle = np.linspace(0, 2 * np.pi, 400, dtype=np.float32)
        rim = np.float32(cloud.reach_m * 1.001)
        assert cloud.alpha(rim * np.cos(angle), rim * np.sin(angle)).max() == 0
        assert cloud.alpha(np.zeros(1, np.float32), np.zeros(1, np.float32))[0] > 0.5


def test_haze_brightens_the_dark_and_shadows_darken():
    landscape = plan_belt(BeltSettings(side_km=3)).landscape(0)
    frame = Frame(0, 0, 64, 64, 10.0, lambda c, r: (10 * c, -10 * r))
    grain = np.zeros((3, 64, 64), np.float32)

    def mean_under(sky):
        return render(frame, landscape, sky, Radiometry(noise=0), grain).mean()

    plain = mean_under(Sky())
    assert mean_under(Sky(haze=0.8, seed=1)) > plain + 5
    overhead = Cloud(320 + 420, -320 - 610, 600, 1)  # its shadow falls on the frame
    assert mean_under(Sky(clouds=(overhead,))) < plain * 0.85
    assert mean_under(Sky(gaps=(Gap(0.0, -1.0),))) == 0
