"""Chips in a mosaic are seen as if each lay alone."""

import numpy as np

from models.detector import Detector
from models.inference.mosaic import ACROSS, detect_chips
from models.judging.scoring import detect_picture
from tests.models.made_up_models import make_weights, simulated_picture


def test_a_mosaic_gives_what_each_chip_gives_alone() -> None:
    detector = Detector(make_weights(), "cpu", "fp32")
    chips = [simulated_picture(i, 2, 64) for i in range(ACROSS**2 + 3)]
    chips += [simulated_picture(i, 2, 80) for i in range(2)]
    found = detect_chips(detector, chips)
    assert len(found) == len(chips)
    assert sum(map(len, found)) > 40
    for chip, boxes in zip(chips, found, strict=True):
        alone = detect_picture(detector, chip)
        assert np.array_equal(boxes.peak_row, alone.peak_row)
        assert np.array_equal(boxes.peak_col, alone.peak_col)
        assert np.allclose(boxes.score, alone.score, atol=2e-4)
        assert np.allclose(boxes.row, alone.row, atol=1e-3)
