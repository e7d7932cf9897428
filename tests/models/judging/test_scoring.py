"""Tables of scores lose nothing that was looked at; mistakes are looked for everywhere."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.detector import Detector
from models.judging.out_of_fold import figures_of_table
from models.judging.scoring import (
    MISTAKE_DISTANCE_PX,
    SCORE_COLUMNS,
    find_mistakes,
    join_scores,
    read_scores,
    score_pictures,
    score_table,
    write_scores,
)
from models.labelled.dataset import Source
from tests.models.made_up_models import make_weights, simulated_picture
from tiles.errors import DatasetError


def test_land_with_neither_sites_nor_detections_keeps_its_area() -> None:
    detector = Detector(make_weights(threshold=0.999), "cpu", "fp32")
    first = score_pictures(detector, [simulated_picture(5, 3)])
    table = score_table(first, "a", 100.0, region="Land")
    nothing = replace(
        first,
        detections=first.detections[:0],
        scores=first.scores[:0],
        sites=first.sites[:0],
        doubtful=first.doubtful[:0],
    )
    empty = score_table(nothing, "b", 100.0, region="Land")
    assert (len(empty), empty["score"].iloc[0], empty["is_site"].any()) == (1, 0.0, False)
    joined = join_scores([table, empty])
    n = len(first.sites)
    assert joined["per_1000km2"].unique() == pytest.approx(
        1000 * n / (2 * first.area_km2), abs=0.01
    )
    alarms = [
        next(f.value for f in figures_of_table(t, 0.0) if f.name.endswith("per 1,000 km2"))
        for t in (table, joined)
    ]
    assert alarms[1] == pytest.approx(alarms[0] / 2, abs=0.1)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace(b"0.5", b"half"),
        lambda text: text.replace(b"True", b"perhaps"),
        lambda _: b"",
        lambda _: b"\xff\xfe\x00",
    ],
    ids=["score", "truth", "empty", "no text"],
)
def test_a_table_that_cannot_be_read_is_one_sentence(
    spoil: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "s.csv"
    path.write_text(f"{','.join(SCORE_COLUMNS)}\n0.5,True,30.0,Land/1/1,Land,d1,0,100.0\n")
    assert len(read_scores([path])) == 1
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DatasetError, match=r"no out-of-fold scores at .*s\.csv"):
        read_scores([path])


def test_mistakes_are_looked_for_in_every_picture_and_away_from_known_sites() -> None:
    detector = Detector(make_weights(threshold=0.5), "cpu", "fp32")  # untrained: peaks everywhere
    picture = simulated_picture(5, 3, size_px=64)
    found = find_mistakes(detector, (Source("many", 1.0, (picture,) * 70),), per_picture=5)
    assert sorted(found) == [(0, n) for n in range(70)]
    assert all(len(points) == 5 for points in found.values())
    row = np.array([points.row for points in found.values()])[..., None] - picture.sites.row
    col = np.array([points.col for points in found.values()])[..., None] - picture.sites.col
    assert np.hypot(row, col).min() > MISTAKE_DISTANCE_PX


def test_score_tables_hold_sites_never_found(tmp_path: Path) -> None:
    detector = Detector(make_weights(threshold=0.999), "cpu", "fp32")
    scored = score_pictures(detector, [simulated_picture(5, 3), simulated_picture(6, 2)])
    assert detector.threshold == 0.999
    table = score_table(scored, "made up", 100.0)
    assert table["is_site"].sum() == len(scored.sites) == 5
    write_scores(table, tmp_path / "s.csv")
    back = read_scores([tmp_path / "s.csv"])
    assert np.allclose(back["score"], table["score"])
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DatasetError, match="has the columns"):
        read_scores([tmp_path / "wrong.csv"])
    with pytest.raises(DatasetError, match="train the held-out datasets first"):
        read_scores([tmp_path / "none.csv"])
