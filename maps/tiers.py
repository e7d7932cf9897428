"""The groups of each tier: a partner's are the partition's own, the public's are unions of them.

A release is drawn once, on the partition's groups. Noise cannot be taken out again, so no tier can
be finer than they are; a wider group has the sum of their noised counts, and nothing is drawn anew.
Whoever holds both tiers, of all periods, holds sums of the released counts and nothing else: a
public group is a union of partner groups, so the places that comparing them could single out are
those of the partition alone (`tiles.partition_versions` keeps these at k).

Reviewers say which detections are no site. A group was found to hold k real sites with those among
them, so each one rejected is taken off before k is held against it: a group that then falls under k
is joined with others in its square, in both tiers, and has no figure of reports where none is left.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import geopandas as gpd
import numpy as np
import pandas as pd

from maps.facts import Tier
from maps.reporting import Release
from tiles.cells import Cell, join_cells
from tiles.partition import K_SITES, MAX_SIZE_M, REST

# The public has twice the partners' k where a square of 40 km allows it: whoever signed nothing
# gets figures that speak of twice as many places.
PUBLIC_K_FACTOR = 2
NO_SITE = ("rejected", "wrong_class")  # what a reviewer calls a detection that is no such site


@dataclass(frozen=True)
class _Union:
    """Whole groups of the partition, taken together.

    Attributes:
        members: their names, in the partition's order.
        cells: their cells, sorted.
        sure: real sites that it holds with nine chances in ten: the most of any member, since the
            chances of several bounds to hold at once multiply.
        about: the sum of the members' bounds, for the public's wider groups, which are no promise.
    """

    members: tuple[str, ...]
    cells: tuple[Cell, ...]
    sure: int
    about: int

    def __add__(self, other: "_Union") -> "_Union":
        return _Union(
            self.members + other.members,
            tuple(sorted(self.cells + other.cells)),
            max(self.sure, other.sure),
            self.about + other.about,
        )


def tier_partition(
    partition: gpd.GeoDataFrame, sites: pd.DataFrame, tier: Tier, k: int = K_SITES
) -> gpd.GeoDataFrame:
    """Return a tier's groups: unions of whole groups of a partition.

    Args:
        partition: a PARTITION table.
        sites: the survey's sites: cell_id and review_status.
        tier: whose groups.
        k: real sites that a group with a figure of reports must hold.

    Returns:
        One row a group, in the partition's order of their first members: group_id, members (names
        of the partition's groups), cell_ids, k_lower (less what was rejected), released, area_km2,
        and the whole cells, joined.
    """
    units = _units(partition, sites)
    may = partition["released"].to_numpy(dtype=bool) & (partition["group_id"] != REST).to_numpy()
    wholes = _joined((unit for unit, ok in zip(units, may, strict=True) if ok), _under(k))
    if tier == "public":
        wholes = _joined(wholes, lambda union: union.about < PUBLIC_K_FACTOR * k)
    kept = [unit for unit, ok in zip(units, may, strict=True) if not ok]
    place = {str(name): at for at, name in enumerate(partition["group_id"])}
    unions = [
        replace(union, members=tuple(sorted(union.members, key=place.__getitem__)))
        for union in (*wholes, *kept)
    ]
    return _frame(sorted(unions, key=lambda union: place[union.members[0]]), partition, k)


def _under(k: int) -> Callable[[_Union], bool]:
    return lambda union: union.sure < k


def _units(partition: gpd.GeoDataFrame, sites: pd.DataFrame) -> list[_Union]:
    rejected = Counter(sites.loc[sites["review_status"].isin(NO_SITE), "cell_id"])
    units = []
    for name, cell_ids, k_lower in zip(
        partition["group_id"], partition["cell_ids"], partition["k_lower"], strict=True
    ):
        holds = max(0, int(k_lower) - sum(rejected[str(cell_id)] for cell_id in cell_ids))
        cells = tuple(sorted(Cell.parse(str(cell_id)) for cell_id in cell_ids))
        units.append(_Union((str(name),), cells, holds, holds))
    return units


def _joined(units: Iterable[_Union], small: Callable[[_Union], bool]) -> list[_Union]:
    """Join each small union with the smallest other one in its square, from 10 to 40 km."""
    unions = list(units)
    size_m = unions[0].cells[0].size_m if unions else MAX_SIZE_M
    while size_m < MAX_SIZE_M:
        size_m *= 2
        squares: dict[Cell | None, list[_Union]] = defaultdict(list)
        for union in unions:
            squares[_square(union.cells, size_m)].append(union)
        unions = squares.pop(None, [])  # wider than this square
        for members in squares.values():
            unions += _join_in_square(members, small)
    return unions


def _join_in_square(members: list[_Union], small: Callable[[_Union], bool]) -> list[_Union]:
    def by_size(union: _Union) -> tuple[int, int, tuple[Cell, ...]]:
        return (union.sure, union.about, union.cells)

    left = sorted(members, key=by_size)
    while len(left) > 1 and any(small(union) for union in left):
        first = next(union for union in left if small(union))
        left.remove(first)
        left[0] = first + left[0]
        left.sort(key=by_size)
    return left


def _square(cells: tuple[Cell, ...], size_m: int) -> Cell | None:
    """The square of this width that holds all the cells, if one does."""
    parents = {cell.parent(size_m // cell.size_m) for cell in cells}
    return parents.pop() if len(parents) == 1 else None


def _frame(unions: list[_Union], partition: gpd.GeoDataFrame, k: int) -> gpd.GeoDataFrame:
    of_group = partition.set_index("group_id")
    cells_of_square = Counter(
        Cell.parse(str(cell_id)).parent(size_m // Cell.parse(str(cell_id)).size_m)
        for cell_ids in partition["cell_ids"]
        for cell_id in cell_ids
        for size_m in _sizes_m(str(cell_id))
    )
    names = [_name(union, cells_of_square) for union in unions]
    released = [
        all(bool(of_group["released"][m]) for m in union.members) and union.sure >= k
        for union in unions
    ]
    cell_ids = [[cell.cell_id for cell in union.cells] for union in unions]
    return gpd.GeoDataFrame(
        {
            "group_id": pd.Series(names, dtype=object),
            "members": [list(union.members) for union in unions],
            "cell_ids": cell_ids,
            "k_lower": np.array([union.sure for union in unions], dtype=np.int64),
            "released": np.array(released, dtype=np.bool_),
            "area_km2": [
                float(of_group.loc[list(union.members), "area_km2"].sum()) for union in unions
            ],
        },
        geometry=gpd.GeoSeries([join_cells(ids) for ids in cell_ids], crs="EPSG:4326"),
    )


def _sizes_m(cell_id: str) -> list[int]:
    size_m = Cell.parse(cell_id).size_m
    return [size for size in (2 * size_m, 4 * size_m, 8 * size_m) if size <= MAX_SIZE_M]


def _name(union: _Union, cells_of_square: Counter[Cell]) -> str:
    """A group's own name; of a union the square it fills, or its first member and how many more.

    Two tiers must not call different ground by one name.
    """
    if len(union.members) == 1:
        return union.members[0]
    for size_m in _sizes_m(union.cells[0].cell_id):
        square = _square(union.cells, size_m)
        if square is not None and cells_of_square[square] == len(union.cells):
            return square.cell_id
    return f"{union.members[0]}_and_{len(union.members) - 1}"


def tier_release(release: Release | None, groups: gpd.GeoDataFrame) -> Release | None:
    """Return a release on a tier's groups: sums of its noised counts, nothing drawn anew.

    Args:
        release: on the groups of the partition.
        groups: what `tier_partition` returns.
    """
    if release is None:
        return None
    known = set(release.count_noised.index)
    sums, draws = {}, {}
    for name, members, may in zip(
        groups["group_id"], groups["members"], groups["released"], strict=True
    ):
        if may and known.issuperset(members):
            sums[name] = int(release.count_noised.loc[members].sum())
            draws[name] = len(members)
    return Release(
        release.release_id,
        pd.Series(sums, dtype="int64"),
        release.noise_scale,
        release.epsilon,
        pd.Series(draws, dtype="int64"),
    )
