"""What tests show on made-up scenes, on real pixels: formats, places, faults, and a file of 648 MP.

Most take a cut of the scene of Delhi, for the same is shown by each tile; `bench_kills.py` and
`bench_same_bytes.py` take the whole.
"""

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.windows import Window

from tests.end_to_end.test_engine import (
    QUICK,
    fill,
    free_port,
    landed,
    scheduler,
    small_disk,
    when_landed,
    worker,
)
from tests.pipeline.engine_runs import settings_for, survey, table_bytes, threads_cluster
from tests.pipeline.test_survey import region_wkb
from tiles.cells import project
from tiles.errors import SceneError, SurveyError

DATA = Path("../shared/data")
DELHI = DATA / "delhi_s2" / "scene.tif"
WORLD = DATA / "rasters" / "misc" / "cog_world.tif"
PLAIN = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
ROWS, COLS = 1900, 2300  # two by three tiles of the network, the last ones cut

pytestmark = pytest.mark.skipif(not DELHI.exists(), reason=f"{DELHI} is not on this machine")


@pytest.fixture(scope="module")
def cluster():
    with threads_cluster(threads=2) as address:
        yield address


def cut(path, changes=PLAIN, valid=None, **georeference):
    """A part of the scene with many kilns, stored or placed in another way."""
    with rasterio.open(DELHI) as dataset:
        window = Window(4000, 2000, COLS, ROWS)
        profile = {key: dataset.profile[key] for key in ("dtype", "count", "crs")}
        profile |= {"driver": "GTiff", "width": COLS, "height": ROWS}
        profile["transform"] = dataset.transform @ Affine.translation(4000, 2000)
        with rasterio.open(path, "w", **{**profile, **georeference, **changes}) as made:
            made.write(dataset.read(window=window))
            if valid is not None:
                made.write_mask(valid)
    return path


@pytest.fixture(scope="module")
def first(cluster, tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    settings = settings_for(cut(folder / "delhi.tif"), folder / "run", scheduler=cluster)
    assert len(survey(settings).detections) > 10
    return table_bytes(folder / "run")


FORMATS = {
    "strips": {"compress": "deflate", "blockysize": 1},
    "planar interleaved": {**PLAIN, "interleave": "band"},
    "one whole strip": {"blockysize": ROWS},
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_format_of_the_file_changes_no_byte(cluster, first, tmp_path, name):
    path = cut(tmp_path / "delhi.tif", FORMATS[name])
    survey(settings_for(path, tmp_path / "run", scheduler=cluster))
    assert table_bytes(tmp_path / "run") == first


def test_overviews_beside_the_file_change_no_byte(cluster, first, tmp_path):
    path = cut(tmp_path / "delhi.tif")
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4, 8, 16], Resampling.average)
    assert path.with_name("delhi.tif.ovr").exists()
    survey(settings_for(path, tmp_path / "run", scheduler=cluster))
    assert table_bytes(tmp_path / "run") == first


def test_masks_within_and_beside_the_file_are_one(cluster, tmp_path):
    valid = np.full((ROWS, COLS), 255, np.uint8)
    valid[:, : COLS // 5] = 0
    found = []
    for name, internal in (("a", True), ("b", False)):
        (tmp_path / name).mkdir()
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal):
            path = cut(tmp_path / name / "delhi.tif", valid=valid)
        assert path.with_name("delhi.tif.msk").exists() != internal
        made = survey(settings_for(path, tmp_path / name / "run", scheduler=cluster))
        areas = made.coverage.groupby("status")["area_km2"].sum()
        assert areas["nodata"] / areas.sum() == pytest.approx(0.2, abs=0.01)
        found.append(table_bytes(tmp_path / name / "run"))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("places", "lat"),
    [({32643: 77.83, 32644: 78.03}, 27.0), ({32760: 179.77, 32701: -179.99}, -17.0)],
    ids=["two UTM zones", "the antimeridian"],
)
def test_a_region_over_two_zones_and_one_over_the_antimeridian(cluster, tmp_path, places, lat):
    """The same pixels twice, side by side across the border."""
    (tmp_path / "scenes").mkdir()
    for epsg, lon in places.items():
        x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
        moved = {"crs": f"EPSG:{epsg}", "transform": Affine(10, 0, round(x), 0, -10, round(y))}
        cut(tmp_path / "scenes" / f"{epsg}.tif", **moved)
    settings = settings_for(tmp_path / "scenes", tmp_path / "run", scheduler=cluster)
    made = survey(settings)
    assert set(made.detections["scene_id"]) == {str(epsg) for epsg in places}
    each_km2 = ROWS * COLS / 1e4
    whole_km2 = project(shapely.from_wkb(bytes.fromhex(region_wkb(settings.out)))).area / 1e6
    assert whole_km2 == pytest.approx(2 * each_km2, rel=0.1), "and not the whole way round"
    assert made.coverage["area_km2"].sum() == pytest.approx(whole_km2, rel=1e-3)


