"""What a perfect detector would get against labels that are known to miss sites."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from models.chips import SHORTEST_BOX_PX, Picture
from models.judging.scoring import off_edge
from models.labelled.formats.notes import WRONG_LABEL

UNLABELLED = "unlabelled"  # the verdict begins with it: an unlabelled kiln, an unlabelled mine


class Perfect(BaseModel):
    """The figures of a detector that finds every site and nothing else.

    Attributes:
        n_labels: Labels that count.
        n_right: Of those, on a site.
        n_unlabelled: Sites without a label.
        average_precision: Expected, where it cannot know which sites are labelled.
        precision: Share of its detections that are labelled.
        recall: Share of the labels that are sites.
        f1: Of the two.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_labels: int
    n_right: int
    n_unlabelled: int
    average_precision: float
    precision: float
    recall: float
    f1: float

    def __str__(self) -> str:
        return (
            f"a perfect detector would get AP {self.average_precision:.3f}, F1 {self.f1:.3f}, "
            f"precision {self.precision:.3f}, recall {self.recall:.3f} against these labels: "
            f"{self.n_unlabelled} known sites carry none, {self.n_labels - self.n_right} of "
            f"{self.n_labels} labels are wrong"
        )


def perfect_detector(pictures: Sequence[Picture], notes: pd.DataFrame) -> Perfect | None:
    """Figures of a perfect detector on pictures with labels as they are.

    Args:
        pictures: Without the notes applied.
        notes: `tile, x_px, y_px, verdict`; a verdict `wrong label` is on a label that is none, one
            that begins with `unlabelled` on a site that has none.

    Returns:
        None where no note is about these pictures, or no label counts.
    """
    counts = [_count(picture, _notes_of(picture, notes)) for picture in pictures]
    if not any(len(_notes_of(picture, notes)) for picture in pictures):
        return None
    labels, wrong, unlabelled = np.sum(counts, axis=0).tolist()
    right = labels - wrong
    if not labels:
        return None
    found = right + unlabelled
    return Perfect(
        n_labels=labels,
        n_right=right,
        n_unlabelled=unlabelled,
        average_precision=round(expected_precision(right, unlabelled) * right / labels, 4),
        precision=round(right / max(found, 1), 4),
        recall=round(right / labels, 4),
        f1=round(2 * right / max(found + labels, 1), 4),
    )


def expected_precision(hits: int, others: int) -> float:
    """Mean precision at the hits of a list in random order.

    A hit at place k of n has on average (k - 1)(hits - 1) / (n - 1) hits before it.
    """
    n = hits + others
    if not hits or n == 1:
        return float(hits > 0)
    k = np.arange(1, n + 1)
    return float(((1 + (k - 1) * (hits - 1) / (n - 1)) / k).mean())


def _notes_of(picture: Picture, notes: pd.DataFrame) -> pd.DataFrame:
    tile = notes["tile"].astype(str)
    here = notes[(tile == picture.name) | (tile == Path(picture.name).stem)]
    col = here["x_px"].to_numpy(float) - picture.first_col
    row = here["y_px"].to_numpy(float) - picture.first_row
    rows, cols = picture.usable.shape
    inside = (row >= 0) & (row <= rows) & (col >= 0) & (col <= cols)
    kept = inside & off_edge(picture, row, col)
    verdict = here["verdict"].astype(str).to_numpy()
    return pd.DataFrame({"row": row[kept], "col": col[kept], "verdict": verdict[kept]})


def _count(picture: Picture, notes: pd.DataFrame) -> tuple[int, int, int]:
    """Labels that count, wrong ones among them, and sites without a label."""
    sites = picture.sites
    whole = off_edge(picture, sites.row, sites.col)
    wrong = np.zeros(len(sites), bool)
    verdict = notes["verdict"]
    for _, note in notes[verdict == WRONG_LABEL].iterrows():
        wrong |= np.hypot(sites.col - note["col"], sites.row - note["row"]) <= SHORTEST_BOX_PX
    unlabelled = int(verdict.str.startswith(UNLABELLED).sum())
    return int(whole.sum()), int((wrong & whole).sum()), unlabelled
