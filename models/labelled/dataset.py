"""A dataset in memory: what to train on, and what a fold holds out, split by place only."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.chips import Picture, PixelRect
from models.labelled.chip_dataset import is_chips_file
from models.labelled.dataset_file import AnySource, DatasetFile, read_dataset_file
from models.labelled.dataset_folder import AUTOMATIC_FOLD, automatic_fold, describe_folder
from models.labelled.formats.reviewed import read_reviewed, read_reviewed_imagery
from models.labelled.places import GUARD_M, near_any, training_rects
from models.labelled.sources import (
    EmptyRead,
    PicturesRead,
    SceneRead,
    SourcesRead,
    is_kept_out,
    read_sources,
    simulated_pictures,
)
from models.licences import forbids_more
from models.weights import TrainedPlace
from tiles.errors import DatasetError

__all__ = ["Dataset", "DatasetFile", "Source", "load_dataset", "read_dataset_file"]


# Outlines of whole scenes are known to this; two dates of one scene are no mistake.
SCENE_SLACK_M = 100.0
# Of all samples: reviewed squares show the region that the weights are to be used in.
REVIEWED_SHARE = 0.4


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
        fold: Name of the fold; empty where everything is trained on.
        train: Sources of training samples.
        validate: Pictures that set threshold and calibration.
        test: Pictures to score.
        empty: Land without any site, never trained on: false alarms are counted there.
        left_out: Pictures not trained on because they lie too near a place held out.
        credits: Sources of the training data with their licences.
        places: Where the training data lie.
        held_out: Sources of what is held out, with their licences.
    """

    file: DatasetFile
    folder: Path
    fold: str
    train: tuple[Source, ...]
    validate: tuple[Picture, ...] = ()
    test: tuple[Picture, ...] = ()
    empty: tuple[Picture, ...] = ()
    left_out: int = 0
    credits: tuple[str, ...] = ()
    places: tuple[TrainedPlace, ...] = ()
    held_out: tuple[str, ...] = ()

    @property
    def weights_name(self) -> str:
        """Name of weights that are trained on it; the fold is a part of it."""
        return f"{self.file.name}-{self.fold}" if self.fold else self.file.name


@dataclass(frozen=True)
class _Held:
    """Places that a fold holds out."""

    test: frozenset[str] = frozenset()
    validate: frozenset[str] = frozenset()

    @property
    def both(self) -> frozenset[str]:
        return self.test | self.validate


def load_dataset(
    path: Path,
    data_root: Path,
    fold: str | None = None,
    notes: bool = True,
    simulate: bool = True,
    reviewed: Path | None = None,
) -> Dataset:
    """Read a dataset file and all imagery it names, or labelled tiles as they stand.

    Args:
        path: The TOML file; or a folder of tiles or a COCO file, of which blocks of at least
            20 km, or whole places, are then held out by themselves.
        data_root: Folder that the file's paths start from.
        fold: Which of the file's folds is held out; None trains on everything.
        notes: Whether corrections of labels are applied.
        simulate: Whether the made-up patches are made; who only scores needs none.
        reviewed: Folder of labels from a review, to train on beside the file's sources.

    Raises:
        DatasetError: Something is missing, wrong or empty, or training and test share a place.
    """
    if is_chips_file(path):
        raise DatasetError(
            f"{path} holds chips labelled as a whole, of which only `kilnlight train` and "
            "`kilnlight evaluate` know what to do: name a dataset file of sites in images."
        )
    if path.suffix == ".toml":
        file = read_dataset_file(path)
        _check_fold(file, fold, path)  # before minutes of reading
        read = read_sources(file, path.parent, data_root, fold is not None, notes)
    else:
        file = describe_folder(path)
        read = read_sources(file, path.parent, Path(), True, notes)
        file = file.model_copy(update={"folds": automatic_fold(read.regions(), path)})
        fold = fold or AUTOMATIC_FOLD
        _check_fold(file, fold, path)
    dataset = _divide(file, path.parent, fold or "", read, _held(file, fold, read.regions(), path))
    if reviewed is not None:
        dataset = _with_reviewed(dataset, reviewed)
    if simulate and file.simulation:
        patches = simulated_pictures(file.simulation, file.seed)
        made_up = Source("simulation", file.simulation.share, patches)
        credits = (*dataset.credits, "made-up patches of tiles.simulate (Apache-2.0)")
        dataset = replace(dataset, train=(*dataset.train, made_up), credits=credits)
    _check(dataset, path, file.simulation is not None)
    return dataset


