"""`kilnlight adapt`: weights that learn the look of a region from its own imagery, unlabelled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.card import card_markdown
from models.chips import Picture
from models.detector import Detector, Precision, resolve_precision
from models.fitting.checkpoint import load_checkpoint
from models.fitting.loop import Conditions, Progress, TrainingRecipe, fit
from models.fitting.self_training import BEST, OPEN, TAKEN, guess
from models.fitting.training_config import (
    check_out,
    config_sha256,
    sources_sha256,
    write_config,
)
from models.inference.precision import training_device
from models.judging.guesses_page import guesses_page
from models.judging.never_seen import check_class, check_never_seen
from models.judging.operating import score_held_out, write_held_out
from models.judging.scoring import detect_pictures
from models.labelled.class_of_labels import class_of_labels
from models.labelled.dataset import Dataset, Source, load_dataset
from models.labelled.dataset_file import SimulationSource
from models.labelled.sources import simulated_pictures
from models.labelled.unlabelled import unlabelled_scenes
from models.licences import forbids_commerce
from models.site_class import SiteClass, load_site_class
from models.training import default_recipe
from models.weights import (
    ADAPTED_SUFFIX,
    DEFAULT_NAME,
    LoadedWeights,
    WeightsCard,
    as_saved,
    find_weights,
    load_card,
    load_weights,
    save_weights,
)
from tiles.errors import ConfigError, DatasetError
from tiles.files import write_text
from tiles.headers import GsdLimits

Tensors = Mapping[str, NDArray[Any]]

# As in the trials that `once_adapted` of a card holds the figures of.
ROUNDS, STEPS = 6, 300

# So much of what is learnt from is made up: kilns whose place is certain beside the guesses.
MADE_UP = SimulationSource(patches=800, share=0.25)
MADE_UP_CLASS = DEFAULT_NAME  # what `tiles.simulate` draws
ADAPTED_LIMIT = (
    "Adapted to imagery that nobody labelled, by its own guesses there: where there are no sites "
    "it has learnt to find what is none, and looks that it never guessed it still misses."
)
UNMEASURED_LIMIT = (
    "How good these weights are once adapted was never measured: threshold and probabilities are "
    "those from before."
)
OTHER_LENGTH_LIMIT = (
    "Adapted in {rounds} rounds of {steps} steps: figures, threshold and probabilities are of "
    "weights that were adapted in {ROUNDS} rounds of {STEPS}."
)


class AdaptSettings(BaseModel):
    """What `kilnlight adapt` is asked to do.

    Attributes:
        imagery: Scenes of the region; or one dataset file, of which `fold` holds the region out.
        out: Weights file to write; everything else is written beside it.
        weights: To go on from: a file or a name; those of brick kilns when None.
        fold: Which fold of the dataset file; its labels only score what came out.
        site_class: Class that the weights find, or its file; needed where it is an own one.
        imagery_licence: Of the scenes; the card names it where it forbids commercial use.
        data_root: Folder that the dataset file's paths start from.
        rounds: How often to guess and to learn from the guesses.
        steps: Of each round.
        seed: Of all samples.
        threads: CPU threads.
        device: `auto`, `cpu` or `cuda`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    imagery: tuple[str, ...] = Field(min_length=1)
    out: Path
    weights: Path | None = None
    fold: str | None = None
    site_class: str | None = None
    imagery_licence: str | None = None
    data_root: Path = Path("../shared/data")
    rounds: int = Field(default=ROUNDS, ge=1)
    steps: int = Field(default=STEPS, ge=1)
    seed: int = Field(default=0, ge=0)
    threads: int = Field(default=2, ge=1)
    device: str = "auto"


@dataclass(frozen=True)
class _Plan:
    """An adaptation that is about to run.

    Attributes:
        settings: What was asked.
        start: Weights to go on from.
        site_class: What they find.
        pictures: Of the region, without labels.
        made_up: The source of made-up kilns; none for other classes.
        recipe: Of each round.
        config: All that decides what comes out.
        device: Where.
        precision: Of the network's forward pass.
    """

    settings: AdaptSettings
    start: LoadedWeights
    site_class: SiteClass
    pictures: tuple[Picture, ...]
    made_up: tuple[Source, ...]
    recipe: TrainingRecipe
    config: dict[str, Any]
    device: str
    precision: Precision

    @property
    def checkpoint(self) -> Path:
        """Where a round half done is kept."""
        return self.settings.out.with_suffix(".checkpoint")

    def kept(self, number: int) -> Path:
        """Where the weights of a finished round are kept until all are."""
        return self.settings.out.with_suffix(f".round{number}.safetensors")

    def sha256(self, number: int) -> str:
        """Of the configuration of a round."""
        return config_sha256({**self.config, "round": number})

    def detector(self, tensors: Tensors) -> Detector:
        """The detector with other tensors."""
        weights = LoadedWeights(self.start.card, dict(tensors), "")
        return Detector(weights, self.device, self.precision)


