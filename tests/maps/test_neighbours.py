import numpy as np
import pytest
from scipy import stats

from maps.neighbours import (
    Borrowing,
    GammaPrior,
    Nearby,
    choose_borrowing,
    log_negative_binomial,
)

OF_ALL = GammaPrior(2.0, 1.0)


def line(values, discount):
    """Discounted sums over a line of places one step apart, three steps wide."""
    steps = np.abs(np.subtract.outer(np.arange(len(values)), np.arange(len(values))))
    weights = np.where((steps > 0) & (steps <= 3), float(discount) ** steps, 0.0)
    return weights @ values


def chosen(counts, exposure):
    def nearby(discount):
        return Nearby(line(counts, discount), line(exposure, discount))

    return choose_borrowing(
        nearby, OF_ALL, lambda prior: log_negative_binomial(counts, exposure, prior)
    )


def test_the_prior_is_the_stated_sum():
    prior = Borrowing(0.5, 2.0).prior(OF_ALL, Nearby(np.array([4.0, -3.0]), np.array([5.0, 6.0])))
    np.testing.assert_allclose(prior.shape, [3.0, 1.0])  # nothing less than no event was seen
    np.testing.assert_allclose(prior.rate, [3.0, 3.5])
    plain = Borrowing().prior(OF_ALL, Nearby(np.zeros(2), np.zeros(2)))
    np.testing.assert_allclose(plain.mean, OF_ALL.mean)


def test_a_least_spread_is_kept_however_much_is_borrowed():
    prior = Borrowing(0.9, 1.0, most_shape=8.0).prior(
        OF_ALL, Nearby(np.array([98.0]), np.array([49.0]))
    )
    np.testing.assert_allclose((prior.shape, prior.mean), ([8.0], [2.0]))


def test_places_that_resemble_their_neighbours_borrow_and_others_do_not():
    rng = np.random.default_rng(8)
    exposure = np.full(400, 5.0)
    smooth = 2 + 1.8 * np.sin(np.arange(400) / 12)
    alike = chosen(rng.poisson(smooth * exposure).astype(float), exposure)
    assert alike.discount >= 0.5
    unlike = chosen(rng.poisson(rng.permutation(smooth) * exposure).astype(float), exposure)
    assert unlike.discount <= 0.2


@pytest.mark.parametrize("count", [0, 3, 17])
def test_negative_binomial_is_that_of_scipy(count):
    prior = GammaPrior(2.5, 0.7)
    ours = log_negative_binomial(np.array([float(count)]), np.array([4.0]), prior)
    assert ours[0] == pytest.approx(stats.nbinom(2.5, 0.7 / 4.7).logpmf(count), abs=1e-12)
