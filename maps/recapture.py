"""How many sites there are, from two lists that know nothing of each other (capture-recapture).

Of n1 real sites that a survey found and n2 that an independent list holds, m are in both: the list
says which share of all sites the survey finds. Chapman's estimator (n1 + 1)(n2 + 1) / (m + 1) - 1
(Univ. Calif. Publ. Stat. 1 (1951) 131-160) holds only if being listed and being found are
independent. They are not where the list taught the detector, so such a list is refused; and where
big, bare kilns are easier for both, the figure is too low, which is said.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from maps.expected import COUNTED_FROM, Estimate
from tiles.cells import CellGrid
from tiles.errors import ConfigError

Floats = npt.NDArray[np.float64]

BLOCK_M = 10_000  # sites and lists both vary by neighbourhood
DRAWS = 2_000  # bootstrap; the ends of a 90 % interval are good to a hundredth then
SEED = 8
FEWEST_BLOCKS = 6  # of fewer, drawing blocks anew says next to nothing of how they differ
FEWEST_MATCHED = 7  # under that Chapman's estimator is biased low (Robson and Regier, 1964)
WORD = re.compile(r"[A-Za-z][A-Za-z0-9]{3,}")
# Words of names of lists that tell none from another.
COMMON = frozenset({"india", "labels", "kiln", "kilns", "brick", "sites", "registered", "manual"})


@dataclass(frozen=True)
class Counts:
    """Real sites on the ground that was searched; intervals of 90 %.

    Attributes:
        total: All sites.
        recall: Share of them that the survey found.
        listed: Share of them that the list holds.
        matched: Sites in both.
    """

    total: Estimate
    recall: Estimate
    listed: Estimate
    matched: int


def check_independent(
    sources: Sequence[str], trained_on: Sequence[str], trained_here: Sequence[str]
) -> None:
    """Refuse a list that the detector has learnt from, or ground that it has learnt on.

    Args:
        sources: Names of where the list's positions come from.
        trained_on: The credits of the weights' card.
        trained_here: Training places of the card that lie in the region.

    Raises:
        ConfigError: the two are not independent.
    """
    taught = {word.lower() for credit in trained_on for word in WORD.findall(credit)}
    for source in sources:
        words = {word.lower() for word in WORD.findall(source)} - COMMON
        if words & taught:
            raise ConfigError(
                f"the list's source {source!r} is among what the weights were trained on: what a "
                "detector learnt from it finds again, so no count can follow; give another list."
            )
    if trained_here:
        raise ConfigError(
            f"the weights were trained in {trained_here[0]}, inside this region: they find best "
            "what they were shown, so no count can follow; use weights that never saw it."
        )


def count_sites(table: pd.DataFrame, share_real: float) -> Counts:
    """Estimate the number of sites from a comparison with an independent list.

    Args:
        table: A COMPARISON table against a list.
        share_real: Share of the listed places that are real sites.

    Raises:
        ConfigError: too few places are in both, or they lie on too little land to resample.
    """
    seen = table[table["seen_first"]].reset_index(drop=True)
    counted = seen["p_first"].to_numpy(float) >= COUNTED_FROM
    matched = ((seen["status"] == "matched").to_numpy() & counted).astype(float)
    if matched.sum() < FEWEST_MATCHED:
        raise ConfigError(
            f"only {matched.sum():.0f} places are in both lists: at least {FEWEST_MATCHED} are "
            "needed to count by; take a larger region or list."
        )
    found = np.where(counted, seen["p_first"].to_numpy(float), 0.0)
    # what an independent list holds too is real, however unsure the detector was
    found = np.maximum(found, matched)
    listed = seen["second_id"].notna().to_numpy(float) * share_real
    listed = np.maximum(listed, matched)
    sums = _block_sums(seen, np.stack([found, listed, matched]))
    if sums.shape[1] < FEWEST_BLOCKS:
        raise ConfigError(
            f"the places lie in {sums.shape[1]} squares of {BLOCK_M // 1000} km: at least "
            f"{FEWEST_BLOCKS} are needed to say how sure a count is; take a larger region or list."
        )
    drawn = _draws(sums)
    total = _chapman(drawn)
    return Counts(
        total=_estimate(_chapman(sums.sum(axis=1)), total),
        recall=_estimate(_share(sums.sum(axis=1), 0), _share(drawn, 0)),
        listed=_estimate(_share(sums.sum(axis=1), 1), _share(drawn, 1)),
        matched=int(matched.sum()),
    )


def _block_sums(places: pd.DataFrame, values: Floats) -> Floats:
    """Sums (3, blocks) of values (3, n) over blocks of land."""
    down, right = CellGrid(BLOCK_M).cells_at(
        places["lon"].to_numpy(float), places["lat"].to_numpy(float)
    )
    _, block = np.unique(np.stack([down, right], axis=1), axis=0, return_inverse=True)
    return np.stack([np.bincount(block.reshape(-1), row) for row in values])


def _draws(sums: Floats) -> Floats:
    """Totals (3, draws) of blocks drawn with replacement."""
    n = sums.shape[1]
    drawn = np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), size=DRAWS)
    return np.asarray(sums @ drawn.T)


def _chapman(totals: Floats) -> Floats:
    found, listed, both = totals
    return np.asarray((found + 1) * (listed + 1) / (both + 1) - 1)


def _share(totals: Floats, of: int) -> Floats:
    """Share of all sites in the survey (0) or the list (1): how much of the other it holds."""
    return np.asarray((totals[2] + 1) / (totals[1 - of] + 1))


def _estimate(value: Floats, drawn: Floats) -> Estimate:
    low, high = np.quantile(drawn, [0.05, 0.95])
    return Estimate(float(value), float(low), float(high))
