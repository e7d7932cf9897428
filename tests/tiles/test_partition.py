import itertools

import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from tiles.cells import Cell, CellGrid, project
from tiles.errors import ConfigError, RegionError, TableError
from tiles.files import sha256_file
from tiles.partition import (
    REST,
    Rule,
    build_partition,
    lower_site_count,
    partition_sha256,
    read_partition,
    write_partition,
)

ROW, COL = 800, 4800  # the north-west cell of one whole 40 km square: both divide by 8


def cell(row, col):
    return Cell(5000, ROW + row, COL + col).cell_id


def square_cells(rows=8, cols=8):
    ids = [cell(row, col) for row in range(rows) for col in range(cols)]
    return pd.DataFrame({"cell_id": ids, "area_km2": 25.0})


def sites(counts, p_low=1.0):
    ids = [cell_id for cell_id, n in counts.items() for _ in range(n)]
    return pd.DataFrame({"cell_id": pd.Series(ids, dtype=object), "p_low": p_low})


def groups_of(frame):
    return {g: set(ids) for g, ids in zip(frame["group_id"], frame["cell_ids"], strict=True)}


def brute_force_lower(chances, confidence):
    at_least = np.zeros(len(chances) + 1)
    for real in itertools.product((0, 1), repeat=len(chances)):
        odds = [p if r else 1 - p for p, r in zip(chances, real, strict=True)]
        at_least[: sum(real) + 1] += np.prod(odds)
    return max(m for m, share in enumerate(at_least) if m == 0 or share >= confidence)


@given(
    chances=st.lists(st.floats(0, 1), max_size=9),
    confidence=st.sampled_from([0.5, 0.8123, 0.9317]),  # no round figure that a sum can hit
)
def test_the_lower_bound_is_that_of_every_combination(chances, confidence):
    assert lower_site_count(chances, confidence) == brute_force_lower(chances, confidence)


@pytest.mark.parametrize(
    ("chances", "bound"),
    [
        ([], 0),
        ([1.0] * 7, 7),
        ([0.9], 1),  # P(N >= 1) is 0.9 itself
        ([0.89], 0),
        ([0.95] * 5, 4),  # 0.95^5 = 0.774; P(N >= 4) = 0.977
        ([0.5] * 10, 3),  # P(N >= 3) = 0.945, P(N >= 4) = 0.828
        ([0.01] * 100, 0),  # expects one, but is empty with probability 0.37
    ],
)
def test_golden_lower_bounds(chances, bound):
    assert lower_site_count(chances) == bound


def test_the_bound_of_thousands_agrees_with_the_normal_law():
    # mean 2,500, sd 35.36: the 10 % quantile is 2500 - 1.2816 * 35.36 = 2454.7
    assert lower_site_count(np.full(5000, 0.5)) == pytest.approx(2455, abs=1)


def test_a_full_cell_stands_and_its_parent_keeps_what_is_left():
    frame = build_partition(sites({cell(0, 0): 5, cell(0, 1): 3, cell(1, 0): 2}), square_cells())
    groups = groups_of(frame)
    assert groups["5000_800_4800"] == {cell(0, 0)}
    assert groups["10000_400_2400_part"] == {cell(0, 1), cell(1, 0), cell(1, 1)}
    assert set(groups) == {"5000_800_4800", "10000_400_2400_part", REST}
    assert len(groups[REST]) == 60
    assert dict(zip(frame["group_id"], frame["k_lower"], strict=True)) == {
        "5000_800_4800": 5,
        "10000_400_2400_part": 5,
        REST: 0,
    }