def _check_fold(file: DatasetFile, name: str | None, path: Path) -> None:
    if name is not None and name not in file.folds:
        known = ", ".join(file.folds) or "none"
        raise DatasetError(f"{path} has no fold {name!r}: its folds are {known}.")


def _held(file: DatasetFile, name: str | None, regions: dict[str, str], path: Path) -> _Held:
    if name is None:
        return _Held()
    test = _matching(file.folds[name].test, regions, path)
    validate = _matching(file.folds[name].validate_, regions, path)
    if shared := sorted(test & validate):
        raise DatasetError(
            f"The fold {name!r} of {path} has the place {shared[0]!r} in test and in validate: "
            "choose one."
        )
    return _Held(test, validate)


def _matching(patterns: Iterable[str], regions: dict[str, str], path: Path) -> frozenset[str]:
    """Places whose name fits a pattern, or whose region is named."""
    found: set[str] = set()
    for pattern in patterns:
        hits = {p for p, r in regions.items() if pattern == r or fnmatch.fnmatchcase(p, pattern)}
        if not hits:
            names = sorted({*regions, *regions.values()})
            raise DatasetError(
                f"{path} holds out {pattern!r}, which is no place or region of it: there are "
                f"{_some(names)}."
            )
        found |= hits
    return frozenset(found)


