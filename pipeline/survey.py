"""From imagery to detections and coverage: blocks become tasks, tasks run on Dask workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from distributed import Client, KilledWorker, WorkerPlugin, as_completed, get_worker

from models.detection import DETECTIONS, ArrayWindow, PixelOrigin, georeference
from models.site_class import SiteClass
from pipeline.cluster import connect, worker_count
from pipeline.config import RunSettings
from pipeline.progress import Screen, SurveyBar
from tiles.blocks import Block, plan_blocks
from tiles.catalog import Catalog
from tiles.coverage import STATUSES, CoverageMap, GroundStatus, sample_ground
from tiles.errors import RegionError, SceneError, SurveyError
from tiles.read import BlockPixels, read_block
from tiles.region import Region
from tiles.scene import Scene

if TYPE_CHECKING:
    from distributed import Worker

    from models.detector import Detector

BLOCKS_PER_TASK = 4  # a few seconds of work: small next to a run, large next to Dask's overhead
TASKS_PER_WORKER = 3  # futures in flight a worker: it never waits, and results never pile up
NOTHING_USABLE = (
    "every pixel is nodata or under cloud; number types other than uint8 must hold reflectance, "
    "as uint16 times 10,000 or as a fraction"
)
FAILED = STATUSES.index("failed")


@dataclass(frozen=True)
class DetectorSpec:
    """What a worker needs to build its detector; device and precision are resolved."""

    weights: Path
    weights_sha256: str
    device: str
    precision: str
    halo_px: int

    @property
    def plugin_name(self) -> str:
        """Name of the worker plugin that holds this very detector."""
        return f"kilnlight-{self.weights_sha256[:16]}-{self.device}-{self.precision}"


@dataclass(frozen=True)
class SurveyPlan:
    """All that decides what a survey finds, whatever the number of workers."""

    catalog: Catalog
    region: Region
    period: str
    site_class: SiteClass
    detector: DetectorSpec
    country: str | None = None


@dataclass(frozen=True)
class SurveyTask:
    """A few blocks of one scene; `detector` names the worker plugin that searches them."""

    scene: Scene
    blocks: tuple[Block, ...]
    site_class: SiteClass
    detector: str


@dataclass(frozen=True)
class BlockResult:
    """What one block gave.

    Attributes:
        detections: rows of the DETECTIONS table.
        ground: coverage statuses of the block's core.
        area_km2: ground in the core, for the progress bar.
        unfamiliar: whether the imagery is unlike the training data; None where nothing was seen.
        error: why the block could not be read, else None.
    """

    detections: gpd.GeoDataFrame
    ground: GroundStatus
    area_km2: float
    unfamiliar: bool | None
    error: str | None = None


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

    def facts(self) -> dict[str, Any]:
        """What the tables do not hold, for the manifest."""
        return {
            "blocks": self.blocks,
            "failures": list(self.failures),
            "unfamiliar_share": self.unfamiliar_share,
            "seconds": self.seconds,
        }


def survey_region(plan: SurveyPlan, settings: RunSettings, screen: Screen) -> Survey:
    """Look at every block of every scene that touches the region.

    Raises:
        RegionError: the region and the imagery do not overlap.
        SurveyError: worker processes keep dying.
        SceneError: nothing could be searched, or something failed and the settings are strict.
    """
    tasks = list(plan_tasks(plan))
    if not tasks:
        raise RegionError(
            f"region {plan.region.name} and the imagery do not overlap: check both coordinates."
        )
    collected = Collector(strict=settings.strict)
    in_flight = worker_count(settings) * TASKS_PER_WORKER
    with (
        connect(settings, len(tasks)) as client,
        screen.survey(sum(len(task.blocks) for task in tasks)) as bar,
    ):
        client.register_plugin(LoadDetector(plan.detector))
        try:
            for results in run_tasks(client, tasks, in_flight):
                collected.add(results, bar)
        except KilledWorker as error:
            raise SurveyError(
                "worker processes died again and again, most likely for want of memory: give "
                "fewer --workers."
            ) from error
    return collected.finish(plan)


def plan_tasks(plan: SurveyPlan) -> Iterator[SurveyTask]:
    """Yield the tasks of a survey, scene by scene, in the order of the files."""
    for scene in plan.catalog.scenes:
        blocks = plan_blocks(scene, plan.detector.halo_px, plan.region.polygon)
        while batch := tuple(islice(blocks, BLOCKS_PER_TASK)):
            yield SurveyTask(scene, batch, plan.site_class, plan.detector.plugin_name)


def run_tasks(
    client: Client, tasks: Sequence[SurveyTask], in_flight: int
) -> Iterator[list[BlockResult]]:
    """Run tasks with a bounded number in flight, and yield results as they come."""
    waiting = iter(tasks)
    # pure=False: the same block in two surveys on one scheduler is two tasks
    futures = [client.submit(search_task, task, pure=False) for task in islice(waiting, in_flight)]
    running = as_completed(futures)
    for future in running:
        yield future.result()
        future.release()
        for task in islice(waiting, 1):
            running.add(client.submit(search_task, task, pure=False))


class LoadDetector(WorkerPlugin):
    """Loads the network once a worker process.

    Named after the weights, so that two surveys on one scheduler keep their own.
    """

    def __init__(self, spec: DetectorSpec) -> None:
        self.spec, self.name = spec, spec.plugin_name
        self.detector: Detector

    def setup(self, worker: Worker) -> None:
        """Build the detector; tasks find it through the worker's list of plugins."""
        self.detector = load_detector(self.spec)


