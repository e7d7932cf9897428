"""A dataset file: which labelled imagery to train on, which places to hold out, and the seeds."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.chips import (
    Ground,
    Picture,
    PixelPoints,
    SiteLabels,
    read_empty_chips,
    read_scene,
    read_tiles,
)
from models.weights import TrainedPlace
from tiles.errors import DatasetError
from tiles.simulate import simulate_patch

# Parts of one scene stand at least this far apart: no kiln yard, and no 63 px window, reaches over.
LEAST_GAP_M = 1000.0
Part = Literal["train", "validate", "test"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ColumnRange(_Frozen):
    """Part of a scene's width, as shares from its left edge."""

    first: float = Field(ge=0, lt=1)
    last: float = Field(gt=0, le=1)


class SceneSource(_Frozen):
    """A scene with a table of sites; parts not named are not used.

    Attributes:
        image: Raster, relative to the data folder.
        labels: CSV, see `chips.read_scene`.
        place: Name of the place.
        credit: Source and licence, kept in the card.
        share: Share of the training samples, relative to the other sources.
        train: Columns to train on.
        validate_: Columns that set threshold and calibration; `validate` in the file.
        test: Columns to score.
    """

    image: Path
    labels: Path
    place: str
    credit: str
    share: float = Field(default=1.0, gt=0)
    train: ColumnRange | None = None
    validate_: ColumnRange | None = Field(default=None, alias="validate")
    test: ColumnRange | None = None


class TilesSource(_Frozen):
    """A folder of tiles over several districts; those not held out are trained on."""

    images: Path
    labels: Path
    table: Path
    notes: Path | None = None
    blind_edge_px: int = Field(default=5, ge=0)
    credit: str
    share: float = Field(default=1.0, gt=0)
    validate_: tuple[str, ...] = Field(default=(), alias="validate")
    test: tuple[str, ...] = ()


class EmptyChipsSource(_Frozen):
    """Chips without any site of the class, as one .npz; see `chips.read_empty_chips`."""

    chips: Path
    key: str = "x"
    groups: str = "gallery"
    keep_label: int | None = None
    credit: str
    share: float = Field(default=1.0, gt=0)


class SimulationSource(_Frozen):
    """Made-up patches of `tiles.simulate`."""

    patches: int = Field(ge=1)
    size_px: int = Field(default=192, ge=64)
    share: float = Field(default=1.0, gt=0)


class DatasetFile(_Frozen):
    """The whole file.

    Attributes:
        name: Name of the weights made from it.
        version: Version of those weights.
        site_class: Class of the labels.
        licence: Licence of the weights, an SPDX expression.
        seed: Of everything drawn at random.
        steps: Training steps.
        scenes: Scenes with tables.
        tiles: Folders of tiles.
        empty_chips: Chips without sites.
        simulation: Made-up patches.
        out_of_fold: CSVs of scores in places not trained on, written by trainings with other
            parts of the same data held out; they set threshold, recall and calibration.
        limits: Known failures, for the card.
        places: Where the labelled imagery lies, for the card.
    """

    name: str
    version: str = "0.1"
    site_class: str = "brick_kiln"
    licence: str
    seed: int = 0
    steps: int = Field(ge=1)
    scenes: tuple[SceneSource, ...] = ()
    tiles: tuple[TilesSource, ...] = ()
    empty_chips: tuple[EmptyChipsSource, ...] = ()
    simulation: SimulationSource | None = None
    out_of_fold: tuple[Path, ...] = ()
    limits: tuple[str, ...] = ()
    places: tuple[TrainedPlace, ...] = ()


@dataclass(frozen=True)
class Source:
    """Pictures that share one rate of sampling."""

    name: str
    share: float
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Dataset:
    """A dataset read into memory.

    Attributes:
        file: What was asked for.
        folder: Where the dataset file lies.
        train: Sources of training samples.
        validate: Pictures that set threshold and calibration.
        test: Pictures to score.
    """

    file: DatasetFile
    folder: Path
    train: tuple[Source, ...]
    validate: tuple[Picture, ...]
    test: tuple[Picture, ...]

    @property
    def credits(self) -> tuple[str, ...]:
        """Sources and licences, in the order of the file."""
        file = self.file
        return (
            *(scene.credit for scene in file.scenes),
            *(tiles.credit for tiles in file.tiles),
            *(chips.credit for chips in file.empty_chips),
            *(["made-up patches of tiles.simulate (Apache-2.0)"] if file.simulation else []),
        )


