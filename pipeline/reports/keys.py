"""The folder of keys of one store: who can read it, and how reporters become pseudonyms.

    identity.txt             age identity (X25519) that reads the store; two while it is exchanged
    2025-11_2026-06.key      HMAC key of one period, destroyed when the period closes
    2025-11_2026-06.reporters.released   name of the period's release, whichever ledger it is in

The folder is kept apart from the store and from every run folder: whoever holds only one of the
two learns nothing about who reported.
"""

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyrage import IdentityError, x25519

from pipeline.reports.durable import sync_folder
from tiles.errors import ReportError
from tiles.files import atomic_path
from tiles.region import Period

KEY_BYTES = 32  # as long as the output of SHA-256, which HMAC-SHA256 makes full use of (RFC 2104)
IDENTITY = "identity.txt"
NO_STORE_YET = "# opens no store yet\n"  # begins the identity file while a first import runs
RUN_FILES = ("run.toml", "manifest.json")  # either of them marks a run folder


@dataclass(frozen=True)
class KeyFolder:
    """The keys of one store; methods raise ReportError where a key is absent or open to others."""

    path: Path

    @property
    def identity_file(self) -> Path:
        """The age identity file."""
        return self.path / IDENTITY

    def identities(self) -> list[x25519.Identity]:
        """Read the identities that open the store, the newest first.

        Raises:
            ReportError: none is there, it is damaged, or others may read it.
        """
        found = _parse_identities(_read_private(self.identity_file).decode("ascii", "replace"))
        if not found:
            raise ReportError(
                f"{self.identity_file} holds no age identity: restore it from your copy."
            )
        return found

    def begin(self) -> None:
        """Create the folder (0700) and its identity (0600), noted as one that opens no store yet.

        Until `end_beginning`, the identity that a failed or killed import left is taken up again.

        Raises:
            ReportError: there is an identity already, which is another store's.
        """
        if self._is_beginning():
            return
        if self.identity_file.exists():
            raise ReportError(
                f"{self.path} holds the keys of another store: give every store a folder of its "
                "own, or the path of the store that these keys open."
            )
        make_private_folder(self.path)
        self._write_identities([x25519.Identity.generate()], NO_STORE_YET)

    def end_beginning(self) -> None:
        """Note that a store is there which the identity opens."""
        if self._is_beginning():
            self._write_identities(self.identities())

    def _is_beginning(self) -> bool:
        path = self.identity_file
        return path.exists() and _read_private(path).startswith(NO_STORE_YET.encode())

    def add_identity(self) -> None:
        """Put a new identity before the present ones; the next rewriting of the store uses it."""
        self._write_identities([x25519.Identity.generate(), *self.identities()])

    def drop_old_identities(self) -> None:
        """Keep only the newest identity; what only older ones could read is unreadable now."""
        self._write_identities(self.identities()[:1])

    def _write_identities(self, identities: list[x25519.Identity], note: str = "") -> None:
        text = "".join(f"# public key: {one.to_public()}\n{one}\n" for one in identities)
        write_private(self.identity_file, f"{note}{text}".encode("ascii"))

    def period_file(self, period: Period) -> Path:
        """The file of a period's HMAC key."""
        return self.path / f"{period.first}_{period.last}.key"

    def has_period(self, period: Period) -> bool:
        """Whether the period's key lives."""
        return self.period_file(period).exists()

    def period_key(self, period: Period) -> bytes:
        """Read a period's HMAC key.

        Raises:
            ReportError: it is not there, damaged, or others may read it.
        """
        path = self.period_file(period)
        key = _read_private(path)
        if len(key) != KEY_BYTES:
            raise ReportError(f"key {path} is damaged: restore it from your copy.")
        return key

    def begin_period(self, period: Period) -> bytes:
        """Draw and store the key of a new period."""
        write_private(self.period_file(period), secrets.token_bytes(KEY_BYTES))
        return self.period_key(period)

    def destroy_period(self, period: Period) -> None:
        """Overwrite a period's key and remove it; nothing happens where it is gone already.

        On flash memory and on file systems that copy on write, old blocks can outlive this; keep
        the folder on an encrypted disk.
        """
        path = self.period_file(period)
        if not path.exists():
            return
        with path.open("r+b") as stream:
            stream.write(secrets.token_bytes(KEY_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        path.unlink()
        sync_folder(self.path)

    def release_of(self, period: Period, vector: str) -> str | None:
        """Return the name of the release that was made of a period, None where there was none."""
        path = self._release_file(period, vector)
        return _read_private(path).decode("ascii", "replace").strip() if path.exists() else None

    def note_release(self, period: Period, vector: str, release_id: str) -> None:
        """Note that a period was released; it stays when the period closes.

        Raises:
            ReportError: it cannot be written.
        """
        path = self._release_file(period, vector)
        try:
            write_private(path, f"{release_id}\n".encode("ascii"))
        except OSError as error:
            raise ReportError(
                f"{path} cannot be written ({error.strerror}): the release is recorded; make room "
                "and run the same command again."
            ) from None

    def _release_file(self, period: Period, vector: str) -> Path:
        return self.period_file(period).with_suffix(f".{vector}.released")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder against any other command that changes the store or its keys.

        Raises:
            ReportError: there is no such folder, or another command holds it.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise ReportError(
                f"the folder of keys {self.path} cannot be used ({error.strerror}): give the one "
                "that `kilnlight reports import` made."
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self.identity_file.exists():  # else it is some other folder
                remove_leftovers(self.path)
            yield
        except BlockingIOError:
            raise ReportError(
                f"another command is using the keys in {self.path}: wait for it to end."
            ) from None
        finally:
            os.close(descriptor)


def check_apart(store: Path, keys: Path) -> None:
    """Refuse places where a copy of one thing would carry the reports and their keys together.

    Raises:
        ReportError: the keys lie beside or above the store, or either lies in a run folder.
    """
    store, keys = store.resolve(), keys.resolve()
    if keys == store.parent or keys in store.parents:
        raise ReportError(
            f"the keys {keys} lie in the same folder as the store: keep them apart, so that a copy "
            "of one does not carry the other."
        )
    for path in (store, keys):
        for folder in (path, *path.parents):
            if any((folder / name).is_file() for name in RUN_FILES):
                raise ReportError(
                    f"{path} lies in the run folder {folder}, which is meant to be shared: keep "
                    "reports and keys elsewhere."
                )


def make_private_folder(folder: Path) -> None:
    """Create a folder that only its owner may enter (0700), and those above it."""
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)


def open_private(path: Path) -> int:
    """Create a file that nobody else may read (0600) and return its descriptor."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)


def remove_leftovers(folder: Path, file: str = "") -> None:
    """Remove what killed commands left of a file, of every file when none is named.

    They hold reports and keys that should be gone. Only for the holder of the lock: such a file
    (`tiles.files.atomic_path`) can also be the work of a command that lives.
    """
    stem, suffix = re.escape(Path(file).stem), re.escape(Path(file).suffix)
    name = re.compile(rf"\.{stem or '.+'}\.\d+\.part{suffix or '.*'}")
    for path in folder.iterdir():
        if name.fullmatch(path.name):
            path.unlink()


def write_private(path: Path, content: bytes) -> None:
    """Write a file of mode 0600, whole or not at all; when this returns it is on the disk."""
    with atomic_path(path) as temporary, os.fdopen(open_private(temporary), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    sync_folder(path.parent)


def _read_private(path: Path) -> bytes:
    try:
        open_to_others = path.stat().st_mode & 0o077
        content = path.read_bytes()
    except OSError as error:
        raise ReportError(f"key {path} cannot be read ({error.strerror}).") from None
    if open_to_others:
        raise ReportError(f"key {path} can be read by others: chmod 600 it.")
    return content


def _parse_identities(text: str) -> list[x25519.Identity]:
    lines = [line.strip() for line in text.splitlines()]
    found = [_parse_identity(line) for line in lines if line and not line.startswith("#")]
    return [identity for identity in found if identity is not None]


def _parse_identity(line: str) -> x25519.Identity | None:
    try:
        return x25519.Identity.from_str(line)
    except IdentityError:
        return None
