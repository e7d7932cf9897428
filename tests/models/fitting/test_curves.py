"""A training's curves: every step in the table, and a picture any browser opens."""

import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from models.fitting.curves import MOST_POINTS, curve_picture, write_curves
from models.fitting.loop import Progress

SVG = "{http://www.w3.org/2000/svg}"


def history(n: int, watched: bool) -> list[Progress]:
    return [
        Progress(
            i, n, 5 * math.exp(-i / n), 0.003, i / n if watched and i % (n // 10) == 0 else None
        )
        for i in range(1, n + 1)
    ]


def lines(picture: str) -> list[list[list[float]]]:
    root = ElementTree.fromstring(picture)
    return [
        [[float(v) for v in point.split(",")] for point in line.attrib["points"].split()]
        for line in root.iter(f"{SVG}polyline")
    ]


@pytest.mark.parametrize("watched", [True, False])
def test_the_picture_shows_each_curve_in_its_panel(watched: bool) -> None:
    drawn = lines(curve_picture(history(2000, watched)))
    assert len(drawn) == (3 if watched else 2)
    loss = drawn[0]
    assert len(loss) == MOST_POINTS
    assert loss[0][0] < loss[-1][0]
    assert loss[0][1] < loss[-1][1]  # the loss falls: further down the page
    if watched:
        assert len(drawn[2]) == 10
        assert drawn[2][-1][1] < drawn[2][0][1]


def test_one_step_and_a_flat_line_are_drawn_too() -> None:
    assert len(lines(curve_picture(history(1, False)))[0]) == 1


def test_the_table_has_every_step(tmp_path: Path) -> None:
    write_curves(history(20, True), tmp_path / "own.safetensors")
    rows = (tmp_path / "own.curve.csv").read_text().splitlines()
    assert rows[0] == "step,loss,learning_rate,held_out_ap"
    assert rows[1] == "1,4.75615,3.000e-03,"
    assert rows[2] == "2,4.52419,3.000e-03,0.1000"
    assert len(rows) == 21
    assert (tmp_path / "own.curve.svg").read_text() == curve_picture(history(20, True))
