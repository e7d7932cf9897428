import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.reports.noise import Noise
from tiles.errors import ReleaseError


@given(epsilon=st.floats(0.001, 8))
def test_opendp_proves_the_epsilon_that_is_claimed(epsilon):
    noise = Noise.of(epsilon, 1)
    assert noise.measurement.map(d_in=1) <= epsilon
    assert noise.scale == pytest.approx(1 / epsilon, rel=1e-12)  # and no more noise than needed


def test_rounding_is_met_by_a_wider_scale_not_a_wider_claim():
    # 1 / 0.7 rounds down, and OpenDP's map of it says 0.7000000000000001
    assert Noise.of(0.7, 1).scale > 1 / 0.7


def test_noise_is_the_discrete_laplace_of_the_scale():
    draws = Noise.of(1.0, 1).add([0] * 40_000)
    share = {x: draws.count(x) / len(draws) for x in range(-3, 4)}
    step = math.exp(-1.0)
    for x, seen in share.items():
        expected = (1 - step) / (1 + step) * step ** abs(x)
        assert seen == pytest.approx(expected, abs=6 * math.sqrt(expected / len(draws)))
    assert min(draws) < -5  # signed, not clamped
    assert all(type(n) is int for n in draws)


def test_large_counts_stay_exact_integers():
    (noised,) = Noise.of(8.0, 1).add([2**53 + 1])
    assert abs(noised - (2**53 + 1)) < 20


def test_a_scale_that_is_too_small_draws_nothing():
    honest = Noise.of(1.0, 1)
    cheat = Noise(0.5, 1, honest.scale, honest.measurement)
    with pytest.raises(ReleaseError, match="too small"):
        cheat.add([0])


def test_an_epsilon_that_opendp_cannot_serve_is_refused():
    with pytest.raises(ReleaseError, match="accepts no noise"):
        Noise.of(5e-324, 1)
