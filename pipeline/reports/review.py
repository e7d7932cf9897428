"""What an operator should look at: refusals, and reports that resemble other people's.

Everything here is an exact figure or an exact place, for the operator's own screen and for no file.
Nothing is ever dropped for resembling: else one person could delete another's report.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.reports.keys import KeyFolder
from pipeline.reports.record import CanonicalReport
from pipeline.reports.store import from_line, lines
from tiles.cells import CellGrid
from tiles.region import Period

COPIES = 3  # reporters who say the very same; two neighbours may have stood at one gate
BURST = 10  # reporters of one cell in one month; fewer are no campaign
BURST_FACTOR = 5.0  # times the mean of the cell's other months in the period


@dataclass(frozen=True, repr=False)
class Resemblance:
    """Reporters of one cell and month who are conspicuously many, or say the very same.

    Attributes:
        cell_id: base cell.
        month: as 2026-02.
        reporters: how many different ones.
        usual: mean of the cell's other months of the period; for bursts only.
    """

    cell_id: str
    month: str
    reporters: int
    usual: float | None = None


@dataclass(frozen=True, repr=False)
class Review:
    """What the screen shows of one period.

    Attributes:
        reports: kept.
        refused: rows that were not taken, by source and reason.
        copies: different reporters whose place, month, industry and signs are the same.
        bursts: far more reporters in a month than in the cell's others.
    """

    reports: int
    refused: Counter[tuple[str, str]]
    copies: tuple[Resemblance, ...]
    bursts: tuple[Resemblance, ...]


def review(store: Path, keys: Path, period: Period) -> Review:
    """Go through what is kept of one period.

    Raises:
        ReportError: the store cannot be read.
    """
    refused: Counter[tuple[str, str]] = Counter()
    reports: list[CanonicalReport] = []
    for line in lines(store, KeyFolder(keys)):
        if "refused" in line and line["refused"]["period"] == str(period):
            refused[line["refused"]["source"], line["refused"]["reason"]] += 1
        elif "report" in line and line["report"]["period"] == str(period):
            reports.append(from_line(line))
    cells = CellGrid().cell_ids_at([r.lon for r in reports], [r.lat for r in reports])
    return Review(
        reports=len(reports),
        refused=refused,
        copies=_largest(_copies(reports, cells)),
        bursts=_largest(_bursts(reports, cells, period)),
    )


def _copies(reports: list[CanonicalReport], cells: list[str]) -> Iterator[Resemblance]:
    people: dict[tuple[str, str, object], set[str]] = defaultdict(set)
    for report, cell_id in zip(reports, cells, strict=True):
        said = (report.lat, report.lon, report.industry, report.signs)
        people[cell_id, report.month, said].add(_who(report))
    for (cell_id, month, _), reporters in people.items():
        if len(reporters) >= COPIES:
            yield Resemblance(cell_id, month, len(reporters))


def _bursts(
    reports: list[CanonicalReport], cells: list[str], period: Period
) -> Iterator[Resemblance]:
    people: dict[tuple[str, str], set[str]] = defaultdict(set)
    for report, cell_id in zip(reports, cells, strict=True):
        people[cell_id, report.month].add(_who(report))
    totals: Counter[str] = Counter()
    for (cell_id, _), reporters in people.items():
        totals[cell_id] += len(reporters)
    others = max(_months(period) - 1, 1)
    for (cell_id, month), reporters in people.items():
        usual = (totals[cell_id] - len(reporters)) / others
        if len(reporters) >= BURST and len(reporters) >= BURST_FACTOR * usual:
            yield Resemblance(cell_id, month, len(reporters), usual)


def _who(report: CanonicalReport) -> str:
    return report.reporter or report.report_id


def _largest(found: Iterable[Resemblance]) -> tuple[Resemblance, ...]:
    return tuple(sorted(found, key=lambda one: (-one.reporters, one.cell_id, one.month)))


def _months(period: Period) -> int:
    first, last = (int(month[:4]) * 12 + int(month[5:]) for month in (period.first, period.last))
    return last - first + 1
