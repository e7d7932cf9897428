"""Training on labelled chips: folds, then everything, then a card that says what the folds said."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import models.patches.fitting as patch_fitting
import models.patches.training as patch_training
from models.detection import ArrayWindow, PixelOrigin
from models.detector import Detector
from models.fitting.loop import Progress
from models.labelled.chip_dataset import Chips, load_chips
from models.patches.figures import HARD, RANDOM
from models.patches.fitting import PatchRecipe, augment_chips, fit_patches, score_chips
from models.patches.operating import operate_patches
from models.patches.report import judge_chips
from models.patches.training import read_out_of_fold, train_patches
from models.site_class import load_site_class
from models.training import TrainSettings
from models.weights import load_card, load_weights
from tests.models.made_up_chips import (
    DATASET,
    SMALL_PATCHES,
    dig,
    forest,
    make_chips,
    make_patch_weights,
    write_dataset,
)
from tiles.errors import ConfigError, DatasetError

RECIPE = PatchRecipe(
    steps=40, batch=16, learning_rate=1e-2, average=0.9, shift_px=2, shape=SMALL_PATCHES
)


def test_augmenting_keeps_labels_and_marks_what_a_shift_left_empty() -> None:
    arrays = make_chips()
    pixels, is_site = np.moveaxis(arrays["x"], -1, 1), arrays["y"] == 1
    batch = augment_chips(pixels, is_site, RECIPE, np.random.default_rng(0))
    assert batch.pixels.shape == (60, 3, 32, 32)
    assert batch.target.tolist() == pytest.approx(np.where(is_site, 0.97, 0.03).tolist())
    empty = batch.usable[:, 0] == 0
    assert 0.02 < empty.float().mean() < 0.12  # shifts of up to 2 of 32 px, both ways
    assert batch.pixels.permute(0, 2, 3, 1)[empty].abs().max() == 0
    again = augment_chips(pixels, is_site, RECIPE, np.random.default_rng(0))
    assert np.array_equal(batch.pixels, again.pixels)


def test_the_same_seed_gives_the_same_scores_and_pits_score_higher() -> None:
    arrays, fresh = make_chips(), make_chips(seed=9)
    pixels, is_site = np.moveaxis(arrays["x"], -1, 1), arrays["y"] == 1
    unseen = np.moveaxis(fresh["x"], -1, 1)
    first, second = (
        score_chips(fit_patches(pixels, is_site, RECIPE, 0).averaged(), unseen) for _ in "ab"
    )
    assert np.array_equal(first, second)
    pits = fresh["y"] == 1
    assert first[pits].min() > np.quantile(first[~pits], 0.9)


def test_chips_of_another_side_are_a_mistake_of_the_caller() -> None:
    net = fit_patches(
        np.moveaxis(make_chips()["x"], -1, 1),
        make_chips()["y"] == 1,
        RECIPE.model_copy(update={"steps": 1}),
        0,
    ).averaged()
    with pytest.raises(ValueError, match="chips of 48 px do not fit 32 px"):
        score_chips(net, np.zeros((1, 3, 48, 48), np.uint8))


@pytest.fixture
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tool's own path with a network that trains in a second."""
    monkeypatch.setattr(
        patch_training,
        "default_patch_recipe",
        lambda steps, chip_px: RECIPE.model_copy(update={"steps": min(steps, 40)}),
    )


