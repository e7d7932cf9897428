"""`kilnlight train` on bad input: one sentence, exit code 2, nothing written."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from pipeline.cli import main
from tests.made_up import UTM_44N, noise, write_raster

BOX = "0 0.4 0.4 0.6 0.4 0.6 0.5 0.4 0.5\n"


def refused(capsys: pytest.CaptureFixture[str], dataset: Path, *options: str) -> str:
    out = dataset.parent / "made.safetensors"
    arguments = ["kilnlight", "train", str(dataset), "--out", str(out), "--device", "cpu", *options]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as end:
            main()
    said = capsys.readouterr().err
    assert end.value.code == 2, said
    assert said.startswith("kilnlight: ")
    assert said.count("\n") == 1
    assert not list(dataset.parent.glob("*made*"))
    return said


def folder_of(tmp_path: Path, pixels: np.ndarray, box: str = BOX) -> Path:
    """Two tiles 30 km apart."""
    folder = tmp_path / "tiles"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    for i in range(2):
        where = Affine(10.0, 0.0, 300_000.0 + 30_000 * i, 0.0, -10.0, 2_990_000.0)
        write_raster(folder / f"images/{i}.tif", pixels, crs=UTM_44N, transform=where)
        (folder / f"labels/{i}.txt").write_text(box)
    return folder


def test_labels_that_cannot_teach(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "none").mkdir()
    assert "arrange it so" in refused(capsys, tmp_path / "none")
    outside = folder_of(tmp_path / "a", noise(64, 64), "0 1.4 0.4 1.6 0.4 1.6 0.5 1.4 0.5\n")
    assert "outside the image of 64 x 64 px" in refused(capsys, outside)
    background = folder_of(tmp_path / "b", noise(64, 64), "")
    assert "no labelled site to train on" in refused(capsys, background)
    dark = noise(64, 64).astype(np.float32)
    dark[0, 0, 0] = np.nan
    assert "NaN or infinite" in refused(capsys, folder_of(tmp_path / "c", dark))


def test_a_coco_file_of_other_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(tmp_path, noise(64, 64))
    images = [{"id": 0, "file_name": "0.tif", "width": 640, "height": 640}]
    (folder / "own.json").write_text(json.dumps({"images": images, "annotations": []}))
    assert "the image has 64 x 64" in refused(capsys, folder / "own.json")


def test_dataset_files_that_would_flatter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder_of(tmp_path, noise(64, 64))
    (tmp_path / "places.csv").write_text("name,district\n0,north\n1,south\n")
    tiles = (
        'name = "own"\nlicence = "CC0-1.0"\nsteps = 2\n[[tiles]]\nregion = "Land"\n'
        'images = "tiles/images"\nlabels = "tiles/labels"\nformat = "yolo_obb"\n'
        'table = "places.csv"\ncredit = "made up"\nlicence = "CC0-1.0"\n'
    )
    dataset = tmp_path / "own.toml"
    dataset.write_text(tiles + '[folds.f]\ntest = ["north"]\nvalidate = ["n*"]\n')
    data = ("--data", str(tmp_path))
    assert "'north' in test and in validate" in refused(capsys, dataset, *data, "--fold", "f")
    assert "has no fold 'g'" in refused(capsys, dataset, *data, "--fold", "g")
    asked = ("--class", "casino")
    assert "no site class 'casino'" in refused(capsys, dataset, *data, *asked)
    assert "cannot be read" in refused(capsys, tmp_path / "missing.toml")
