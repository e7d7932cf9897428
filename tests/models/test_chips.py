"""Reading labelled imagery, and what is said when it is wrong."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.chips import SiteLabels, read_empty_chips, read_scene, read_tiles
from tests.made_up import DEGREES, UTM_44N, noise, write_raster
from tiles.errors import DatasetError


def write_scene(folder: Path, rows: list[dict[str, object]]) -> tuple[Path, Path]:
    image = write_raster(folder / "scene.tif", noise(60, 80))
    table = folder / "kilns.csv"
    pd.DataFrame(rows).to_csv(table, index=False)
    return image, table


def corners(x: float, y: float, length: float, width: float) -> dict[str, object]:
    """A box along the columns, clockwise from its upper left."""
    left, top = x - length / 2, y - width / 2
    points = [(left, top), (left + length, top), (left + length, top + width), (left, top + width)]
    return {f"{a}{i}": v for i, p in enumerate(points, 1) for a, v in zip("xy", p, strict=True)}


def test_a_scene_with_boxes_doubtful_places_and_bad_boxes(tmp_path: Path) -> None:
    image, table = write_scene(
        tmp_path,
        [
            {"x": 20.0, "y": 30.0, "trusted": True, **corners(20, 30, 12, 6)},
            {"x": 50.0, "y": 10.0, "trusted": True},
            {"x": 60.0, "y": 40.0, "trusted": True, **corners(60, 40, 4, 2)},
            {"x": 70.0, "y": 50.0, "trusted": False},
        ],
    )
    picture = read_scene(image, table, "made up")
    assert picture.pixels.shape == (3, 60, 80)
    assert picture.sites.row.tolist() == [30.0, 10.0, 40.0]
    assert picture.sites.has_box.tolist() == [True, False, False]  # 4 px is a label error
    assert picture.sites.length_px[0] == pytest.approx(12.0)
    assert picture.sites.width_px[0] == pytest.approx(6.0)
    assert picture.doubtful.col.tolist() == [70.0]
    assert picture.area_km2 == pytest.approx(60 * 80 * 1e-4)


def test_columns_are_a_place_of_their_own(tmp_path: Path) -> None:
    image, table = write_scene(tmp_path, [{"x": 20.0, "y": 30.0}, {"x": 50.0, "y": 10.0}])
    part = read_scene(image, table, "made up").columns(40, 80, "east")
    assert part.pixels.shape == (3, 60, 40)
    assert part.sites.col.tolist() == [10.0]
    assert part.ground.east_m - 40 * part.ground.col_m == pytest.approx(500_000.0)


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


def test_degrees_become_metres_at_the_pictures_latitude(tmp_path: Path) -> None:
    image = write_raster(tmp_path / "d.tif", noise(60, 80), crs="EPSG:4326", transform=DEGREES)
    table = tmp_path / "k.csv"
    pd.DataFrame({"x": [1.0], "y": [1.0]}).to_csv(table, index=False)
    ground = read_scene(image, table, "made up").ground
    assert ground.row_m == pytest.approx(9e-5 * 111_320)
    assert ground.col_m == pytest.approx(9e-5 * 111_320 * np.cos(np.radians(28.5)), rel=1e-3)


def test_a_site_outside_the_image_is_named(tmp_path: Path) -> None:
    image, table = write_scene(tmp_path, [{"x": 81.0, "y": 30.0}])
    with pytest.raises(DatasetError, match=r"x 81\.0, y 30\.0, outside the image of 80 x 60"):
        read_scene(image, table, "made up")


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    image, table = write_scene(tmp_path, [{"lon": 1.0, "lat": 2.0}])
    with pytest.raises(DatasetError, match="no column 'x'"):
        read_scene(image, table, "made up")


def test_two_bands_are_too_few(tmp_path: Path) -> None:
    _, table = write_scene(tmp_path, [{"x": 1.0, "y": 2.0}])
    image = write_raster(tmp_path / "two.tif", noise(60, 80)[:2])
    with pytest.raises(DatasetError, match=r"has 2 band\(s\)"):
        read_scene(image, table, "made up")


@pytest.mark.parametrize("name", ["image", "table"])
def test_missing_files_are_named(tmp_path: Path, name: str) -> None:
    image, table = write_scene(tmp_path, [{"x": 1.0, "y": 2.0}])
    {"image": image, "table": table}[name].unlink()
    with pytest.raises(DatasetError, match="There is no"):
        read_scene(image, table, "made up")


def write_tiles(folder: Path, boxes: list[list[float]]) -> tuple[Path, Path, Path]:
    images, labels = folder / "images", folder / "labels"
    images.mkdir()
    labels.mkdir()
    write_raster(images / "a.tif", noise(128, 128), crs=UTM_44N)
    (labels / "a.json").write_text(json.dumps({"obb_px": boxes}))
    table = folder / "tiles.csv"
    table.write_text("name,district\na,north\n")
    return images, labels, table


BOX = [2, 34, 47, 46, 47, 46, 53, 34, 53]


def test_a_tile_with_its_notes_applied(tmp_path: Path) -> None:
    images, labels, table = write_tiles(tmp_path, [BOX, [2, 94, 97, 106, 97, 106, 103, 94, 103]])
    notes = tmp_path / "notes.csv"
    notes.write_text(
        "tile,x_px,y_px,verdict,note\na,100,101,wrong label,\na,10,20,unlabelled kiln,\n"
        "a,40,50,faint label,\n"
    )
    (tile,) = read_tiles(images, labels, table, notes, 5)
    assert tile.place == "north"
    assert tile.blind_edge_px == 5
    assert tile.sites.col.tolist() == [40.0]
    assert sorted(tile.doubtful.col.tolist()) == [10.0, 100.0]
    (plain,) = read_tiles(images, labels, table, None, 5)
    assert plain.sites.col.tolist() == [40.0, 100.0]


def test_a_tile_without_sites_is_background(tmp_path: Path) -> None:
    (tile,) = read_tiles(*write_tiles(tmp_path, []), None, 5)
    assert len(tile.sites) == 0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda i, la, t: (i / "a.tif").unlink(), "has no image"),
        (lambda i, la, t: (la / "a.json").unlink(), "no label file"),
        (lambda i, la, t: (la / "a.json").write_text("{}"), "holds no list obb_px"),
        (lambda i, la, t: (la / "a.json").write_text('{"obb_px": [[1, 2]]}'), "obb_px"),
        (lambda i, la, t: t.write_text("name,district\n"), "lists no tiles"),
        (lambda i, la, t: t.write_text("name\na\n"), "no column 'district'"),
    ],
)
def test_spoiled_tiles_are_said_in_one_sentence(tmp_path: Path, spoil, message: str) -> None:
    images, labels, table = write_tiles(tmp_path, [BOX])
    spoil(images, labels, table)
    with pytest.raises(DatasetError, match=message):
        read_tiles(images, labels, table, None, 5)


def test_empty_chips_keep_their_group_as_place(tmp_path: Path) -> None:
    path = tmp_path / "chips.npz"
    x = np.zeros((3, 48, 48, 3), np.uint8)
    np.savez(path, x=x, y=np.array([0, 1, 0]), gallery=np.array([4, 4, 7]))
    chips = read_empty_chips(path, "x", "gallery", keep_label=0)
    assert [c.place for c in chips] == ["chips/4", "chips/7"]
    assert chips[0].pixels.shape == (3, 48, 48)
    with pytest.raises(DatasetError, match="no readable chips"):
        read_empty_chips(path, "pixels", "gallery", None)
