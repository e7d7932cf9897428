"""Detections of several networks become one a place, with the mean of what they say."""

import numpy as np
import pytest

from models.detection import PixelBoxes
from tests.benchmarks.ensemble import NOTHING, together


def boxes(*found: tuple[float, float, float]) -> PixelBoxes:
    """Detections at (row, col, score)."""
    row, col, score = np.array(found, float).reshape(-1, 3).T
    eleven, zero = np.full(len(row), 11.0), np.zeros(len(row))
    peak = row.astype(np.int64), col.astype(np.int64)
    return PixelBoxes(row, col, *peak, eleven, eleven, zero, score)


def test_what_all_see_is_one_detection_and_what_one_sees_counts_a_third() -> None:
    first = boxes((20, 20, 0.9), (60, 60, 0.6))
    second = boxes((22, 20, 0.6))
    third = boxes((20, 23, 0.3), (100, 100, 0.2))
    found = together([first, second, third])
    by_place = {(r, c): s for r, c, s in zip(found.row, found.col, found.score, strict=True)}
    assert by_place == {
        (20, 20): pytest.approx(0.6),
        (60, 60): pytest.approx((0.6 + 2 * NOTHING) / 3),
        (100, 100): pytest.approx((0.2 + 2 * NOTHING) / 3),
    }


def test_nothing_anywhere_stays_nothing() -> None:
    assert len(together([PixelBoxes.empty()] * 3)) == 0
    alone = together([boxes((5, 5, 0.9)), PixelBoxes.empty(), PixelBoxes.empty()])
    assert alone.score.tolist() == [pytest.approx((0.9 + 2 * NOTHING) / 3)]