@pytest.mark.parametrize(
    ("far", "group_id"),
    [
        ((1, 1), "10000_400_2400"),
        ((3, 3), "20000_200_1200"),
        ((7, 7), "40000_100_600"),
    ],
)
def test_sparse_cells_join_in_the_smallest_square_that_holds_k(far, group_id):
    frame = build_partition(sites({cell(0, 0): 3, cell(*far): 2}), square_cells())
    groups = groups_of(frame)
    assert {cell(0, 0), cell(*far)} <= groups[group_id]
    assert len(groups[group_id]) == (int(group_id.split("_")[0]) // 5000) ** 2


def test_what_40_km_cannot_fill_is_the_rest():
    frame = build_partition(sites({cell(0, 0): 2, cell(7, 7): 2}), square_cells())
    assert list(frame["group_id"]) == [REST]
    assert list(frame["k_lower"]) == [4]


def test_neighbouring_squares_are_never_joined():
    frame = build_partition(sites({cell(0, 7): 4, cell(0, 8): 4}), square_cells(8, 16))
    assert list(frame["group_id"]) == [REST]  # 8 sites side by side, but over a 40 km border


def test_doubtful_sites_count_less():
    doubtful = build_partition(sites({cell(0, 0): 5}, p_low=0.95), square_cells(1, 1))
    certain = build_partition(sites({cell(0, 0): 6}, p_low=0.99), square_cells(1, 1))
    assert list(doubtful["group_id"]) == [REST]
    assert list(certain["group_id"]) == ["5000_800_4800"]


def test_the_lower_end_of_the_interval_counts_and_not_the_probability():
    points = sites({cell(0, 0): 400}, p_low=0.005).assign(p_site=0.05)
    frame = build_partition(points, square_cells(1, 1))
    assert list(frame["group_id"]) == [REST]  # 400 * 0.05 would be 20 kilns, 15 at the lower end
    assert lower_site_count(points["p_site"]) == 15


def test_a_doubt_that_all_candidates_share_leaves_the_bound_true_only_from_the_lower_ends():
    # The log-odds of 300 weak candidates are all off by the same unknown step, of sd 0.5.
    rng = np.random.default_rng(11)
    p_site, p_low = (1 / (1 + np.exp(2.5 + step)) for step in (0.0, 1.645 * 0.5))
    steps = rng.normal(0, 0.5, 20_000)
    real = rng.binomial(300, 1 / (1 + np.exp(2.5 + steps)))
    frame = build_partition(sites({cell(0, 0): 300}, p_low=p_low), square_cells(1, 1))
    assert list(frame["k_lower"]) == [6]
    assert np.mean(real >= frame["k_lower"][0]) > 0.95
    assert np.mean(real >= lower_site_count(np.full(300, p_site))) < 0.75


@st.composite
def surveys(draw):
    rows, cols = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    top, left = draw(st.integers(0, 9)), draw(st.integers(0, 9))
    ids = [cell(top + r, left + c) for r in range(rows) for c in range(cols)]
    kept = draw(st.lists(st.sampled_from(ids), min_size=1, unique=True))
    areas = draw(st.lists(st.floats(0.1, 25), min_size=len(kept), max_size=len(kept)))
    places = draw(st.lists(st.sampled_from(ids), max_size=60))  # some outside the region
    chances = draw(st.lists(st.floats(0, 1), min_size=len(places), max_size=len(places)))
    return (
        pd.DataFrame({"cell_id": pd.Series(places, dtype=object), "p_low": chances}),
        pd.DataFrame({"cell_id": kept, "area_km2": areas}),
    )


@settings(deadline=None)
@given(survey=surveys(), k=st.integers(2, 7), seed=st.integers(0, 99))
def test_each_cell_is_in_one_group_that_keeps_the_rule(survey, k, seed):
    points, cells = survey
    frame = build_partition(points, cells, Rule(k))
    members = [cell_id for ids in frame["cell_ids"] for cell_id in ids]
    assert sorted(members) == sorted(cells["cell_id"])
    assert frame["group_id"].is_unique
    assert frame["area_km2"].sum() == pytest.approx(cells["area_km2"].sum())
    for group in frame.itertuples():
        inside = points["cell_id"].isin(group.cell_ids)
        assert group.k_lower == lower_site_count(points.loc[inside, "p_low"])
        assert group.released == (group.k_lower >= k)
        if group.group_id != REST:
            assert group.released
            square = Cell.parse(group.group_id.removesuffix("_part"))
            parents = {Cell.parse(c).parent(square.size_m // 5000) for c in group.cell_ids}
            assert parents == {square}
            assert square.size_m <= 40000
    shuffled = build_partition(
        points.sample(frac=1, random_state=seed), cells.sample(frac=1, random_state=seed), Rule(k)
    )
    pd.testing.assert_frame_equal(pd.DataFrame(shuffled), pd.DataFrame(frame))


def test_the_rest_never_holds_a_square_that_could_stand():
    rng = np.random.default_rng(5)
    ids = [cell(*place) for place in rng.integers(0, 16, (90, 2))]
    points = pd.DataFrame({"cell_id": ids, "p_low": rng.uniform(0.3, 1, 90)})
    frame = build_partition(points, square_cells(16, 16))
    rest = groups_of(frame).get(REST, set())
    assert len(frame) > 4
    for factor in (1, 2, 4, 8):
        by_square = {}
        for cell_id in rest:
            by_square.setdefault(Cell.parse(cell_id).parent(factor), []).append(cell_id)
        for members in by_square.values():
            assert lower_site_count(points.loc[points["cell_id"].isin(members), "p_low"]) < 5


def test_outlines_are_the_cells_without_slivers_or_overlaps():
    frame = build_partition(
        sites({cell(0, 0): 5, cell(2, 2): 6, cell(0, 3): 5, cell(5, 5): 5, cell(1, 1): 6}),
        square_cells(),
    )
    ground = [project(polygon) for polygon in frame.geometry]
    n_cells = frame["cell_ids"].map(len)
    assert [polygon.area for polygon in ground] == pytest.approx(list(n_cells * 25e6), rel=1e-9)
    for one, other in itertools.combinations(frame.geometry, 2):
        assert one.intersection(other).area < 1e-12  # square degrees: under 0.01 m2
    lone = frame.set_index("group_id").geometry["5000_800_4800"]
    assert len(lone.exterior.coords) == 5
    whole = shapely.union_all(list(frame.geometry), grid_size=1e-9)
    assert whole.geom_type == "Polygon"
    assert len(whole.interiors) == 0


def test_a_real_region_is_covered(tmp_path):
    region = shapely.box(77.0, 28.0, 77.9, 28.6)
    cells = CellGrid().cells_of(region)
    rng = np.random.default_rng(3)
    ids = CellGrid().cell_ids_at(rng.uniform(77.0, 77.9, 300), rng.uniform(28.0, 28.6, 300))
    frame = build_partition(pd.DataFrame({"cell_id": ids, "p_low": 0.9}), cells)
    assert frame["area_km2"].sum() == pytest.approx(project(region).area / 1e6)
    path = tmp_path / "partition.parquet"
    write_partition(frame, path)
    back = read_partition(path)
    assert groups_of(back) == groups_of(frame)
    assert back.geometry.geom_equals(frame.geometry).all()
    assert partition_sha256(path) == sha256_file(path)
    write_partition(back, tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == path.read_bytes()


def test_no_site_at_all_is_one_rest():
    frame = build_partition(sites({}), square_cells(2, 2))
    assert list(frame["group_id"]) == [REST]
    assert list(frame["k_lower"]) == [0]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"rule": Rule(max_size_m=30000)}, ConfigError, "max_size_m is 30000"),
        ({"rule": Rule(max_size_m=2500)}, ConfigError, "max_size_m is 2500"),
        ({"cells": square_cells().iloc[:0]}, RegionError, "has no cell"),
        ({"cells": pd.concat([square_cells(1, 1)] * 2)}, RegionError, "named twice"),
        (
            {"cells": pd.DataFrame({"cell_id": ["5000_1_1", "10000_1_1"], "area_km2": 1.0})},
            RegionError,
            "several sizes",
        ),
        ({"sites": sites({cell(0, 0): 1}, p_low=1.2)}, TableError, "is 1.2"),
        ({"sites": sites({cell(0, 0): 1}, p_low=float("nan"))}, TableError, "is nan"),
    ],
)
def test_bad_input_is_refused(change, error, message):
    arguments = {"sites": sites({cell(0, 0): 5}), "cells": square_cells(), **change}
    with pytest.raises(error, match=message):
        build_partition(**arguments)


def test_k_of_one_names_the_site():
    with pytest.raises(ConfigError, match="k is 1"):
        Rule(k=1)


def test_a_file_with_overlapping_groups_is_refused(tmp_path):
    frame = build_partition(sites({cell(0, 0): 5}), square_cells(2, 2))
    frame.at[1, "cell_ids"] = [cell(0, 0)]
    with pytest.raises(TableError, match=f"cell {cell(0, 0)} stands twice"):
        write_partition(frame, tmp_path / "partition.parquet")
    assert not any(tmp_path.iterdir())


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(TableError, match="partition build"):
        partition_sha256(tmp_path / "none.parquet")
