"""The network's features to oriented boxes: peaks of the heatmap, in no order of work."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from models.detection import SCORE_DECIMALS, Bools, PixelBoxes, PixelOrigin
from models.inference.fused import FusedNet
from models.network import CELL_PX, TYPICAL_LENGTH_PX, TYPICAL_WIDTH_PX

# Two kilns never stand closer: at 10 m, 5 px is one kiln's width and a bit.
SUPPRESSION_RADIUS_PX = 5.0
# A centre lies at most this many cells from the middle of the cell that found it.
MAX_OFFSET_CELLS = 1.5
# Sizes are kept within exp(1) of a typical kiln; further off the head has never seen anything.
MAX_LOG_RATIO = 1.0
# Logits in bf16 are off by a hundredth near the threshold; cells this far below it cannot reach it.
ROUGH_MARGIN = 0.25
# What cells below the threshold score: less than any peak.
SILENT = -1.0
# A step of one cell to each side, and none.
NEIGHBOURS = tuple((row, col) for row in (0, 1, 2) for col in (0, 1, 2))


@dataclass(frozen=True)
class Decoding:
    """What of the raw outputs becomes a box."""

    threshold: float
    suppression_radius_px: float = SUPPRESSION_RADIUS_PX


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
    heat = _rounded(outputs[0])
    cells = torch.nonzero(heat > _limit(decoding))
    return _peaks(heat, cells, outputs[:, cells[:, 0], cells[:, 1]].T, origin, decoding)


def decode_features(
    features: Tensor, net: FusedNet, origin: PixelOrigin, decoding: Decoding
) -> PixelBoxes:
    """The same from what the last layer reads; that layer is applied where it can matter.

    It runs in float32: eight bits of mantissa would tie the peaks. A look at all cells in the
    features' own format finds those that may pass the threshold, a few in a thousand.

    Args:
        features: (y / 2, x / 2, channels), on the network's device.
        net: Gives the last layer.
        origin: Of the array on the scene's grid.
        decoding: Threshold and radius.
    """
    logit = math.log(decoding.threshold / (1 - decoding.threshold))
    rough = features @ net.out_weight[0].to(features.dtype)  # (y/2, x/2)
    cells = torch.nonzero(rough > logit - ROUGH_MARGIN - float(net.out_bias[0]))
    near = features[cells[:, 0], cells[:, 1]].float()  # (n, channels)
    values = (near @ net.out_weight.T + net.out_bias).cpu()  # (n, N_OUTPUTS)
    cells = cells.cpu()
    heat = torch.full(features.shape[:2], SILENT)
    heat[cells[:, 0], cells[:, 1]] = _rounded(values[:, 0])
    return _peaks(heat, cells, values, origin, decoding)


def _rounded(logits: Tensor) -> Tensor:
    """Scores in units of the last decimal that is kept."""
    return torch.sigmoid(logits).mul(10**SCORE_DECIMALS).round()


def _limit(decoding: Decoding) -> float:
    return float(decoding.threshold * 10**SCORE_DECIMALS)


def _peaks(
    heat: Tensor, cells: Tensor, values: Tensor, origin: PixelOrigin, decoding: Decoding
) -> PixelBoxes:
    """Boxes of those cells that no cell around them exceeds; `values` are (n, N_OUTPUTS)."""
    around = F.pad(heat, (1, 1, 1, 1), value=SILENT)
    row, col = cells[:, 0], cells[:, 1]
    own = heat[row, col]
    highest = torch.stack([around[row + down, col + right] for down, right in NEIGHBOURS]).amax(0)
    keep = (own == highest) & (own > _limit(decoding))
    score = own[keep].double().numpy() / 10**SCORE_DECIMALS
    boxes = _boxes(cells[keep].numpy(), values[keep].double().numpy().T, score, origin)
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
