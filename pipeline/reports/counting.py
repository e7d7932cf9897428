"""From reports to the exact vector, bounded so that one person moves it by a known amount."""

import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import geopandas as gpd

from pipeline.reports.intake import Report
from tiles.cells import Cell, CellGrid
from tiles.errors import ReleaseError

# Entries of the vector that one id of a reporter may raise, each by one (L1). Somebody whose ids in
# several sources cannot be linked counts once in each: `sensitivity` multiplies.
CONTRIBUTION_BOUND = 1

Choose = Callable[[Sequence[int]], int]
Below = Callable[[int], int]


@dataclass(frozen=True)
class Entry:
    """One place of the vector: a group of cells and an industry."""

    group_id: str
    industry: str


@dataclass(frozen=True)
class Layout:
    """The vector's entries in order, fixed by the partition and a list before any report is read.

    The group "rest" has an entry only where all of it together holds what a group must: then it is
    a group like the others, only wide. Otherwise there is none, and no total over the region
    either, since the total less the groups would be the rest.
    """

    entries: tuple[Entry, ...]
    cell_size_m: int
    group_of_cell: Mapping[str, str]

    @classmethod
    def of(cls, partition: gpd.GeoDataFrame, industries: Sequence[str]) -> "Layout":
        """Take every group that can be released times every industry.

        Raises:
            ReleaseError: no group of the partition can be released.
        """
        released = partition[partition["released"]]
        if released.empty:
            raise ReleaseError(
                "no group of the partition holds enough sites, so there is nothing to release: "
                "survey a larger region."
            )
        group_of_cell = {
            str(cell_id): str(group_id)
            for group_id, cell_ids in zip(released["group_id"], released["cell_ids"], strict=True)
            for cell_id in cell_ids
        }
        entries = tuple(
            Entry(str(group_id), industry)
            for group_id in released["group_id"]
            for industry in industries
        )
        return cls(entries, Cell.parse(next(iter(group_of_cell))).size_m, group_of_cell)

    def indices_of(self, reports: Sequence[Report]) -> list[int | None]:
        """Return the entry of each report, None where no group can be released."""
        if not reports:
            return []
        index_of = {entry: index for index, entry in enumerate(self.entries)}
        cell_ids = CellGrid(self.cell_size_m).cell_ids_at(
            [report.lon for report in reports], [report.lat for report in reports]
        )
        groups = [self.group_of_cell.get(cell_id) for cell_id in cell_ids]
        return [
            None if group is None else index_of.get(Entry(group, report.industry))
            for group, report in zip(groups, reports, strict=True)
        ]


def exact_vector(
    reports: Sequence[Report], layout: Layout, choose: Choose = secrets.choice
) -> list[int]:
    """Count reporters per entry, each in one entry only. Exact: never write, print or log this.

    Of all the entries that a reporter's rows point to, over all sources and industries, `choose`
    takes one; the draw is secret, so that nobody can place a reporter by knowing a rule such as
    "the first". Each reporter's draw depends on nothing but that reporter's rows. Taking one
    reporter away therefore lowers one entry by one and leaves the others: L1 distance at most
    CONTRIBUTION_BOUND.
    """
    options: dict[str, list[int]] = defaultdict(list)
    for report, index in zip(reports, layout.indices_of(reports), strict=True):
        if index is not None:
            options[report.reporter].append(index)
    vector = [0] * len(layout.entries)
    for indices in options.values():
        vector[choose(indices)] += 1
    return vector


def anonymous_vector(
    reports: Sequence[Report], layout: Layout, cap: int, below: Below = secrets.randbelow
) -> list[int]:
    """Count at most `cap` reports of nobody in particular, drawn by lot from all of them.

    All of them can be one person's. Read the lot as an order of all reports, of which the first
    `cap` count: taking one person's reports out of the order removes at most `cap` of those, and
    lets at most as many others move up. L1 distance at most 2 * cap.
    """
    indices = [index for index in layout.indices_of(reports) if index is not None]
    vector = [0] * len(layout.entries)
    for _ in range(min(cap, len(indices))):
        vector[indices.pop(below(len(indices)))] += 1
    return vector


def sensitivity(id_spaces: int) -> int:
    """How much one person can move `exact_vector`, in L1, if present in every source.

    Args:
        id_spaces: ids that one person can have, one in each group of sources that share ids.
    """
    return CONTRIBUTION_BOUND * id_spaces


def anonymous_sensitivity(cap: int) -> int:
    """How much one person can move `anonymous_vector`, in L1."""
    return 2 * cap
