"""Labelled tiles as they stand: what kind of folder it is, and what is held out of it."""

import json
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from models.labelled.dataset import load_dataset
from models.labelled.dataset_folder import automatic_fold
from tests.made_up import UTM_44N, noise, write_raster
from tiles.errors import DatasetError


def write_tiles(folder: Path, n: int, apart_km: float) -> None:
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    for i in range(n):
        where = Affine(10.0, 0.0, 300_000.0 + 1000 * apart_km * i, 0.0, -10.0, 2_990_000.0)
        write_raster(folder / f"images/{i}.tif", noise(64, 64), crs=UTM_44N, transform=where)
        (folder / f"labels/{i}.txt").write_text("0 0.4 0.4 0.6 0.4 0.6 0.5 0.4 0.5\n")


def test_a_yolo_folder_is_split_by_blocks_of_land(tmp_path: Path) -> None:
    write_tiles(tmp_path, 8, 25.0)
    dataset = load_dataset(tmp_path, Path("elsewhere"))
    train = {p.name for s in dataset.train for p in s.pictures}
    test = {p.name for p in dataset.test}
    assert len(test) == 2
    assert train | test == {f"{i}.tif" for i in range(8)}
    assert train.isdisjoint(test)
    assert {p.name for p in load_dataset(tmp_path, Path()).test} == test  # the same every time
    assert dataset.file.site_class == "brick_kiln"


def test_tiles_in_one_place_cannot_be_judged(tmp_path: Path) -> None:
    write_tiles(tmp_path, 3, 0.0)
    with pytest.raises(DatasetError, match=r"lies in one place .* at least 20 km away"):
        load_dataset(tmp_path, Path())


def test_named_places_are_held_out_whole(tmp_path: Path) -> None:
    write_tiles(tmp_path, 4, 5.0)
    (tmp_path / "places.csv").write_text("name,district\n0,east\n1,east\n2,west\n3,west\n")
    dataset = load_dataset(tmp_path, Path())
    assert len({p.place for p in dataset.test}) == 1
    assert {p.place for s in dataset.train for p in s.pictures} == {"east", "west"} - {
        p.place for p in dataset.test
    }


def test_a_coco_file_and_a_scene_with_sites(tmp_path: Path) -> None:
    write_tiles(tmp_path, 2, 30.0)
    images = [{"id": i, "file_name": f"{i}.tif"} for i in range(2)]
    boxes = [
        {"id": i, "image_id": i, "category_id": 1, "bbox": [20, 20, 12, 6, 0]} for i in range(2)
    ]
    coco = tmp_path / "own.json"
    coco.write_text(json.dumps({"images": images, "annotations": boxes}))
    dataset = load_dataset(coco, Path())
    (place,) = dataset.places  # nobody named it: the middle of what is trained on
    assert (place.name, place.lat) == ("own", pytest.approx(27.0, abs=0.1))
    assert (len(dataset.test), sum(len(s.pictures) for s in dataset.train)) == (1, 1)
    assert dataset.file.name == "own"
    scene = tmp_path / "scene"
    scene.mkdir()
    write_raster(scene / "land.tif", noise(16, 6400))
    x = ",8\n".join(str(v) for v in np.arange(200, 6400, 400))
    (scene / "sites.csv").write_text(f"x,y\n{x},8\n")
    held = load_dataset(scene, Path())
    assert [p.place[:5] for p in held.test] == ["land/"]
    assert sum(len(p.sites) for s in held.train for p in s.pictures) < 16


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_what_is_no_dataset_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"is no dataset|holds neither `images` and `labels`"):
        load_dataset(tmp_path / name, Path())


def test_a_quarter_of_the_places_is_held_out_whatever_their_names() -> None:
    names = [f"[odd] place*{i}?" for i in range(8)]
    regions = dict.fromkeys(names, "a")
    (fold,) = automatic_fold(regions, Path("a")).values()
    assert len(fold.test) == 2
    held = [name for name in names if any(fnmatchcase(name, pattern) for pattern in fold.test)]
    assert len(held) == 2
    backwards = dict.fromkeys(names[::-1], "a")
    assert automatic_fold(backwards, Path("a")) == automatic_fold(regions, Path("a"))


def test_a_folder_named_like_one_of_its_places_is_not_held_out_whole(tmp_path: Path) -> None:
    """The place that the digests choose is the one that the folder is called after."""
    folder = tmp_path / "Rajshahi"
    folder.mkdir()
    write_tiles(folder, 2, 30.0)
    (folder / "places.csv").write_text("name,district\n0,Rajshahi\n1,Bogura\n")
    (held,) = automatic_fold({"Rajshahi": "x", "Bogura": "x"}, folder)["held_out_by_itself"].test
    assert held == "Rajshahi"
    dataset = load_dataset(folder, Path())
    assert [p.name for p in dataset.test] == ["0.tif"]
    assert [p.name for source in dataset.train for p in source.pictures] == ["1.tif"]
