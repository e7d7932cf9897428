"""A new version of a partition joins groups of the earlier ones, or it is refused.

Releases of several periods, on several versions, can be intersected: who knows that somebody
reported in both periods looks where a group of the one meets a group of the other. They can also
be subtracted: where the same people report again, the count of a wide group less that of a finer
one is about what came from the difference. Whatever sums and differences of groups of all versions
an attacker forms, the set of cells is a union of *atoms*: the largest sets of cells that no group
of any version parts (the common refinement). So a version is safe beside the earlier ones if each
atom that any version releases holds what a group must, or was released as a group before anyway.
A version that releases nothing is always safe.
"""

from collections import defaultdict
from collections.abc import Sequence

import geopandas as gpd
import pandas as pd

from tiles.cells import Cell
from tiles.errors import RegionError, TableError
from tiles.partition import (
    REST,
    USUAL_RULE,
    Ground,
    Group,
    Rule,
    ground_of,
    join_units,
    partition_frame,
)

Cells = tuple[Cell, ...]
Released = dict[str, Cells]  # cells of each group that can be released, by its name


def released_cells(version: gpd.GeoDataFrame) -> Released:
    """Return what a partition releases."""
    released = version[version["released"]]
    return {
        str(name): tuple(sorted(Cell.parse(str(cell_id)) for cell_id in cell_ids))
        for name, cell_ids in zip(released["group_id"], released["cell_ids"], strict=True)
    }


def atoms(versions: Sequence[Released]) -> list[Cells]:
    """Return the common refinement of the released groups of all versions, sorted.

    Cells that no version releases form no atom: no sum of published counts says anything of them.
    """
    membership: dict[Cell, list[tuple[int, str]]] = defaultdict(list)
    for number, version in enumerate(versions):
        for name, cells in version.items():
            for cell in cells:
                membership[cell].append((number, name))
    parts: dict[tuple[tuple[int, str], ...], list[Cell]] = defaultdict(list)
    for cell, groups in membership.items():
        parts[tuple(groups)].append(cell)
    return sorted(tuple(sorted(cells)) for cells in parts.values())


def unsafe_atoms(
    new: Released, earlier: Sequence[Released], ground: Ground, rule: Rule
) -> list[Cells]:
    """Return the places that comparing the new version with the earlier ones would single out.

    Args:
        new: a version.
        earlier: every version that counts were ever released on.
        ground: sites and people as known now.
        rule: what a group must hold.
    """
    known = {cells for version in earlier for cells in version.values()}
    every = atoms([*earlier, new])
    return [cells for cells in every if cells not in known and not ground.holds(cells, rule)]


def next_version(
    sites: pd.DataFrame,
    cells: pd.DataFrame,
    earlier: Sequence[gpd.GeoDataFrame],
    rule: Rule = USUAL_RULE,
) -> gpd.GeoDataFrame:
    """Build the version after `earlier` from what is known now: groups are joined, never cut.

    Groups of the last version that no longer hold what they must are joined within the next wider
    square that does, and go to the rest where none does. Ground that was not released before forms
    groups of its own if the check allows it.

    Args:
        sites: as `build_partition` takes them.
        cells: the region's cells, likewise; all cells of the last version among them.
        earlier: every version that counts were ever released on, oldest first.
        rule: what a group must hold.

    Raises:
        RegionError: a cell of the last version is missing from the region.
        TableError: every way to join the groups would single out a place that holds too little.
    """
    ground = ground_of(sites, cells)
    _check_same_ground(ground, earlier[-1])
    before = [released_cells(version) for version in earlier]
    for groups in _candidates(ground, before[-1], rule):
        released = {str(at): group.cells for at, group in enumerate(groups) if group.released}
        # what releases nothing tells nothing, whatever became of the places of earlier versions
        if not released or not unsafe_atoms(released, before, ground, rule):
            return partition_frame(ground, groups)
    raise TableError(
        "no new version of the partition is safe beside the earlier ones (their intersections "
        "would single out places with too few sites): keep the earlier one."
    )


def _candidates(ground: Ground, last: Released, rule: Rule) -> list[list[Group]]:
    """Ways to go on from the last version, the most telling first, the safest last."""
    kept = {name: cells for name, cells in last.items() if name != REST}
    joined, dropped = join_units(ground, kept.values(), rule)
    taken = {cell for cells in kept.values() for cell in cells}
    idle = [(cell,) for cell in ground.area_km2 if cell not in taken]
    promoted, left = join_units(ground, idle, rule)
    ways: list[list[Group]] = []
    for groups, rest in (
        (joined + promoted, dropped + left),
        (joined, dropped + [cell for (cell,) in idle]),
    ):
        ordered = sorted(groups, key=lambda group: (group.square or group.cells[0], group.cells))
        for released in (True, False) if ground.holds(rest, rule) else (False,):
            last_group = [Group(None, tuple(sorted(rest)), whole=True, released=released)]
            ways.append([*ordered, *(last_group if rest else [])])
    return ways


def _check_same_ground(ground: Ground, last: gpd.GeoDataFrame) -> None:
    missing = [
        str(cell_id)
        for cell_ids in last["cell_ids"]
        for cell_id in cell_ids
        if Cell.parse(str(cell_id)) not in ground.area_km2
    ]
    if missing:
        raise RegionError(
            f"cell {missing[0]} of the earlier partition lies outside the region: a new version "
            "must hold every cell of the earlier one; widen the region."
        )
