"""Training the gate: what its loss rewards, and what it sees."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.detector import Detector
from models.fitting.augment import CONTEXT_PX, SAMPLE_PX, Sample
from models.gate.card import load_gate_card
from models.gate.network import GateNet, coarse_samples
from models.gate.training import (
    GateSettings,
    gate_loss,
    gate_markdown,
    train_gate,
)
from models.labelled.dataset import Dataset, Source
from models.labelled.dataset_file import DatasetFile
from models.weights import GateShape, save_weights
from tests.models.made_up_models import make_weights, simulated_picture
from tiles.errors import ConfigError

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


def test_weights_are_named_as_such() -> None:
    settings = GateSettings(dataset=Path("d.toml"), detector=Path("w"), out=Path("gate.bin"))
    with pytest.raises(ConfigError, match=r"not gate\.bin"):
        train_gate(settings)


def test_a_gate_is_trained_judged_and_written_with_its_card(tmp_path, monkeypatch) -> None:
    """Two folds of made-up land, a few steps each: the file is a gate that fits its detector."""
    weights = make_weights()
    save_weights(tmp_path / "detector.safetensors", weights.card, weights.tensors)
    pictures = tuple(
        replace(simulated_picture(seed, 6), region=region)
        for seed, region in ((1, "north"), (2, "south"))
    )
    file = DatasetFile(name="made-up", version="0.1", licence="MIT", steps=1)

    def dataset(path: Path, root: Path, fold: str | None = None) -> Dataset:
        return Dataset(
            file, path.parent, fold or "", (Source("made-up", 1.0, pictures),), test=pictures
        )

    monkeypatch.setattr("models.gate.training.load_dataset", dataset)
    monkeypatch.setattr("models.gate.training.simulated_pictures", lambda *_: list(pictures))
    detector = tmp_path / "detector.safetensors"
    settings = {"detector": detector, "out": tmp_path / "gate.safetensors", "steps": 2}
    out = train_gate(GateSettings(dataset=tmp_path / "d.toml", folds=("a", "b"), **settings))
    card = load_gate_card(out)
    assert card.detector_sha256 == Detector.load(detector, "cpu", "fp32").sha256
    assert {passed.region for passed in card.passed} == {"north", "south"}
    assert card.passed[0].work is None, "pictures of 160 px are smaller than a tile"
    assert card.kept[0].sites > 0
    assert out.with_suffix(".md").read_text() == gate_markdown(card)
