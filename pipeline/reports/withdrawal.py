"""Takes reports back out of the store: one person's, those of old months, and keys with a period.

Each of these rewrites the store for a new identity and forgets the old one, so that older copies of
the store, in backups or freed blocks of a disk, cannot be read any more either. What was published
already is a count with noise; no part of it can be recalled.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from pipeline.reports.keys import KeyFolder
from pipeline.reports.pseudonym import Pseudonyms
from pipeline.reports.source import SourceSettings
from pipeline.reports.store import Line, exchange_identity, lines, period_line, period_state
from tiles.errors import ReportError
from tiles.region import MONTH, Period

By = Literal["phone", "email", "id", "report"]
SOURCELESS = SourceSettings(name="none")  # phones and addresses are the same in every source


@dataclass(frozen=True, repr=False)
class Withdrawal:
    """What the operator is told. The number is exact: for a screen, never for a log.

    Attributes:
        periods: open periods that were searched.
        removed: reports that were taken out.
    """

    periods: tuple[Period, ...]
    removed: int


@dataclass(frozen=True, repr=False)
class Who:
    """Whose reports, or which one; `value` is never written anywhere.

    Attributes:
        by: what the value is: a phone, an e-mail address, a platform's id of a person or a report.
        value: as the person or the platform writes it.
        source: settings of the source; needed for ids, and for phones without a country code.
    """

    by: By
    value: str
    source: SourceSettings | None = None

    @classmethod
    def of(cls, by: str, value: str, source: SourceSettings | None = None) -> "Who":
        """Check how somebody is named.

        Raises:
            ReportError: `by` is none of the four ways, or an id comes without its source.
        """
        kind = next((one for one in get_args(By) if one == by), None)
        if kind is None:
            # Not quoted: somebody may have typed the number itself.
            raise ReportError(f"this is no way to name a person: use {', '.join(get_args(By))}.")
        if kind in ("id", "report") and source is None:
            raise ReportError("an id belongs to a source: give its settings with --source.")
        return cls(kind, value, source)

    def digest(self, key: bytes) -> str:
        """Return the pseudonym under a period's key.

        Raises:
            ReportError: the value names nobody, or says no country and no source does.
        """
        pseudonyms = Pseudonyms(key, self.source or SOURCELESS)
        if self.by == "report":
            return pseudonyms.report_id(self.value)
        read = pseudonyms.person if self.by == "id" else pseudonyms.contact
        person = read(self.value)
        if person is None or (self.by != "id" and person.kind == "id"):
            raise ReportError(f"this is no {self.by} that can be read: write it out in full.")
        return pseudonyms.of(person)


def withdraw(store: Path, keys: KeyFolder, who: Who) -> Withdrawal:
    """Take a person's reports, or one report, out of every open period, and keep them out.

    What is kept is the pseudonym, so that the next export does not bring the reports back; it goes
    when the period closes.

    Raises:
        ReportError: the store or a key cannot be read, or the value is of no use.
    """
    with keys.locked():
        digests = {
            str(state): who.digest(keys.period_key(state)) for state in _open_periods(store, keys)
        }
        removed = 0

        def change(before: Iterator[Line]) -> Iterator[Line]:
            nonlocal removed
            noted: set[tuple[str, str]] = set()
            for line in before:
                if "report" in line and _is(line["report"], digests):
                    removed += 1
                    continue
                if "withdrawn" in line:
                    noted.add((line["withdrawn"]["period"], line["withdrawn"]["digest"]))
                yield line
            for period, digest in digests.items():
                if (period, digest) not in noted:
                    yield {"withdrawn": {"period": period, "digest": digest}}

        exchange_identity(store, keys, change)
    return Withdrawal(tuple(map(Period.parse, digests)), removed)


def close_period(store: Path, keys: KeyFolder, period: Period) -> None:
    """Close a period for good: its key is destroyed, nothing is added to it or withdrawn from it.

    Its reports stay, under pseudonyms that nobody can make again, until they are purged.

    Raises:
        ReportError: the store has no such period, or cannot be read.
    """
    with keys.locked():
        if period not in _periods(store, keys):
            raise ReportError(
                f"store {store} has no key period {period}: give the months of its import."
            )

        def change(before: Iterator[Line]) -> Iterator[Line]:
            for line in before:
                if "period" in line and period_state(line).period == period:
                    yield period_line(period, closed=True)
                elif "withdrawn" not in line or line["withdrawn"]["period"] != str(period):
                    yield line

        exchange_identity(store, keys, change)
        keys.destroy_period(period)


def purge(store: Path, keys: KeyFolder, older_than: str) -> None:
    """Take out everything of the months before one, for good, and close periods before it.

    The next export does not bring it back. Refused rows and withdrawals say no month; they go with
    the whole of their period.

    Raises:
        ReportError: the month is none, or the store cannot be read.
    """
    if not MONTH.fullmatch(older_than):
        raise ReportError("the month is none: write it as 2026-02.")
    with keys.locked():
        past = {period for period in _periods(store, keys) if period.last < older_than}
        names = set(map(str, past))

        def change(before: Iterator[Line]) -> Iterator[Line]:
            for line in before:
                if "period" in line and str(period_state(line).period) in names:
                    yield period_line(period_state(line).period, closed=True)
                elif not _is_old(line, older_than, names):
                    yield line
            yield {"purged": {"before": older_than}}

        exchange_identity(store, keys, change)
        for period in sorted(past, key=str):
            keys.destroy_period(period)


def _is(report: dict[str, object], digests: dict[str, str]) -> bool:
    digest = digests.get(str(report["period"]))
    return digest is not None and digest in (report["reporter"], report["report_id"])


def _is_old(line: Line, month: str, past: set[str]) -> bool:
    if "report" in line:
        return str(line["report"]["month"]) < month
    if "purged" in line:
        return str(line["purged"]["before"]) <= month
    return any(line[kind]["period"] in past for kind in ("refused", "withdrawn") if kind in line)


def _periods(store: Path, keys: KeyFolder) -> list[Period]:
    return [period_state(line).period for line in lines(store, keys) if "period" in line]


def _open_periods(store: Path, keys: KeyFolder) -> list[Period]:
    states = [period_state(line) for line in lines(store, keys) if "period" in line]
    return [state.period for state in states if not state.closed]
