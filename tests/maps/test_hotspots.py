import time

import numpy as np
import pandas as pd
import pytest
from esda.getisord import G_Local
from libpysal.weights import W
from scipy import stats

from maps.expected import Recall, expected_by_cell
from maps.hotspots import (
    HOTSPOTS,
    benjamini_hochberg,
    check_cells,
    conditional_p,
    find_hotspots,
    getis_ord_star,
    neighbour_index,
)
from models.site_class import load_site_class
from tiles.tables import read_table, write_table

KILNS = load_site_class("brick_kiln")
PERIOD = "2025-11/2026-06"


def lattice(rows: int, cols: int):
    row, col = np.divmod(np.arange(rows * cols, dtype=np.int64), cols)
    return row + 700, col + 4900


def esda_weights(rows, cols):
    index = neighbour_index(rows, cols)
    size = len(rows)
    return W(
        {n: [int(m) for m in index[:, n] if m < size] for n in range(size)}, silence_warnings=True
    )


@pytest.mark.parametrize("seed", range(3))
def test_gi_star_equals_esda_on_a_ragged_field(seed):
    rng = np.random.default_rng(seed)
    rows, cols = lattice(14, 17)
    keep = rng.uniform(size=len(rows)) < 0.8
    rows, cols = rows[keep], cols[keep]
    values = rng.gamma(0.7, 3.0, len(rows))
    ours = getis_ord_star(values, neighbour_index(rows, cols))
    theirs = G_Local(values, esda_weights(rows, cols), transform="B", star=True, permutations=0)
    np.testing.assert_allclose(ours, theirs.Zs, rtol=0, atol=1e-9)


def test_gi_star_is_undefined_where_nothing_differs_or_nothing_is_left():
    rows, cols = lattice(5, 5)
    assert np.isnan(getis_ord_star(np.full(25, 3.3), neighbour_index(rows, cols))).all()
    rows, cols = lattice(2, 2)
    assert np.isnan(getis_ord_star(np.arange(4.0), neighbour_index(rows, cols))).all()
    assert np.isnan(getis_ord_star(np.array([4.0]), neighbour_index(rows[:1], cols[:1]))).all()


def test_p_is_the_exact_binomial_tail():
    rows, cols = lattice(6, 6)
    rng = np.random.default_rng(2)
    counts, searched = rng.poisson(1.5, 36), rng.uniform(5, 25, 36)
    around = neighbour_index(rows, cols)
    p_value = conditional_p(counts, searched, around)
    for cell in (0, 7, 20, 35):
        near = around[:, cell][around[:, cell] < 36]
        chance = searched[near].sum() / searched.sum()
        exact = stats.binom.sf(counts[near].sum() - 1, counts.sum(), chance)
        assert p_value[cell] == pytest.approx(exact, rel=1e-9)


def test_q_values_against_scipy():
    p_value = np.random.default_rng(4).uniform(size=500) ** 2
    expected = stats.false_discovery_control(p_value, method="bh")
    np.testing.assert_allclose(benjamini_hochberg(p_value), expected, rtol=1e-12)


@pytest.mark.parametrize("mean", [0.2, 0.75, 5.0])
def test_even_density_gives_a_discovery_in_at_most_one_field_of_twenty(mean):
    """Real coverage patterns: 10 to 100 % searched. Gi*'s own normal p would fail this by far."""
    rng = np.random.default_rng(int(mean * 100))
    rows, cols = lattice(20, 20)
    fields, found, by_normal = 400, 0, 0
    for _ in range(fields):
        searched = 25 * rng.uniform(0.1, 1.0, 400)
        counts = rng.poisson(mean * searched / 25)
        tested = searched >= 5
        result = check_cells(rows[tested], cols[tested], counts[tested], searched[tested])
        found += bool((result.q_value <= 0.05).any())
        by_normal += bool((benjamini_hochberg(stats.norm.sf(result.gi_z)) <= 0.05).any())
    lowest_share = stats.binomtest(found, fields).proportion_ci(0.95, method="exact").low
    assert lowest_share <= 0.05
    if mean < 1:
        assert by_normal > 2 * found + 10