def test_folds_fill_the_card_of_the_weights_trained_on_all(
    tmp_path: Path, small_network: None
) -> None:
    dataset = write_dataset(tmp_path)
    folder = tmp_path / "pits"
    seen: list[Progress] = []

    def settings(out: Path, fold: str | None = None) -> TrainSettings:
        return TrainSettings(dataset=dataset, out=out, data_root=tmp_path, fold=fold, threads=1)

    for fold in ("early", "late"):
        train_patches(settings(folder / f"{fold}.safetensors", fold), seen.append)
    assert (seen[39].step, seen[39].steps) == (40, 40)
    out = tmp_path / "own.safetensors"
    assert train_patches(settings(out)) == out
    card = load_card(out)
    assert (card.name, card.site_class, card.licence) == ("made_up_pits", "gold_mine", "Apache-2.0")
    assert card.shape == SMALL_PATCHES
    figures = {figure.name: figure.value for figure in card.figures}
    assert figures[f"AUC, {RANDOM}"] > 0.95
    assert figures[f"AUC, {HARD}"] > 0.9
    assert card.recall.mean > 0.5
    assert card.calibration.n_true > 10
    assert card.calibration.prevalence_per_1000km2 == 30
    assert card.familiarity is not None
    assert {source.name for source in card.familiarity.sources} == {"early", "late"}
    assert card.config_sha256 in out.with_suffix(".config.json").read_text()
    assert "classifier of squares of 32 px" in out.with_suffix(".md").read_text()
    assert load_weights(out).card == card  # the digest fits what was written
    before = out.read_bytes()
    train_patches(settings(out))
    assert out.read_bytes() == before
    report = judge_chips(dataset, tmp_path).record
    judged = {figure.name: figure.value for figure in report.figures}
    assert judged.items() <= figures.items()  # the card has them, and those at the threshold
    assert report.threshold == card.threshold
    assert "labour conditions not assessed" in report.summary()
    (folder / "late.chips.csv").unlink()
    with pytest.raises(DatasetError, match="lacks the scores of fold 'late', seed 0"):
        train_patches(settings(out))


def test_what_cannot_be_asked_is_said_in_one_sentence(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path)
    plain = TrainSettings(dataset=dataset, out=tmp_path / "w.safetensors", data_root=tmp_path)
    with pytest.raises(DatasetError, match=r"holds no \.chips\.csv: chips are judged by"):
        judge_chips(dataset, tmp_path)
    with pytest.raises(DatasetError, match="no fold 'middle': it has early, late"):
        train_patches(plain.model_copy(update={"fold": "middle"}))
    with pytest.raises(
        ConfigError, match="holds labels of the class 'gold_mine', not 'brick_kiln'"
    ):
        train_patches(plain.model_copy(update={"site_class": "brick_kiln"}))


def test_what_would_be_lost_or_never_end_is_refused_first(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path)
    plain = TrainSettings(dataset=dataset, out=tmp_path / "w.safetensors", data_root=tmp_path)
    with pytest.raises(ConfigError, match=r"written as \.safetensors"):
        train_patches(plain.model_copy(update={"out": tmp_path / "w.txt"}))
    with pytest.raises(ConfigError, match="'banana' is not on this machine"):
        train_patches(plain.model_copy(update={"device": "banana"}))
    (tmp_path / "places.csv").write_text("place\n" + 60 * "1\n")
    with pytest.raises(DatasetError, match="0 chips with a site and 0 without to train on"):
        train_patches(plain)  # all chips show the place of random land, which is kept apart
    assert not (tmp_path / "w.config.json").exists()


def test_a_killed_training_of_chips_goes_on_and_ends_in_the_same_bytes(
    tmp_path: Path, small_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patch_fitting, "CHECKPOINT_STEPS", 15)
    dataset = write_dataset(tmp_path)

    def settings(name: str, seed: int = 0) -> TrainSettings:
        out = tmp_path / f"{name}.safetensors"
        return TrainSettings(dataset=dataset, out=out, data_root=tmp_path, threads=1, seed=seed)

    def kill(progress: Progress) -> None:
        if progress.step == 33:
            raise KeyboardInterrupt

    whole = train_patches(settings("whole"))
    with pytest.raises(KeyboardInterrupt):
        train_patches(settings("killed"), kill)
    assert not (tmp_path / "killed.safetensors").exists()
    with pytest.raises(DatasetError, match="another configuration"):
        train_patches(settings("killed", seed=1))
    seen: list[int] = []
    killed = train_patches(settings("killed"), lambda progress: seen.append(progress.step))
    assert seen == list(range(31, 41))
    assert killed.read_bytes() == whole.read_bytes()
    curve = [path.with_suffix(".curve.csv").read_text() for path in (whole, killed)]
    assert curve[0] == curve[1]
    assert len(curve[0].splitlines()) == 41
    assert not killed.with_suffix(".checkpoint").exists()