@pytest.fixture(scope="module")
def whole(cluster, tmp_path_factory):
    """The tables of a run over the whole scene that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "run"
    survey(settings_for(DELHI, out, scheduler=cluster, engine=QUICK))
    return table_bytes(out)


def test_the_scene_truncated_half_way_is_failed_in_coverage_where_it_ends(cluster, whole, tmp_path):
    path = tmp_path / "scene.tif"
    with DELHI.open("rb") as stream:
        path.write_bytes(stream.read(DELHI.stat().st_size // 2))
    settings = settings_for(path, tmp_path / "run", scheduler=cluster, engine=QUICK)
    made = survey(settings)
    areas = made.coverage.groupby("status")["area_km2"].sum()
    print(f"\n  cut off half-way: {areas['failed'] / areas.sum():.0%} of the ground failed")
    assert 0.4 < areas["failed"] / areas.sum() < 0.8
    assert all("scene.tif cannot be read" in reason for reason in made.failures)
    assert len(made.detections) > 0
    shutil.copy(DELHI, path)
    survey(settings, refresh=True)
    assert table_bytes(tmp_path / "run") == whole


def test_a_disk_that_fills_is_one_sentence_and_the_journal_is_whole(cluster, first, tmp_path):
    path = cut(tmp_path / "delhi.tif")
    with small_disk(tmp_path / "disk", 1) as disk:
        settings = settings_for(path, disk / "run", scheduler=cluster, engine=QUICK)
        (disk / "ballast").write_bytes(b"x" * (1 << 19))
        hog = when_landed(disk / "run", 1, lambda: fill(disk / "hog"))
        with pytest.raises(SurveyError, match=r"full.*make room.*run the same command again"):
            survey(settings)
        hog.join()
        assert 1 <= landed(disk / "run") < 6
        (disk / "hog").unlink()
        (disk / "ballast").unlink()
        survey(settings)
        assert table_bytes(disk / "run") == first


def test_a_worker_dies_then_the_scheduler_and_the_whole_scene_goes_on(whole, tmp_path):
    """A real scheduler and two worker processes on loopback."""
    out, port = tmp_path / "run", free_port()
    settings = settings_for(DELHI, out, scheduler=f"tcp://127.0.0.1:{port}", engine=QUICK)
    with scheduler(port) as one, worker(port) as first_worker, worker(port):
        killers = [when_landed(out, 5, first_worker.kill), when_landed(out, 15, one.kill)]
        with pytest.raises(SurveyError, match="is gone: start it again"):
            survey(settings)
        for killer in killers:
            killer.join()
    kept = landed(out)
    assert 15 <= kept < 54
    with scheduler(port), worker(port), worker(port):
        survey(settings)
    print(f"\n  {kept} of {landed(out)} results were kept")
    assert table_bytes(out) == whole


@pytest.mark.skipif(not WORLD.exists(), reason=f"{WORLD} is not on this machine")
def test_a_file_of_36_000_by_18_000_px(cluster, tmp_path):
    """As it is its pixels are refused; said to be 10 m ones, all of it is accounted for."""
    with pytest.raises(SceneError, match=r"pixels of .* m, too coarse to show the sites sought"):
        survey(settings_for(WORLD, tmp_path / "refused", scheduler=cluster))
    path = tmp_path / "world.vrt"
    band = (
        '<VRTRasterBand dataType="Byte" band="{0}" blockXSize="512" blockYSize="512">'
        "<NoDataValue>0</NoDataValue><SimpleSource>"
        f"<SourceFilename>{WORLD.absolute()}</SourceFilename><SourceBand>1</SourceBand>"
        "</SimpleSource></VRTRasterBand>"
    )
    path.write_text(
        '<VRTDataset rasterXSize="36000" rasterYSize="18000"><SRS>EPSG:32644</SRS>'
        "<GeoTransform>320000, 10, 0, 3000000, 0, -10</GeoTransform>"
        f"{''.join(band.format(number) for number in (1, 2, 3))}</VRTDataset>"
    )
    began = time.perf_counter()
    settings = settings_for(path, tmp_path / "run", scheduler=cluster, precision="auto")
    made = survey(settings)
    whole_km2 = project(shapely.from_wkb(bytes.fromhex(region_wkb(settings.out)))).area / 1e6
    areas = made.coverage.groupby("status")["area_km2"].sum()
    print(f"\n  648 MP in {time.perf_counter() - began:.0f} s: {areas.round().to_dict()} km2")
    assert areas.sum() == pytest.approx(whole_km2, rel=1e-3)
    with rasterio.open(WORLD) as dataset:
        seen = (dataset.read(1, out_shape=(2250, 4500)) > 0).mean()
    assert areas["searched"] / areas.sum() == pytest.approx(seen, abs=0.02)
