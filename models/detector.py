"""Pixels to oriented boxes: the network over tiles of a fixed grid, so that no cut shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.detection import ArrayWindow, Bools, PixelBoxes, PixelOrigin
from models.gate.cells import Gate
from models.gate.looks import boxes_around
from models.inference.decoding import (
    MAX_OFFSET_CELLS,
    SUPPRESSION_RADIUS_PX,
    Decoding,
    decode_features,
)
from models.inference.familiarity import PATCH_PX, distances, patch_statistics, statistics_at
from models.inference.fused import CUT_REACH_PX, FusedNet
from models.inference.precision import Precision, resolve_device, resolve_precision
from models.inference.prepared import Prepared
from models.inference.tiling import grown, shrunk, slices, tiles_of, within
from models.network import CELL_PX, STRIDE, KilnNet, network_radius_px, window_radius_px
from models.weights import LoadedWeights, NetworkShape, PatchShape, WeightsCard, load_weights
from tiles.errors import WeightsError
from tiles.skipping import GATE_PX, gate_status

__all__ = ["Detector", "Precision", "Search", "halo_px", "resolve_device", "resolve_precision"]

# How far from a peak lie the cells that bear on whether it stands: its rival's peak within the
# suppression radius and the offsets of both centres, and one cell more for the 3 x 3 maximum.
RIVALS_REACH_PX = SUPPRESSION_RADIUS_PX + CELL_PX * (2 * MAX_OFFSET_CELLS + 2)
# So many patches along each side of a tile are compared with the training data: their median is
# that of all patches to within what one tile differs from the next.
COMPARED_PATCHES = 4


@dataclass(frozen=True)
class Search:
    """What a detector says of one block.

    Attributes:
        boxes: Those whose peak lies in the core, sorted by peak row and column.
        unfamiliar: For each box, whether it lies on ground unlike the training data.
        looked: Tiles of the core whose imagery was compared with the training data.
        strange: How many of these are unlike it.
        passed: Cells of the core, (rows, columns) of `tiles.skipping.GATE_PX`, that a gate let
            through; None where no gate looked.
    """

    boxes: PixelBoxes
    unfamiliar: Bools
    looked: int
    strange: int
    passed: Bools | None = None

    def status(self, status: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Coverage statuses (y, x) of the core, with what only the gate looked at."""
        return status if self.passed is None else gate_status(status, self.passed)


