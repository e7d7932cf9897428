"""Labelled chips: folds by gallery, places never on both sides, and every way to be wrong."""

from pathlib import Path

import numpy as np
import pytest

from models.labelled.chip_dataset import is_chips_file, load_chips
from tests.models.made_up_chips import DATASET, make_chips, write_dataset
from tiles.errors import DatasetError


def test_galleries_fall_into_folds_and_random_land_into_none(tmp_path: Path) -> None:
    chips = load_chips(write_dataset(tmp_path), tmp_path)
    assert chips.pixels.shape == (60, 3, 32, 32)
    assert chips.fold_names == ("early", "late")
    assert [int((chips.fold == fold).sum()) for fold in (-1, 0, 1)] == [12, 24, 24]
    assert chips.is_site.sum() == 24
    assert not chips.is_site[chips.random_land].any()


def test_neither_galleries_nor_places_are_shared_with_what_is_held_out(tmp_path: Path) -> None:
    chips = load_chips(write_dataset(tmp_path), tmp_path)
    for held_out in (0, 1):
        taught = chips.trained_on(held_out)
        tested = (chips.fold == held_out) | chips.random_land
        assert set(chips.fold[taught]) == {1 - held_out}
        assert not set(chips.place[taught]) & set(chips.place[tested])
        assert taught.sum() == 23  # one of 24 shows a place that the other fold shows too
    assert chips.trained_on().sum() == 48


def test_dataset_files_of_chips_are_told_from_others(tmp_path: Path) -> None:
    assert is_chips_file(write_dataset(tmp_path))
    (tmp_path / "boxes.toml").write_text('name = "x"\n')
    (tmp_path / "broken.toml").write_text("name = \n")
    for name in ("boxes.toml", "broken.toml", "none.toml", "chips.npz"):
        assert not is_chips_file(tmp_path / name)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("steps = 60", "steps = 0", "wrong at steps"),
        ("steps = 60", "colour = 1\nsteps = 60", "colour"),
        ("steps = 60", "steps = ", "is not TOML"),
        ("CC0-1.0", "CC-BY-NC-4.0", "cannot be Apache-2.0"),
        ("CC0-1.0", "cc by-nc 4.0", "cannot be Apache-2.0"),
        ("CC0-1.0", "none stated", "states no licence"),
        ('"chips.npz"', '"none.npz"', "no readable chips"),
        ('"places.csv"', '"none.csv"', "no readable column"),
        ('early = ["* 2019"]', 'early = ["pits 2019"]', "'roads 2019' into no fold"),
        ('late = ["* 2024"]', 'late = ["*20*"]', "into two folds"),
        ('random_land = ["random*"]', 'random_land = ["none*"]', "'random 10k' into no fold"),
        (
            'early = ["* 2019"]\nlate = ["* 2024"]',
            'early = ["pits*"]\nlate = ["roads*"]',
            "'early' holds one class only",
        ),
    ],
)
def test_wrong_files_are_said_in_one_sentence(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    assert before in DATASET
    path = write_dataset(tmp_path, DATASET.replace(before, after))
    with pytest.raises(DatasetError, match=message):
        load_chips(path, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros((0, 32, 32, 3), np.uint8)}, "0 chips"),
        ({"x": np.zeros((60, 30, 30, 3), np.uint8)}, "multiple of 8"),
        ({"x": np.zeros((60, 32, 32, 3), np.float32)}, "float32"),
        ({"y": np.zeros(3, np.uint8)}, "3 labels"),
        ({"y": np.ones(60, np.uint8)}, "a site in random land"),
        ({"y": np.full(60, 2)}, "other than 0 and 1"),
        ({"y": make_chips()["y"][:, None]}, r"`y` of shape \(60, 1\)"),
        ({"gallery": make_chips()["gallery"][:, None]}, r"`gallery` of shape \(60, 1\)"),
        ({"gallery": np.full(60, 9)}, "groups of its chips 9 to 9 .* and names 5"),
        ({"gallery": np.full(60, 0.5)}, "whole numbers from 0"),
    ],
)
def test_wrong_arrays_are_said_in_one_sentence(
    tmp_path: Path, change: dict[str, np.ndarray], message: str
) -> None:
    path = write_dataset(tmp_path)
    np.savez(tmp_path / "chips.npz", **{**make_chips(), **change})
    with pytest.raises(DatasetError, match=message):
        load_chips(path, tmp_path)


def test_a_table_of_places_must_have_a_row_a_chip(tmp_path: Path) -> None:
    path = write_dataset(tmp_path)
    (tmp_path / "places.csv").write_text("place\n1\n2\n")
    with pytest.raises(DatasetError, match="2 rows for 60 chips"):
        load_chips(path, tmp_path)


def test_places_may_be_any_whole_numbers(tmp_path: Path) -> None:
    path = write_dataset(tmp_path)
    before = load_chips(path, tmp_path).place
    table = tmp_path / "places.csv"
    numbers = [10**12 * (int(place) - 3) for place in table.read_text().split()[1:]]
    table.write_text("\n".join(["place", *map(str, numbers)]))
    place = load_chips(path, tmp_path).place
    assert place.tolist() == before.tolist()
    assert set(place) == set(range(59))  # two chips show one


@pytest.mark.parametrize("part", [slice(2000), slice(-2000, None)])
def test_a_damaged_file_of_chips_is_said(tmp_path: Path, part: slice) -> None:
    path = write_dataset(tmp_path)
    (tmp_path / "chips.npz").write_bytes((tmp_path / "chips.npz").read_bytes()[part])
    with pytest.raises(DatasetError, match="no readable chips"):
        load_chips(path, tmp_path)


def test_an_array_that_is_missing_is_named(tmp_path: Path) -> None:
    path = write_dataset(tmp_path)
    arrays = make_chips()
    np.savez(tmp_path / "chips.npz", x=arrays["x"], gallery=arrays["gallery"])
    with pytest.raises(DatasetError, match="no array 'y'"):
        load_chips(path, tmp_path)


@pytest.mark.real_data
def test_the_gold_mines_dataset_is_whole(shared_data: Path) -> None:
    chips = load_chips(Path("models/datasets/gold_mine.toml"), shared_data)
    assert (len(chips.pixels), int(chips.is_site.sum())) == (8867, 3207)
    assert int(chips.random_land.sum()) == 1000
    for number in range(len(chips.fold_names)):
        taught = chips.trained_on(number)
        held = (chips.fold == number) | chips.random_land
        assert not set(chips.place[taught]) & set(chips.place[held])
        assert taught.sum() > 4500
