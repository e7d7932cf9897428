"""What a release takes in: an encrypted store, or a plain CSV through the same screening.

No message, exception or representation made here holds anything that stood in a row: exceptions
travel to screens and logs. Values are therefore read by functions that answer None, not raise.
"""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.reports.formats.plain import PLAIN_CSV
from pipeline.reports.formats.reading import read
from pipeline.reports.htcds import HTCDS_INDUSTRIES
from pipeline.reports.keys import KEY_BYTES
from pipeline.reports.pseudonym import Pseudonyms
from pipeline.reports.record import Reason
from pipeline.reports.screening import Draft, Reader
from pipeline.reports.source import SourceSettings
from pipeline.reports.store import count_id_spaces, is_store, read_canonical
from pipeline.reports.textfile import TextFile
from tiles.errors import ReportError
from tiles.region import Period

__all__ = [
    "HTCDS_INDUSTRIES",
    "Gate",
    "Intake",
    "Report",
    "closed_gate",
    "is_store",
    "read_reports",
]

PLAIN = SourceSettings(name="plain")
# A value that is none of its column's usually means that columns have slipped: a plain file stops
# at it. An import into the store shows the operator each refused row instead.
SLIPPED = frozenset({Reason.BAD_PLACE, Reason.SWAPPED, Reason.BAD_DATE, Reason.TOO_LONG})


class Gate(StrEnum):
    """What a row must pass to be counted, in order; the text is for the operator when none does."""

    CONSENT = "no row says yes, true or 1 in the column consent"
    REPORTER = "no row with consent names its reporter"
    MONTH = "no such row has a month in the period"
    INDUSTRY = "no such row names an industry of this release"
    PLACE = "no such row has coordinates"
    GROUP = "no such row lies in a group of the partition that can be released"


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """One accepted row, in memory only; it has no readable representation on purpose.

    Attributes:
        reporter: the reporter's pseudonym; "" where nobody is named.
        lat: degrees north, WGS 84.
        lon: degrees east, WGS 84.
        industry: HTCDS v2 code.
    """

    reporter: str
    lat: float
    lon: float
    industry: str


@dataclass(frozen=True, repr=False)
class Intake:
    """The accepted rows, and the gates that at least one row passed (screen only, never kept).

    Attributes:
        reports: of people who are named, by a pseudonym.
        anonymous: of nobody that could be told from another; not counted by themselves.
        passed: gates.
        id_spaces: ids that one person can have, one in each scope of the period's sources.
    """

    reports: list[Report]
    anonymous: list[Report]
    passed: frozenset[Gate]
    id_spaces: int = 1


@dataclass(frozen=True, slots=True, repr=False)
class _Candidate:
    """A row with what the gates ask of it."""

    consent: bool
    reporter: str
    month: bool
    industry: str | None
    lat: float | None
    lon: float | None


def read_reports(
    path: Path, period: Period, industries: Iterable[str], keys: Path | None = None
) -> Intake:
    """Read the reports of one release, from an encrypted store or from a plain CSV.

    A row counts when it carries consent, a month of the period, an industry of the list and a
    place; a row that merely fails one of these is passed over in silence. A plain CSV is read to
    its end before anything is counted. Its reporters get pseudonyms under a key that is drawn here
    and forgotten.

    Args:
        path: the store, or a CSV whose header names consent, reporter, lat, lon, month, industry.
        period: months to release; of a store exactly one of its key periods.
        industries: HTCDS v2 codes.
        keys: folder of the store's keys.

    Raises:
        ReportError: the file cannot be read, a store's keys are absent or its periods are others,
            or a row of a CSV has values that are none of their columns'. The message names the
            line and no value.
    """
    wanted = frozenset(industries)
    named: list[Report] = []
    anonymous: list[Report] = []
    passed: set[Gate] = set()
    for row in _candidates(path, period, keys):
        gates = _gates(row, wanted)
        passed.update(gates)
        if _counts(row, wanted):
            report = Report(row.reporter, row.lat or 0.0, row.lon or 0.0, row.industry or "")
            (named if row.reporter else anonymous).append(report)
    id_spaces = count_id_spaces(path, keys, period) if keys and is_store(path) else 1
    return Intake(named, anonymous, frozenset(passed), id_spaces)


def closed_gate(passed: Iterable[Gate]) -> Gate | None:
    """Return the first gate that no row passed, or None when at least one row was counted."""
    open_gates = set(passed)
    return next((gate for gate in Gate if gate not in open_gates), None)


def _candidates(path: Path, period: Period, keys: Path | None) -> Iterator[_Candidate]:
    if not is_store(path):
        yield from _plain_candidates(path, period)
        return
    if keys is None:
        raise ReportError(f"{path} is an encrypted store: give the folder of its keys with --keys.")
    for report in read_canonical(path, keys, period):
        yield _Candidate(True, report.reporter, True, report.industry, report.lat, report.lon)


def _plain_candidates(path: Path, period: Period) -> Iterator[_Candidate]:
    file = TextFile(path)
    reader = Reader(PLAIN_CSV, PLAIN, Pseudonyms(secrets.token_bytes(KEY_BYTES), PLAIN))
    for raw in read(PLAIN_CSV, file, PLAIN):
        draft = reader.draft(raw)
        if draft.problem in SLIPPED:
            raise file.error(f"{draft.problem}.", raw.number)
        yield _candidate(draft, period)


def _candidate(draft: Draft, period: Period) -> _Candidate:
    # A place that screening refuses (0/0, too inaccurate) is none.
    place = None if draft.problem in (Reason.NULL_ISLAND, Reason.INACCURATE) else draft.place
    return _Candidate(
        consent=bool(draft.consent),
        reporter=draft.reporter,
        month=period.holds(draft.month),
        industry=draft.industry,
        lat=None if place is None else place.lat,
        lon=None if place is None else place.lon,
    )


def _counts(row: _Candidate, industries: frozenset[str]) -> bool:
    return row.consent and row.month and row.industry in industries and row.lat is not None


def _gates(row: _Candidate, industries: frozenset[str]) -> list[Gate]:
    tests = (
        (Gate.CONSENT, row.consent),
        (Gate.REPORTER, bool(row.reporter)),
        (Gate.MONTH, row.month),
        (Gate.INDUSTRY, row.industry in industries),
        (Gate.PLACE, row.lat is not None),
    )
    gates: list[Gate] = []
    for gate, passes in tests:
        if not passes:
            break
        gates.append(gate)
    return gates
