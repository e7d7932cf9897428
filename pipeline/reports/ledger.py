"""The ledger of one region: every release of noised counts, hash-chained, checked before the next.

One file is one account of one region. A month may be released once: a second draw over the same
months would let readers average the noise away, under whatever list of industries it was drawn.
(Reports that name nobody are a vector of their own, once too.) Counts on other groups would let
them subtract groups that overlap, so a later partition must be one that was found safe beside all
earlier ones. Losses add up over the file (sequential composition) and are limited per year.

The chain shows changed, removed or reordered lines in the middle. That the newest lines were cut
off, or that somebody began another file, shows against what stands elsewhere: the head file beside
the ledger, which names the newest line, and the head in every released table and published
manifest (`pipeline.reports.verify`).
"""

import fcntl
import hashlib
import math
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pipeline.reports.durable import append_durably, make_folder, replace_durably
from tiles.errors import RegionError, ReleaseError
from tiles.region import Period

NO_LINE = "0" * 64  # what the first line has for the SHA-256 of the line before it
ROUNDING = 1e-9  # ten releases of epsilon 0.1 must fit a limit of 1
YEAR_MONTHS = 12

Vector = Literal["reporters", "anonymous"]


class LedgerLine(BaseModel):
    """One release. Nothing in it depends on what the reports say, but for the noised counts' hash.

    Attributes:
        version: of this record.
        release_id: random name of the release.
        vector: reporters, each bounded, or reports that name nobody.
        partition_sha256: of the partition file.
        period: first and last month, as 2025-11/2026-06.
        industries: HTCDS v2 codes of the vector, in order.
        epsilon: privacy loss of the release for one person who is present in every source.
        sensitivity: L1 distance that this person can move the exact vector by.
        scale: of the discrete Laplace noise, in reporters.
        output: file name of the noised counts.
        counts_sha256: SHA-256 of what that table says (`tiles.noised_counts.counts_sha256`).
        previous_sha256: SHA-256 of the line before, without its line end.
        recorded_utc: when, ISO 8601.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: int = Field(default=2, ge=2, le=2)
    release_id: str
    vector: Vector
    partition_sha256: str
    period: str
    industries: tuple[str, ...]
    epsilon: float = Field(gt=0)
    sensitivity: int = Field(ge=1)
    scale: float = Field(gt=0)
    output: str
    counts_sha256: str
    previous_sha256: str
    recorded_utc: str

    @field_validator("period")
    @classmethod
    def _months(cls, value: str) -> str:
        return str(Period.parse(value))

    @property
    def raw(self) -> bytes:
        """The line as it stands in the file, without its line end."""
        return self.model_dump_json().encode()

    @property
    def sha256(self) -> str:
        """The chain's head while this is the newest line."""
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def last_month(self) -> int:
        """The month that the loss is charged to, counted from year 0."""
        return _month_number(Period.parse(self.period).last)


