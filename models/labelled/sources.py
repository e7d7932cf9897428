"""The imagery that a dataset file names, read into memory, before a fold divides it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.chips import Ground, Picture, PixelPoints, SiteLabels
from models.labelled.dataset_file import (
    ChipsSource,
    DatasetFile,
    EmptyChipsSource,
    SceneSource,
    SimulationSource,
    TilesSource,
)
from models.labelled.formats.npz import (
    EmptyChips,
    PositionChips,
    read_empty_chips,
    read_position_chips,
)
from models.labelled.formats.sites import read_scene
from models.labelled.formats.tiles import TileFolder, read_tiles
from models.labelled.places import Part, scene_parts
from tiles.errors import DatasetError
from tiles.simulate import simulate_patch


@dataclass(frozen=True)
class SceneRead:
    """A scene and the parts of it that are places."""

    source: SceneSource
    picture: Picture
    parts: list[Part]


@dataclass(frozen=True)
class PicturesRead:
    """Tiles or chips with labels, each with its place."""

    source: TilesSource | ChipsSource
    pictures: list[Picture]


@dataclass(frozen=True)
class EmptyRead:
    """Chips without any site, each with its place."""

    source: EmptyChipsSource
    pictures: list[Picture]


@dataclass(frozen=True)
class SourcesRead:
    """Everything that was read.

    Attributes:
        scenes: Scenes.
        labelled: Tiles and chips with labels.
        empty: Chips without any site.
    """

    scenes: list[SceneRead]
    labelled: list[PicturesRead]
    empty: list[EmptyRead]

    def regions(self) -> dict[str, str]:
        """The region of every place.

        Raises:
            DatasetError: Two regions have a place of one name, so a fold could not tell them apart.
        """
        named = [(p.place, scene.source.region) for scene in self.scenes for p in scene.parts]
        for labelled in self.labelled:
            named += [(picture.place, labelled.source.region) for picture in labelled.pictures]
        for empty in self.empty:
            named += [(picture.place, empty.source.region) for picture in empty.pictures]
        found: dict[str, str] = {}
        for place, region in named:
            if found.setdefault(place, region) != region:
                raise DatasetError(
                    f"The place {place!r} lies in {found[place]} and in {region}: give places "
                    "names of their own, because folds hold them out by name."
                )
        return found


def read_sources(
    file: DatasetFile, folder: Path, root: Path, scored: bool, notes: bool
) -> SourcesRead:
    """Read all sources of a file; those only for evaluation where something is scored.

    Args:
        file: The dataset file.
        folder: Where it lies.
        root: Folder that its paths start from.
        scored: Whether a fold is to be scored.
        notes: Whether corrections of labels are applied.

    Raises:
        DatasetError: A source is missing or wrong.
    """
    scenes = [_read_scene(s, root, notes) for s in file.scenes if scored or not s.evaluation_only]
    labelled = [
        PicturesRead(s, read_tiles(_tile_folder(s, root, notes)))
        for s in file.tiles
        if scored or not s.evaluation_only
    ]
    labelled += [
        PicturesRead(s, read_position_chips(_position_chips(s, root)))
        for s in file.chips
        if scored or not s.evaluation_only
    ]
    empty = [
        EmptyRead(s, read_empty_chips(_empty_chips(s, root, folder))) for s in file.empty_chips
    ]
    return SourcesRead(scenes, labelled, empty)


def is_kept_out(source: EmptyChipsSource, place: str) -> bool:
    """Whether a place of empty land is never trained on: chosen by its name, the same every time.

    The place's digest decides, so that one more chip or place changes no other's part.
    """
    digest = hashlib.sha256(place.encode()).digest()
    return (
        source.evaluation_only or int.from_bytes(digest[:8], "big") < source.kept_out_share * 2**64
    )


def _read_scene(source: SceneSource, root: Path, notes: bool) -> SceneRead:
    picture = read_scene(
        root / source.image,
        root / source.labels,
        source.region,
        root / source.notes if source.notes and notes else None,
        source.bands,
    )
    picture = replace(picture, region=source.region)
    return SceneRead(source, picture, scene_parts(picture, source.strips))


def _tile_folder(source: TilesSource, root: Path, notes: bool) -> TileFolder:
    return TileFolder(
        format=source.format,
        images=root / source.images,
        labels=root / source.labels,
        table=root / source.table if source.table else None,
        notes=root / source.notes if source.notes and notes else None,
        classes=source.classes,
        region=source.region,
        block_m=1000 * source.block_km,
        blind_edge_px=source.blind_edge_px,
        bands=source.bands,
    )


def _position_chips(source: ChipsSource, root: Path) -> PositionChips:
    red, green, blue = source.bands
    return PositionChips(
        chips=root / source.chips,
        labels=root / source.labels,
        region=source.region,
        positions=source.positions,
        name=source.name,
        key=source.key,
        bands=(red - 1, green - 1, blue - 1),
        keep_sources=source.keep_sources,
        block_m=1000 * source.block_km,
        blind_edge_px=source.blind_edge_px,
    )


def _empty_chips(source: EmptyChipsSource, root: Path, folder: Path) -> EmptyChips:
    return EmptyChips(
        chips=root / source.chips,
        region=source.region,
        key=source.key,
        label_key=source.label_key,
        keep_label=source.keep_label,
        group_key=source.group_key,
        group_names_key=source.group_names_key,
        exclude=source.exclude,
        places=folder / source.places if source.places else None,
    )


def simulated_pictures(source: SimulationSource, seed: int) -> tuple[Picture, ...]:
    """Made-up patches; the same seed gives the same ones."""
    rng = np.random.default_rng([seed, 1])
    return tuple(_simulated_picture(rng, source.size_px, i) for i in range(source.patches))


def _simulated_picture(rng: np.random.Generator, size_px: int, number: int) -> Picture:
    patch = simulate_patch(rng, size_px)
    col, row, length, width, angle = patch.boxes.T.astype(float)
    return Picture(
        name=f"simulated {number}",
        place="simulation",
        pixels=patch.pixels,
        usable=np.ones((size_px, size_px), bool),
        sites=SiteLabels(row, col, length, width, angle % np.pi),
        doubtful=PixelPoints.none(),
        blind_edge_px=0,
        ground=Ground(number * 1e6, 0.0, 10.0, 10.0),
        region="simulation",
    )
