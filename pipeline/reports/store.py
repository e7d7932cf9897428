"""The one encrypted file in which reports are kept: lines of JSON inside an age file, mode 0600.

Nothing but ciphertext is ever written to the disk: the file is read and written as a stream, a
changed store is a new file that takes the old one's name when it is whole. Lines, each an object
of one member:

    {"kilnlight_reports": 1}                 the first line: version of this file
    {"period": {"period", "closed"}}         a period that has a key, or had one
    {"source": {"period", "name", "scope"}}  a source of the period, and whose ids of people it has
    {"basis": {"source", "wording", "dated"}} a source's declared basis of consent
    {"report": {"period", ...}}              a canonical report
    {"refused": {"period", "source", "number", "reason"}}  a row that was not taken; no id of it
    {"purged": {"before"}}                   months before this one are not taken again
    {"withdrawn": {"period", "digest"}}      so that the next export does not bring it back
    {"padding": {"zeros"}}                   the last line: fills up to a multiple of `PADDED_TO`
"""

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyrage

from pipeline.reports.durable import sync_folder
from pipeline.reports.keys import (
    KeyFolder,
    make_private_folder,
    open_private,
    remove_leftovers,
)
from pipeline.reports.record import CanonicalReport
from tiles.errors import ReportError
from tiles.files import atomic_path
from tiles.region import Period

FIRST = {"kilnlight_reports": 1}  # the first line, with the version of what follows
AGE_MAGIC = b"age-encryption.org/v1"  # first bytes of every age file (C2SP age specification)
# Ciphertext is as long as what it hides: unpadded, a list of files (a backup's, a cloud's) would
# tell how many reports there are, and how many a withdrawal took out. Some 3,000 reports.
PADDED_TO = 1 << 20
Line = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class PeriodState:
    """A key period of the store."""

    period: Period
    closed: bool


def is_store(path: Path) -> bool:
    """Say whether a file is encrypted with age."""
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(len(AGE_MAGIC)) == AGE_MAGIC


def read_canonical(store: Path, keys: Path, period: Period) -> Iterator[CanonicalReport]:
    """Yield the kept reports of one key period, as they stream out of the store.

    Raises:
        ReportError: the store cannot be read, or `period` is not exactly one of its key periods.
            Pseudonyms of two periods cannot be joined, so over any other span of months one person
            could be two.
    """
    known: list[Period] = []
    for line in lines(store, KeyFolder(keys)):
        if "period" in line:
            known.append(period_state(line).period)
        elif "report" in line and line["report"]["period"] == str(period):
            yield from_line(line)
    if period not in known:
        raise ReportError(
            f"store {store} has no key period {period}: release exactly one of "
            f"{', '.join(sorted(set(map(str, known)))) or 'none yet'}."
        )


def count_id_spaces(store: Path, keys: Path, period: Period) -> int:
    """Return how many ids one person can have in a period: one in each scope of its sources.

    Sources count by their settings, also those that sent nothing: what a release is told must not
    depend on what reports say.

    Raises:
        ReportError: the store cannot be read.
    """
    scopes = {
        line["source"]["scope"]
        for line in lines(store, KeyFolder(keys))
        if "source" in line and line["source"]["period"] == str(period)
    }
    return max(1, len(scopes))


def source_line(period: Period, name: str, scope: str) -> Line:
    """Write a source's line."""
    return {"source": {"period": str(period), "name": name, "scope": scope}}


def lines(store: Path, keys: KeyFolder) -> Iterator[Line]:
    """Yield the lines of a store after its first.

    Raises:
        ReportError: the store is not there, cannot be opened with these keys, or is damaged. A
            file that was cut is noticed at its end, when earlier lines have been seen.
    """
    if not store.is_file():
        raise ReportError(f"store {store} is not there: check the path.")
    with _decrypted(store, keys) as stream:
        first = stream.readline()
        if first and _json(first) != FIRST:
            raise ReportError(f"store {store} is of another version: use the program of its time.")
        for raw in stream:
            line = _parse(raw, store)
            if "padding" not in line:
                yield line


