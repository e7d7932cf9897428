import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maps.evidence import group_evidence
from maps.expected import Recall, expected_by_cell
from maps.hotspots import find_hotspots
from maps.stability import OtherGrid, _overlay, other_grids, stability
from maps.wording import describe
from models.site_class import load_site_class
from tiles.cells import GRID_NORTH_M, GRID_WEST_M, to_equal_area

KILNS = load_site_class("brick_kiln")
SIDE = 40
ROW, COL = 700, 4900


def belt(seed: int, shift_m: float = 0.0):
    """A square of 200 km with one disc of 20 km, three times as dense; sites at exact places."""
    rng = np.random.default_rng(seed)
    side_m = SIDE * 5000
    east, south = rng.uniform(0, side_m, (2, rng.poisson(3 * 0.75 * SIDE**2)))
    middle_m = 100_000 + shift_m
    dense = np.hypot(east - middle_m, south - middle_m) < 20_000
    keep = dense | (rng.uniform(size=len(east)) < 1 / 3)
    x_m = GRID_WEST_M + COL * 5000 + east[keep]
    y_m = GRID_NORTH_M - ROW * 5000 - south[keep]
    lon, lat = to_equal_area().transform(x_m, y_m, direction="INVERSE")
    rows, cols = ROW + (south[keep] // 5000).astype(int), COL + (east[keep] // 5000).astype(int)
    ids = [f"5000_{r}_{c}" for r, c in zip(rows, cols, strict=True)]
    sites = pd.DataFrame({"lon": lon, "lat": lat, "cell_id": ids})
    sites[["p_site", "p_low", "p_high"]] = (0.95, 0.9, 1.0)
    row, col = np.divmod(np.arange(SIDE**2), SIDE)
    names = [f"5000_{ROW + r}_{COL + c}" for r, c in zip(row, col, strict=True)]
    coverage = pd.DataFrame({"cell_id": names, "status": "searched", "area_km2": 25.0})
    cells = expected_by_cell(sites, coverage, Recall(0.8, 0.7, 0.9), KILNS)
    return cells, sites


def test_the_middle_of_a_disc_stays_hot_on_every_grid_and_empty_ground_on_none():
    cells, sites = belt(3)
    classes = find_hotspots(cells, "undated", "brick_kiln")["hotspot_class"]
    share = stability(cells, sites, classes)
    from_middle = np.hypot(cells["row"] + 0.5 - ROW - 20, cells["col"] + 0.5 - COL - 20)
    assert (share[from_middle < 2] == 1).all()
    assert share[from_middle > 9].mean() < 0.02
    hot = classes.str.startswith("hot_").to_numpy()
    assert share[hot].mean() > 0.8
    assert set(np.round(share * 11)) <= set(range(12))


def test_cells_that_are_not_tested_have_no_stability():
    cells, sites = belt(4)
    cells.loc[:100, "searched_km2"] = 1.0
    classes = find_hotspots(cells, "undated", "brick_kiln")["hotspot_class"]
    share = stability(cells, sites, classes)
    assert list(np.isnan(share)) == list(classes == "not_tested")
    assert np.isnan(share).sum() == 101


def test_sites_in_no_cell_and_unlikely_ones_count_nowhere():
    cells, sites = belt(5)
    classes = find_hotspots(cells, "undated", "brick_kiln")["hotspot_class"]
    more = pd.concat([sites, sites.assign(cell_id="5000_1_1"), sites.assign(p_site=0.4)])
    np.testing.assert_array_equal(stability(cells, more, classes), stability(cells, sites, classes))


def test_eleven_other_grids():
    grids = other_grids()
    assert len(grids) == 11
    assert {grid.size_m for grid in grids} == {4000, 5000, 6250}
    assert OtherGrid(5000, 0.0, 0.0) not in grids
    assert OtherGrid(5000, 2500.0, 0.0) in grids


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, unique=True),
    st.sampled_from(other_grids()),
)
def test_squares_of_another_grid_share_out_each_cell_whole(places, grid):
    rows, cols = np.array(places, dtype=np.int64).T
    square_rows, square_cols, overlaps = _overlay(rows, cols, 5000, grid)
    assert np.bincount(overlaps.cell, overlaps.share) == pytest.approx(np.ones(len(rows)))
    assert len(set(zip(square_rows, square_cols, strict=True))) == len(square_rows)
    held_m2 = np.bincount(overlaps.square, overlaps.share) * 5000**2
    assert held_m2.max() <= grid.size_m**2 * (1 + 1e-9)
    start = (rows[overlaps.cell] * 5000 - grid.south_m) / grid.size_m
    assert (square_rows[overlaps.square] <= start + 5000 / grid.size_m).all()
    assert (square_rows[overlaps.square] + 1 >= start).all()


def test_groups_say_how_steady_their_hot_cells_are(survey):
    hotspots = survey.hotspots.assign(stability=0.64)
    groups = group_evidence(survey.cells, hotspots, survey.partition, "undated")
    hot = groups["n_hot_cells"] > 0
    assert hot.any()
    assert groups.loc[hot, "hot_stability"].round(9).eq(0.64).all()
    assert groups.loc[~hot, "hot_stability"].isna().all()
    said = [words.hotspot for words in describe(groups)]
    assert all(
        ("and on 64 % of other grids" in text) == is_hot
        for text, is_hot in zip(said, hot, strict=True)
    )
