"""Everything a run will read, brought here beforehand: afterwards it needs no network."""

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.config import RunSettings
from pipeline.engine.progress import Screen
from pipeline.plan import plan_survey
from pipeline.survey import SurveyPlan
from tiles.blocks import Block, plan_blocks
from tiles.cache_limit import size_of
from tiles.composite import read_looks, sources
from tiles.errors import AccessError, SceneError
from tiles.mosaic import owned
from tiles.scene import Scene
from tiles.skipping import unread_status

READERS = 4  # blocks read side by side: a server's latency is hidden, and memory stays small
NO_LIMIT_GB = 1e9  # while fetching nothing is thrown away: the limit is looked at instead
LOOK_AT_LIMIT_EVERY = 32  # blocks
REASONS_SHOWN = 3


@dataclass(frozen=True)
class _Part:
    """One block of one scene, as the survey will read it."""

    scene: Scene
    block: Block


@dataclass(frozen=True)
class Fetched:
    """What a fetch brought, and where it is."""

    cache: Path
    scenes: int
    blocks: int
    bytes_kept: int

    def text(self) -> str:
        """One line for people."""
        return (
            f"{self.cache} holds {self.bytes_kept / 1e9:.2f} GB, among it all that this run reads: "
            f"{self.blocks} blocks of {self.scenes} scenes; it needs no network now."
        )


def fetch(settings: RunSettings, screen: Screen) -> Fetched:
    """Read every block that a run will read, so that its bytes are kept and checked.

    What was fetched before is not asked for again; an interrupted fetch goes on where it was.

    Raises:
        AccessError: something cannot be had, or the cache's limit is too small for the run.
        KilnlightError: the run itself cannot be planned.
    """
    limit_bytes = settings.access.cache_limit_bytes
    unlimited = settings.access.model_copy(update={"cache_limit_gb": NO_LIMIT_GB})
    plan, _ = plan_survey(settings.model_copy(update={"access": unlimited}))
    scenes = plan.catalog.scenes
    if not any(one.is_remote for scene in scenes for one in sources(scene)):
        raise AccessError("every scene of this run is a file here: there is nothing to fetch.")
    files = settings.access.cache / "files"
    missing = [source.reason for source in plan.catalog.broken]
    parts = list(_parts(plan))
    with _bar(screen) as bar:
        task = bar.add_task("fetch", total=len(parts))
        for done, reason in enumerate(_read_all(parts), start=1):
            bar.update(task, completed=done)
            if reason:
                missing.append(reason)
            if done % LOOK_AT_LIMIT_EVERY == 0 or done == len(parts):
                _check_limit(files, limit_bytes)
    if missing:
        shown = "; ".join(sorted(set(missing))[:REASONS_SHOWN])
        raise AccessError(
            f"{len(missing)} of the run's {len(parts)} blocks and scenes are missing ({shown}): "
            "what came is kept, so run the same command again."
        )
    return Fetched(settings.access.cache, len(scenes), len(parts), size_of(files))


def _parts(plan: SurveyPlan) -> Iterator[_Part]:
    """Every block of the survey, scene by scene."""
    for scene in plan.catalog.scenes:
        halo_px, polygon = plan.detector.halo_px, plan.region.polygon
        for block in plan_blocks(scene, halo_px, polygon, plan.block_px):
            yield _Part(scene, block)


def _read_all(parts: Iterable[_Part]) -> Iterator[str]:
    """Read the parts, a few at a time; yields why one is missing, or nothing."""
    waiting = iter(parts)
    with ThreadPoolExecutor(READERS) as pool:
        running = {pool.submit(_read, part) for part in islice(waiting, READERS)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
            running |= {pool.submit(_read, part) for part in islice(waiting, len(done))}


def _read(part: _Part) -> str:
    """Read what the survey will read of a block: what it skips is not fetched either."""
    try:
        if unread_status(part.scene, part.block) is None:
            read_looks(part.scene, part.block)
        owned(part.scene, part.block)
    except SceneError as error:
        return str(error)
    return ""


def _check_limit(files: Path, limit_bytes: int) -> None:
    held = size_of(files)
    if held > limit_bytes:
        raise AccessError(
            f"{files} holds {held / 1e9:.1f} GB and [access] cache_limit_gb = "
            f"{limit_bytes / 1e9:g}: raise it, or later runs will throw away what this one fetched."
        )


def _bar(screen: Screen) -> Progress:
    columns = (
        TextColumn("fetching"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("blocks,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    return Progress(*columns, console=screen.console, transient=True)
