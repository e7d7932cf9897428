"""The gate in front of a detector: cells of 640 m in which there is nothing to look for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from models.detection import ArrayWindow
from models.gate.card import GateCard
from models.gate.network import COARSE_PX, GATE_CELL_PX, FusedGate, GateNet, gate_margin_px
from models.inference.prepared import Prepared
from models.inference.tiling import grown
from models.network import STRIDE
from models.weights import load_tensors_with
from tiles.skipping import GATE_PX

# A detection's peak and the gate's own may lie a cell of the heatmap apart.
SLACK_CELLS = 1


class Gate:
    """A gate with its card, ready to look at blocks.

    Attributes:
        card: What the weights are.
        sha256: Digest of the weights.
    """

    def __init__(
        self,
        card: GateCard,
        tensors: dict[str, NDArray[Any]],
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        sha256: str = "",
    ) -> None:
        self.card, self.sha256 = card, sha256
        net = GateNet(card.shape, len(card.bands))
        net.load_state_dict({name: torch.from_numpy(array) for name, array in tensors.items()})
        self._net = FusedGate(net, device, dtype)
        self._device = device

    @classmethod
    def load(cls, path: Path, device: str, dtype: torch.dtype) -> Gate:
        """Read a gate's weights.

        Raises:
            WeightsError: They are missing, damaged, or no gate's.
        """
        card, tensors, sha256 = load_tensors_with(path, GateCard)
        return cls(card, tensors, device, dtype, sha256)

    def logits(self, prepared: Prepared, tile: ArrayWindow) -> NDArray[np.float32]:
        """The greatest logit in each cell of GATE_PX of a tile, (rows, columns).

        Args:
            prepared: The block.
            tile: Starts on multiples of GATE_PX on the scene's grid.
        """
        whole = ArrayWindow(
            tile.row0, tile.col0, *(-(-side // STRIDE) * STRIDE for side in (tile.rows, tile.cols))
        )
        window = grown(whole, gate_margin_px(), *prepared.shape)
        with torch.inference_mode():
            x = prepared.coarse(window, COARSE_PX).to(self._device)
            heat = self._net.logits(x)
            heat = F.max_pool2d(heat, 2 * SLACK_CELLS + 1, stride=1, padding=SLACK_CELLS)
            row, col = ((a - b) // GATE_CELL_PX for a, b in _corners(tile, window))
            side = GATE_PX // GATE_CELL_PX
            down, across = (-(-length // GATE_PX) for length in (tile.rows, tile.cols))
            inner = heat[0, 0, row : row + down * side, col : col + across * side]
            missing = down * side - inner.shape[0], across * side - inner.shape[1]
            full = F.pad(inner, (0, missing[1], 0, missing[0]), value=float("-inf"))
            cells = F.max_pool2d(full[None, None], side)[0, 0]
        return np.asarray(cells.float().cpu().numpy())

    def passes(self, prepared: Prepared, tile: ArrayWindow) -> NDArray[np.bool_]:
        """Which cells of a tile the detector must look at, (rows, columns)."""
        return np.asarray(self.logits(prepared, tile) > self.card.threshold)


def _corners(tile: ArrayWindow, window: ArrayWindow) -> tuple[tuple[int, int], tuple[int, int]]:
    """First rows, and first columns, of a tile and of the window around it."""
    return (tile.row0, window.row0), (tile.col0, window.col0)
