"""What people decided on the places of a survey, as pictures to train on.

`kilnlight review labels` writes a folder: `labels.parquet` (outlines of sites as confirmed, places
that were rejected or stay doubtful), `ground.parquet` (squares that people saw to be empty) and
`imagery.json` (where the pixels are). Every place that was decided and every square becomes a
picture with land around it, which gives context and teaches nothing: nobody looked there closely.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import geopandas
import numpy as np
import shapely
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.chips import Bools, Picture, PixelPoints, PixelRect, SiteLabels
from models.labelled.formats.images import Image, read_image
from models.labelled.formats.sites import rectangle
from tiles.errors import DatasetError

LABELS, GROUND, IMAGERY = "labels.parquet", "ground.parquet", "imagery.json"
SITE, NOT_SITE, DOUBTFUL = "site", "not_site", "doubtful"
# Side of a picture: a sample of 128 px drawn anywhere in it holds its middle.
SIDE_PX = 192
# Around a confirmed site so much is taught: one kiln and the land it stands on.
TAUGHT_M = 200.0


class _ReviewedScene(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    scene_id: str
    path: Path


class ReviewedImagery(BaseModel):
    """Where the pixels of a reviewed survey are.

    Attributes:
        scenes: Name and file of each scene.
        bands: One-based numbers of red, green and blue.
        credit: Sentence of credit for the imagery.
        licence: Licence of its pixels; weights trained on them inherit it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scenes: tuple[_ReviewedScene, ...] = Field(min_length=1)
    bands: tuple[int, int, int] = (1, 2, 3)
    credit: str = "reviewed imagery"
    licence: str = "not stated"


def read_reviewed_imagery(folder: Path) -> ReviewedImagery:
    """Read `imagery.json` of a folder of labels.

    Raises:
        DatasetError: it is missing or wrong.
    """
    path = folder / IMAGERY
    try:
        return ReviewedImagery.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise DatasetError(
            f"{folder} holds no {IMAGERY}: give the folder that `kilnlight review labels` wrote."
        ) from error
    except (ValueError, ValidationError) as error:
        raise DatasetError(f"{path} cannot be read: write the labels again.") from error


def read_reviewed(folder: Path) -> list[Picture]:
    """Read a folder of labels: a picture for every place that was decided and every empty square.

    A place that several scenes show is a picture of each. What was drawn for an audit sample
    teaches nothing: it is what the outcome will be tested with. Its places are doubtful, so that
    beside another place they are no empty ground either.

    Raises:
        DatasetError: a file is missing or wrong, or nothing of it lies on the imagery.
    """
    imagery = read_reviewed_imagery(folder)
    labels, ground = (_read_table(folder / name) for name in (LABELS, GROUND))
    if "audit" in ground:
        ground = ground[~ground["audit"].astype(bool)]
    if "label" not in labels or not labels["label"].isin([SITE, NOT_SITE, DOUBTFUL]).all():
        raise DatasetError(f"{folder / LABELS} needs a column label: site, not_site or doubtful.")
    if "audit" in labels:
        labels = labels.assign(label=labels["label"].mask(labels["audit"].astype(bool), DOUBTFUL))
    pictures = []
    for scene in imagery.scenes:
        image = read_image(scene.path, imagery.bands)
        if image.crs is None:
            raise DatasetError(f"{image.path} does not say where it lies: use a GeoTIFF.")
        seen = _Seen(image, _placed(labels, image), _placed(ground, image))
        pictures += seen.pictures(scene.scene_id)
    if not pictures:
        raise DatasetError(f"nothing of {folder} lies on its imagery: check {IMAGERY}.")
    return pictures


def _read_table(path: Path) -> geopandas.GeoDataFrame:
    if not path.is_file():
        raise DatasetError(
            f"There is no {path}: give the folder that `kilnlight review labels` wrote."
        )
    try:
        frame = geopandas.read_parquet(path)
    except (ValueError, OSError) as error:
        raise DatasetError(f"{path} cannot be read ({error}): write the labels again.") from error
    if frame.crs is None:
        raise DatasetError(f"{path} names no coordinate system: write the labels again.")
    return frame


