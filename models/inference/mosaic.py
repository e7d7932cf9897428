"""Many small chips in one array, so far apart that none sees another: a third of the work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from models.chips import Picture
from models.detection import ArrayWindow, PixelBoxes, PixelOrigin
from models.detector import Detector

# Chips up to this side are mostly halo when looked at one by one.
LARGEST_PX = 256
# Chips along each side of a mosaic: arrays of about a megapixel, as for scenes.
ACROSS = 4


def detect_chips(detector: Detector, pictures: Sequence[Picture]) -> list[PixelBoxes]:
    """Detections of each chip, as if it lay alone amid unusable ground.

    Args:
        detector: Which looks.
        pictures: None with a side above `LARGEST_PX`.
    """
    found: list[PixelBoxes] = []
    for part in _alike(pictures):
        found += _detect(detector, part)
    return found


def _alike(pictures: Sequence[Picture]) -> Iterator[list[Picture]]:
    """Runs of pictures of one shape and number type, at most a mosaic long."""
    for _, run in groupby(pictures, lambda p: (p.pixels.shape, p.pixels.dtype)):
        chips = list(run)
        for first in range(0, len(chips), ACROSS**2):
            yield chips[first : first + ACROSS**2]


def _detect(detector: Detector, chips: Sequence[Picture]) -> list[PixelBoxes]:
    halo, stride = detector.halo_px, detector.stride
    bands, rows, cols = chips[0].pixels.shape
    # Every chip starts on the stride and has a whole halo of unusable ground around it.
    pitch_row, pitch_col = (-(-(side + halo) // stride) * stride for side in (rows, cols))
    down = -(-len(chips) // ACROSS)
    shape = (halo + down * pitch_row, halo + ACROSS * pitch_col)
    pixels = np.zeros((bands, *shape), chips[0].pixels.dtype)
    usable = np.zeros(shape, bool)
    corners = [
        (halo + i // ACROSS * pitch_row, halo + i % ACROSS * pitch_col) for i in range(len(chips))
    ]
    for chip, (row, col) in zip(chips, corners, strict=True):
        pixels[:, row : row + rows, col : col + cols] = chip.pixels
        usable[row : row + rows, col : col + cols] = chip.usable
    core = ArrayWindow(halo, halo, shape[0] - 2 * halo, shape[1] - 2 * halo)
    boxes = detector.detect(pixels, usable, core, PixelOrigin(0, 0))
    return [_cut(boxes, row, col, rows, cols) for row, col in corners]


def _cut(boxes: PixelBoxes, row: int, col: int, rows: int, cols: int) -> PixelBoxes:
    own = (boxes.peak_row >= row) & (boxes.peak_row < row + rows)
    own &= (boxes.peak_col >= col) & (boxes.peak_col < col + cols)
    mine = boxes[own]
    return replace(
        mine,
        row=mine.row - row,
        col=mine.col - col,
        peak_row=mine.peak_row - row,
        peak_col=mine.peak_col - col,
    )
