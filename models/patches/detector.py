"""The classifier of chips as a detector: a survey's blocks to squares that hold a site."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from models.detection import SCORE_DECIMALS, Bools, PixelBoxes, PixelOrigin
from models.detector import Detector, Look, load_tensors
from models.inference.decoding import standing
from models.inference.prepared import Prepared, to_tensors
from models.inference.tiling import grown, slices
from models.patches.network import PatchNet, two_views
from models.weights import LoadedWeights, PatchShape

# Squares are looked at every so many pixels, on the scene's own grid: a third of a mine's chip, so
# that every site lies well inside one of them.
STEP_PX = 16
# Squares whose middles are nearer than three quarters of a side speak of one site: pits along a
# river are a string of squares that hardly overlap, and one pit is never two squares.
SUPPRESSION_SHARE = 0.75
# Squares up to two steps away in rows and columns may hold what the best one holds: the middle of
# those that score like it is the site's place.
REFINED_STEPS = 2
# Logits are compared to this many decimals: sums of another order must not change which is best.
LOGIT_DECIMALS = 3
# Squares of which less is usable are not looked at.
LEAST_USABLE = 0.5
# Chips scored at once: their features stay in the cache.
AT_ONCE = 64
# The logit of a square that was not looked at.
NOT_SEEN = -20.0


def patch_halo_px(shape: PatchShape) -> int:
    """Margin that a core needs so that nothing outside the array could change its detections.

    Half a square around the furthest middle that counts: the neighbours that refine a place, or
    the neighbours of a rival at the suppression radius. Rounded up to the step.
    """
    rival = SUPPRESSION_SHARE * shape.chip_px + STEP_PX
    reach = max(rival, REFINED_STEPS * STEP_PX) + shape.chip_px / 2
    return -(-int(np.ceil(reach)) // STEP_PX) * STEP_PX


class PatchDetector(Detector):
    """Finds squares of `chip_px` pixels; the interface is the one of `Detector`.

    Every square is scored as a chip of its own, exactly as in training. Sharing the convolutions
    between squares would be quicker, but then every chip has surroundings that training never
    showed, and the figures measured on chips say nothing about a scene.
    """

    def _place(self, weights: LoadedWeights) -> int:
        shape = weights.card.shape
        assert isinstance(shape, PatchShape)  # narrows; `Detector.of` chose by it
        self._shape = shape
        net = PatchNet(shape, len(weights.card.bands)).eval()
        load_tensors(net, weights)
        self._squares = net.to(device=self.device, dtype=self._dtype)
        self._squares.head.float()
        return patch_halo_px(shape)

    def _boxes_of(
        self, prepared: Prepared, looks: Iterable[Look], origin: PixelOrigin
    ) -> Iterator[PixelBoxes]:
        for look in looks:
            window = grown(look.seen, self.halo_px, *prepared.usable.shape)
            inside = slices(window)
            at = PixelOrigin(origin.row + window.row0, origin.col + window.col0)
            yield self.boxes(prepared.pixels[:, *inside], prepared.usable[inside], at)

    def boxes(self, pixels: NDArray[Any], usable: Bools, origin: PixelOrigin) -> PixelBoxes:
        """All squares of one array above the threshold, sorted by peak row and column."""
        first = PixelOrigin(-origin.row % STEP_PX, -origin.col % STEP_PX)
        cut = np.s_[..., first.row :, first.col :]
        if min(usable[cut].shape) < self._shape.chip_px:
            return PixelBoxes.empty()
        logits = self.logits(pixels[cut], usable[cut])
        at = PixelOrigin(origin.row + first.row, origin.col + first.col)
        return decode_squares(logits, at, self.threshold, self._shape.chip_px)

    def logits(self, pixels: NDArray[Any], usable: Bools) -> Tensor:
        """Logit of every square from the first pixel on, every STEP_PX, float32, on the CPU."""
        x, mask = (t.float() for t in to_tensors(pixels, usable, len(self.card.bands)))
        side = self._shape.chip_px
        chips, masks = (_squares(tensor[0], side) for tensor in (x, mask))
        out = torch.full(chips.shape[:2], NOT_SEEN)
        seen = masks.float().mean((2, 3, 4)) >= LEAST_USABLE
        with torch.inference_mode():
            places = torch.nonzero(seen)
            for first in range(0, len(places), AT_ONCE):
                row, col = places[first : first + AT_ONCE].T
                views = two_views(chips[row, col].to(self.device), masks[row, col].to(self.device))
                out[row, col] = self._squares(views.to(self._dtype)).float().cpu()
        return out


def _squares(values: Tensor, side: int) -> Tensor:
    """(band, y, x) to (rows, columns, band, side, side), a view of every square."""
    cut = values.unfold(1, side, STEP_PX).unfold(2, side, STEP_PX)
    return cut.permute(1, 2, 0, 3, 4)


def decode_squares(
    logits: Tensor, origin: PixelOrigin, threshold: float, chip_px: int
) -> PixelBoxes:
    """Local maxima of the squares' logits as boxes on the scene's grid.

    A square stands when none beside it is better and no better maximum lies within
    `SUPPRESSION_SHARE` of a side. The outcome depends on the neighbourhood alone, not on any order
    of work. The box is a square of `chip_px` pixels along the grid: the labels say that a site
    lies in a chip, not how far it reaches.

    Args:
        logits: (rows, columns) of squares every STEP_PX, float32.
        origin: Of the first square's first pixel on the scene's grid.
        threshold: Score above which a square counts.
        chip_px: Side of a square.
    """
    rank = logits.double().mul(10**LOGIT_DECIMALS).round()
    score = torch.sigmoid(rank / 10**LOGIT_DECIMALS).mul(10**SCORE_DECIMALS).round()
    best = F.max_pool2d(rank[None, None], 3, stride=1, padding=1)[0, 0]
    cells = torch.nonzero((rank == best) & (score > threshold * 10**SCORE_DECIMALS)).numpy()
    row, col = _refined(score.numpy(), cells)
    middle = STEP_PX * cells + chip_px // 2
    size = np.full(len(cells), float(chip_px))
    ranked = PixelBoxes(
        row=middle[:, 0] + float(origin.row),
        col=middle[:, 1] + float(origin.col),
        peak_row=middle[:, 0] + origin.row,
        peak_col=middle[:, 1] + origin.col,
        length_px=size,
        width_px=size,
        angle_rad=np.zeros(len(cells)),
        score=rank.numpy()[cells[:, 0], cells[:, 1]],
    )
    found = replace(
        ranked,
        row=STEP_PX * row + chip_px / 2 + origin.row,
        col=STEP_PX * col + chip_px / 2 + origin.col,
        score=score.numpy()[cells[:, 0], cells[:, 1]] / 10**SCORE_DECIMALS,
    )
    return found[standing(ranked, SUPPRESSION_SHARE * chip_px)]


def _refined(
    score: NDArray[np.float64], cells: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean row and column of the squares around each cell that score over half as much as it."""
    wide = np.pad(score, REFINED_STEPS)
    steps = np.arange(-REFINED_STEPS, REFINED_STEPS + 1)
    near = wide[
        cells[:, 0, None, None] + REFINED_STEPS + steps[:, None],
        cells[:, 1, None, None] + REFINED_STEPS + steps[None],
    ]  # (n, 5, 5)
    weight = np.maximum(near - 0.5 * score[cells[:, 0], cells[:, 1], None, None], 0.0)
    total = np.maximum(weight.sum(axis=(1, 2)), 1e-9)
    down = (weight * steps[:, None]).sum(axis=(1, 2)) / total
    across = (weight * steps[None]).sum(axis=(1, 2)) / total
    return cells[:, 0] + down, cells[:, 1] + across
