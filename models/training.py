"""`kilnlight train`: from a dataset to weights with a card, a configuration and curves beside."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.calibration import Calibration
from models.card import NEVER_SEEN, card_markdown
from models.detector import Detector, Precision, halo_px, resolve_precision
from models.fitting.checkpoint import Mistakes, load_checkpoint
from models.fitting.curves import write_curves
from models.fitting.loop import Conditions, Miner, Progress, TrainingRecipe, fit
from models.fitting.training_config import (
    check_out,
    config_sha256,
    training_config,
    write_config,
)
from models.inference.familiarity import fit_familiarity, patch_statistics
from models.inference.precision import training_device
from models.judging.held_out import once_adapted, unseen_figures
from models.judging.never_seen import check_never_seen
from models.judging.operating import (
    held_out_ap,
    operate,
    score_held_out,
    watched,
    write_held_out,
)
from models.judging.out_of_fold import figures_of_table
from models.judging.scoring import find_mistakes, read_scores
from models.labelled.class_of_labels import class_of_labels
from models.labelled.dataset import Dataset, Source, load_dataset
from models.licences import forbids_more
from models.network import STRIDE, KilnNet
from models.site_class import SiteClass, load_site_class
from models.weights import (
    Familiarity,
    LoadedWeights,
    NetworkShape,
    Recall,
    WeightsCard,
    as_saved,
    find_weights,
    load_weights,
    save_weights,
)
from tiles.errors import ConfigError, DatasetError, WeightsError
from tiles.files import write_text

BANDS = ("red", "green", "blue")
GSD_M = 10.0
# Mistakes worth a second look while training: from half the usual threshold upwards.
MINING_THRESHOLD = 0.15
# Where nothing was held out nothing is known; a card must still say something safe.
UNKNOWN_THRESHOLD = 0.3
# A third of the rate from nothing: the network keeps what it knows, and still learns a new region.
GENTLE_RATE = 1e-3
# Patches from which `fit_familiarity` describes a source.
FEWEST_PATCHES = 9


class TrainSettings(BaseModel):
    """What `kilnlight train` is asked to do.

    Attributes:
        dataset: Dataset file, folder of labelled tiles, or COCO file; see `labelled.dataset`.
        out: Weights file to write; everything else is written beside it.
        data_root: Folder that the dataset file's paths start from.
        fold: Which fold of the dataset file is held out; None trains on everything.
        site_class: Class of the labels, where no dataset file says so; must agree where one does.
        steps: Instead of the dataset's own number of steps.
        seed: Instead of the dataset's own seed.
        threads: CPU threads; results depend on it in the last digits.
        device: `auto`, `cpu` or `cuda`.
        workers: Processes that make samples; None chooses by the device.
        labels: Folder of labels from a review, to train on beside the dataset.
        start: Weights to go on from, more gently than from nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: Path
    out: Path
    data_root: Path = Path("../shared/data")
    fold: str | None = None
    site_class: str | None = None
    steps: int | None = Field(default=None, ge=1)
    seed: int | None = Field(default=None, ge=0)
    threads: int = Field(default=2, ge=1)
    device: str = "auto"
    workers: int | None = Field(default=None, ge=0)
    labels: Path | None = None
    start: Path | None = None


@dataclass(frozen=True)
class _Plan:
    """A training that is about to run.

    Attributes:
        dataset: What to learn from, and what is held out.
        site_class: What is learnt.
        recipe: How.
        seed: Of everything drawn.
        config: All of this, resolved.
        sha256: Digest of `config`.
        device: Where.
        precision: Of the network's forward pass.
        out_of_fold: Scores of earlier trainings on places held out, where the dataset names any.
        transfers: Scores of earlier trainings on regions they never saw, likewise.
        adapted: Scores of these once they were adapted to the region, likewise.
        start: Weights to go on from.
    """

    dataset: Dataset
    site_class: SiteClass
    recipe: TrainingRecipe
    seed: int
    config: dict[str, Any]
    sha256: str
    device: str
    precision: Precision
    out_of_fold: pd.DataFrame | None
    transfers: pd.DataFrame | None
    adapted: pd.DataFrame | None
    start: LoadedWeights | None = None


