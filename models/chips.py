"""Labelled pictures: scenes with a table of sites, tiles with boxes, chips without any site."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from tiles.errors import DatasetError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CORNERS = [f"{axis}{i}" for i in (1, 2, 3, 4) for axis in "xy"]
# Boxes shorter than this are label errors (see the notes on the data); their place stays a site.
SHORTEST_BOX_PX = 5.0
METRES_PER_DEGREE = 111_320.0


@dataclass(frozen=True)
class SiteLabels:
    """Known sites of one picture, as arrays of one length; pixel-corner convention.

    Attributes:
        row: Centre, pixels.
        col: Centre, pixels.
        length_px: Long side, pixels; 0 where unknown.
        width_px: Short side, pixels; 0 where unknown.
        angle_rad: Long side, from +col towards +row; 0 where unknown.
    """

    row: Floats
    col: Floats
    length_px: Floats
    width_px: Floats
    angle_rad: Floats

    def __len__(self) -> int:
        return len(self.row)

    @property
    def has_box(self) -> Bools:
        """Whether size and direction are known."""
        return self.length_px > 0

    def shifted(self, rows: float, cols: float, keep: Bools) -> SiteLabels:
        """The kept sites, moved up and left."""
        return SiteLabels(
            self.row[keep] - rows,
            self.col[keep] - cols,
            self.length_px[keep],
            self.width_px[keep],
            self.angle_rad[keep],
        )

    @classmethod
    def from_corners(cls, corners: Floats) -> SiteLabels:
        """Sites from the corners of boxes, (n, 4, 2) as x, y; NaN where a box is unknown."""
        corners = np.asarray(corners, float).reshape(-1, 4, 2)
        first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 1]
        size1, size2 = np.hypot(*first.T), np.hypot(*second.T)
        along = np.where((size1 >= size2)[:, None], first, second)
        length, width = np.maximum(size1, size2), np.minimum(size1, size2)
        known = np.nan_to_num(length) >= SHORTEST_BOX_PX
        angle = np.arctan2(along[:, 1], along[:, 0]) % np.pi
        centre = corners.mean(axis=1)
        return cls(
            row=centre[:, 1],
            col=centre[:, 0],
            length_px=np.where(known, length, 0.0),
            width_px=np.where(known, width, 0.0),
            angle_rad=np.where(known, angle, 0.0),
        )


@dataclass(frozen=True)
class PixelPoints:
    """Positions on a picture, pixel-corner convention."""

    row: Floats
    col: Floats

    def __len__(self) -> int:
        return len(self.row)

    def shifted(self, rows: float, cols: float, keep: Bools) -> PixelPoints:
        """The kept points, moved up and left."""
        return PixelPoints(self.row[keep] - rows, self.col[keep] - cols)


@dataclass(frozen=True)
class Ground:
    """Where a picture lies: metres east and north of its first corner, and metres per pixel."""

    east_m: float
    north_m: float
    col_m: float
    row_m: float


@dataclass(frozen=True)
class Picture:
    """Pixels with what is known on them.

    Attributes:
        name: For messages.
        place: Name of the place; training and test never share one.
        pixels: (band, y, x), native number type.
        usable: (y, x).
        sites: Known sites.
        doubtful: Positions that are neither site nor background.
        blind_edge_px: Along the edge sites may be unlabelled; this margin teaches nothing.
        ground: Where it lies.
    """

    name: str
    place: str
    pixels: NDArray[Any]
    usable: Bools
    sites: SiteLabels
    doubtful: PixelPoints
    blind_edge_px: int
    ground: Ground

    @property
    def area_km2(self) -> float:
        """Area of the usable pixels."""
        return float(self.usable.sum()) * self.ground.col_m * self.ground.row_m / 1e6

    def columns(self, first: int, last: int, place: str) -> Picture:
        """The part from column `first` up to but without `last`, as a place of its own."""
        inside = (self.sites.col >= first) & (self.sites.col < last)
        near = (self.doubtful.col >= first) & (self.doubtful.col < last)
        moved = replace(self.ground, east_m=self.ground.east_m + first * self.ground.col_m)
        return replace(
            self,
            place=place,
            ground=moved,
            pixels=self.pixels[:, :, first:last],
            usable=self.usable[:, first:last],
            sites=self.sites.shifted(0, first, inside),
            doubtful=self.doubtful.shifted(0, first, near),
        )


def read_scene(image: Path, table: Path, place: str) -> Picture:
    """A georeferenced scene with a CSV of sites.

    The table has `x, y` (pixels), and may have `trusted` (False makes a doubtful place) and the
    corners `x1, y1 ... x4, y4` (pixels) of a box.

    Raises:
        DatasetError: A file is missing or unreadable, a column is missing, or a site lies outside.
    """
    pixels, ground = _read_raster(image)
    frame = _read_table(table, ("x", "y"))
    trusted = frame["trusted"].astype(bool) if "trusted" in frame else pd.Series(True, frame.index)
    _check_inside(frame, pixels.shape, table)
    known, doubtful = frame[trusted], frame[~trusted]
    sites = SiteLabels.from_corners(known.reindex(columns=CORNERS).to_numpy(float))
    sites = replace(sites, row=known["y"].to_numpy(float), col=known["x"].to_numpy(float))
    return Picture(
        name=image.name,
        place=place,
        pixels=pixels,
        usable=np.ones(pixels.shape[1:], bool),
        sites=sites,
        doubtful=PixelPoints(doubtful["y"].to_numpy(float), doubtful["x"].to_numpy(float)),
        blind_edge_px=0,
        ground=ground,
    )


def read_tiles(
    images: Path, labels: Path, table: Path, notes: Path | None, blind_edge_px: int
) -> list[Picture]:
    """A folder of tiles: `images/NAME.tif` or `.png`, `labels/NAME.json`, a CSV `name, district`.

    A label file holds `obb_px`: rows `[class, x1, y1, ..., x4, y4]`. The notes, a CSV `tile, x_px,
    y_px, verdict`, name places where labels and eyes disagree: they become doubtful, and a site
    whose verdict is `wrong label` is dropped.

    Raises:
        DatasetError: A file is missing or wrong, or the folder holds no tile.
    """
    frame = _read_table(table, ("name", "district"))
    remarks = _read_table(notes, ("tile", "x_px", "y_px", "verdict")) if notes else None
    if frame.empty:
        raise DatasetError(f"{table} lists no tiles: an empty dataset teaches nothing.")
    return [
        _read_tile(images, labels, str(row["name"]), str(row["district"]), remarks, blind_edge_px)
        for _, row in frame.iterrows()
    ]


def _read_tile(
    images: Path, labels: Path, name: str, district: str, notes: pd.DataFrame | None, edge_px: int
) -> Picture:
    path = next((p for s in (".tif", ".png") if (p := images / f"{name}{s}").is_file()), None)
    if path is None:
        raise DatasetError(f"The tile {name} has no image in {images}: add {name}.tif or .png.")
    pixels, ground = _read_raster(path)
    sites = _read_boxes(labels / f"{name}.json", pixels.shape)
    doubtful = PixelPoints(np.zeros(0), np.zeros(0))
    if notes is not None:
        sites, doubtful = _apply_notes(sites, notes[notes["tile"].astype(str) == name])
    return Picture(
        name=name,
        place=district,
        pixels=pixels,
        usable=np.ones(pixels.shape[1:], bool),
        sites=sites,
        doubtful=doubtful,
        blind_edge_px=edge_px,
        ground=ground,
    )


def _apply_notes(sites: SiteLabels, notes: pd.DataFrame) -> tuple[SiteLabels, PixelPoints]:
    doubtful = notes[notes["verdict"] != "faint label"]
    wrong = notes[notes["verdict"] == "wrong label"]
    keep = np.ones(len(sites), bool)
    for x, y in wrong[["x_px", "y_px"]].to_numpy(float):
        keep &= np.hypot(sites.col - x, sites.row - y) > SHORTEST_BOX_PX
    points = PixelPoints(doubtful["y_px"].to_numpy(float), doubtful["x_px"].to_numpy(float))
    return sites.shifted(0, 0, keep), points


def read_empty_chips(path: Path, key: str, group_key: str, keep_label: int | None) -> list[Picture]:
    """Chips without any site, from an .npz of arrays `x` (n, y, x, band) and maybe `y` (labels).

    Raises:
        DatasetError: The file is missing or holds no such arrays.
    """
    try:
        with np.load(path) as arrays:
            chips = arrays[key]
            keep = np.ones(len(chips), bool)
            if keep_label is not None:
                keep = arrays["y"] == keep_label
            groups = arrays[group_key]
    except (OSError, KeyError, ValueError) as error:
        raise DatasetError(f"{path} holds no readable chips ({error}): check it.") from error
    return [
        _empty_chip(f"{path.stem}/{i}", f"{path.stem}/{groups[i]}", chips[i])
        for i in np.flatnonzero(keep)
    ]


def _empty_chip(name: str, place: str, chip: NDArray[Any]) -> Picture:
    pixels = np.moveaxis(chip, -1, 0)
    none = np.zeros(0)
    return Picture(
        name=name,
        place=place,
        pixels=pixels,
        usable=np.ones(pixels.shape[1:], bool),
        sites=SiteLabels(none, none, none, none, none),
        doubtful=PixelPoints(none, none),
        blind_edge_px=0,
        ground=Ground(0.0, 0.0, 10.0, 10.0),
    )


def _read_raster(path: Path) -> tuple[NDArray[Any], Ground]:
    if not path.is_file():
        raise DatasetError(f"There is no image at {path}: check the path and the data folder.")
    try:
        with rasterio.open(path) as source:
            if source.count < 3:
                raise DatasetError(
                    f"{path} has {source.count} band(s): red, green and blue are needed."
                )
            return source.read([1, 2, 3]), _ground(source)
    except RasterioError as error:
        raise DatasetError(f"{path} is no image that can be read ({error}): replace it.") from error


def _ground(source: Any) -> Ground:  # noqa: ANN401  (rasterio ships no types)
    """Metres per pixel; for a picture in degrees at the latitude of its middle."""
    t = source.transform
    if source.crs is None or not source.crs.is_geographic:
        return Ground(t.c, t.f, abs(t.a), abs(t.e))
    latitude = t.f + t.e * source.height / 2
    east = METRES_PER_DEGREE * float(np.cos(np.radians(latitude)))
    return Ground(t.c * east, t.f * METRES_PER_DEGREE, t.a * east, -t.e * METRES_PER_DEGREE)


def _read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    if not path.is_file():
        raise DatasetError(f"There is no table at {path}: check the path and the data folder.")
    try:
        frame = pd.read_csv(path)
    except (ValueError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} is no CSV that can be read ({error}): replace it.") from error
    missing = [name for name in columns if name not in frame]
    if missing:
        raise DatasetError(f"{path} has no column {missing[0]!r}: its columns are {list(frame)}.")
    return frame


def _check_inside(frame: pd.DataFrame, shape: tuple[int, ...], path: Path) -> None:
    outside = ~(frame["x"].between(0, shape[2]) & frame["y"].between(0, shape[1]))
    if outside.any():
        row = frame[outside].iloc[0]
        raise DatasetError(
            f"{path} places a site at x {row['x']}, y {row['y']}, outside the image of "
            f"{shape[2]} x {shape[1]} px: correct or remove that row."
        )


def _read_boxes(path: Path, shape: tuple[int, ...]) -> SiteLabels:
    if not path.is_file():
        raise DatasetError(f"There is no label file at {path}: an empty image needs one too.")
    try:
        rows = np.asarray(json.loads(path.read_text(encoding="utf-8"))["obb_px"], float)
        corners = rows.reshape(-1, 9)[:, 1:].reshape(-1, 4, 2)
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{path} holds no list obb_px of [class, x1, y1, ..., x4, y4]: correct it."
        ) from error
    sites = SiteLabels.from_corners(corners)
    centres = pd.DataFrame({"x": sites.col, "y": sites.row})
    _check_inside(centres, shape, path)
    return sites
