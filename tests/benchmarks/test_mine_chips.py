"""The gold mines' benchmark: gains are paired, the regression learns."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.labelled.chip_dataset import Chips, load_chips
from models.patches.figures import HARD, Contrast
from tests.benchmarks.mine_chips import (
    baseline,
    fit_logistic,
    paired_gain,
    statistics,
    with_land,
)
from tests.models.made_up_chips import write_dataset


@pytest.fixture
def chips(tmp_path: Path) -> Chips:
    return load_chips(write_dataset(tmp_path, per_gallery=40), tmp_path)


def scored(chips: Chips, contrast: float) -> pd.DataFrame:
    """Scores whose noise is the same for every contrast."""
    rng = np.random.default_rng(1)
    tables = []
    for fold, name in enumerate(chips.fold_names):
        index = chips.scored_by(fold)
        logit = contrast * chips.is_site[index] + rng.normal(size=len(index))
        tables.append(pd.DataFrame({"chip": index, "fold": name, "seed": 0, "logit": logit}))
    return pd.concat(tables)


def test_a_gain_is_the_difference_over_the_same_places(chips: Chips) -> None:
    weak, strong = scored(chips, 0.5), scored(chips, 2.0)
    gain = paired_gain(weak, strong, chips, HARD, Contrast.auc)
    assert gain.low > 0.1  # normals half and two deviations apart: AUC 0.64 and 0.92
    assert gain.value == pytest.approx(0.92 - 0.64, abs=0.1)
    back = paired_gain(strong, weak, chips, HARD, Contrast.auc)
    assert (back.low, back.high) == pytest.approx((-gain.high, -gain.low), abs=1e-4)
    same = paired_gain(weak, weak, chips, HARD, Contrast.auc)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_the_regression_finds_the_column_that_tells() -> None:
    rng = np.random.default_rng(0)
    is_site = np.arange(400) % 4 == 0
    x = rng.normal(size=(400, 3))
    x[:, 1] = 100 + 5 * (x[:, 1] + 3 * is_site)
    score = fit_logistic(x, is_site)(x)
    assert (score[is_site][:, None] > score[~is_site]).mean() > 0.97
    # Both classes weigh the same: the middle lies between them, not at the commoner one.
    assert abs(np.mean([score[is_site].mean(), score[~is_site].mean()])) < 0.5


def test_statistics_of_a_plain_chip_with_one_bright_half() -> None:
    pixels = np.full((1, 3, 48, 48), 50, np.uint8)
    pixels[0, 0, :, 24:] = 150
    red = statistics(pixels)[0][:17]  # mean, deviation, quantiles, then texture at 4 scales
    assert red[:2].tolist() == [100, 50]
    assert red[2:9].tolist() == [50, 50, 50, 100, 150, 150, 150]
    assert red[9:11].tolist() == [0, pytest.approx(100 / 47)]
    assert red[15:17].tolist() == [0, pytest.approx(100 / 5)]


def test_the_baseline_prints_both_ways_of_keeping_out(
    chips: Chips, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline(chips)
    out = capsys.readouterr().out
    assert "AUC, hard negatives: 1.0 [1.0, 1.0]" in out
    assert "places kept out, galleries trained on: AUC 1.0000" in out


def test_random_land_is_trained_on_or_judged_on_and_never_a_place_of_both(chips: Chips) -> None:
    for fold in range(len(chips.fold_names)):
        taught, judged = with_land(chips, fold)
        assert not taught[judged].any()
        assert not set(chips.place[taught]) & set(chips.place[judged])
        assert taught[chips.random_land].any()
        assert chips.random_land[judged].any()
        assert set(np.flatnonzero(chips.fold == fold)) <= set(judged)
        other = ~chips.random_land & (chips.fold != fold)
        assert taught[other].sum() >= chips.trained_on(fold).sum() - 1
