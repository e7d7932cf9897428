"""What a run would read, skip and compute, how long that takes, and what the limit is."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.weights import LoadedWeights
from pipeline.config import RunSettings
from pipeline.engine.cluster import connect
from pipeline.engine.identity import plan_tasks, survey_identity
from pipeline.engine.journal import Journal, PlannedTask, Tally
from pipeline.engine.results import Counts
from pipeline.plan import plan_survey
from pipeline.run_folder import RunFolder
from pipeline.survey import SurveyPlan, put_to_work
from tiles.blocks import Block, describe_layout
from tiles.composite import sources
from tiles.scene import Scene

PROBES_PER_SLOT = 2  # blocks that each worker tries: a few seconds
MOST_PROBES = 16  # on a large cluster
SHOWN = 5  # layouts and reasons as are read
RAW_BYTES = 64 << 20  # read bare from a file, to tell a slow disk from slow decoding
MEGA = 1e6


@dataclass(frozen=True)
class Probe:
    """What a few blocks took.

    Attributes:
        counts: sums over the blocks that could be read.
        pixels: in these blocks.
        slots: tasks that the cluster runs at once.
        raw_s: seconds that the disk alone takes for those blocks' share of the files.
        failed: why blocks could not be read.
    """

    counts: Counts
    pixels: int
    slots: int
    raw_s: float
    failed: tuple[str, ...] = ()

    @property
    def pixels_per_s(self) -> float:
        """Pixels a second, all workers together."""
        seconds = self.counts.read_s + self.counts.network_s
        return self.slots * self.pixels / seconds if seconds else 0.0

    def limit(self, plan: SurveyPlan) -> str:
        """Which part of the machine a faster run would need more of."""
        counts = self.counts
        if counts.network_s >= counts.read_s:
            where = "the CPU" if plan.detector.device == "cpu" else plan.detector.device
            return f"computing, on {where}"
        if any(scene.is_remote for scene in plan.catalog.scenes):
            return "the connection that imagery comes over"
        return "the disk" if self.raw_s > counts.read_s / 2 else "decoding the files, on the CPU"


@dataclass(frozen=True)
class Forecast:
    """What a run would do."""

    plan: SurveyPlan
    tally: Tally
    pixels: int
    pixels_left: int
    where: str
    probe: Probe | None

    def text(self) -> str:
        """The forecast as lines for a terminal."""
        return "\n".join([*self._imagery(), *self._tasks(), *self._time()])

    def _imagery(self) -> list[str]:
        catalog = self.plan.catalog
        whole = sum(scene.rows * scene.cols for scene in catalog.scenes)
        left_out = f", {_many(len(catalog.broken), 'file')} left out" if catalog.broken else ""
        season = (
            f", {len(self.plan.out_of_season)} out of season" if self.plan.out_of_season else ""
        )
        lines = [
            f"Imagery: {_many(len(catalog.scenes), 'scene')}, {whole / MEGA:,.1f} megapixels, "
            f"{_size(catalog.scenes)}{left_out}{season}."
        ]
        layouts = Counter(describe_layout(scene) for scene in catalog.scenes)
        lines += [f"  {_many(n, 'scene')}: {how}." for how, n in layouts.most_common(SHOWN)]
        return lines + [f"  left out: {source.reason}" for source in catalog.broken[:SHOWN]]

    def _tasks(self) -> list[str]:
        whole = sum(scene.rows * scene.cols for scene in self.plan.catalog.scenes)
        outside = max(whole - self.pixels, 0)
        lines = [
            f"Work: {_many(self.tally.planned, 'task')} of {self.pixels / MEGA:,.1f} megapixels; "
            f"{outside / MEGA:,.1f} lie outside the region and are not read."
        ]
        if self.tally.done:
            lines.append(
                f"  {self.tally.done} are done already; {self.pixels_left / MEGA:,.1f} megapixels "
                "are left."
            )
        if self.tally.failed:
            lines.append(f"  {self.tally.failed} had failed, and are tried again with --refresh.")
        if self.probe and self.probe.pixels:
            counts, pixels = self.probe.counts, self.probe.pixels
            lines.append(
                f"  of the blocks tried, {counts.skipped_px / pixels:.0%} needs no full read, "
                f"{counts.gated_px / pixels:.0%} is left to the gate."
            )
        detector = self.plan.detector
        gate = "with the gate" if detector.gate else "without a gate"
        return [
            *lines,
            f"Network: {detector.weights.name}, {gate}, {detector.precision} on {detector.device}; "
            f"{self.where}.",
        ]

    def _time(self) -> list[str]:
        if self.probe is None:
            return ["Time: not tried." if self.pixels_left else "Time: nothing is left to compute."]
        lines = [f"  failed: {reason}" for reason in self.probe.failed[:SHOWN]]
        if not self.probe.pixels_per_s:
            return [*lines, "Time: unknown, as none of the blocks tried could be read."]
        seconds = self.pixels_left / self.probe.pixels_per_s
        return [
            *lines,
            f"Time: about {_duration(seconds)}, at {self.probe.pixels_per_s / MEGA:.1f} "
            f"megapixels a second; the limit is {self.probe.limit(self.plan)}.",
        ]


def forecast(settings: RunSettings, *, probe: bool = True, refresh: bool = False) -> Forecast:
    """Plan a run without beginning it.

    Args:
        settings: of the run.
        probe: whether to try a few blocks for the time.
        refresh: the run would compute what differs from the folder's survey, and what had failed.

    Raises:
        KilnlightError: an input cannot be used, or the run folder holds another survey.
    """
    folder = RunFolder(settings.out)
    plan, weights = plan_survey(settings, folder.settled())
    with folder.looked_into() as journal:
        tasks = _planned(plan, weights, folder, journal, refresh=refresh)
        done = set() if journal is None else journal.done_keys()
        failed = set() if journal is None or refresh else journal.failed_keys()
    left = [task for task in tasks if task.key not in done | failed]
    tried = _probe(plan, settings, left) if probe and left else None
    counts = (sum(task.key in keys for task in tasks) for keys in (done, failed - done))
    return Forecast(
        plan=plan,
        tally=Tally(len(tasks), *counts),
        pixels=sum(_pixels(plan, task) for task in tasks),
        pixels_left=sum(_pixels(plan, task) for task in left),
        where=_where(settings, tried),
        probe=tried,
    )


def _planned(
    plan: SurveyPlan,
    weights: LoadedWeights,
    folder: RunFolder,
    journal: Journal | None,
    *,
    refresh: bool,
) -> list[PlannedTask]:
    """The tasks of a run; their keys say what they depend on where there is a run to go on with."""
    if folder.manifest() is None:  # nothing to compare with: no file need be read for its digest
        return list(plan_tasks(plan, {"imagery": [s.scene_id for s in plan.catalog.scenes]}))
    identity = survey_identity(plan, weights, journal)
    folder.belongs_to(identity, refresh=refresh)
    return list(plan_tasks(plan, identity))


def _probe(plan: SurveyPlan, settings: RunSettings, tasks: Sequence[PlannedTask]) -> Probe:
    engine = settings.engine.model_copy(update={"retries": 0})
    with connect(settings, len(tasks), plan.detector.device) as force:
        dispatcher = put_to_work(force, plan, engine)
        slots = max(force.slots(), 1)
        chosen = _spread(tasks, min(PROBES_PER_SLOT * slots, MOST_PROBES))
        outcomes = list(dispatcher.run(chosen))
    done = [(outcome.task, outcome.result.counts) for outcome in outcomes if outcome.result]
    pixels = sum(_pixels(plan, task) for task, _ in done)
    return Probe(
        counts=_sum([counts for _, counts in done]),
        pixels=pixels,
        slots=slots,
        raw_s=_raw_seconds(plan.catalog.scenes, pixels),
        failed=tuple(sorted({outcome.reason for outcome in outcomes if not outcome.result})),
    )


def _spread(tasks: Sequence[PlannedTask], number: int) -> list[PlannedTask]:
    """So many tasks, evenly over all of them."""
    step = max(len(tasks) / number, 1.0)
    return [tasks[int((i + 0.5) * step)] for i in range(min(number, len(tasks)))]


def _sum(parts: Sequence[Counts]) -> Counts:
    return Counts(
        skipped_px=sum(part.skipped_px for part in parts),
        gated_px=sum(part.gated_px for part in parts),
        read_s=sum(part.read_s for part in parts),
        network_s=sum(part.network_s for part in parts),
    )


def _pixels(plan: SurveyPlan, task: PlannedTask) -> int:
    scene: Scene = plan.catalog.scenes[task.scene]
    block: Block = task.block
    return min(block.rows, scene.rows - block.row) * min(block.cols, scene.cols - block.col)


def _files(scenes: Sequence[Scene]) -> list[Path]:
    return sorted({file for s in scenes for one in sources(s) for file in one.local_files()})


def _file_bytes(scenes: Sequence[Scene]) -> int:
    return sum(file.stat().st_size for file in _files(scenes))


def _size(scenes: Sequence[Scene]) -> str:
    """Bytes of the files here; those of files on servers are not asked for."""
    here = f"{_file_bytes(scenes) / MEGA:,.1f} MB"
    return f"{here} here, the rest on servers" if any(s.is_remote for s in scenes) else here


def _raw_seconds(scenes: Sequence[Scene], pixels: int) -> float:
    """How long the disk alone takes for so many pixels of the scenes."""
    files = _files(scenes)
    if not files:
        return 0.0
    largest = max(files, key=lambda file: file.stat().st_size)
    started = time.perf_counter()
    with largest.open("rb", buffering=0) as stream:
        read = len(stream.read(RAW_BYTES))
    bytes_per_s = read / max(time.perf_counter() - started, 1e-6)
    whole = sum(scene.rows * scene.cols for scene in scenes)
    return _file_bytes(scenes) * pixels / whole / bytes_per_s


def _where(settings: RunSettings, probe: Probe | None) -> str:
    at_once = f", {probe.slots} at once" if probe else ""
    if settings.scheduler:
        return f"workers of {settings.scheduler}{at_once}"
    return f"worker processes of this machine{at_once}"


def _many(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
