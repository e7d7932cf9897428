"""Pixels to oriented boxes: device, precision, and decoding that no cut of the work changes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from models.detection import SCORE_DECIMALS, ArrayWindow, Bools, PixelBoxes, PixelOrigin
from models.familiarity import PATCH_PX, distances, patch_statistics
from models.network import (
    CELL_PX,
    STRIDE,
    TYPICAL_LENGTH_PX,
    TYPICAL_WIDTH_PX,
    KilnNet,
    fold_batch_norms,
    normalise,
    receptive_radius_px,
)
from models.weights import LoadedWeights, NetworkShape, PatchShape, WeightsCard, load_weights
from tiles.errors import ConfigError, WeightsError

Precision = Literal["fp32", "bf16"]

# Two kilns never stand closer: at 10 m, 5 px is one kiln's width and a bit.
SUPPRESSION_RADIUS_PX = 5.0
# From this many patches a side every second one, along rows and columns, gives the median as well.
MANY_PATCHES = 8
# A centre lies at most this many cells from the middle of the cell that found it.
MAX_OFFSET_CELLS = 1.5
# Sizes are kept within exp(1) of a typical kiln; further off the head has never seen anything.
MAX_LOG_RATIO = 1.0


@dataclass(frozen=True)
class Decoding:
    """What of the raw outputs becomes a box."""

    threshold: float
    suppression_radius_px: float = SUPPRESSION_RADIUS_PX


def halo_px(shape: NetworkShape) -> int:
    """Margin that a core needs so that nothing outside the array could change its detections.

    The receptive radius, one cell for the 3 x 3 maximum, and what suppression reaches: its radius
    and the offsets of both centres. Rounded up to the stride.
    """
    reach = SUPPRESSION_RADIUS_PX + CELL_PX * (2 * MAX_OFFSET_CELLS + 2)
    return -(-int(np.ceil(receptive_radius_px(shape) + reach)) // STRIDE) * STRIDE


class Detector:
    """A network with its card, ready to look at blocks.

    Attributes:
        card: What the weights are.
        sha256: Digest of the weights.
        device: Where the network runs, such as `cpu` or `cuda`.
        precision: `fp32` or `bf16`; part of what makes a run repeatable.
        threshold: Score above which a peak is a detection; the card's, unless set lower to score.
        stride: Arrays must start on multiples of this on the scene's grid.
        halo_px: Margin needed around a core.
    """

    def __init__(self, weights: LoadedWeights, device: str, precision: Precision) -> None:
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
        self._net = fold_batch_norms(_build(weights, shape))
        self._net.to(device=self.device, dtype=self._dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._net.out.float()
        return halo_px(shape)

    @staticmethod
    def of(weights: LoadedWeights, device: str, precision: Precision) -> Detector:
        """The detector for weights of either kind: boxes around centres, or squares."""
        if isinstance(weights.card.shape, PatchShape):
            from models.patch_detector import PatchDetector  # it builds on this module

            return PatchDetector(weights, device, precision)
        return Detector(weights, device, precision)

    @classmethod
    def load(
        cls,
        weights_path: Path,
        device: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
    ) -> Detector:
        """Read weights and place the network.

        Args:
            weights_path: A file that `kilnlight train` wrote.
            device: `auto`, `cpu`, `cuda` or `mps`.
            precision: `auto`, `fp32` or `bf16`.
            threads: CPU threads of this process from now on; torch's own choice when None.

        Raises:
            WeightsError: The weights are missing, damaged or of another shape.
            ConfigError: No such device or precision.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        chosen = resolve_device(device)
        return cls.of(load_weights(weights_path), chosen, resolve_precision(precision, chosen))

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
        if origin.row % STRIDE or origin.col % STRIDE:
            raise ValueError(f"blocks must start on multiples of {STRIDE} px, not at {origin}")
        if not usable[_slices(core)].any():
            return PixelBoxes.empty()
        boxes = self.boxes(pixels, usable, origin)
        row, col = boxes.peak_row - origin.row, boxes.peak_col - origin.col
        own = (row >= core.row0) & (row < core.row0 + core.rows)
        own &= (col >= core.col0) & (col < core.col0 + core.cols)
        own &= usable[np.minimum(row, len(usable) - 1), np.minimum(col, usable.shape[1] - 1)]
        return boxes[own]

    def boxes(self, pixels: NDArray[Any], usable: Bools, origin: PixelOrigin) -> PixelBoxes:
        """All boxes of one array above the threshold, sorted by peak row and column."""
        return decode(self.outputs(pixels, usable), origin, Decoding(self.threshold))

    def unfamiliarity(self, pixels: NDArray[Any], usable: Bools) -> float:
        """How unlike the training imagery an array is: the median distance of its patches.

        Beyond `card.familiarity.threshold` the imagery is not what the weights were trained on.
        0 where the card knows nothing or no patch is wholly usable.
        """
        if self.card.familiarity is None:
            return 0.0
        every = 2 if min(usable.shape) >= MANY_PATCHES * PATCH_PX else 1
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
        first_row, first_col = -origin.row % PATCH_PX, -origin.col % PATCH_PX
        patches = patch_statistics(pixels, usable, first_row, first_col)
        far = distances(self.card.familiarity, patches.features) > self.card.familiarity.threshold
        strange = {
            (row, col)
            for row, col in zip(
                (patches.row[far] + origin.row) // PATCH_PX,
                (patches.col[far] + origin.col) // PATCH_PX,
                strict=True,
            )
        }
        own = zip(boxes.peak_row // PATCH_PX, boxes.peak_col // PATCH_PX, strict=True)
        return np.array([cell in strange for cell in own], bool)

    def outputs(self, pixels: NDArray[Any], usable: Bools) -> Tensor:
        """Raw outputs (N_OUTPUTS, y / 2, x / 2) of one array, float32, on the CPU."""
        x, mask = to_tensors(pixels, usable, len(self.card.bands))
        # Normalising needs double precision, which Apple's MPS has not.
        where = self.device if self.device == "cuda" else "cpu"
        with torch.inference_mode():
            z = normalise(x.to(where), mask.to(where), self._kiln_shape)
            out: Tensor = self._net(z.to(device=self.device, dtype=self._dtype))
        return out[0].float().cpu()


def to_tensors(pixels: NDArray[Any], usable: Bools, n_bands: int) -> tuple[Tensor, Tensor]:
    """Pixels (1, band, y, x) and mask (1, 1, y, x) as float32, padded to the stride, NaN masked."""
    values = np.asarray(pixels[:n_bands], dtype=np.float32)
    mask = np.asarray(usable, bool)
    if pixels.dtype.kind == "f":
        mask = mask & np.isfinite(values).all(axis=0)
    pad = [-side % STRIDE for side in mask.shape]
    padding = (0, pad[1], 0, pad[0])
    x = F.pad(torch.from_numpy(np.where(mask, values, np.float32(0))), padding)
    return x[None], F.pad(torch.from_numpy(mask.astype(np.float32)), padding)[None, None]


def decode(outputs: Tensor, origin: PixelOrigin, decoding: Decoding) -> PixelBoxes:
    """Local maxima of the heatmap as boxes on the scene's grid, sorted by peak row and column.

    A peak stands when no cell around it is higher and no better peak lies within the suppression
    radius. "Better" compares score, then row, then column; a suppressed peak still suppresses. So
    the outcome depends on the neighbourhood alone and not on any order of work.

    Args:
        outputs: (N_OUTPUTS, y / 2, x / 2), float32.
        origin: Of the array on the scene's grid.
        decoding: Threshold and radius.
    """
    heat = torch.sigmoid(outputs[0]).mul(10**SCORE_DECIMALS).round()
    highest = F.max_pool2d(heat[None, None], 3, stride=1, padding=1)[0, 0]
    limit = decoding.threshold * 10**SCORE_DECIMALS
    cells = torch.nonzero((heat == highest) & (heat > limit))
    values = outputs[:, cells[:, 0], cells[:, 1]].double().numpy()
    score = heat[cells[:, 0], cells[:, 1]].double().numpy() / 10**SCORE_DECIMALS
    boxes = _boxes(cells.numpy(), values, score, origin)
    return boxes[standing(boxes, decoding.suppression_radius_px)]


def _boxes(
    cells: NDArray[np.int64],
    values: NDArray[np.float64],
    score: NDArray[np.float64],
    origin: PixelOrigin,
) -> PixelBoxes:
    offset = np.clip(values[1:3], -MAX_OFFSET_CELLS, MAX_OFFSET_CELLS)
    centre = CELL_PX * (cells.T + 0.5 + offset)  # (2, n): rows, columns in the array
    size = np.exp(np.clip(values[3:5], -MAX_LOG_RATIO, MAX_LOG_RATIO))
    angle = 0.5 * np.arctan2(values[6], values[5])
    peak = CELL_PX * cells
    return PixelBoxes(
        row=centre[0] + origin.row,
        col=centre[1] + origin.col,
        peak_row=peak[:, 0] + origin.row,
        peak_col=peak[:, 1] + origin.col,
        length_px=TYPICAL_LENGTH_PX * size[0],
        width_px=TYPICAL_WIDTH_PX * size[1],
        angle_rad=angle % np.pi,
        score=score,
    )


def standing(boxes: PixelBoxes, radius_px: float) -> Bools:
    """Which boxes no better box within the radius speaks against."""
    standing = np.ones(len(boxes), bool)
    if len(boxes) < 2:
        return standing
    pairs = cKDTree(np.stack([boxes.row, boxes.col], 1)).query_pairs(
        radius_px, output_type="ndarray"
    )
    rank = np.empty(len(boxes), np.int64)
    rank[np.lexsort((boxes.peak_col, boxes.peak_row, -boxes.score))] = np.arange(len(boxes))
    worse = np.where(rank[pairs[:, 0]] > rank[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
    standing[worse] = False
    return standing


def resolve_device(device: str) -> str:
    """`auto` becomes CUDA where there is one, else Apple's MPS, else the CPU.

    Raises:
        ConfigError: The device asked for is not on this machine.
    """
    present = {"cpu": True, "cuda": torch.cuda.is_available()}
    present["mps"] = torch.backends.mps.is_available()
    if device == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if present[name])
    if not present.get(device, False):
        usable = ", ".join(name for name, there in present.items() if there)
        raise ConfigError(f"The device {device!r} is not on this machine: use one of {usable}.")
    return device


def resolve_precision(precision: str, device: str) -> Precision:
    """`auto` becomes bf16 where the hardware multiplies in it, else fp32.

    Raises:
        ConfigError: No such precision.
    """
    if precision == "fp32":
        return "fp32"
    if precision == "bf16":
        return "bf16"
    if precision != "auto":
        raise ConfigError(f"There is no precision {precision!r}: use auto, fp32 or bf16.")
    return "bf16" if _multiplies_bf16(device) else "fp32"


def _multiplies_bf16(device: str) -> bool:
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


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


def _slices(core: ArrayWindow) -> tuple[slice, slice]:
    rows = slice(core.row0, core.row0 + core.rows)
    return rows, slice(core.col0, core.col0 + core.cols)
