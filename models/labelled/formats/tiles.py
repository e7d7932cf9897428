"""A folder of labelled tiles: oriented boxes as JSON, YOLO-OBB or COCO, each tile with a place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from models.chips import Picture, PixelPoints, SiteLabels
from models.labelled.formats.boxes_json import json_tiles
from models.labelled.formats.coco import coco_tiles
from models.labelled.formats.images import RGB, Image, check_inside, read_csv, read_image
from models.labelled.formats.labels import ImageSize, LabelledTile
from models.labelled.formats.notes import apply_notes, read_notes
from models.labelled.formats.yolo import yolo_tiles
from models.labelled.places import block_name
from tiles.errors import DatasetError

TileFormat = Literal["obb_json", "yolo_obb", "coco"]


@dataclass(frozen=True)
class TileFolder:
    """Where the tiles are and how they are labelled.

    Attributes:
        format: Of the labels.
        images: Folder of the images.
        labels: Folder of label files, or the COCO file.
        table: CSV `name, district`, the place of each tile; None takes blocks of land.
        notes: Corrections; see `formats.notes`.
        classes: Numbers (COCO: names) of the label classes that count; empty takes all.
        region: The region of all tiles.
        block_m: Side of the blocks of land where there is no table.
        blind_edge_px: Along the edge sites may be unlabelled.
        bands: One-based numbers of red, green and blue.
    """

    format: TileFormat
    images: Path
    labels: Path
    table: Path | None = None
    notes: Path | None = None
    classes: tuple[str, ...] = ()
    region: str = ""
    block_m: float = 20_000.0
    blind_edge_px: int = 5
    bands: tuple[int, ...] = RGB


def read_tiles(folder: TileFolder) -> list[Picture]:
    """All tiles, in order of the table, of the COCO file, or of their names.

    Raises:
        DatasetError: A file is missing or wrong, a box lies outside, a tile has no place, or there
            is no tile.
    """
    places = _places(folder.table) if folder.table else None
    notes = read_notes(folder.notes) if folder.notes else None
    pictures = [_read_tile(folder, tile, places) for tile in _tiles(folder, places)]
    if not pictures:
        raise DatasetError(
            f"{folder.table or folder.labels} lists no tiles: an empty dataset teaches nothing."
        )
    return pictures if notes is None else [apply_notes(p, notes) for p in pictures]


def _tiles(folder: TileFolder, places: dict[str, str] | None) -> Iterable[LabelledTile]:
    if folder.format == "coco":
        return coco_tiles(folder.labels, folder.images, folder.classes)
    if folder.format == "yolo_obb":
        return yolo_tiles(folder.images, folder.labels, folder.classes)
    names = None if places is None else list(places)
    return json_tiles(folder.images, folder.labels, names, folder.classes)


def _places(table: Path) -> dict[str, str]:
    frame = read_csv(table, ("name", "district"), text=("name", "district"))
    blank = frame[["name", "district"]].isna().any(axis=1)
    if blank.any():
        row = int(np.flatnonzero(blank)[0])
        raise DatasetError(f"{table}, line {row + 2}, lacks a name or a district: fill it in.")
    names, districts = frame["name"], frame["district"]
    twice = names[names.duplicated()]
    if len(twice):
        raise DatasetError(f"{table} lists the tile {twice.iloc[0]} twice: remove one row.")
    return dict(zip(names, districts, strict=True))


def _read_tile(folder: TileFolder, tile: LabelledTile, places: dict[str, str] | None) -> Picture:
    image = read_image(tile.image, folder.bands)
    size = ImageSize(cols=image.usable.shape[1], rows=image.usable.shape[0])
    if tile.size not in (None, size):
        raise DatasetError(
            f"{tile.source} says that {tile.image.name} has {tile.size} px, the image has {size}: "
            "the labels belong to another version of it."
        )
    sites = SiteLabels.from_corners(tile.corners_px(size))
    check_inside(sites.col, sites.row, image.usable.shape, tile.source)
    return Picture(
        name=tile.image.name,
        place=_place(folder, tile, places, image),
        pixels=image.pixels,
        usable=image.usable,
        sites=sites,
        doubtful=PixelPoints.none(),
        blind_edge_px=folder.blind_edge_px,
        ground=image.ground,
        region=folder.region,
        middle=image.middle,
    )


def _place(
    folder: TileFolder, tile: LabelledTile, places: dict[str, str] | None, image: Image
) -> str:
    """What the labels say, else the table, else the block of land."""
    if tile.place is not None:
        return tile.place
    if places is not None:
        place = places.get(tile.image.stem, places.get(tile.image.name))
        if place is None:
            raise DatasetError(f"{folder.table} does not name the tile {tile.image.stem}: add it.")
        return place
    if image.middle is None:
        raise DatasetError(
            f"{tile.image} says neither where it lies nor which place it belongs to: give a table "
            "`name,district`, or use GeoTIFFs, because places are held out as a whole."
        )
    return block_name(folder.region, image.middle, folder.block_m)
