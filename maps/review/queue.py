"""What to ask next: the most useful places, the highest ranked, and the audit sample, apart.

Three reasons to look at a place want three orders. What teaches the detector most is what it cannot
tell; what will be published first must be seen first; and an audit sample must be asked whole and
as it was drawn, or its estimates lean. The queue deals from the three in turn, and each place bears
the one reason it was asked for. A place that was drawn for the audit is asked as such only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tiles.matching import match_places

Floats = npt.NDArray[np.float64]

USEFUL, RANKED, AUDIT, POINTS, DISPUTED = "useful", "ranked", "audit", "points", "disputed"
# Useful by what a second run says: given the score its answers are unlike others', so that they
# are kept apart from what a survey is calibrated by.
COMPARED = "compared"
# Of every ten places: as many of the most useful as of the highest ranked, and a fifth of audit.
SHARES = {RANKED: 0.4, USEFUL: 0.4, COMPARED: 0.4, AUDIT: 0.2}
SAME_SITE_M = 60.0  # of two runs; the merge radius of kilns, as within one run
UNFAMILIAR_WORTH = 0.5  # half of a coin toss: imagery unlike the training's says the score may lie
# Ten kilns of one brick field teach little more than two: each next one of a cell counts less.
NEXT_OF_CELL = 0.8


@dataclass(frozen=True)
class Usefulness:
    """What a person's look at each site would teach, and in words why.

    Attributes:
        worth: 0 and up; uncertainty in bits, plus how far two runs differ, plus unfamiliar imagery.
        why: one sentence a site.
    """

    worth: Floats
    why: list[str]


def usefulness(sites: pd.DataFrame, other_p: Floats | None = None) -> Usefulness:
    """Say what a look at each site would teach.

    Uncertainty is the entropy of p_site in bits (Lewis and Gale, SIGIR 1994: uncertainty
    sampling); two runs disagree by the difference of their probabilities (query by committee,
    Seung, Opper and Sompolinsky, COLT 1992).

    Args:
        sites: p_site, unfamiliar.
        other_p: p_site of the same places in a second run, 0 where it has none.
    """
    p = np.clip(sites["p_site"].to_numpy(float), 1e-9, 1 - 1e-9)
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    unfamiliar = sites["unfamiliar"].to_numpy(bool)
    apart = np.zeros(len(p)) if other_p is None else np.abs(p - other_p)
    why = [
        _why(one_p, odd, None if other_p is None else other_p[at])
        for at, (one_p, odd) in enumerate(zip(p, unfamiliar, strict=True))
    ]
    return Usefulness(entropy + apart + UNFAMILIAR_WORTH * unfamiliar, why)


def probability_elsewhere(sites: pd.DataFrame, other: pd.DataFrame) -> Floats:
    """The p_site of each site in another run; 0 where that found nothing within 60 m."""
    found = np.zeros(len(sites))
    pairs = match_places(sites, other, SAME_SITE_M)
    found[pairs.first] = other["p_site"].to_numpy(float)[pairs.second]
    return found


def spread_order(worth: Floats, cells: Sequence[str]) -> npt.NDArray[np.int64]:
    """Positions, most worth first, each further one of a cell counting four fifths of the last.

    Ties go by position, so that the same input gives the same order.
    """
    first = np.lexsort((np.arange(len(worth)), -worth))
    taken: dict[str, int] = {}
    discounted = np.zeros(len(worth))
    for at in first:  # within a cell the order cannot change, so one pass tells each its place
        nth = taken.get(cells[at], 0)
        taken[cells[at]] = nth + 1
        discounted[at] = worth[at] * NEXT_OF_CELL**nth
    return np.lexsort((np.arange(len(worth)), -discounted))


def deal(queues: Mapping[str, Sequence[str]], n: int | None = None) -> list[tuple[str, str]]:
    """Deal names from several queues in turn, by SHARES, each name once.

    Args:
        queues: names of places by queue, best first. Names in the audit are dealt from it alone.
        n: how many; None for all.

    Returns:
        (name, queue), in the order in which to ask.
    """
    audit = set(queues.get(AUDIT, ()))
    left = {
        queue: [name for name in names if queue == AUDIT or name not in audit][::-1]
        for queue, names in queues.items()
    }
    dealt = dict.fromkeys(left, 0)
    seen: set[str] = set()
    order: list[tuple[str, str]] = []
    while (n is None or len(order) < n) and any(left.values()):
        queue = max((name for name in left if left[name]), key=lambda name: _due(name, dealt[name]))
        name = left[queue].pop()
        if name not in seen:
            seen.add(name)
            dealt[queue] += 1
            order.append((name, queue))
    return order


def _due(queue: str, dealt: int) -> float:
    return SHARES.get(queue, 1.0) / (dealt + 1)


def _why(p: float, unfamiliar: bool, elsewhere: float | None) -> str:
    parts = []
    if elsewhere is not None and abs(p - elsewhere) > 0.3:
        found = "found nothing here" if elsewhere == 0 else f"gave it {elsewhere:.0%}"
        parts.append(f"the other run {found}")
    if unfamiliar:
        parts.append("the imagery here is unlike what the detector learned from")
    if not parts or 0.2 < p < 0.8:
        parts.append("the detector cannot tell" if 0.2 < p < 0.8 else "to learn from")
    return "; ".join(parts)
