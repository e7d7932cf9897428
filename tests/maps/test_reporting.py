import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import gammaln

from maps.neighbours import GammaPrior
from maps.reporting import (
    Places,
    exposure_nodes,
    group_priors,
    likelihood,
    log_predictive,
    noise_mass,
    noise_reach,
    noise_variance,
    reporting_rates,
    select_release,
)
from maps.reporting import _one as one_prior
from maps.reporting import rate_posterior as posterior
from tests.maps.worlds import SEEDS, make_rates
from tiles.errors import TableError

PERIOD = "2025-11/2026-06"
INDUSTRY = "C_Manufacturing"
SHA = "a" * 64


@pytest.mark.parametrize("scale", [0.4, 1.0, 5.0])
def test_noise_figures_are_those_of_the_discrete_laplace(scale):
    noise = stats.dlaplace(1 / scale)
    assert noise_variance(scale) == pytest.approx(noise.var(), rel=1e-9)
    reach = noise_reach(scale, 0.05)
    assert noise.sf(reach - 1) <= 0.05 < noise.sf(reach - 2)


@pytest.mark.parametrize("count", [-4, 0, 3, 40])
@pytest.mark.parametrize("scale", [0.7, 3.0])
def test_likelihood_is_the_convolution_of_poisson_and_noise(count, scale):
    means = np.array([0.2, 5.0, 30.0])
    true = np.arange(0, 2000)
    for mean, value in zip(means, likelihood(count, scale, means), strict=True):
        terms = stats.poisson(mean).pmf(true) * stats.dlaplace(1 / scale).pmf(count - true)
        assert value == pytest.approx(terms.sum(), rel=1e-6)


def test_likelihood_sums_to_one_over_all_noised_counts():
    total = sum(likelihood(count, 2.0, np.array([4.0]))[0] for count in range(-60, 90))
    assert total == pytest.approx(1, abs=1e-9)


def made_up(groups=400, scale=1.0, seed=6):
    rng = np.random.default_rng(seed)
    expected = rng.uniform(6, 40, groups)
    rates = rng.gamma(2.0, 0.4, groups)
    noise = stats.dlaplace(1 / scale).rvs(groups, random_state=rng)
    return expected, rates, rng.poisson(rates * expected) + noise


def test_ninety_per_cent_intervals_hold_the_true_rate():
    expected, rates, counts = made_up()
    found = reporting_rates(counts, 1.0, expected, np.zeros(len(counts)))
    said = np.isfinite(found.rate)
    inside = (found.low <= rates) & (rates <= found.high)
    assert said.mean() > 0.95
    assert 0.86 < inside[said].mean() < 0.95


def test_noise_in_the_likelihood_beats_the_plain_ratio():
    expected, rates, counts = made_up(scale=4.0)
    found = reporting_rates(counts, 4.0, expected, np.zeros(len(counts)))
    said = np.isfinite(found.rate) & (expected < 25)  # where noise weighs
    ours = np.mean((found.rate[said] - rates[said]) ** 2)
    plain = np.mean((counts[said] / expected[said] - rates[said]) ** 2)
    assert ours < 0.8 * plain


def test_doubt_about_the_sites_widens_the_interval():
    expected, _, counts = made_up(40)
    sure = reporting_rates(counts, 1.0, expected, np.zeros(40))
    unsure = reporting_rates(counts, 1.0, expected, (0.4 * expected) ** 2)
    assert np.nanmean(unsure.high - unsure.low) > 1.15 * np.nanmean(sure.high - sure.low)


def test_too_few_sites_or_too_much_noise_is_not_said():
    expected = np.array([4.9, 5.1, 30.0, 30.0])
    counts = np.array([9, 9, 9, -2])
    assert np.isfinite(reporting_rates(counts, 1.0, expected, np.zeros(4)).rate).tolist() == [
        False,
        True,
        True,
        True,
    ]
    drowned = reporting_rates(counts, 30.0, expected, np.zeros(4))
    assert np.isnan(drowned.rate).all()


