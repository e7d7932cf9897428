"""AUC and sensitivity against counting by hand, and figures over folds and seeds."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.labelled.chip_dataset import load_chips
from models.patches.figures import HARD, RANDOM, Contrast, patch_figures
from tests.models.made_up_chips import write_dataset


def contrast(site: list[float], other: list[float]) -> Contrast:
    score = np.array([*site, *other])
    is_site = np.arange(len(score)) < len(site)
    return Contrast(score, is_site, np.arange(len(score)))


scores = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=12)


@given(scores, scores)
def test_auc_is_the_share_of_pairs_in_order(site: list[float], other: list[float]) -> None:
    pairs = [(a > b) + 0.5 * (a == b) for a in site for b in other]
    found = contrast(site, other).auc(np.ones(len(site) + len(other)))
    assert found == pytest.approx(np.mean(pairs))


@given(scores, scores, st.sampled_from([0.5, 0.75, 0.9, 0.994]))
def test_sensitivity_leaves_at_most_the_stated_share_of_others_above(
    site: list[float], other: list[float], specificity: float
) -> None:
    found = contrast(site, other).sensitivity(np.ones(len(site) + len(other)), specificity)
    levels = sorted({*site, *other})
    allowed = [t for t in levels if np.mean(np.array(other) > t) <= 1 - specificity + 1e-9]
    assert found == pytest.approx(np.mean(np.array(site) > min(allowed)))


def test_a_weight_counts_a_chip_so_often() -> None:
    twice = contrast([1.0, 3.0], [2.0, 0.0]).auc(np.array([2.0, 1.0, 1.0, 1.0]))
    assert twice == pytest.approx(contrast([1.0, 1.0, 3.0], [2.0, 0.0]).auc(np.ones(5)))


def test_hard_negatives_and_random_land_are_told_apart(tmp_path: Path) -> None:
    chips = load_chips(write_dataset(tmp_path), tmp_path)
    rng = np.random.default_rng(0)
    tables = []
    for seed in (0, 1):
        for fold, name in enumerate(chips.fold_names):
            index = np.flatnonzero((chips.fold == fold) | chips.random_land)
            # Sites at 4, roads at 4 or 0 by halves, random land at 0: told apart from land only.
            logit = np.where(chips.is_site[index], 4.0, 0.0)
            roads = ~chips.is_site[index] & ~chips.random_land[index]
            logit[roads] = np.where(np.arange(roads.sum()) % 2, 4.0, 0.0)
            logit += 0.001 * rng.normal(size=len(index)) * seed
            frame = {"chip": index, "fold": name, "seed": seed, "logit": logit}
            tables.append(pd.DataFrame(frame))
    figures = {f.name: f for f in patch_figures(pd.concat(tables), chips)}
    land, hard = figures[f"AUC, {RANDOM}"], figures[f"AUC, {HARD}"]
    assert (land.value, land.low, land.high) == (1.0, 1.0, 1.0)
    assert hard.value == pytest.approx(0.75, abs=0.1)
    assert hard.low is not None
    assert hard.high is not None
    assert hard.seed_spread is not None
    assert hard.low < hard.value < hard.high
    assert figures[f"sensitivity at specificity 0.994, {RANDOM}"].value == 1.0
    assert f"fold late: AUC, {HARD}" in figures
