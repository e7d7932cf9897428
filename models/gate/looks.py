"""Which rectangles a detector looks at in a tile of which a gate lets only some cells through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.detection import Bools
from tiles.skipping import GATE_PX

# Of an empty row or column: further than any cell.
NOWHERE = 1 << 20


@dataclass(frozen=True)
class CellBox:
    """A rectangle of cells of GATE_PX: its first row and column, its rows and columns."""

    row: int
    col: int
    rows: int
    cols: int

    def pixels(self, margin_px: int) -> int:
        """Pixels of the array that the network sees: the cells and a margin around them."""
        sides = (GATE_PX * length + 2 * margin_px for length in (self.rows, self.cols))
        return int(np.prod(list(sides)))


def boxes_around(let: Bools, margin_px: int) -> list[CellBox]:
    """Rectangles that hold all cells let through, and together show the network few pixels.

    Around each rectangle the network sees a margin wider than a cell: neighbours are cheaper in one
    array. A rectangle is cut in two where that spares most, and again, as long as it spares any.

    Args:
        let: (rows, columns) of a tile's cells.
        margin_px: Around each rectangle.
    """
    held = _box_of(let)
    return [] if held is None else _parted(let, held, margin_px)


def _box_of(let: Bools) -> CellBox | None:
    """The smallest rectangle with all cells let through; None where there are none."""
    rows, cols = np.flatnonzero(let.any(axis=1)), np.flatnonzero(let.any(axis=0))
    if not len(rows):
        return None
    row, col = int(rows[0]), int(cols[0])
    return CellBox(row, col, int(rows[-1]) + 1 - row, int(cols[-1]) + 1 - col)


def _parted(let: Bools, box: CellBox, margin_px: int) -> list[CellBox]:
    inside = let[box.row : box.row + box.rows, box.col : box.col + box.cols]
    by_row, by_col = _cut_pixels(inside, margin_px), _cut_pixels(inside.T, margin_px)
    cuts = np.concatenate([by_row, by_col])
    if not len(cuts) or cuts.min() >= box.pixels(margin_px):
        return [box]
    parts = []
    for part, row, col in _halves(inside, int(np.argmin(cuts)) + 1, len(by_row)):
        own = _box_of(part)
        assert own is not None  # a cell in the first and in the last row and column is let through
        own = CellBox(box.row + row + own.row, box.col + col + own.col, own.rows, own.cols)
        parts += _parted(let, own, margin_px)
    return parts


def _halves(inside: Bools, cut: int, row_cuts: int) -> list[tuple[Bools, int, int]]:
    """The two parts of a rectangle with their first row and column, by the number of the cut."""
    if cut <= row_cuts:
        return [(inside[:cut], 0, 0), (inside[cut:], cut, 0)]
    cut -= row_cuts
    return [(inside[:, :cut], 0, 0), (inside[:, cut:], 0, cut)]


def _cut_pixels(inside: Bools, margin_px: int) -> NDArray[np.int64]:
    """Pixels seen in both parts together after a cut before the second row, the third, ..."""
    above = _growing(inside, margin_px)[:-1]
    below = _growing(inside[::-1], margin_px)[:-1][::-1]
    return above + below


def _growing(inside: Bools, margin_px: int) -> NDArray[np.int64]:
    """Pixels seen around the cells let through in the first row, the first two, ..."""
    n_rows, n_cols = inside.shape
    some = inside.any(axis=1)
    first = np.minimum.accumulate(np.where(some, inside.argmax(axis=1), NOWHERE))
    last = np.maximum.accumulate(np.where(some, n_cols - inside[:, ::-1].argmax(axis=1), -NOWHERE))
    # the first row holds a cell, for it is the rectangle's; later ones may hold none
    bottom = np.maximum.accumulate(np.where(some, np.arange(1, n_rows + 1), 0))
    pixels = (GATE_PX * bottom + 2 * margin_px) * (GATE_PX * (last - first) + 2 * margin_px)
    return np.asarray(pixels)
