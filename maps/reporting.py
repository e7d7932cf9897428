"""How many people report per expected site: rates from noised counts, the noise in the likelihood.

The noised count of a group is Y = C + N, with C Poisson(rate * E), E the group's expected sites and
N discrete Laplace with P(N = k) proportional to exp(-|k| / scale) (Ghosh, Roughgarden and
Sundararajan, SIAM J. Comput. 41 (2012) 1673-1693). The rate has a Gamma prior whose mean and
spread come from all groups, the variance of the noise taken out (`gamma_prior`), and from the
groups nearby at a discount (`maps.neighbours`); discount and dispersion are those under which
leave-one-out finds each group's noised count likeliest: a negative binomial count, convolved with
the noise. A tenth of the prior is an exponential of the same mean, so that a group unlike all the
others is believed (a robust mixture prior: Schmidli et al., Biometrics 70 (2014) 1023-1032).

The count of a union of groups is a sum of noised counts, its noise a sum of as many draws, whose
distribution is convolved exactly.

P(Y | rate) is the finite convolution over C, summed exactly; the posterior is computed
on a grid of rates, averaged over the means of twenty equally likely slices of E: the interval holds
noise, chance and doubt about E.

Fifty groups are fifty chances for noise to look like reports. So a count stands out only where
noise alone would bring one of all the release's groups that far in one release of twenty.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import csr_array
from scipy.spatial import cKDTree
from scipy.special import gammainc, gammaincinv, gammaln, logsumexp

from maps.neighbours import (
    FEWEST_PLACES,
    GammaPrior,
    Nearby,
    choose_borrowing,
    gamma_prior,
    log_negative_binomial,
)
from tiles.errors import TableError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

REACH_SCALES = 40  # noise beyond 40 scales has a chance of 4e-18: the convolution stops there
GRID_RATES = 240  # 7 to 10 decades in steps of 7 to 10 %, interpolated: finer than any interval
FEWEST_SITES = 5.0  # a rate over fewer expected sites would be a statement about particular sites
LEAST_SPREAD = 0.5  # places differ in how freely people speak: by half of the mean at least
# And from the groups around them by a third at least: however alike those are, a group where nobody
# speaks must be seen to be silent.
LEAST_OWN = 0.35
PRIOR_REPORTERS = 0.5  # a mean of no reporters at all is not believed: half a reporter in all
FALSE_GROUPS = 0.05  # groups of a whole release that noise alone may lift out, on average
EXPOSURE_SLICES = 20  # their means hold 98 % of E's variance; interval ends agree within 1 %
STEP_KM = 10.0  # the discount is per 10 km: the width of a usual group
REACH_KM = 60.0  # groups further away say no more than all groups do
MOST_JUDGED = 2_000  # groups that the choice of discount listens to; more change no interval
JUDGED_SCALES = 12  # noise beyond 12 scales (chance 6e-6) decides no choice
# A neighbour's count is believed up to five times the usual: false reporters in one group must not
# carry the rates of the groups around it.
MOST_BELIEVED = 5.0
# Of the prior lies in an exponential of the same mean: a group that is unlike all others is then
# believed, where a Gamma prior alone would draw it in (the share that Schmidli et al. use).
ROBUST_SHARE = 0.1
SURE = 1e-6  # a standard deviation below this share of the mean is none
LEAST_EXPOSURE = 1e-3  # of the mean: below, a rate could be anything, and the logarithm ends


@dataclass(frozen=True)
class Release:
    """The noised counts of one industry and period, on the groups of one partition."""

    release_id: str
    count_noised: pd.Series  # int64, by group_id
    noise_scale: float
    epsilon: float
    draws: pd.Series | None = None  # int64, by group_id: counts that each is the sum of; else one


@dataclass(frozen=True)
class Places:
    """Where groups lie, in km of the equal-area grid; arrays of one length."""

    x_km: Floats
    y_km: Floats


@dataclass(frozen=True)
class ReportingRates:
    """Reporters per expected site and period; arrays of one length, NaN where too few to say."""

    rate: Floats
    low: Floats
    high: Floats
    stands_out: npt.NDArray[np.bool_]  # noise alone does so for 0.05 groups of a release at most


def select_release(
    noised: pd.DataFrame,
    group_ids: pd.Series,
    partition_sha256: str,
    industry: str,
    period: str,
) -> Release:
    """Take the rows of a NOISED_COUNTS table that speak of this survey.

    Args:
        noised: the table as read.
        group_ids: groups of the partition in use.
        partition_sha256: SHA-256 of the partition's file.
        industry: HTCDS code of the site class.
        period: months of the survey, as 2025-11/2026-06.

    Raises:
        TableError: counts are missing or fractional, belong to another partition, name unknown or
            repeated groups, or none is of this industry and period.
    """
    _check_counts(noised)
    other = set(noised["partition_sha256"]) - {partition_sha256}
    if other:
        raise TableError(
            f"the noised counts belong to the partition {min(other)[:12]}..., this one is "
            f"{partition_sha256[:12]}...: give the partition that the release was made on."
        )
    unknown = sorted(set(noised["group_id"]) - set(group_ids))
    if unknown:
        raise TableError(f"the noised counts name a group {unknown[0]!r} that the partition lacks.")
    rows = noised[(noised["industry"] == industry) & (noised["period"] == period)]
    if rows.empty:
        found = sorted(set(zip(noised["industry"], noised["period"], strict=True)))
        raise TableError(
            f"no noised counts for {industry} in {period}, only for {found}: release that period."
        )
    if rows["group_id"].duplicated().any() or rows["release_id"].nunique() > 1:
        raise TableError(
            f"the noised counts hold {industry} in {period} more than once: give one release."
        )
    first = rows.iloc[0]
    return Release(
        str(first["release_id"]),
        rows.set_index("group_id")["count_noised"],
        float(first["noise_scale"]),
        float(first["epsilon"]),
    )


def _check_counts(noised: pd.DataFrame) -> None:
    if noised["count_noised"].isna().any() or not pd.api.types.is_integer_dtype(
        noised["count_noised"]
    ):
        raise TableError("noised counts must be whole numbers, none missing: release them again.")
    scale = noised["noise_scale"]
    if len(noised) and (scale.nunique() != 1 or not 0 < scale.iloc[0] < np.inf):
        raise TableError("noised counts need one positive noise_scale: release them again.")


def reporting_rates(
    counts: Ints,
    noise_scale: float,
    expected: Floats,
    expected_variance: Floats,
    places: Places | None = None,
    draws: Ints | None = None,
) -> ReportingRates:
    """Estimate each group's rate with its 90 % interval.

    A rate is given where at least five sites are expected and the noise does not drown the count:
    the count itself stands out of the noise of all groups, or the usual rate would give a count
    that reaches the noise's 90 % half-width.

    Args:
        counts: noised reporters, one a group of the whole release, may be negative.
        noise_scale: scale of the discrete Laplace noise, in reporters.
        expected: expected sites, positive.
        expected_variance: their variance.
        places: where the groups lie; without it no group listens to another.
        draws: noised counts that each count is the sum of; one where absent.
    """
    draws = _draws(counts, draws)
    priors = group_priors(counts, noise_scale, expected, places, draws)
    usual = _usual_rate(counts, noise_scale, expected, draws) * expected
    stands_out = counts >= reaches(noise_scale, FALSE_GROUPS / max(len(counts), 1), draws)
    sayable = (expected >= FEWEST_SITES) & (
        stands_out | (usual >= reaches(noise_scale, 0.05, draws))
    )
    rates = np.full((3, len(counts)), np.nan)
    for group in np.flatnonzero(sayable).tolist():
        exposure = exposure_nodes(float(expected[group]), float(expected_variance[group]))
        rates[:, group] = rate_posterior(
            int(counts[group]), noise_scale, exposure, _one(priors, group), int(draws[group])
        )
    return ReportingRates(rates[0], rates[1], rates[2], np.asarray(stands_out))


def _draws(counts: Ints, draws: Ints | None) -> Ints:
    return np.ones(len(counts), dtype=np.int64) if draws is None else draws


def group_priors(
    counts: Ints,
    noise_scale: float,
    expected: Floats,
    places: Places | None = None,
    draws: Ints | None = None,
) -> GammaPrior:
    """Return the prior of each group's rate: that of all groups, and what its neighbours say."""
    draws = _draws(counts, draws)
    of_all = prior_of_all(counts, noise_scale, expected, draws)
    judged = np.flatnonzero(expected >= 1)  # rates over a fraction of a site are all noise
    if places is None or len(judged) < FEWEST_PLACES:
        size = np.ones(len(counts))
        return GammaPrior(of_all.shape * size, of_all.rate * size)
    judged = judged[:: -(-len(judged) // MOST_JUDGED)]
    usual = _usual_rate(counts, noise_scale, expected, draws) * expected
    believed = np.minimum(
        counts.astype(np.float64),
        np.maximum(MOST_BELIEVED * usual, reaches(noise_scale, 0.05, draws)),
    )
    pairs = _pairs(places)

    def nearby(discount: float) -> Nearby:
        data = discount ** (pairs.data / STEP_KM)
        weights = csr_array((data, pairs.indices, pairs.indptr), shape=pairs.shape)
        return Nearby(weights @ believed, weights @ expected)

    def own_counts(prior: GammaPrior) -> Floats:
        here = GammaPrior(np.asarray(prior.shape)[judged], np.asarray(prior.rate)[judged])
        return log_predictive(counts[judged], noise_scale, expected[judged], here, draws[judged])

    borrowing = choose_borrowing(nearby, of_all, own_counts, 1 / LEAST_OWN**2)
    return borrowing.prior(of_all, nearby(borrowing.discount))


def log_predictive(
    counts: Ints,
    noise_scale: float,
    exposure: Floats,
    prior: GammaPrior,
    draws: Ints | None = None,
) -> Floats:
    """Return log P(noised count | prior): a negative binomial count and the noise, convolved."""
    draws = _draws(counts, draws)
    most = int(draws.max(initial=1))
    reach = int(np.ceil(JUDGED_SCALES * noise_scale * np.sqrt(most))) + 1
    noise = np.arange(-reach, reach + 1)
    true = counts[:, None] - noise
    each = GammaPrior(*(np.asarray(part)[:, None] for part in (prior.shape, prior.rate)))
    log_count = log_negative_binomial(np.maximum(true, 0.0), exposure[:, None], each)
    log_noise = np.array([log_noise_mass(noise_scale, int(m), reach) for m in draws])
    return np.asarray(logsumexp(np.where(true >= 0, log_count + log_noise, -np.inf), axis=1))


def _pairs(places: Places) -> csr_array:
    """Distances in km between groups that are near each other, itself left out; sparse (n, n)."""
    at = np.column_stack([places.x_km, places.y_km])
    pairs = cKDTree(at).query_pairs(REACH_KM, output_type="ndarray")
    km = np.hypot(*(at[pairs[:, 0]] - at[pairs[:, 1]]).T)
    rows, cols = (np.concatenate([pairs[:, a], pairs[:, 1 - a]]) for a in (0, 1))
    return csr_array((np.concatenate([km, km]), (rows, cols)), shape=(len(at), len(at)))


def _one(priors: GammaPrior, group: int) -> GammaPrior:
    shape, rate = (np.asarray(part)[group] for part in (priors.shape, priors.rate))
    return GammaPrior(float(shape), float(rate))


def reaches(scale: float, chance: float, draws: Ints) -> Ints:
    """Return `noise_reach` of each number of draws."""
    return np.array([noise_reach(scale, chance, int(m)) for m in draws], dtype=np.int64)


@lru_cache(maxsize=4096)
def noise_reach(scale: float, chance: float, draws: int = 1) -> int:
    """Return the smallest whole number that noise reaches, upwards, with at most this chance."""
    if draws == 1:
        q = np.exp(-1 / scale)  # P(N >= k) = q^k / (1 + q) for k >= 1
        return max(1, int(np.ceil(np.log(chance * (1 + q)) / np.log(q))))
    mass = noise_mass(scale, draws)
    at_least = np.cumsum(mass[::-1])[::-1][len(mass) // 2 + 1 :]  # of 1, 2, ...
    return 1 + int(np.searchsorted(-at_least, -chance))


def noise_variance(scale: float) -> float:
    """Variance of the discrete Laplace distribution."""
    q = float(np.exp(-1 / scale))
    return 2 * q / (1 - q) ** 2


@lru_cache(maxsize=512)
def noise_mass(scale: float, draws: int) -> Floats:
    """Return P(sum of so many draws) of every whole number that it can be; 0 is in the middle."""
    reach = int(np.ceil(REACH_SCALES * scale)) + 1
    one = np.tanh(0.5 / scale) * np.exp(-np.abs(np.arange(-reach, reach + 1)) / scale)
    mass = one
    for _ in range(draws - 1):
        mass = np.convolve(mass, one)
    return np.asarray(mass)


@lru_cache(maxsize=512)
def log_noise_mass(scale: float, draws: int, reach: int) -> Floats:
    """Return log P of the sum of so many draws, from -reach to reach."""
    noise = np.abs(np.arange(-reach, reach + 1))
    if draws == 1:
        return np.asarray(np.log(np.tanh(0.5 / scale)) - noise / scale)
    mass = noise_mass(scale, draws)
    middle = len(mass) // 2
    return np.asarray(np.log(mass[middle + np.minimum(noise, middle)]))


def likelihood(count: int, noise_scale: float, means: Floats, draws: int = 1) -> Floats:
    """Return P(noised count | Poisson mean), for an array of means of any shape."""
    mass = noise_mass(noise_scale, draws)
    reach = len(mass) // 2
    true = np.arange(max(0, count - reach), max(0, count + reach) + 1)
    noise = mass[reach + np.minimum(np.abs(true - count), reach)]
    log_poisson = np.log(means)[..., None] * true - means[..., None] - gammaln(true + 1)
    return np.asarray(np.exp(log_poisson) @ noise)


def prior_of_all(
    counts: Ints, noise_scale: float, expected: Floats, draws: Ints | None = None
) -> GammaPrior:
    """Return the distribution of rates, fitted to all groups where sites are expected."""
    some = expected >= 1  # rates over a fraction of a site are all noise
    mean = max(float(counts[some].sum()), PRIOR_REPORTERS) / max(float(expected[some].sum()), 1.0)
    per_site = 1 / expected[some]  # the weights that `gamma_prior` gives to the groups' noise
    draws_a_group = _draws(counts, draws)[some] @ per_site / max(per_site.sum(), 1e-300)
    noise = noise_variance(noise_scale) * float(draws_a_group)
    observed = counts[some].astype(np.float64)
    return gamma_prior(observed, expected[some], noise, mean, LEAST_SPREAD)


def _usual_rate(counts: Ints, noise_scale: float, expected: Floats, draws: Ints) -> float:
    """A rate that is surely usual: the median group's, or the rate of all where that is lower.

    Neither one group full of false reporters nor noise lifts it: the rate of all is that of the
    sum of counts less two standard deviations of the sum's noise.
    """
    some = expected >= 1
    if not some.any():
        return 0.0
    noise_sd = np.sqrt(draws[some].sum() * noise_variance(noise_scale))
    of_all = (counts[some].sum() - 2 * noise_sd) / expected[some].sum()
    return max(0.0, min(float(of_all), float(np.median(counts[some] / expected[some]))))


def exposure_nodes(mean: float, variance: float) -> Floats:
    """Return equally likely values that stand for a Gamma distribution of expected sites.

    They are the means of its twenty equally likely slices: the mean of a Gamma distribution up to a
    point is its incomplete Gamma function of one shape more.
    """
    if variance <= (SURE * mean) ** 2:
        return np.array([mean])
    shape = mean**2 / variance
    edges = gammaincinv(shape, np.linspace(0, 1, EXPOSURE_SLICES + 1))  # in units of the scale
    nodes = mean * EXPOSURE_SLICES * np.diff(gammainc(shape + 1, edges))
    return np.asarray(np.maximum(nodes, LEAST_EXPOSURE * mean))


def rate_posterior(
    count: int, noise_scale: float, exposure: Floats, prior: GammaPrior, draws: int = 1
) -> tuple[float, float, float]:
    """Return mean, 5 and 95 % points of a group's reporting rate.

    Args:
        count: its noised count.
        noise_scale: of the discrete Laplace noise, in reporters.
        exposure: equally likely values of its expected sites, shape (n,); see `exposure_nodes`.
        prior: what is known of its rate without its own count.
        draws: noised counts that its count is the sum of.
    """
    # From far below the prior's mean to far beyond what the count could mean.
    noise = 10 * noise_scale * np.sqrt(draws)
    top = max(100 * prior.mean, 10 * (max(count, 0) + noise + 1) / exposure.min())
    grid = np.geomspace(1e-4 * prior.mean, top, GRID_RATES)
    density = likelihood(count, noise_scale, grid[:, None] * exposure, draws).mean(axis=1)
    log_prior = np.logaddexp(
        np.log(1 - ROBUST_SHARE) + _log_gamma(grid, prior),
        np.log(ROBUST_SHARE) + _log_gamma(grid, GammaPrior(1.0, 1.0 / prior.mean)),
    )
    weight = density * np.exp(log_prior - log_prior.max())
    weight /= weight.sum()
    low, high = np.interp((0.05, 0.95), np.cumsum(weight) - weight / 2, grid)
    return float(weight @ grid), float(low), float(high)


def _log_gamma(rate: Floats, prior: GammaPrior) -> Floats:
    """Logarithm of the density of log(rate): a log grid has one power more."""
    shape, per = prior.shape, prior.rate
    return np.asarray(shape * np.log(per * rate) - per * rate - gammaln(shape))
