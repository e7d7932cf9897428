"""Chips in arrays: with positions and their sources, and those without any site."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.labelled.formats.npz import (
    EmptyChips,
    PositionChips,
    read_empty_chips,
    read_position_chips,
)
from tiles.errors import DatasetError

KILNS = [
    [{"x": 10.0, "y": 20.0, "trusted": True, "src": "open|closed"}],
    [
        {"x": 30.5, "y": 40.0, "trusted": True, "src": "closed"},
        {"x": 5.0, "y": 6.0, "trusted": False, "src": "open"},
    ],
    [],
]


def write_chips(folder: Path, kilns: list[object], bands: int = 4) -> PositionChips:
    """Chips of 64 px whose band b has the value 10 * chip + b, 30 km apart from west to east."""
    x = np.zeros((len(kilns), bands, 64, 64), np.uint8)
    x += (10 * np.arange(len(kilns))[:, None, None, None] + np.arange(bands)[:, None, None]).astype(
        np.uint8
    )
    np.savez(folder / "chips.npz", x=x)
    pd.DataFrame(
        {
            "chip": [f"c{i}" for i in range(len(kilns))],
            "lon": 81.0 + 0.3 * np.arange(len(kilns)),
            "lat": 27.5,
            "kilns": [json.dumps(k) for k in kilns],
        }
    ).to_csv(folder / "chips.csv", index=False)
    return PositionChips(folder / "chips.npz", folder / "chips.csv", "made up", bands=(3, 2, 1))


def test_positions_bands_and_places(tmp_path: Path) -> None:
    first, second, third = read_position_chips(write_chips(tmp_path, KILNS))
    assert second.pixels[:, 0, 0].tolist() == [13, 12, 11]
    assert (first.sites.col.tolist(), first.sites.row.tolist()) == ([10.0], [20.0])
    assert not first.sites.has_box.any()
    assert second.sites.col.tolist() == [30.5]
    assert second.doubtful.col.tolist() == [5.0]
    assert len(third.sites) == len(third.doubtful) == 0
    assert len({p.place for p in (first, second, third)}) == 3
    assert first.place.startswith("made up/")
    assert first.middle is not None
    assert first.ground.east_m + 320 == pytest.approx(
        first.middle.lon * 111_320 * np.cos(np.radians(27.5))
    )


def test_positions_of_other_sources_teach_nothing(tmp_path: Path) -> None:
    source = replace(write_chips(tmp_path, KILNS), keep_sources=("open",))
    first, second, _ = read_position_chips(source)
    assert len(first.sites) == 1  # known from a closed list too, but from an open one as well
    assert len(second.sites) == 0
    assert second.doubtful.col.tolist() == [30.5, 5.0]


@pytest.mark.parametrize(
    ("kilns", "message"),
    [
        ([[{"x": 65.0, "y": 1.0}]], r"x 65\.0, y 1\.0, outside the image of 64 x 64"),
        ([[{"x": 65.0}]], "no JSON list of positions with x and y for the chip c0"),
        ([7], "no JSON list of positions"),
    ],
)
def test_wrong_positions_are_said_in_one_sentence(
    tmp_path: Path, kilns: list[object], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        read_position_chips(write_chips(tmp_path, kilns))


def test_wrong_arrays_are_said_in_one_sentence(tmp_path: Path) -> None:
    source = write_chips(tmp_path, KILNS)
    with pytest.raises(DatasetError, match="has 4 bands: there is no band 7"):
        read_position_chips(replace(source, bands=(7, 2, 1)))
    with pytest.raises(DatasetError, match=r"no array 'pixels': it holds \['x'\]"):
        read_position_chips(replace(source, key="pixels"))
    short = pd.read_csv(source.labels)[:2]
    short.to_csv(source.labels, index=False)
    with pytest.raises(DatasetError, match="2 rows for the 3 chips"):
        read_position_chips(source)
    source.chips.write_bytes(b"text")
    with pytest.raises(DatasetError, match="no readable chips"):
        read_position_chips(source)
    source.chips.unlink()
    with pytest.raises(DatasetError, match="There are no chips at"):
        read_position_chips(source)


def test_chips_need_a_place(tmp_path: Path) -> None:
    source = write_chips(tmp_path, KILNS)
    pd.read_csv(source.labels).assign(lon=[77.0, None, 77.2]).to_csv(source.labels, index=False)
    with pytest.raises(DatasetError, match="line 3, has nothing in the column 'lon'"):
        read_position_chips(source)


def test_labels_and_groups_must_fit_the_chips(tmp_path: Path) -> None:
    x = np.zeros((3, 16, 16, 3), np.uint8)
    source = write_empty(tmp_path, x, y=np.zeros(2), g=np.array([0, 1, 7]), names=np.array(["a"]))
    with pytest.raises(DatasetError, match=r"3 chips and labels of shape \(2,\)"):
        read_empty_chips(replace(source, keep_label=0))
    with pytest.raises(DatasetError, match=r"groups of its chips 0 to 7 .* and names 1"):
        read_empty_chips(replace(source, group_key="g", group_names_key="names"))


def write_empty(folder: Path, x: np.ndarray, **arrays: np.ndarray) -> EmptyChips:
    np.savez(folder / "empty.npz", x=x, **arrays)
    return EmptyChips(folder / "empty.npz", "somewhere")


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_bands_may_come_first_or_last(tmp_path: Path, first: bool, dtype: type) -> None:
    x = np.arange(2 * 3 * 16 * 16).reshape(2, 3, 16, 16).astype(dtype)
    stored = x if first else np.moveaxis(x, 1, -1)
    chips = read_empty_chips(write_empty(tmp_path, stored))
    assert np.array_equal(chips[1].pixels, x[1])
    assert chips[1].pixels.dtype == dtype
    assert len(chips[0].sites) == 0


def test_labels_groups_and_places(tmp_path: Path) -> None:
    x = np.zeros((5, 16, 16, 3), np.uint8)
    groups = np.array([0, 0, 1, 1, 2])
    names = np.array(["first 2019", "second 2023", "third 2023"])
    source = write_empty(tmp_path, x, y=np.array([0, 1, 0, 0, 0]), g=groups, names=names)
    source = replace(source, keep_label=0, group_key="g", group_names_key="names")
    assert [c.place for c in read_empty_chips(source)] == [
        "somewhere/first 2019",
        "somewhere/second 2023",
        "somewhere/second 2023",
        "somewhere/third 2023",
    ]
    fewer = replace(source, exclude=("second*",))
    assert [c.name for c in read_empty_chips(fewer)] == ["empty/0", "empty/4"]
    (tmp_path / "places.csv").write_text("place\n7\n7\n8\n7\n8\n")
    grounded = replace(source, places=tmp_path / "places.csv")
    assert [c.place for c in read_empty_chips(grounded)] == [f"somewhere/{n}" for n in (7, 8, 7, 8)]
    with pytest.raises(DatasetError, match="holds no chip that is kept"):
        read_empty_chips(replace(source, exclude=("*",)))
    (tmp_path / "places.csv").write_text("place\n7\n")
    with pytest.raises(DatasetError, match="1 rows for the 5 chips"):
        read_empty_chips(grounded)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 16, 16), np.uint8), r"array of shape \(2, 16, 16\)"),
        (np.zeros((2, 2, 16, 16), np.uint8), "at least three bands"),
        (np.zeros((2, 3, 16, 17), np.uint8), "square chips"),
        (np.zeros((2, 3, 16, 16), bool), "type bool"),
        (np.full((2, 3, 16, 16), np.nan, np.float32), "512 pixels that are NaN"),
    ],
)
def test_arrays_that_are_no_chips_are_refused(tmp_path: Path, x: np.ndarray, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_empty_chips(write_empty(tmp_path, x))
