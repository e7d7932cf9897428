"""`kilnlight train` on labelled chips: a classifier of squares, judged on galleries held out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from models.calibration import Calibration
from models.card import card_markdown
from models.fitting.checkpoint import load_checkpoint
from models.fitting.curves import write_curves
from models.fitting.loop import Progress
from models.fitting.training_config import check_out, config_sha256
from models.inference.familiarity import PATCH_PX, fit_familiarity, patch_statistics
from models.inference.precision import resolve_device
from models.labelled.chip_dataset import Chips, ChipsFile, load_chips
from models.labelled.class_of_labels import named_class
from models.labelled.formats.images import numbers, read_csv
from models.network import STRIDE
from models.patches.detector import patch_halo_px
from models.patches.figures import patch_figures
from models.patches.fitting import Halfway, PatchRecipe, fit_patches, score_chips
from models.patches.network import PatchNet
from models.patches.operating import GSD_M, PatchOperating, operate_patches
from models.site_class import SiteClass, load_site_class
from models.training import BANDS, TrainSettings
from models.weights import (
    Familiarity,
    Figure,
    LoadedWeights,
    PatchShape,
    Recall,
    WeightsCard,
    as_saved,
    save_weights,
)
from tiles.errors import ConfigError, DatasetError
from tiles.files import atomic_path, write_text

# Logits are kept to this many decimals.
LOGIT_DECIMALS = 3
CHIP_COLUMNS = ("chip", "fold", "seed", "logit")
# Until something was held out nothing is known; a card must still say something safe.
UNKNOWN_THRESHOLD = 0.5


def train_patches(
    settings: TrainSettings, on_progress: Callable[[Progress], None] | None = None
) -> Path:
    """Train a classifier of squares; with a fold, score what it holds out, else fill the card.

    With `settings.fold`, chips of that fold's galleries, of random land, and of every place seen
    in them are kept out, and what is held out is scored into `.chips.csv` beside `out` (`chip,
    fold, seed, logit`). Without a fold everything but random land is trained on, and the card's
    threshold, recall, calibration and figures come from the tables of all folds and seeds, in the
    folder named after the dataset file beside it. `.config.json` is written before the first step,
    `.checkpoint` is there until the end, `.curve.csv` and `.curve.svg` are the curves, `.md` is the
    model card. It runs on the CPU, where it takes minutes.

    Raises:
        DatasetError: The dataset, a checkpoint, or a table of out-of-fold scores cannot be used.
        ConfigError: No such class or device, or the dataset is of another class, or `out` is no
            name for weights.
    """
    check_out(settings.out)
    resolve_device(settings.device)
    if settings.labels is not None or settings.start is not None:
        raise ConfigError(
            f"{settings.dataset} trains a classifier of chips, which neither goes on from weights "
            "nor learns from reviewed places: leave out --labels and --start."
        )
    torch.set_num_threads(settings.threads)
    chips = load_chips(settings.dataset, settings.data_root)
    site_class = _site_class(chips.file, settings)
    fold = None if settings.fold is None else _fold_number(chips, settings.fold, settings.dataset)
    seed = chips.file.seed if settings.seed is None else settings.seed
    recipe = default_patch_recipe(settings.steps or chips.file.steps, chips.pixels.shape[2])
    config = _config(chips, fold, seed, recipe)
    sha256 = config_sha256(config)
    taught = _taught(chips, fold, settings.dataset)
    scores = None if fold is not None else read_out_of_fold(settings.dataset, chips)
    halfway = Halfway(settings.out.with_suffix(".checkpoint"), sha256)
    load_checkpoint(halfway.checkpoint, sha256)  # another's is refused before anything is written
    text = json.dumps({"sha256": sha256, **config}, indent=1, sort_keys=True)
    write_text(settings.out.with_suffix(".config.json"), text + "\n")
    training = fit_patches(
        chips.pixels[taught], chips.is_site[taught], recipe, seed, on_progress, halfway
    )
    tensors = {name: value.numpy() for name, value in training.averaged().state_dict().items()}
    card = _draft(chips, site_class, recipe.shape, sha256)
    if fold is not None:
        _write_held_out(LoadedWeights(card, as_saved(tensors), ""), chips, fold, seed, settings.out)
    elif scores is not None:
        card = _finished(card, chips, site_class, scores)
    save_weights(settings.out, card, tensors)
    write_text(settings.out.with_suffix(".md"), card_markdown(card, site_class))
    write_curves(training.history, settings.out)
    halfway.checkpoint.unlink(missing_ok=True)
    return settings.out


def _taught(chips: Chips, fold: int | None, dataset: Path) -> NDArray[np.bool_]:
    """Chips to train on.

    Raises:
        DatasetError: They are of one kind only, or none.
    """
    taught = chips.trained_on(fold)
    n_sites = int(chips.is_site[taught].sum())
    if not 0 < n_sites < taught.sum():
        raise DatasetError(
            f"{dataset} leaves {n_sites} chips with a site and {int(taught.sum()) - n_sites} "
            "without to train on, once what is held out and its places are kept apart: both "
            "kinds are needed."
        )
    return taught


def default_patch_recipe(steps: int, chip_px: int) -> PatchRecipe:
    """How the shipped weights are trained, for a number of steps and a side of the chips."""
    return PatchRecipe(steps=steps, shape=PatchShape(chip_px=chip_px))


def out_of_fold_folder(dataset: Path) -> Path:
    """Where tables of the trainings of a dataset's folds are looked for."""
    return dataset.with_suffix("")


