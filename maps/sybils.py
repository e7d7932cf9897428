"""What false reporters can do: how many of them lift a quiet area among the ten most reported.

The privacy of one reporter forbids to look at reporters one by one, so nobody can be told from an
invented person; how many it takes is the honest answer. It is read off the published figures alone
(post-processing), for areas whose count does not stand out of the noise. The rates of the other
areas, and what is usual, are taken as published: a few false reporters hardly move them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from maps.reporting import (
    FALSE_GROUPS,
    FEWEST_SITES,
    Release,
    exposure_nodes,
    prior_of_all,
    rate_posterior,
    reaches,
    reporting_rates,
)
from tiles.partition import REST

TOP = 10  # what a reader of a list looks at
MOST_FALSE = 4096  # beyond this an attack is no longer a question of numbers
TRIED_AREAS = 12  # spread over all quiet areas by size, so that a page is made in a second

WIDTH_90_SD = 3.29  # standard deviations from end to end of a 90 % interval, near enough here

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FalseReporters:
    """How many false reporters lift a quiet area among the ten highest rates.

    Attributes:
        fewest: in the area where it is easiest.
        median: in the middle one of the areas tried.
        areas: how many were tried.
    """

    fewest: int
    median: int
    areas: int


def false_reporters_needed(
    counts: Ints,
    noise_scale: float,
    expected: Floats,
    expected_variance: Floats,
    top: int = TOP,
    draws: Ints | None = None,
) -> FalseReporters | None:
    """Measure it for a release, by adding false reporters to one quiet area after the other.

    Args:
        counts: noised reporters, one a group of the whole release.
        noise_scale: scale of the discrete Laplace noise, in reporters.
        expected: expected sites, positive.
        expected_variance: their variance.
        top: length of the list that is aimed at.
        draws: noised counts that each count is the sum of; one where absent.

    Returns:
        None where there are no more areas than places in the list, or no area is quiet.
    """
    draws = np.ones(len(counts), dtype=np.int64) if draws is None else draws
    reach = reaches(noise_scale, FALSE_GROUPS / max(len(counts), 1), draws)
    quiet = np.flatnonzero((counts < reach) & (expected >= FEWEST_SITES))
    if len(counts) <= top or not len(quiet):
        return None
    rates = reporting_rates(counts, noise_scale, expected, expected_variance, None, draws).rate
    prior = prior_of_all(counts, noise_scale, expected, draws)
    by_size = quiet[np.argsort(expected[quiet], kind="stable")]
    picks = np.unique(np.linspace(0, len(by_size) - 1, TRIED_AREAS).round().astype(int))
    needed = []
    for area in map(int, by_size[picks]):
        tenth = np.sort(np.nan_to_num(np.delete(rates, area), nan=0.0))[-top]
        exposure = exposure_nodes(float(expected[area]), float(expected_variance[area]))

        def is_in(
            number: int, at: int = area, to_pass: float = tenth, e: Floats = exposure
        ) -> bool:
            count = int(counts[at]) + number
            said = count >= reach[at] or bool(np.isfinite(rates[at]))
            mean = rate_posterior(count, noise_scale, e, prior, int(draws[at]))[0]
            return bool(said and mean > to_pass)

        if not is_in(0):
            needed.append(_fewest(is_in))
    return FalseReporters(min(needed), int(np.median(needed)), len(needed)) if needed else None


def false_reporters_of(release: Release, groups: pd.DataFrame) -> FalseReporters | None:
    """Measure it for a release and the GROUPS table that was made with it."""
    rows = groups[groups["group_id"].isin(release.count_noised.index)]
    rows = rows[(rows["group_id"] != REST) & (rows["expected_sites"] > 0)]
    sd = (rows["expected_high"] - rows["expected_low"]).to_numpy() / WIDTH_90_SD
    counts = release.count_noised.loc[rows["group_id"]].to_numpy(dtype=np.int64)
    return false_reporters_needed(
        counts,
        release.noise_scale,
        rows["expected_sites"].to_numpy(dtype=np.float64),
        sd**2,
        draws=None
        if release.draws is None
        else release.draws.loc[rows["group_id"]].to_numpy(dtype=np.int64),
    )


def _fewest(works: Callable[[int], bool]) -> int:
    """The smallest number that works, by doubling and halving; more always works as well."""
    high = 1
    while high < MOST_FALSE and not works(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if works(middle) else (middle, high)
    return high
