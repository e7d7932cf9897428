"""`kilnlight evaluate` on labelled chips: calibration, costs and a page, from tables of folds."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from models.labelled.chip_dataset import Chips, load_chips
from models.patches.chips_page import RankedChips
from models.patches.operating import land_table, place_numbers
from models.patches.report import judge_chips, write_judged_chips
from tests.models.made_up_chips import write_dataset

CHIP_KM2 = 0.32**2  # 32 px of 10 m
PER_GALLERY = 24


def scores_of(chips: Chips, fold: str, seed: int = 0) -> pd.DataFrame:
    """What a fold's network may have written: sites score higher, most of the time."""
    number = chips.fold_names.index(fold)
    index = chips.scored_by(number)
    rng = np.random.default_rng([number, seed])
    logit = rng.normal(np.where(chips.is_site[index], 1.5, -1.5), 1.5)
    return pd.DataFrame({"chip": index, "fold": fold, "seed": seed, "logit": logit.round(3)})


@pytest.fixture
def judged_folder(tmp_path: Path) -> Path:
    """A dataset file of chips beside the tables of its two folds."""
    dataset = write_dataset(tmp_path, per_gallery=PER_GALLERY)
    chips = load_chips(dataset, tmp_path)
    (tmp_path / "pits").mkdir()
    for fold in chips.fold_names:
        scores_of(chips, fold).to_csv(tmp_path / "pits" / f"{fold}_0.chips.csv", index=False)
    return tmp_path


def test_each_network_looks_at_all_random_land_which_stays_the_same_places(
    judged_folder: Path,
) -> None:
    chips = load_chips(judged_folder / "pits.toml", judged_folder)
    scores = pd.concat([scores_of(chips, fold) for fold in chips.fold_names])
    table = land_table(scores, chips)
    assert len(table) == 2 * (PER_GALLERY + PER_GALLERY)  # sites of a fold, and random land
    land_km2 = PER_GALLERY * CHIP_KM2
    assert table["area_km2"].unique() == pytest.approx([2 * land_km2])
    assert table["per_1000km2"].unique() == pytest.approx([1000 * PER_GALLERY / land_km2])
    early, late = (table["fold"] == fold for fold in ("early", "late"))
    land = ~table["is_site"]
    place = place_numbers(table)
    assert place[early & land].tolist() == place[late & land].tolist()
    assert len(np.unique(place)) == 3 * PER_GALLERY - 1  # the first chips show one place


def test_costs_and_calibration_are_those_of_sites_against_random_land(judged_folder: Path) -> None:
    dataset = judged_folder / "pits.toml"
    judged = judge_chips(dataset, judged_folder)
    chips, scores, record = judged.chips, judged.scores, judged.record
    score, chip = expit(scores["logit"]), scores["chip"]
    at = {a.threshold: a for a in record.at_scores}
    assert record.threshold in at
    above = score > 0.5
    alarms = (above & chips.random_land[chip]).sum()
    assert at[0.5].false_alarms_per_1000km2 == pytest.approx(
        1000 * alarms / (2 * PER_GALLERY * CHIP_KM2), abs=0.01
    )
    recall = (above & chips.is_site[chip]).sum() / chips.is_site[chip].sum()
    assert at[0.5].recall == pytest.approx(recall, abs=1e-4)
    assert at[0.5].missed_per_1000km2 == pytest.approx(30 * (1 - recall), abs=0.01)
    assert list(record.calibration) == ["early", "late", "all"]
    everything = record.calibration["all"]
    assert (everything.n_true, everything.n_false) == (2 * PER_GALLERY, 2 * PER_GALLERY)
    assert 0.5 < everything.slope.value < 1.5  # both folds' scores mean the same
    assert "slope" in record.summary()
    assert "cheapest" in record.summary()


def test_the_page_shows_mistakes_from_the_worst_and_a_spread_of_hits(judged_folder: Path) -> None:
    judged = judge_chips(judged_folder / "pits.toml", judged_folder)
    out = judged_folder / "out"
    record, page = write_judged_chips(judged, out)
    assert record.read_text() == judged.record.model_dump_json(indent=1) + "\n"
    text = page.read_text()
    mean = judged.scores.groupby("chip")["logit"].mean()
    above = expit(mean) > judged.record.threshold
    for name, kind in (("Found", judged.chips.is_site), ("Missed", judged.chips.is_site)):
        wanted = above if name == "Found" else ~above
        assert f"{name} ({int((wanted & kind[mean.index]).sum())})" in text
    missed = mean[~above & judged.chips.is_site[mean.index]]
    first = text.index(f"chip {missed.idxmin()}, score")
    assert text.index("<h2>Missed") < first < text.index("<h2>Found")
    assert "labour conditions not assessed" in text
    assert 'viewBox="0 0 32 32"' in text
    before = page.read_bytes()
    write_judged_chips(judged, out)
    assert page.read_bytes() == before


def test_a_section_says_how_many_it_leaves_out(judged_folder: Path) -> None:
    judged = judge_chips(judged_folder / "pits.toml", judged_folder)
    ranked = RankedChips.of(judged.scores, judged.chips)
    assert (np.diff(ranked.score) <= 0).all()
    everything, nothing = np.ones(len(ranked.index), bool), np.zeros(len(ranked.index), bool)
    first = ranked.section("All", "", everything, "first")
    assert (len(first.pictures), first.more) == (48, len(everything) - 48)
    assert f"score {ranked.score[0]:.2f}" in first.pictures[0].caption
    last = ranked.section("All", "", everything, "last")
    assert f"score {ranked.score[-1]:.2f}" in last.pictures[0].caption
    assert len(ranked.section("All", "", everything, "spread").pictures) <= 16
    assert ranked.section("None", "", nothing, "spread").pictures == ()
