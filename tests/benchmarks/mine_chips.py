"""What the gold mine figures are worth: paired gains, a simple baseline, random land trained on.

    python -m tests.benchmarks.mine_chips gain FIRST SECOND [../shared/data]
    python -m tests.benchmarks.mine_chips baseline [../shared/data]
    python -m tests.benchmarks.mine_chips land FOLD [../shared/data]

`gain` compares two folders of `.chips.csv` over the same resampled places. `baseline` fits a
logistic regression on statistics of colour and texture, once with whole galleries kept out, as the
detector is judged, and once with places kept out whose galleries are trained on: the gap between
the two is what a gallery's look, and its kinds of land, give away. `land` trains a fold's network
(four minutes) on three quarters of random land besides, by place, and judges it and the one that
saw none on the fold and the last quarter: a sample of the gallery that it learnt from.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from models.judging.evaluation import Interval, interval_of
from models.labelled.chip_dataset import Chips, load_chips
from models.patches.figures import (
    HARD,
    RANDOM,
    REPLICATES,
    SPECIFICITY,
    Contrast,
    contrasts,
    mean_over_networks,
    patch_figures,
)
from models.patches.fitting import fit_patches, score_chips
from models.patches.training import default_patch_recipe

DATASET = Path("models/datasets/gold_mine.toml")
MEASURES = {"AUC": Contrast.auc, f"sensitivity at {SPECIFICITY}": Contrast.sensitivity}
QUANTILES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
SCALES_PX = (1, 2, 4, 8)  # of texture, in pixels of 10 m
RIDGE = 1.0  # on standardised statistics: weak beside thousands of chips, and never tuned

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def paired_gain(
    first: pd.DataFrame,
    second: pd.DataFrame,
    chips: Chips,
    against: str,
    measure: Callable[[Contrast, Floats], float],
) -> Interval:
    """Second less first, with the same places drawn for both (Efron and Tibshirani, 1993)."""
    parts = [contrasts(table, chips, against) for table in (first, second)]
    rng = np.random.default_rng(0)
    n_places = int(chips.place.max()) + 1

    def difference(times: NDArray[np.int64]) -> float:
        a, b = (mean_over_networks(part, measure, times) for part in parts)
        return b - a

    draws = (rng.multinomial(n_places, np.full(n_places, 1 / n_places)) for _ in range(REPLICATES))
    replicates = [difference(times) for times in draws]
    return interval_of(difference(np.ones(n_places, np.int64)), replicates)


def statistics(pixels: NDArray[np.uint8]) -> Floats:
    """Colour and texture of chips (n, band, y, x): quantiles, contrasts at four scales."""
    x = pixels.astype(np.float32)
    pairs = [x[:, 0] - x[:, 1], x[:, 1] - x[:, 2], x[:, 0] - x[:, 2]]
    out = []
    for layer in [*x.transpose(1, 0, 2, 3), *pairs]:
        flat = layer.reshape(len(x), -1)
        out += [flat.mean(1), flat.std(1), *np.quantile(flat, QUANTILES, axis=1)]
        out += [contrast for scale in SCALES_PX for contrast in _texture(layer, scale)]
    return np.stack(out, 1).astype(float)


def _texture(layer: NDArray[np.float32], scale: int) -> list[NDArray[np.float32]]:
    side = layer.shape[1] // scale
    coarse = layer.reshape(len(layer), side, scale, side, scale).mean((2, 4))
    return [np.abs(np.diff(coarse, axis=axis)).mean((1, 2)) for axis in (1, 2)]


def fit_logistic(x: Floats, is_site: Bools) -> Callable[[Floats], Floats]:
    """Ridge logistic regression on standardised columns, both classes weighing the same."""
    mean, scale = x.mean(0), x.std(0) + 1e-9
    z = np.column_stack([(x - mean) / scale, np.ones(len(x))])
    weight = np.where(is_site, 0.5 / is_site.mean(), 0.5 / (~is_site).mean())

    def loss(beta: Floats) -> tuple[float, Floats]:
        logit = z @ beta
        value = weight @ (np.logaddexp(0, logit) - is_site * logit) + RIDGE * beta @ beta / 2
        return float(value), z.T @ (weight * (expit(logit) - is_site)) + RIDGE * beta

    beta = minimize(loss, np.zeros(z.shape[1]), jac=True, method="L-BFGS-B").x
    return lambda other: np.column_stack([(other - mean) / scale, np.ones(len(other))]) @ beta


def _table(chips: Chips, fold: int, index: NDArray[np.int64], logit: Floats) -> pd.DataFrame:
    name = chips.fold_names[fold]
    return pd.DataFrame({"chip": index, "fold": name, "seed": 0, "logit": logit})


def quarters(chips: Chips) -> NDArray[np.int64]:
    """One of four parts for each chip, chips of a place together."""
    return np.random.default_rng(0).permutation(int(chips.place.max()) + 1)[chips.place] % 4


def baseline(chips: Chips) -> None:
    """Print the figures of the regression, with galleries kept out and with places kept out."""
    x = statistics(chips.pixels)
    tables = []
    for fold in range(len(chips.fold_names)):
        score = fit_logistic(x[chips.trained_on(fold)], chips.is_site[chips.trained_on(fold)])
        index = chips.scored_by(fold)
        tables.append(_table(chips, fold, index, score(x[index])))
    print("galleries kept out")
    for figure in patch_figures(pd.concat(tables), chips):
        print(f"  {figure.name}: {figure.value} [{figure.low}, {figure.high}]")
    part = quarters(chips)
    logit = np.zeros(len(x))
    for number in range(4):
        taught = (part != number) & ~chips.random_land
        logit[part == number] = fit_logistic(x[taught], chips.is_site[taught])(x[part == number])
    hard = ~chips.random_land
    apart = Contrast(logit[hard], chips.is_site[hard], chips.place[hard])
    print(f"places kept out, galleries trained on: AUC {apart.auc(np.ones(hard.sum())):.4f}")


def land(chips: Chips, fold_name: str) -> None:
    """Print what random land in training is worth to one fold, seed 0."""
    fold = chips.fold_names.index(fold_name)
    taught, judged = with_land(chips, fold)
    recipe = default_patch_recipe(chips.file.steps, chips.pixels.shape[2])
    training = fit_patches(chips.pixels[taught], chips.is_site[taught], recipe, 0)
    after = _table(chips, fold, judged, score_chips(training.averaged(), chips.pixels[judged]))
    before = pd.read_csv(DATASET.with_suffix("") / f"{fold_name}_0.chips.csv")
    for words, table in (("none", before[before["chip"].isin(judged)]), ("taught", after)):
        for against in (HARD, RANDOM):
            (part,) = contrasts(table, chips, against)
            once = np.ones(len(part.score))
            print(f"random land {words}, {against}: AUC {part.auc(once):.3f}, ", end="")
            print(f"sensitivity at {SPECIFICITY} {part.sensitivity(once):.3f}")


def with_land(chips: Chips, fold: int) -> tuple[Bools, NDArray[np.int64]]:
    """Chips to train on, and numbers of those to judge: the fold, and a quarter of random land."""
    closed = (chips.fold == fold) | (chips.random_land & (quarters(chips) == fold % 4))
    return ~closed & ~np.isin(chips.place, chips.place[closed]), np.flatnonzero(closed)


def gain(chips: Chips, first: Path, second: Path) -> None:
    """Print how much better the second folder's scores are than the first's."""
    tables = [
        pd.concat([pd.read_csv(path) for path in sorted(folder.glob("*.chips.csv"))])
        for folder in (first, second)
    ]
    for against in (HARD, RANDOM):
        for name, measure in MEASURES.items():
            print(f"{against}: {name}: gain {paired_gain(*tables, chips, against, measure)}")


def main(arguments: list[str]) -> None:
    """Run the part that the first argument names."""
    wanted = {"gain": 2, "baseline": 0, "land": 1}[arguments[0]]
    own, rest = arguments[1 : 1 + wanted], arguments[1 + wanted :]
    chips = load_chips(DATASET, Path(rest[0] if rest else "../shared/data"))
    if arguments[0] == "gain":
        gain(chips, Path(own[0]), Path(own[1]))
    elif arguments[0] == "land":
        land(chips, own[0])
    else:
        baseline(chips)


if __name__ == "__main__":
    main(sys.argv[1:])
