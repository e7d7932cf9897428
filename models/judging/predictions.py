"""Out-of-fold predictions as a table: every detection, where it lies in its image, its score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from models.chips import Picture
from models.detection import PixelBoxes
from tiles.errors import DatasetError
from tiles.files import atomic_path

PREDICTION_COLUMNS = (
    "picture",
    "place",
    "x_px",
    "y_px",
    "length_px",
    "width_px",
    "angle_deg",
    "score",
    "fold",
    "seed",
)
NAMES = ("picture", "place", "fold")


def prediction_table(
    pictures: Sequence[Picture], boxes: Sequence[PixelBoxes], fold: str = "", seed: int = 0
) -> pd.DataFrame:
    """A row a detection, with `PREDICTION_COLUMNS`, best first.

    `x_px` and `y_px` count from the outer corner of the first pixel of the image file, also for a
    picture that was cut out of it; `angle_deg` runs from +x towards +y.

    Args:
        pictures: Pictures that training did not see.
        boxes: What was detected in each.
        fold: Which fold held them out.
        seed: Of that training.
    """
    parts = [_rows(picture, found) for picture, found in zip(pictures, boxes, strict=True)]
    table = pd.concat([_rows_of_none(), *parts], ignore_index=True).assign(fold=fold, seed=seed)
    order = ["score", "picture", "y_px", "x_px"]
    ranked = table.sort_values(order, ascending=[False, True, True, True], kind="stable")
    return ranked[list(PREDICTION_COLUMNS)].reset_index(drop=True)


def _rows_of_none() -> pd.DataFrame:
    """No rows, with the columns' types: a table without detections keeps them."""
    text = {name: pd.Series([], dtype=str) for name in ("picture", "place")}
    return pd.DataFrame(text | {n: pd.Series([], dtype=float) for n in PREDICTION_COLUMNS[2:8]})


def _rows(picture: Picture, boxes: PixelBoxes) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "picture": picture.name,
            "place": picture.place,
            "x_px": np.round(boxes.col + picture.first_col, 2),
            "y_px": np.round(boxes.row + picture.first_row, 2),
            "length_px": np.round(boxes.length_px, 2),
            "width_px": np.round(boxes.width_px, 2),
            "angle_deg": np.round(np.degrees(boxes.angle_rad), 1),
            "score": boxes.score,
        }
    )


def write_predictions(table: pd.DataFrame, path: Path) -> None:
    """Write a table of predictions as CSV."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def read_predictions(path: Path) -> pd.DataFrame:
    """Read a table of predictions.

    Raises:
        DatasetError: It is missing, unreadable, or has other columns or impossible values.
    """
    try:
        # names stay as they are written: a tile may be called 0012
        table = pd.read_csv(path, keep_default_na=False, dtype=dict.fromkeys(NAMES, str))
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"The predictions {path} cannot be read ({error}): `kilnlight train DATASET --fold "
            "NAME` writes them beside the weights."
        ) from error
    missing = [name for name in PREDICTION_COLUMNS if name not in table]
    if missing:
        raise DatasetError(f"{path} has no column {missing[0]!r}: its columns are {list(table)}.")
    columns = [name for name in PREDICTION_COLUMNS if name not in NAMES]
    numbers = table[columns].apply(pd.to_numeric, errors="coerce")
    finite = np.isfinite(numbers.to_numpy(float)).all(axis=1)
    wrong = ~finite | ~numbers["score"].between(0, 1)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DatasetError(
            f"{path}, line {row + 2}: {', '.join(columns)} must be numbers, the score from 0 to 1."
        )
    return table[list(PREDICTION_COLUMNS)]


def boxes_on(picture: Picture, table: pd.DataFrame) -> PixelBoxes:
    """The rows of a table of predictions that lie on a picture, in the picture's own pixels."""
    here = table[(table["picture"] == picture.name) & (table["place"] == picture.place)]
    row = here["y_px"].to_numpy(float) - picture.first_row
    col = here["x_px"].to_numpy(float) - picture.first_col
    return PixelBoxes(
        row=row,
        col=col,
        peak_row=np.floor(row).astype(np.int64),
        peak_col=np.floor(col).astype(np.int64),
        length_px=here["length_px"].to_numpy(float),
        width_px=here["width_px"].to_numpy(float),
        angle_rad=np.radians(here["angle_deg"].to_numpy(float)),
        score=here["score"].to_numpy(float),
    )
