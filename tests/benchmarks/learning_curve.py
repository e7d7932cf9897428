"""How much a detector of a region never seen gains from more kilns elsewhere: AP in Delhi.

    python -m tests.benchmarks.learning_curve ../shared/data OUT [--steps 900]

Trains the detector without Delhi on a quarter, half and all of the other regions' kilns, drawn by
place (districts of Bangladesh, blocks of 20 km of Uttar Pradesh; the smaller sets lie within the
larger), with the same negatives, made-up patches, recipe and seed, and scores all of Delhi. Fewer
steps than the shipped weights have, alike for the three. What is trained already is not trained
again. Writes `learning_curve.svg`, with what labels in Delhi itself are worth beside it (the
means of `review_curve.py`, as docs/comparing.md has them), and a line at what Delhi's own imagery
is worth without labels (`kilnlight adapt`, from the tables of the dataset file).
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np

from models import training
from models.judging.out_of_fold import figures_of_table
from models.judging.scoring import read_scores
from models.labelled.dataset import Dataset, Source, load_dataset
from models.labelled.dataset_file import read_dataset_file
from models.training import TrainSettings, train
from tiles.files import write_text

DATASET = Path("models/datasets/brick_kiln.toml")
LABELLED = ("Bangladesh", "Uttar Pradesh")
SHARES = (0.25, 0.5, 1.0)
# Decisions in Delhi's western half and the AP in its eastern half, mean of two seeds.
LOCAL = ((0, 0.63), (25, 0.72), (50, 0.73), (100, 0.75), (200, 0.79))


@dataclass(frozen=True)
class Point:
    """One point of the curve, with its 95 % interval where there is one."""

    kilns: int
    ap: float
    low: float
    high: float


def places_drawn(source: Source, share: float, seed: int) -> set[str]:
    """Places in random order, as many as hold most nearly this share of a source's kilns."""
    names = np.random.default_rng(seed).permutation(sorted({p.place for p in source.pictures}))
    kilns = [sum(len(p.sites) for p in source.pictures if p.place == name) for name in names]
    off = np.abs(np.cumsum(kilns) - share * sum(kilns))
    # of several that do alike the longest: places without a kiln are negatives
    return set(names[: len(off) - int(np.argmin(off[::-1]))])


def thinned(dataset: Dataset, share: float, seed: int = 0) -> Dataset:
    """The dataset with a share of the places of its labelled sources, the others as they are."""

    def less(source: Source) -> Source:
        if source.name not in LABELLED:
            return source
        kept = places_drawn(source, share, seed)
        return replace(source, pictures=tuple(p for p in source.pictures if p.place in kept))

    return replace(dataset, train=tuple(less(source) for source in dataset.train))


def point(data: Path, share: float, steps: int, out: Path) -> Point:
    """Train on a share of the kilns, unless that was done, and score Delhi."""
    weights = out / f"share_{share:g}.safetensors"

    def load(*args, **options):
        return thinned(load_dataset(*args, **options), share)

    if not weights.is_file():
        settings = TrainSettings(
            dataset=DATASET, out=weights, data_root=data, fold="to_delhi", steps=steps, threads=1
        )
        with patch.object(training, "load_dataset", load):
            train(settings)
    figures = figures_of_table(read_scores([weights.with_suffix(".scores.csv")]), 0.3)
    found = next(f for f in figures if f.name == "Delhi: average precision")
    sources = load(DATASET, data, "to_delhi", simulate=False).train
    kilns = sum(len(p.sites) for s in sources if s.name in LABELLED for p in s.pictures)
    return Point(kilns, found.value, found.low, found.high)


def adapted_ap() -> float:
    """AP in Delhi of weights adapted to its imagery that never saw a label there: mean of seeds."""
    tables = [DATASET.parent / path for path in read_dataset_file(DATASET).adapted]
    scores = read_scores([path for path in tables if "delhi" in path.name])
    figures = figures_of_table(scores, 0.3)
    return next(f.value for f in figures if f.name == "Delhi: average precision")


def svg(points: Sequence[Point], adapted: float) -> str:
    """Two panels side by side: kilns of other regions, and decisions in Delhi itself."""
    far = [(p.kilns, p.ap) for p in points]
    bars = "".join(
        f'<path d="M{_x(p.kilns, 0, 250):.0f} {_y(p.low):.0f}V{_y(p.high):.0f}"/>' for p in points
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 330" role="img" '
        'font-family="sans-serif" font-size="13"><title>Average precision in Delhi against kilns '
        "of other regions, and against decisions in Delhi itself</title>"
        '<rect width="720" height="330" fill="#fff"/>'
        + _panel(0, "kilns of other regions (95 % interval)", (0, 100, 200), 250, far)
        + f'<g stroke="#b3541e" stroke-width="2">{bars}</g>'
        + f'<path d="M60 {_y(adapted):.0f}H340" stroke="#1e6ba0" stroke-width="2"/>'
        + f'<text x="64" y="{_y(adapted) - 6:.0f}" fill="#1e6ba0">adapted to Delhi\'s own imagery, '
        + "unlabelled</text>"
        + _panel(360, "decisions in Delhi's west, scored in its east", (0, 100, 200), 250, LOCAL)
        + "</svg>\n"
    )


def _panel(
    left: int, label: str, ticks: Sequence[int], most: int, points: Sequence[tuple[float, float]]
) -> str:
    at = [(_x(x, left, most), _y(y)) for x, y in points]
    line = " ".join(f"{x:.0f},{y:.0f}" for x, y in at)
    dots = "".join(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="4"/>' for x, y in at)
    grid = "".join(
        f'<path d="M{left + 50} {_y(v):.0f}H{left + 345}" stroke="#ddd"/>'
        f'<text x="{left + 44}" y="{_y(v) + 4:.0f}" text-anchor="end">{v:g}</text>'
        for v in (0, 0.25, 0.5, 0.75, 1.0)
    )
    marks = "".join(
        f'<text x="{_x(t, left, most):.0f}" y="288" text-anchor="middle">{t}</text>' for t in ticks
    )
    return (
        f"{grid}{marks}"
        f'<text x="{left + 197}" y="312" text-anchor="middle">{label}</text>'
        f'<polyline points="{line}" fill="none" stroke="#b3541e" stroke-width="2"/>'
        f'<g fill="#b3541e">{dots}</g>'
    )


def _x(value: float, left: int, most: int) -> float:
    return left + 60 + 280 * value / most


def _y(ap: float) -> float:
    return 270 - 250 * ap


def main() -> None:
    """Train, score, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=900)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    points = []
    for share in SHARES:
        points.append(point(asked.data, share, asked.steps, asked.out))
        p = points[-1]
        print(
            f"{share:.0%}: {p.kilns} kilns, AP {p.ap:.3f} [{p.low:.3f}, {p.high:.3f}]", flush=True
        )
    write_text(asked.out / "learning_curve.svg", svg(points, adapted_ap()))


if __name__ == "__main__":
    main()