def train(settings: TrainSettings, on_progress: Callable[[Progress], None] | None = None) -> Path:
    """Train, judge on what is held out, and save weights with a card.

    Written beside `out`, with these suffixes: `.config.json`, the resolved configuration and its
    SHA-256, before the first step; `.checkpoint`, from which the same command goes on if it was
    interrupted, until the end; `.curve.csv` and `.curve.svg`; `.md`, the model card; and with a
    fold `.scores.csv` and `.predictions.csv`, of the places held out.

    Raises:
        DatasetError: The dataset cannot be used, or a checkpoint there is of another training.
        ConfigError: No such device or class, or `out` is no name for weights.
    """
    check_out(settings.out)
    torch.set_num_threads(settings.threads)
    plan = _plan(settings)
    checkpoint = settings.out.with_suffix(".checkpoint")
    load_checkpoint(checkpoint, plan.sha256)  # another's is refused before anything is overwritten
    _write_config(plan, settings)
    training = fit(
        plan.dataset.train,
        plan.recipe,
        plan.seed,
        on_progress,
        _miner(plan),
        _watcher(plan),
        _conditions(plan, settings, checkpoint),
        plan.start.tensors if plan.start else None,
    )
    net = training.averaged()
    tensors = {name: value.numpy() for name, value in net.state_dict().items()}
    card = _finish(plan, settings.out, tensors)
    save_weights(settings.out, card, tensors)
    write_text(settings.out.with_suffix(".md"), card_markdown(card, plan.site_class))
    write_curves(training.history, settings.out)
    checkpoint.unlink(missing_ok=True)
    return settings.out


def default_recipe(steps: int, start: LoadedWeights | None = None) -> TrainingRecipe:
    """How the shipped weights are trained, for a number of steps; gently from a start."""
    if start is None:
        return TrainingRecipe(steps=steps)
    if not isinstance(start.card.shape, NetworkShape):
        raise WeightsError(
            f"{start.card.name} are weights of another kind: begin with a detector's."
        )
    # its mistakes were mined when it was trained; what reviewers rejected is among the samples
    return TrainingRecipe(
        steps=steps, learning_rate=GENTLE_RATE, mine_at=(), shape=start.card.shape
    )


def _plan(settings: TrainSettings) -> _Plan:
    device = training_device(settings.device)
    # before minutes of reading
    if settings.site_class is not None:
        load_site_class(settings.site_class)
    start = load_weights(find_weights(settings.start)) if settings.start is not None else None
    dataset = load_dataset(
        settings.dataset, settings.data_root, settings.fold, reviewed=settings.labels
    )
    dataset, site_class = _with_class(dataset, settings)
    if start is not None:
        _check_start(start.card, dataset, site_class)
        check_never_seen(start.card, dataset)
    recipe = default_recipe(settings.steps or dataset.file.steps, start)
    seed = dataset.file.seed if settings.seed is None else settings.seed
    config = training_config(dataset, recipe, seed, start.sha256 if start else None)
    return _Plan(
        dataset=dataset,
        site_class=site_class,
        recipe=recipe,
        seed=seed,
        config=config,
        sha256=config_sha256(config),
        device=device,
        precision=resolve_precision("auto", device),
        out_of_fold=_scores_named(dataset, dataset.file.out_of_fold),
        transfers=_scores_named(dataset, dataset.file.transfers),
        adapted=_scores_named(dataset, dataset.file.adapted),
        start=start,
    )


def _scores_named(dataset: Dataset, tables: Sequence[Path]) -> pd.DataFrame | None:
    """Tables beside the dataset file, of earlier trainings; a fold makes its own."""
    if dataset.fold or not tables:
        return None
    return read_scores([dataset.folder / path for path in tables])


def _check_start(start: WeightsCard, dataset: Dataset, site_class: SiteClass) -> None:
    """Refuse weights to go on from that find something else, or whose licence would be lost."""
    if start.site_class != site_class.name:
        raise ConfigError(
            f"{start.name} finds {start.site_class}, and {dataset.file.name} teaches "
            f"{site_class.name}: start from weights of that class."
        )
    if forbids_more(start.licence, dataset.file.licence):
        raise DatasetError(
            f"{start.name} is {start.licence}, so weights that go on from it cannot be "
            f"{dataset.file.licence}: change the dataset file's licence; a folder needs one."
        )


def _with_class(dataset: Dataset, settings: TrainSettings) -> tuple[Dataset, SiteClass]:
    """The class that the dataset file names, or that a folder's owner does."""
    site_class = class_of_labels(dataset.file, settings.dataset, settings.site_class)
    if settings.site_class is not None and settings.dataset.suffix != ".toml":
        file = dataset.file.model_copy(update={"site_class": site_class.name})
        return replace(dataset, file=file), site_class
    return dataset, site_class


def _write_config(plan: _Plan, settings: TrainSettings) -> None:
    """Write down what is about to be trained, and where, before it is."""
    seen = {
        "trained_on": [
            {
                "source": source.name,
                "pictures": len(source.pictures),
                "sites": sum(len(picture.sites) for picture in source.pictures),
                "area_km2": round(sum(picture.area_km2 for picture in source.pictures), 1),
            }
            for source in plan.dataset.train
        ],
        "left_out_near_places_held_out": plan.dataset.left_out,
    }
    conditions = {
        "device": plan.device,
        "precision": plan.precision,
        "threads": settings.threads,
    }
    write_config(settings.out, plan.config, seen, conditions)


