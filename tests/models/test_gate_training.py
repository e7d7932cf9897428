"""Training the gate: thresholds that no fold chose for itself, and counts that say so."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.augment import CONTEXT_PX, SAMPLE_PX, Sample
from models.gate_network import GateNet, coarse_samples
from models.gate_training import (
    FoldResult,
    GateSettings,
    Region,
    Sites,
    choose_threshold,
    finished,
    gate_loss,
    gate_markdown,
    train_gate,
)
from models.weights import GateShape
from tests.models.test_gate import CARD
from tiles.errors import ConfigError, DatasetError

SIDE = CONTEXT_PX + SAMPLE_PX + CONTEXT_PX


def a_batch(hot: bool) -> Sample:
    targets = torch.zeros(1, 7, SAMPLE_PX // 2, SAMPLE_PX // 2)
    if hot:
        targets[0, 0, 20, 30] = 1.0
    masks = torch.ones(1, 3, SAMPLE_PX // 2, SAMPLE_PX // 2)
    return Sample(torch.rand(1, 3, SIDE, SIDE), torch.ones(1, 1, SIDE, SIDE), targets, masks)


def test_the_loss_rewards_heat_where_a_site_is_and_nowhere_else() -> None:
    edge = CONTEXT_PX // 4
    cold = torch.full((1, 1, SIDE // 4, SIDE // 4), -4.0)
    right, wrong = cold.clone(), cold.clone()
    right[0, 0, edge + 10, edge + 15] = 4.0
    wrong[0, 0, edge + 10, edge + 25] = 4.0
    losses = [float(gate_loss(logits, a_batch(True))) for logits in (right, cold, wrong)]
    assert losses == sorted(losses)
    assert losses[0] < 0.1 < losses[1]
    beyond = cold.clone()
    beyond[0, 0, 0, 0] = 4.0
    assert gate_loss(beyond, a_batch(True)) == gate_loss(cold, a_batch(True)), "context teaches not"


def test_samples_become_coarse_pixels() -> None:
    x = coarse_samples(a_batch(False), GateShape())
    assert x.shape == (1, 3, SIDE // 2, SIDE // 2)
    assert GateNet(GateShape())(x).shape == (1, 1, SIDE // 4, SIDE // 4)


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
    region = Region("Delhi", np.array([9.0, -9.0, -9.0, -9.0]), 10.0, Sites(logit, found))
    return FoldResult((region,), Sites(np.array([simulated, 5.0]), np.ones(2, bool)))


def test_a_fold_s_own_sites_do_not_choose_its_threshold() -> None:
    card = finished(CARD, [fold(-3.0, 50), fold(4.0, 51), fold(4.5, 52, simulated=-8.0)])
    together, real, made_up, known = card.kept
    # the first fold's lowest site is lost by the threshold of the others, and by no other
    assert (real.kept, real.sites) == (149, 150)
    assert (made_up.kept, made_up.sites) == (1, 2), "the worst fold counts"
    assert (together.kept, together.sites) == (150, 152)
    assert (known.kept, known.sites) == (152, 153)
    assert card.threshold == pytest.approx(-3.1)
    assert card.passed[0].share == 0.25
    assert "149 of 150" in gate_markdown(card)
    assert "used where `--gate` asks for it" in gate_markdown(card)


def test_weights_are_named_as_such() -> None:
    settings = GateSettings(dataset=Path("d.toml"), detector=Path("w"), out=Path("gate.bin"))
    with pytest.raises(ConfigError, match=r"not gate\.bin"):
        train_gate(settings)
