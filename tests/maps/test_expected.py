import numpy as np
import pandas as pd
import pytest
from scipy import stats

from maps.expected import (
    Recall,
    ends_90,
    expected_by_cell,
    expected_over,
    interval_90,
    moments_by,
)
from maps.neighbours import FEWEST_PLACES, gamma_prior
from models.site_class import load_site_class
from tests.maps.worlds import make_ground, survey_ground
from tiles.errors import ConfigError

KILNS = load_site_class("brick_kiln")


def at(recall: float) -> Recall:
    """A recall that is stipulated: no interval."""
    return Recall(recall, recall, recall)


SURE = at(1.0)


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
    coverage = coverage_table(np.full(200, 0.5))
    known = expected_over(expected_by_cell(site_table(ids, 1.0), coverage, at(0.5), KILNS))
    assert known.mean == pytest.approx(800, rel=0.01)
    assert 720 < known.low < 770
    assert 830 < known.high < 890
    # recall between 0.33 and 0.67 in a region where nobody measured it: 200 / 0.5 / recall
    told = Recall(0.5, 0.45, 0.55)
    total = expected_over(expected_by_cell(site_table(ids, 1.0), coverage, told, KILNS))
    assert total.mean == known.mean
    assert 580 < total.low < 610
    assert 1180 < total.high < 1260


def test_gate_and_water_are_searched_and_other_ground_is_not():
    coverage = pd.DataFrame(
        {
            "cell_id": "5000_700_4900",
            "status": ["searched", "searched_gate", "water", "cloud", "failed"],
            "area_km2": [5.0, 4.0, 3.0, 2.0, 1.0],
        }
    )
    cells = expected_by_cell(site_table([], []), coverage, SURE, KILNS, gate=SURE)
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
    few = gamma_prior(counts[: FEWEST_PLACES - 1], exposure[: FEWEST_PLACES - 1], 8.0, 1.0, 0.05)
    assert (few.shape, few.mean) == (1.0, 1.0)


@pytest.mark.parametrize("bad", [(0.0, 0.0, 0.5), (0.8, 0.9, 0.95), (0.8, 0.7, 1.1)])
def test_recall_out_of_order_is_refused(bad):
    with pytest.raises(ConfigError, match="recall"):
        Recall(*bad)


def covered(error: float, cells_wide: int, worlds: int, seed: int) -> pd.DataFrame:
    """Square blocks of made-up worlds: expected sites, and whether the interval holds the truth."""
    found = []
    for number in range(worlds):
        rng = np.random.default_rng(seed + number)
        ground = make_ground(rng, side=24, mean_km2=0.06)
        seen = survey_ground(rng, ground, error)
        cells = expected_by_cell(seen.sites, seen.coverage, Recall(*seen.recall_told), KILNS)
        truth = cells["cell_id"].map(dict(zip(ground.cell_ids, seen.truth, strict=True)))
        block = (cells["row"] // cells_wide * 1000 + cells["col"] // cells_wide).to_numpy()
        moments = moments_by(cells, block)
        low, high = ends_90(moments)
        true = truth.groupby(block).sum().reindex(moments.index)
        found.append(moments.assign(inside=(low <= true) & (true <= high)))
    return pd.concat(found)


@pytest.mark.parametrize("error", [-0.1, 0.1])
def test_intervals_hold_where_recall_is_ten_points_off_and_sites_cluster(error):
    """Simulated from another model than the fitted one; more in tests/benchmarks."""
    single = covered(error, cells_wide=1, worlds=4, seed=900)
    assert single["inside"].mean() >= 0.88
    districts = covered(error, cells_wide=6, worlds=24, seed=940)
    assert districts.loc[districts["mean"] >= 20, "inside"].mean() >= 0.87


def test_clustered_cells_listen_to_their_neighbours():
    """A cell that was not searched, amid a belt and amid empty land: ten times as many sites."""
    belt = [f"5000_{700 + n // 20}_{4900 + n % 20}" for n in range(400) if n % 20 < 6]
    share = np.ones(400)
    share[[20 * 9 + 3, 20 * 9 + 15]] = 0
    sites = site_table([c for c in belt if c != "5000_709_4903"] * 4, 1.0)
    cells = expected_by_cell(sites, coverage_table(share), at(0.8), KILNS).set_index("cell_id")
    amid_belt, amid_nothing = (
        cells.loc[f"5000_709_{col}", "expected_sites"] for col in (4903, 4915)
    )
    assert amid_belt == pytest.approx(5, rel=0.15)  # 4 / 0.8
    assert amid_nothing < 0.5


def test_a_gate_lowers_recall_and_one_that_nobody_measured_is_refused():
    coverage = coverage_table(np.ones(20)).query("area_km2 > 0")
    coverage.loc[coverage["cell_id"] == "5000_700_4900", "status"] = "searched_gate"
    sites = site_table(["5000_700_4905"] * 40, 1.0)
    with pytest.raises(ConfigError, match=r"left to a gate .* whose recall nobody states"):
        expected_by_cell(sites, coverage, at(0.8), KILNS)
    gated = expected_over(expected_by_cell(sites, coverage, at(0.8), KILNS, gate=at(0.5)))
    assert gated.mean == pytest.approx(40 / 0.4, rel=0.03)
    both = Recall(0.8, 0.7, 0.9).after(Recall(0.9, 0.85, 0.95))
    assert both.mean == pytest.approx(0.72)
    half = 0.72 * np.hypot(0.1 / 0.8, 0.05 / 0.9)
    assert (both.low, both.high) == pytest.approx((0.72 - half, 0.72 + half))


def test_recall_is_wider_where_it_was_not_measured_and_stays_a_share():
    half = np.hypot(0.05, 0.1 * stats.norm.ppf(0.95))
    assert Recall(0.7, 0.65, 0.75).elsewhere == Recall(0.7, 0.7 - half, 0.7 + half)
    assert Recall(0.97, 0.95, 0.99).elsewhere.high == 1.0
    assert Recall(0.1, 0.08, 0.12).elsewhere.low > 0
    assert at(0.7).elsewhere == at(0.7)


def test_one_cell_and_no_cell_have_figures():
    one = expected_by_cell(site_table([], []), coverage_table(np.ones(1)), SURE, KILNS)
    assert (one["expected_sites"].iloc[0], one["expected_low"].iloc[0]) == (0, 0)
    none = expected_by_cell(site_table([], []), coverage_table(np.ones(0)), SURE, KILNS)
    assert len(none) == 0
    assert expected_over(none).mean == 0


def test_intervals_cover_clustered_sites_with_an_uncertain_recall():
    """Simulated from another model than the fitted one: patches of ten-fold density."""
    rng = np.random.default_rng(11)
    size, cols = 400, 20
    row, col = np.divmod(np.arange(size), cols)
    block = (row // 4) * 10 + col // 4
    inside, total_inside, fields = 0, 0, 20
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
