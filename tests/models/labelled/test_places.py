"""Places on the ground: strips and blocks, and how far training stays from what is held out."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.chips import Ground, LonLat, Picture, PixelPoints, PixelRect, SiteLabels
from models.labelled.places import (
    BLOCK_M,
    block_name,
    near_any,
    scene_parts,
    training_rects,
)
from tiles.errors import DatasetError


def picture(rows: int, cols: int, middle: LonLat | None = None, gsd_m: float = 10.0) -> Picture:
    none = PixelPoints.none()
    return Picture(
        name="made up",
        place="land",
        pixels=np.zeros((3, 1, 1), np.uint8),
        usable=np.broadcast_to(np.True_, (rows, cols)),
        sites=SiteLabels.at(none),
        doubtful=none,
        blind_edge_px=0,
        ground=Ground(0.0, 0.0, gsd_m, gsd_m),
        middle=middle,
    )


def test_strips_cover_the_scene_once_from_west_to_east() -> None:
    parts = scene_parts(picture(100, 8905), strips=4)
    assert [p.place for p in parts] == ["land/1", "land/2", "land/3", "land/4"]
    assert (parts[0].rect.col0, parts[-1].rect.col1) == (0, 8905)
    assert all(a.rect.col1 == b.rect.col0 for a, b in pairwise(parts))
    assert all(p.rect.row1 == 100 for p in parts)
    with pytest.raises(DatasetError, match=r"6 strips would be 14\.8 km each, at least 15 km"):
        scene_parts(picture(100, 8905), strips=6)


def test_blocks_are_at_least_20_km() -> None:
    parts = scene_parts(picture(4300, 6900), strips=None)
    assert [p.place for p in parts] == [f"land/{i}" for i in range(1, 7)]
    assert all((p.rect.row1 - p.rect.row0) * 10 >= BLOCK_M for p in parts)
    assert all((p.rect.col1 - p.rect.col0) * 10 >= BLOCK_M for p in parts)
    assert sum(_area(p.rect) for p in parts) == 4300 * 6900
    assert [p.place for p in scene_parts(picture(100, 100), strips=None)] == ["land"]


def _area(rect: PixelRect) -> int:
    return (rect.row1 - rect.row0) * (rect.col1 - rect.col0)


GUARD = PixelRect(0, 100, 0, 114)


def test_training_keeps_off_a_strip_and_joins_what_lies_side_by_side() -> None:
    parts = scene_parts(picture(500, 8000), strips=4)
    (all_of_it,) = training_rects(parts, set(), GUARD)
    assert all_of_it == PixelRect(0, 500, 0, 8000)
    west, east = training_rects(parts, {"land/2"}, GUARD)
    assert west == PixelRect(0, 500, 0, 2000 - 114)
    assert east == PixelRect(0, 500, 4000 + 114, 8000)
    assert training_rects(parts, {p.place for p in parts}, GUARD) == []


@given(
    rows=st.integers(1, 3),
    cols=st.integers(1, 4),
    held=st.sets(st.integers(1, 12), min_size=1),
)
def test_no_training_pixel_lies_within_the_guard(rows: int, cols: int, held: set[int]) -> None:
    parts = scene_parts(picture(2000 * rows, 2000 * cols), strips=None)
    closed = [p.rect for p in parts if p.place in {f"land/{i}" for i in held}]
    rects = training_rects(parts, {f"land/{i}" for i in held}, GUARD)
    for rect in rects:
        assert _area(rect) > 0
        for other in closed:
            rows_apart = max(other.row0 - rect.row1, rect.row0 - other.row1)
            cols_apart = max(other.col0 - rect.col1, rect.col0 - other.col1)
            assert rows_apart >= 100 or cols_apart >= 114
    if len(parts) > 1 and closed and len(closed) < len(parts):
        assert rects


def test_blocks_of_land_have_names_and_edges() -> None:
    here = LonLat(81.5, 27.5)
    assert block_name("UP", here, BLOCK_M) == "UP/-169_393"
    assert block_name("", here, BLOCK_M) == "-169_393"
    assert block_name("UP", here.moved(BLOCK_M, 0), BLOCK_M) != block_name("UP", here, BLOCK_M)
    assert block_name("UP", here.moved(1.0, 0), BLOCK_M) == block_name("UP", here, BLOCK_M)


@given(gap_m=st.floats(-500, 3000), north=st.booleans(), latitude=st.floats(-50, 50))
def test_pictures_are_near_by_their_outlines(gap_m: float, north: bool, latitude: float) -> None:
    start = LonLat(80.0, latitude)
    apart = 1280 / 2 + 640 / 2 + gap_m
    one = picture(128, 128, start)
    other = picture(64, 64, start.moved(0, apart) if north else start.moved(apart, 0))
    if abs(gap_m - 1000) > 20:
        assert near_any([one], [other], 1000.0) == [gap_m < 1000]
    assert near_any([one], [], 1000.0) == [False]


def test_a_picture_from_nowhere_is_near_nobody() -> None:
    somewhere, nowhere = picture(64, 64, LonLat(80, 20)), picture(64, 64)
    assert near_any([somewhere, nowhere], [somewhere, nowhere], 1000.0) == [True, False]
