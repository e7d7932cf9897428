"""Adapting to a region: its own guesses are the labels, and no label of anybody's is looked at."""

import inspect
import json
import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import models.adapting as adapting
import models.fitting.loop as fitting
from models.adapting import ROUNDS, STEPS, AdaptSettings, adapt
from models.fitting.loop import Progress
from models.fitting.self_training import BEST
from models.judging.never_seen import check_never_seen
from models.judging.scoring import SCORE_COLUMNS, read_scores, write_scores
from models.labelled.dataset import load_dataset
from models.labelled.dataset_file import SimulationSource
from models.training import TrainSettings, train
from models.weights import (
    Figure,
    OnceAdapted,
    default_weights,
    load_card,
    load_weights,
    save_weights,
)
from pipeline.commands.detector import adapt as adapt_command
from tests.made_up import kilnlight, run_until_killed, write_raster
from tests.models.made_up_models import make_weights, simulated_picture
from tests.models.made_up_tiles import write_tiles
from tiles.errors import ConfigError, DatasetError, SceneError, WeightsError


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tool's own path, with few made-up kilns and small batches."""
    recipe = adapting.default_recipe
    monkeypatch.setattr(adapting, "MADE_UP", SimulationSource(patches=3, size_px=96, share=0.25))
    monkeypatch.setattr(
        adapting, "default_recipe", lambda *given: recipe(*given).model_copy(update={"batch": 2})
    )


@pytest.fixture
def start(tmp_path: Path) -> Path:
    made_up = make_weights(
        licence="CC-BY-NC-4.0", name="made_up", figures=(Figure(name="a", value=1),)
    )
    once = OnceAdapted(
        threshold=0.61,
        calibration=made_up.card.calibration.model_copy(update={"slope": 3.0}),
        recall=made_up.card.recall,
        figures=(Figure(name="South, never labelled, adapted to: F1", value=0.66),),
    )
    path = tmp_path / "start.safetensors"
    card = made_up.card.model_copy(update={"once_adapted": once})
    save_weights(path, card, made_up.tensors)
    return path


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    pixels = simulated_picture(5, 6, 256).pixels
    write_raster(tmp_path / "scene.tif", pixels)
    return tmp_path / "scene.tif"


def settings_of(imagery: Path, out: Path, **changes: object) -> AdaptSettings:
    settings = AdaptSettings(imagery=(str(imagery),), out=out, rounds=2, steps=3, threads=1)
    return settings.model_copy(update={"device": "cpu", **changes})


def test_adapted_weights_say_what_they_are_and_are_judged_as_adapted_ones(
    scene: Path, start: Path, tmp_path: Path, quick: None
) -> None:
    out = tmp_path / "own.safetensors"
    said: list[str] = []
    assert adapt(settings_of(scene, out, weights=start), say=said.append) == out
    card, before = load_card(out), load_card(start)
    assert (card.name, card.licence) == ("made_up-adapted", "CC-BY-NC-4.0")
    assert card.adapted_to == ("scene",)
    assert card.trained_places == before.trained_places, "nobody knows how they do there"
    assert (card.threshold, card.calibration.slope) == (0.61, 3.0)
    assert [figure.value for figure in card.figures] == [0.66], "the start's own hold no longer"
    assert card.once_adapted is None
    assert "never measured" not in " ".join(card.limits)
    assert card.limits[0].startswith("Adapted in 2 rounds of 3 steps: figures, threshold and")
    text = out.with_suffix(".md").read_text()
    assert "Adapted to unlabelled imagery: scene." in text
    assert "somebody looks at a sample" in text
    assert "where that is stricter, it holds" in text
    page = out.with_suffix(".guesses.html").read_text()
    assert page.count("<img") >= BEST
    assert "nobody has looked at them" in page
    assert [line.split(":")[0] for line in said] == ["round 1 of 2", "round 2 of 2"]
    changed = load_weights(out).tensors["out.weight"] - load_weights(start).tensors["out.weight"]
    assert np.abs(changed).max() > 1e-4
    assert not list(tmp_path.glob("own.round*"))
    assert not out.with_suffix(".checkpoint").exists()