def test_negative_counts_give_a_low_rate_and_no_error():
    expected = np.full(20, 20.0)
    counts = np.array([30] * 19 + [-3])
    found = reporting_rates(counts, 1.0, expected, np.zeros(20))
    assert 0 < found.rate[-1] < 0.4
    assert found.high[-1] < np.median(found.rate) / 2
    assert not found.stands_out[-1]


def laplace(scale, size, rng):
    return stats.dlaplace(1 / scale).rvs(size, random_state=rng)


@pytest.mark.parametrize(("groups", "releases"), [(1000, 60), (44, 400), (6, 400)])
@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_nobody_reporting_lifts_hardly_a_group_out_of_the_noise(groups, releases, scale):
    """At 5 % a group, a release of 1,000 groups would hold 40 false ones."""
    rng = np.random.default_rng(groups)
    expected = rng.uniform(5, 60, groups)
    out, printed = 0, 0
    for _ in range(releases):
        found = reporting_rates(laplace(scale, groups, rng), scale, expected, np.zeros(groups))
        out += found.stands_out.sum()
        printed += np.isfinite(found.rate).sum()
    spread = 3 * np.sqrt(0.05 / releases)
    assert out / releases <= 0.05 + spread
    assert printed / releases <= 0.05 + spread


def test_what_stands_out_depends_on_how_many_groups_there_are():
    few, many = np.full(5, 20.0), np.full(5000, 20.0)
    for expected, stands_out in ((few, True), (many, False)):
        counts = np.zeros(len(expected), dtype=np.int64)
        counts[0] = 8
        found = reporting_rates(counts, 1.0, expected, np.zeros(len(expected)))
        assert found.stands_out[0] == stands_out


def test_one_full_group_gives_no_rates_to_the_others():
    """1,500 false reporters lift the mean rate to 2.7, which says nothing of 43 silent groups."""
    counts = np.zeros(44, dtype=np.int64)
    counts[7] = 1500
    found = reporting_rates(counts, 3.0, np.full(44, 12.0), np.zeros(44))
    assert np.flatnonzero(np.isfinite(found.rate)).tolist() == [7]


@pytest.mark.parametrize("spread", [0.02, 0.3, 0.6, 0.9])
def test_exposure_carries_mean_and_variance_of_the_sites(spread):
    nodes = exposure_nodes(12.0, (12 * spread) ** 2)
    assert nodes.mean() == pytest.approx(12, rel=1e-6)
    assert 0.97 * 12 * spread < nodes.std() < 12 * spread


@pytest.mark.parametrize("spread", [1.0, 3.0, 50.0, 1e6, 1e-9, 0.0])
def test_exposure_stays_positive_and_rates_finite(spread):
    nodes = exposure_nodes(12.0, (12 * spread) ** 2)
    assert (nodes >= 0.012).all()
    found = reporting_rates(
        np.full(12, 30), 1.0, np.full(12, 12.0), np.full(12, (12 * spread) ** 2)
    )
    assert np.isfinite([found.rate, found.low, found.high]).all()
    assert (found.low < found.rate).all()


def test_interval_is_that_of_the_whole_distribution_of_sites():
    """Against 2,000 draws of the sites; five quantiles of them put its ends 2 to 3 % off."""
    expected, variance, count = 20.0, 20.0**2 * 0.9**2, 30
    counts = np.full(12, count)
    found = reporting_rates(counts, 1.0, np.full(12, expected), np.full(12, variance))
    shape = expected**2 / variance
    draws = stats.gamma(shape, scale=expected / shape).ppf((np.arange(2000) + 0.5) / 2000)
    mean = count / expected
    prior = stats.gamma(4.0, scale=mean / 4)  # equal counts: the least spread, half of the mean
    grid = np.geomspace(1e-3, 60, 600)
    weight = [likelihood(count, 1.0, rate * draws).mean() for rate in grid]
    density = 0.9 * prior.pdf(grid) + 0.1 * stats.expon(scale=mean).pdf(grid)
    weight = np.array(weight) * density * grid
    low, high = np.interp((0.05, 0.95), (np.cumsum(weight) - weight / 2) / weight.sum(), grid)
    assert found.low[0] == pytest.approx(low, rel=0.015)
    assert found.high[0] == pytest.approx(high, rel=0.015)


