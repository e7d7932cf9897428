"""Predictions go to a table and come back to the pictures they were made on."""

import numpy as np
import pytest

from models.chips import PixelRect
from models.detection import PixelBoxes
from models.judging.predictions import (
    PREDICTION_COLUMNS,
    boxes_on,
    prediction_table,
    read_predictions,
    write_predictions,
)
from tests.models.made_up_models import simulated_picture
from tiles.errors import DatasetError


def boxes(*at: tuple[float, float, float]) -> PixelBoxes:
    """Boxes of 11 x 5 px by row, column and score."""
    row, col, score = (np.array(values, float) for values in zip(*at, strict=True))
    same = np.ones(len(row))
    whole = [np.floor(v).astype(np.int64) for v in (row, col)]
    return PixelBoxes(row, col, *whole, 11 * same, 5 * same, 0.5 * same, score)


def test_a_cut_picture_gives_positions_of_its_file_and_gets_them_back(tmp_path) -> None:
    picture = simulated_picture(1).cut(PixelRect(40, 140, 24, 150), "east")
    table = prediction_table([picture], [boxes((10.25, 20.5, 0.4), (50, 60, 0.9))], "d1", 2)
    assert tuple(table.columns) == PREDICTION_COLUMNS
    assert table["score"].tolist() == [0.9, 0.4]
    assert table["x_px"].tolist() == [84.0, 44.5]
    assert table["y_px"].tolist() == [90.0, 50.25]
    assert set(table["fold"]) == {"d1"}
    write_predictions(table, tmp_path / "p.csv")
    back = boxes_on(picture, read_predictions(tmp_path / "p.csv"))
    assert back.row.tolist() == [50.0, 10.25]
    assert back.col.tolist() == [60.0, 20.5]
    assert back.angle_rad == pytest.approx([0.5, 0.5], abs=1e-3)


def test_pictures_without_detections_give_a_table_without_rows(tmp_path) -> None:
    table = prediction_table([simulated_picture(1)], [PixelBoxes.empty()])
    assert len(table) == 0
    write_predictions(table, tmp_path / "p.csv")
    assert tuple(read_predictions(tmp_path / "p.csv").columns) == PREDICTION_COLUMNS


def test_names_stay_as_they_are_written(tmp_path) -> None:
    table = prediction_table([simulated_picture(1)], [boxes((5, 5, 0.5))], "007")
    write_predictions(table.assign(picture="0012", place="1e3"), tmp_path / "p.csv")
    back = read_predictions(tmp_path / "p.csv")
    assert back[["picture", "place", "fold"]].iloc[0].tolist() == ["0012", "1e3", "007"]


def test_bad_tables_are_one_sentence(tmp_path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        read_predictions(tmp_path / "none.csv")
    table = prediction_table([simulated_picture(1)], [boxes((5, 5, 0.5), (9, 9, 0.3))])
    write_predictions(table.drop(columns="score"), tmp_path / "p.csv")
    with pytest.raises(DatasetError, match="no column 'score'"):
        read_predictions(tmp_path / "p.csv")
    for column, cell in (("x_px", np.inf), ("length_px", "long"), ("seed", "first")):
        write_predictions(table.assign(**{column: [1.0, cell]}), tmp_path / "p.csv")
        with pytest.raises(DatasetError, match="line 3"):
            read_predictions(tmp_path / "p.csv")
    write_predictions(table.assign(score=[0.4, 1.4]), tmp_path / "p.csv")
    with pytest.raises(DatasetError, match="line 3"):
        read_predictions(tmp_path / "p.csv")