def test_weights_that_nobody_measured_adapted_say_so(
    scene: Path, tmp_path: Path, quick: None
) -> None:
    made_up = make_weights(figures=(Figure(name="a", value=1),))
    save_weights(tmp_path / "start.safetensors", made_up.card, made_up.tensors)
    out = tmp_path / "own.safetensors"
    adapt(settings_of(scene, out, weights=tmp_path / "start.safetensors", rounds=1, steps=1))
    card = load_card(out)
    assert card.figures == ()
    assert "never measured" in card.limits[0]
    assert card.threshold == made_up.card.threshold
    text = out.with_suffix(".md").read_text()
    assert "None: how good these weights are once adapted was never measured." in text


def test_weights_adapted_twice_say_to_what_and_nothing_twice(
    scene: Path, start: Path, tmp_path: Path, quick: None
) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    once = {"rounds": 1, "steps": 1}
    adapt(settings_of(scene, first, weights=start, **once))
    other = scene.rename(tmp_path / "other.tif")
    adapt(settings_of(other, second, weights=first, **once))
    card = load_card(second)
    assert card.name == "made_up-adapted"
    assert card.adapted_to == ("scene", "other")
    assert card.figures == ()
    assert "never measured" in card.limits[0]
    assert len(set(card.limits)) == len(card.limits)


def test_adapted_weights_of_a_fold_are_judged_where_it_holds_out(tmp_path: Path) -> None:
    dataset = load_dataset(write_tiles(tmp_path, n=1), tmp_path, "west", simulate=False)
    card = make_weights(trained_on=dataset.held_out).card
    for name in (dataset.weights_name, f"{dataset.weights_name}-adapted"):
        check_never_seen(card.model_copy(update={"name": name}), dataset)
    with pytest.raises(DatasetError, match="learnt from"):
        check_never_seen(card.model_copy(update={"name": "another-adapted"}), dataset)


def test_pixels_that_are_no_numbers_spoil_nothing(start: Path, tmp_path: Path, quick: None) -> None:
    pixels = simulated_picture(5, 6, 256).pixels.astype(np.float32) / 255
    pixels[:, :40] = np.nan
    write_raster(tmp_path / "holes.tif", pixels)
    out = tmp_path / "own.safetensors"
    losses: list[float] = []
    settings = settings_of(tmp_path / "holes.tif", out, weights=start)
    adapt(settings, lambda progress: losses.append(progress.loss))
    assert np.isfinite(losses).all()
    assert all(np.isfinite(tensor).all() for tensor in load_weights(out).tensors.values())


def test_files_that_cannot_be_used_are_named(
    scene: Path, start: Path, tmp_path: Path, quick: None
) -> None:
    (tmp_path / "cut.tif").write_bytes(b"no raster")
    said: list[str] = []
    settings = settings_of(tmp_path, tmp_path / "own.safetensors", weights=start, rounds=1, steps=1)
    adapt(settings, say=said.append)
    assert said[0].startswith("left out: ")
    assert "cut.tif" in said[0]


def test_a_class_of_ones_own_is_handed_over(
    scene: Path, start: Path, tmp_path: Path, quick: None
) -> None:
    text = Path("models/brick_kiln.toml").read_text()
    own = tmp_path / "oven.toml"
    own.write_text(text.replace('name = "brick_kiln"', 'name = "oven"'))
    weights = load_weights(start)
    card = weights.card.model_copy(update={"site_class": "oven"})
    save_weights(tmp_path / "ovens.safetensors", card, weights.tensors)
    out = tmp_path / "own.safetensors"
    settings = settings_of(
        scene, out, weights=tmp_path / "ovens.safetensors", site_class=str(own), rounds=1, steps=1
    )
    adapt(settings)
    assert load_card(out).site_class == "oven"
    with pytest.raises(ConfigError, match="finds oven, not brick_kiln: change --class"):
        adapt(settings.model_copy(update={"site_class": "brick_kiln"}))


@pytest.mark.parametrize("dies_at", [2, 5])
def test_an_adaptation_killed_and_resumed_gives_the_same_bytes(
    dies_at: int,
    scene: Path,
    start: Path,
    tmp_path: Path,
    quick: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fitting, "CHECKPOINT_STEPS", 1)
    whole, killed = tmp_path / "whole.safetensors", tmp_path / "killed.safetensors"
    adapt(settings_of(scene, whole, weights=start))
    settings = settings_of(scene, killed, weights=start)
    seen: list[int] = []

    def die(progress: Progress) -> None:
        seen.append(progress.step)
        if len(seen) == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    run_until_killed(lambda: adapt(settings, die))
    assert killed.with_suffix(".checkpoint").is_file()
    steps: list[int] = []
    adapt(settings, lambda progress: steps.append(progress.step))
    assert len(steps) == 6 - dies_at
    assert killed.read_bytes() == whole.read_bytes()
    # asked for again, nothing of the finished adaptation is gone on with
    adapt(settings, lambda progress: steps.append(progress.step))
    assert killed.read_bytes() == whole.read_bytes()


