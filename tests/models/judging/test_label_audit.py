"""Errors planted among labels rank first, and what is written can be looked at and corrected."""

from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.chips import Picture, SiteLabels
from models.detection import PixelBoxes
from models.judging.label_audit import (
    UNLABELLED_SITE,
    AuditQuestion,
    audit_labels,
    find_suspects,
    write_audit,
)
from models.judging.predictions import prediction_table, write_predictions
from models.labelled.formats.notes import read_notes
from tests.models.made_up_models import simulated_picture
from tests.models.made_up_tiles import write_tiles
from tiles.errors import DatasetError


def seen_by_a_detector(picture: Picture, seed: int) -> PixelBoxes:
    """Every kiln with a high score, a little off, and some false alarms with low ones."""
    rng = np.random.default_rng([seed, len(picture.sites)])
    n, m = len(picture.sites), 6
    row = np.concatenate([picture.sites.row + rng.normal(0, 1, n), rng.uniform(10, 150, m)])
    col = np.concatenate([picture.sites.col + rng.normal(0, 1, n), rng.uniform(10, 150, m)])
    score = np.concatenate([rng.uniform(0.6, 0.95, n), rng.uniform(0.05, 0.35, m)])
    whole = [np.floor(v).astype(np.int64) for v in (row, col)]
    same = np.ones(n + m)
    return PixelBoxes(row, col, *whole, 11 * same, 5 * same, 0 * same, score)


def without(picture: Picture, k: int) -> Picture:
    keep = np.arange(len(picture.sites)) != k
    return replace(picture, sites=picture.sites.shifted(0, 0, keep))


def with_false_label(picture: Picture, row: float, col: float) -> Picture:
    s, one = picture.sites, np.ones(1)
    sites = SiteLabels(
        np.append(s.row, row),
        np.append(s.col, col),
        *(np.append(v, 5 * one) for v in (s.length_px, s.width_px, s.angle_rad)),
    )
    return replace(picture, sites=sites)


def far_corner(picture: Picture) -> tuple[float, float]:
    """The corner furthest from every kiln."""
    corners = [(20.0, 20.0), (20.0, 140.0), (140.0, 20.0), (140.0, 140.0)]
    return max(
        corners,
        key=lambda c: np.hypot(picture.sites.row - c[0], picture.sites.col - c[1]).min(),
    )


@pytest.mark.parametrize("seeds", [1, 3])
def test_planted_errors_rank_first(seeds: int) -> None:
    whole = [simulated_picture(i, 4) for i in range(12)]
    tables = [
        prediction_table(whole, [seen_by_a_detector(p, seed) for p in whole], "f", seed)
        for seed in range(seeds)
    ]
    planted = {(p.name, UNLABELLED_SITE) for p in whole[:3]}
    planted |= {(p.name, "wrong label") for p in whole[3:6]}
    labels = [without(p, 1) if i < 3 else p for i, p in enumerate(whole)]
    labels = [
        with_false_label(p, *far_corner(p)) if 3 <= i < 6 else p for i, p in enumerate(labels)
    ]
    found = find_suspects(labels, pd.concat(tables), 100.0, seeds)
    worst = found.sort_values("disagreement", ascending=False).head(6)
    assert set(zip(worst["tile"], worst["verdict"], strict=True)) == planted
    overlooked = worst[worst["tile"] == whole[0].name].iloc[0]
    site = whole[0].sites
    assert overlooked["x_px"] == pytest.approx(site.col[1], abs=3)
    assert overlooked["y_px"] == pytest.approx(site.row[1], abs=3)
    assert (f"mean of {seeds} seeds" in overlooked["note"]) == (seeds > 1)


def predictions_for(dataset: Path, fold: str = "west") -> Path:
    """Of a detector that sees every kiln, on the tiles 4 to 7."""
    pictures = [
        replace(simulated_picture(i, 3), name=f"{i}.tif", place="west") for i in range(4, 8)
    ]
    table = prediction_table(pictures, [seen_by_a_detector(p, 0) for p in pictures], fold)
    write_predictions(table, dataset.parent / f"{fold}.predictions.csv")
    return dataset.parent / f"{fold}.predictions.csv"


