"""Chips that are labelled as a whole: which hold a site, in which gallery, of which place."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.labelled.formats.npz import UNREADABLE, named
from models.licences import UNSTATED, forbids_more
from models.patches.network import COARSEST_PX
from models.weights import TrainedPlace
from tiles.errors import DatasetError
from tiles.settings_file import read_settings

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LabelledChips(_Frozen):
    """Where the chips are.

    Attributes:
        chips: An .npz of `x` (n, y, x, 3) uint8, `y` (n,) 1 where a chip holds a site, `gallery`
            (n,) numbers into `gallery_names`, or names themselves.
        places: CSV with the column `place`, one row a chip, beside the dataset file: chips of one
            number show one place, maybe in different years. Without it every chip is its own.
        random_land: Patterns of galleries drawn at random over the land. They are never trained
            on: they say how often land as such is taken for a site.
        credit: Source of the chips, for the card.
        licence: Their licence, an SPDX expression.
    """

    chips: Path
    places: Path | None = None
    random_land: tuple[str, ...] = Field(min_length=1)
    credit: str
    licence: str


class ChipsFile(_Frozen):
    """A dataset file of labelled chips; told from one of boxes by its table `labelled_chips`.

    Attributes:
        name: Name of the weights made from it.
        version: Version of those weights.
        site_class: Class of the labels: a built-in one, or a `.toml` beside the dataset file.
        licence: Licence of the weights, an SPDX expression.
        seed: Of everything drawn at random.
        steps: Training steps.
        labelled_chips: The chips.
        folds: Patterns of gallery names by fold. Every gallery but those of random land is in one.
        limits: Known failures, for the card.
        trained_places: Where the chips lie, for the card.
    """

    name: str = Field(min_length=1)
    version: str = "0.1"
    site_class: str
    licence: str
    seed: int = Field(default=0, ge=0)
    steps: int = Field(ge=1)
    labelled_chips: LabelledChips
    folds: dict[str, tuple[str, ...]] = Field(min_length=2)
    limits: tuple[str, ...] = ()
    trained_places: tuple[TrainedPlace, ...] = ()

    @model_validator(mode="after")
    def _licence_allows(self) -> Self:
        source = self.labelled_chips
        if source.licence == UNSTATED:
            raise ValueError(f"{source.credit} states no licence: nothing may be trained on it")
        if forbids_more(source.licence, self.licence):
            raise ValueError(
                f"{source.credit} is {source.licence}, so weights trained on it cannot be "
                f"{self.licence}"
            )
        return self


@dataclass(frozen=True)
class Chips:
    """Labelled chips, arrays of one length.

    Attributes:
        file: What was asked for.
        pixels: (n, band, side, side), uint8.
        is_site: (n,).
        place: (n,) number of the place shown, from 0 without gaps.
        fold: (n,) index into `file.folds`, -1 for random land.
    """

    file: ChipsFile
    pixels: NDArray[np.uint8]
    is_site: Bools
    place: Ints
    fold: Ints

    @property
    def fold_names(self) -> tuple[str, ...]:
        """Names of the folds in order."""
        return tuple(self.file.folds)

    @property
    def random_land(self) -> Bools:
        """Chips drawn at random over the land, shape (n,)."""
        return np.asarray(self.fold < 0)

    def scored_by(self, fold: int) -> Ints:
        """Numbers of the chips that networks of a fold never see: its own, and random land."""
        return np.flatnonzero((self.fold == fold) | self.random_land).astype(np.int64)

    def trained_on(self, held_out: int | None = None) -> Bools:
        """Chips to train on when a fold is held out: no gallery and no place is shared with it.

        Nor with random land, which is always held out.
        """
        closed = (
            self.random_land if held_out is None else self.random_land | (self.fold == held_out)
        )
        return np.asarray(~closed & ~np.isin(self.place, np.unique(self.place[closed])))


def is_chips_file(path: Path) -> bool:
    """Whether a dataset is a file of labelled chips; a broken file is left to its own reader."""
    if path.suffix != ".toml" or not path.is_file():
        return False
    try:
        return "labelled_chips" in tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return False


def load_chips(path: Path, data_root: Path) -> Chips:
    """Read a dataset file and its chips.

    Args:
        path: The TOML file.
        data_root: Folder that the path of the chips starts from.

    Raises:
        DatasetError: Something is missing or wrong, a gallery is in no fold or in two, or a fold
            lacks sites or land without.
    """
    file = read_settings(
        path, ChipsFile, "dataset file", "models/datasets/gold_mine.toml", DatasetError
    )
    arrays = _read_arrays(data_root / file.labelled_chips.chips)
    pixels = np.ascontiguousarray(np.moveaxis(arrays["x"], -1, 1))
    is_site = arrays["y"] == 1
    galleries = arrays["gallery"]
    if "gallery_names" in arrays:
        galleries = named(galleries, arrays["gallery_names"], path)
    chips = Chips(
        file,
        pixels,
        np.asarray(is_site, bool),
        _places(path, file.labelled_chips.places, len(pixels)),
        _folds([str(name) for name in galleries], file, path),
    )
    _check_folds(chips, path)
    return chips


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {k: file[k] for k in ("x", "y", "gallery", "gallery_names") if k in file}
    except UNREADABLE as error:
        raise DatasetError(f"{path} holds no readable chips ({error}): check it.") from error
    missing = {"x", "y", "gallery"} - set(arrays)
    if missing:
        raise DatasetError(f"{path} has no array {sorted(missing)[0]!r}: add it.")
    x = arrays["x"]
    square = x.ndim == 4 and x.shape[1] == x.shape[2] and x.shape[1] % COARSEST_PX == 0
    if not square or x.shape[3] != 3 or x.dtype != np.uint8:
        raise DatasetError(
            f"{path} has chips of shape {x.shape[1:]} and type {x.dtype}: (side, side, 3) and "
            f"uint8 are needed, the side a multiple of {COARSEST_PX} px."
        )
    if arrays["y"].ndim != 1 or arrays["gallery"].ndim != 1:
        raise DatasetError(
            f"{path} has `y` of shape {arrays['y'].shape} and `gallery` of shape "
            f"{arrays['gallery'].shape}: one value a chip is needed."
        )
    if not np.isin(arrays["y"], (0, 1)).all():
        raise DatasetError(f"{path} has labels `y` other than 0 and 1: 1 is a chip with a site.")
    if len(x) == 0 or len(arrays["y"]) != len(x) or len(arrays["gallery"]) != len(x):
        raise DatasetError(
            f"{path} has {len(x)} chips, {len(arrays['y'])} labels and {len(arrays['gallery'])} "
            "galleries: one each is needed, and at least one chip."
        )
    return arrays


def _places(dataset: Path, table: Path | None, n: int) -> Ints:
    if table is None:
        return np.arange(n, dtype=np.int64)
    path = dataset.parent / table
    try:
        frame = pd.read_csv(path)
        places = frame["place"].to_numpy(np.int64)
    except (OSError, KeyError, ValueError) as error:
        raise DatasetError(f"{path} has no readable column `place` ({error}): mend it.") from error
    if len(places) != n:
        raise DatasetError(f"{path} has {len(places)} rows for {n} chips: one a chip is needed.")
    return np.unique(places, return_inverse=True)[1].astype(np.int64)


def _folds(galleries: list[str], file: ChipsFile, path: Path) -> Ints:
    patterns = [file.labelled_chips.random_land, *file.folds.values()]
    numbers = {}
    for gallery in sorted(set(galleries)):
        fits = [i for i, fold in enumerate(patterns) if _fits(gallery, fold)]
        if len(fits) != 1:
            where = "no fold" if not fits else "two folds"
            raise DatasetError(
                f"{path} puts the gallery {gallery!r} into {where}: every gallery belongs to one."
            )
        numbers[gallery] = fits[0] - 1
    return np.array([numbers[gallery] for gallery in galleries], np.int64)


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _check_folds(chips: Chips, path: Path) -> None:
    if chips.is_site[chips.random_land].any():
        raise DatasetError(f"{path} has a site in random land: that must hold none.")
    if not chips.random_land.any():
        raise DatasetError(f"{path} has no random land: name the galleries drawn at random.")
    for number, name in enumerate(chips.fold_names):
        kinds = np.unique(chips.is_site[chips.fold == number])
        if len(kinds) < 2:
            raise DatasetError(
                f"{path}: the fold {name!r} holds one class only, {len(kinds)} of 2: "
                "give it galleries of sites and of land without."
            )