def test_a_round_that_was_just_finished_is_gone_on_from(
    scene: Path, start: Path, tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "CHECKPOINT_STEPS", 1)
    out = tmp_path / "own.safetensors"
    with monkeypatch.context() as patched:

        def save_and_stop(path: Path, *content: object) -> None:
            save_weights(path, *content)  # type: ignore[arg-type]
            raise KeyboardInterrupt

        patched.setattr(adapting, "save_weights", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            adapt(settings_of(scene, out, weights=start))
    assert out.with_suffix(".round1.safetensors").is_file()
    steps: list[int] = []
    adapt(settings_of(scene, out, weights=start), lambda progress: steps.append(progress.step))
    assert steps == [1, 2, 3]


def test_another_adaptation_is_not_gone_on_with(
    scene: Path, start: Path, tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "CHECKPOINT_STEPS", 1)
    out = tmp_path / "own.safetensors"

    def stop(progress: Progress) -> None:
        if progress.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        adapt(settings_of(scene, out, weights=start), stop)
    beside = [out.with_suffix(suffix) for suffix in (".config.json", ".guesses.html")]
    before = [path.stat().st_mtime_ns for path in beside]
    with pytest.raises(DatasetError, match="another configuration"):
        adapt(settings_of(scene, out, weights=start, seed=1))
    assert [path.stat().st_mtime_ns for path in beside] == before


def test_labels_of_what_is_held_out_score_it_and_teach_nothing(
    start: Path, tmp_path: Path, quick: None
) -> None:
    outs, loaded = [], load_weights(start)
    free = loaded.card.model_copy(update={"licence": "CC0-1.0"})
    save_weights(start, free, loaded.tensors)
    for name, skip in (("all", ()), ("fewer", (2, 3))):  # tiles 2 and 3 are held out
        folder = tmp_path / name
        folder.mkdir()
        dataset = write_tiles(folder, n=2, skip=skip)
        dataset.write_text(dataset.read_text().replace("CC0-1.0", "CC-BY-NC-4.0"))
        outs.append(folder / "own.safetensors")
        adapt(
            settings_of(dataset, outs[-1], weights=start, fold="west", data_root=folder, rounds=1)
        )
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert load_card(outs[0]).licence == "CC0-1.0 AND CC-BY-NC-4.0", "of what its pixels allow"
    scores, fewer = (read_scores([out.with_suffix(".scores.csv")]) for out in outs)
    assert scores["is_site"].sum() == fewer["is_site"].sum() + 2
    assert set(scores["fold"]) == {"west"}
    assert set(scores["region"]) == {"Plain"}
    assert outs[0].with_suffix(".predictions.csv").is_file()


def test_what_cannot_be_adapted_to_is_refused_before_anything_is_written(
    scene: Path, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = write_tiles(tmp_path, n=1)
    out = tmp_path / "own.safetensors"

    def refused(imagery: Path, **changes: object) -> None:
        settings = settings_of(imagery, out, **{"weights": start, **changes})
        adapt(settings.model_copy(update={"data_root": tmp_path}))

    with pytest.raises(SceneError, match=r"gone\.tif"):
        refused(tmp_path / "gone.tif")
    with pytest.raises(ConfigError, match="--fold goes with a dataset file"):
        refused(scene, fold="west")
    with pytest.raises(DatasetError, match="give --fold"):
        adapt(settings_of(dataset, out, weights=start))  # before its imagery is looked for
    with pytest.raises(DatasetError, match="has no fold 'north'"):
        refused(dataset, fold="north")
    with pytest.raises(WeightsError, match="weights of another kind"):
        refused(scene, weights=default_weights("gold_mine"))
    with pytest.raises(ConfigError, match=r"written as \.safetensors"):
        adapt(settings_of(scene, tmp_path / "own.txt", weights=start))
    monkeypatch.setattr("models.labelled.unlabelled.MOST_PX", 60_000)
    with pytest.raises(DatasetError, match="name one or two of them"):
        refused(scene)
    empty = write_raster(tmp_path / "empty.tif", np.zeros((3, 64, 64), np.uint8), nodata=0)
    with pytest.raises(DatasetError, match="Only 0 places"):
        refused(empty)
    assert not list(tmp_path.glob("own.*"))


def test_scores_of_adapted_trainings_stand_ready_in_the_card(tmp_path: Path) -> None:
    same = {"per_1000km2": 20.0, "fold": "to", "seed": 0, "area_km2": 100.0}
    for region, shift in (("East", 0.0), ("West", 0.1)):
        scores = pd.DataFrame(
            {"score": [0.9, 0.8, 0.7, 0.3], "is_site": [True, True, False, False]}
        )
        table = scores.assign(place=f"{region}/1/7", region=region, **same)
        table["score"] -= shift
        write_scores(table[list(SCORE_COLUMNS)], tmp_path / f"{region}.csv")
    (tmp_path / "d.toml").write_text(
        'name = "made_up"\nlicence = "CC0-1.0"\nsteps = 1\nadapted = ["East.csv", "West.csv"]\n'
        "[simulation]\npatches = 2\nsize_px = 96\n"
    )
    out = tmp_path / "a.safetensors"
    train(TrainSettings(dataset=tmp_path / "d.toml", out=out, device="cpu", threads=1))
    card = load_card(out)
    assert card.figures == (), "the weights themselves were never measured"
    assert card.once_adapted is not None
    assert 0.6 < card.once_adapted.threshold < 0.8
    assert card.once_adapted.calibration.n_true == 4
    values = {figure.name: figure.value for figure in card.once_adapted.figures}
    # the threshold that is best in the West lies under the East's first false alarm
    assert values["East, never labelled, adapted to: precision"] == pytest.approx(2 / 3, abs=1e-3)
    assert values["West, never labelled, adapted to: precision"] == 1.0
    assert "## Once adapted to a region" in out.with_suffix(".md").read_text()


def test_weights_that_learnt_from_what_is_held_out_are_refused(tmp_path: Path, quick: None) -> None:
    dataset = write_tiles(tmp_path, n=1)
    made_up = make_weights(trained_on=("made up (CC0-1.0)",))
    save_weights(tmp_path / "saw.safetensors", made_up.card, made_up.tensors)
    settings = settings_of(dataset, tmp_path / "own.safetensors", fold="west")
    update = {"weights": tmp_path / "saw.safetensors", "data_root": tmp_path}
    with pytest.raises(DatasetError, match="learnt from"):
        adapt(settings.model_copy(update=update))


def test_the_command_offers_the_length_that_was_measured() -> None:
    offered = inspect.signature(adapt_command).parameters
    assert (offered["rounds"].default, offered["steps"].default) == (ROUNDS, STEPS)


def test_the_command_adapts_and_says_where_to_look(scene: Path, start: Path) -> None:
    out = scene.with_name("own.safetensors")
    few = ("--rounds", 1, "--steps", 1, "--device", "cpu", "--threads", 1)
    code, said = kilnlight("adapt", scene, "--weights", start, "--out", out, *few)
    assert code == 0, said
    assert "places taken for sites" in said
    assert json.loads(out.with_suffix(".config.json").read_text())["imagery"] == ["scene"]
    code, said = kilnlight("adapt", scene, "--weights", "gold_mine", "--out", out, *few)
    assert code == 2
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("before", "own", "licence"),
    [
        ("CC0-1.0", "CC-BY-NC-4.0", "CC0-1.0 AND CC-BY-NC-4.0"),
        ("CC0-1.0", "cc by-nc 4.0", "CC0-1.0 AND cc by-nc 4.0"),
        ("CC0-1.0", "CC-BY-4.0", "CC0-1.0"),
        ("CC0-1.0", None, "CC0-1.0"),
        ("CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-NC-4.0 AND CC-BY-NC-SA-4.0"),
        ("CC-BY-NC-4.0", "cc-by-nc-4.0", "CC-BY-NC-4.0"),
    ],
)
def test_the_card_names_the_licence_of_scenes_that_forbid_commercial_use(
    before: str,
    own: str | None,
    licence: str,
    scene: Path,
    start: Path,
    tmp_path: Path,
    quick: None,
) -> None:
    loaded, out = load_weights(start), tmp_path / "own.safetensors"
    card = loaded.card.model_copy(update={"licence": before})
    save_weights(start, card, loaded.tensors)
    adapt(settings_of(scene, out, weights=start, rounds=1, steps=1, imagery_licence=own))
    assert load_card(out).licence == licence