class _Head(BaseModel):
    """What the head file says: how many lines the ledger had, and the newest one's SHA-256."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lines: int = Field(ge=0)
    head_sha256: str


@dataclass
class Ledger:
    """A checked ledger whose lock is held; see `open_ledger`."""

    path: Path
    lines: list[LedgerLine]

    @property
    def head_sha256(self) -> str:
        """SHA-256 of the newest line."""
        return self.lines[-1].sha256 if self.lines else NO_LINE

    @property
    def epsilon_lifetime(self) -> float:
        """Loss of somebody who is present in every period so far, in every source."""
        return math.fsum(line.epsilon for line in self.lines)

    def epsilon_year(self, period: Period) -> float:
        """The largest loss of any twelve months in a row that hold the period's last month."""
        last = _month_number(period.last)
        return max(
            math.fsum(
                line.epsilon for line in self.lines if end - YEAR_MONTHS < line.last_month <= end
            )
            for end in range(last, last + YEAR_MONTHS)
        )

    def line_over(self, period: Period, vector: Vector) -> LedgerLine | None:
        """Return a release of the vector that shares a month with `period`, if there is one."""
        for line in self.lines:
            released = Period.parse(line.period)
            shares = released.first <= period.last and period.first <= released.last
            if shares and line.vector == vector:
                return line
        return None

    def line_of_counts(self, sha256: str) -> LedgerLine | None:
        """Return the release whose noised counts have this SHA-256, if there is one."""
        return next((line for line in self.lines if line.counts_sha256 == sha256), None)

    def check_allows(
        self,
        period: Period,
        vector: Vector,
        partitions: Collection[str],
        epsilon: float,
        limit: float,
    ) -> None:
        """Refuse what the account does not allow.

        Args:
            period: months to release.
            vector: what is counted.
            partitions: SHA-256 of the partition, and of those that it was found safe beside.
            epsilon: loss of the new release.
            limit: what the losses of twelve months in a row may add up to.

        Raises:
            ReleaseError: a month was released before, an earlier release is of a partition that
                the given one does not follow, or a year's sum would pass `limit`.
        """
        earlier = self.line_over(period, vector)
        if earlier is not None:
            raise ReleaseError(
                f"ledger {self.path} records release {earlier.release_id} for {earlier.period}, "
                f"which shares months with {period}: use its file {earlier.output}, since a second "
                "draw would let the noise be averaged away; if that release was interrupted, run "
                "its command again."
            )
        self._check_partition(partitions)
        spent = self.epsilon_year(period)
        if spent + epsilon > limit + ROUNDING:
            advice = "it is spent, release no more of it."
            if spent < limit - ROUNDING:
                advice = "release with a smaller epsilon."
            raise ReleaseError(
                f"ledger {self.path} would reach epsilon {spent + epsilon:g} of at most {limit:g} "
                f"in twelve months: {advice}"
            )

    def _check_partition(self, partitions: Collection[str]) -> None:
        other = next((line for line in self.lines if line.partition_sha256 not in partitions), None)
        if other is not None:
            raise ReleaseError(
                f"ledger {self.path} holds a release on the partition with SHA-256 "
                f"{other.partition_sha256[:12]}..., which the one given neither is nor follows: "
                "give that one, or build the new one with --previous, since counts on other groups "
                "could be subtracted from each other; another region needs a ledger of its own."
            )

    def append(self, line: LedgerLine) -> None:
        """Add a line and return only when it is on the disk, and its head in the head file.

        Raises:
            ReleaseError: the line does not follow the last one, or could not be made durable; what
                was written of it is taken back.
        """
        if line.previous_sha256 != self.head_sha256:
            raise ReleaseError(f"the new line does not follow ledger {self.path}: start again.")
        try:
            if not self.lines:
                _write_head(self.path, _Head(lines=0, head_sha256=NO_LINE))
            append_durably(self.path, line.raw + b"\n")
        except OSError as error:
            if not self.lines:
                head_file(self.path).unlink(missing_ok=True)
            raise ReleaseError(
                f"ledger {self.path} cannot be written ({error.strerror}): nothing was released."
            ) from None
        self.lines.append(line)
        self.write_head()

    def write_head(self) -> None:
        """Bring the head file up to date; a crash can leave it one line behind, never ahead."""
        try:
            _write_head(self.path, _Head(lines=len(self.lines), head_sha256=self.head_sha256))
        except OSError as error:
            raise ReleaseError(
                f"{head_file(self.path)} cannot be written ({error.strerror}): the release is "
                "recorded; make room and run the same command again."
            ) from None


