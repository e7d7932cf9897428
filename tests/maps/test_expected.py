import numpy as np
import pandas as pd
import pytest
from scipy import stats

from maps.expected import (
    FEWEST_CELLS,
    Recall,
    expected_by_cell,
    expected_over,
    gamma_prior,
    interval_90,
)
from models.site_class import load_site_class
from tiles.errors import ConfigError

KILNS = load_site_class("brick_kiln")
SURE = Recall(1.0, 1.0, 1.0)


def coverage_table(searched_share: np.ndarray, cols: int = 20) -> pd.DataFrame:
    ids = [f"5000_{700 + n // cols}_{4900 + n % cols}" for n in range(len(searched_share))]
    searched = pd.DataFrame({"cell_id": ids, "status": "searched", "area_km2": 25 * searched_share})
    cloud = pd.DataFrame({"cell_id": ids, "status": "cloud", "area_km2": 25 * (1 - searched_share)})
    return pd.concat([searched, cloud])


def site_table(cell_ids, p_site, spread=0.0) -> pd.DataFrame:
    p_site = np.broadcast_to(np.asarray(p_site, float), len(cell_ids))
    low, high = np.clip(p_site - spread, 0, 1), np.clip(p_site + spread, 0, 1)
    return pd.DataFrame({"cell_id": cell_ids, "p_site": p_site, "p_low": low, "p_high": high})


def test_perfect_detector_on_searched_ground_counts_exactly():
    sites = site_table(["5000_700_4900"] * 3 + ["5000_700_4905"], 1.0)
    cells = expected_by_cell(sites, coverage_table(np.ones(20)), SURE, KILNS)
    first = cells[cells["cell_id"] == "5000_700_4900"].iloc[0]
    assert (first["expected_sites"], first["expected_low"], first["expected_high"]) == (3, 3, 3)
    assert first["n_sites"] == 3
    assert cells["expected_sites"].sum() == 4


def test_whole_numbers_count_from_half():
    sites = site_table(["5000_700_4900"] * 3, [0.5, 0.49, 0.9])
    cells = expected_by_cell(sites, coverage_table(np.ones(20)), SURE, KILNS)
    assert cells["n_sites"].iloc[0] == 2
    assert cells["expected_sites"].iloc[0] == pytest.approx(1.89)


def test_missed_sites_and_unsearched_ground_are_added():
    """200 sites on half-searched cells at recall 0.5: about 200 / (0.5 * 0.5) in all."""
    ids = [f"5000_{700 + n // 20}_{4900 + n % 20}" for n in range(200)]
    cells = expected_by_cell(
        site_table(ids, 1.0), coverage_table(np.full(200, 0.5)), Recall(0.5, 0.45, 0.55), KILNS
    )
    total = expected_over(cells)
    assert total.mean == pytest.approx(800, rel=0.01)
    assert 650 < total.low < 760
    assert 840 < total.high < 950


def test_gate_and_water_are_searched_and_other_ground_is_not():
    coverage = pd.DataFrame(
        {
            "cell_id": "5000_700_4900",
            "status": ["searched", "searched_gate", "water", "cloud", "failed"],
            "area_km2": [5.0, 4.0, 3.0, 2.0, 1.0],
        }
    )
    cells = expected_by_cell(site_table([], []), coverage, SURE, KILNS)
    assert (cells["searched_km2"].iloc[0], cells["area_km2"].iloc[0]) == (12.0, 15.0)


def test_nothing_searched_falls_back_on_the_class_and_says_how_unsure():
    cells = expected_by_cell(site_table([], []), coverage_table(np.zeros(40)), SURE, KILNS)
    assert cells["expected_sites"].to_numpy() == pytest.approx(30 * 25 / 1000)
    assert (cells["expected_low"] == 0).all()
    assert (cells["expected_high"] >= 2).all()


def test_sites_outside_the_covered_cells_count_nowhere():
    sites = site_table(["5000_1_1"], 1.0)
    cells = expected_by_cell(sites, coverage_table(np.ones(20)), SURE, KILNS)
    assert cells["n_sites"].sum() == 0


def test_interval_is_the_gamma_quantile_in_whole_sites():
    low, high = interval_90(np.array([20.0]), np.array([36.0]))
    exact = stats.gamma(20**2 / 36, scale=36 / 20).ppf([0.05, 0.95])
    assert (low[0], high[0]) == (np.floor(exact[0]), np.ceil(exact[1]))


def test_prior_finds_the_spread_that_was_planted_and_not_the_noise():
    rng = np.random.default_rng(3)
    exposure = rng.uniform(5, 15, 4000)
    rates = rng.gamma(2.0, 0.5, 4000)
    noise = rng.laplace(0, 2, 4000)
    counts = rng.poisson(rates * exposure) + noise
    prior = gamma_prior(counts, exposure, 8.0, 1.0, 0.05)
    assert prior.shape == pytest.approx(2.0, rel=0.12)
    assert gamma_prior(counts, exposure, 0.0, 1.0, 0.05).shape < prior.shape
    few = gamma_prior(counts[: FEWEST_CELLS - 1], exposure[: FEWEST_CELLS - 1], 8.0, 1.0, 0.05)
    assert (few.shape, few.mean) == (1.0, 1.0)


@pytest.mark.parametrize("bad", [(0.0, 0.0, 0.5), (0.8, 0.9, 0.95), (0.8, 0.7, 1.1)])
def test_recall_out_of_order_is_refused(bad):
    with pytest.raises(ConfigError, match="recall"):
        Recall(*bad)


def test_intervals_cover_clustered_sites_with_an_uncertain_recall():
    """Simulated from another model than the fitted one: patches of ten-fold density."""
    rng = np.random.default_rng(11)
    size, cols = 400, 20
    row, col = np.divmod(np.arange(size), cols)
    block = (row // 4) * 10 + col // 4
    inside, total_inside, fields = 0, 0, 60
    for _ in range(fields):
        density = np.where(rng.uniform(size=100) < 0.15, 0.2, 0.02)[block]
        share = np.where(rng.uniform(size=size) < 0.2, 0.0, rng.uniform(0.7, 1.0, size))
        found = rng.poisson(density * 25 * share * np.clip(rng.normal(0.8, 0.045), 0.5, 1))
        truth = (
            found
            + rng.poisson(density * 25 * share * 0.2)
            + rng.poisson(density * 25 * (1 - share))
        )
        seen = found + rng.poisson(found / 9 + 1e-9)  # one in ten detections is false
        ids = np.repeat([f"5000_{700 + r}_{4900 + c}" for r, c in zip(row, col, strict=True)], seen)
        cells = expected_by_cell(
            site_table(ids, 0.9, 0.02), coverage_table(share), Recall(0.8, 0.726, 0.874), KILNS
        )
        for number in range(0, 100, 7):
            members = block == number
            if members.any():
                estimate = expected_over(cells[members])
                inside += estimate.low <= truth[members].sum() <= estimate.high
                total_inside += 1
    assert inside / total_inside >= 0.88
