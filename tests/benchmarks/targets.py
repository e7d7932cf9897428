"""The detector's targets beside what is measured, on places that training never saw.

    python -m tests.benchmarks.targets ../shared/data FOLDER [DATASET]

FOLDER holds what `kilnlight train --fold NAME --out FOLDER/NAME.safetensors` wrote for d1 to d4,
to_delhi, to_bangladesh and to_up, as far as there is any. Every figure is given against the labels
with the notes on them applied, and against the labels as they are, with what a perfect detector
would get beside them where there are notes. Thresholds of F1 come from the other places. DATASET
may be a copy of the dataset file that names more notes. Where the weights of all four strips lie in
FOLDER, they are run on the land without sites that no training saw, at the one score above which
nine in ten of the strips' kilns are found: false alarms per 1,000 km2, mean of the four networks.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from models.chips import Picture
from models.detector import Detector
from models.judging.assessing import by_region
from models.judging.land_rates import land_rates
from models.judging.out_of_fold import figures_of_table, nested_figures_of_table
from models.judging.perfect import perfect_detector
from models.judging.predictions import boxes_on, read_predictions
from models.judging.scoring import detect_pictures, join_scores, score_places
from models.labelled.dataset import load_dataset
from models.labelled.dataset_file import read_dataset_file
from models.labelled.formats.notes import read_notes

DATASET = Path("models/datasets/brick_kiln.toml")
WITHIN = ("d1", "d2", "d3", "d4")
BEYOND = ("to_delhi", "to_bangladesh", "to_up")
TOLERANCE_M = 100.0
TARGETS = {
    "within Delhi: average precision": 0.93,
    "within Delhi: F1": 0.88,
    "within Delhi: false alarms per 1,000 km2 at recall 0.9": 30,
    "within Bangladesh: average precision": 0.985,
    "within Bangladesh: F1": 0.95,
    "to Delhi: average precision": 0.75,
    "to Bangladesh: average precision": 0.95,
    "to Uttar Pradesh: average precision": 0.75,
}


@dataclass(frozen=True)
class Fold:
    """What a training of a fold left, and the labels that it is judged by."""

    dataset: Path
    data: Path
    folder: Path
    name: str

    @property
    def weights(self) -> Path:
        return self.folder / f"{self.name}.safetensors"

    @property
    def predictions(self) -> Path:
        return self.folder / f"{self.name}.predictions.csv"

    def pictures(self, notes: bool) -> tuple[Picture, ...]:
        return load_dataset(self.dataset, self.data, self.name, notes, simulate=False).test


def judged(fold: Fold, notes: bool) -> pd.DataFrame:
    """Scores of a fold's predictions against the labels, with or without the notes on them."""
    pictures = fold.pictures(notes)
    predictions = read_predictions(fold.predictions)
    boxes = [boxes_on(picture, predictions) for picture in pictures]
    return score_places(pictures, boxes, TOLERANCE_M, fold.name)


def figures(tables: Sequence[pd.DataFrame], head: str) -> dict[str, str]:
    """Figures by name; nested thresholds where there are several places to choose on."""
    if not tables:
        return {}
    joined = join_scores(list(tables))
    found = nested_figures_of_table(joined) if head == "within" else figures_of_table(joined, 0.3)
    return {
        f"{head} {f.name}": f"{f.value:.3f}"
        + ("" if f.low is None else f" [{f.low:.3f}, {f.high:.3f}]")
        for f in found
    }


def score_at_recall(tables: Sequence[pd.DataFrame], region: str, recall: float = 0.9) -> float:
    """The score above which a share of a region's sites are found, all its places together."""
    table = join_scores(list(tables))
    scores = table.loc[table["is_site"] & (table["region"] == region), "score"]
    return float(np.sort(scores)[::-1][int(np.ceil(recall * len(scores))) - 1])


def on_empty_land(folds: Sequence[Fold], score: float) -> dict[str, str]:
    """False alarms at a score on land without sites that no fold trained on, mean of the folds."""
    empty = load_dataset(folds[0].dataset, folds[0].data, folds[0].name, simulate=False).empty
    detectors = [Detector.load(fold.weights, "cpu", threads=1) for fold in folds]
    said = {}
    for region, pictures in by_region(empty).items():
        alarms = [
            np.stack([np.full(len(b), n), b.row, b.col], axis=1)[b.score >= score]
            for detector in detectors
            for n, b in enumerate(detect_pictures(detector, pictures))
        ]
        for rate in land_rates(pictures, np.concatenate(alarms)):
            each = rate.per_1000km2
            value, low, high = (x / len(folds) for x in (each.value, each.low, each.high))
            said[f"{region}, {rate.kind}"] = f"{value:.0f} [{low:.0f}, {high:.0f}]"
    return said


def main(data: Path, folder: Path, dataset: Path = DATASET) -> None:
    """Print the table."""
    file = read_dataset_file(dataset)
    known = pd.concat([read_notes(data / s.notes) for s in (*file.tiles, *file.scenes) if s.notes])
    columns: list[dict[str, str]] = [{}, {}]
    pictures: list[Picture] = []
    for head, names in (("within", WITHIN), ("to", BEYOND)):
        folds = [Fold(dataset, data, folder, name) for name in names]
        there = [fold for fold in folds if fold.predictions.is_file()]
        for column, notes in zip(columns, (True, False), strict=True):
            tables = [judged(fold, notes) for fold in there]
            column |= figures(tables, head)
        if head == "within":
            score = score_at_recall(tables, "Delhi") if there else 0.0
            nets = [fold for fold in there if fold.weights.is_file()]
            pictures = [picture for fold in there for picture in fold.pictures(notes=False)]
    print("| | target | with notes | as labelled |\n|---|---|---|---|")
    for name, target in TARGETS.items():
        print(f"| {name} | {target:g} | " + " | ".join(c.get(name, "-") for c in columns) + " |")
    for region, group in by_region(pictures).items():
        perfect = perfect_detector(group, known)
        if perfect is not None:
            print(f"{region}: {perfect}")
    if len(nets) == len(WITHIN):
        for land, rate in on_empty_land(nets, score).items():
            print(f"{land}: {rate} false alarms per 1,000 km2 at a score of {score:.3f}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
