"""What a worker does with one block: read it, look at it, and say what was seen and found."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np

from models.detection import (
    DETECTIONS,
    ArrayWindow,
    Bools,
    PixelBoxes,
    PixelOrigin,
    SeenOn,
    georeference,
)
from models.site_class import SiteClass
from tiles.blocks import Block
from tiles.clouds import SEARCHED
from tiles.composite import read_looks
from tiles.coverage import GroundStatus, day_text, sample_ground
from tiles.looks import Looks
from tiles.mosaic import owned
from tiles.read import BlockPixels
from tiles.scene import Scene
from tiles.skipping import SEARCHED_GATE, StatusArray, known_status

if TYPE_CHECKING:
    from models.calibration import Calibration
    from models.detector import Detector, Search

DEVICE = threading.Lock()


@dataclass(frozen=True)
class DetectorSpec:
    """What a worker needs to build its detector; device and precision are resolved.

    `elsewhere` says that the region lies far from all places that the weights were trained on.
    """

    weights: Path
    weights_sha256: str
    device: str
    precision: str
    halo_px: int
    gate: Path | None = None
    gate_sha256: str = ""
    elsewhere: bool = False


@dataclass(frozen=True)
class BlockResult:
    """What one block gave.

    Attributes:
        detections: rows of the DETECTIONS table.
        ground: coverage statuses of the block's core.
        area_km2: ground in the core, for the progress bar.
        looked: parts of the block whose imagery was compared with the training data.
        unfamiliar: how many of these are unlike it.
        read_s: seconds spent waiting for pixels.
        network_s: seconds spent computing.
        skipped_px: pixels never read in full, as an overview showed nothing to search there.
        gated_px: pixels at which only the gate looked.
    """

    detections: gpd.GeoDataFrame
    ground: GroundStatus
    area_km2: float
    looked: int
    unfamiliar: int
    read_s: float
    network_s: float
    skipped_px: int = 0
    gated_px: int = 0


@dataclass(frozen=True)
class Searcher:
    """A detector, ready to search blocks in this process."""

    detector: Detector
    elsewhere: bool = False

    @classmethod
    def load(cls, spec: DetectorSpec) -> Searcher:
        """Build the detector; it uses one thread of this process.

        Raises:
            WeightsError: the weights cannot be read.
        """
        from models.detector import Detector

        return cls(
            Detector.load(spec.weights, spec.device, spec.precision, threads=1, gate=spec.gate),
            spec.elsewhere,
        )

    def search(self, scene: Scene, block: Block, site_class: SiteClass) -> BlockResult:
        """Search one block; what an overview shows to be empty is not read.

        Raises:
            SceneError: it cannot be read.
        """
        started = time.perf_counter()
        known = known_status(scene, block)
        if not (known == SEARCHED).any():
            return BlockResult(
                detections=DETECTIONS.empty(),
                ground=sample_ground(scene, block, known),
                area_km2=core_km2(scene, block),
                looked=0,
                unfamiliar=0,
                read_s=time.perf_counter() - started,
                network_s=0.0,
                skipped_px=known.size,
            )
        read = read_looks(scene, block)
        was_read = time.perf_counter()
        found = self._look(block, read, known == SEARCHED)
        core = np.s_[block.halo : block.halo + block.rows, block.halo : block.halo + block.cols]
        status = _settled(known, found.status(read.status.to_numpy()[core]))
        seen = SeenPixels.of(scene, block, read)
        return BlockResult(
            detections=self._located(found, scene, site_class, seen),
            ground=sample_ground(scene, block, status, _days(read, core)),
            area_km2=core_km2(scene, block),
            looked=found.looked,
            unfamiliar=found.strange,
            read_s=was_read - started,
            network_s=time.perf_counter() - was_read,
            gated_px=int((status == SEARCHED_GATE).sum()),
        )

    def _look(self, block: Block, read: BlockPixels, wanted: Bools) -> Search:
        core = ArrayWindow(block.halo, block.halo, block.rows, block.cols)
        origin = PixelOrigin(block.row - block.halo, block.col - block.halo)
        # several threads may read for one graphics card, which works for one at a time
        with DEVICE if self.detector.device != "cpu" else nullcontext():
            return self.detector.search(read.pixels.to_numpy(), read.usable, core, origin, wanted)

    def curve(self, prevalence_per_1000km2: float) -> Calibration:
        """From score to probability in this region, at a density of sites."""
        known = self.detector.card.calibration
        here = known.elsewhere() if self.elsewhere else known
        return here.at_prevalence(prevalence_per_1000km2)

    def _located(
        self, found: Search, scene: Scene, site_class: SiteClass, pixels: SeenPixels
    ) -> gpd.GeoDataFrame:
        calibration = self.curve(site_class.prevalence_per_1000km2)
        ours = pixels.owned(found.boxes)
        boxes, unfamiliar = found.boxes[ours], found.unfamiliar[ours]
        return georeference(
            boxes,
            scene,
            site_class.name,
            calibration.probabilities(boxes.score, unfamiliar),
            unfamiliar,
            seen=pixels.looks_at(boxes),
        )


@dataclass(frozen=True)
class SeenPixels:
    """What is known of a block's pixels beside their colours.

    Attributes:
        block: where they lie.
        own: (y, x) of the core, False where another scene goes before; None where none does.
        looks: of the block with its halo; None for a plain scene.
    """

    block: Block
    own: Bools | None
    looks: Looks | None

    @classmethod
    def of(cls, scene: Scene, block: Block, read: BlockPixels) -> SeenPixels:
        """Of a block that was read."""
        return cls(block, owned(scene, block), read.looks)

    def owned(self, boxes: PixelBoxes) -> Bools:
        """Which boxes have their peak where this scene decides."""
        if self.own is None:
            return np.ones(len(boxes), bool)
        row, col = boxes.peak_row - self.block.row, boxes.peak_col - self.block.col
        return np.asarray(self.own[row, col])

    def looks_at(self, boxes: PixelBoxes) -> SeenOn | None:
        """The looks at each box's peak; None for a plain scene, which has one."""
        if self.looks is None:
            return None
        halo = self.block.halo
        at = boxes.peak_row - self.block.row + halo, boxes.peak_col - self.block.col + halo
        return SeenOn(
            [day_text(int(day)) for day in self.looks.first_day[at]],
            [day_text(int(day)) for day in self.looks.last_day[at]],
            self.looks.count[at].astype(np.int64),
        )


def _settled(known: StatusArray, seen: StatusArray) -> StatusArray:
    """Statuses of the core inside the scene: what was known before, and what was seen elsewhere."""
    rows, cols = known.shape
    return np.where(known == SEARCHED, seen[:rows, :cols], known)


def _days(read: BlockPixels, core: tuple[slice, slice]) -> Looks | None:
    """When the core's pixels were looked at; None for a plain scene, whose date says it."""
    return None if read.looks is None else read.looks.within(*core)


def core_km2(scene: Scene, block: Block) -> float:
    """Ground in a block's core, as far as the scene reaches."""
    rows, cols = min(block.rows, scene.rows - block.row), min(block.cols, scene.cols - block.col)
    return rows * cols * scene.gsd.x_m * scene.gsd.y_m / 1e6
