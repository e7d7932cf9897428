"""One labelled tile as a format gives it, before its image is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.chips import Floats


@dataclass(frozen=True)
class ImageSize:
    """Size of an image in pixels."""

    cols: int
    rows: int

    def __str__(self) -> str:
        return f"{self.cols} x {self.rows}"


@dataclass(frozen=True)
class LabelledTile:
    """One image with its boxes.

    Attributes:
        image: The image file.
        source: The file of its labels, for messages.
        boxes: Corners as x, y, shape (n, 4, 2); a position without a box has four equal corners.
        relative: Corners are shares of the image's width and height, not pixels.
        size: What the labels say of the image's size; None where they do not.
        place: What the labels say of its place; None where they do not.
    """

    image: Path
    source: Path
    boxes: Floats
    relative: bool = False
    size: ImageSize | None = None
    place: str | None = None

    def corners_px(self, size: ImageSize) -> Floats:
        """Corners in pixels of an image of this size, shape (n, 4, 2)."""
        return self.boxes * np.array([size.cols, size.rows]) if self.relative else self.boxes


def image_named(folder: Path, name: str) -> Path | None:
    """The image of a name without suffix, GeoTIFF before PNG before JPEG."""
    suffixes = (".tif", ".tiff", ".png", ".jpg", ".jpeg")
    return next((p for s in suffixes if (p := folder / f"{name}{s}").is_file()), None)