def _conditions(plan: _Plan, settings: TrainSettings, checkpoint: Path) -> Conditions:
    workers = settings.workers
    if workers is None:
        # A GPU waits for samples otherwise; on a CPU the network itself needs the cores.
        workers = max(min((os.cpu_count() or 1) - 1, 12), 1) if plan.device == "cuda" else 0
    return Conditions(
        device=plan.device,
        bf16=plan.precision == "bf16",
        workers=workers,
        checkpoint=checkpoint,
        config_sha256=plan.sha256,
    )


def _miner(plan: _Plan) -> Miner:
    def mine(net: KilnNet, sources: tuple[Source, ...]) -> Mistakes:
        return find_mistakes(_detector(plan, net, MINING_THRESHOLD), sources)

    return mine


def _watcher(plan: _Plan) -> Callable[[KilnNet], float | None] | None:
    pictures = watched(plan.dataset.validate or plan.dataset.test)
    if not pictures:
        return None

    def watch(net: KilnNet) -> float | None:
        detector = _detector(plan, net, UNKNOWN_THRESHOLD)
        return held_out_ap(detector, pictures, plan.site_class.match_tolerance_m)

    return watch


def _detector(plan: _Plan, net: KilnNet, threshold: float) -> Detector:
    """A network in the middle of its training, quick rather than exact."""
    tensors = {name: value.numpy() for name, value in net.state_dict().items()}
    card = _draft(plan, threshold)
    return Detector(LoadedWeights(card, tensors, ""), plan.device, plan.precision)


def _draft(plan: _Plan, threshold: float = UNKNOWN_THRESHOLD) -> WeightsCard:
    """A card that claims nothing yet."""
    file, shape = plan.dataset.file, plan.recipe.shape
    # what the start has learnt, the weights that go on from it know too
    known = () if plan.start is None else plan.start.card.trained_on
    places = () if plan.start is None else plan.start.card.trained_places
    adapted_to = () if plan.start is None else plan.start.card.adapted_to
    unlabelled = [f"unlabelled imagery: {name}" for name in adapted_to]
    return WeightsCard(
        name=plan.dataset.weights_name,
        version=file.version,
        site_class=plan.site_class.name,
        licence=file.licence,
        bands=BANDS,
        gsd_m=GSD_M,
        stride=STRIDE,
        halo_px=halo_px(shape),
        threshold=threshold,
        shape=shape,
        calibration=Calibration.unknown(plan.site_class.prevalence_per_1000km2),
        recall=Recall(mean=0, low=0, high=1),
        trained_on=tuple(dict.fromkeys((*plan.dataset.credits, *known, *unlabelled))),
        limits=file.limits,
        trained_places=tuple(dict.fromkeys((*plan.dataset.places, *places))),
        config_sha256=plan.sha256,
    )


def _finish(plan: _Plan, out: Path, tensors: dict[str, NDArray[Any]]) -> WeightsCard:
    """The card of finished weights; writes what they say of the places held out."""
    card = _draft(plan).model_copy(update={"familiarity": _familiarity(plan.dataset)})
    # What is scored is what is saved: tensors after rounding to the file's precision.
    detector = Detector(LoadedWeights(card, as_saved(tensors), ""), plan.device, "fp32")
    tolerance_m = plan.site_class.match_tolerance_m
    fold, dataset = plan.dataset.fold, plan.dataset
    chosen_on = plan.out_of_fold
    if dataset.validate:
        held = score_held_out(detector, dataset.validate, tolerance_m, fold, plan.seed)
        chosen_on = held.scores
    scores = plan.out_of_fold
    if dataset.test:
        test = score_held_out(detector, dataset.test, tolerance_m, fold, plan.seed)
        write_held_out(test, out)
        scores = test.scores
    if chosen_on is None:
        chosen_on = scores  # flatters F1 a little, as the card says; without it `run` has no recall
    operating = None
    if chosen_on is not None:
        prevalence = plan.site_class.prevalence_per_1000km2
        operating = operate(chosen_on, prevalence, plan.transfers)
    update: dict[str, object] = {}
    if operating is not None:
        update |= vars(operating)
    if scores is not None:
        threshold = card.threshold if operating is None else operating.threshold
        figures = figures_of_table(scores, threshold)
        if plan.transfers is not None and chosen_on is not None:
            figures += unseen_figures(chosen_on, plan.transfers, NEVER_SEEN)
        update["figures"] = tuple(figures)
    if plan.adapted is not None:
        prevalence = plan.site_class.prevalence_per_1000km2
        update["once_adapted"] = once_adapted(plan.adapted, prevalence)
    return card.model_copy(update=update)


def _familiarity(dataset: Dataset) -> Familiarity | None:
    """None where the pictures are too few or too small to say what imagery they come from."""
    features = [(source.name, _patch_features(source)) for source in dataset.train]
    if not any(len(patches) >= FEWEST_PATCHES for _, patches in features):
        return None
    return fit_familiarity(features)


def _patch_features(source: Source) -> NDArray[np.float64]:
    parts = [patch_statistics(p.pixels, p.usable).features for p in source.pictures]
    return np.concatenate(parts)
