"""What places held out say of a network: threshold, recall, and the curve from score to chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.calibration import Calibration, fit_calibration, shift_elsewhere
from models.chips import Picture
from models.detector import Detector
from models.judging.evaluation import average_precision, best_threshold, match
from models.judging.predictions import prediction_table, write_predictions
from models.judging.scoring import (
    by_place,
    detect_pictures,
    score_pictures,
    score_places,
    write_scores,
)
from models.weights import Recall

Bools = NDArray[np.bool_]

# Of the places held out so much is looked at while training: a second's work.
WATCHED_PX = 2_000_000


@dataclass(frozen=True)
class Operating:
    """How a network is to be used."""

    threshold: float
    recall: Recall
    calibration: Calibration


@dataclass(frozen=True)
class HeldOut:
    """What a network says of places it was not trained on.

    Attributes:
        scores: See `scoring.score_table`.
        predictions: See `predictions.prediction_table`.
    """

    scores: pd.DataFrame
    predictions: pd.DataFrame


def score_held_out(
    detector: Detector, pictures: Sequence[Picture], tolerance_m: float, fold: str, seed: int
) -> HeldOut:
    """Scores and predictions of every place.

    Args:
        detector: The network.
        pictures: Of places that it was not trained on; at least one.
        tolerance_m: A detection this near a known site has found it.
        fold: Which fold held them out.
        seed: Of the training.
    """
    ordered, found, predictions = [], [], []
    for group in by_place(pictures):
        boxes = detect_pictures(detector, group)
        ordered += group
        found += boxes
        predictions.append(prediction_table(group, boxes, fold, seed))
    scores = score_places(ordered, found, tolerance_m, fold, seed)
    return HeldOut(scores, pd.concat(predictions, ignore_index=True))


def write_held_out(held: HeldOut, weights: Path) -> None:
    """Write both tables beside a weights file, as `.scores.csv` and `.predictions.csv`."""
    write_scores(held.scores, weights.with_suffix(".scores.csv"))
    write_predictions(held.predictions, weights.with_suffix(".predictions.csv"))


def operate(
    scores: pd.DataFrame, prevalence_per_1000km2: float, transfers: pd.DataFrame | None = None
) -> Operating | None:
    """Threshold of the greatest F1, recall there, and the calibration curve.

    None where no site was detected at all: then nothing can be fitted. Regions without any known
    site have no density, and say nothing here.

    Args:
        scores: Of places held out; they set all three.
        prevalence_per_1000km2: Density of sites that probabilities are to presuppose.
        transfers: Of regions held out whole; they say how far the curve may be off elsewhere.
    """
    scores = scores[scores["per_1000km2"] > 0]
    score, is_site = scores["score"].to_numpy(float), scores["is_site"].to_numpy(bool)
    detected = score > 0
    if not (is_site & detected).any():
        return None
    place = pd.factorize(scores["place"], sort=True)[0].astype(np.int64)
    region = pd.factorize(scores["region"], sort=True)[0].astype(np.int64)
    threshold = best_threshold(score[detected], is_site[detected], int(is_site.sum()))
    calibration = fit_calibration(
        score[detected],
        is_site[detected],
        scores["per_1000km2"].to_numpy(float)[detected],
        place[detected],
        prevalence_per_1000km2,
        region=region[detected],
    )
    if transfers is not None:
        calibration = _known_elsewhere(calibration, transfers)
    return Operating(threshold, recall_of(score > threshold, is_site, place), calibration)


def _known_elsewhere(calibration: Calibration, transfers: pd.DataFrame) -> Calibration:
    """The curve with what regions never seen say of it."""
    seen = transfers[(transfers["score"] > 0) & (transfers["per_1000km2"] > 0)]
    variance = shift_elsewhere(
        calibration,
        seen["score"].to_numpy(float),
        seen["is_site"].to_numpy(bool),
        seen["per_1000km2"].to_numpy(float),
        pd.factorize(seen["region"], sort=True)[0].astype(np.int64),
    )
    return calibration.model_copy(update={"variance_elsewhere": variance})


def recall_of(above: Bools, is_site: Bools, place: NDArray[np.int64]) -> Recall:
    """Recall with a 95 % interval from resampling places.

    Args:
        above: Whether each scores above the threshold, shape (n,).
        is_site: Whether it is a site.
        place: Number of its place, from 0.
    """
    rng = np.random.default_rng(0)
    n = int(place.max()) + 1
    sites = np.bincount(place, is_site, n)
    found = np.bincount(place, is_site & above, n)
    draws = rng.multinomial(n, np.full(n, 1 / n), size=1000)
    replicates = (draws @ found) / np.maximum(draws @ sites, 1)
    low, high = np.quantile(replicates, [0.025, 0.975])
    mean = found.sum() / sites.sum()
    return Recall(mean=round(mean, 4), low=round(float(low), 4), high=round(float(high), 4))


def watched(pictures: Sequence[Picture]) -> list[Picture]:
    """Some of the pictures, or the richest part of a large one: a rough figure in a second."""
    chosen: list[Picture] = []
    left = WATCHED_PX
    for picture in sorted(pictures, key=lambda p: -len(p.sites)):
        rows, cols = picture.usable.shape
        # a sliver of what is left would hold sites that its edges hide
        if not len(picture.sites) or (chosen and rows * cols > left):
            continue
        chosen.append(_richest(picture, max(left // rows, 1)))
        left -= chosen[-1].usable.size
    return chosen


def _richest(picture: Picture, most_cols: int) -> Picture:
    """So many columns of a picture, where most sites are; all of a small picture."""
    cols = picture.usable.shape[1]
    if cols <= most_cols:
        return picture
    at = np.sort(picture.sites.col)
    ahead = np.searchsorted(at, at + most_cols) - np.arange(len(at))  # sites from each one on
    first = min(int(at[ahead.argmax()]), cols - most_cols)
    return picture.columns(first, first + most_cols, picture.place)


def held_out_ap(
    detector: Detector, pictures: Sequence[Picture], tolerance_m: float
) -> float | None:
    """Average precision over some pictures; None where no site is known in them."""
    if not pictures:
        return None
    scored = score_pictures(detector, pictures)
    matched = match(scored.detections, scored.scores, scored.sites, scored.doubtful, tolerance_m)
    return average_precision(matched.hit, len(scored.sites))