def cells_with(counts: np.ndarray, share: np.ndarray, cols: int) -> pd.DataFrame:
    row, col = lattice(len(counts) // cols, cols)
    ids = [f"5000_{r}_{c}" for r, c in zip(row, col, strict=True)]
    coverage = pd.concat(
        pd.DataFrame({"cell_id": ids, "status": status, "area_km2": 25 * part})
        for status, part in (("searched", share), ("nodata", 1 - share))
    )
    sites = pd.DataFrame({"cell_id": np.repeat(ids, counts)})
    sites[["p_site", "p_low", "p_high"]] = (0.95, 0.9, 1.0)
    return expected_by_cell(sites, coverage, Recall(0.8, 0.7, 0.9), KILNS)


def test_planted_discs_are_found_as_two_clusters_and_little_else(tmp_path):
    rng = np.random.default_rng(8)
    row, col = np.divmod(np.arange(1600), 40)
    discs = (np.hypot(row - 9, col - 9) < 4.5) | (np.hypot(row - 30, col - 28) < 4.5)
    counts = rng.poisson(np.where(discs, 3.0, 0.5))
    table = find_hotspots(cells_with(counts, np.ones(1600), 40), PERIOD, "brick_kiln")
    hot = table["hotspot_class"].str.startswith("hot_").to_numpy()
    near = (np.hypot(row - 9, col - 9) < 6.5) | (np.hypot(row - 30, col - 28) < 6.5)
    assert hot[discs].mean() >= 0.9
    assert (hot & ~near).sum() <= 0.1 * hot.sum()
    of_discs = [
        set(table["cluster_id"][discs & hot & (row < 20)]),
        set(table["cluster_id"][discs & hot & (row > 20)]),
    ]
    assert [len(names) for names in of_discs] == [1, 1]
    assert of_discs[0] != of_discs[1]
    assert table["cluster_id"][~hot].isna().all()
    write_table(table, tmp_path / "hotspots.parquet", HOTSPOTS)
    back = read_table(tmp_path / "hotspots.parquet", HOTSPOTS)
    assert list(back["hotspot_class"]) == list(table["hotspot_class"])


def test_cells_hardly_searched_are_not_tested_and_belong_to_no_neighbourhood():
    counts = np.zeros(25, dtype=int)
    counts[12] = 9
    share = np.ones(25)
    share[12] = 0.19
    table = find_hotspots(cells_with(counts, share, 5), PERIOD, "brick_kiln")
    middle = table.iloc[12]
    assert middle["hotspot_class"] == "not_tested"
    assert np.isnan(middle["q_value"])
    assert middle["n_neighbours"] == 0
    assert list(table["n_neighbours"].iloc[[0, 6]]) == [3, 7]
    assert (table["p_value"].drop(12) == 1).all()  # its nine sites helped nobody


def test_one_cell_and_no_cell():
    one = find_hotspots(cells_with(np.array([3]), np.ones(1), 1), PERIOD, "brick_kiln")
    assert (one["p_value"].iloc[0], one["hotspot_class"].iloc[0]) == (1.0, "not_significant")
    assert np.isnan(one["gi_z"].iloc[0])
    none = find_hotspots(cells_with(np.array([3]), np.ones(1), 1).iloc[:0], PERIOD, "brick_kiln")
    assert len(none) == 0


def test_cells_unsearched_have_no_rate():
    table = find_hotspots(cells_with(np.zeros(4, int), np.zeros(4), 2), PERIOD, "brick_kiln")
    assert table["rate_per_1000km2"].isna().all()


def test_a_quarter_million_cells_take_a_second():
    rng = np.random.default_rng(5)
    rows, cols = lattice(500, 500)
    searched = rng.uniform(5, 25, 250_000)
    counts = rng.poisson(0.03 * searched)
    start = time.perf_counter()
    result = check_cells(rows, cols, counts, searched)
    assert time.perf_counter() - start < 5  # about 0.6 s on a free core
    assert len(result.q_value) == 250_000