def noised_table(**changes) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "release_id": "r1",
            "partition_sha256": SHA,
            "group_id": ["g1", "g2"],
            "industry": INDUSTRY,
            "period": PERIOD,
            "count_noised": [3, -1],
            "noise_scale": 1.0,
            "epsilon": 1.0,
        }
    )
    return table.assign(**changes)


def select(table):
    return select_release(table, pd.Series(["g1", "g2", "rest"]), SHA, INDUSTRY, PERIOD)


def test_release_is_taken_by_industry_and_period():
    other = noised_table(industry="A_Agriculture", count_noised=[50, 60])
    release = select(pd.concat([other, noised_table()], ignore_index=True))
    assert release.count_noised.to_dict() == {"g1": 3, "g2": -1}
    assert (release.release_id, release.noise_scale, release.epsilon) == ("r1", 1.0, 1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"partition_sha256": "b" * 64}, "belong to the partition bbbbbbbbbbbb"),
        ({"count_noised": [1.5, 2.0]}, "whole numbers"),
        ({"count_noised": [1.0, np.nan]}, "whole numbers"),
        ({"group_id": ["g1", "g9"]}, "'g9'"),
        ({"group_id": ["g1", "g1"]}, "more than once"),
        ({"release_id": ["r1", "r2"]}, "more than once"),
        ({"period": "2024-01/2024-02"}, "2024-01/2024-02"),
        ({"noise_scale": 0.0}, "noise_scale"),
        ({"noise_scale": np.inf}, "noise_scale"),
        ({"noise_scale": [1.0, 2.0]}, "noise_scale"),
    ],
)
def test_counts_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(TableError, match=message):
        select(noised_table(**changes))


def rmse(found, truth):
    return np.sqrt(np.mean((found - truth) ** 2))


def posterior_means(counts, scale, exposure, priors):
    return np.array(
        [
            posterior(int(count), scale, np.array([sites]), one_prior(priors, group))[0]
            for group, (count, sites) in enumerate(zip(counts, exposure, strict=True))
        ]
    )


def global_empirical_bayes(counts, exposure):
    """Marshall (1991): every ratio is drawn towards the mean rate; knows of no noise."""
    mean = max(counts.sum(), 0.5) / exposure.sum()
    rate = counts / exposure
    variance = np.sum(exposure * (rate - mean) ** 2) / exposure.sum() - mean / exposure.mean()
    weight = max(variance, 0.0) / (max(variance, 0.0) + mean / exposure)
    return mean + weight * (rate - mean)


def test_neighbours_and_noise_in_the_likelihood_bring_rates_closer():
    """Five made-up worlds where one reporter stands for ten sites; more in tests/benchmarks."""
    errors = []
    for seed in SEEDS[:5]:
        world = make_rates(np.random.default_rng(seed), mean_rate=0.1)
        places = Places(world.x_km, world.y_km)
        told = group_priors(world.noised, 1.0, world.exposure, places)
        ours = posterior_means(world.noised, 1.0, world.exposure, told)
        as_counted = np.maximum(world.noised, 0)
        blind_priors = group_priors(as_counted, 0.05, world.exposure, places)
        blind = posterior_means(as_counted, 0.05, world.exposure, blind_priors)
        plain = global_empirical_bayes(world.noised, world.exposure)
        errors.append([rmse(found, world.rate) for found in (ours, plain, blind)])
    ours, plain, blind = np.array(errors).T
    assert np.mean(ours / plain) <= 0.7
    assert np.mean(ours / blind) < 0.95
    assert (ours < blind).sum() >= 4


def test_predictive_probabilities_sum_to_one_over_all_noised_counts():
    counts = np.arange(-80, 400)
    size = np.ones(len(counts))
    prior = GammaPrior(2.0 * size, 0.5 * size)
    chance = np.exp(log_predictive(counts, 1.5, 6.0 * size, prior))
    assert chance.sum() == pytest.approx(1, abs=1e-4)
    exact = stats.nbinom(2.0, 0.5 / 6.5).pmf(np.arange(500)) @ stats.dlaplace(1 / 1.5).pmf(
        7 - np.arange(500)
    )
    assert chance[counts == 7][0] == pytest.approx(exact, rel=1e-4)


