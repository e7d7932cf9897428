"""The grid of arrays that the network sees: fixed on the scene, however the work is cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.detection import ArrayWindow, Bools, PixelOrigin
from models.network import STRIDE
from tiles.blocks import TILE_PX


@dataclass(frozen=True)
class Margins:
    """How far an array reaches beyond the pixels whose detections are asked for, each in pixels.

    Attributes:
        network: What the network and the suppression of rivals see around them; a multiple of
            STRIDE.
        whole: With what the normalisation sees: the halo of a block.
    """

    network: int
    whole: int


def tiles_of(
    core: ArrayWindow, origin: PixelOrigin, side_px: int = TILE_PX
) -> Iterator[ArrayWindow]:
    """Cut a core where the scene's grid of tiles does; first rows, then columns.

    A core on the grid is cut into whole tiles, so every tile is computed from one array of one
    shape, and gives the same bits in whichever block it lies.

    Args:
        core: In pixels of an array.
        origin: Of that array on the scene's grid.
        side_px: Side of a tile.
    """
    for row0, row1 in _cuts(core.row0, core.rows, origin.row, side_px):
        for col0, col1 in _cuts(core.col0, core.cols, origin.col, side_px):
            yield ArrayWindow(row0, col0, row1 - row0, col1 - col0)


def _cuts(first: int, length: int, origin: int, side_px: int) -> Iterator[tuple[int, int]]:
    at, last = first, first + length
    while at < last:
        following = min(at + side_px - (at + origin) % side_px, last)
        yield at, following
        at = following


def shrunk(tile: ArrayWindow, usable: Bools) -> ArrayWindow | None:
    """The part of a tile that holds all its usable pixels, on multiples of STRIDE; None if none."""
    inside = usable[slices(tile)]
    rows, cols = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return None
    row0, col0 = rows[0] // STRIDE * STRIDE, cols[0] // STRIDE * STRIDE
    row1, col1 = (-(-(int(last[-1]) + 1) // STRIDE) * STRIDE for last in (rows, cols))
    return ArrayWindow(
        tile.row0 + int(row0), tile.col0 + int(col0), row1 - int(row0), col1 - int(col0)
    )


def grown(window: ArrayWindow, margin_px: int, rows: int, cols: int) -> ArrayWindow:
    """A window with a margin around it, as far as an array of so many rows and columns reaches."""
    row0, col0 = max(window.row0 - margin_px, 0), max(window.col0 - margin_px, 0)
    row1 = min(window.row0 + window.rows + margin_px, rows)
    col1 = min(window.col0 + window.cols + margin_px, cols)
    return ArrayWindow(row0, col0, row1 - row0, col1 - col0)


def slices(window: ArrayWindow) -> tuple[slice, slice]:
    """Rows and columns of a window, to index an array with."""
    rows = slice(window.row0, window.row0 + window.rows)
    return rows, slice(window.col0, window.col0 + window.cols)


def within(window: ArrayWindow, outer: ArrayWindow) -> ArrayWindow:
    """A window of an array as a window of a part of that array."""
    return ArrayWindow(window.row0 - outer.row0, window.col0 - outer.col0, window.rows, window.cols)
