"""Small files that are on the disk, with their names, when a call returns; mode 0600."""

import os
from pathlib import Path


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


def append_durably(path: Path, raw: bytes) -> None:
    """Append to a file, created where absent; on an error what was written is taken back."""
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


def replace_durably(path: Path, raw: bytes) -> None:
    """Write a file anew, whole or not at all."""
    aside = path.with_name(f".{path.name}.part")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, raw)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    aside.replace(path)
    sync_folder(path.parent)