def rewrite(
    store: Path, keys: KeyFolder, change: Callable[[Iterator[Line]], Iterator[Line]]
) -> None:
    """Replace a store by what `change` makes of its lines, whole or not at all.

    A store that is not there is begun. The caller holds the lock of the keys.

    Raises:
        ReportError: as `lines`, or the file cannot be written. Whatever `change` raises leaves the
            store as it was.
    """
    before = lines(store, keys) if store.exists() else iter(())
    recipient = keys.identities()[0].to_public()
    source = _Source(_encoded(change(before)))
    try:
        make_private_folder(store.parent)
        remove_leftovers(store.parent, store.name)
        with (
            atomic_path(store) as temporary,
            os.fdopen(open_private(temporary), "wb") as stream,
        ):
            pyrage.encrypt_io(source, stream, [recipient])
            source.raise_failure()
            stream.flush()
            os.fsync(stream.fileno())
        sync_folder(store.parent)
    except OSError as error:
        raise ReportError(
            f"store {store} cannot be written ({error.strerror or 'input/output error'}): it is as "
            "it was."
        ) from None


def exchange_identity(
    store: Path, keys: KeyFolder, change: Callable[[Iterator[Line]], Iterator[Line]]
) -> None:
    """Rewrite a store for a new identity and forget the old one.

    Copies of the old file, in backups or in freed blocks of the disk, cannot be read after this, so
    that what `change` takes out is gone from them too. At any moment the identity file opens the
    store that is there.
    """
    keys.add_identity()
    rewrite(store, keys, change)
    keys.drop_old_identities()


def period_line(period: Period, closed: bool = False) -> Line:
    """Write a period's line."""
    return {"period": {"period": str(period), "closed": closed}}


def period_state(line: Line) -> PeriodState:
    """Read a period's line."""
    return PeriodState(
        Period.parse(str(line["period"]["period"])), line["period"]["closed"] is True
    )


def to_line(report: CanonicalReport, period: Period) -> Line:
    """Write a report's line."""
    return {"report": {"period": str(period), **{n: getattr(report, n) for n in FIELDS}}}


def from_line(line: Line) -> CanonicalReport:
    """Read a report's line."""
    values = {name: line["report"][name] for name in FIELDS}
    return CanonicalReport(**{**values, "signs": tuple(values["signs"])})


FIELDS = tuple(CanonicalReport.__dataclass_fields__)


def _encoded(entries: Iterable[Line]) -> Iterator[bytes]:
    encode = json.JSONEncoder(separators=(",", ":")).encode
    first = f"{json.dumps(FIRST)}\n".encode()
    yield first
    length = len(first)
    for entry in entries:
        piece = f"{encode(entry)}\n".encode()
        yield piece
        length += len(piece)
    frame = len(_padding(0))
    yield _padding(-(length + frame) % PADDED_TO)


def _padding(zeros: int) -> bytes:
    return b'{"padding":{"zeros":"%s"}}\n' % (b"0" * zeros)


def _parse(raw: bytes, store: Path) -> Line:
    found = _json(raw)
    if not isinstance(found, dict):
        raise ReportError(f"store {store} is damaged inside: restore it from your copy.")
    return found


def _json(raw: bytes) -> object:
    try:
        return json.loads(raw)
    except ValueError:  # it holds the line, so it must not travel on
        return None


class _Source:
    """Hands lines to the encryption as it asks for bytes; keeps an error for the caller.

    An exception that passed through the encryption would lose its type on the way.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""
        self._failure: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            while len(self._rest) < size:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._rest += piece
        except BaseException as error:
            self._failure = error
            return b""
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


@contextmanager
def _decrypted(store: Path, keys: KeyFolder) -> Iterator[IO[bytes]]:
    """Decrypt in a thread into a pipe: age pushes, readers want to pull; neither holds it all."""
    identities = keys.identities()
    try:
        sealed = store.open("rb")
    except OSError as error:
        raise ReportError(f"store {store} cannot be read ({error.strerror}).") from None
    read_end, write_end = os.pipe()
    failures: list[Exception] = []

    def work() -> None:
        try:
            with sealed, os.fdopen(write_end, "wb") as plain:
                pyrage.decrypt_io(sealed, plain, identities)
        except Exception as error:  # also a reader that stopped early: a broken pipe
            failures.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    with os.fdopen(read_end, "rb") as stream:
        yield stream
        ended = not stream.read(1)
    thread.join()
    if failures and ended:
        raise ReportError(
            f"store {store} cannot be opened with the keys in {keys.path}: they are another "
            "store's, or the file is damaged."
        )
