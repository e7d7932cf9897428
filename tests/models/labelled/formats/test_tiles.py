"""Folders of tiles: the same boxes as JSON, as YOLO-OBB and as COCO are the same sites."""

import json
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from models.labelled.formats.tiles import TileFolder, read_tiles
from tests.made_up import UTM_44N, noise, write_raster
from tiles.errors import DatasetError

# Two boxes on a tile of 128 x 96 px: corners in pixels.
BOXES = np.array(
    [
        [[34, 47], [46, 47], [46, 53], [34, 53]],
        [[90, 60], [98, 68], [94, 72], [86, 64]],
    ],
    float,
)
COLS, ROWS = 128, 96


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two tiles 30 km apart."""
    folder = tmp_path / "images"
    folder.mkdir()
    for i, name in enumerate("ab"):
        where = Affine(10.0, 0.0, 500_000.0 + 30_000 * i, 0.0, -10.0, 2_990_000.0)
        write_raster(folder / f"{name}.tif", noise(ROWS, COLS, i), crs=UTM_44N, transform=where)
    return folder


def write_json(folder: Path) -> TileFolder:
    labels = folder / "labels"
    labels.mkdir()
    rows = [[2, *box.ravel().tolist()] for box in BOXES]
    (labels / "a.json").write_text(json.dumps({"obb_px": rows}))
    (labels / "b.json").write_text(json.dumps({"obb_px": []}))
    return TileFolder("obb_json", folder / "images", labels)


def write_yolo(folder: Path) -> TileFolder:
    labels = folder / "labels"
    labels.mkdir()
    shares = (BOXES / [COLS, ROWS]).reshape(-1, 8)
    (labels / "a.txt").write_text("".join(f"2 {' '.join(map(str, s))}\n" for s in shares))
    return TileFolder("yolo_obb", folder / "images", labels)  # b has no file: background


def write_coco(folder: Path, **changes: object) -> TileFolder:
    content: dict[str, object] = {
        "images": [
            {"id": i, "file_name": f"{name}.tif", "width": COLS, "height": ROWS}
            for i, name in enumerate("ab")
        ],
        "annotations": [
            {"id": i, "image_id": 0, "category_id": 2, "segmentation": [box.ravel().tolist()]}
            for i, box in enumerate(BOXES)
        ],
        "categories": [{"id": 2, "name": "kiln"}, {"id": 3, "name": "pond"}],
    }
    (folder / "coco.json").write_text(json.dumps(content | changes))
    return TileFolder("coco", folder / "images", folder / "coco.json")


WRITERS = {"obb_json": write_json, "yolo_obb": write_yolo, "coco": write_coco}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_gives_the_same_sites(tmp_path: Path, images: Path, kind: str) -> None:
    first, second = read_tiles(WRITERS[kind](tmp_path))
    assert first.sites.col == pytest.approx([40, 92], abs=1e-6)
    assert first.sites.row == pytest.approx([50, 66], abs=1e-6)
    assert first.sites.length_px == pytest.approx([12, np.hypot(8, 8)], abs=1e-6)
    assert first.sites.width_px == pytest.approx([6, np.hypot(4, 4)], abs=1e-6)
    assert np.cos(2 * first.sites.angle_rad) == pytest.approx([1, 0], abs=1e-6)
    assert len(second.sites) == 0
    assert first.place != second.place  # 30 km apart: never in one block of 20 km
    assert (first.name, first.blind_edge_px) == ("a.tif", 5)


def test_a_table_names_the_places(tmp_path: Path, images: Path) -> None:
    table = tmp_path / "places.csv"
    table.write_text("name,district\nb,south\na,north\n")
    yolo = write_yolo(tmp_path)
    pictures = read_tiles(
        TileFolder(yolo.format, yolo.images, yolo.labels, table=table, region="made up")
    )
    assert [(p.name, p.place, p.region) for p in pictures] == [
        ("a.tif", "north", "made up"),
        ("b.tif", "south", "made up"),
    ]
    table.write_text("name,district\na,north\n")
    with pytest.raises(DatasetError, match="does not name the tile b"):
        read_tiles(TileFolder(yolo.format, yolo.images, yolo.labels, table=table))
    table.write_text("name,district\na,north\nb,\n")
    with pytest.raises(DatasetError, match="line 3, lacks a name or a district"):
        read_tiles(TileFolder(yolo.format, yolo.images, yolo.labels, table=table))
    table.write_text("name,district\na,north\na,south\n")
    with pytest.raises(DatasetError, match="lists the tile a twice"):
        read_tiles(TileFolder(yolo.format, yolo.images, yolo.labels, table=table))


def test_tiles_and_places_named_by_figures_keep_their_noughts(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    write_raster(tmp_path / "images/0012.tif", noise(ROWS, COLS))
    (tmp_path / "labels/0012.txt").write_text("0 0.4 0.4 0.5 0.4 0.5 0.5 0.4 0.5\n")
    (tmp_path / "places.csv").write_text("name,district\n0012,07\n")
    (tmp_path / "notes.csv").write_text("tile,x_px,y_px,verdict\n0012,58,43,wrong label\n")
    (picture,) = read_tiles(
        TileFolder(
            "yolo_obb",
            tmp_path / "images",
            tmp_path / "labels",
            table=tmp_path / "places.csv",
            notes=tmp_path / "notes.csv",
        )
    )
    assert picture.place == "07"
    assert (len(picture.sites), len(picture.doubtful)) == (0, 1)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_tile_without_any_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    flat = {"crs": None, "transform": Affine.identity()}
    write_raster(tmp_path / "images/a.tif", noise(ROWS, COLS), **flat)
    write_raster(tmp_path / "images/b.tif", noise(ROWS, COLS), **flat)
    with pytest.raises(DatasetError, match="neither where it lies nor which place"):
        read_tiles(write_yolo(tmp_path))


def test_coco_may_name_places_and_classes(tmp_path: Path, images: Path) -> None:
    named = [
        {"id": i, "file_name": f"{n}.tif", "place": p}
        for i, (n, p) in enumerate([("a", "north"), ("b", "south")])
    ]
    coco = write_coco(tmp_path, images=named)
    assert [p.place for p in read_tiles(coco)] == ["north", "south"]
    ponds = TileFolder("coco", coco.images, coco.labels, classes=("pond",))
    assert [len(p.sites) for p in read_tiles(ponds)] == [0, 0]
    huts = TileFolder("coco", coco.images, coco.labels, classes=("hut",))
    with pytest.raises(DatasetError, match=r"no category 'hut': its categories are \['kiln', 'po"):
        read_tiles(huts)


def test_cocos_rotated_and_upright_boxes(tmp_path: Path, images: Path) -> None:
    annotations = [
        {"id": 0, "image_id": 0, "category_id": 2, "bbox": [40, 50, 12, 6, 30]},
        {"id": 1, "image_id": 0, "category_id": 2, "bbox": [80, 60, 10, 8]},
        {"id": 2, "image_id": 0, "category_id": 2, "bbox": [1, 1, 9, 9], "iscrowd": 1},
    ]
    first, _ = read_tiles(write_coco(tmp_path, annotations=annotations))
    assert first.sites.col == pytest.approx([40, 85])
    assert first.sites.row == pytest.approx([50, 64])
    assert first.sites.has_box.tolist() == [True, False]
    assert first.sites.length_px[0] == pytest.approx(12)
    # 30 degrees counter-clockwise to the eye; rows grow downwards.
    assert np.degrees(first.sites.angle_rad[0]) == pytest.approx(150)


@given(degrees=st.floats(-180, 180), length=st.floats(8, 30), ratio=st.floats(1.3, 3))
def test_a_rotated_box_keeps_its_size_and_turn(degrees: float, length: float, ratio: float) -> None:
    from models.chips import SiteLabels
    from models.labelled.formats.coco import _rotated

    site = SiteLabels.from_corners(_rotated(40, 50, length, length / ratio, degrees))
    assert site.length_px[0] == pytest.approx(length)
    assert site.width_px[0] == pytest.approx(length / ratio)
    turned = (site.angle_rad[0] + np.radians(degrees) + np.pi / 2) % np.pi - np.pi / 2
    assert turned == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"annotations": [{"id": 7, "image_id": 9}]}, "annotation of the image 9"),
        ({"annotations": [{"id": 7, "image_id": 0, "bbox": [1, 2]}]}, "annotation 7 without a pol"),
        (
            {"annotations": [{"id": 7, "image_id": 0, "segmentation": {"counts": "x"}}]},
            "run-length masks are not read",
        ),
        (
            {"annotations": [{"id": 7, "image_id": 0, "bbox": [130, 5, 9, 9]}]},
            r"x 134\.5, y 9\.5, outside the image of 128 x 96",
        ),
        ({"images": [{"id": 0}]}, "no COCO file of this program's kind"),
        ({"images": []}, "lists no tiles"),
        (
            {"images": [{"id": 0, "file_name": "a.tif", "width": 64, "height": 64}]},
            "a.tif has 64 x 64 px, the image has 128 x 96",
        ),
        (
            {"images": [{"id": 0, "file_name": "a.tif", "width": "wide", "height": 64}]},
            "no COCO file of this program's kind",
        ),
        ({"images": [{"id": 0, "file_name": "z.tif"}]}, r"There is no image at .*z\.tif"),
    ],
)
def test_wrong_coco_files_are_said_in_one_sentence(
    tmp_path: Path, images: Path, changes: dict[str, object], message: str
) -> None:
    if "images" in changes:
        changes = {"annotations": [], **changes}
    with pytest.raises(DatasetError, match=message):
        read_tiles(write_coco(tmp_path, **changes))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.1 0.2 0.3", "on line 1: a line is `class x1 y1"),
        ("0 a b c d e f g h", "on line 1"),
        ("0 nan 0 0 0 0 0 0 0", "on line 1"),
        ("0 1.5 0.2 1.6 0.2 1.6 0.3 1.5 0.3", "outside the image of 128 x 96"),
    ],
)
def test_wrong_yolo_lines_are_said_in_one_sentence(
    tmp_path: Path, images: Path, line: str, message: str
) -> None:
    folder = write_yolo(tmp_path)
    (folder.labels / "a.txt").write_text(line + "\n")
    with pytest.raises(DatasetError, match=message):
        read_tiles(folder)


def test_a_yolo_file_that_is_no_text_is_said(tmp_path: Path, images: Path) -> None:
    folder = write_yolo(tmp_path)
    (folder.labels / "a.txt").write_bytes(b"\xff\xfe0 0.1")
    with pytest.raises(DatasetError, match=r"a\.txt is no text in UTF-8"):
        read_tiles(folder)


def test_yolos_classes_splits_and_stray_files(tmp_path: Path, images: Path) -> None:
    folder = write_yolo(tmp_path)
    none = TileFolder(folder.format, folder.images, folder.labels, classes=("0",))
    assert [len(p.sites) for p in read_tiles(none)] == [0, 0]
    for kind in ("images", "labels"):
        (tmp_path / kind / "train").mkdir()
    (folder.images / "a.tif").rename(folder.images / "train/a.tif")
    with pytest.raises(DatasetError, match=r"a\.txt belong to no image"):
        read_tiles(folder)
    (folder.labels / "a.txt").rename(folder.labels / "train/a.txt")
    assert sorted(len(p.sites) for p in read_tiles(folder)) == [0, 2]
    with pytest.raises(DatasetError, match="There is no image under"):
        read_tiles(TileFolder("yolo_obb", tmp_path / "none", folder.labels))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f.images / "a.tif").unlink(), "tile a has no image"),
        (lambda f: (f.labels / "a.json").write_text("{}"), "holds no list obb_px"),
        (lambda f: (f.labels / "a.json").write_text('{"obb_px": [[1, 2]]}'), "obb_px"),
        (lambda f: [p.unlink() for p in f.labels.glob("*")], "lists no tiles"),
    ],
)
def test_spoiled_json_tiles_are_said_in_one_sentence(
    tmp_path: Path, images: Path, spoil, message: str
) -> None:
    folder = write_json(tmp_path)
    spoil(folder)
    with pytest.raises(DatasetError, match=message):
        read_tiles(folder)


def test_a_listed_tile_needs_its_label_file(tmp_path: Path, images: Path) -> None:
    folder = write_json(tmp_path)
    table = tmp_path / "places.csv"
    table.write_text("name,district\na,north\nb,south\n")
    (folder.labels / "b.json").unlink()
    with pytest.raises(DatasetError, match="no label file"):
        read_tiles(TileFolder("obb_json", folder.images, folder.labels, table=table))