@contextmanager
def open_ledger(path: Path) -> Iterator[Ledger]:
    """Check a ledger and hold it against every other release until the block ends.

    A ledger that is not there is an empty account; its file appears with the first line. The lock
    is taken on the folder, so that no lock file and no empty ledger is left behind by a refusal.

    Raises:
        ReleaseError: another release runs, the folder cannot be locked, or the file is damaged.
    """
    path = path.resolve()  # two names of one ledger must meet at one lock
    try:
        make_folder(path.parent)
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise ReleaseError(
            f"the folder of ledger {path} cannot be used ({error.strerror}): choose another."
        ) from None
    try:
        _lock(folder, path)
        ledger = read_ledger(path)
        head = _read_head(path)
        if head is not None and head.lines < len(ledger.lines):
            ledger.write_head()
        yield ledger
    finally:
        os.close(folder)  # gives the lock back, as the end of the process would


def read_ledger(path: Path) -> Ledger:
    """Read and check a ledger and its head file, without a lock.

    Raises:
        ReleaseError: a line is damaged or missing, or the head file is or tells of other lines.
    """
    lines = read_lines(path)
    _check_head(path, lines, _read_head(path))
    return Ledger(path, lines)


def read_lines(path: Path) -> list[LedgerLine]:
    """Read and check the chain alone, as of a copy; no file is an empty account.

    Raises:
        ReleaseError: the file cannot be read, or a line is damaged or does not follow.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ReleaseError(f"ledger {path} cannot be read ({error.strerror}).") from None
    if raw and not raw.endswith(b"\n"):
        raise ReleaseError(
            f"the last line of ledger {path} is cut short (a crash while it was written, before "
            "anything was released, or an edit): compare it with your copy and remove the fragment."
        )
    return _chain(raw.split(b"\n")[:-1], path)


def head_file(ledger: Path) -> Path:
    """The small file beside a ledger that names its newest line."""
    return ledger.with_name(f"{ledger.name}.head")


def _month_number(month: str) -> int:
    year, number = month.split("-")
    return int(year) * 12 + int(number)


def _lock(folder: int, path: Path) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ReleaseError(
            f"another release is using the folder of ledger {path}: wait for it to end."
        ) from None
    except OSError as error:
        raise ReleaseError(
            f"the folder of ledger {path} cannot be locked ({error.strerror}): "
            "keep the ledger on a local disk."
        ) from None


def _chain(raw_lines: list[bytes], path: Path) -> list[LedgerLine]:
    lines: list[LedgerLine] = []
    head_sha256 = NO_LINE
    for number, raw in enumerate(raw_lines, start=1):
        line = _parse(raw)
        if line is None or line.previous_sha256 != head_sha256:
            raise ReleaseError(
                f"ledger {path}, line {number}: the line is damaged or does not follow the one "
                "before it (changed, cut or reordered): restore the ledger from your copy."
            )
        lines.append(line)
        head_sha256 = line.sha256
    return lines


def _parse(raw: bytes) -> LedgerLine | None:
    try:
        line = LedgerLine.model_validate_json(raw)
    except (ValidationError, RegionError):
        return None
    return line if line.raw == raw else None  # one line, one spelling: else its hash is another


def _read_head(ledger: Path) -> _Head | None:
    path = head_file(ledger)
    try:
        return _Head.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ReleaseError(f"{path} cannot be read ({error.strerror}).") from None
    except ValidationError:
        raise ReleaseError(f"{path} is damaged: restore it from your copy.") from None


def _check_head(path: Path, lines: list[LedgerLine], head: _Head | None) -> None:
    if head is None:
        if lines:
            raise ReleaseError(
                f"{head_file(path)} is missing, so nobody can say whether ledger {path} is whole: "
                "restore both from your copy."
            )
        return
    heads = [NO_LINE, *(line.sha256 for line in lines)]
    # One line more than the head file knows is a crash between the two writes.
    if head.lines not in (len(lines), len(lines) - 1) or heads[head.lines] != head.head_sha256:
        raise ReleaseError(
            f"ledger {path} has {len(lines)} lines and {head_file(path).name} tells of "
            f"{head.lines} others: lines were cut off or replaced: restore the ledger from your "
            "copy."
        )


def _write_head(ledger: Path, head: _Head) -> None:
    replace_durably(head_file(ledger), head.model_dump_json().encode() + b"\n")
