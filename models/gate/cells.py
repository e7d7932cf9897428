"""The gate in front of a detector: cells of 640 m in which there is nothing to look for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from models.detection import ArrayWindow
from models.gate.network import COARSE_PX, GATE_CELL_PX, FusedGate, GateNet, gate_margin_px
from models.inference.prepared import Prepared
from models.inference.tiling import grown
from models.network import STRIDE
from models.weights import GateShape, Recall, WeightsCard, load_tensors_with, weights_folder
from tiles.errors import WeightsError
from tiles.skipping import GATE_PX

# A detection's peak and the gate's own may lie a cell of the heatmap apart.
SLACK_CELLS = 1
# The gate is on by itself when it surely keeps this share of the sites that the detector finds...
DEFAULT_RECALL = 0.99
# ...seen on at least so many.
DEFAULT_SITES = 300
# ...and leaves the detector no more than this of its work, wherever that was measured: sparing less
# is not worth any site lost.
DEFAULT_WORK = 0.5
# Both tails of a 95 % interval, and of the 90 % interval that expected numbers are given with.
TAILS, TAILS_90 = (0.025, 0.975), (0.05, 0.95)
# The count that speaks for real land: of the sites that the detector finds, for it multiplies the
# detector's recall; made-up ones, of which none was lost, are left out.
REAL_FINDS = "found by the detector, real"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Kept(_Frozen):
    """How many sites the gate lets through to the detector, of those in places it never saw.

    Attributes:
        of: Which sites.
        kept: Let through.
        sites: In all.
        low: Lower end of the 95 % interval of the share (Clopper and Pearson, 1934).
        high: Upper end.
    """

    of: str
    kept: int = Field(ge=0)
    sites: int = Field(ge=0)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)

    @classmethod
    def count(cls, of: str, kept: int, sites: int) -> Kept:
        """With its exact interval."""
        low, high = clopper_pearson(kept, sites, TAILS)
        return cls(of=of, kept=kept, sites=sites, low=round(low, 5), high=round(high, 5))

    def __str__(self) -> str:
        share = f"{100 * self.kept / max(self.sites, 1):.2f} %"
        interval = f"95 % interval {100 * self.low:.2f} to {100 * self.high:.2f} %"
        return f"{self.of}: {self.kept} of {self.sites} ({share}, {interval})"


def clopper_pearson(kept: int, sites: int, tails: tuple[float, float]) -> tuple[float, float]:
    """The exact interval of a share, from its count (Clopper and Pearson, 1934)."""
    from scipy.stats import beta  # a second, which workers need not wait

    lost = sites - kept
    low = float(beta.ppf(tails[0], kept, lost + 1)) if kept else 0.0
    high = float(beta.ppf(tails[1], kept + 1, lost)) if lost else 1.0
    return low, high


class Passed(_Frozen):
    """Share of a region's cells that the gate lets through, sites or not.

    Attributes:
        region: Where; in places that the gate never saw.
        share: Of its cells.
        work: Pixels that the detector sees behind the gate, as a share of what it sees without;
            None where pictures were too small to tell.
        sites_per_1000km2: Known there: where there are many, many cells must pass.
    """

    region: str
    share: float = Field(ge=0, le=1)
    work: float | None = Field(default=None, ge=0)
    sites_per_1000km2: float = Field(ge=0)

    def __str__(self) -> str:
        left = "" if self.work is None else f", {100 * self.work:.0f} % of the detector's work"
        known = f"({self.sites_per_1000km2:.0f} known sites per 1,000 km2)"
        return f"{self.region}: {100 * self.share:.1f} % of the cells{left} {known}"


class GateCard(_Frozen):
    """The gate's machine-readable card; it travels inside the weights file.

    Attributes:
        kind: Tells it from a detector's card.
        name: Name of the weights.
        version: Version of the weights.
        site_class: The class whose sites it lets through.
        licence: As an SPDX expression.
        bands: That the network takes, in order.
        shape: The network's sizes.
        threshold: Logit above which a cell is let through.
        detector: Name and version of the detector whose finds were counted.
        detector_sha256: Of that detector.
        kept: Sites found by that detector and let through by gates that never saw the place: real
            and made-up ones together, then each, then all known ones whether found or not.
        passed: How much land is let through.
        trained_on: Sources of the training data with their licences.
        limits: Known failures, one sentence each.
        config_sha256: Of what it was trained with.
    """

    kind: Literal["gate"] = "gate"
    name: str
    version: str
    site_class: str
    licence: str
    bands: tuple[str, ...]
    shape: GateShape
    threshold: float
    detector: str
    detector_sha256: str
    kept: tuple[Kept, ...] = Field(min_length=1)
    passed: tuple[Passed, ...] = ()
    trained_on: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    config_sha256: str = ""

    @property
    def spares_enough(self) -> bool:
        """Whether it spares the detector enough work, wherever that was measured."""
        works = [passed.work for passed in self.passed if passed.work is not None]
        return bool(works) and max(works) <= DEFAULT_WORK

    @property
    def may_be_default(self) -> bool:
        """Whether it loses little enough, and spares enough, to be used without being asked for."""
        kept = self.kept[0]
        return self.spares_enough and kept.low >= DEFAULT_RECALL and kept.sites >= DEFAULT_SITES

    @property
    def recall(self) -> Recall:
        """Share of the sites found by the detector that come through, with its 90 % interval."""
        counted = next((kept for kept in self.kept if kept.of == REAL_FINDS), self.kept[0])
        low, high = clopper_pearson(counted.kept, counted.sites, TAILS_90)
        return Recall(mean=counted.kept / max(counted.sites, 1), low=low, high=high)


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


def default_gate(weights: WeightsCard) -> Path | None:
    """Path of the gate that comes with the program for a detector's class; None where none does."""
    path = weights_folder() / gate_name(weights)
    return path if path.is_file() else None


def gate_name(weights: WeightsCard) -> str:
    """Name of the file, among the weights that come with the program, of a detector's gate."""
    return f"{weights.site_class}_gate.safetensors"


def load_gate_card(path: Path) -> GateCard:
    """The card of a gate.

    Raises:
        WeightsError: the file is missing, damaged, or no gate's.
    """
    return load_tensors_with(path, GateCard)[0]


def choose_gate(wanted: bool | None, weights: WeightsCard, sha256: str) -> Path | None:
    """The gate that a run uses; None where the detector looks at everything.

    Args:
        wanted: What the user says; None leaves it to the gate's own figures.
        weights: Card of the detector.
        sha256: Digest of the detector: figures of a gate hold for the detector they are of.

    Raises:
        WeightsError: A gate is wanted, and none is made for these weights.
    """
    if wanted is False:
        return None
    path = default_gate(weights)
    card = load_gate_card(path) if path is not None else None
    fits = card is not None and card.detector_sha256 == sha256
    if wanted is None:
        return path if fits and card is not None and card.may_be_default else None
    if not fits:
        raise WeightsError(
            f"No gate comes with the weights {weights.name} {weights.version}, and what a gate "
            "loses is known for one detector only: leave --gate out, or train one with "
            f"`kilnlight train-gate --out {weights_folder() / gate_name(weights)}`."
        )
    return path
