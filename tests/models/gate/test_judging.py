"""Judging a gate: thresholds that no fold chose for itself, and counts that say so."""

import numpy as np
import pytest

from models.gate.judging import FoldResult, Region, Sites, choose_threshold, finished
from models.gate.training import gate_markdown
from tests.models.gate.test_cells import CARD
from tiles.errors import DatasetError


def test_a_threshold_loses_a_share_of_the_sites_less_a_margin() -> None:
    logits = np.arange(1000.0)
    assert 4 < choose_threshold(logits) < 5
    assert choose_threshold(np.array([2.0, 1.0])) < 1.0
    with pytest.raises(DatasetError, match="no threshold of a gate can be chosen"):
        choose_threshold(np.zeros(0))


def fold(lowest: float, sites: int, simulated: float = 5.0) -> FoldResult:
    logit = np.full(sites, 5.0)
    logit[0] = lowest
    found = np.ones(sites, bool)
    found[-1] = False
    cells = np.full((16, 16), -9.0, np.float32)
    cells[3, 4:8] = 9.0
    cells[8:] = -np.inf  # nothing usable
    region = Region("Delhi", (cells,), 10.0, Sites(logit, found))
    return FoldResult((region,), Sites(np.array([simulated, 5.0]), np.ones(2, bool)))


def test_a_fold_s_own_sites_do_not_choose_its_threshold() -> None:
    card = finished(CARD, [fold(-3.0, 50), fold(4.0, 51), fold(4.5, 52, simulated=-8.0)], 88)
    together, real, made_up, known = card.kept
    # the first fold's lowest site is lost by the threshold of the others, and by no other
    assert (real.kept, real.sites) == (149, 150)
    assert (made_up.kept, made_up.sites) == (1, 2), "the worst fold counts"
    assert (together.kept, together.sites) == (150, 152)
    assert (known.kept, known.sites) == (152, 153)
    assert card.threshold == pytest.approx(-3.1)
    assert card.passed[0].share == pytest.approx(4 / 128, abs=1e-4)
    # one rectangle of 1 x 4 cells with its margin, of the whole tile with its own
    assert card.passed[0].work == pytest.approx(240 * 432 / 1200**2, abs=1e-4)
    assert "149 of 150" in gate_markdown(card)
    assert "used where `--gate` asks for it" in gate_markdown(card)


def test_work_is_told_of_pictures_as_large_as_a_tile_only() -> None:
    small = Region("Dhaka", (np.full((2, 2), 3.0, np.float32),), 1.0, fold(1.0, 9).regions[0].sites)
    made_up = Sites(np.array([5.0]), np.ones(1, bool))
    card = finished(CARD, [FoldResult((small,), made_up)] * 2, 88)
    assert card.passed[0].work is None
    assert "100.0 % of the cells (" in gate_markdown(card)
