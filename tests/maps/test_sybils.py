import numpy as np
import pytest

from maps.reporting import noise_reach, reporting_rates
from maps.sybils import FalseReporters, false_reporters_needed

N_AREAS = 40


@pytest.fixture(scope="module")
def release():
    """Forty areas of about ten sites; in fifteen many people speak, elsewhere few."""
    rng = np.random.default_rng(8)
    expected = rng.uniform(6, 15, N_AREAS)
    rate = np.where(np.arange(N_AREAS) < 15, 1.5, 0.1)
    q = np.exp(-1.0)
    noise = rng.geometric(1 - q, N_AREAS) - rng.geometric(1 - q, N_AREAS)
    counts = (rng.poisson(rate * expected) + noise).astype(np.int64)
    return counts, 1.0, expected, (0.2 * expected) ** 2


def test_the_number_found_lifts_an_area_and_one_fewer_does_not(release):
    counts, scale, expected, variance = release
    found = false_reporters_needed(*release)
    assert 5 <= found.fewest <= found.median <= 60
    assert found.areas == 12

    def rank(area, false):
        lifted = counts.copy()
        lifted[area] += false
        rates = np.nan_to_num(reporting_rates(lifted, scale, expected, variance).rate, nan=-1)
        return int((rates > rates[area]).sum())

    quiet = np.flatnonzero(counts < noise_reach(scale, 0.05 / N_AREAS))
    # estimated with everything anew, a few more do lift some area, and half as many lift none
    assert any(rank(area, found.fewest + 3) < 10 for area in quiet)
    assert not any(rank(area, found.fewest // 2) < 10 for area in quiet[::4])


def test_more_reporters_make_it_harder(release):
    counts, scale, expected, variance = release
    usual = false_reporters_needed(*release)
    busy = false_reporters_needed(counts * 4, scale, expected, variance)
    assert busy.median > usual.median


def test_a_list_that_shows_every_area_cannot_be_climbed(release):
    counts, scale, expected, variance = (part[:10] if np.ndim(part) else part for part in release)
    assert false_reporters_needed(counts, scale, expected, variance) is None
    assert FalseReporters(1, 2, 3).fewest == 1
