"""`kilnlight train`: from a dataset file to weights with a card, calibrated on places held out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.calibration import Calibration, fit_calibration
from models.card import card_markdown
from models.chips import Picture, PixelPoints
from models.dataset import Dataset, DatasetFile, Source, load_dataset
from models.detector import Detector, halo_px
from models.evaluation import Evaluation, best_threshold
from models.familiarity import fit_familiarity, patch_statistics
from models.fitting import Progress, TrainingRecipe, fit
from models.network import STRIDE, KilnNet
from models.scoring import (
    figures_of_table,
    find_mistakes,
    read_scores,
    score_pictures,
    score_table,
    write_scores,
)
from models.site_class import load_site_class
from models.weights import (
    Familiarity,
    LoadedWeights,
    NetworkShape,
    Recall,
    WeightsCard,
    load_weights,
    save_weights,
)
from tiles.errors import DatasetError
from tiles.files import write_text

Bools = NDArray[np.bool_]

BANDS = ("red", "green", "blue")
GSD_M = 10.0
# Mistakes worth a second look while training: from half the usual threshold upwards.
MINING_THRESHOLD = 0.15
# Where nothing was held out nothing is known; a card must still say something safe.
UNKNOWN_THRESHOLD = 0.3


class TrainSettings(BaseModel):
    """What `kilnlight train` is asked to do.

    Attributes:
        dataset: Dataset file; see `models.dataset`.
        out: Weights file to write; tables of scores are written beside it.
        data_root: Folder that the dataset's paths start from.
        steps: Instead of the dataset's own number of steps.
        seed: Instead of the dataset's own seed.
        threads: CPU threads; results depend on it in the last digits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: Path
    out: Path
    data_root: Path = Path("../shared/data")
    steps: int | None = Field(default=None, ge=1)
    seed: int | None = None
    threads: int = Field(default=2, ge=1)


@dataclass(frozen=True)
class Operating:
    """What the places held out say about a network."""

    threshold: float
    recall: Recall
    calibration: Calibration


def train(settings: TrainSettings, on_progress: Callable[[Progress], None] | None = None) -> Path:
    """Train, calibrate on the validation part or on out-of-fold scores, score the test part, save.

    Writes `out`, its model card with the suffix `.md` and, where the dataset has a test part, the
    scores there with the suffix `.scores.csv`.

    Raises:
        DatasetError: The dataset cannot be used.
    """
    torch.set_num_threads(settings.threads)
    dataset = load_dataset(settings.dataset, settings.data_root)
    recipe = default_recipe(settings.steps or dataset.file.steps)
    seed = dataset.file.seed if settings.seed is None else settings.seed
    net = fit(dataset.train, recipe, seed, on_progress, _miner(recipe.shape))
    tensors = {name: value.numpy() for name, value in net.state_dict().items()}
    # What is scored is what is saved: tensors after rounding to the file's precision.
    save_weights(settings.out, _draft(dataset.file, recipe.shape), tensors)
    card = _card(dataset, settings.out)
    save_weights(settings.out, card, tensors)
    site_class = load_site_class(card.site_class)
    write_text(settings.out.with_suffix(".md"), card_markdown(card, site_class))
    return settings.out


def default_recipe(steps: int) -> TrainingRecipe:
    """How the shipped weights are trained, for a number of steps."""
    return TrainingRecipe(steps=steps)


def evaluate_weights(dataset: Path, weights: Path, data_root: Path) -> tuple[Evaluation, ...]:
    """Score weights on the test part of a dataset, one evaluation a place.

    Raises:
        DatasetError: The dataset has no test part or cannot be used.
        WeightsError: The weights cannot be used.
    """
    loaded = load_dataset(dataset, data_root)
    if not loaded.test:
        raise DatasetError(f"{dataset} holds nothing out as `test`: there is nothing to score.")
    detector = Detector.load(weights)
    return tuple(
        score_pictures(detector, pictures).evaluate(place, detector.card.threshold)
        for place, pictures in _by_place(loaded.test)
    )


def _miner(
    shape: NetworkShape,
) -> Callable[[KilnNet, tuple[Source, ...]], dict[tuple[int, int], PixelPoints]]:
    def mine(net: KilnNet, sources: tuple[Source, ...]) -> dict[tuple[int, int], PixelPoints]:
        tensors = {name: value.numpy() for name, value in net.state_dict().items()}
        card = _draft(None, shape, MINING_THRESHOLD)
        detector = Detector(LoadedWeights(card, tensors, ""), "cpu", "bf16")
        return find_mistakes(detector, sources)

    return mine


