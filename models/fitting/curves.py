"""A training's curves: loss, learning rate and held-out precision, as a CSV and a small picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from models.fitting.loop import Progress
from tiles.files import write_text

# Points of a line in the picture; more than pixels would only blur it.
MOST_POINTS = 400
WIDTH, HEIGHT, MARGIN = 640, 150, 44  # of one panel, in the picture's units


def write_curves(history: Sequence[Progress], weights: Path) -> None:
    """Write `WEIGHTS.curve.csv` (a row a step) and `WEIGHTS.curve.svg` beside the weights."""
    rows = [
        f"{p.step},{p.loss:.5f},{p.learning_rate:.3e},"
        f"{'' if p.held_out_ap is None else format(p.held_out_ap, '.4f')}\n"
        for p in history
    ]
    header = "step,loss,learning_rate,held_out_ap\n"
    write_text(weights.with_suffix(".curve.csv"), header + "".join(rows))
    write_text(weights.with_suffix(".curve.svg"), curve_picture(history))


def curve_picture(history: Sequence[Progress]) -> str:
    """The curves as an SVG that opens in any browser."""
    panels = [
        ("loss (mean of neighbouring steps)", _smoothed([(p.step, p.loss) for p in history])),
        ("learning rate", _thinned([(p.step, p.learning_rate) for p in history])),
        (
            "average precision on places held out (shown, never used to choose)",
            [(p.step, p.held_out_ap) for p in history if p.held_out_ap is not None],
        ),
    ]
    shown = [(title, points) for title, points in panels if points]
    drawn = [_panel(title, points, i) for i, (title, points) in enumerate(shown)]
    height = HEIGHT * len(shown)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" font-size="11">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>\n' + "".join(drawn) + "</svg>\n"
    )


def _thinned(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    return points[:: max(math.ceil(len(points) / MOST_POINTS), 1)]


def _smoothed(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Means of runs of steps, so that a line shows the trend and not the samples."""
    size = max(math.ceil(len(points) / MOST_POINTS), 1)
    runs = [points[i : i + size] for i in range(0, len(points), size)]
    return [(run[-1][0], sum(value for _, value in run) / len(run)) for run in runs]


def _panel(title: str, points: Sequence[tuple[int, float]], number: int) -> str:
    top = number * HEIGHT + 24
    bottom, right = top + HEIGHT - 52, WIDTH - 12
    low, high = min(v for _, v in points), max(v for _, v in points)
    last = max(points[-1][0], 1)
    span = (high - low) or 1.0
    x = [MARGIN + (right - MARGIN) * step / last for step, _ in points]
    y = [bottom - (bottom - top) * (value - low) / span for _, value in points]
    line = " ".join(f"{i:.1f},{j:.1f}" for i, j in zip(x, y, strict=True))
    return (
        f'<text x="{MARGIN}" y="{top - 8}">{title}</text>\n'
        f'<path d="M{MARGIN} {top}V{bottom}H{right}" fill="none" stroke="#888"/>\n'
        f'<text x="{MARGIN - 4}" y="{top + 8}" text-anchor="end">{high:.3g}</text>\n'
        f'<text x="{MARGIN - 4}" y="{bottom}" text-anchor="end">{low:.3g}</text>\n'
        f'<text x="{right}" y="{bottom + 14}" text-anchor="end">step {last}</text>\n'
        f'<polyline points="{line}" fill="none" stroke="#a03c1e" stroke-width="1.5"/>\n'
    )
