"""Tables of scores: nothing that was looked at is lost from them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from models.detector import Detector
from models.judging.out_of_fold import figures_of_table
from models.judging.scoring import (
    SCORE_COLUMNS,
    join_scores,
    read_scores,
    score_pictures,
    score_table,
)
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