def read_dataset_file(path: Path) -> DatasetFile:
    """Check a dataset file without reading any imagery.

    Raises:
        DatasetError: The file is missing or wrong.
    """
    try:
        return DatasetFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise DatasetError(
            f"The dataset file {path} cannot be read ({error.strerror}): check the path."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DatasetError(
            f"The dataset file {path} is wrong at {where}: {first['msg']}; "
            "see models/datasets/brick_kiln.toml for a complete one."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"The dataset file {path} is not TOML ({error}): correct the syntax."
        ) from error


def load_dataset(path: Path, data_root: Path) -> Dataset:
    """Read a dataset file and all imagery it names.

    Args:
        path: The TOML file.
        data_root: Folder that its paths start from.

    Raises:
        DatasetError: Something is missing, wrong or empty, or training and test share a place.
    """
    file = read_dataset_file(path)
    parts: dict[Part, list[Source]] = {"train": [], "validate": [], "test": []}
    for scene in file.scenes:
        _add_scene(parts, scene, data_root)
    for tiles in file.tiles:
        _add_tiles(parts, tiles, data_root)
    for chips in file.empty_chips:
        pictures = read_empty_chips(
            data_root / chips.chips, chips.key, chips.groups, chips.keep_label
        )
        parts["train"].append(Source(chips.chips.stem, chips.share, tuple(pictures)))
    if file.simulation:
        parts["train"].append(_simulated(file.simulation, file.seed))
    train = tuple(source for source in parts["train"] if source.pictures)
    if not any(len(p.sites) for source in train for p in source.pictures):
        raise DatasetError(
            f"{path} gives no labelled site to train on: name a scene, tiles or a simulation."
        )
    held = {part: tuple(p for s in parts[part] for p in s.pictures) for part in parts}
    return Dataset(file, path.parent, train, held["validate"], held["test"])


def _add_scene(parts: dict[Part, list[Source]], scene: SceneSource, root: Path) -> None:
    picture = read_scene(root / scene.image, root / scene.labels, scene.place)
    ranges: dict[Part, ColumnRange | None] = {
        "train": scene.train,
        "validate": scene.validate_,
        "test": scene.test,
    }
    named = {part: r for part, r in ranges.items() if r is not None}
    _check_gaps(list(named.values()), picture, scene.image)
    width = picture.usable.shape[1]
    for part, r in named.items():
        first, last = round(r.first * width), round(r.last * width)
        cut = picture.columns(
            first, last, scene.place if part == "test" else f"{scene.place} ({part})"
        )
        parts[part].append(Source(scene.place, scene.share, (cut,)))


def _check_gaps(ranges: Sequence[ColumnRange], picture: Picture, image: Path) -> None:
    ordered = sorted(ranges, key=lambda r: r.first)
    width_m = picture.usable.shape[1] * picture.ground.col_m
    for r in ordered:
        if r.last <= r.first:
            raise DatasetError(f"{image}: columns {r.first} to {r.last} hold nothing: swap them.")
    for left, right in pairwise(ordered):
        gap_m = (right.first - left.last) * width_m
        if gap_m < LEAST_GAP_M:
            raise DatasetError(
                f"{image}: the columns to {left.last} and from {right.first} lie {gap_m:.0f} m "
                f"apart: leave {LEAST_GAP_M:.0f} m between places that must not know each other."
            )


def _add_tiles(parts: dict[Part, list[Source]], source: TilesSource, root: Path) -> None:
    notes = root / source.notes if source.notes else None
    pictures = read_tiles(
        root / source.images,
        root / source.labels,
        root / source.table,
        notes,
        source.blind_edge_px,
    )
    known = {p.place for p in pictures}
    unknown = sorted({*source.validate_, *source.test} - known)
    if unknown:
        raise DatasetError(
            f"{root / source.table} has no district {unknown[0]!r}: it has {sorted(known)}."
        )
    shared = sorted(set(source.validate_) & set(source.test))
    if shared:
        raise DatasetError(f"The district {shared[0]!r} stands in validate and test: choose one.")
    for picture in pictures:
        part: Part = "train"
        if picture.place in source.validate_:
            part = "validate"
        elif picture.place in source.test:
            part = "test"
        parts[part].append(Source(source.images.parent.name, source.share, (picture,)))
    _merge(parts)


def _merge(parts: dict[Part, list[Source]]) -> None:
    """One source per name: its share belongs to all of its pictures together."""
    for part, sources in parts.items():
        merged: dict[str, Source] = {}
        for source in sources:
            before = merged[source.name].pictures if source.name in merged else ()
            merged[source.name] = Source(source.name, source.share, (*before, *source.pictures))
        parts[part] = list(merged.values())


def _simulated(source: SimulationSource, seed: int) -> Source:
    rng = np.random.default_rng([seed, 1])
    pictures = [_simulated_picture(rng, source.size_px, i) for i in range(source.patches)]
    return Source("simulation", source.share, tuple(pictures))


def _simulated_picture(rng: np.random.Generator, size_px: int, number: int) -> Picture:
    patch = simulate_patch(rng, size_px)
    col, row, length, width, angle = patch.boxes.T.astype(float)
    none = np.zeros(0)
    return Picture(
        name=f"simulated {number}",
        place="simulation",
        pixels=patch.pixels,
        usable=np.ones((size_px, size_px), bool),
        sites=SiteLabels(row, col, length, width, angle % np.pi),
        doubtful=PixelPoints(none, none),
        blind_edge_px=0,
        ground=Ground(number * 1e6, 0.0, 10.0, 10.0),
    )
