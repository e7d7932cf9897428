"""YOLO-OBB folders: `labels/NAME.txt` with lines `class x1 y1 x2 y2 x3 y3 x4 y4`, all in 0..1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from models.chips import Floats
from models.labelled.formats.labels import LabelledTile
from tiles.errors import DatasetError

IMAGE_SUFFIXES = {".tif", ".tiff", ".png", ".jpg", ".jpeg"}
N_NUMBERS = 9


def yolo_tiles(images: Path, labels: Path, classes: Sequence[str] = ()) -> Iterator[LabelledTile]:
    """Every image below `images`, whatever split it lies in, with its label file.

    The folders `train`, `val` and `test` of the format are usually drawn at random: they are not
    looked at, places are. An image without a label file is background.

    Args:
        images: Folder of the images; folders in it are searched.
        labels: Folder of the label files, with the same folders in it.
        classes: Numbers of the classes that count; empty takes all.

    Raises:
        DatasetError: There is no image, a label file belongs to none, or a line is wrong.
    """
    found = sorted(p for p in images.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise DatasetError(f"There is no image under {images}: an empty dataset teaches nothing.")
    expected = {labels / p.relative_to(images).with_suffix(".txt") for p in found}
    stray = sorted(p for p in labels.rglob("*.txt") if p not in expected)
    if stray:
        raise DatasetError(
            f"The labels {stray[0]} belong to no image under {images}: add it, or remove them."
        )
    for image in found:
        source = labels / image.relative_to(images).with_suffix(".txt")
        yield LabelledTile(image, source, _read(source, classes), relative=True)


def _read(path: Path, classes: Sequence[str]) -> Floats:
    if not path.is_file():
        return np.zeros((0, 4, 2))
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is no text in UTF-8 ({error}): write it anew.") from error
    boxes = [_box(line, i, path) for i, line in enumerate(lines, 1) if _counts(line, classes)]
    return np.array(boxes, float).reshape(-1, 4, 2)


def _counts(line: str, classes: Sequence[str]) -> bool:
    first = line.split()[:1]
    return bool(first) and (not classes or first[0] in classes)


def _box(line: str, number: int, path: Path) -> list[float]:
    try:
        values = [float(word) for word in line.split()]
    except ValueError:
        values = []
    if len(values) != N_NUMBERS or not np.isfinite(values).all():
        raise DatasetError(
            f"{path} has {line!r} on line {number}: a line is `class x1 y1 x2 y2 x3 y3 x4 y4`, the "
            "corners as shares of the image's width and height."
        )
    return values[1:]
