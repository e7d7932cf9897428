"""What infrared bands would be worth: colours alone, with and without them, in Uttar Pradesh.

    python -m tests.benchmarks.infrared ../shared/data

Only the chips of Uttar Pradesh have more bands than red, green and blue. The colour model of
`baselines` (a logistic regression of each pixel and its surroundings, no shape) is fitted on one
half of the chips and scored on the other, and the other way round: the folds of the free weights,
with their labels. Once with red, green and blue, once with near and short-wave infrared besides.
The gains come from the paired bootstrap over 10 km blocks.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.chips import Picture
from models.judging.out_of_fold import compare_tables, figures_of_table
from models.judging.scoring import join_scores, score_places
from models.labelled.dataset import Source, load_dataset
from models.weights import NetworkShape
from tests.benchmarks.colour_model import fit_colour_model

DATASET = Path("models/datasets/brick_kiln_free.toml")
FOLDS = ("north", "south")
REGION = "Uttar Pradesh"
BANDS = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12"]
# None, then two choices of three: the finest ones, and others, to see whether the choice matters.
ADDED = ((), ("B08", "B11", "B12"), ("B05", "B8A", "B11"))
TOLERANCE_M = 100.0

Chips = dict[str, NDArray[np.uint8]]


def read_chips(data: Path) -> Chips:
    """All twelve bands of the chips, (12, y, x), by name."""
    folder = data / "agrifieldnet_s2"
    names = pd.read_csv(folder / "chips.csv", dtype={"chip": str})["chip"]
    with np.load(folder / "chips64_12band.npz") as file:
        return dict(zip(names, file["x"], strict=True))


def widened(pictures: tuple[Picture, ...], chips: Chips, added: tuple[str, ...]):
    """The pictures with more bands behind red, green and blue."""
    index = [BANDS.index(name) for name in added]
    return tuple(
        replace(p, pixels=np.concatenate([p.pixels, chips[p.name][index]])) for p in pictures
    )


def scores(data: Path, chips: Chips, added: tuple[str, ...]) -> pd.DataFrame:
    """Scores of both halves, each by a model of the other."""
    tables = []
    for fold in FOLDS:
        dataset = load_dataset(DATASET, data, fold, simulate=False)
        (source,) = [s for s in dataset.train if s.name == REGION]
        taught = Source(source.name, source.share, widened(source.pictures, chips, added))
        model = fit_colour_model([taught], NetworkShape())
        found = [model.detect(p) for p in widened(dataset.test, chips, added)]
        tables.append(score_places(dataset.test, found, TOLERANCE_M, fold))
    return join_scores(tables)


def main(data: Path) -> None:
    """Print average precision, and what each choice of bands gains."""
    chips = read_chips(data)
    plain, *others = [scores(data, chips, added) for added in ADDED]
    for added, table in zip(ADDED, (plain, *others), strict=True):
        ap = next(f for f in figures_of_table(table, 0.3) if "average precision" in f.name)
        print(f"{' '.join(('B04', 'B03', 'B02', *added))}: AP {ap.value} [{ap.low}, {ap.high}]")
        if added:
            gains = compare_tables(plain, table, 0.3, 0.3)
            print("  " + str(next(g for g in gains if g.figure == "average precision")))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
