import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.made_up import DEGREES, ROTATED, UTM_44N, UTM_ORIGIN, noise, write_raster
from tiles.blocks import plan_blocks
from tiles.cells import project
from tiles.coverage import COVERAGE, sample_ground, searched_km2
from tiles.coverage_map import CoverageMap
from tiles.read import read_block
from tiles.region import Region
from tiles.scene import GsdLimits, open_scene
from tiles.tables import read_table, write_table


def look(scene, core=256, order=None):
    """The coverage of one scene read in blocks of `core` pixels."""
    seen = CoverageMap()
    blocks = list(plan_blocks(scene, 32, scene.footprint, core))
    for index in order(len(blocks)) if order else range(len(blocks)):
        block = blocks[index]
        status = read_block(scene, block).status.to_numpy()[32:-32, 32:-32]
        seen.add(sample_ground(scene, block, status))
    return seen


def areas(table):
    return table.groupby("status")["area_km2"].sum().to_dict()


@pytest.fixture(params=[(UTM_44N, UTM_ORIGIN), ("EPSG:4326", DEGREES), (UTM_44N, ROTATED)])
def scene(request, tmp_path):
    crs, transform = request.param
    pixels = noise(700, 900)
    pixels[:, :, 300:500] = 0
    path = write_raster(tmp_path / "s.tif", pixels, crs, transform, nodata=0)
    return open_scene(path, "s", GsdLimits())


def test_coverage_sums_to_the_region_and_to_the_truth(scene):
    region = Region("r", scene.footprint)
    table = look(scene).table(region, "2026-02/2026-02")
    whole = project(region.polygon).area / 1e6
    assert table["area_km2"].sum() == pytest.approx(whole, rel=1e-6)
    # 200 of 900 columns are nodata; 100 m ground pixels place each of the two 7 km edges to 50 m
    assert areas(table)["nodata"] == pytest.approx(whole * 200 / 900, abs=0.05 * 7 * 2)
    assert set(areas(table)) == {"searched", "nodata"}


def test_coverage_does_not_depend_on_the_cut_or_the_order(scene, tmp_path):
    region = Region("r", scene.footprint)
    shuffled = np.random.default_rng(1).permutation
    for name, seen in {"a": look(scene), "b": look(scene, 128, shuffled)}.items():
        write_table(seen.table(region, "2026-02"), tmp_path / f"{name}.parquet", COVERAGE)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert len(read_table(tmp_path / "a.parquet", COVERAGE))


def test_the_best_status_of_a_ground_pixel_wins(scene):
    seen = look(scene)
    for block in plan_blocks(scene, 32, scene.footprint, 256):
        seen.add(sample_ground(scene, block, 6))
    assert set(areas(seen.table(Region("r", scene.footprint), "p"))) == {"searched", "nodata"}
    broken = CoverageMap()
    broken.add_polygon(scene.footprint, "failed")
    table = broken.table(Region("r", scene.footprint), "p")
    assert areas(table)["failed"] == pytest.approx(table["area_km2"].sum(), rel=0.01)


@given(
    west=st.floats(77.0, 78.0),
    south=st.floats(27.0, 28.0),
    side=st.floats(0.001, 0.4),
    slant=st.floats(-0.3, 0.3),
)
@settings(max_examples=40, deadline=None)
def test_ground_that_no_scene_reached_is_nodata_and_sums_too(west, south, side, slant):
    corners = [(0, 0), (side, side * slant), (side, side), (side * slant, side)]
    polygon = shapely.Polygon([(west + x, south + y) for x, y in corners])
    seen = CoverageMap()
    seen.add_polygon(shapely.box(west, south, west + side / 2, south + side), "searched")
    table = seen.table(Region("r", polygon), "p")
    assert table["area_km2"].sum() == pytest.approx(project(polygon).area / 1e6, rel=1e-6)
    assert not table.duplicated(["cell_id", "status"]).any()


def test_the_denominator_of_rates():
    seen = CoverageMap()
    region = Region("r", shapely.box(77.0, 27.0, 77.2, 27.2))
    seen.add_polygon(shapely.box(77.0, 27.0, 77.1, 27.2), "searched")
    seen.add_polygon(shapely.box(77.1, 27.0, 77.2, 27.1), "water")
    table = seen.table(region, "p")
    share = searched_km2(table).sum() / table["area_km2"].sum()
    assert share == pytest.approx(0.75, abs=0.01)
