"""A folder held to its limit: what was not used for longest goes, what is in use stays."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BYTES_OF_A_DISK_BLOCK = 512  # what st_blocks counts in (POSIX stat)


@dataclass(frozen=True)
class _Kept:
    folder: Path
    size: int  # bytes on disk, holes not counted
    used_ns: int


def keep_within(folder: Path, limit_bytes: int) -> None:
    """Delete the files used longest ago until the folder is within its limit.

    Only one process does so at a time; the others go on. Files that anybody has open are spared.
    """
    with _alone(folder) as alone:
        if not alone:
            return
        kept = sorted(_all_kept(folder), key=lambda one: one.used_ns)
        total = sum(one.size for one in kept)
        for one in kept:
            if total <= limit_bytes:
                return
            if _delete(one.folder):
                total -= one.size


def size_of(folder: Path) -> int:
    """Bytes on disk that the kept files take up."""
    return sum(one.size for one in _all_kept(folder))


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)


def _all_kept(folder: Path) -> Iterator[_Kept]:
    for have in folder.glob("*/*/have"):
        try:
            data = (have.parent / "data").stat()
            yield _Kept(
                have.parent, data.st_blocks * BYTES_OF_A_DISK_BLOCK, have.stat().st_mtime_ns
            )
        except FileNotFoundError:  # another process has just deleted it
            continue


def _delete(folder: Path) -> bool:
    """Delete one file's folder unless somebody reads from it; whoever comes then fetches anew."""
    try:
        handle = os.open(folder / "have", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (folder / "facts.json").unlink(missing_ok=True)  # first: without it nothing counts as kept
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True
