"""A gate's card: what its weights are, what they lose and spare, and whether a run uses them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from scipy.special import betaincinv

from models.weights import GateShape, Recall, WeightsCard, load_tensors_with, weights_folder
from tiles.errors import WeightsError

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
    lost = sites - kept
    low = float(betaincinv(kept, lost + 1, tails[0])) if kept else 0.0
    high = float(betaincinv(kept + 1, lost, tails[1])) if lost else 1.0
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
            f"`kilnlight train-gate DATASET --out {weights_folder() / gate_name(weights)}`."
        )
    return path