def _some(names: Sequence[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _divide(file: DatasetFile, folder: Path, fold: str, read: SourcesRead, held: _Held) -> Dataset:
    """Held-out places to test and validation; the rest, kept off them, to training."""
    test, validate = _pictures_of(read, held.test), _pictures_of(read, held.validate)
    closed = [*test, *validate]
    parts = [
        *(_part_of_scene(scene, held, closed) for scene in read.scenes),
        *(_part_of_pictures(labelled, held, closed) for labelled in read.labelled),
        *(_part_of_empty(chips, held) for chips in read.empty),
    ]
    trained = [part for part in parts if part.train]
    regions = {part.source.region for part in trained}
    return Dataset(
        file=file,
        folder=folder,
        fold=fold,
        train=tuple(Source(p.source.region, p.source.share, tuple(p.train)) for p in trained),
        validate=tuple(validate),
        test=tuple(test),
        empty=tuple(picture for part in parts for picture in part.empty),
        left_out=sum(part.left_out for part in parts),
        credits=tuple(_credit(p.source) for p in trained),
        places=tuple(place for place in file.places if place.name in regions)
        or _middles(part.train for part in trained),
        held_out=_held_sources(read, held),
    )


def _credit(source: AnySource) -> str:
    return f"{source.credit} ({source.licence})"


def _held_sources(read: SourcesRead, held: _Held) -> tuple[str, ...]:
    scenes = [s.source for s in read.scenes if any(p.place in held.both for p in s.parts)]
    labelled = [r.source for r in read.labelled if any(p.place in held.both for p in r.pictures)]
    return tuple(_credit(source) for source in (*scenes, *labelled))


def _middles(sources: Iterable[Sequence[Picture]]) -> tuple[TrainedPlace, ...]:
    """Where pictures lie that nobody named: the middle of each source, to a tenth of a degree."""
    places = []
    for pictures in sources:
        at = np.array([(p.middle.lon, p.middle.lat) for p in pictures if p.middle is not None])
        if len(at):
            lon, lat = np.round((at.min(axis=0) + at.max(axis=0)) / 2, 1).tolist()
            places.append(TrainedPlace(name=pictures[0].region, lon=lon, lat=lat))
    return tuple(places)


@dataclass(frozen=True)
class _Part:
    """What of one source may be trained on."""

    source: AnySource
    train: Sequence[Picture]
    empty: Sequence[Picture] = ()
    left_out: int = 0


def _pictures_of(read: SourcesRead, places: frozenset[str]) -> list[Picture]:
    """Labelled pictures of some places; parts of a scene are cut out of it."""
    cut = [
        scene.picture.cut(part.rect, part.place)
        for scene in read.scenes
        for part in scene.parts
        if part.place in places
    ]
    return cut + [p for r in read.labelled for p in r.pictures if p.place in places]


def _part_of_scene(scene: SceneRead, held: _Held, closed: Sequence[Picture]) -> _Part:
    source, whole = scene.source, scene.picture
    if source.evaluation_only:
        return _Part(source, ())
    guard = PixelRect(
        0, math.ceil(GUARD_M / whole.ground.row_m), 0, math.ceil(GUARD_M / whole.ground.col_m)
    )
    rects = training_rects(scene.parts, held.both, guard)
    cuts = [whole.cut(rect, f"{source.region} (train)") for rect in rects]
    # A part of this very scene is a view of its pixels, and was kept off by the pixel.
    others = [p for p in closed if not np.may_share_memory(p.pixels, whole.pixels)]
    if any(near_any(cuts, others, GUARD_M - SCENE_SLACK_M)):
        raise DatasetError(
            f"{whole.name} of {source.region} is trained on and lies over, or within "
            f"{GUARD_M:.0f} m of, a place of another source that is held out: hold out both."
        )
    return _Part(source, cuts)


def _part_of_pictures(read: PicturesRead, held: _Held, closed: Sequence[Picture]) -> _Part:
    """Tiles or chips that may be trained on: none that lies too near a place held out."""
    if read.source.evaluation_only:
        return _Part(read.source, ())
    free = [p for p in read.pictures if p.place not in held.both]
    near = near_any(free, closed, GUARD_M)
    kept = [p for p, too_near in zip(free, near, strict=True) if not too_near]
    return _Part(read.source, kept, left_out=sum(near))


def _part_of_empty(read: EmptyRead, held: _Held) -> _Part:
    shut = [is_kept_out(read.source, p.place) or p.place in held.both for p in read.pictures]
    pairs = list(zip(read.pictures, shut, strict=True))
    return _Part(
        read.source,
        train=[picture for picture, is_shut in pairs if not is_shut],
        empty=[picture for picture, is_shut in pairs if is_shut],
    )


def _with_reviewed(dataset: Dataset, folder: Path) -> Dataset:
    """The dataset with reviewed squares as one more source; none near a place held out.

    Raises:
        DatasetError: The folder cannot be used, or its licence forbids the weights' own.
    """
    imagery = read_reviewed_imagery(folder)
    if forbids_more(imagery.licence, dataset.file.licence):
        raise DatasetError(
            f"{folder} holds labels on pixels under {imagery.licence}, so weights trained on them "
            f"cannot be {dataset.file.licence}: change the dataset file's licence."
        )
    pictures = read_reviewed(folder)
    near = near_any(pictures, [*dataset.test, *dataset.validate], GUARD_M)
    kept = tuple(p for p, too_near in zip(pictures, near, strict=True) if not too_near)
    if not kept:
        raise DatasetError(f"every reviewed square of {folder} lies near a place held out.")
    others = sum(source.share for source in dataset.train)
    simulated = dataset.file.simulation.share if dataset.file.simulation else 0.0
    # a share of the whole, whatever the others add up to
    share = (others + simulated) * REVIEWED_SHARE / (1 - REVIEWED_SHARE) or 1.0
    return replace(
        dataset,
        train=(*dataset.train, Source("reviewed", share, kept)),
        left_out=dataset.left_out + sum(near),
        credits=(*dataset.credits, f"{imagery.credit} ({imagery.licence})"),
    )


def _check(dataset: Dataset, path: Path, simulated: bool) -> None:
    labelled = any(len(p.sites) for source in dataset.train for p in source.pictures)
    if not labelled and not simulated:
        raise DatasetError(
            f"{path} gives no labelled site to train on: name a scene, tiles, chips or a "
            "simulation, and hold out less than all of it."
        )
    for part, pictures in (("test", dataset.test), ("validate", dataset.validate)):
        if pictures and not any(len(p.sites) for p in pictures):
            raise DatasetError(
                f"The {part} part of the fold {dataset.fold!r} of {path} holds no labelled site, "
                "so it can say nothing of recall: hold out another place."
            )
