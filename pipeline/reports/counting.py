"""From reports to the exact vector, bounded so that one reporter moves it by at most one."""

import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import geopandas as gpd

from pipeline.reports.intake import Report
from tiles.cells import Cell, CellGrid
from tiles.errors import ReleaseError
from tiles.partition import REST

CONTRIBUTION_BOUND = 1  # entries of the vector that one reporter may raise, each by one (L1)

Choose = Callable[[Sequence[int]], int]


@dataclass(frozen=True)
class Entry:
    """One place of the vector: a group of cells and an industry."""

    group_id: str
    industry: str


@dataclass(frozen=True)
class Layout:
    """The vector's entries in order, fixed by the partition and a list before any report is read.

    The group "rest" has no entry: it could not reach k sites, so no count of it is released, and
    with no total over the region it cannot be had by subtraction either.
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
        released = partition[partition["group_id"] != REST]
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
        return [
            index_of.get(Entry(self.group_of_cell.get(cell_id, REST), report.industry))
            for cell_id, report in zip(cell_ids, reports, strict=True)
        ]


def exact_vector(
    reports: Sequence[Report], layout: Layout, choose: Choose = secrets.choice
) -> list[int]:
    """Count reporters per entry, each in one entry only. Exact: never write, print or log this.

    Of all the entries that a reporter's rows point to, over all industries, `choose` takes one;
    the draw is secret, so that nobody can place a reporter by knowing a rule such as "the first".
    Each reporter's draw depends on nothing but that reporter's rows. Taking one reporter away
    therefore lowers one entry by one and leaves the others: L1 distance at most
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
