"""Ground pixels survive packing, and the best status wins in any order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.made_up import noise, write_raster
from tiles.blocks import plan_blocks
from tiles.coverage import NO_FIRST, NO_LAST, NOT_IMAGED, STATUSES, GroundStatus, sample_ground
from tiles.coverage_map import CoverageMap, coverage_of
from tiles.ground import (
    GROUND,
    CellSpan,
    GroundSquare,
    cells_of_window,
    ground_table,
    pack_ground,
    read_ground,
    unpack_ground,
    window_of,
)
from tiles.region import Region
from tiles.scene import GsdLimits, open_scene
from tiles.tables import write_table

SEARCHED, CLOUD = STATUSES.index("searched"), STATUSES.index("cloud")


def seen(rows, cols, status, first=NO_FIRST, last=NO_LAST):
    row, col = (axis.ravel().astype(np.int32) for axis in np.meshgrid(rows, cols, indexing="ij"))
    values = (np.full(row.shape, value, np.int32) for value in (first, last))
    return GroundStatus(row, col, np.full(row.shape, status, np.uint8), *values)


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_packing_loses_nothing(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    size = data.draw(st.integers(0, 200))
    place = rng.choice(400, size, replace=False)
    status = GroundStatus(
        (1000 + place // 20).astype(np.int32),
        (7000 + place % 20).astype(np.int32),
        rng.integers(0, len(STATUSES), size).astype(np.uint8),
        rng.integers(0, 20_000, size).astype(np.int32),
        rng.integers(0, 20_000, size).astype(np.int32),
    )
    window = window_of(status)
    again = unpack_ground(pack_ground(window))
    assert (again.row0, again.col0) == (window.row0, window.col0)
    for name in ("status", "first_day", "last_day"):
        assert np.array_equal(getattr(again, name), getattr(window, name))
    at = status.row - again.row0, status.col - again.col0
    assert np.array_equal(again.status[at], status.status)
    assert np.array_equal(again.first_day[at], status.first_day)
    assert (again.status != NOT_IMAGED).sum() == size


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_square_does_not_depend_on_the_order_and_clips(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    parts = []
    for _ in range(4):
        row, col = rng.integers(40, 160, 2)
        rows, cols = np.arange(row, row + rng.integers(1, 60)), np.arange(col, col + 30)
        status, first = int(rng.integers(0, 3)), int(rng.integers(0, 9))
        parts.append(window_of(seen(rows, cols, status, first, first + 1)))
    planes = []
    for order in (range(4), rng.permutation(4)):
        square = GroundSquare(CellSpan(1, 2, 1, 2))
        for index in order:
            square.add(parts[index])
        planes.append(np.stack([square.status, square.first_day, square.last_day]))
    assert np.array_equal(planes[0], planes[1])
    best = np.full((300, 300), NOT_IMAGED)
    for part in parts:
        here = np.s_[part.row0 : part.row0 + part.status.shape[0], part.col0 : part.col0 + 30]
        best[here] = np.minimum(best[here], part.status)
    assert np.array_equal(planes[0][0], best[50:150, 50:150])


def test_days_belong_to_the_status_that_won():
    square = GroundSquare(CellSpan(0, 0, 0, 0))
    square.add(window_of(seen([0], [0, 1], CLOUD, 5, 5)))
    square.add(window_of(seen([0], [0], SEARCHED, 9, 9)))
    square.add(window_of(seen([0], [0], SEARCHED, 7, 7)))
    square.add(window_of(seen([0], [0], SEARCHED)))  # a scene without a date
    cell = square.cell(0, 0)
    assert (cell.first_day[0, 0], cell.last_day[0, 0]) == (7, 9)
    assert (cell.first_day[0, 1], cell.last_day[0, 1]) == (5, 5)
    assert cell.first_day[5, 5] == NO_FIRST


def test_windows_know_their_cells():
    assert cells_of_window(window_of(seen([99, 100], [149], 0))) == CellSpan(1, 2, 2, 2)
    none = cells_of_window(window_of(seen([], [], 0)))
    assert not none.meets(CellSpan(-99, 99, -99, 99))


@pytest.fixture
def scene(tmp_path):
    pixels = noise(700, 900)
    pixels[:, :, 300:500] = 0
    path = write_raster(tmp_path / "S2_20260214.tif", pixels, nodata=0)
    return open_scene(path, "s", GsdLimits())


def test_the_table_says_of_any_point_what_was_seen_there(scene, tmp_path):
    seen_by_blocks = CoverageMap()
    for block in plan_blocks(scene, 0, scene.footprint):
        status = np.full((scene.rows, scene.cols), SEARCHED, np.uint8)
        status[:, 300:500] = STATUSES.index("nodata")
        core = status[block.row : block.row + block.rows, block.col : block.col + block.cols]
        seen_by_blocks.add(sample_ground(scene, block, core))
    tables = coverage_of(Region("r", scene.footprint), "undated", seen_by_blocks.within)
    write_table(tables.ground, tmp_path / "ground.parquet", GROUND)
    ground = read_ground(tmp_path / "ground.parquet")
    lon, lat = scene.to_lonlat([100, 400, 700, 700], [350, 350, 350, 5000])
    assert list(ground.status_at(lon, lat)) == ["searched", "nodata", "searched", "nodata"]
    dated = tables.coverage[tables.coverage["status"] == "searched"]
    assert set(dated["first_date"]) == set(dated["last_date"]) == {"2026-02-14"}


def test_a_cell_that_no_scene_reached_has_no_raster():
    table = ground_table([("5000_1_2", np.zeros((50, 50), np.uint8))])
    assert list(table["cell_id"]) == ["5000_1_2"]
    assert len(table["codes"][0]) < 100
