"""`kilnlight labels audit`: where labels and a detector that never saw them disagree most."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from models.calibration import fit_logistic, score_logit
from models.chips import Picture
from models.detection import PixelBoxes
from models.judging.evaluation import match
from models.judging.evaluation_page import Section, Shown, picture_page, show
from models.judging.mistakes_page import COLOURS, outlines
from models.judging.predictions import boxes_on, read_predictions
from models.judging.scoring import scored_of
from models.labelled.class_of_labels import class_of_labels
from models.labelled.dataset import load_dataset
from models.labelled.formats.notes import WRONG_LABEL
from tiles.errors import DatasetError
from tiles.files import atomic_path, write_text

Floats = NDArray[np.float64]

UNLABELLED_SITE = "unlabelled site"
# The first five are those of a file of notes, so that a row that was confirmed can be copied there.
SUSPECT_COLUMNS = (
    "tile",
    "x_px",
    "y_px",
    "verdict",
    "note",
    "rank",
    "disagreement",
    "place",
)
# Detections of several seeds this near each other are one: half a kiln.
SAME_PX = 5.0
# Below this a detection is no claim that something stands there.
LEAST_CLAIM = 0.2
PICTURES_SHOWN = 60


@dataclass(frozen=True)
class AuditQuestion:
    """What to audit.

    Attributes:
        dataset: Dataset file, or a folder of labelled tiles.
        data_root: Folder that the dataset's paths start from.
        predictions: Tables that trainings of the dataset's folds wrote.
        notes: Whether corrections made so far are applied; without them they are suspects too.
        site_class: Class of the labels of a folder, which names none itself.
    """

    dataset: Path
    data_root: Path
    predictions: tuple[Path, ...]
    notes: bool = True
    site_class: str | None = None


@dataclass(frozen=True)
class LabelAudit:
    """Suspects, worst first, and the pictures they lie on.

    Attributes:
        suspects: `SUSPECT_COLUMNS`.
        pictures: By tile and place.
        boxes: What was detected on each, over all seeds.
    """

    suspects: pd.DataFrame
    pictures: dict[tuple[str, str], Picture]
    boxes: dict[tuple[str, str], PixelBoxes]


def audit_labels(question: AuditQuestion) -> LabelAudit:
    """Rank every label and every detection without one by how much the two disagree.

    A label says 1, its absence 0; the detector says its out-of-fold score, averaged over seeds and
    turned into the share of such detections that lie on a label. The disagreement is the distance
    of the two (the ranking of Northcutt, Jiang and Chuang, 2021, for out-of-fold predictions, with
    the kinds "overlooked" and "wrong" of Tkachenko et al., 2023).
    What lies in a blind edge or at a doubtful place is no suspect.

    Raises:
        ConfigError: There is no such class.
        DatasetError: The predictions cannot be read, are none, are of one training twice, were not
            made out of fold, or are about other pictures; or the dataset names another class.
    """
    table = _out_of_fold(question.predictions)
    parts: list[pd.DataFrame] = []
    pictures: dict[tuple[str, str], Picture] = {}
    boxes: dict[tuple[str, str], PixelBoxes] = {}
    for fold in sorted(table["fold"].unique()):
        dataset = load_dataset(
            question.dataset, question.data_root, fold, notes=question.notes, simulate=False
        )
        site_class = class_of_labels(dataset.file, question.dataset, question.site_class)
        tolerance_m = site_class.match_tolerance_m
        mine = table[table["fold"] == fold]
        seeds = mine["seed"].nunique()  # folds may have been trained with different numbers of them
        parts.append(find_suspects(dataset.test, mine, tolerance_m, seeds))
        pictures |= {(p.name, p.place): p for p in dataset.test}
        boxes |= {(p.name, p.place): boxes_on(p, mine) for p in dataset.test}
    suspects = pd.concat(parts, ignore_index=True)
    order = ["disagreement", "tile", "y_px", "x_px"]
    ranked = suspects.sort_values(order, ascending=[False, True, True, True], kind="stable")
    ranked = ranked.assign(rank=np.arange(1, len(ranked) + 1)).reset_index(drop=True)
    return LabelAudit(ranked[list(SUSPECT_COLUMNS)], pictures, boxes)


def _out_of_fold(paths: Sequence[Path]) -> pd.DataFrame:
    """The tables of several trainings, joined."""
    tables = [read_predictions(path) for path in paths]
    table = pd.concat(tables, ignore_index=True)
    if (table["fold"] == "").any():
        raise DatasetError(
            "Some predictions come from a training without a fold, which had seen the labels: "
            "train with --fold and hand over what it writes beside its weights."
        )
    if table.empty:
        raise DatasetError(f"{paths[0]} holds no prediction: nothing can be said of the labels.")
    # a second detection on a site would be taken for one without a label
    trainings = pd.concat([t[["fold", "seed"]].drop_duplicates() for t in tables])
    if trainings.duplicated().any():
        fold, seed = trainings[trainings.duplicated()].iloc[0]
        raise DatasetError(
            f"Two tables of predictions are of the fold {fold!r}, seed {seed}: give one of them."
        )
    return table


def find_suspects(
    pictures: Sequence[Picture], predictions: pd.DataFrame, tolerance_m: float, seeds: int
) -> pd.DataFrame:
    """Suspects on pictures, without a rank.

    Args:
        pictures: With their labels.
        predictions: Out-of-fold, of one or several seeds.
        tolerance_m: A detection this near a label speaks for it.
        seeds: Number of seeds; one that saw nothing says 0.

    Raises:
        DatasetError: No prediction lies on any of the pictures.
    """
    known = {(p.name, p.place) for p in pictures}
    if not known & set(zip(predictions["picture"], predictions["place"], strict=True)):
        raise DatasetError(
            "No prediction lies on a picture of the dataset: hand over predictions that trainings "
            "of this dataset's folds wrote."
        )
    spots = scored_of(pictures, [PixelBoxes.empty() for _ in pictures]).known_at
    label_scores = np.zeros(len(spots))
    extra, seen = [], []
    for _, part in predictions.groupby("seed"):
        scored = scored_of(pictures, [boxes_on(p, part) for p in pictures])
        m = match(scored.detections, scored.scores, scored.sites, scored.doubtful, tolerance_m)
        label_scores[m.site[m.hit]] += scored.scores[m.order[m.hit]]
        index, at = m.order[~m.hit], scored.detected_at
        place = (at.picture[index], at.row[index], at.col[index], scored.scores[index])
        extra.append(np.stack([np.asarray(a, float) for a in place], axis=1))
        seen.append(np.stack([scored.scores[m.order], m.hit], axis=1))
    labels = np.stack([spots.picture, spots.row, spots.col, label_scores / seeds], axis=1)
    overlooked = _joined(np.concatenate(extra), seeds)
    curve = _curve(np.concatenate(seen))
    return pd.concat(
        [
            _rows(pictures, labels, WRONG_LABEL, 1 - curve(labels[:, 3]), seeds),
            _rows(pictures, overlooked, UNLABELLED_SITE, curve(overlooked[:, 3]), seeds),
        ],
        ignore_index=True,
    )


def _curve(seen: Floats) -> Callable[[Floats], Floats]:
    """From score to the share of detections with that score that lie on a label."""
    ones = np.ones(len(seen))
    intercept, slope = fit_logistic(score_logit(seen[:, 0]), seen[:, 1], 0 * ones, ones)

    def curve(scores: Floats) -> Floats:
        return np.asarray(1 / (1 + np.exp(-(intercept + slope * score_logit(scores)))))

    return curve


def _joined(spots: Floats, seeds: int) -> Floats:
    """Detections (picture, row, col, score) of all seeds; near ones are one, with the mean score.

    The best takes those around it, at most as many as there are seeds.
    """
    order = np.argsort(-spots[:, 3], kind="stable")
    spots = spots[order]
    # Pictures stand apart on one plane, as their positions are all that is compared.
    plane = np.stack([spots[:, 0] * 1e7 + spots[:, 1], spots[:, 2]], axis=1)
    free = np.ones(len(spots), bool)
    kept = []
    tree = cKDTree(plane) if len(plane) else None
    for i in range(len(spots)):
        if tree is None or not free[i]:
            continue
        near = sorted(j for j in tree.query_ball_point(plane[i], SAME_PX) if free[j])[:seeds]
        free[near] = False
        kept.append([*spots[i, :3], spots[near, 3].sum() / seeds])
    joined = np.array(kept).reshape(-1, 4)
    return joined[joined[:, 3] >= LEAST_CLAIM]


def _rows(
    pictures: Sequence[Picture], spots: Floats, verdict: str, disagreement: Floats, seeds: int
) -> pd.DataFrame:
    of = [pictures[int(number)] for number in spots[:, 0]]
    mean = f"mean of {seeds} seeds" if seeds > 1 else "one seed"
    words = "detected where no label stands" if verdict == UNLABELLED_SITE else "label"
    return pd.DataFrame(
        {
            "tile": [p.name for p in of],
            "x_px": np.round(spots[:, 2] + [p.first_col for p in of], 1),
            "y_px": np.round(spots[:, 1] + [p.first_row for p in of], 1),
            "verdict": verdict,
            "note": [f"{words}; out-of-fold score {s:.2f} ({mean})" for s in spots[:, 3]],
            "disagreement": np.round(disagreement, 4),
            "place": [p.place for p in of],
        }
    )


def write_audit(audit: LabelAudit, folder: Path) -> tuple[Path, Path]:
    """Write `suspects.csv` and `suspects.html` into a folder.

    Nothing is corrected: rows that a person confirms go into a file of notes, which the dataset
    names, with their own reason in `note`.
    """
    table, page = folder / "suspects.csv", folder / "suspects.html"
    with atomic_path(table) as temporary:
        audit.suspects.to_csv(temporary, index=False, lineterminator="\n")
    write_text(page, _page(audit))
    return table, page


def _page(audit: LabelAudit) -> str:
    sections = []
    for verdict, title, text in (
        (UNLABELLED_SITE, "Detected, without a label", "Sites that may have been overlooked."),
        (WRONG_LABEL, "Labelled, hardly or not detected", "Labels that may be wrong or misplaced."),
    ):
        mine = audit.suspects[audit.suspects["verdict"] == verdict]
        shown = [_shown(audit, row) for row in mine.head(PICTURES_SHOWN).to_dict("records")]
        sections.append(
            Section(f"{title} ({len(mine)})", text, tuple(shown), len(mine) - len(shown))
        )
    return picture_page(
        "Suspected label errors",
        "Places where labels and detectors that never saw them disagree, worst first. A detector "
        "may be wrong too: look, and put what you confirm into a file of notes, each with a "
        f"reason. {COLOURS}",
        "Worksites seen from space: labour conditions not assessed. The pictures are parts of the "
        "dataset's imagery and carry its licence.",
        [],
        sections,
    )


def _shown(audit: LabelAudit, row: dict[Hashable, Any]) -> Shown:
    key = row["tile"], row["place"]
    picture, boxes = audit.pictures[key], audit.boxes[key]
    x, y = row["x_px"], row["y_px"]
    return show(
        picture,
        y - picture.first_row,
        x - picture.first_col,
        outlines(picture, boxes[boxes.score >= LEAST_CLAIM]),
        caption=f"{row['rank']}. {row['note']}; {row['tile']}, x {x:.0f}, y {y:.0f}",
        alt=f"Satellite picture, 640 m wide, {row['place']}: {row['verdict']}?, {row['note']}",
    )
