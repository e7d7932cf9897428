"""Where a plain pack comes to lie: what was killed is cleared, what was filled in is kept."""

import shutil
import time
from pathlib import Path

from maps.packs.register import OWNERS_FOLDER
from tiles.errors import ConfigError

UNFINISHED, KILLED_S = ".unfinished-", 3600  # a pack takes seconds: this one is no other's work


def clear_killed(packs: Path) -> None:
    """Delete what a pack that was killed half-way left: its files, which nobody encrypted yet."""
    for left in packs.glob(f"{UNFINISHED}*"):
        if time.time() - left.stat().st_mtime > KILLED_S:
            shutil.rmtree(left, ignore_errors=True)


def refuse_changed(path: Path, made: Path) -> None:
    """A pack in which somebody wrote is not written over: it may hold a day of visits.

    Raises:
        ConfigError: there is a folder of that name with other files.
    """
    if not path.exists():
        return
    there, new = ({file.name: file for file in folder.iterdir()} for folder in (path, made))
    changed = there.keys() ^ new.keys() | {
        name
        for name in there.keys() & new.keys()
        if there[name].read_bytes() != new[name].read_bytes()
    }
    if changed:
        raise ConfigError(
            f"{path} is there already, and {min(changed)} in it is another: somebody may have "
            "filled it in; move that folder away, or give another one with --out."
        )


def moved(folder: Path, path: Path) -> Path:
    """Give a folder its place; one of the same pack there is replaced."""
    if path.exists():
        shutil.rmtree(path)
    shutil.move(folder, path)
    path.chmod(OWNERS_FOLDER)
    return path
