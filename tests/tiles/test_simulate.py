import csv
import json

import numpy as np
import pytest
import rasterio
from pyproj import Geod
from rasterio.warp import transform
from shapely.geometry import Point, shape

from tiles.errors import SimulationError
from tiles.simulate import BeltSettings, simulate_belt

SETTINGS = BeltSettings(side_km=4, seed=6)


@pytest.fixture(scope="module")
def belt(tmp_path_factory):
    return simulate_belt(SETTINGS, tmp_path_factory.mktemp("belt"), processes=1)


def features(path):
    return json.loads(path.read_text())["features"]


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_two_runs_and_two_processes_write_the_same_bytes(belt, tmp_path):
    simulate_belt(SETTINGS, tmp_path / "two", processes=2)
    first = files(belt.region.parent)
    assert first == files(tmp_path / "two")
    assert sorted(first) == [
        "region.geojson",
        "reports.csv",
        "scene_east.tif",
        "scene_west.tif",
        "truth_clusters.geojson",
        "truth_kilns.geojson",
    ]
    simulate_belt(BeltSettings(side_km=4, seed=7), tmp_path / "other", processes=1)
    other = files(tmp_path / "other")
    assert all(other[name] != data for name, data in first.items() if name != "region.geojson")


@pytest.mark.parametrize(("number", "epsg"), [(0, 32643), (1, 32644)])
def test_scenes_are_tiled_geotiffs_with_date_and_nodata(belt, number, epsg):
    with rasterio.open(belt.scenes[number]) as scene:
        assert scene.crs.to_epsg() == epsg
        assert scene.dtypes == ("uint8",) * 3
        assert scene.nodata == 0
        assert scene.res == (10, 10)
        assert scene.block_shapes == [(512, 512)] * 3
        assert scene.compression.value == "DEFLATE"
        assert scene.tags()["TIFFTAG_DATETIME"].startswith("2026:")
        pixels = scene.read()
    assert (pixels == 0).all(axis=0).any()
    assert (pixels.min(axis=0) >= 247).any()


def test_the_region_is_the_square_asked_for(belt):
    (feature,) = features(belt.region)
    polygon = shape(feature["geometry"])
    area_m2, _ = Geod(ellps="WGS84").geometry_area_perimeter(polygon)
    assert polygon.is_valid
    assert abs(area_m2) == pytest.approx(16e6, rel=1e-4)
    assert polygon.centroid.distance(Point(78, 27)) < 1e-3


def test_the_truth_lies_in_the_region_and_its_figures_agree_with_its_boxes(belt):
    region = shape(features(belt.region)[0]["geometry"])
    geod = Geod(ellps="WGS84")
    kilns = features(belt.truth_kilns)
    assert len(kilns) == belt.n_kilns == 8
    for kiln in kilns:
        box, figures = shape(kiln["geometry"]), kiln["properties"]
        assert region.contains(box)
        assert box.centroid.distance(Point(figures["lon"], figures["lat"])) < 1e-6
        ring = list(box.exterior.coords)
        azimuth, _, length = geod.inv(*ring[0], *ring[1])
        width = geod.inv(*ring[1], *ring[2])[2]
        assert length == pytest.approx(figures["length_m"], rel=2e-3)
        assert width == pytest.approx(figures["width_m"], rel=2e-3)
        turn = (azimuth - figures["azimuth_deg"] + 90) % 180 - 90
        assert abs(turn) < 0.1
        assert 0 <= figures["azimuth_deg"] < 180
        assert figures["kind"] in {"FCBK", "Zigzag", "CFCBK"}
    assert sum(kiln["properties"]["observable"] for kiln in kilns) == belt.n_observable


def test_kilns_are_observable_only_where_a_scene_has_data(tmp_path):
    settings = BeltSettings(side_km=8, n_kilns=20, seed=3, cloud_share=0.15)
    belt = simulate_belt(settings, tmp_path, processes=1)
    assert 0 < belt.n_observable < belt.n_kilns
    for kiln in features(belt.truth_kilns):
        figures = kiln["properties"]
        values = [pixel_at(path, figures["lon"], figures["lat"]) for path in belt.scenes]
        usable = [value for value in values if value is not None and 0 < value < 247]
        assert usable or not figures["observable"]


def pixel_at(path, lon, lat):
    """The least of the three bands at a place, or None off the scene."""
    with rasterio.open(path) as scene:
        ((x,), (y,)) = transform("EPSG:4326", scene.crs, [lon], [lat])
        row, col = scene.index(x, y)
        if not (0 <= row < scene.height and 0 <= col < scene.width):
            return None
        return int(scene.read()[:, row, col].min())


def test_planted_clusters_are_written_with_what_they_hold(belt):
    clusters = {row["properties"]["cluster_id"]: row for row in features(belt.truth_clusters)}
    assert {name: row["properties"]["of"] for name, row in clusters.items()} == {
        "kilns-west": "kilns",
        "kilns-east": "kilns",
        "reports-west": "reports",
    }
    for kiln in features(belt.truth_kilns):
        name = kiln["properties"]["cluster_id"]
        if name is not None:
            disc = shape(clusters[name]["geometry"])
            assert disc.buffer(1e-4).contains(shape(kiln["geometry"]).centroid)
    west, east = clusters["kilns-west"]["properties"], clusters["kilns-east"]["properties"]
    assert west["lon"] < 78 < east["lon"]
    assert west["count"] >= 1


def test_reports_are_plain_rows_in_the_region(belt):
    with belt.reports.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["consent", "reporter", "lat", "lon", "month", "industry"]
    region = shape(features(belt.region)[0]["geometry"]).buffer(2e-5)
    assert all(region.contains(Point(float(row["lon"]), float(row["lat"]))) for row in rows)
    assert len({row["reporter"] for row in rows}) == 60


def test_memory_of_painting_does_not_hold_the_scene(belt):
    """Blocks are yielded one at a time: none is larger than the size painted at once."""
    from tiles.simulation.plan import plan_belt
    from tiles.simulation.scenes import PAINT_PX, scene_specs

    plan, spec = plan_belt(SETTINGS), scene_specs(SETTINGS)[0]
    shapes = [block.shape for _, block in spec.blocks(plan.landscape(0))]
    assert max(rows for _, rows, _ in shapes) <= PAINT_PX
    assert sum(rows * cols for _, rows, cols in shapes) == spec.rows * spec.cols
    assert np.prod(shapes[0]) < 3 * spec.rows * spec.cols


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SimulationError, match="choose another"):
        simulate_belt(SETTINGS, tmp_path / "file" / "belt", processes=1)


def test_no_processes_are_refused(tmp_path):
    with pytest.raises(SimulationError, match="processes=0"):
        simulate_belt(SETTINGS, tmp_path, processes=0)
