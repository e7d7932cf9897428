"""Which sites a short list holds: the best, a floor for every district, a random sample.

A ranked list that learns only from its own visits never finds out what it misses. So a share of it
is drawn at random from all sites, with known probabilities, before the best are taken; every area
keeps a floor of its own best; and the team cannot see which are which.
"""

import heapq
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tiles.cells import Cell

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RANKED, FLOOR, RANDOM, NOT_LISTED = "ranked", "floor", "random", "not_listed"
# Of any beginning of the operator's order one place in 25 at most goes to one group: its reports
# speak of the group, not of each site in it, and no group full of false reporters takes the list.
PLACES_APART = 25
AREA_FACTOR = 8  # 40 km squares stand for districts where none are given


@dataclass(frozen=True)
class Choice:
    """A list: arrays in the order of the sites it was chosen from."""

    place: Floats  # 1 first; NaN: not in the list
    selection: npt.NDArray[np.str_]
    random_probability: Floats  # of being drawn into the random part; 1 where all are listed


def choose_list(
    sites: pd.DataFrame,
    areas: "pd.Series[str]",
    size: int | None,
    random_share: float,
    area_floor: int,
    seed: int,
) -> Choice:
    """Choose a team's list from ranked sites.

    First the random sample, `random_share` of the list, drawn with probabilities in proportion to
    p_site (systematic sampling in random order; Madow, Ann. Math. Stat. 20 (1949) 333-354). Then
    the best `area_floor` sites of every area, round by round, the best areas first, with at most
    half of the places that are left; then the best of all. The best keep their order; the sampled
    ones stand at places drawn at random among them.

    Args:
        sites: a SITES table in order of rank: p_site.
        areas: area of each site, in the same order.
        size: places in the list; None for all sites, which needs no sample and no floor.
        random_share: of the places, 0.1 to 0.2.
        area_floor: sites that every area keeps, as far as it has so many.
        seed: of the sample and its places.
    """
    count = len(sites)
    if size is None or size >= count:
        return Choice(np.arange(1.0, count + 1), np.full(count, RANKED), np.ones(count))
    rng = np.random.default_rng(seed)
    chance = inclusion_probabilities(sites["p_site"].to_numpy(), round(size * random_share))
    drawn = _systematic(chance, rng)
    selection = np.full(count, NOT_LISTED, dtype="<U10")
    selection[drawn] = RANDOM
    room = size - len(drawn)
    floor = _floors(areas.to_numpy(), selection == NOT_LISTED, area_floor, room // 2)
    selection[floor] = FLOOR
    best = np.flatnonzero(selection == NOT_LISTED)[: room - len(floor)]
    selection[best] = RANKED
    return Choice(_places(selection, rng), selection, chance)


def inclusion_probabilities(size: Floats, n: int) -> Floats:
    """Return probabilities in proportion to `size` that sum to n, none above 1."""
    chance = np.zeros(len(size))
    sure = np.zeros(len(size), dtype=np.bool_)
    while n > sure.sum():
        rest = size * ~sure
        if not rest.sum() > 0:
            break
        chance = np.where(sure, 1.0, rest * (n - sure.sum()) / rest.sum())
        if not (chance > 1).any():
            break
        sure |= chance >= 1
        chance = np.minimum(chance, 1.0)
    return chance


def _systematic(chance: Floats, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """One systematic sample in random order; each unit enters with its own probability."""
    order = rng.permutation(len(chance))
    reached = np.floor(np.cumsum(chance[order]) + rng.uniform() + 1e-9)
    return np.sort(order[np.diff(reached, prepend=0.0) > 0])


def _floors(
    areas: npt.NDArray[np.object_], free: npt.NDArray[np.bool_], floor: int, room: int
) -> Ints:
    """The best `floor` free sites of every area, the first of each before the second of any."""
    at = np.flatnonzero(free)
    nth = pd.Series(areas[at]).groupby(areas[at]).cumcount().to_numpy()
    wanted = at[nth < floor]
    by_round = np.argsort(nth[nth < floor], kind="stable")
    return np.asarray(wanted[by_round][:room], dtype=np.int64)


def _places(selection: npt.NDArray[np.str_], rng: np.random.Generator) -> Floats:
    """Number the list: sites by rank keep their order, sampled ones stand anywhere among them."""
    place = np.full(len(selection), np.nan)
    drawn, rest = selection == RANDOM, np.isin(selection, [RANKED, FLOOR])
    numbers = rng.permutation(np.arange(1, drawn.sum() + rest.sum() + 1))
    place[drawn] = numbers[: drawn.sum()]
    place[rest] = np.sort(numbers[drawn.sum() :])
    return place


def spread_groups(rank: Ints, groups: pd.Series) -> Ints:
    """Return places in the order of rank of which no group takes more than one in 25.

    The n-th site of a group waits for place 25 (n - 1) + 1; where nothing but waiting sites is
    left, the one that has waited for the earliest place comes next. Sites in no group never wait.
    """
    order = np.argsort(rank, kind="stable")
    number = pd.factorize(groups.iloc[order])[0]
    opens = pd.Series(number).groupby(number).cumcount().to_numpy() * PLACES_APART
    opens[number < 0] = 0
    waiting = sorted(zip(opens.tolist(), range(len(order)), strict=True))
    place = np.empty(len(order), dtype=np.int64)
    ready: list[int] = []
    taken = 0
    for now in range(len(order)):
        while taken < len(waiting) and (waiting[taken][0] <= now or not ready):
            heapq.heappush(ready, waiting[taken][1])
            taken += 1
        place[order[heapq.heappop(ready)]] = now + 1
    return place


def squares(cell_ids: pd.Series) -> "pd.Series[str]":
    """Return the 40 km square of each cell: what stands for a district where none are given."""
    named = {
        cell_id: Cell.parse(str(cell_id)).parent(AREA_FACTOR).cell_id
        for cell_id in cell_ids.unique()
    }
    return cell_ids.map(named)
