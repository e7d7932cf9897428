"""Guesses as labels: the best are taken, the doubtful left open, and nobody's labels are used."""

import numpy as np
import pytest

from models.detection import PixelBoxes
from models.fitting.self_training import BEST, OPEN, TAKEN, guess
from tests.models.made_up_models import simulated_picture
from tiles.errors import DatasetError


def boxes(*scores: float) -> PixelBoxes:
    n = len(scores)
    where = np.arange(n, dtype=float) * 12 + 10
    return PixelBoxes(
        row=where,
        col=where,
        length_px=np.full(n, 11.0),
        width_px=np.full(n, 5.0),
        angle_rad=np.zeros(n),
        score=np.array(scores, float),
        peak_row=where.astype(np.int64),
        peak_col=where.astype(np.int64),
    )


def test_the_best_are_taken_the_doubtful_are_left_open_and_labels_are_not_looked_at() -> None:
    best, middling, low = (
        [0.4] * BEST,
        [0.4 * TAKEN + 0.01, 0.4 * TAKEN - 0.01],
        [0.4 * OPEN - 0.01],
    )
    pictures = [simulated_picture(1, 3), simulated_picture(2, 3)]
    guesses = guess(pictures, [boxes(*best), boxes(*middling, *low)])
    assert guesses.taken_above == pytest.approx(0.4 * TAKEN)
    assert (guesses.n_taken, guesses.n_open) == (BEST + 1, 1)
    first, second = guesses.pictures
    assert first.sites.row.tolist() == boxes(*best).row.tolist()
    assert second.sites.col.tolist() == [10.0]
    assert second.doubtful.col.tolist() == [22.0]
    assert second.taught is None


def test_next_to_nothing_is_nothing_to_learn_from() -> None:
    with pytest.raises(DatasetError, match="Only 9 places there look like a site at all"):
        guess([simulated_picture(1)], [boxes(*[0.5] * (BEST - 1))])
