"""What a place's neighbours say of it: a Gamma prior from their counts, discounted by distance.

A rate has the prior Gamma(a, b) of all places. What is seen nearby is added to it at a discount, as
in a power prior (Ibrahim and Chen, Statistical Science 15 (2000) 46-60): a place j at a distance of
d steps counts d**steps of its events and of its exposure,

    shape = (a + sum_j discount**steps_ij * count_j) / dispersion
    rate  = (b + sum_j discount**steps_ij * exposure_j) / dispersion

with one discount in [0, 1) and one dispersion >= 1 for the region; discount 0 leaves the prior of
all places. Both are chosen by leave-one-out: the pair under which each place's own count, given
only the other places, is likeliest (Geisser and Eddy, JASA 74 (1979) 153-160). Places that differ
from their neighbours so widen the priors of all, and where none resembles its neighbours the
discount is 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

Floats = npt.NDArray[np.float64]

# Neighbours one step away count nothing, a fifth, ..., nine tenths; finer steps change no interval.
DISCOUNTS = (0.0, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9)
FEWEST_PLACES = 10  # below, a variance between places is guesswork and the prior says: sd = mean
DISPERSIONS = (1.0, 1.5, 2.25, 3.5, 5.0, 8.0, 12.0, 20.0)  # factors of one and a half, about


@dataclass(frozen=True)
class GammaPrior:
    """Gamma distribution of a rate: shape without unit, rate in units of exposure.

    One for all places (two numbers) or one a place (two arrays of one length).
    """

    shape: Floats | float
    rate: Floats | float

    @property
    def mean(self) -> Floats | float:
        """Mean of the rate, per unit of exposure."""
        return self.shape / self.rate


def gamma_prior(
    counts: Floats, exposure: Floats, noise_variance: float, mean: float, least_spread: float
) -> GammaPrior:
    """Fit a Gamma distribution to rates by moments (Marshall 1991), noise of the counts taken out.

    Args:
        counts: one count a place; may be fractional, and negative when noised.
        exposure: positive, one a place.
        noise_variance: of the noise that was added to each count.
        mean: mean of the rates, positive.
        least_spread: smallest standard deviation of the rates, as a share of their mean.
    """
    if len(counts) < FEWEST_PLACES:
        return GammaPrior(1.0, 1.0 / mean)
    rates = counts / exposure
    seen = np.sum(exposure * (rates - mean) ** 2) / exposure.sum()
    by_chance = mean / exposure.mean() + noise_variance * np.sum(1 / exposure) / exposure.sum()
    variance = max(float(seen - by_chance), (least_spread * mean) ** 2)
    return GammaPrior(mean**2 / variance, mean / variance)


@dataclass(frozen=True)
class Nearby:
    """Discounted sums over the neighbours of each place; arrays of one length."""

    count: Floats
    exposure: Floats


@dataclass(frozen=True)
class Borrowing:
    """How much is taken from neighbours, as chosen by leave-one-out."""

    discount: float = 0.0
    dispersion: float = 1.0
    most_shape: float = np.inf
    """Of a prior: 1 / most_shape is the least squared spread of a place round its neighbours."""

    def prior(self, of_all: GammaPrior, near: Nearby) -> GammaPrior:
        """The prior of each place, itself not counted."""
        # Noised counts can be negative in sum: nothing less than no event was seen.
        shape = of_all.shape + np.maximum(near.count, 0.0)
        rate = of_all.rate + near.exposure
        dispersion = np.maximum(self.dispersion, shape / self.most_shape)
        return GammaPrior(shape / dispersion, rate / dispersion)


def choose_borrowing(
    nearby: Callable[[float], Nearby],
    of_all: GammaPrior,
    log_predictive: Callable[[GammaPrior], Floats],
    most_shape: float = np.inf,
) -> Borrowing:
    """Return the discount and dispersion under which the places' own counts are likeliest.

    Args:
        nearby: gives the discounted sums over each place's neighbours, itself left out.
        of_all: prior of all places.
        log_predictive: log-probability of each place's own count under its prior.
        most_shape: see Borrowing.
    """
    best, borrowing = -np.inf, Borrowing(most_shape=most_shape)
    for discount in DISCOUNTS:
        near = nearby(discount)
        for dispersion in DISPERSIONS:
            tried = Borrowing(discount, dispersion, most_shape)
            score = float(np.sum(log_predictive(tried.prior(of_all, near))))
            if score > best + 1e-9:  # of equals the one that borrows least and is surest
                best, borrowing = score, tried
    return borrowing


def log_negative_binomial(counts: Floats, exposure: Floats, prior: GammaPrior) -> Floats:
    """Return log P(count | prior) of Poisson counts whose rate is Gamma; counts may be fractional.

    Gelman et al., Bayesian Data Analysis (2013), 2.6: the negative binomial distribution.
    """
    shape, rate = np.asarray(prior.shape), np.asarray(prior.rate)
    log_p = np.log(rate) - np.log(rate + exposure)
    log_q = np.log(exposure) - np.log(rate + exposure)
    choose = gammaln(shape + counts) - gammaln(shape) - gammaln(counts + 1)
    return np.asarray(choose + shape * log_p + counts * log_q)
