"""The detector: no cut of the work changes it, inputs of every kind, peaks and suppression."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.detection import ArrayWindow, PixelBoxes, PixelOrigin
from models.detector import (
    Detector,
    Precision,
    halo_px,
    resolve_device,
    resolve_precision,
)
from models.inference.decoding import SUPPRESSION_RADIUS_PX, Decoding, decode
from models.network import N_OUTPUTS, STRIDE, TYPICAL_LENGTH_PX, receptive_radius_px
from models.weights import save_weights
from tests.models.made_up_models import SMALL, made_up_land, make_card, make_weights
from tiles.blocks import TILE_PX
from tiles.errors import ConfigError, WeightsError


def detect_in_cores(
    detector: Detector, land: np.ndarray, usable: np.ndarray, core_px: int
) -> PixelBoxes:
    """Cut a scene into cores, give each its halo, and join what they own."""
    halo = detector.halo_px
    rows, cols = usable.shape
    pixels = np.pad(land, ((0, 0), (halo, halo + core_px), (halo, halo + core_px)))
    mask = np.pad(usable, ((halo, halo + core_px), (halo, halo + core_px)))
    parts = []
    for row in range(0, rows, core_px):
        for col in range(0, cols, core_px):
            window = (slice(row, row + core_px + 2 * halo), slice(col, col + core_px + 2 * halo))
            parts.append(
                detector.detect(
                    pixels[(slice(None), *window)],
                    mask[window],
                    ArrayWindow(halo, halo, core_px, core_px),
                    PixelOrigin(row - halo, col - halo),
                )
            )
    return PixelBoxes.concatenate(parts[::-1])


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 1e-3)])
@pytest.mark.parametrize("core_px", [128, 256])
def test_tiled_equals_untiled(precision: Precision, tolerance: float, core_px: int) -> None:
    detector = Detector(make_weights(), "cpu", precision)
    land = made_up_land(600, 700)
    usable = np.ones((600, 700), bool)
    usable[200:260, 300:420] = False
    whole = detect_in_cores(detector, land, usable, 704)
    tiled = detect_in_cores(detector, land, usable, core_px)
    assert len(whole) > 200
    assert np.array_equal(tiled.peak_row, whole.peak_row)
    assert np.array_equal(tiled.peak_col, whole.peak_col)
    assert np.abs(tiled.score - whole.score).max() <= tolerance
    assert np.abs(tiled.row - whole.row).max() <= 100 * tolerance
    assert usable[whole.peak_row, whole.peak_col].all()


def test_the_halo_covers_the_receptive_field_and_the_suppression() -> None:
    assert halo_px(SMALL) % STRIDE == 0
    assert halo_px(SMALL) >= receptive_radius_px(SMALL) + SUPPRESSION_RADIUS_PX


@pytest.mark.parametrize(("dtype", "gain"), [("uint16", 31), ("float32", 1e-3), ("float64", 1.0)])
def test_other_number_types_and_scalings_give_the_same_peaks(dtype: str, gain: float) -> None:
    detector = Detector(make_weights(), "cpu", "fp32")
    land, usable = made_up_land(160, 160), np.ones((160, 160), bool)
    core, origin = ArrayWindow(40, 40, 80, 80), PixelOrigin(0, 0)
    plain = detector.detect(land, usable, core, origin)
    other = detector.detect((land.astype(float) * gain).astype(dtype), usable, core, origin)
    assert len(plain) > 5
    assert np.array_equal(plain.peak_row, other.peak_row)
    assert np.allclose(plain.score, other.score, atol=2e-3)


def test_not_a_number_is_as_unusable_as_a_masked_pixel() -> None:
    detector = Detector(make_weights(), "cpu", "fp32")
    land = made_up_land(160, 160).astype(np.float32)
    usable = np.ones((160, 160), bool)
    core, origin = ArrayWindow(0, 0, 160, 160), PixelOrigin(0, 0)
    masked = usable.copy()
    masked[60:90, 60:90] = False
    expected = detector.detect(land, masked, core, origin)
    land[1, 60:90, 60:90] = np.nan
    found = detector.detect(land, usable, core, origin)
    outside = masked[found.peak_row, found.peak_col]
    assert np.array_equal(found.score[outside], expected.score)
    assert np.isfinite(found.score).all()


def test_a_fourth_band_is_not_looked_at() -> None:
    detector = Detector(make_weights(), "cpu", "fp32")
    land, usable = made_up_land(96, 96), np.ones((96, 96), bool)
    core, origin = ArrayWindow(0, 0, 96, 96), PixelOrigin(0, 0)
    four = np.concatenate([land, 255 - land[:1]])
    assert np.array_equal(
        detector.detect(four, usable, core, origin).score,
        detector.detect(land, usable, core, origin).score,
    )


def test_sides_need_not_be_multiples_of_the_stride() -> None:
    detector = Detector(make_weights(), "cpu", "fp32")
    land, usable = made_up_land(101, 93), np.ones((101, 93), bool)
    found = detector.detect(land, usable, ArrayWindow(0, 0, 101, 93), PixelOrigin(0, 0))
    assert len(found) > 0
    assert found.peak_row.max() < 101
    assert found.peak_col.max() < 93


def test_nothing_usable_gives_nothing() -> None:
    detector = Detector(make_weights(), "cpu", "fp32")
    land, usable = made_up_land(96, 96), np.zeros((96, 96), bool)
    found = detector.detect(land, usable, ArrayWindow(0, 0, 96, 96), PixelOrigin(0, 0))
    assert len(found) == 0


def test_an_origin_off_the_stride_is_a_mistake_of_the_caller() -> None:
    detector = Detector(make_weights(), "cpu", "fp32")
    land, usable = made_up_land(64, 64), np.ones((64, 64), bool)
    with pytest.raises(ValueError, match="multiples of 8"):
        detector.detect(land, usable, ArrayWindow(0, 0, 64, 64), PixelOrigin(3, 0))


def outputs_with(cells: dict[tuple[int, int], float]) -> torch.Tensor:
    """Raw outputs of 30 x 40 cells, silent but for the scores given."""
    out = torch.zeros(N_OUTPUTS, 30, 40)
    out[0] = -9.0
    for (row, col), score in cells.items():
        out[0, row, col] = float(np.log(score / (1 - score)))
    return out


def test_a_peak_becomes_a_box_with_its_offset_size_and_direction() -> None:
    out = outputs_with({(10, 20): 0.9})
    out[1:, 10, 20] = torch.tensor([0.25, -0.5, np.log(2.0), 0.0, 0.0, 1.0])
    box = decode(out, PixelOrigin(-16, 800), Decoding(0.5))
    assert len(box) == 1
    assert (box.peak_row[0], box.peak_col[0]) == (20 - 16, 40 + 800)
    assert box.row[0] == pytest.approx(2 * (10.5 + 0.25) - 16)
    assert box.col[0] == pytest.approx(2 * (20.5 - 0.5) + 800)
    assert box.length_px[0] == pytest.approx(2 * TYPICAL_LENGTH_PX)
    assert box.angle_rad[0] == pytest.approx(np.pi / 4)
    assert box.score[0] == pytest.approx(0.9, abs=1e-4)


@pytest.mark.parametrize(("apart", "standing"), [(2, 1), (3, 2)])
def test_a_weaker_peak_within_five_pixels_is_suppressed(apart: int, standing: int) -> None:
    boxes = decode(
        outputs_with({(10, 10): 0.8, (10, 10 + apart): 0.7}), PixelOrigin(0, 0), Decoding(0.5)
    )
    assert len(boxes) == standing
    assert boxes.score.max() == pytest.approx(0.8, abs=1e-4)


def test_suppression_is_local_not_a_chain_that_depends_on_order() -> None:
    # The middle one falls to the left one, and still speaks against the right one.
    boxes = decode(
        outputs_with({(5, 10): 0.9, (5, 12): 0.8, (5, 14): 0.7}), PixelOrigin(0, 0), Decoding(0.5)
    )
    assert boxes.peak_col.tolist() == [20]


def test_equal_scores_leave_the_first_in_reading_order() -> None:
    boxes = decode(
        outputs_with({(5, 5): 0.7, (5, 6): 0.7, (6, 5): 0.7}), PixelOrigin(0, 0), Decoding(0.5)
    )
    assert (boxes.peak_row.tolist(), boxes.peak_col.tolist()) == ([10], [10])


def test_loading_resolves_device_and_precision(tmp_path: Path) -> None:
    weights = make_weights()
    path = tmp_path / "w.safetensors"
    save_weights(path, weights.card, weights.tensors)
    detector = Detector.load(path, device="cpu", precision="auto")
    assert detector.precision == resolve_precision("auto", "cpu")
    assert detector.device == "cpu"
    assert detector.card == weights.card
    assert len(detector.sha256) == 64


@pytest.mark.parametrize(("kind", "value"), [("device", "tpu"), ("precision", "int4")])
def test_unknown_device_or_precision_is_said_in_one_sentence(kind: str, value: str) -> None:
    call: Any = resolve_device if kind == "device" else lambda p: resolve_precision(p, "cpu")
    with pytest.raises(ConfigError, match=value):
        call(value)


def test_tensors_of_another_shape_do_not_fit_the_card(tmp_path: Path) -> None:
    weights = make_weights()
    wider = make_card(SMALL.model_copy(update={"stem_channels": 16}))
    path = tmp_path / "w.safetensors"
    save_weights(path, wider, weights.tensors)
    with pytest.raises(WeightsError, match="do not fit the network"):
        Detector.load(path, device="cpu")


def made_up_scene() -> tuple[np.ndarray, np.ndarray]:
    """Land of more than a tile each way, with a hole across a seam and an edge that is nodata."""
    land, usable = made_up_land(1300, 1100, seed=4), np.ones((1300, 1100), bool)
    usable[1000:1050, 300:420] = usable[:, 1060:] = False
    return land, usable


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_blocks_of_any_size_in_any_order_give_the_same_bytes(precision: Precision) -> None:
    detector = Detector(make_weights(), "cpu", precision)
    land, usable = made_up_scene()
    whole = detect_in_cores(detector, land, usable, 2 * TILE_PX)
    parts = detect_in_cores(detector, land, usable, TILE_PX)
    order = np.lexsort((parts.peak_col, parts.peak_row))
    assert len(whole) > 2000
    for field in dataclasses.fields(whole):
        assert np.array_equal(getattr(whole, field.name), getattr(parts, field.name)[order])


def test_search_finds_what_detect_finds_and_compares_tile_by_tile() -> None:
    detector = Detector(make_weights(), "cpu", "fp32")
    land, usable = made_up_land(160, 160), np.ones((160, 160), bool)
    core, origin = ArrayWindow(0, 0, 160, 160), PixelOrigin(0, 0)
    found = detector.search(land, usable, core, origin)
    assert np.array_equal(found.boxes.score, detector.detect(land, usable, core, origin).score)
    assert (found.looked, found.strange, found.passed) == (0, 0, None)  # the card knows no imagery
