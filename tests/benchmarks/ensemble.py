"""What several seeds together are worth: the mean of their networks' scores, by place held out.

    python -m tests.benchmarks.ensemble ../shared/data FOLDER d1 d2 d3 d4

FOLDER holds what `kilnlight train --fold d1 --seed 0 --out FOLDER/d1_s0.safetensors` wrote for
every fold named and the seeds 0, 1 and 2. Detections of the three within 50 m are one, which scores
the mean of the three. By region: each seed, the three together, and the paired gain over seed 0.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from models.detection import PixelBoxes
from models.judging.out_of_fold import compare_tables, figures_of_table
from models.judging.predictions import boxes_on, read_predictions
from models.judging.scoring import SCORE_FLOOR, join_scores, score_places
from models.labelled.dataset import load_dataset

DATASET = Path("models/datasets/brick_kiln.toml")
SEEDS = (0, 1, 2)
TOLERANCE_M = 100.0
# Peaks of several networks this near each other speak of one place: half a kiln.
NEAR_PX = 5.0
# What a network says that detected nothing: somewhere below the lowest score that is kept.
NOTHING = SCORE_FLOOR / 2


def together(seeds: Sequence[PixelBoxes]) -> PixelBoxes:
    """Detections of several networks on one picture, each place once, with the mean score."""
    boxes = PixelBoxes.concatenate(list(seeds))
    at = np.stack([boxes.row, boxes.col], axis=1)
    means = np.zeros(len(boxes))
    for one in seeds:
        tree = cKDTree(np.stack([one.row, one.col], axis=1))
        for i, near in enumerate(tree.query_ball_point(at, NEAR_PX)):
            means[i] += (one.score[near].max() if near else NOTHING) / len(seeds)
    tree, free, kept = cKDTree(at), np.ones(len(boxes), bool), []
    for i in np.lexsort([-boxes.score, -means]):
        if free[i]:
            kept.append(i)
            free[tree.query_ball_point(at[i], NEAR_PX)] = False
    return replace(boxes, score=means)[np.array(kept, np.int64)]


def tables(data: Path, folder: Path, fold: str) -> list[pd.DataFrame]:
    """Scores of each seed on what a fold holds out, and of the three together."""
    pictures = load_dataset(DATASET, data, fold, simulate=False).test
    predictions = [read_predictions(folder / f"{fold}_s{seed}.predictions.csv") for seed in SEEDS]
    by_seed = [[boxes_on(picture, table) for picture in pictures] for table in predictions]
    ways = [*by_seed, [together(boxes) for boxes in zip(*by_seed, strict=True)]]
    return [score_places(pictures, boxes, TOLERANCE_M, fold) for boxes in ways]


def main(data: Path, folder: Path, *folds: str) -> None:
    """Print what each seed and all together get."""
    names = [*(f"seed {seed}" for seed in SEEDS), "together"]
    joined = [
        join_scores(list(parts))
        for parts in zip(*(tables(data, folder, fold) for fold in folds), strict=True)
    ]
    for name, table in zip(names, joined, strict=True):
        for figure in figures_of_table(table, 0.5):
            if "average precision" in figure.name or "at recall" in figure.name:
                ends = "" if figure.low is None else f" [{figure.low:.3f}, {figure.high:.3f}]"
                print(f"{name}: {figure.name} {figure.value:.3f}{ends}")
    for gain in compare_tables(joined[0], joined[-1], 0.5, 0.5):
        if gain.figure == "average precision":
            print(gain)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
