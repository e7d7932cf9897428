"""What shapes are worth: the detector against colours alone, on strips of Delhi held out.

    python -m tests.benchmarks.baselines ../shared/data OUT [--shuffled d1 d3]

Two things to beat. A logistic regression of each pixel's colours and their spread around it,
fitted on the same training places with the same negatives, with and without the made-up patches
(the better of the two counts); on all four strips. And the detector's own network, trained alike
(recipe, steps, mining, seed) on pixels in random order within blocks of 8 x 8, and scored on such
pixels; on the strips named after `--shuffled`, a quarter of an hour each on one core; what is
trained already is not trained again. The gains come from the paired bootstrap over 10 km blocks,
against the scores in `models/datasets/out_of_fold` or in the folder given with `--detector`.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models import training
from models.chips import Picture
from models.judging.out_of_fold import compare_tables
from models.judging.scoring import join_scores, read_scores, score_table, scored_of, write_scores
from models.labelled.dataset import Dataset, Source, load_dataset
from models.training import TrainSettings, train
from models.weights import NetworkShape
from tests.benchmarks.colour_model import fit_colour_model

DATASET = Path("models/datasets/brick_kiln.toml")
STRIPS = ("d1", "d2", "d3", "d4")
TOLERANCE_M = 100.0
SHUFFLE_PX = 8
# Every picture stands several times in the training, shuffled differently each time, so that the
# network cannot learn one order by heart.
COPIES = 3


def shuffle_blocks(pixels: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """The same pixels in random order within each block of 8 x 8: colours stay, shapes go.

    All bands of a pixel move together. What lies beyond the last whole block stays as it was.

    Args:
        pixels: (band, y, x).
        rng: Draws the orders.

    Returns:
        (band, y, x), a new array of the same type.
    """
    bands, rows, cols = pixels.shape
    down, across = rows // SHUFFLE_PX, cols // SHUFFLE_PX
    inner = pixels[:, : down * SHUFFLE_PX, : across * SHUFFLE_PX]
    blocks = inner.reshape(bands, down, SHUFFLE_PX, across, SHUFFLE_PX).transpose(1, 3, 0, 2, 4)
    blocks = blocks.reshape(down * across, bands, SHUFFLE_PX**2)
    order = rng.random((down * across, 1, SHUFFLE_PX**2)).argsort(axis=-1)
    mixed = np.take_along_axis(blocks, order, axis=-1)
    mixed = mixed.reshape(down, across, bands, SHUFFLE_PX, SHUFFLE_PX).transpose(2, 0, 3, 1, 4)
    result = pixels.copy()
    result[:, : down * SHUFFLE_PX, : across * SHUFFLE_PX] = mixed.reshape(inner.shape)
    return result


def shuffled(pictures: Sequence[Picture], copies: int, seed: int) -> tuple[Picture, ...]:
    """Every picture `copies` times, its pixels shuffled anew each time."""
    rng = np.random.default_rng(seed)
    return tuple(
        replace(picture, pixels=shuffle_blocks(picture.pixels, rng))
        for picture in pictures
        for _ in range(copies)
    )


def shuffled_dataset(dataset: Dataset, seed: int = 0) -> Dataset:
    """The dataset without its shapes; what is held out stands in it once."""
    return replace(
        dataset,
        train=tuple(
            Source(source.name, source.share, shuffled(source.pictures, COPIES, seed))
            for source in dataset.train
        ),
        test=shuffled(dataset.test, 1, seed + 1),
    )


def train_shuffled(data: Path, fold: str, out: Path) -> pd.DataFrame:
    """Scores of the detector's network, trained and judged without shapes."""
    weights = out / f"shuffled_{fold}.safetensors"
    if not weights.is_file():

        def load(*args, **options):
            return shuffled_dataset(load_dataset(*args, **options))

        settings = TrainSettings(dataset=DATASET, out=weights, data_root=data, fold=fold, threads=1)
        with patch.object(training, "load_dataset", load):
            train(settings)
    return read_scores([weights.with_suffix(".scores.csv")])


def colour_scores(data: Path, fold: str, out: Path, simulate: bool) -> pd.DataFrame:
    """Scores of the colour model on the Delhi strip that a fold holds out."""
    table = out / f"colour_{'all' if simulate else 'real'}_{fold}.csv"
    if not table.is_file():
        dataset = load_dataset(DATASET, data, fold, simulate=simulate)
        model = fit_colour_model(dataset.train, NetworkShape())
        pictures = [picture for picture in dataset.test if picture.region == "Delhi"]
        scored = scored_of(pictures, [model.detect(picture) for picture in pictures])
        scores = score_table(scored, pictures[0].place, TOLERANCE_M, fold, 0, "Delhi")
        write_scores(join_scores([scores]), table)
    return read_scores([table])


def gain(first: pd.DataFrame, detector: pd.DataFrame, strips: Sequence[str]) -> str:
    """The detector's gain in average precision, over the strips together."""
    parts = [t[(t["region"] == "Delhi") & t["fold"].isin(strips)] for t in (first, detector)]
    gains = compare_tables(*[join_scores([p.reset_index(drop=True)]) for p in parts], 0.3, 0.3)
    return str(next(g for g in gains if g.figure == "average precision"))


def main() -> None:
    """Score what is asked for, and print the gains."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--shuffled", nargs="*", default=[], choices=STRIPS)
    parser.add_argument("--detector", type=Path, default=DATASET.parent / "out_of_fold")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    detector = read_scores([asked.detector / f"{fold}.csv" for fold in STRIPS])
    for simulate in (True, False):
        tables = [colour_scores(asked.data, fold, asked.out, simulate) for fold in STRIPS]
        words = "with" if simulate else "without"
        print(f"colours alone, {words} made-up patches, four strips", flush=True)
        print("  " + gain(join_scores(tables), detector, STRIPS), flush=True)
    for fold in asked.shuffled:
        train_shuffled(asked.data, fold, asked.out)
    if asked.shuffled:
        tables = [train_shuffled(asked.data, fold, asked.out) for fold in asked.shuffled]
        print(f"the network on shuffled pixels, strips {', '.join(asked.shuffled)}")
        print("  " + gain(join_scores(tables), detector, asked.shuffled))


if __name__ == "__main__":
    main()
