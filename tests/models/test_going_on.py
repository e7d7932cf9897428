"""Training that goes on from weights, and with what people decided on a survey's places."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models.fitting.loop import TrainingRecipe, fit
from models.labelled.chip_dataset import is_chips_file
from models.labelled.dataset import REVIEWED_SHARE, load_dataset
from models.patches.training import train_patches
from models.training import GENTLE_RATE, TrainSettings, default_recipe, train
from models.weights import default_weights, load_weights, save_weights
from tests.made_up import write_raster
from tests.models.fitting.test_loop import source
from tests.models.labelled.formats.test_reviewed import box, label, seen, square, write
from tests.models.made_up_models import SMALL, make_weights, simulated_picture
from tests.models.made_up_tiles import write_tiles
from tiles.errors import ConfigError, DatasetError, WeightsError

HEAD = 'name = "made_up"\nlicence = "CC0-1.0"\nsteps = 2\n'
SIMULATION = "[simulation]\npatches = 3\nsize_px = 96\nshare = 0.6\n"


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    rows = [label(box(150, 150), "site"), label(box(250, 150), "not_site")]
    return write(tmp_path / "labels", rows, [seen(square(250, 150, 20))])


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    path = tmp_path / "plain.toml"
    path.write_text(HEAD + SIMULATION)
    return path


def test_going_on_starts_where_the_weights_are() -> None:
    recipe = TrainingRecipe(steps=1, batch=1, learning_rate=1e-9, weight_decay=0, shape=SMALL)
    first = fit((source(2),), recipe, 0).averaged()
    tensors = {name: value.numpy() for name, value in first.state_dict().items()}
    on = fit((source(2),), recipe, 1, start=tensors).averaged()
    other = fit((source(2),), recipe, 1).averaged()

    def apart(net: torch.nn.Module) -> float:
        pairs = zip(net.parameters(), first.parameters(), strict=True)
        return max(float((a - b).detach().abs().max()) for a, b in pairs)

    assert apart(on) < 1e-6
    assert apart(other) > 1e-2


def test_going_on_is_gentler_and_keeps_the_networks_shape() -> None:
    start = make_weights()
    recipe = default_recipe(100, start)
    assert recipe.learning_rate == GENTLE_RATE < default_recipe(100).learning_rate
    assert recipe.shape == start.card.shape
    assert recipe.mine_at == ()


def test_reviewed_places_are_a_source_with_its_share_and_credit(
    dataset: Path, labels: Path
) -> None:
    loaded = load_dataset(dataset, Path(), reviewed=labels)
    shares = {source.name: source.share for source in loaded.train}
    assert shares["reviewed"] / sum(shares.values()) == pytest.approx(REVIEWED_SHARE)
    assert [len(s.pictures) for s in loaded.train if s.name == "reviewed"] == [3]
    assert "reviewed imagery (not stated)" in loaded.credits


def test_the_whole_tool_trains_with_labels_from_a_start(
    dataset: Path, labels: Path, tmp_path: Path
) -> None:
    common = {"dataset": dataset, "data_root": tmp_path, "threads": 1, "device": "cpu"}
    first = train(TrainSettings(out=tmp_path / "a.safetensors", **common))
    on = train(TrainSettings(out=tmp_path / "b.safetensors", labels=labels, start=first, **common))
    config = json.loads(on.with_suffix(".config.json").read_text())
    assert config["config"]["start_sha256"] == load_weights(first).sha256
    assert [s["source"] for s in config["trained_on"]] == ["reviewed", "simulation"]
    # the reviewed imagery is credited beside what the start had learnt
    card, known = load_weights(on).card, load_weights(first).card
    assert set(known.trained_on) < set(card.trained_on)
    before, after = load_weights(first).tensors, load_weights(on).tensors
    assert any(not np.array_equal(before[name], after[name]) for name in before)


def test_reviewed_places_near_held_out_ground_are_left_out(tmp_path: Path, labels: Path) -> None:
    folder = tmp_path / "tiles"
    folder.mkdir()
    dataset = write_tiles(folder)
    apart = load_dataset(dataset, folder, "west", reviewed=labels)
    assert len(next(s for s in apart.train if s.name == "reviewed").pictures) == 3
    # tile 4 is held out; now it lies where the reviewed scene does
    write_raster(folder / "images" / "4.tif", simulated_picture(4, 3).pixels)
    with pytest.raises(DatasetError, match="lies near a place held out"):
        load_dataset(dataset, folder, "west", reviewed=labels)


def test_labels_on_pixels_for_non_commercial_use_need_such_weights(
    dataset: Path, labels: Path
) -> None:
    imagery = json.loads((labels / "imagery.json").read_text())
    (labels / "imagery.json").write_text(json.dumps(imagery | {"licence": "CC-BY-NC-4.0"}))
    with pytest.raises(DatasetError, match="weights trained on them cannot be CC0"):
        load_dataset(dataset, Path(), reviewed=labels)


def test_what_a_start_has_learnt_stays_on_the_card_and_its_licence_binds(
    dataset: Path, labels: Path, tmp_path: Path
) -> None:
    kept = default_weights()
    card = load_weights(kept).card
    common = {"data_root": tmp_path, "labels": labels, "start": kept, "steps": 1, "threads": 1}
    with pytest.raises(DatasetError, match=r"cannot be CC0-1.0: change the dataset"):
        train(TrainSettings(dataset=dataset, out=tmp_path / "a.safetensors", **common))
    dataset.write_text(dataset.read_text().replace("CC0-1.0", card.licence))
    on = train(TrainSettings(dataset=dataset, out=tmp_path / "a.safetensors", **common))
    assert set(card.trained_on) <= set(load_weights(on).card.trained_on)
    assert set(card.trained_places) <= set(load_weights(on).card.trained_places)


def test_what_a_start_was_adapted_to_stays_on_the_card(dataset: Path, tmp_path: Path) -> None:
    made_up = make_weights(
        adapted_to=("scene",), trained_on=("made up (CC0-1.0)",), licence="CC0-1.0"
    )
    save_weights(tmp_path / "start.safetensors", made_up.card, made_up.tensors)
    common = {"start": tmp_path / "start.safetensors", "steps": 1, "threads": 1, "device": "cpu"}
    on = train(TrainSettings(dataset=dataset, out=tmp_path / "a.safetensors", **common))
    assert load_weights(on).card.trained_on[-2:] == (
        "made up (CC0-1.0)",
        "unlabelled imagery: scene",
    )


def test_a_start_that_saw_what_the_fold_holds_out_is_refused(tmp_path: Path) -> None:
    dataset = write_tiles(tmp_path)
    common = {"dataset": dataset, "data_root": tmp_path, "threads": 1, "steps": 1}
    on_all = train(TrainSettings(out=tmp_path / "all.safetensors", **common))
    on_fold = train(TrainSettings(out=tmp_path / "fold.safetensors", fold="west", **common))
    again = TrainSettings(out=tmp_path / "on.safetensors", fold="west", start=on_all, **common)
    with pytest.raises(DatasetError, match="nothing measured there would be of places never seen"):
        train(again)
    assert train(again.model_copy(update={"start": on_fold})).is_file()


def test_a_start_or_class_that_is_missing_is_said_before_imagery_is_read(tmp_path: Path) -> None:
    dataset = write_tiles(tmp_path)
    gone = tmp_path / "gone"
    asked = TrainSettings(dataset=dataset, out=tmp_path / "on.safetensors", data_root=gone)
    with pytest.raises(DatasetError, match="gone"):
        train(asked)
    with pytest.raises(WeightsError, match="no weights called 'nosuch'"):
        train(asked.model_copy(update={"start": Path("nosuch")}))
    with pytest.raises(ConfigError, match="nosuch"):
        train(asked.model_copy(update={"site_class": "nosuch"}))


def test_a_start_may_be_named_like_other_weights(tmp_path: Path) -> None:
    settings = TrainSettings(
        dataset=write_tiles(tmp_path),
        out=tmp_path / "a.safetensors",
        data_root=tmp_path,
        start=Path("brick_kiln"),
        steps=1,
        threads=1,
    )
    before = load_weights(default_weights()).tensors
    after = load_weights(train(settings)).tensors
    moved = [float(np.abs(after[n] - before[n]).max()) for n in before if n.endswith("weight")]
    assert max(moved) < 0.1  # one gentle step from them


def test_a_classifier_of_chips_goes_on_from_nothing(tmp_path: Path) -> None:
    chips = Path("models/datasets/gold_mine.toml")
    assert is_chips_file(chips)
    settings = TrainSettings(dataset=chips, out=tmp_path / "a.safetensors", labels=tmp_path)
    with pytest.raises(ConfigError, match="leave out --labels and --start"):
        train_patches(settings)


def test_weights_of_another_kind_are_no_start() -> None:
    with pytest.raises(WeightsError, match="weights of another kind"):
        default_recipe(10, load_weights(default_weights("gold_mine")))
