"""What a gate loses reaches the expected numbers and what is left for those who publish."""

from types import SimpleNamespace

import pytest

from models.gate import choose_gate
from models.weights import default_weights, load_weights
from pipeline.mapping import gate_recall


def test_the_recall_of_the_gate_that_looked_first_is_its_card_s():
    weights = load_weights(default_weights())
    path = choose_gate(True, weights.card, weights.sha256)
    recall = gate_recall(SimpleNamespace(detector=SimpleNamespace(gate=path)))
    assert recall.mean == pytest.approx(582 / 586)
    assert 0.98 < recall.low < recall.mean < recall.high < 1
    assert gate_recall(SimpleNamespace(detector=SimpleNamespace(gate=None))) is None