def read_out_of_fold(dataset: Path, chips: Chips) -> pd.DataFrame | None:
    """Scores of all folds and seeds; None where there are none.

    Raises:
        DatasetError: A table is not one, those of a fold or seed are missing or there twice, or
            one scores other chips than its fold keeps out.
    """
    folder = out_of_fold_folder(dataset)
    paths = sorted(folder.glob("*.chips.csv")) if folder.is_dir() else []
    if not paths:
        return None
    scores = pd.concat([_read_scores(path) for path in paths], ignore_index=True)
    seen = set(zip(scores["fold"], scores["seed"], strict=True))
    for name in chips.fold_names:
        for seed in sorted({seed for _, seed in seen} or {0}):
            if (name, seed) not in seen:
                raise DatasetError(
                    f"{folder} lacks the scores of fold {name!r}, seed {seed}: train it with "
                    f"--fold {name} --seed {seed}."
                )
    for (fold, seed), table in scores.groupby(["fold", "seed"], dropna=False):
        known = fold in chips.fold_names
        kept_out = chips.scored_by(chips.fold_names.index(str(fold))) if known else ()
        if not np.array_equal(np.sort(table["chip"]), kept_out):
            raise DatasetError(
                f"{folder} does not score each chip that the fold {fold!r} of {dataset} keeps out "
                f"once (seed {seed}): remove its tables and train that fold again."
            )
    return scores


def _read_scores(path: Path) -> pd.DataFrame:
    frame = read_csv(path, CHIP_COLUMNS, text=("fold",))
    if tuple(frame.columns) != CHIP_COLUMNS:
        raise DatasetError(f"{path} has the columns {list(frame)}, not {list(CHIP_COLUMNS)}.")
    numbers(frame, ("chip", "seed", "logit"), path, blank=False)  # refuses what is none
    return frame


def _site_class(file: ChipsFile, settings: TrainSettings) -> SiteClass:
    site_class = named_class(file.site_class, settings.dataset)
    if settings.site_class is not None:
        asked = load_site_class(settings.site_class)
        if asked.name != site_class.name:
            raise ConfigError(
                f"{settings.dataset} holds labels of the class {site_class.name!r}, not "
                f"{asked.name!r}: change one of the two."
            )
        return asked
    return site_class


def _fold_number(chips: Chips, name: str, dataset: Path) -> int:
    if name not in chips.fold_names:
        raise DatasetError(f"{dataset} has no fold {name!r}: it has {', '.join(chips.fold_names)}.")
    return chips.fold_names.index(name)


