"""How honest the intervals, how near the rates, how good the lists are, in simulation.

All figures are simulated: worlds of tests/maps/worlds.py, written before the models.

python -m pytest -s tests/benchmarks/bench_evidence.py
"""

import time

import geopandas as gpd
import numpy as np
import pandas as pd

from maps.expected import Recall, ends_90, expected_by_cell, moments_by
from maps.priorities import (
    OperatorWeights,
    operator_priority,
    prioritise,
    value_of_information,
)
from maps.priority import rank_sites
from maps.reporting import Places, group_priors, reporting_rates
from maps.team_list import choose_list, spread_groups, squares
from models.site_class import load_site_class
from tests.maps.conftest import make_survey
from tests.maps.test_reporting import global_empirical_bayes, posterior_means, rmse
from tests.maps.worlds import SEEDS, make_ground, make_outcomes, make_rates, survey_ground

KILNS = load_site_class("brick_kiln")
TOP = 0.05
FIRST = 100
FAKE_SHARE = 0.1


def coverage_of_intervals(recall_error, seeds):
    found = []
    for density in (0.03, 0.12):
        for seed in seeds:
            rng = np.random.default_rng(seed + int(1e5 * density))
            ground = make_ground(rng, mean_km2=density)
            seen = survey_ground(rng, ground, recall_error)
            cells = expected_by_cell(seen.sites, seen.coverage, Recall(*seen.recall_told), KILNS)
            truth = cells["cell_id"].map(dict(zip(ground.cell_ids, seen.truth, strict=True)))
            for wide in (1, 2, 4, 8, 16):
                block = (cells["row"] // wide * 1000 + cells["col"] // wide).to_numpy()
                moments = moments_by(cells, block)
                low, high = ends_90(moments)
                true = truth.groupby(block).sum().reindex(moments.index)
                inside = (low <= true) & (true <= high)
                found.append(pd.DataFrame({"mean": moments["mean"], "inside": inside}))
    return pd.concat(found).assign(error=recall_error)


def test_coverage_of_90_per_cent_intervals():
    table = pd.concat([coverage_of_intervals(error, range(25)) for error in (-0.1, 0.0, 0.1)])
    edges = [0, 1, 5, 20, 50, 150, 500, 1e6]
    table["expected sites"] = pd.cut(table["mean"], edges)
    by = table.groupby(["expected sites", "error"], observed=True)["inside"]
    print("\nshare of 90 % intervals that hold the truth, by expected sites and error of recall")
    print(by.mean().unstack().round(3).to_string())
    off = table[(table["mean"] >= 20) & (table["error"] != 0)]["inside"]
    print(f"sums of 20 and more, recall 10 points off either way: {off.mean():.3f} of {len(off)}")


def test_rates_against_global_empirical_bayes():
    print("\nRMSE of reporting rates, 20 worlds of 256 groups, epsilon 1")
    for mean_rate in (0.05, 0.1, 0.3):
        rows = []
        for seed in SEEDS:
            world = make_rates(np.random.default_rng(seed), mean_rate=mean_rate)
            places = Places(world.x_km, world.y_km)
            counted = np.maximum(world.noised, 0)
            ours, alone, blind = (
                posterior_means(counts, scale, world.exposure, priors)
                for counts, scale, priors in (
                    (world.noised, 1.0, group_priors(world.noised, 1.0, world.exposure, places)),
                    (world.noised, 1.0, group_priors(world.noised, 1.0, world.exposure)),
                    (counted, 0.05, group_priors(counted, 0.05, world.exposure, places)),
                )
            )
            plain = global_empirical_bayes(world.noised, world.exposure)
            clamped = global_empirical_bayes(counted, world.exposure)
            rows.append([rmse(x, world.rate) for x in (ours, plain, clamped, alone, blind)])
        errors = np.array(rows)
        ratio = (errors[:, :1] / errors[:, 1:]).mean(axis=0)
        wins = int((errors[:, 0] < errors[:, 4]).sum())
        print(
            f"  {mean_rate} reporters a site: {errors[:, 0].mean():.3f}; ratio to global empirical "
            f"Bayes {ratio[0]:.2f} (negative counts as 0: {ratio[1]:.2f}), to ours without "
            f"neighbours {ratio[2]:.2f}, to ours blind to the noise {ratio[3]:.2f} ({wins} of 20)"
        )


def candidates(world, noised):
    """The world's sites with the columns that the operator's priority takes."""
    groups = world.groups
    exposure, access = groups["exposure"].to_numpy(), groups["access"].to_numpy()
    reached = access / ((access * exposure).sum() / exposure.sum())
    places = Places(groups["x_km"].to_numpy(), groups["y_km"].to_numpy())
    counts = np.asarray(noised, dtype=np.int64)
    variance = groups["variance"].to_numpy() * reached**2
    rates = reporting_rates(counts, 1.0, exposure * reached, variance, places)
    sites, of = world.sites.copy(), world.sites["group"].to_numpy()
    usual = np.nanmedian(rates.rate)
    sites["report_rate_ratio_low"] = (rates.low / usual)[of]
    unheard = (rates.high < usual / 2)[of]
    sites["value_of_information"] = value_of_information(sites["p_site"].to_numpy(), unheard)
    sites["workers_mid"], sites["size_fit"] = 120, 1.0
    sites["hotspot_class"] = "not_significant"
    sites["n_reports"] = counts[of]
    sites["n_sites"] = sites.groupby("group")["p_site"].transform("sum")
    priority = operator_priority(sites, OperatorWeights(), None)
    sites["rank"] = pd.Series(-priority, index=sites.index).rank(method="first").astype("int64")
    sites["place"] = spread_groups(sites["rank"].to_numpy(), sites["group"].astype(str))
    return sites


def hits(sites, by):
    """Share of the first twentieth in which a visit finds abuse."""
    ordered = sites.sort_values(["p_site"], ascending=False).sort_values(by, kind="stable")
    return ordered["found"].head(round(TOP * len(sites))).mean()


def test_lift_of_the_operators_order():
    rows = []
    for seed in SEEDS:
        world = make_outcomes(np.random.default_rng(seed))
        sites = candidates(world, world.groups["noised"])
        sites = sites.assign(
            reports=-sites["n_reports"], sites=-sites["n_sites"], score=-sites["p_site"]
        )
        orders = ("rank", "place", "reports", "sites", "score")
        rows.append([sites["found"].mean(), *(hits(sites, by) for by in orders)])
    base, rank, place, reports, most_sites, score = np.array(rows).mean(axis=0)
    print(f"\nabuse found in the top {TOP:.0%}, 20 worlds; of all sites {base:.3f}")
    print(f"  operator's rank {rank:.3f}, place {place:.3f}; team's list = score {score:.3f}")
    for name, other in (("reports", reports), ("sites", most_sites), ("score", score)):
        print(f"  most {name} {other:.3f}: lift {rank / other:.2f} (rank), {place / other:.2f}")


def fake_plans(world, rng):
    """Ten reports for every hundred, where they could be sent."""
    groups, fakes = len(world.groups), round(FAKE_SHARE * world.true_counts.sum())
    spread = np.bincount(rng.integers(0, groups, fakes), minlength=groups)
    plans = {"spread over all groups": spread}
    for aimed in (1, 5):
        counts = np.zeros(groups, dtype=np.int64)
        counts[rng.choice(groups, aimed, replace=False)] = fakes // aimed
        plans[f"aimed at {aimed}"] = counts
    return plans


def test_false_reporters():
    changed = {}
    for seed in SEEDS[:10]:
        world = make_outcomes(np.random.default_rng(seed))
        before = candidates(world, world.groups["noised"])
        for plan, counts in fake_plans(world, np.random.default_rng(seed + 1)).items():
            after = candidates(world, world.groups["noised"] + counts)
            for order in ("rank", "place"):
                top = [set(s.sort_values(order).index[:FIRST]) for s in (before, after)]
                changed.setdefault((plan, order), []).append(len(top[0] - top[1]))
    print(f"\nof the operator's first {FIRST}, changed by {FAKE_SHARE:.0%} false reporters")
    for (plan, order), counts in changed.items():
        print(f"  {plan}, {order}: {np.mean(counts):.1f} (at most {max(counts)})")
    print("  the team's list: 0, whatever is sent: no report enters it")


def test_time_to_rank_100_000_sites():
    survey = make_survey()
    times = -(-100_000 // len(survey.sites))
    many = gpd.GeoDataFrame(pd.concat([survey.sites] * times, ignore_index=True)).head(100_000)
    many["p_site"] = np.random.default_rng(2).beta(6, 1, len(many))
    many["p_low"], many["p_high"] = many["p_site"] * 0.9, 1 - 0.9 * (1 - many["p_site"])
    started, busy = time.perf_counter(), time.process_time()
    rank_sites(many.drop(columns=["size_fit", "hotspot_class", "rank"]), survey.hotspots, KILNS)
    middle, busy_middle = time.perf_counter(), time.process_time()
    areas = squares(many["cell_id"])
    chosen = choose_list(many, areas, 1000, 0.15, 1, 1)
    prioritise(many, survey.groups, survey.partition, KILNS, areas, chosen, OperatorWeights())
    print(
        f"\n100,000 sites: team's ranks and reasons {middle - started:.1f} s (CPU "
        f"{busy_middle - busy:.1f} s), operator's table {time.perf_counter() - middle:.1f} s "
        f"(CPU {time.process_time() - busy_middle:.1f} s)"
    )