def test_a_group_far_from_all_others_has_the_prior_of_all():
    counts, expected = np.array([9] * 12), np.full(12, 10.0)
    line = Places(np.r_[np.arange(11) * 10.0, 900.0], np.zeros(12))
    priors = group_priors(counts, 1.0, expected, line)
    alone = group_priors(counts, 1.0, expected)
    assert priors.shape[11] <= alone.shape[11]
    assert priors.shape[11] / priors.rate[11] == pytest.approx(alone.shape[11] / alone.rate[11])


def test_false_reporters_in_one_group_hardly_move_its_neighbours():
    counts, expected = np.full(25, 10), np.full(25, 10.0)
    places = Places(np.arange(25) % 5 * 10.0, np.arange(25) // 5 * 10.0)
    counts[12] = 100_000
    found = reporting_rates(counts, 1.0, expected, np.zeros(25), places)
    assert np.delete(found.rate, 12).max() < 2


@pytest.mark.parametrize(("scale", "draws"), [(1.0, 2), (1.0, 7), (3.0, 4)])
def test_noise_of_a_sum_is_that_of_so_many_draws(scale, draws):
    mass = noise_mass(scale, draws)
    at = np.arange(len(mass)) - len(mass) // 2
    assert mass.sum() == pytest.approx(1, abs=1e-12)
    assert mass @ at**2 == pytest.approx(draws * noise_variance(scale), rel=1e-9)
    reach = noise_reach(scale, 0.01, draws)
    assert mass[at >= reach].sum() <= 0.01 < mass[at >= reach - 1].sum()
    drawn = laplace(scale, 200_000 * draws, np.random.default_rng(4)).reshape(-1, draws).sum(axis=1)
    assert (drawn >= reach).mean() == pytest.approx(mass[at >= reach].sum(), abs=0.001)


def test_likelihood_of_a_sum_convolves_its_noise():
    mean, draws = 4.0, 3
    mass, true = noise_mass(1.0, draws), np.arange(60)
    poisson = np.exp(true * np.log(mean) - mean - gammaln(true + 1))
    for count in (-3, 0, 5, 12):
        wanted = sum(
            p * mass[len(mass) // 2 + count - n] for n, p in zip(true, poisson, strict=True)
        )
        found = likelihood(count, 1.0, np.array([mean]), draws)[0]
        assert found == pytest.approx(wanted, rel=1e-9)


def test_a_sum_of_more_counts_must_reach_further_to_stand_out():
    counts, expected = np.array([8] * 20), np.full(20, 12.0)
    one = reporting_rates(counts, 1.0, expected, np.zeros(20))
    same = reporting_rates(counts, 1.0, expected, np.zeros(20), draws=np.ones(20, dtype=np.int64))
    four = reporting_rates(counts, 1.0, expected, np.zeros(20), draws=np.full(20, 4))
    assert np.array_equal(one.rate, same.rate)
    assert one.stands_out.all()
    assert not four.stands_out.any()
    assert (four.high - four.low > one.high - one.low).all()


def test_intervals_of_sums_hold_what_they_say():
    rng = np.random.default_rng(11)
    groups, draws = 40, np.tile([1, 2, 3, 5], 10)
    held = []
    for _ in range(12):
        expected = 10.0 * draws
        rate = rng.gamma(4, 0.25, groups)
        noise = [laplace(2.0, int(m), rng).sum() for m in draws]
        counts = rng.poisson(rate * expected) + np.array(noise, dtype=np.int64)
        found = reporting_rates(counts, 2.0, expected, np.zeros(groups), draws=draws)
        said = np.isfinite(found.rate)
        held.append(((found.low <= rate) & (rate <= found.high))[said].mean())
    assert 0.85 < np.mean(held) < 0.96
