"""The gate: what it shuts is not looked at, what it lets through is found as before."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.detection import ArrayWindow, PixelOrigin
from models.detector import Detector
from models.gate import card as gate_module
from models.gate.card import REAL_FINDS, GateCard, Kept, Passed, choose_gate
from models.gate.cells import Gate
from models.gate.network import COARSE_PX, GateNet, gate_margin_px
from models.inference.prepared import Prepared
from models.weights import GateShape, save_weights
from tests.models.made_up_models import SMALL, made_up_land, make_card, make_weights
from tiles.errors import WeightsError
from tiles.skipping import GATE_PX

CARD = GateCard(
    name="made-up gate",
    version="0.1",
    site_class="brick_kiln",
    licence="Apache-2.0",
    bands=("red", "green", "blue"),
    shape=GateShape(channels=(8, 12), window_px=SMALL.window_px),
    threshold=0.0,
    detector="made-up 0.1",
    detector_sha256="0" * 64,
    kept=(Kept.count("made-up", 999, 1000),),
    passed=(Passed(region="made-up", share=0.1, work=0.4, sites_per_1000km2=30),),
)
CORE, HALO = 512, 128


def made_up_gate(threshold: float) -> Gate:
    torch.manual_seed(1)
    net = GateNet(CARD.shape)
    with torch.no_grad():
        net.out.weight.mul_(30.0)
        net.out.bias.zero_()  # type: ignore[union-attr]
    tensors = {name: value.numpy() for name, value in net.state_dict().items()}
    return Gate(CARD.model_copy(update={"threshold": threshold}), tensors)


def searched(gate: Gate | None):
    detector = Detector(make_weights(), "cpu", "fp32", gate)
    land = made_up_land(CORE + 2 * HALO, CORE + 2 * HALO)
    usable = np.ones(land.shape[1:], bool)
    core = ArrayWindow(HALO, HALO, CORE, CORE)
    return detector.search(land, usable, core, PixelOrigin(-HALO, -HALO))


@pytest.mark.parametrize(
    ("kept", "sites", "low", "high"),
    [
        # golden numbers: R, binom.test(k, n)$conf.int
        (300, 300, 0.98778, 1.0),
        (298, 300, 0.97612, 0.99919),
        (0, 10, 0.0, 0.30850),
    ],
)
def test_intervals_are_clopper_and_pearson_s(kept, sites, low, high):
    counted = Kept.count("kilns", kept, sites)
    assert (counted.low, counted.high) == pytest.approx((low, high), abs=1e-4)


def test_a_gate_is_default_only_when_it_surely_loses_little_on_many():
    def with_kept(kept, sites):
        return CARD.model_copy(update={"kept": (Kept.count("k", kept, sites),)}).may_be_default

    assert with_kept(500, 500)
    assert not with_kept(298, 299), "too few"
    assert not with_kept(495, 500), "lower bound below 99 %"


@pytest.mark.parametrize(
    ("works", "enough"), [((0.5, None), True), ((0.4, 0.6), False), ((), False)]
)
def test_a_gate_is_default_only_where_it_spares_half_of_the_work(works, enough):
    passed = tuple(Passed(region="r", share=0.1, work=w, sites_per_1000km2=30) for w in works)
    assert CARD.model_copy(update={"passed": passed}).may_be_default == enough


def test_what_a_gate_keeps_of_real_finds_is_what_expected_numbers_reckon_with():
    counts = (Kept.count("both", 999, 1000), Kept.count(REAL_FINDS, 298, 300))
    recall = CARD.model_copy(update={"kept": counts}).recall
    # golden numbers: R, binom.test(298, 300, conf.level = 0.9)$conf.int
    assert (recall.mean, recall.low, recall.high) == pytest.approx(
        (0.99333, 0.97918, 0.99881), abs=1e-4
    )
    assert CARD.recall.mean == pytest.approx(0.999), "what there is, where real ones have no count"


def test_cells_passed_are_found_as_without_the_gate_and_others_are_not_looked_at():
    plain = searched(None)
    probe = searched(made_up_gate(-1e9))
    assert probe.passed.all()
    assert np.array_equal(probe.boxes.score, plain.boxes.score)
    logits = all_logits(made_up_gate(0.0))
    threshold = float(np.sort(logits.ravel())[-5])  # four cells pass
    found = searched(made_up_gate(threshold))
    assert 4 <= found.passed.sum() < 32, "with those between them, and not half of all"
    cell = found.passed[plain.boxes.peak_row // GATE_PX, plain.boxes.peak_col // GATE_PX]
    assert 0 < cell.sum() < len(plain.boxes)
    assert np.array_equal(found.boxes.peak_row, plain.boxes.peak_row[cell])
    assert np.array_equal(found.boxes.peak_col, plain.boxes.peak_col[cell])
    assert np.allclose(found.boxes.score, plain.boxes.score[cell], atol=2e-4)


def all_logits(gate: Gate) -> np.ndarray:
    land = made_up_land(CORE + 2 * HALO, CORE + 2 * HALO)
    prepared = Prepared(land, np.ones(land.shape[1:], bool), SMALL)
    return gate.logits(prepared, ArrayWindow(HALO, HALO, CORE, CORE))


def test_logits_of_cells_are_the_greatest_within_them_and_need_no_more_than_the_margin():
    gate = made_up_gate(0.0)
    land = made_up_land(CORE + 2 * HALO, CORE + 2 * HALO)
    usable = np.ones(land.shape[1:], bool)
    whole = gate.logits(Prepared(land, usable, SMALL), ArrayWindow(HALO, HALO, CORE, CORE))
    one = gate.logits(Prepared(land, usable, SMALL), ArrayWindow(HALO + 128, HALO + 64, 64, 64))
    assert whole.shape == (CORE // GATE_PX, CORE // GATE_PX)
    assert whole.std() > 0
    assert one[0, 0] == pytest.approx(whole[2, 1], abs=1e-4)
    assert gate_margin_px() <= HALO
    assert gate_margin_px() % (4 * COARSE_PX) == 0


def test_the_status_of_shut_cells_is_that_only_the_gate_looked():
    found = searched(made_up_gate(1e9))
    assert len(found.boxes) == 0
    status = found.status(np.zeros((CORE, CORE), np.uint8))
    assert (status == 1).all()  # searched_gate
    assert (searched(None).status(np.zeros((4, 4), np.uint8)) == 0).all()


def test_which_gate_a_run_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gate_module, "weights_folder", lambda: tmp_path)
    detector = make_card()
    with pytest.raises(WeightsError, match="No gate comes with the weights made-up"):
        choose_gate(True, detector, "0" * 64)
    assert choose_gate(None, detector, "0" * 64) is None
    path = tmp_path / "brick_kiln_gate.safetensors"
    tensors = {name: value.numpy() for name, value in GateNet(CARD.shape).state_dict().items()}
    save_weights(path, CARD, tensors)
    assert Gate.load(path, "cpu", torch.float32).card == CARD
    assert choose_gate(True, detector, "0" * 64) == path
    assert choose_gate(False, detector, "0" * 64) is None
    assert choose_gate(None, detector, "0" * 64) == (path if CARD.may_be_default else None)
    with pytest.raises(WeightsError, match="known for one detector only"):
        choose_gate(True, detector, "1" * 64)