def adapt(
    settings: AdaptSettings,
    on_progress: Callable[[Progress], None] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """Guess, learn from the guesses, and guess again; save the weights with a card.

    Written beside `out`, with these suffixes: `.config.json` before the first step;
    `.checkpoint` and `.round1.safetensors` and so on, from which the same command goes on if it
    was interrupted, until the end; `.guesses.html`, what was taken for sites, to be looked at;
    `.md`, the model card; and with a fold `.scores.csv` and `.predictions.csv`.

    Raises:
        DatasetError: The imagery or the dataset cannot be used, or shows next to nothing; or a
            checkpoint there is of another adaptation.
        SceneError: A scene cannot be read.
        WeightsError: The weights are of another kind or missing.
        ConfigError: No such device or class, or `out` is no name for weights.
    """
    check_out(settings.out)
    torch.set_num_threads(settings.threads)
    dataset = _dataset(settings)
    plan = _plan(settings, dataset, say)
    done = _rounds_done(plan)
    tensors: Tensors = load_weights(plan.kept(done)).tensors if done else plan.start.tensors
    for number in range(done + 1, settings.rounds + 1):
        tensors = _round(plan, number, tensors, on_progress, say)
    card = _card(plan, dataset)
    if dataset is not None:
        _score(plan, card, dataset, tensors)
    save_weights(settings.out, card, tensors)
    write_text(settings.out.with_suffix(".md"), card_markdown(card, plan.site_class))
    for number in range(1, settings.rounds + 1):
        plan.kept(number).unlink()
    return settings.out


def _dataset(settings: AdaptSettings) -> Dataset | None:
    """The dataset whose fold is adapted to; None where scenes are."""
    path = Path(settings.imagery[0])
    if path.suffix != ".toml":
        if settings.fold is not None:
            raise ConfigError(f"{path} has no folds: --fold goes with a dataset file.")
        return None
    if settings.imagery_licence is not None:
        raise ConfigError(
            f"{path} states the licences of its imagery: leave out --imagery-licence."
        )
    if len(settings.imagery) > 1 or settings.fold is None:
        raise DatasetError(
            f"Of {path} only what one fold holds out is adapted to: give --fold, and nothing else "
            "to adapt to."
        )
    return load_dataset(path, settings.data_root, settings.fold, simulate=False)


def _class(settings: AdaptSettings, card: WeightsCard, dataset: Dataset | None) -> SiteClass:
    """What is looked for: the class of the labels, or else of the weights; both must agree."""
    if dataset is not None:
        labelled = class_of_labels(dataset.file, Path(settings.imagery[0]), settings.site_class)
        check_class(card, labelled)
        return labelled
    found = load_site_class(settings.site_class or card.site_class)
    if found.name != card.site_class:
        raise ConfigError(
            f"{card.name} finds {card.site_class}, not {found.name}: change --class or --weights."
        )
    return found


def _plan(settings: AdaptSettings, dataset: Dataset | None, say: Callable[[str], None]) -> _Plan:
    start = load_weights(find_weights(settings.weights))
    recipe = default_recipe(settings.steps, start)
    site_class = _class(settings, start.card, dataset)
    if dataset is None:
        limits = GsdLimits(site_class.gsd_m.low, site_class.gsd_m.high)
        pictures = unlabelled_scenes(settings.imagery, limits, say)
    else:
        check_never_seen(start.card, dataset)
        pictures = tuple(picture.without_labels() for picture in dataset.test)
    made_up = _made_up(site_class, settings.seed)
    device = training_device(settings.device)
    config = {
        "kilnlight": version("kilnlight"),
        "start_sha256": start.sha256,
        "rounds": settings.rounds,
        "seed": settings.seed,
        "recipe": recipe.model_dump(mode="json"),
        "guesses": {"best": BEST, "taken": TAKEN, "open": OPEN},
        "data_sha256": sources_sha256((Source("region", 1.0, pictures), *made_up)),
    }
    return _Plan(
        settings=settings,
        start=start,
        site_class=site_class,
        pictures=pictures,
        made_up=made_up,
        recipe=recipe,
        config=config,
        device=device,
        precision=resolve_precision("auto", device),
    )


def _made_up(site_class: SiteClass, seed: int) -> tuple[Source, ...]:
    if site_class.name != MADE_UP_CLASS:
        return ()
    return (Source("simulation", MADE_UP.share, simulated_pictures(MADE_UP, seed)),)


def _rounds_done(plan: _Plan) -> int:
    """How many rounds stand that the same adaptation finished before it was killed.

    Raises:
        DatasetError: A round half done there is of another: refused before anything is overwritten.
    """
    done = 0
    while (kept := plan.kept(done + 1)).is_file():
        if load_card(kept).config_sha256 != plan.sha256(done + 1):
            break
        done += 1
    load_checkpoint(plan.checkpoint, plan.sha256(done + 1))
    return done


def _round(
    plan: _Plan,
    number: int,
    tensors: Tensors,
    on_progress: Callable[[Progress], None] | None,
    say: Callable[[str], None],
) -> Tensors:
    """Guess with some tensors and learn from the guesses.

    Returns:
        The tensors as a file holds them, so that a round gone on with begins with the same.
    """
    settings, sha256 = plan.settings, plan.sha256(number)
    detector = plan.detector(tensors)
    guesses = guess(plan.pictures, detect_pictures(detector, plan.pictures))
    conditions = {
        "device": plan.device,
        "precision": plan.precision,
        "threads": settings.threads,
    }
    # not before there is something to learn from
    names = [picture.name for picture in plan.pictures]
    write_config(settings.out, plan.config, {"imagery": names}, conditions)
    page = settings.out.with_suffix(".guesses.html")
    write_text(page, guesses_page(guesses, plan.start.card, plan.site_class))
    say(
        f"round {number} of {settings.rounds}: {guesses.n_taken} places taken for sites, "
        f"{guesses.n_open} left open; look at {page}"
    )
    training = fit(
        (Source("region", 1 - MADE_UP.share, guesses.pictures), *plan.made_up),
        plan.recipe,
        1000 * settings.seed + number,
        on_progress,
        conditions=Conditions(
            device=plan.device,
            bf16=plan.precision == "bf16",
            checkpoint=plan.checkpoint,
            config_sha256=sha256,
        ),
        start=tensors,
    )
    learnt = {name: value.numpy() for name, value in training.averaged().state_dict().items()}
    # first: beside the weights of its own round the next would take it for another adaptation's
    plan.checkpoint.unlink(missing_ok=True)
    card = plan.start.card.model_copy(update={"config_sha256": sha256})
    save_weights(plan.kept(number), card, learnt)
    return as_saved(learnt)


def _card(plan: _Plan, dataset: Dataset | None) -> WeightsCard:
    """The card of the start, with what is known of weights once they were adapted."""
    start, settings = plan.start.card, plan.settings
    places = (*start.adapted_to, *(picture.place for picture in plan.pictures))
    update: dict[str, object] = {
        "name": start.name.removesuffix(ADAPTED_SUFFIX) + ADAPTED_SUFFIX,
        "adapted_to": tuple(dict.fromkeys(places)),
        "licence": _licence(start, dataset, settings.imagery_licence),
        "config_sha256": config_sha256(plan.config),
        "once_adapted": None,
    }
    limits = [ADAPTED_LIMIT, *start.limits]
    if start.once_adapted is None:
        update["figures"] = ()
        limits.insert(0, UNMEASURED_LIMIT)
    else:
        update |= dict(start.once_adapted)
        if (settings.rounds, settings.steps) != (ROUNDS, STEPS):
            words = {"rounds": settings.rounds, "steps": settings.steps}
            limits.insert(0, OTHER_LENGTH_LIMIT.format(**words, ROUNDS=ROUNDS, STEPS=STEPS))
    # an adaptation of adapted weights says nothing twice
    return start.model_copy(update={**update, "limits": tuple(dict.fromkeys(limits))})


def _licence(start: WeightsCard, dataset: Dataset | None, of_scenes: str | None) -> str:
    """That of the start, and of imagery that allows no commercial use."""
    if dataset is None:
        theirs = {of_scenes or ""}
    else:
        regions = {picture.region for picture in dataset.test}
        theirs = {source.licence for source in dataset.file.sources if source.region in regions}
    named = start.licence.lower()
    more = sorted(n for n in theirs if forbids_commerce(n) and n.lower() not in named)
    return " AND ".join([start.licence, *more])


def _score(plan: _Plan, card: WeightsCard, dataset: Dataset, tensors: Tensors) -> None:
    """Write what the adapted weights say of what the fold holds out, beside its labels."""
    detector = Detector(LoadedWeights(card, dict(tensors), ""), plan.device, "fp32")
    tolerance_m = plan.site_class.match_tolerance_m
    held = score_held_out(detector, dataset.test, tolerance_m, dataset.fold, plan.settings.seed)
    write_held_out(held, plan.settings.out)
