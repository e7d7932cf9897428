"""From imagery to detections and coverage: what is planned, done, journalled and gathered."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd

from models.detection import DETECTIONS
from models.site_class import SiteClass
from pipeline.config import RunSettings
from pipeline.engine.cluster import Workforce, connect, said_when_unable
from pipeline.engine.dispatch import GO_ON, Dispatcher, Outcome, given_up
from pipeline.engine.facts import facts_here
from pipeline.engine.gather import write_tables
from pipeline.engine.journal import Journal, PlannedTask
from pipeline.engine.progress import Screen, SurveyBar
from pipeline.engine.search import DetectorSpec
from pipeline.engine.settings import EngineSettings
from pipeline.engine.worker import LoadSearcher, SurveyTask
from tiles.catalog import Catalog
from tiles.coverage import COVERAGE
from tiles.coverage_map import CoverageMap
from tiles.errors import RegionError, SceneError, SurveyError
from tiles.region import Region
from tiles.scene import Scene
from tiles.tables import read_table


@dataclass(frozen=True)
class SurveyPlan:
    """All that decides what a survey finds, and `block_px`, which decides only how it is cut.

    `out_of_season` are scenes that were set aside for their date.
    """

    catalog: Catalog
    region: Region
    period: str
    site_class: SiteClass
    detector: DetectorSpec
    block_px: int
    country: str | None = None
    out_of_season: tuple[Scene, ...] = ()


@dataclass(frozen=True)
class Survey:
    """What a survey found, what it looked at, and what a summary has to say about it.

    `seconds` is how long it took when it was made, and stays with it when it is taken up again.
    """

    detections: gpd.GeoDataFrame
    coverage: gpd.GeoDataFrame
    blocks: int
    failures: tuple[str, ...]
    unfamiliar_share: float
    seconds: float = 0.0

    @classmethod
    def read(cls, folder: Path, facts: Mapping[str, Any]) -> Survey:
        """Take a survey from its folder.

        Raises:
            TableError: a table is missing, or of another version.
        """
        known = {**facts, "failures": tuple(facts["failures"])}
        found = read_table(folder / "detections.parquet", DETECTIONS)
        return cls(found, read_table(folder / "coverage.parquet", COVERAGE), **known)

    def facts(self) -> dict[str, Any]:
        """What the tables do not hold, for the manifest."""
        return {
            "blocks": self.blocks,
            "failures": list(self.failures),
            "unfamiliar_share": self.unfamiliar_share,
            "seconds": self.seconds,
        }


def make_survey(
    plan: SurveyPlan, settings: RunSettings, journal: Journal, folder: Path, screen: Screen
) -> dict[str, Any]:
    """Do every task of the journal that is not done yet, and write the survey's tables.

    Args:
        plan: what to look at; the journal holds its tasks.
        settings: how to go about it.
        journal: what is done, and where results land.
        folder: the run folder.
        screen: shows progress.

    Returns:
        What the tables do not hold, for the manifest and the summary.

    Raises:
        RegionError: the region and the imagery do not overlap.
        SurveyError: the cluster is lost, the disk is full, or too much failed.
        SceneError: nothing could be searched, or something failed and the settings are strict.
    """
    started = time.perf_counter()
    tally = journal.tally()
    if not tally.planned:
        raise RegionError(
            f"region {plan.region.name} and the imagery do not overlap: check both coordinates."
        )
    if tally.done:
        screen.say(f"going on: {tally.done} of {tally.planned} tasks are done already.")
    try:
        if tally.left:
            _search(plan, settings, journal, screen)
    except KeyboardInterrupt:
        tally = journal.tally()
        screen.say(
            f"stopped: {tally.done} of {tally.planned} tasks are kept in {folder}; the same "
            "command goes on."
        )
        raise
    write_tables(journal, plan.catalog.scenes, _unseen(plan), plan.region, plan.period, folder)
    journal.prune()
    return _facts(journal, time.perf_counter() - started)


def _search(plan: SurveyPlan, settings: RunSettings, journal: Journal, screen: Screen) -> None:
    tally = journal.tally()
    with (
        connect(settings, tally.left, plan.detector.device) as force,
        screen.survey(tally.planned, tally.done) as bar,
    ):
        dispatcher = put_to_work(force, plan, settings.engine)
        if force.address and not force.slots():
            wait_s = settings.engine.worker_wait_s
            screen.say(f"no worker at {force.address} yet: waiting for one, {wait_s:g} s at most.")
        keeper = _Keeper(journal, settings, bar)
        for outcome in dispatcher.run(journal.pending()):
            keeper.take(outcome)


def put_to_work(force: Workforce, plan: SurveyPlan, engine: EngineSettings) -> Dispatcher:
    """Have the detector loaded on every worker, and return what gives them tasks.

    Raises:
        ConfigError: a worker runs other code than this client, or cannot run it at all.
        WeightsError: a worker does not find the weights.
    """
    plugin = LoadSearcher(plan.detector, facts_here() if force.address else None)

    def make(task: PlannedTask) -> SurveyTask:
        scene = plan.catalog.scenes[task.scene]
        return SurveyTask(scene, task.block, plan.site_class, plugin.name, engine.task_limit_s)

    with said_when_unable(force.address):
        force.client.register_plugin(plugin)
    return Dispatcher(force, engine, make)


class _Keeper:
    """Puts what comes back into the journal, and stops the run when too much fails."""

    def __init__(self, journal: Journal, settings: RunSettings, bar: SurveyBar) -> None:
        self.journal, self.bar = journal, bar
        self.strict, self.max_failed = settings.strict, settings.engine.max_failed
        self.failed = 0

    def take(self, outcome: Outcome) -> None:
        """Keep one outcome.

        Raises:
            SceneError: it is a failure, and the survey is strict.
            SurveyError: it is one failure more than the settings allow.
        """
        if outcome.result is not None:
            self.journal.add(outcome.task.key, outcome.result)
            counts = outcome.result.counts
            self.bar.advance(1, counts.area_km2, counts.found)
            return
        reason = given_up(outcome)
        if self.strict:
            raise SceneError(reason)
        self.journal.fail(outcome.task.key, outcome.attempts, reason)
        self.failed += 1
        self.bar.advance(1, 0.0, 0)
        if self.failed > self.max_failed:
            raise SurveyError(
                f"{self.failed} tasks failed, more than max_failed = {self.max_failed} in [engine] "
                f"allows; the last: {reason} Mend that, and {GO_ON}"
            )


def _unseen(plan: SurveyPlan) -> CoverageMap:
    """Ground that no task looks at: of files that cannot be used, and of dates set aside."""
    unseen = CoverageMap()
    known = [(source.footprint, "failed") for source in plan.catalog.broken]
    known += [(scene.footprint, "out_of_season") for scene in plan.out_of_season]
    for footprint, status in known:
        overlap = footprint and footprint.intersection(plan.region.polygon)
        if overlap and overlap.area > 0:
            unseen.add_polygon(overlap, status)
    return unseen


def _facts(journal: Journal, seconds: float) -> dict[str, Any]:
    counts, tally = journal.counts(), journal.tally()
    return {
        "blocks": tally.planned,
        "failures": sorted(failure.reason for failure in journal.failures()),
        "unfamiliar_share": counts.unfamiliar / counts.looked if counts.looked else 0.0,
        "seconds": round(seconds, 2),
    }
