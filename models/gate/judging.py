"""What a gate keeps and spares in places that it never saw, counted fold by fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.gate.card import REAL_FINDS, GateCard, Kept, Passed
from models.gate.looks import CellBox, boxes_around
from tiles.blocks import TILE_PX
from tiles.errors import DatasetError
from tiles.skipping import GATE_PX

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Cells = NDArray[np.float32]

# Share of the detector's finds that the threshold may lose where it is chosen.
LOST_SHARE = 0.005
# Below the logit that would do: places never seen are a little harder than those chosen on.
THRESHOLD_MARGIN = 0.1


@dataclass(frozen=True)
class Sites:
    """Known sites of places that a gate never saw, or made-up ones.

    Attributes:
        logit: The gate's, of the cell that holds the site.
        found: Whether the detector finds the site.
    """

    logit: Floats
    found: Bools


@dataclass(frozen=True)
class Region:
    """What a gate says of one region's land that it never saw.

    Attributes:
        name: The region.
        cells: Logits of the cells, (rows, columns) of each of its pictures; minus infinity where
            nothing is usable.
        area_km2: Of them.
        sites: Known there.
    """

    name: str
    cells: tuple[Cells, ...]
    area_km2: float
    sites: Sites


@dataclass(frozen=True)
class FoldResult:
    """What a gate says of what its fold held out, and of made-up land."""

    regions: tuple[Region, ...]
    simulated: Sites

    @property
    def found(self) -> Floats:
        """Logits of the real sites that the detector finds."""
        return np.concatenate([r.sites.logit[r.sites.found] for r in self.regions])


def choose_threshold(logits: Floats) -> float:
    """The logit that loses `LOST_SHARE` of some sites, less a margin for places never seen."""
    if not len(logits):
        raise DatasetError(
            "No known site is found by the detector in the places held out, so no threshold of a "
            "gate can be chosen: hold out places with known sites."
        )
    lost = int(LOST_SHARE * len(logits))
    return float(np.sort(logits)[lost]) - THRESHOLD_MARGIN


def finished(draft: GateCard, results: Sequence[FoldResult], margin_px: int) -> GateCard:
    """Counts with thresholds that no fold chose for itself, and the threshold of all folds.

    Args:
        draft: All else that the card says.
        results: Of each fold.
        margin_px: What the detector sees around a rectangle that it looks at.
    """
    real, known = _Tally(0, 0), _Tally(0, 0)
    made_up: list[_Tally] = []
    passed: dict[str, list[_Through]] = {}
    for number, result in enumerate(results):
        others = np.concatenate([r.found for i, r in enumerate(results) if i != number])
        threshold = choose_threshold(others)
        for region in result.regions:
            real += _tally(region.sites.logit[region.sites.found], threshold)
            known += _tally(region.sites.logit, threshold)
            passed.setdefault(region.name, []).append(_Through.of(region, threshold, margin_px))
        made_up.append(_tally(result.simulated.logit[result.simulated.found], threshold))
    # the same made-up sites are shown to the gate of every fold: the worst of them counts
    worst = min(made_up, key=lambda tally: tally.kept)
    kept = (
        (real + worst).named("found by the detector, real and made-up"),
        real.named(REAL_FINDS),
        worst.named("found by the detector, made-up"),
        known.named("all that are known, real"),
    )
    return draft.model_copy(
        update={
            "threshold": round(choose_threshold(np.concatenate([r.found for r in results])), 3),
            "kept": kept,
            "passed": tuple(_passed(name, rows) for name, rows in sorted(passed.items())),
        }
    )


@dataclass(frozen=True)
class _Tally:
    """Sites let through, and all of them."""

    kept: int
    sites: int

    def __add__(self, other: _Tally) -> _Tally:
        return _Tally(self.kept + other.kept, self.sites + other.sites)

    def named(self, of: str) -> Kept:
        """With an interval."""
        return Kept.count(of, self.kept, self.sites)


def _tally(logits: Floats, threshold: float) -> _Tally:
    return _Tally(int((logits > threshold).sum()), len(logits))


@dataclass(frozen=True)
class _Through:
    """What of one fold's part of a region a gate lets through.

    `seen_px` are pixels of the arrays that the detector sees, `whole_px` those without a gate; both
    are 0 where pictures are smaller than a tile of the detector.
    """

    passed: int
    cells: int
    area_km2: float
    sites: int
    seen_px: int
    whole_px: int

    @classmethod
    def of(cls, region: Region, threshold: float, margin_px: int) -> _Through:
        """At a threshold that the region did not choose."""
        tiles = [tile for cells in region.cells for tile in _tiles(cells)]
        boxes = [box for tile in tiles for box in boxes_around(tile > threshold, margin_px)]
        whole = [CellBox(0, 0, *tile.shape) for tile in tiles]
        return cls(
            sum(int((cells > threshold).sum()) for cells in region.cells),
            sum(int(np.isfinite(cells).sum()) for cells in region.cells),
            region.area_km2,
            len(region.sites.logit),
            sum(box.pixels(margin_px) for box in boxes),
            sum(box.pixels(margin_px) for box in whole),
        )


def _tiles(cells: Cells) -> list[Cells]:
    """A picture's cells, cut where the detector's tiles are; none of a smaller picture."""
    side = TILE_PX // GATE_PX
    if min(cells.shape) < side:
        return []
    rows, cols = (range(0, length, side) for length in cells.shape)
    return [cells[row : row + side, col : col + side] for row in rows for col in cols]


def _passed(region: str, parts: Sequence[_Through]) -> Passed:
    seen_px, whole_px = sum(p.seen_px for p in parts), sum(p.whole_px for p in parts)
    sites, area_km2 = sum(p.sites for p in parts), sum(p.area_km2 for p in parts)
    return Passed(
        region=region,
        share=round(sum(p.passed for p in parts) / sum(p.cells for p in parts), 4),
        work=round(seen_px / whole_px, 4) if whole_px else None,
        sites_per_1000km2=round(1000 * sites / area_km2, 1),
    )
