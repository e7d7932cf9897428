"""Chips laid side by side like a scene: false alarms a square kilometre, and how sites score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from models.calibration import Calibration, fit_calibration
from models.chip_dataset import Chips
from models.detection import ArrayWindow, PixelBoxes, PixelOrigin
from models.detector import Detector
from models.site_class import SiteClass
from models.weights import Recall
from tiles.errors import DatasetError

Ints = NDArray[np.int64]

# Chips in a row of the made-up scene; even, as sites lie in every second row and column.
CHIPS_ACROSS = 16
# Peaks under this are noise; no survey's threshold comes near.
SCORE_FLOOR = 0.02
GSD_M = 10.0
SURVEY_COLUMNS = ("score", "is_site", "per_1000km2", "place", "fold", "seed")
# Replicates of the bootstrap over places for the recall's interval.
REPLICATES = 1000


@dataclass(frozen=True)
class PatchOperating:
    """How a network of squares is to be used."""

    threshold: float
    recall: Recall
    calibration: Calibration


@dataclass(frozen=True)
class HeldOutFold:
    """What a training kept out.

    Attributes:
        fold: Number of the fold.
        seed: Of the training.
        tolerance_m: A detection this near the middle of a site's chip has found it.
    """

    fold: int
    seed: int
    tolerance_m: float


def survey_table(detector: Detector, chips: Chips, held_out: HeldOutFold) -> pd.DataFrame:
    """What a survey with this network would see: a row for every site and every false alarm.

    False alarms are counted on random land laid side by side, whose area gives their rate. Sites
    lie in a second scene, each with random land on all sides, so that no square touches two; one
    without a detection near it scores 0. Seams between chips are in both, which no real scene has:
    false alarms are rather over- than understated.

    Args:
        detector: Never trained on the fold, nor on random land.
        chips: The chips.
        held_out: The fold, the seed, and what counts as found.
    """
    fold = held_out.fold
    rng = np.random.default_rng([3, fold])
    land = rng.permutation(np.flatnonzero(chips.random_land))
    sites = rng.permutation(np.flatnonzero(chips.is_site & (chips.fold == fold)))
    side = chips.pixels.shape[2]
    quiet, found = _detect(detector, chips, land), _detect(detector, chips, _apart(sites, land))
    best = _best_near(found, len(sites), side, held_out.tolerance_m / GSD_M)
    area_km2 = len(land) * (side * GSD_M / 1000) ** 2
    alarms = land[_chip_at(quiet, side, len(land))]
    return pd.DataFrame(
        {
            "score": np.concatenate([best, quiet.score]),
            "is_site": np.arange(len(sites) + len(quiet)) < len(sites),
            "per_1000km2": round(1000 * len(sites) / area_km2, 2),
            "place": chips.place[np.concatenate([sites, alarms])],
            "fold": chips.fold_names[fold],
            "seed": held_out.seed,
        }
    )


def operate_patches(tables: pd.DataFrame, site_class: SiteClass) -> PatchOperating:
    """Threshold of the greatest F1 at the class's prevalence, recall there, and calibration.

    Raises:
        DatasetError: No site was found at all.
    """
    score, is_site = tables["score"].to_numpy(float), tables["is_site"].to_numpy(bool)
    detected = score > 0
    if not (detected & is_site).any():
        raise DatasetError("No site held out was found at all: train longer or check the labels.")
    place = pd.factorize(tables["place"], sort=True)[0].astype(np.int64)
    fold = pd.factorize(tables["fold"], sort=True)[0].astype(np.int64)
    calibration = fit_calibration(
        score[detected],
        is_site[detected],
        tables["per_1000km2"].to_numpy(float)[detected],
        place[detected],
        site_class.prevalence_per_1000km2,
        region=fold[detected],
    )
    threshold = _best_threshold(tables, site_class.prevalence_per_1000km2)
    return PatchOperating(threshold, _recall(score > threshold, is_site, place), calibration)


def alarms_per_1000km2(tables: pd.DataFrame, threshold: float) -> float:
    """False alarms above a threshold on random land."""
    area_km2 = 0.0
    for _, table in tables.groupby(["fold", "seed"]):
        area_km2 += 1000 * float(table["is_site"].sum()) / float(table["per_1000km2"].iloc[0])
    wrong = (~tables["is_site"] & (tables["score"] > threshold)).sum()
    return 1000 * float(wrong) / area_km2


def _best_threshold(tables: pd.DataFrame, prevalence_per_1000km2: float) -> float:
    candidates = np.round(np.arange(0.05, 0.991, 0.01), 2)
    sites = tables.loc[tables["is_site"], "score"].to_numpy(float)
    f1 = []
    for candidate in candidates:
        hits = prevalence_per_1000km2 * float((sites > candidate).mean())
        wrong = alarms_per_1000km2(tables, float(candidate))
        f1.append(2 * hits / (hits + wrong + prevalence_per_1000km2))
    return float(candidates[int(np.argmax(f1))])


def _recall(above: NDArray[np.bool_], is_site: NDArray[np.bool_], place: Ints) -> Recall:
    """Recall with a 95 % interval from resampling places."""
    n = int(place.max()) + 1
    sites, found = np.bincount(place, is_site, n), np.bincount(place, is_site & above, n)
    draws = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=REPLICATES)
    replicates = (draws @ found) / np.maximum(draws @ sites, 1)
    low, high = np.quantile(replicates, [0.025, 0.975])
    mean = float(found.sum() / sites.sum())
    return Recall(mean=round(mean, 4), low=round(float(low), 4), high=round(float(high), 4))


def _detect(detector: Detector, chips: Chips, index: Ints) -> PixelBoxes:
    """All peaks of chips laid side by side, row by row, in blocks as a survey cuts them."""
    side, halo = chips.pixels.shape[2], detector.halo_px
    rows = -(-len(index) // CHIPS_ACROSS)
    scene = np.zeros((3, rows * side + 2 * halo, CHIPS_ACROSS * side + 2 * halo), np.uint8)
    usable = np.zeros(scene.shape[1:], bool)
    for number, chip in enumerate(index):
        row, col = divmod(number, CHIPS_ACROSS)
        at = np.s_[
            halo + row * side : halo + (row + 1) * side, halo + col * side : halo + (col + 1) * side
        ]
        scene[:, *at], usable[at] = chips.pixels[chip], True
    before, detector.threshold = detector.threshold, SCORE_FLOOR
    parts = []
    for first in range(0, rows, CHIPS_ACROSS):
        core_rows = min(CHIPS_ACROSS, rows - first) * side
        cut = slice(first * side, first * side + core_rows + 2 * halo)
        core = ArrayWindow(halo, halo, core_rows, CHIPS_ACROSS * side)
        origin = PixelOrigin(first * side - halo, -halo)
        parts.append(detector.detect(scene[:, cut], usable[cut], core, origin))
    detector.threshold = before
    return PixelBoxes.concatenate(parts)


def _chip_at(boxes: PixelBoxes, side: int, n: int) -> Ints:
    """Number of the chip in whose square each box's middle lies, in the order they were laid."""
    row = np.clip(boxes.row // side, 0, None)
    col = np.clip(boxes.col // side, 0, CHIPS_ACROSS - 1)
    return np.minimum(row * CHIPS_ACROSS + col, n - 1).astype(np.int64)


def _apart(sites: Ints, land: Ints) -> Ints:
    """Chips in the order they are laid: sites in every second row and column, land between."""
    pairs = CHIPS_ACROSS // 2
    laid = np.resize(land, (2 * -(-len(sites) // pairs), CHIPS_ACROSS))
    row, col = np.divmod(np.arange(len(sites)), pairs)
    laid[2 * row, 2 * col] = sites
    return np.asarray(laid.ravel(), np.int64)


def _best_near(boxes: PixelBoxes, n: int, side: int, tolerance_px: float) -> NDArray[np.float64]:
    """Best score near each of `n` sites laid by `_apart`, 0 where there is none."""
    row, col = np.divmod(np.arange(n), CHIPS_ACROSS // 2)
    middles = np.stack([2 * row + 0.5, 2 * col + 0.5], axis=1) * side
    best = np.zeros(n)
    if len(boxes):
        away, nearest = cKDTree(middles).query(np.stack([boxes.row, boxes.col], axis=1))
        near = away <= tolerance_px
        np.maximum.at(best, nearest[near], boxes.score[near])
    return best