def load_detector(spec: DetectorSpec) -> Detector:
    """Build a detector that uses one thread of this process."""
    from models.detector import Detector

    return Detector.load(spec.weights, spec.device, spec.precision, threads=1)


def search_task(task: SurveyTask) -> list[BlockResult]:
    """Search the blocks of a task with the worker's own detector."""
    plugin = cast(LoadDetector, get_worker().plugins[task.detector])
    detector = plugin.detector
    return [search_block(detector, task.scene, block, task.site_class) for block in task.blocks]


def search_block(
    detector: Detector, scene: Scene, block: Block, site_class: SiteClass
) -> BlockResult:
    """Read one block, detect, and say what was looked at; a block that cannot be read is failed."""
    rows, cols = min(block.rows, scene.rows - block.row), min(block.cols, scene.cols - block.col)
    area_km2 = rows * cols * scene.gsd.x_m * scene.gsd.y_m / 1e6
    try:
        read = read_block(scene, block)
    except SceneError as error:
        ground = sample_ground(scene, block, FAILED)
        return BlockResult(DETECTIONS.empty(), ground, area_km2, None, str(error))
    core = np.s_[block.halo : block.halo + block.rows, block.halo : block.halo + block.cols]
    return BlockResult(
        detections=_detect(detector, scene, block, read, site_class),
        ground=sample_ground(scene, block, read.status.to_numpy()[core]),
        area_km2=area_km2,
        unfamiliar=_unfamiliar(detector, read.pixels.to_numpy()[:, *core], read.usable[core]),
    )


def _detect(
    detector: Detector, scene: Scene, block: Block, read: BlockPixels, site_class: SiteClass
) -> gpd.GeoDataFrame:
    pixels, usable = read.pixels.to_numpy(), read.usable
    core = ArrayWindow(block.halo, block.halo, block.rows, block.cols)
    origin = PixelOrigin(block.row - block.halo, block.col - block.halo)
    boxes = detector.detect(pixels, usable, core, origin)
    calibration = detector.card.calibration.at_prevalence(site_class.prevalence_per_1000km2)
    unfamiliar = detector.unfamiliar_boxes(pixels, usable, boxes, origin)
    return georeference(
        boxes,
        scene,
        site_class.name,
        calibration.probabilities(boxes.score, unfamiliar),
        unfamiliar,
    )


def _unfamiliar(
    detector: Detector, pixels: npt.NDArray[np.generic], usable: npt.NDArray[np.bool_]
) -> bool | None:
    """Whether the block as a whole is unlike the training data; None where nothing was seen."""
    if detector.card.familiarity is None or not usable.any():
        return None
    return detector.unfamiliarity(pixels, usable) > detector.card.familiarity.threshold


@dataclass
class Collector:
    """Takes results in any order and gives tables that do not depend on it."""

    strict: bool
    tables: list[gpd.GeoDataFrame] = field(default_factory=list)
    ground: CoverageMap = field(default_factory=CoverageMap)
    failures: list[str] = field(default_factory=list)
    familiar: list[bool] = field(default_factory=list)
    blocks: int = 0

    def add(self, results: Sequence[BlockResult], bar: SurveyBar) -> None:
        """Take the results of one task.

        Raises:
            SceneError: a block failed and the survey is strict.
        """
        for result in results:
            if result.error is not None:
                self.failures.append(result.error)
                if self.strict:
                    raise SceneError(result.error)
            if result.unfamiliar is not None:
                self.familiar.append(not result.unfamiliar)
            if len(result.detections):
                self.tables.append(result.detections)
            self.ground.add(result.ground)
        self.blocks += len(results)
        area_km2 = sum(result.area_km2 for result in results)
        bar.advance(len(results), area_km2, sum(len(result.detections) for result in results))

    def finish(self, plan: SurveyPlan) -> Survey:
        """Put the tables together.

        Raises:
            SceneError: no pixel of the region could be searched.
        """
        for source in plan.catalog.broken:
            overlap = source.footprint and source.footprint.intersection(plan.region.polygon)
            if overlap and overlap.area > 0:
                self.ground.add_polygon(overlap, "failed")
        coverage = self.ground.table(plan.region, plan.period)
        if not (coverage["status"] == "searched").any():
            reason = min(self.failures, default=NOTHING_USABLE)
            raise SceneError(f"nothing in the region could be searched: {reason}")
        return Survey(
            detections=_sorted(self.tables, plan.region),
            coverage=coverage,
            blocks=self.blocks,
            failures=tuple(sorted(self.failures)),
            unfamiliar_share=1 - float(np.mean(self.familiar)) if self.familiar else 0.0,
        )


def _sorted(tables: Sequence[gpd.GeoDataFrame], region: Region) -> gpd.GeoDataFrame:
    """All detections inside the region, by scene, row and column."""
    if not tables:
        return DETECTIONS.empty()
    frame = pd.concat(tables, ignore_index=True)
    shapely.prepare(region.polygon)
    frame = frame[shapely.contains_xy(region.polygon, frame["lon"], frame["lat"])]
    return frame.sort_values(["scene_id", "peak_row", "peak_col"], ignore_index=True)
