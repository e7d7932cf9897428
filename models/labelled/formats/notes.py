"""Corrections of labels, in a file of their own: what was labelled wrong, and what was missed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from models.chips import SHORTEST_BOX_PX, Picture, PixelPoints
from models.labelled.formats.images import numbers, read_csv

# A place that is not sure enough to be a site, and one that is none: both stay doubtful.
WRONG_LABEL = "wrong label"
# Hard to see, but there: the label stands.
FAINT_LABEL = "faint label"


def read_notes(path: Path) -> pd.DataFrame:
    """A CSV `tile, x_px, y_px, verdict`, and maybe a reason in `note`.

    `tile` is the image's file name, with or without its suffix.

    Raises:
        DatasetError: The file is missing, lacks a column, or a position is no number.
    """
    notes = read_csv(path, ("tile", "x_px", "y_px", "verdict"), text=("tile",))
    numbers(notes, ("x_px", "y_px"), path, blank=False)  # refuses what is none
    return notes


def apply_notes(picture: Picture, notes: pd.DataFrame) -> Picture:
    """Noted places become doubtful; a site whose verdict is `wrong label` is dropped."""
    tile = notes["tile"].astype(str)
    here = notes[(tile == picture.name) | (tile == Path(picture.name).stem)]
    doubtful = here[here["verdict"] != FAINT_LABEL]
    keep = np.ones(len(picture.sites), bool)
    for x, y in here.loc[here["verdict"] == WRONG_LABEL, ["x_px", "y_px"]].to_numpy(float):
        keep &= np.hypot(picture.sites.col - x, picture.sites.row - y) > SHORTEST_BOX_PX
    points = PixelPoints(
        np.concatenate([picture.doubtful.row, doubtful["y_px"].to_numpy(float)]),
        np.concatenate([picture.doubtful.col, doubtful["x_px"].to_numpy(float)]),
    )
    return replace(picture, sites=picture.sites.shifted(0, 0, keep), doubtful=points)