def _draft(
    file: DatasetFile | None, shape: NetworkShape, threshold: float = UNKNOWN_THRESHOLD
) -> WeightsCard:
    """A card that claims nothing yet."""
    unknown = Calibration(
        intercept=0,
        slope=1,
        variance_intercept=4,
        variance_slope=0,
        covariance=0,
        prevalence_per_1000km2=30,
        n_true=0,
        n_false=0,
    )
    return WeightsCard(
        name=file.name if file else "draft",
        version=file.version if file else "0",
        site_class=file.site_class if file else "brick_kiln",
        licence=file.licence if file else "none",
        bands=BANDS,
        gsd_m=GSD_M,
        stride=STRIDE,
        halo_px=halo_px(shape),
        threshold=threshold,
        shape=shape,
        calibration=unknown,
        recall=Recall(mean=0, low=0, high=1),
    )


def _card(dataset: Dataset, weights: Path) -> WeightsCard:
    """The finished card of weights that were just saved with a draft."""
    detector = Detector(load_weights(weights), "cpu", "fp32")
    site_class = load_site_class(dataset.file.site_class)
    tolerance_m = site_class.match_tolerance_m
    scores = _held_out_scores(dataset, detector, tolerance_m)
    update: dict[str, object] = {
        "trained_on": dataset.credits,
        "limits": dataset.file.limits,
        "trained_places": dataset.file.places,
        "familiarity": _familiarity(dataset),
    }
    threshold = UNKNOWN_THRESHOLD
    if scores is not None and (scores["is_site"] & (scores["score"] > 0)).any():
        operating = _operate(scores, site_class.prevalence_per_1000km2)
        threshold = operating.threshold
        update |= {
            "threshold": threshold,
            "recall": operating.recall,
            "calibration": operating.calibration,
        }
    if dataset.test:
        scores = _scores(detector, dataset.test, tolerance_m)
        write_scores(scores, weights.with_suffix(".scores.csv"))
    if scores is not None and (dataset.test or dataset.file.out_of_fold):
        update["figures"] = tuple(figures_of_table(scores, threshold))
    return detector.card.model_copy(update=update)


def _familiarity(dataset: Dataset) -> Familiarity:
    return fit_familiarity([(source.name, _patch_features(source)) for source in dataset.train])


def _patch_features(source: Source) -> NDArray[np.float64]:
    parts = [patch_statistics(p.pixels, p.usable).features for p in source.pictures]
    return np.concatenate(parts)


def _held_out_scores(
    dataset: Dataset, detector: Detector, tolerance_m: float
) -> pd.DataFrame | None:
    if dataset.file.out_of_fold:
        return read_scores([dataset.folder / path for path in dataset.file.out_of_fold])
    return _scores(detector, dataset.validate, tolerance_m) if dataset.validate else None


def _scores(detector: Detector, pictures: Sequence[Picture], tolerance_m: float) -> pd.DataFrame:
    tables = [
        score_table(score_pictures(detector, group), place, tolerance_m)
        for place, group in _by_place(pictures)
    ]
    return pd.concat(tables, ignore_index=True)


def _operate(scores: pd.DataFrame, prevalence_per_1000km2: float) -> Operating:
    """Threshold of the greatest F1, recall there, and the calibration curve."""
    score, is_site = scores["score"].to_numpy(float), scores["is_site"].to_numpy(bool)
    place = pd.factorize(scores["place"], sort=True)[0].astype(np.int64)
    detected = score > 0
    threshold = best_threshold(score[detected], is_site[detected], int(is_site.sum()))
    calibration = fit_calibration(
        score[detected],
        is_site[detected],
        scores["per_1000km2"].to_numpy(float)[detected],
        place[detected],
        prevalence_per_1000km2,
    )
    return Operating(threshold, _recall(score > threshold, is_site, place), calibration)


def _recall(above: Bools, is_site: Bools, place: NDArray[np.int64]) -> Recall:
    """Recall with a 95 % interval from resampling places."""
    rng = np.random.default_rng(0)
    n = int(place.max()) + 1
    sites = np.bincount(place, is_site, n)
    found = np.bincount(place, is_site & above, n)
    draws = rng.multinomial(n, np.full(n, 1 / n), size=1000)
    replicates = (draws @ found) / np.maximum(draws @ sites, 1)
    low, high = np.quantile(replicates, [0.025, 0.975])
    mean = found.sum() / sites.sum()
    return Recall(mean=round(mean, 4), low=round(float(low), 4), high=round(float(high), 4))


def _by_place(pictures: Sequence[Picture]) -> list[tuple[str, list[Picture]]]:
    """Pictures grouped by the name of their place, in order of the name."""
    places = sorted({picture.place for picture in pictures})
    return [(place, [p for p in pictures if p.place == place]) for place in places]