def _config(chips: Chips, fold: int | None, seed: int, recipe: PatchRecipe) -> dict[str, Any]:
    """Everything that decides what weights come out."""
    taught = chips.trained_on(fold)
    digest = hashlib.sha256(np.ascontiguousarray(chips.pixels[taught]).tobytes())
    digest.update(chips.is_site[taught].tobytes())
    return {
        "kilnlight": version("kilnlight"),
        "dataset": chips.file.model_dump(mode="json"),
        "fold": None if fold is None else chips.fold_names[fold],
        "seed": seed,
        "recipe": recipe.model_dump(mode="json"),
        "training_data_sha256": digest.hexdigest(),
    }


def _draft(chips: Chips, site_class: SiteClass, shape: PatchShape, sha256: str) -> WeightsCard:
    """A card that claims nothing yet."""
    file = chips.file
    return WeightsCard(
        name=file.name,
        version=file.version,
        site_class=site_class.name,
        licence=file.licence,
        bands=BANDS,
        gsd_m=GSD_M,
        stride=STRIDE,
        halo_px=patch_halo_px(shape),
        threshold=UNKNOWN_THRESHOLD,
        shape=shape,
        calibration=Calibration.unknown(site_class.prevalence_per_1000km2),
        recall=Recall(mean=0, low=0, high=1),
        trained_on=(f"{file.labelled_chips.credit} ({file.labelled_chips.licence})",),
        trained_places=file.trained_places,
        limits=file.limits,
        config_sha256=sha256,
    )


def _write_held_out(weights: LoadedWeights, chips: Chips, fold: int, seed: int, out: Path) -> None:
    """Score what was held out, with tensors as they will be saved."""
    index = chips.scored_by(fold)
    logits = score_chips(_network(weights), chips.pixels[index])
    table = pd.DataFrame(
        {
            "chip": index,
            "fold": chips.fold_names[fold],
            "seed": seed,
            "logit": np.round(logits, LOGIT_DECIMALS),
        }
    )
    with atomic_path(out.with_suffix(".chips.csv")) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def _network(weights: LoadedWeights) -> PatchNet:
    shape = weights.card.shape
    assert isinstance(shape, PatchShape)  # this module makes no other
    net = PatchNet(shape, len(weights.card.bands)).eval()
    net.load_state_dict({k: torch.from_numpy(v) for k, v in weights.tensors.items()})
    return net


def _finished(
    card: WeightsCard, chips: Chips, site_class: SiteClass, scores: pd.DataFrame
) -> WeightsCard:
    """The card with what the folds say."""
    operating = operate_patches(scores, chips, site_class)
    return card.model_copy(
        update={
            "threshold": operating.threshold,
            "recall": operating.recall,
            "calibration": operating.calibration,
            "figures": (*patch_figures(scores, chips), *_at_threshold(operating)),
            "familiarity": _familiarity(chips),
        }
    )


def _at_threshold(operating: PatchOperating) -> tuple[Figure, ...]:
    recall = operating.recall
    return (
        Figure(
            name="at the threshold: recall", value=recall.mean, low=recall.low, high=recall.high
        ),
        Figure(
            name="at the threshold: chips of random land taken for sites, per 1,000 km2",
            value=operating.alarms_per_1000km2,
        ),
    )


def _familiarity(chips: Chips) -> Familiarity:
    """What the chips that were trained on look like, one source a fold."""
    taught = chips.trained_on()
    return fit_familiarity(
        [
            (name, _features(chips.pixels[taught & (chips.fold == number)]))
            for number, name in enumerate(chips.fold_names)
        ]
    )


def _features(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Statistics of chips, mirrored at the edges to the size of a patch, (n, 7)."""
    more = max(PATCH_PX - pixels.shape[2], 0)
    margin = (more // 2, more - more // 2)
    wide = np.pad(pixels, ((0, 0), (0, 0), margin, margin), mode="symmetric")[
        :, :, :PATCH_PX, :PATCH_PX
    ]
    row = wide.transpose(1, 2, 0, 3).reshape(3, PATCH_PX, -1)  # all patches side by side
    return patch_statistics(row, np.ones(row.shape[1:], bool)).features
