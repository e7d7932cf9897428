"""Files that are there whole or not at all: temporary name first, then a rename."""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HASH_CHUNK_BYTES = 1 << 20  # one MiB: large enough that Python's loop costs nothing next to SHA-256
# what `atomic_path` calls a file, and `maps.publish.replaced` folders, while they are at work
TEMPORARY = re.compile(r"\..+\.(?P<pid>\d{1,9})\.(part(\..*)?|old)")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it when the block ends without an error.

    The temporary name keeps the suffix, because GDAL and pandas choose the format by it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def writer_of(path: Path) -> int | None:
    """Number of the process whose temporary file or folder a path is; None of all others."""
    temporary = TEMPORARY.fullmatch(path.name)
    return int(temporary["pid"]) if temporary else None


def sweep(folder: Path) -> None:
    """Delete what processes that were killed left half-written in a folder and all below it."""
    for path in sorted(folder.rglob(".*")):
        writer = writer_of(path)
        if writer is None or _runs(writer):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # signal 0 only asks
    except ProcessLookupError:
        return False
    except PermissionError:  # it is another user's
        return True
    return True


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with Unix line ends, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
