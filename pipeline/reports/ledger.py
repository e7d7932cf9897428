"""The ledger of one region: every release of noised counts, hash-chained, checked before the next.

One file is one account of one region on one partition. A month may be released once: a second draw
over the same months would let readers average the noise away, under whatever list of industries it
was drawn. Counts on other groups would let them subtract groups that overlap, down to places with
fewer sites than any group. Losses add up over the file (sequential composition) and may not exceed
the account's limit.

The chain shows changed, removed or reordered lines in the middle. It cannot show that the newest
lines were cut off, nor that somebody started another file: keep a copy, and one file a region.
"""

import fcntl
import hashlib
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from tiles.errors import RegionError, ReleaseError
from tiles.region import Period

NO_LINE = "0" * 64  # what the first line has for the SHA-256 of the line before it
ROUNDING = 1e-9  # ten releases of epsilon 0.1 must fit a limit of 1


class LedgerLine(BaseModel):
    """One release. Nothing in it depends on what the reports say, but for the noised file's hash.

    Attributes:
        version: of this record.
        release_id: random name of the release.
        partition_sha256: of the partition file.
        period: first and last month, as 2025-11/2026-06.
        industries: HTCDS v2 codes of the vector, in order.
        epsilon: privacy loss of the release for one reporter.
        scale: of the discrete Laplace noise, in reporters.
        contribution_bound: entries of the vector that one reporter may raise.
        output: file name of the noised counts.
        output_sha256: SHA-256 of that file.
        previous_sha256: SHA-256 of the line before, without its line end.
        recorded_utc: when, ISO 8601.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: int = Field(default=1, ge=1, le=1)
    release_id: str
    partition_sha256: str
    period: str
    industries: tuple[str, ...]
    epsilon: float = Field(gt=0)
    scale: float = Field(gt=0)
    contribution_bound: int
    output: str
    output_sha256: str
    previous_sha256: str
    recorded_utc: str

    @field_validator("period")
    @classmethod
    def _months(cls, value: str) -> str:
        return str(Period.parse(value))


@dataclass
class Ledger:
    """A checked ledger whose lock is held; see `open_ledger`."""

    path: Path
    lines: list[LedgerLine]
    head_sha256: str

    @property
    def epsilon_spent(self) -> float:
        """Loss of a reporter who is present in every period so far."""
        return math.fsum(line.epsilon for line in self.lines)

    def line_over(self, period: Period) -> LedgerLine | None:
        """Return a release that shares a month with `period`, if there is one."""
        for line in self.lines:
            released = Period.parse(line.period)
            if released.first <= period.last and period.first <= released.last:
                return line
        return None

    def line_of_file(self, sha256: str) -> LedgerLine | None:
        """Return the release whose noised counts have this SHA-256, if there is one."""
        return next((line for line in self.lines if line.output_sha256 == sha256), None)

    def check_allows(
        self, period: Period, partition_sha256: str, epsilon: float, limit: float
    ) -> None:
        """Refuse what the account does not allow.

        Raises:
            ReleaseError: a month was released before, the earlier releases are of another
                partition, or the sum would pass `limit`.
        """
        earlier = self.line_over(period)
        if earlier is not None:
            raise ReleaseError(
                f"ledger {self.path} records release {earlier.release_id} for {earlier.period}, "
                f"which shares months with {period}: use its file {earlier.output}, since a second "
                "draw would let the noise be averaged away; if that release was interrupted, run "
                "its command again."
            )
        self._check_partition(partition_sha256)
        total = self.epsilon_spent + epsilon
        if total > limit + ROUNDING:
            spent = self.epsilon_spent >= limit - ROUNDING
            raise ReleaseError(
                f"ledger {self.path} would reach epsilon {total:g} of at most {limit:g}: "
                + ("it is spent, release no more." if spent else "release with a smaller epsilon.")
            )

    def _check_partition(self, sha256: str) -> None:
        other = next((line for line in self.lines if line.partition_sha256 != sha256), None)
        if other is not None:
            raise ReleaseError(
                f"ledger {self.path} is of the partition with SHA-256 "
                f"{other.partition_sha256[:12]}... and the one given has {sha256[:12]}...: give "
                "the partition of its earlier releases, since counts on other groups could be "
                "subtracted from each other; another region needs a ledger of its own."
            )

    def append(self, line: LedgerLine) -> None:
        """Add a line and return only when it is on the disk.

        Raises:
            ReleaseError: the line does not follow the last one, or could not be made durable; what
                was written of it is taken back.
        """
        if line.previous_sha256 != self.head_sha256:
            raise ReleaseError(f"the new line does not follow ledger {self.path}: start again.")
        raw = line.model_dump_json().encode()
        try:
            _append_durably(self.path, raw + b"\n")
        except OSError as error:
            raise ReleaseError(
                f"ledger {self.path} cannot be written ({error.strerror}): nothing was released."
            ) from None
        self.lines.append(line)
        self.head_sha256 = hashlib.sha256(raw).hexdigest()


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
        lines, head_sha256 = _read(path)
        yield Ledger(path, lines, head_sha256)
    finally:
        os.close(folder)  # gives the lock back, as the end of the process would


def make_folder(folder: Path) -> None:
    """Create a folder and those above it; when this returns, their names are on the disk."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in missing:
        sync_folder(one.parent)


def sync_folder(folder: Path) -> None:
    """Make names created or renamed in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


def _read(path: Path) -> tuple[list[LedgerLine], str]:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return [], NO_LINE
    except OSError as error:
        raise ReleaseError(f"ledger {path} cannot be read ({error.strerror}).") from None
    if raw and not raw.endswith(b"\n"):
        raise ReleaseError(
            f"the last line of ledger {path} is cut short (a crash while it was written, before "
            "anything was released, or an edit): compare it with your copy and remove the fragment."
        )
    return _chain(raw.split(b"\n")[:-1], path)


def _chain(raw_lines: list[bytes], path: Path) -> tuple[list[LedgerLine], str]:
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
        head_sha256 = hashlib.sha256(raw).hexdigest()
    return lines, head_sha256


def _parse(raw: bytes) -> LedgerLine | None:
    try:
        return LedgerLine.model_validate_json(raw)
    except (ValidationError, RegionError):
        return None


def _append_durably(path: Path, raw: bytes) -> None:
    # 0600: the ledger says when which region was released, which is the operator's business.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        before = os.fstat(descriptor).st_size
        try:
            if os.write(descriptor, raw) != len(raw):
                raise OSError(0, "the disk took only a part of the line")
            os.fsync(descriptor)
            sync_folder(path.parent)
        except OSError:
            os.ftruncate(descriptor, before)
            if before == 0:
                path.unlink()
            raise
    finally:
        os.close(descriptor)
