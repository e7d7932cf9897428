"""COCO files: outlines become boxes, rotated boxes stay, upright boxes give positions only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from models.chips import Floats
from models.labelled.formats.labels import ImageSize, LabelledTile
from models.labelled.formats.sites import rectangle
from tiles.errors import DatasetError

ROTATED_LENGTH = 5  # cx, cy, width, height, degrees counter-clockwise, as in Detectron2


def coco_tiles(path: Path, images: Path, classes: Sequence[str] = ()) -> Iterator[LabelledTile]:
    """The images of a COCO file with their annotations.

    A `segmentation` polygon becomes the smallest rectangle around it. A `bbox` of five numbers is a
    rotated box: middle x, y, width, height, and degrees counter-clockwise. A plain `bbox` around a
    turned site says neither its length nor its direction, so only its middle is taken; a crowd is
    left out. An image may name its `place`.

    Args:
        path: The JSON file.
        images: Folder that its `file_name`s start from.
        classes: Names of the categories that count; empty takes all.

    Raises:
        DatasetError: The file is no COCO file, or a category or an image of it is missing.
    """
    content = _read(path)
    try:
        wanted = _category_ids(content, classes, path)
        boxes: dict[Any, list[Floats]] = {image["id"]: [] for image in content["images"]}
        for annotation in content["annotations"]:
            if annotation["image_id"] not in boxes:
                raise DatasetError(
                    f"{path} has an annotation of the image {annotation['image_id']!r}, which it "
                    "does not list: remove it, or add the image."
                )
            counts = wanted is None or annotation.get("category_id") in wanted
            if counts and not annotation.get("iscrowd"):
                boxes[annotation["image_id"]].append(_corners(annotation, path))
        tiles = [_tile(image, boxes[image["id"]], path, images) for image in content["images"]]
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise DatasetError(
            f"{path} is no COCO file of this program's kind (missing or odd: {error}): see "
            "docs/training.md for an example."
        ) from error
    yield from tiles


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DatasetError(f"There is no COCO file at {path}: check the path.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DatasetError(f"{path} is not JSON ({error}): correct it.") from error
    if not isinstance(content, dict):
        raise DatasetError(f"{path} is no COCO file: it holds no images and annotations.")
    return content


def _category_ids(content: dict[str, Any], classes: Sequence[str], path: Path) -> set[Any] | None:
    if not classes:
        return None
    by_name = {str(c["name"]): c["id"] for c in content.get("categories", [])}
    missing = [name for name in classes if name not in by_name]
    if missing:
        raise DatasetError(
            f"{path} has no category {missing[0]!r}: its categories are {sorted(by_name)}."
        )
    return {by_name[name] for name in classes}


def _tile(image: dict[str, Any], boxes: list[Floats], path: Path, images: Path) -> LabelledTile:
    size = ImageSize(int(image["width"]), int(image["height"])) if "width" in image else None
    place = image.get("place")
    return LabelledTile(
        image=images / image["file_name"],
        source=path,
        boxes=np.array(boxes, float).reshape(-1, 4, 2),
        size=size,
        place=None if place is None else str(place),
    )


def _corners(annotation: dict[str, Any], path: Path) -> Floats:
    box = annotation.get("bbox") or []
    outline = annotation.get("segmentation")
    try:
        if isinstance(outline, list) and outline:
            rings = [np.asarray(ring, float).reshape(-1, 2) for ring in outline]
            return rectangle(shapely.MultiPoint(np.concatenate(rings)))
        if len(box) == ROTATED_LENGTH:
            return _rotated(*map(float, box))
        x, y, width, height = map(float, box)
    except (ValueError, TypeError) as error:
        raise DatasetError(
            f"{path} has the annotation {annotation.get('id')!r} without a polygon and without a "
            "bbox of four or five numbers: give it one (run-length masks are not read)."
        ) from error
    return np.tile([x + width / 2, y + height / 2], (4, 1))


def _rotated(x: float, y: float, width: float, height: float, degrees: float) -> Floats:
    turn = np.radians(-degrees)  # rows grow downwards: counter-clockwise to the eye is negative
    along = np.array([np.cos(turn), np.sin(turn)]) * width / 2
    across = np.array([-np.sin(turn), np.cos(turn)]) * height / 2
    middle = np.array([x, y])
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return np.array([middle + a * along + b * across for a, b in signs])
