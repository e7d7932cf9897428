"""What a gate loses reaches the expected numbers and what is left for those who publish."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from models.gate.card import REAL_FINDS, GateCard, Kept
from models.gate.network import GateNet
from models.weights import GateShape, save_weights
from pipeline.mapping import gate_recall

CARD = GateCard(
    name="made-up gate",
    version="0.1",
    site_class="brick_kiln",
    licence="Apache-2.0",
    bands=("red", "green", "blue"),
    shape=GateShape(channels=(8, 12), window_px=40),
    threshold=0.0,
    detector="made-up 0.1",
    detector_sha256="0" * 64,
    kept=(Kept.count("made-up", 900, 1000), Kept.count(REAL_FINDS, 582, 586)),
)


def test_the_recall_of_the_gate_that_looked_first_is_its_card_s(tmp_path: Path):
    path = tmp_path / "gate.safetensors"
    net = GateNet(CARD.shape)
    save_weights(path, CARD, {name: value.numpy() for name, value in net.state_dict().items()})
    recall = gate_recall(SimpleNamespace(detector=SimpleNamespace(gate=path)))
    assert recall.mean == pytest.approx(582 / 586, abs=1e-4)
    # Clopper and Pearson's 90 % interval of 582 in 586
    assert (recall.low, recall.high) == pytest.approx((0.9844, 0.9977), abs=1e-4)
    assert gate_recall(SimpleNamespace(detector=SimpleNamespace(gate=None))) is None
