"""Labelled tiles without a dataset file: what lies in a folder, and what is held out of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from models.labelled.dataset_file import DatasetFile, Fold, SceneSource, TilesSource
from models.labelled.formats.sites import TABLE_SUFFIXES, VECTOR_SUFFIXES
from tiles.errors import DatasetError

AUTOMATIC_FOLD = "held_out_by_itself"
# One place in four: enough to judge by, and most is left to learn from.
HELD_OUT_SHARE = 0.25
# Of the shipped recipe; twenty minutes on two cores.
STEPS = 2000


def describe_folder(path: Path) -> DatasetFile:
    """The dataset file that a folder or a COCO file amounts to.

    A folder holds `images` and `labels` (YOLO-OBB `.txt`, or `.json` files of oriented boxes) and
    maybe `places.csv` (`name,district`); or a COCO `.json` beside its images, or in `images`; or
    one GeoTIFF beside one table of sites (CSV, GeoJSON, GeoPackage, GeoParquet).

    Raises:
        DatasetError: It is none of these.
    """
    if path.is_dir():
        return _folder(path)
    if path.suffix == ".json" and path.is_file():
        return _file(path, tiles=(_coco(path),))
    raise DatasetError(
        f"{path} is no dataset: give a dataset file (.toml), a COCO file (.json) or a folder of "
        "labelled tiles."
    )


def automatic_fold(regions: Mapping[str, str], path: Path) -> dict[str, Fold]:
    """About a quarter of the places, chosen by the digest of their names.

    Args:
        regions: The region of every place.
        path: The folder or file, for messages.

    Raises:
        DatasetError: There is one place only.
    """
    places = list(regions)
    if len(places) < 2:
        raise DatasetError(
            f"{path} lies in one place ({', '.join(places) or 'none'}), so nothing can be held out "
            "to see how good a training is: add labels at least 20 km away, or write a dataset "
            "file to train on everything."
        )
    ranked = sorted(places, key=lambda place: hashlib.sha256(place.encode()).hexdigest())
    chosen = ranked[: max(round(HELD_OUT_SHARE * len(ranked)), 1)]
    named = set(regions.values())
    test = tuple(_escaped(place, place in named) for place in sorted(chosen))
    return {AUTOMATIC_FOLD: Fold(test=test)}


def _escaped(place: str, is_region: bool) -> str:
    """A name as a pattern that fits only itself; never the plain name of a region, which is all."""
    pattern = "".join(f"[{c}]" if c in "*?[" else c for c in place)
    return f"[{place[0]}]{pattern[1:]}" if is_region and pattern[0] == place[0] else pattern


def _folder(path: Path) -> DatasetFile:
    if (path / "images").is_dir() and (path / "labels").is_dir():
        return _file(path, tiles=(_labelled_tiles(path),))
    tables = [p for p in sorted(path.iterdir()) if _is_table(p)]
    images = sorted(p for p in path.iterdir() if p.suffix.lower() in {".tif", ".tiff"})
    if len(tables) == 1 and len(images) == 1:
        return _file(path, scenes=(_scene(images[0], tables[0]),))
    coco = sorted(path.glob("*.json"))
    if len(coco) == 1:
        return _file(path, tiles=(_coco(coco[0]),))
    raise DatasetError(
        f"{path} holds neither `images` and `labels`, nor one COCO .json, nor one GeoTIFF with one "
        "table of sites: arrange it so, or write a dataset file."
    )


def _is_table(path: Path) -> bool:
    suffixes = {*VECTOR_SUFFIXES, *TABLE_SUFFIXES, ".csv"} - {".json"}
    return path.suffix.lower() in suffixes


def _labelled_tiles(path: Path) -> TilesSource:
    labels, table = path / "labels", path / "places.csv"
    return TilesSource(
        region=path.name,
        credit=path.name,
        licence=UNKNOWN_LICENCE,
        images=path / "images",
        labels=labels,
        format="obb_json" if any(labels.rglob("*.json")) else "yolo_obb",
        table=table if table.is_file() else None,
    )


def _coco(path: Path) -> TilesSource:
    images = path.parent / "images"
    return TilesSource(
        region=path.stem,
        credit=path.name,
        licence=UNKNOWN_LICENCE,
        images=images if images.is_dir() else path.parent,
        labels=path,
        format="coco",
    )


def _scene(image: Path, table: Path) -> SceneSource:
    return SceneSource(
        region=image.stem,
        credit=image.name,
        licence=UNKNOWN_LICENCE,
        image=image,
        labels=table,
    )


# Whoever trains on their own labels knows their terms; the card says that nobody wrote them down.
UNKNOWN_LICENCE = "licence as its owner says"


def _file(
    path: Path, scenes: tuple[SceneSource, ...] = (), tiles: tuple[TilesSource, ...] = ()
) -> DatasetFile:
    return DatasetFile(
        name=path.stem, licence=UNKNOWN_LICENCE, steps=STEPS, scenes=scenes, tiles=tiles
    )
