"""Labelled pictures: boxes from corners, and parts that know where they came from."""

from pathlib import Path

import numpy as np
import pytest

from models.chips import LonLat, PixelRect, SiteLabels
from models.labelled.formats.sites import read_scene
from tests.made_up import noise, write_raster


@pytest.mark.parametrize("turn", [0.0, 0.4, 1.5, 3.0])
def test_corners_give_the_box_back_from_any_first_corner(turn: float) -> None:
    local = np.array([[-6, -3], [6, -3], [6, 3], [-6, 3]], float)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    for first in range(4):
        box = np.roll(local @ rotation + [40, 20], first, axis=0)
        site = SiteLabels.from_corners(box[None])
        assert (site.col[0], site.row[0]) == (pytest.approx(40), pytest.approx(20))
        assert (site.length_px[0], site.width_px[0]) == (pytest.approx(12), pytest.approx(6))
        difference = (site.angle_rad[0] - turn + np.pi / 2) % np.pi - np.pi / 2
        assert difference == pytest.approx(0.0, abs=1e-6)


def test_a_part_knows_its_sites_its_place_and_where_it_was_cut(tmp_path: Path) -> None:
    image = write_raster(tmp_path / "scene.tif", noise(60, 80))
    table = tmp_path / "kilns.csv"
    table.write_text("x,y,trusted\n20,30,true\n50,35,true\n60,45,false\n50,5,true\n")
    whole = read_scene(image, table, "made up")
    part = whole.cut(PixelRect(20, 60, 40, 80), "east").cut(PixelRect(0, 30, 5, 40), "corner")
    assert (part.place, part.first_row, part.first_col) == ("corner", 20, 45)
    assert part.pixels.shape == (3, 30, 35)
    assert np.array_equal(part.pixels, whole.pixels[:, 20:50, 45:80])
    assert (part.sites.col.tolist(), part.sites.row.tolist()) == ([5.0], [15.0])
    assert (part.doubtful.col.tolist(), part.doubtful.row.tolist()) == ([15.0], [25.0])
    assert part.ground.east_m == pytest.approx(500_000 + 450)
    assert part.ground.north_m == pytest.approx(2_990_000 - 200)
    assert whole.middle is not None
    assert part.middle is not None
    # The middle moved from (40, 30) to (62.5, 35) px: 225 m east, 50 m south.
    expected = whole.middle.moved(225.0, -50.0)
    assert part.middle.lon == pytest.approx(expected.lon, abs=1e-8)
    assert part.middle.lat == pytest.approx(expected.lat, abs=1e-8)
    assert whole.columns(40, 80, "east").first_col == 40


def test_a_degree_east_shrinks_with_latitude() -> None:
    moved = LonLat(10.0, 60.0).moved(111_320.0, 111_320.0)
    assert moved.lon == pytest.approx(12.0)
    assert moved.lat == pytest.approx(61.0)