def test_tables_of_folds_must_be_tables_of_folds(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path)
    chips = load_chips(dataset, tmp_path)
    assert read_out_of_fold(dataset, chips) is None
    (tmp_path / "pits").mkdir()
    (tmp_path / "pits/early.chips.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DatasetError, match="has no column 'chip'"):
        read_out_of_fold(dataset, chips)
    (tmp_path / "pits/early.chips.csv").write_text("chip,fold,seed,logit\n0,early,0,1.0\n")
    with pytest.raises(DatasetError, match="lacks the scores of fold 'late'"):
        read_out_of_fold(dataset, chips)
    (tmp_path / "pits/early.chips.csv").write_text("chip,fold,seed,logit\n0,early,0,high\n")
    with pytest.raises(DatasetError, match=r"line 2, has 'high' in the column 'logit'"):
        read_out_of_fold(dataset, chips)
    (tmp_path / "pits/early.chips.csv").write_text("chip,fold,seed,logit\n")
    with pytest.raises(DatasetError, match="lacks the scores of fold 'early'"):
        read_out_of_fold(dataset, chips)


def rows_of(chips: Chips, fold: str) -> str:
    number = chips.fold_names.index(fold)
    index = np.flatnonzero((chips.fold == number) | chips.random_land)
    return "".join(f"{chip},{fold},0,1.0\n" for chip in index)


@pytest.mark.parametrize(
    ("spoil", "fold"),
    [
        (lambda rows: rows + rows, "late"),  # as a second copy of the table does
        (lambda rows: rows.replace("24,late", "3,late"), "late"),  # the fold's networks saw it
        (lambda rows: rows.replace("24,late", "24.5,late"), "late"),
        (lambda rows: rows.replace("24,late", "-1,late"), "late"),
        (lambda rows: rows[: rows.index("\n") + 1], "late"),
        (lambda rows: rows + rows.replace("late", "gone"), "gone"),
        (lambda rows: rows + "3,,0,1.0\n", "nan"),
    ],
    ids=["twice", "seen", "half", "negative", "missing", "unknown", "blank"],
)
def test_a_table_of_other_chips_than_its_fold_keeps_out_is_refused(
    spoil: Callable[[str], str], fold: str, tmp_path: Path
) -> None:
    dataset = write_dataset(tmp_path)
    chips = load_chips(dataset, tmp_path)
    (tmp_path / "pits").mkdir()
    head = "chip,fold,seed,logit\n"
    (tmp_path / "pits/early.chips.csv").write_text(head + rows_of(chips, "early"))
    late = tmp_path / "pits/late.chips.csv"
    late.write_text(head + rows_of(chips, "late"))
    assert read_out_of_fold(dataset, chips) is not None
    late.write_text(head + spoil(rows_of(chips, "late")))
    with pytest.raises(DatasetError, match=f"the fold '?{fold}'? of .*pits.toml keeps out once"):
        read_out_of_fold(dataset, chips)


def test_folds_may_be_called_by_numbers(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path, DATASET.replace("early =", "2019 =").replace("late", "2024"))
    chips = load_chips(dataset, tmp_path)
    (tmp_path / "pits").mkdir()
    for fold in ("2019", "2024"):
        text = "chip,fold,seed,logit\n" + rows_of(chips, fold)
        (tmp_path / f"pits/{fold}.chips.csv").write_text(text)
    scores = read_out_of_fold(dataset, chips)
    assert scores is not None
    assert set(scores["fold"]) == {"2019", "2024"}


def test_threshold_and_probabilities_are_those_of_the_stated_prevalence(tmp_path: Path) -> None:
    """Nine in ten sites score 0.8; one chip of random land in fifty does, half of them 0.2."""
    chips = load_chips(write_dataset(tmp_path, per_gallery=100), tmp_path)
    tables = []
    for fold, name in enumerate(chips.fold_names):
        index = np.flatnonzero((chips.fold == fold) | chips.random_land)
        number = np.arange(len(index))
        score = np.where(chips.is_site[index], np.where(number % 10, 0.8, 0.02), 0.02)
        land = chips.random_land[index]
        score[land] = np.where(number[land] % 50 == 0, 0.8, np.where(number[land] % 2, 0.2, 0.02))
        logit = np.log(score / (1 - score))
        tables.append(pd.DataFrame({"chip": index, "fold": name, "seed": 0, "logit": logit}))
    mine = load_site_class("gold_mine")
    operating = operate_patches(pd.concat(tables), chips, mine)
    assert operating.threshold == 0.2  # above the many false alarms, the lowest of equals
    assert operating.recall.mean == 0.9
    # One chip of 0.1024 km2 in fifty: 195 per 1,000 km2, beside 27 of 30 sites.
    assert operating.alarms_per_1000km2 == pytest.approx(20 / 1.024 * 10, abs=0.1)


def test_probabilities_follow_from_bayes_at_the_stated_prevalence(tmp_path: Path) -> None:
    chips = load_chips(write_dataset(tmp_path, per_gallery=400), tmp_path)
    rng = np.random.default_rng(0)
    tables = []
    for fold, name in enumerate(chips.fold_names):
        index = np.flatnonzero((chips.fold == fold) | chips.random_land)
        logit = rng.normal(np.where(chips.is_site[index], 2.0, -1.0), 1.0)
        tables.append(pd.DataFrame({"chip": index, "fold": name, "seed": 0, "logit": logit}))
    operating = operate_patches(pd.concat(tables), chips, load_site_class("gold_mine"))
    # Two normals three deviations apart: log-odds 3 x - 1.5, from odds of 30 sites on 1,000 km2.
    odds = 30 * 0.1024 / 1000 * np.exp(3 * 3.0 - 1.5)
    p = operating.calibration.probabilities(np.array([1 / (1 + np.exp(-3.0))])).p[0]
    assert p == pytest.approx(odds / (1 + odds), abs=0.08)
    assert operating.calibration.slope == pytest.approx(3.0, abs=0.3)


def test_trained_squares_lie_on_the_pits_of_a_scene() -> None:
    arrays = make_chips(24)
    pixels, is_site = np.moveaxis(arrays["x"], -1, 1), arrays["y"] == 1
    net = fit_patches(pixels, is_site, RECIPE, 0).averaged()
    weights = make_patch_weights()
    tensors = {name: value.numpy() for name, value in net.state_dict().items()}
    detector = Detector.of(
        type(weights)(weights.card.model_copy(update={"threshold": 0.6}), tensors, ""),
        "cpu",
        "fp32",
    )
    land = forest(np.random.default_rng(4), 256, 256)
    pits = [(60.0, 70.0), (60.0, 180.0), (190.0, 120.0)]
    for row, col in pits:
        dig(land, row, col)
    core, usable = ArrayWindow(0, 0, 256, 256), np.ones((256, 256), bool)
    found = detector.detect(land.astype(np.uint8), usable, core, PixelOrigin(0, 0))
    assert len(found) == 3
    for row, col in pits:
        assert np.hypot(found.row - row, found.col - col).min() < 10
    # Another gain, and number type, is the same land.
    bright = detector.detect((land * 11).astype(np.uint16), usable, core, PixelOrigin(0, 0))
    assert np.array_equal(bright.peak_row, found.peak_row)
    # Haze adds to every pixel and weakens the contrast: the pits stay where they are.
    hazy = detector.detect((land + 25).astype(np.uint8), usable, core, PixelOrigin(0, 0))
    for row, col in pits:
        assert np.hypot(hazy.row - row, hazy.col - col).min() < 10
