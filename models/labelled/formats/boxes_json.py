"""Tiles with a JSON file each: `{"obb_px": [[class, x1, y1, ..., x4, y4], ...]}`, in pixels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from models.labelled.formats.labels import LabelledTile, image_named
from tiles.errors import DatasetError


def json_tiles(
    images: Path, labels: Path, names: Sequence[str] | None, classes: Sequence[str] = ()
) -> Iterator[LabelledTile]:
    """Tiles of `images/NAME.tif` (or .png, .jpg) with `labels/NAME.json`.

    Args:
        images: Folder of the images.
        labels: Folder of the label files.
        names: Which tiles; None takes every label file.
        classes: Classes that count; empty takes all.

    Raises:
        DatasetError: A tile lacks its image or labels, or the labels cannot be read.
    """
    for name in sorted(p.stem for p in labels.glob("*.json")) if names is None else names:
        image = image_named(images, name)
        if image is None:
            raise DatasetError(f"The tile {name} has no image in {images}: add {name}.tif or .png.")
        source = labels / f"{name}.json"
        if not source.is_file():
            raise DatasetError(f"There is no label file at {source}: an empty image needs one too.")
        yield LabelledTile(image, source, _read(source, classes))


def _read(path: Path, classes: Sequence[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["obb_px"]
        kept = [row for row in rows if not classes or str(row[0]) in classes]
        return np.asarray(kept, float).reshape(-1, 9)[:, 1:].reshape(-1, 4, 2)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DatasetError(
            f"{path} holds no list obb_px of [class, x1, y1, ..., x4, y4]: correct it."
        ) from error
