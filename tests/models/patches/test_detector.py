"""Squares as detections: no cut of the work changes them, and they lie where the pits are."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.detection import ArrayWindow, PixelBoxes, PixelOrigin
from models.detector import Detector, Precision
from models.labelled.chip_dataset import load_chips
from models.patches.detector import STEP_PX, SUPPRESSION_SHARE, PatchDetector, decode_squares
from models.patches.fitting import score_chips
from models.weights import default_weights, save_weights
from tests.models.made_up_chips import make_patch_weights
from tests.models.made_up_models import made_up_land, make_card, make_weights
from tests.models.test_detector import detect_in_cores
from tiles.errors import WeightsError

CHIP_PX = 48


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("bf16", 2e-3)])
@pytest.mark.parametrize("core_px", [128, 256])
def test_tiled_equals_untiled(precision: Precision, tolerance: float, core_px: int) -> None:
    detector = Detector.of(make_patch_weights(), "cpu", precision)
    assert isinstance(detector, PatchDetector)
    land = made_up_land(600, 700)
    usable = np.ones((600, 700), bool)
    usable[200:260, 300:420] = False
    detector.threshold = 0.01
    whole = detect_in_cores(detector, land, usable, 704)
    tiled = detect_in_cores(detector, land, usable, core_px)
    assert len(whole) > 40
    assert np.array_equal(tiled.peak_row, whole.peak_row)
    assert np.array_equal(tiled.peak_col, whole.peak_col)
    assert np.abs(tiled.score - whole.score).max() <= tolerance
    assert np.abs(tiled.row - whole.row).max() <= 100 * tolerance
    assert usable[whole.peak_row, whole.peak_col].all()


def test_weights_of_either_kind_load_as_their_own_detector(tmp_path: Path) -> None:
    for weights, kind in ((make_weights(), Detector), (make_patch_weights(), PatchDetector)):
        path = tmp_path / f"{kind.__name__}.safetensors"
        save_weights(path, weights.card, weights.tensors)
        loaded = Detector.load(path, device="cpu", precision="fp32")
        assert type(loaded) is kind
        assert loaded.card == weights.card
        assert loaded.halo_px % loaded.stride == 0


def test_tensors_of_boxes_do_not_fit_a_card_of_squares(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, make_patch_weights().card, make_weights().tensors)
    with pytest.raises(WeightsError, match="do not fit the network"):
        Detector.load(path, device="cpu")


def logits_with(cells: dict[tuple[int, int], float]) -> torch.Tensor:
    out = torch.full((40, 40), -8.0)
    for at, logit in cells.items():
        out[at] = logit
    return out


def decoded(cells: dict[tuple[int, int], float], threshold: float = 0.3) -> PixelBoxes:
    return decode_squares(logits_with(cells), PixelOrigin(-16, 800), threshold, CHIP_PX)


def test_a_square_of_a_scene_scores_as_the_chip_it_is() -> None:
    detector = Detector.of(make_patch_weights(), "cpu", "fp32")
    assert isinstance(detector, PatchDetector)
    land, usable = made_up_land(80, 96), np.ones((80, 96), bool)
    logits = detector.logits(land, usable)
    assert logits.shape == (4, 5)
    chips = [land[:, r : r + 32, c : c + 32] for r in (0, 48) for c in (16, 64)]
    alone = score_chips(detector._squares, np.stack(chips))
    found = logits[[0, 0, 3, 3], [1, 4, 1, 4]].numpy()
    assert np.allclose(found, alone, atol=1e-4)


def test_a_peak_becomes_a_square_around_its_middle() -> None:
    box = decoded({(10, 20): 2.0})
    assert (len(box), box.score[0]) == (1, pytest.approx(0.8808))
    assert (box.peak_row[0], box.peak_col[0]) == (160 + 24 - 16, 320 + 24 + 800)
    assert (box.row[0], box.col[0]) == (160 + 24 - 16, 320 + 24 + 800)
    assert (box.length_px[0], box.width_px[0], box.angle_rad[0]) == (CHIP_PX, CHIP_PX, 0)


def test_the_place_is_the_middle_of_the_squares_that_hold_the_site() -> None:
    # All squares that hold a pit score alike: the first of them is the peak, not the place.
    box = decoded({(r, c): 2.0 for r in range(10, 12) for c in range(20, 23)})
    assert len(box) == 1
    assert (box.peak_row[0], box.peak_col[0]) == (160 + 24 - 16, 320 + 24 + 800)
    assert box.row[0] == pytest.approx(16 * 10.5 + 24 - 16)
    assert box.col[0] == pytest.approx(16 * 21 + 24 + 800)


@pytest.mark.parametrize(("apart", "standing"), [(2, 1), (3, 2)])
def test_squares_that_share_more_than_a_quarter_are_one(apart: int, standing: int) -> None:
    assert (apart * STEP_PX <= SUPPRESSION_SHARE * CHIP_PX) == (standing == 1)
    boxes = decoded({(10, 10): 3.0, (10, 10 + apart): 2.0})
    assert len(boxes) == standing
    assert boxes.score.max() == pytest.approx(0.9526)


def test_saturated_scores_are_told_apart_by_their_logits() -> None:
    boxes = decoded({(10, 10): 12.0, (10, 12): 15.0})
    assert boxes.peak_col.tolist() == [16 * 12 + 24 + 800]
    assert boxes.score.tolist() == [1.0]


def test_an_array_smaller_than_a_square_holds_none() -> None:
    detector = Detector.of(make_patch_weights(), "cpu", "fp32")
    land, usable = made_up_land(24, 24), np.ones((24, 24), bool)
    assert len(detector.detect(land, usable, ArrayWindow(0, 0, 24, 24), PixelOrigin(0, 0))) == 0


def test_a_card_of_squares_is_read_back_as_one() -> None:
    card = make_patch_weights().card
    assert type(card).model_validate_json(card.model_dump_json()) == card
    boxes = make_card()
    assert type(boxes).model_validate_json(boxes.model_dump_json()) == boxes


def test_the_shipped_weights_are_whole_and_free() -> None:
    detector = Detector.load(default_weights("gold_mine"), device="cpu", precision="fp32")
    assert isinstance(detector, PatchDetector)
    assert (detector.card.site_class, detector.card.licence) == ("gold_mine", "Apache-2.0")
    assert detector.card.calibration.n_true == 3 * 3207  # every mine, by networks of three seeds
    assert 0 < detector.card.recall.low < detector.card.recall.high < 1


@pytest.mark.real_data
def test_the_shipped_weights_tell_mines_from_random_land(shared_data: Path) -> None:
    """In sample for the mines; random land was never trained on."""
    chips = load_chips(Path("models/datasets/gold_mine.toml"), shared_data)
    detector = Detector.load(default_weights("gold_mine"), device="cpu", precision="fp32")
    assert isinstance(detector, PatchDetector)
    mines = score_chips(detector._squares, chips.pixels[chips.is_site][::20])
    land = score_chips(detector._squares, chips.pixels[chips.random_land][::10])
    assert (mines[:, None] > land).mean() > 0.93
