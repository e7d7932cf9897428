"""Dataset files: parts that share no place, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.dataset import load_dataset, read_dataset_file
from tests.made_up import noise, write_raster
from tiles.errors import DatasetError

SCENE = """
[[scenes]]
image = "scene.tif"
labels = "kilns.csv"
place = "made up"
credit = "made up, CC0"
"""
TILES = """
[[tiles]]
images = "tiles/geotiff"
labels = "tiles/labels"
table = "tiles.csv"
credit = "made up, CC0"
"""
HEAD = 'name = "made_up"\nlicence = "CC0-1.0"\nsteps = 3\n'


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A scene of 8 km with ten sites in a row, and four tiles in two districts."""
    write_raster(tmp_path / "scene.tif", noise(64, 800))
    x = np.arange(40.0, 800.0, 80.0)
    pd.DataFrame({"x": x, "y": 30.0}).to_csv(tmp_path / "kilns.csv", index=False)
    (tmp_path / "tiles/labels").mkdir(parents=True)
    (tmp_path / "tiles/geotiff").mkdir()
    for name in "abcd":
        write_raster(tmp_path / f"tiles/geotiff/{name}.tif", noise(128, 128))
        boxes = [[2, 34, 47, 46, 47, 46, 53, 34, 53]]
        (tmp_path / f"tiles/labels/{name}.json").write_text(json.dumps({"obb_px": boxes}))
    (tmp_path / "tiles.csv").write_text("name,district\na,north\nb,north\nc,south\nd,south\n")
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "dataset.toml"
    path.write_text(HEAD + text)
    return path


def test_columns_of_a_scene_share_no_site(data: Path) -> None:
    text = SCENE + "train = {first = 0.0, last = 0.5}\ntest = {first = 0.65, last = 1.0}\n"
    dataset = load_dataset(write(data, text), data)
    (source,) = dataset.train
    (train,) = source.pictures
    (test,) = dataset.test
    assert (train.place, test.place) == ("made up (train)", "made up")
    assert (len(train.sites), len(test.sites)) == (5, 4)
    assert train.usable.shape == (64, 400)
    assert test.ground.east_m - train.ground.east_m == pytest.approx(5200.0)
    assert dataset.credits == ("made up, CC0",)


def test_districts_held_out_are_in_no_other_part(data: Path) -> None:
    dataset = load_dataset(write(data, TILES + 'test = ["south"]\n'), data)
    train = {p.place for s in dataset.train for p in s.pictures}
    test = {p.place for p in dataset.test}
    assert (train, test) == ({"north"}, {"south"})
    assert len(dataset.test) == 2


def test_simulation_repeats_from_its_seed(data: Path) -> None:
    text = "[simulation]\npatches = 2\nsize_px = 64\n"
    first = load_dataset(write(data, text), data).train[0].pictures
    second = load_dataset(write(data, text), data).train[0].pictures
    assert np.array_equal(first[1].pixels, second[1].pixels)
    assert first[1].sites.row.tolist() == second[1].sites.row.tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no labelled site to train on"),
        (SCENE, "no labelled site to train on"),
        (
            SCENE + "train = {first = 0.0, last = 0.5}\ntest = {first = 0.6, last = 1.0}\n",
            "800 m apart",
        ),
        (SCENE + "train = {first = 0.5, last = 0.2}\n", "hold nothing"),
        (TILES + 'test = ["east"]\n', "no district 'east'"),
        (TILES + 'test = ["south"]\nvalidate = ["south"]\n', "validate and test"),
        (TILES + 'colour = "red"\n', "tiles.0.colour"),
        ("steps = 4\n", "is not TOML"),
    ],
)
def test_wrong_files_are_said_in_one_sentence(data: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        load_dataset(write(data, text), data)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none\.toml cannot be read"):
        read_dataset_file(tmp_path / "none.toml")


def test_committed_dataset_files_are_valid_and_hold_out_what_they_say() -> None:
    folder = Path(__file__).parents[2] / "models" / "datasets"
    files = {path.stem: read_dataset_file(path) for path in folder.glob("*.toml")}
    east = files["held_out_east"].scenes[0]
    assert east.train is not None
    assert east.test is not None
    assert east.train.last <= 0.6
    assert east.test.first >= 2 / 3
    shipped = files["brick_kiln"]
    assert shipped.out_of_fold
    assert all((folder / path).is_file() for path in shipped.out_of_fold)
    assert not any("negatives_s2" in str(c.chips) for f in files.values() for c in f.empty_chips)