def _placed(frame: geopandas.GeoDataFrame, image: Image) -> geopandas.GeoDataFrame:
    """Rows with their middle on an image: geometry in its pixels, and that middle as row, col."""
    shapes = frame.geometry.to_crs(image.crs).affine_transform((~image.transform).to_shapely())
    middle = shapely.get_coordinates(shapely.centroid(shapes.to_numpy())).reshape(-1, 2)
    placed = frame.set_geometry(shapes.set_crs(None, allow_override=True)).assign(
        row=middle[:, 1], col=middle[:, 0]
    )
    rows, cols = image.usable.shape
    return placed[((middle >= 0) & (middle < [cols, rows])).all(axis=1)]


@dataclass(frozen=True)
class _Seen:
    """One scene with what people decided on it; geometry in its pixels."""

    image: Image
    labels: geopandas.GeoDataFrame
    ground: geopandas.GeoDataFrame

    def pictures(self, scene_id: str) -> list[Picture]:
        """A picture for every place that was decided and every empty square."""
        whole = self._whole()
        decided = self.labels[self.labels["label"] != DOUBTFUL]
        rows = np.concatenate([decided["row"], self._empty["row"]])
        cols = np.concatenate([decided["col"], self._empty["col"]])
        return [
            _owning(whole.cut(_around(whole, row, col), f"reviewed/{scene_id}"), number)
            for number, (row, col) in enumerate(zip(rows, cols, strict=True), start=1)
        ]

    @property
    def _empty(self) -> geopandas.GeoDataFrame:
        """Squares in which nobody saw a site; where one was seen, nobody says where it stands."""
        return self.ground[self.ground["sites"] == 0]

    def _whole(self) -> Picture:
        """The whole scene with all that is known on it."""
        image, labels = self.image, self.labels
        boxes = SiteLabels.from_corners(
            np.array([rectangle(shape) for shape in labels.geometry]).reshape(-1, 4, 2)
        )
        row, col = labels["row"].to_numpy(float), labels["col"].to_numpy(float)
        sites = SiteLabels(row, col, boxes.length_px, boxes.width_px, boxes.angle_rad)
        return Picture(
            name=image.path.name,
            place="reviewed",
            pixels=image.pixels,
            usable=image.usable,
            sites=sites.shifted(0, 0, (labels["label"] == SITE).to_numpy(bool)),
            doubtful=PixelPoints(row, col).shifted(0, 0, (labels["label"] == DOUBTFUL).to_numpy()),
            blind_edge_px=0,
            ground=image.ground,
            region="reviewed",
            middle=image.middle,
            taught=self._taught(),
        )

    def _taught(self) -> Bools:
        """Where people looked: empty squares, and a square around every confirmed site."""
        taught = np.zeros(self.image.usable.shape, bool)
        half = TAUGHT_M / 2
        across, down = half / self.image.ground.col_m, half / self.image.ground.row_m
        sites = self.labels[self.labels["label"] == SITE]
        around = [
            (col - across, row - down, col + across, row + down)
            for row, col in zip(sites["row"], sites["col"], strict=True)
        ]
        empty = [shape.bounds for shape in self._empty.geometry]
        for left, top, right, bottom in (*empty, *around):
            taught[max(round(top), 0) : round(bottom), max(round(left), 0) : round(right)] = True
        return taught


def _around(whole: Picture, row: float, col: float) -> PixelRect:
    rows, cols = whole.usable.shape
    top = int(np.clip(row - SIDE_PX / 2, 0, max(rows - SIDE_PX, 0)))
    left = int(np.clip(col - SIDE_PX / 2, 0, max(cols - SIDE_PX, 0)))
    return PixelRect(top, min(top + SIDE_PX, rows), left, min(left + SIDE_PX, cols))


def _owning(cut: Picture, number: int) -> Picture:
    """The cut with pixels of its own, so that a large image need not stay in memory."""
    assert cut.taught is not None  # narrows; `_whole` gives it
    return replace(
        cut,
        name=f"{cut.name} place {number}",
        pixels=cut.pixels.copy(),
        usable=cut.usable.copy(),
        taught=cut.taught.copy(),
    )
