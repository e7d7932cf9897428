"""Weights files: round trips, and every way in which they can be wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from models.site_class import load_site_class
from models.weights import (
    METADATA_KEY,
    TrainedPlace,
    check_bands,
    default_weights,
    find_weights,
    load_card,
    load_weights,
    nearest_place,
    save_weights,
)
from tests.models.made_up_models import make_card, make_weights
from tiles.errors import WeightsError


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    weights = make_weights()
    path = tmp_path / "made_up.safetensors"
    save_weights(path, weights.card, weights.tensors)
    return path


def test_a_round_trip_keeps_card_and_tensors(saved: Path) -> None:
    original, back = make_weights(), load_weights(saved)
    assert back.card == original.card == load_card(saved)
    assert set(back.tensors) == set(original.tensors)
    for name, tensor in original.tensors.items():
        # float16 keeps eleven bits.
        assert np.allclose(back.tensors[name], tensor, rtol=2**-10, atol=1e-6), name
        assert back.tensors[name].dtype in (np.float32, np.int64)


def test_tensors_laid_out_channels_last_are_kept_as_they_are(tmp_path: Path) -> None:
    weights = make_weights()
    strided = {
        name: np.asfortranarray(value) if value.ndim > 1 else value
        for name, value in weights.tensors.items()
    }
    save_weights(tmp_path / "plain.safetensors", weights.card, weights.tensors)
    save_weights(tmp_path / "strided.safetensors", weights.card, strided)
    assert load_weights(tmp_path / "strided.safetensors").card == weights.card
    plain = (tmp_path / "plain.safetensors").read_bytes()
    assert (tmp_path / "strided.safetensors").read_bytes() == plain


def test_weights_may_be_read_by_whoever_may_read_other_new_files(saved: Path) -> None:
    beside = saved.with_name("beside")
    beside.touch()
    assert saved.stat().st_mode == beside.stat().st_mode


def test_the_same_weights_give_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    weights = make_weights()
    again = tmp_path / "again.safetensors"
    save_weights(again, weights.card, dict(reversed(weights.tensors.items())))
    assert again.read_bytes() == saved.read_bytes()


def test_one_flipped_bit_is_noticed(saved: Path) -> None:
    data = bytearray(saved.read_bytes())
    data[-10] ^= 1
    saved.write_bytes(bytes(data))
    with pytest.raises(WeightsError, match="damaged: their SHA-256"):
        load_weights(saved)


def test_a_changed_card_is_noticed(saved: Path, tmp_path: Path) -> None:
    weights = load_weights(saved)
    card = weights.card.model_copy(update={"threshold": 0.01})
    forged = tmp_path / "forged.safetensors"
    header = json.dumps({"card": card.model_dump_json(), "sha256": weights.sha256})
    save_file(weights.tensors, forged, metadata={METADATA_KEY: header})
    with pytest.raises(WeightsError, match="damaged"):
        load_weights(forged)


def test_a_truncated_file_is_said_to_be_one(saved: Path) -> None:
    saved.write_bytes(saved.read_bytes()[:200])
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        load_weights(saved)


def test_missing_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights at"):
        load_weights(tmp_path / "none.safetensors")


def test_tensors_without_a_card(tmp_path: Path) -> None:
    path = tmp_path / "bare.safetensors"
    save_file({"x": np.zeros(3, np.float32)}, path)
    with pytest.raises(WeightsError, match="carry no card"):
        load_card(path)


def test_a_card_of_another_version(tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    card = json.loads(make_card().model_dump_json())
    card["colour"] = "red"
    header = json.dumps({"card": json.dumps(card)})
    save_file({"x": np.zeros(3, np.float32)}, path, metadata={METADATA_KEY: header})
    with pytest.raises(WeightsError, match="does not fit this version"):
        load_card(path)


def test_bands_in_another_order_are_refused() -> None:
    card = make_card()
    check_bands(card, ("red", "green", "blue", "nir"))
    with pytest.raises(WeightsError, match="blue, green, red"):
        check_bands(card, ("blue", "green", "red"))


def test_there_are_no_weights_for_an_unknown_class() -> None:
    with pytest.raises(WeightsError, match="quarry"):
        default_weights("quarry")


def test_the_shipped_weights_are_what_their_card_says() -> None:
    path = default_weights()
    weights = load_weights(path)
    assert path.stat().st_size < 3_000_000
    site_class = load_site_class(weights.card.site_class)
    assert weights.card.calibration.prevalence_per_1000km2 == site_class.prevalence_per_1000km2
    assert weights.card.licence == "CC-BY-NC-4.0"
    assert weights.card.familiarity is not None
    assert 0.5 < weights.card.recall.low <= weights.card.recall.mean <= weights.card.recall.high


def test_weights_are_found_by_file_or_by_name(tmp_path: Path) -> None:
    assert find_weights(Path("gold_mine")) == default_weights("gold_mine")
    for file in (tmp_path / "own.safetensors", tmp_path / "brick_kiln"):
        assert find_weights(file) == file  # a mistyped path is no name
    with pytest.raises(WeightsError, match=r"no weights called 'own' .* brick_kiln"):
        find_weights(Path("own"))


def test_the_nearest_place_trained_on() -> None:
    places = (
        TrainedPlace(name="Delhi", lon=77.25, lat=28.75),
        TrainedPlace(name="Bangladesh", lon=90.3, lat=23.8),
    )
    card = make_card().model_copy(update={"trained_places": places})
    near = nearest_place(card, 77.25, 29.75)
    assert near is not None
    assert (near.name, near.is_far) == ("Delhi", False)
    assert near.distance_km == pytest.approx(110.9, abs=0.1)  # a degree of latitude at 29 N
    far = nearest_place(card, 100.0, 15.0)
    assert far is not None
    assert (far.name, far.is_far) == ("Bangladesh", True)
    assert nearest_place(make_card().model_copy(update={"trained_places": ()}), 0, 0) is None