def test_a_dataset_is_audited_and_its_notes_are_left_out(tmp_path: Path) -> None:
    dataset = write_tiles(tmp_path, skip=(5,))
    question = AuditQuestion(dataset, tmp_path, (predictions_for(dataset),))
    without_notes = audit_labels(replace(question, notes=False))
    first = without_notes.suspects.iloc[0]
    assert (first["tile"], first["verdict"], first["rank"]) == ("5.tif", UNLABELLED_SITE, 1)
    kiln = simulated_picture(5, 3).sites
    assert first["x_px"] == pytest.approx(kiln.col[0], abs=3)
    left = audit_labels(question).suspects
    high = left[(left["verdict"] == UNLABELLED_SITE) & (left["disagreement"] > 0.5)]
    assert high.empty
    table, page = write_audit(without_notes, tmp_path / "out")
    assert len(read_notes(table)) == len(without_notes.suspects)
    html = unescape(page.read_text())
    assert "default-src 'none'" in html
    assert "<script" not in html
    assert 'alt="Satellite picture, 640 m wide, west: unlabelled site?' in html


def test_folds_may_have_different_numbers_of_seeds(tmp_path: Path) -> None:
    dataset = write_tiles(tmp_path)
    text = dataset.read_text() + '[folds.east]\ntest = ["east"]\n'
    dataset.write_text(text)
    files = [predictions_for(dataset)]
    for seed in (0, 1, 2):
        pictures = [
            replace(simulated_picture(i, 3), name=f"{i}.tif", place="east") for i in range(4)
        ]
        seen = [seen_by_a_detector(p, seed) for p in pictures]
        files.append(tmp_path / f"{seed}.csv")
        write_predictions(prediction_table(pictures, seen, "east", seed), files[-1])
    suspects = audit_labels(AuditQuestion(dataset, tmp_path, tuple(files))).suspects
    labels = suspects[suspects["verdict"] == "wrong label"]
    scores = labels["note"].str.extract(r"score (\d\.\d+)")[0].astype(float)
    assert scores.min() > 0.5  # every label was seen well by every seed of its own fold


def test_predictions_that_saw_the_labels_or_lie_elsewhere_are_refused(tmp_path: Path) -> None:
    dataset = write_tiles(tmp_path)
    seen = predictions_for(dataset, "")
    with pytest.raises(DatasetError, match="training without a fold"):
        audit_labels(AuditQuestion(dataset, tmp_path, (seen,)))
    elsewhere = prediction_table([simulated_picture(0)], [PixelBoxes.empty()], "west")
    with pytest.raises(DatasetError, match="No prediction lies"):
        find_suspects([simulated_picture(1)], elsewhere, 100.0, 1)


def test_predictions_that_say_nothing_or_say_it_twice_are_refused(tmp_path: Path) -> None:
    dataset = write_tiles(tmp_path)
    once = predictions_for(dataset)
    copy = tmp_path / "copy.csv"
    copy.write_bytes(once.read_bytes())
    with pytest.raises(DatasetError, match="are of the fold 'west', seed 0: give one of them"):
        audit_labels(AuditQuestion(dataset, tmp_path, (once, copy)))
    copy.write_text(once.read_text().splitlines()[0] + "\n")
    with pytest.raises(DatasetError, match=r"copy.csv holds no prediction"):
        audit_labels(AuditQuestion(dataset, tmp_path, (copy,)))


def test_a_class_that_does_not_fit_the_labels_is_refused(tmp_path: Path) -> None:
    dataset = write_tiles(tmp_path)
    question = AuditQuestion(dataset, tmp_path, (predictions_for(dataset),), site_class="gold_mine")
    with pytest.raises(DatasetError, match="labels of the class 'brick_kiln', not 'gold_mine'"):
        audit_labels(question)