# Around a core, of what the network merges back to fine cells: a part of its whole margin.
MERGED_MARGIN_PX = -(-int(RIVALS_REACH_PX + CUT_REACH_PX) // STRIDE) * STRIDE


def network_margin_px(shape: NetworkShape) -> int:
    """Normalised pixels around a core that could change its detections, a multiple of STRIDE.

    The network's radius, one cell for the 3 x 3 maximum, and what suppression reaches: its radius
    and the offsets of both centres.
    """
    return -(-int(np.ceil(network_radius_px(shape) + RIVALS_REACH_PX)) // STRIDE) * STRIDE


def halo_px(shape: NetworkShape) -> int:
    """Margin that a core needs so that nothing outside the array could change its detections."""
    return network_margin_px(shape) + window_radius_px(shape)


class Detector:
    """A network with its card, ready to look at blocks.

    Attributes:
        card: What the weights are.
        sha256: Digest of the weights.
        device: Where the network runs, such as `cpu` or `cuda`.
        precision: `fp32` or `bf16`; part of what makes a run repeatable.
        gate: Says where `search` need not look; None lets it look everywhere.
        threshold: Score above which a peak is a detection; the card's, unless set lower to score.
        stride: Arrays must start on multiples of this on the scene's grid.
        halo_px: Margin needed around a core.
    """

    def __init__(
        self,
        weights: LoadedWeights,
        device: str,
        precision: Precision,
        gate: Gate | None = None,
    ) -> None:
        self.gate = gate
        self.card: WeightsCard = weights.card
        self.sha256 = weights.sha256
        self.device = device
        self.precision: Precision = precision
        self.stride = STRIDE
        self.threshold = weights.card.threshold
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.halo_px = self._place(weights)

    def _place(self, weights: LoadedWeights) -> int:
        """Build the network on its device, and say how wide a halo it needs, in pixels."""
        shape = weights.card.shape
        assert isinstance(shape, NetworkShape)  # narrows; `Detector.of` chose by it
        self._kiln_shape = shape
        self._net = FusedNet(_build(weights, shape), self.device, self._dtype)
        return halo_px(shape)

    @staticmethod
    def of(weights: LoadedWeights, device: str, precision: Precision) -> Detector:
        """The detector for weights of either kind: boxes around centres, or squares."""
        if isinstance(weights.card.shape, PatchShape):
            from models.patches.detector import PatchDetector  # it builds on this module

            return PatchDetector(weights, device, precision)
        return Detector(weights, device, precision)

    @classmethod
    def load(
        cls,
        weights_path: Path,
        device: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
        gate: Path | None = None,
    ) -> Detector:
        """Read weights and place the network.

        Args:
            weights_path: A file that `kilnlight train` wrote.
            device: `auto`, `cpu`, `cuda` or `mps`.
            precision: `auto`, `fp32` or `bf16`.
            threads: CPU threads of this process from now on; torch's own choice when None.
            gate: Weights of a gate for `search`.

        Raises:
            WeightsError: The weights are missing, damaged or of another shape.
            ConfigError: No such device or precision.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        chosen = resolve_device(device)
        resolved = resolve_precision(precision, chosen)
        detector = cls.of(load_weights(weights_path), chosen, resolved)
        if gate is not None:
            detector.gate = Gate.load(gate, chosen, detector._dtype)
        return detector

    def detect(
        self, pixels: NDArray[Any], usable: Bools, core: ArrayWindow, origin: PixelOrigin
    ) -> PixelBoxes:
        """Boxes whose peak lies in the core of one block.

        Args:
            pixels: (band, y, x), any number type and scaling; the first bands are the card's.
            usable: (y, x), False where a pixel is outside the scene, nodata or cloud.
            core: The part of the array that this block owns; at least `halo_px` from its edges.
            origin: The array's first pixel on the scene's grid, on multiples of `stride`.

        Returns:
            Boxes on the scene's grid, sorted by peak row and column.
        """
        prepared = self._prepared(pixels, usable, origin)
        looks = [look for tile in tiles_of(core, origin) for look in _whole(tile, usable)]
        return self._detect(prepared, looks, origin)

    def search(
        self,
        pixels: NDArray[Any],
        usable: Bools,
        core: ArrayWindow,
        origin: PixelOrigin,
        wanted: Bools | None = None,
    ) -> Search:
        """The same behind the gate, with what the training data say of the imagery.

        The core starts on the scene's grid of tiles, with the whole halo around it.

        Args:
            pixels: As `detect` takes them, like the three that follow.
            usable: (y, x).
            core: Of the array.
            origin: Of the array.
            wanted: (y, x) of the core as far as the scene reaches: a tile without a wanted pixel is
                left out. All tiles are looked at when None.
        """
        prepared = self._prepared(pixels, usable, origin)
        tiles = [tile for tile in tiles_of(core, origin) if _is_wanted(tile, core, wanted)]
        looks: list[Look] = []
        passed = None if self.gate is None else np.ones(_cells(core), bool)
        for tile in tiles:
            let = None if self.gate is None else self.gate.passes(prepared, tile)
            looks += _whole(tile, usable) if let is None else self._gated(tile, usable, let)
            if passed is not None and let is not None:
                row, col = (tile.row0 - core.row0) // GATE_PX, (tile.col0 - core.col0) // GATE_PX
                passed[row : row + let.shape[0], col : col + let.shape[1]] = let
        boxes = self._detect(prepared, looks, origin)
        strange = self._strange(pixels, usable, tiles)
        unfamiliar = self.unfamiliar_boxes(pixels, usable, boxes, origin)
        return Search(boxes, unfamiliar, len(strange), sum(strange), passed)

    def _gated(self, tile: ArrayWindow, usable: Bools, let: Bools) -> list[Look]:
        """Rectangles of a tile around the cells that a gate lets through.

        All cells of a rectangle are looked at, and become true in `let`.
        """
        looks = []
        for box in boxes_around(let, network_margin_px(self._kiln_shape)):
            let[box.row : box.row + box.rows, box.col : box.col + box.cols] = True
            row0, col0 = tile.row0 + GATE_PX * box.row, tile.col0 + GATE_PX * box.col
            rows = min(GATE_PX * box.rows, tile.row0 + tile.rows - row0)
            cols = min(GATE_PX * box.cols, tile.col0 + tile.cols - col0)
            own = ArrayWindow(row0, col0, rows, cols)
            seen = shrunk(own, usable)
            if seen is not None:
                looks.append(Look(own, seen))
        return looks

    def _prepared(self, pixels: NDArray[Any], usable: Bools, origin: PixelOrigin) -> Prepared:
        if origin.row % STRIDE or origin.col % STRIDE:
            raise ValueError(f"blocks must start on multiples of {STRIDE} px, not at {origin}")
        shape = NetworkShape(window_px=self.card.shape.window_px)
        return Prepared(pixels[: len(self.card.bands)], usable, shape, self.device)

    def _detect(self, prepared: Prepared, looks: Sequence[Look], origin: PixelOrigin) -> PixelBoxes:
        """Boxes whose peaks lie in usable pixels that a look owns, sorted by peak row, column."""
        if not looks:
            return PixelBoxes.empty()
        found = self._boxes_of(prepared, looks, origin)
        usable = prepared.usable
        own = [_own(new, look.own, usable, origin) for new, look in zip(found, looks, strict=True)]
        boxes = PixelBoxes.concatenate(own)
        return boxes[np.lexsort((boxes.peak_col, boxes.peak_row))]

    def _boxes_of(
        self, prepared: Prepared, looks: Iterable[Look], origin: PixelOrigin
    ) -> Iterator[PixelBoxes]:
        """Boxes in and around each look; no other look's work changes an array."""
        margin_px = network_margin_px(self._kiln_shape)
        for look in looks:
            window = grown(look.seen, margin_px, *prepared.shape)
            merged = grown(look.seen, MERGED_MARGIN_PX, *prepared.shape)
            with torch.inference_mode():
                x = prepared.normalised(window, self._dtype).to(self.device)
                features = self._net.features(x, within(merged, window))[0]
                at = PixelOrigin(origin.row + merged.row0, origin.col + merged.col0)
                yield decode_features(features, self._net, at, Decoding(self.threshold))

    def _strange(
        self, pixels: NDArray[Any], usable: Bools, tiles: Iterable[ArrayWindow]
    ) -> list[bool]:
        """Of each tile with usable pixels, whether its imagery is unlike the training data."""
        familiarity = self.card.familiarity
        if familiarity is None:
            return []
        seen = [slices(tile) for tile in tiles if usable[slices(tile)].any()]
        far = [self.unfamiliarity(pixels[:, *inside], usable[inside]) for inside in seen]
        return [distance > familiarity.threshold for distance in far]

    def unfamiliarity(self, pixels: NDArray[Any], usable: Bools) -> float:
        """How unlike the training imagery an array is: the median distance of its patches.

        Beyond `card.familiarity.threshold` the imagery is not what the weights were trained on.
        0 where the card knows nothing or no patch is wholly usable.
        """
        if self.card.familiarity is None:
            return 0.0
        every = max(min(usable.shape) // (COMPARED_PATCHES * PATCH_PX), 1)
        patches = patch_statistics(pixels, usable, every=every)
        if not len(patches.features):
            return 0.0
        return float(np.median(distances(self.card.familiarity, patches.features)))

    def unfamiliar_boxes(
        self, pixels: NDArray[Any], usable: Bools, boxes: PixelBoxes, origin: PixelOrigin
    ) -> Bools:
        """Which boxes lie in a patch of 64 px, on the scene's own grid, unlike the training.

        The array must have the halo: then the answer does not depend on how the scene was cut.
        """
        if self.card.familiarity is None or not len(boxes):
            return np.zeros(len(boxes), bool)
        cells = np.stack([boxes.peak_row // PATCH_PX, boxes.peak_col // PATCH_PX], axis=1)
        own, number = np.unique(cells, axis=0, return_inverse=True)
        first = PATCH_PX * own - np.array([origin.row, origin.col])
        patches = statistics_at(pixels, usable, first[:, 0], first[:, 1])
        strange = np.zeros(len(own), bool)
        if len(patches.features):
            far = distances(self.card.familiarity, patches.features)
            strange[patches.number] = far > self.card.familiarity.threshold
        return np.asarray(strange[number.reshape(-1)], bool)


@dataclass(frozen=True)
class Look:
    """One array that the network sees.

    Attributes:
        own: Pixels whose peaks it decides.
        seen: Pixels of the array, without its margin.
    """

    own: ArrayWindow
    seen: ArrayWindow


def _whole(tile: ArrayWindow, usable: Bools) -> list[Look]:
    """A tile as one array; none where nothing of it is usable."""
    seen = shrunk(tile, usable)
    return [] if seen is None else [Look(tile, seen)]


def _cells(core: ArrayWindow) -> tuple[int, int]:
    """Rows and columns of a core's cells; the last ones may reach beyond it."""
    return -(-core.rows // GATE_PX), -(-core.cols // GATE_PX)


def _is_wanted(tile: ArrayWindow, core: ArrayWindow, wanted: Bools | None) -> bool:
    if wanted is None:
        return True
    row, col = tile.row0 - core.row0, tile.col0 - core.col0
    return bool(wanted[row : row + tile.rows, col : col + tile.cols].any())


def _own(boxes: PixelBoxes, tile: ArrayWindow, usable: Bools, origin: PixelOrigin) -> PixelBoxes:
    """Boxes whose peak lies in a usable pixel of a tile."""
    row, col = boxes.peak_row - origin.row, boxes.peak_col - origin.col
    own = (row >= tile.row0) & (row < tile.row0 + tile.rows)
    own &= (col >= tile.col0) & (col < tile.col0 + tile.cols)
    own &= usable[np.clip(row, 0, usable.shape[0] - 1), np.clip(col, 0, usable.shape[1] - 1)]
    return boxes[own]


def _build(weights: LoadedWeights, shape: NetworkShape) -> KilnNet:
    net = KilnNet(shape, len(weights.card.bands)).eval()
    load_tensors(net, weights)
    return net


def load_tensors(net: nn.Module, weights: LoadedWeights) -> None:
    """Fill a network with the tensors of weights.

    Raises:
        WeightsError: They are of another network.
    """
    tensors = {name: torch.from_numpy(array) for name, array in weights.tensors.items()}
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(
            f"The weights {weights.card.name} do not fit the network their card describes: "
            "train them again with this version."
        ) from error
