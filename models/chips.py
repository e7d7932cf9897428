"""Labelled pictures: pixels with the sites known on them, and where on the ground they lie."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Boxes shorter than this are label errors (see the notes on the data); their place stays a site.
SHORTEST_BOX_PX = 5.0
# Length of a degree of latitude on a sphere of the equator's radius; good to 0.6 %.
METRES_PER_DEGREE = 111_320.0


@dataclass(frozen=True)
class LonLat:
    """A position in degrees, WGS 84."""

    lon: float
    lat: float

    def moved(self, east_m: float, north_m: float) -> LonLat:
        """A position some metres away; for distances that do not reach past a scene."""
        across = METRES_PER_DEGREE * float(np.cos(np.radians(self.lat)))
        return LonLat(self.lon + east_m / across, self.lat + north_m / METRES_PER_DEGREE)


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
    def at(cls, points: PixelPoints) -> Self:
        """Sites known by their centres alone."""
        none = np.zeros(len(points))
        return cls(points.row, points.col, none, none, none)

    @classmethod
    def from_corners(cls, corners: Floats) -> Self:
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

    @classmethod
    def none(cls) -> Self:
        """No position."""
        return cls(np.zeros(0), np.zeros(0))


@dataclass(frozen=True)
class Ground:
    """Where a picture lies: metres east and north of its first corner, and metres per pixel."""

    east_m: float
    north_m: float
    col_m: float
    row_m: float


@dataclass(frozen=True)
class PixelRect:
    """Part of a picture: rows and columns from the first up to but without the last."""

    row0: int
    row1: int
    col0: int
    col1: int


@dataclass(frozen=True)
class Picture:
    """Pixels with what is known on them.

    Attributes:
        name: For messages: the image's file name, or the chip's.
        place: Name of the place; training and test never share one.
        pixels: (band, y, x), native number type.
        usable: (y, x).
        sites: Known sites.
        doubtful: Positions that are neither site nor background.
        blind_edge_px: Along the edge sites may be unlabelled; this margin teaches nothing.
        ground: Where it lies, for distances within the picture.
        region: The region that its place belongs to.
        middle: Where its middle lies, WGS 84; None where nobody knows.
        first_row: Its first row in the image file that it was cut from.
        first_col: Its first column there.
        taught: (y, x), where the labels are whole; None: wherever it is usable.
    """

    name: str
    place: str
    pixels: NDArray[Any]
    usable: Bools
    sites: SiteLabels
    doubtful: PixelPoints
    blind_edge_px: int
    ground: Ground
    region: str = ""
    middle: LonLat | None = None
    first_row: int = 0
    first_col: int = 0
    taught: Bools | None = None

    @property
    def area_km2(self) -> float:
        """Area of the usable pixels."""
        return float(self.usable.sum()) * self.ground.col_m * self.ground.row_m / 1e6

    @property
    def rect(self) -> PixelRect:
        """The whole picture in its own pixels."""
        return PixelRect(0, self.usable.shape[0], 0, self.usable.shape[1])

    def columns(self, first: int, last: int, place: str) -> Picture:
        """The part from column `first` up to but without `last`, as a place of its own."""
        return self.cut(PixelRect(0, self.usable.shape[0], first, last), place)

    def cut(self, rect: PixelRect, place: str) -> Picture:
        """A part as a place of its own; its middle is that of the whole, moved over the ground."""
        rows, cols = slice(rect.row0, rect.row1), slice(rect.col0, rect.col1)
        moved = replace(
            self.ground,
            east_m=self.ground.east_m + rect.col0 * self.ground.col_m,
            north_m=self.ground.north_m - rect.row0 * self.ground.row_m,
        )
        return replace(
            self,
            place=place,
            ground=moved,
            middle=self._middle_of(rect),
            pixels=self.pixels[:, rows, cols],
            usable=self.usable[rows, cols],
            sites=self.sites.shifted(rect.row0, rect.col0, _inside(self.sites, rect)),
            doubtful=self.doubtful.shifted(rect.row0, rect.col0, _inside(self.doubtful, rect)),
            first_row=self.first_row + rect.row0,
            first_col=self.first_col + rect.col0,
            taught=None if self.taught is None else self.taught[rows, cols],
        )

    def without_labels(self) -> Picture:
        """The same pixels with nothing of what anybody knows about them."""
        none = PixelPoints.none()
        return replace(self, sites=SiteLabels.at(none), doubtful=none, taught=None)

    def _middle_of(self, rect: PixelRect) -> LonLat | None:
        if self.middle is None:
            return None
        rows, cols = self.usable.shape
        south_m = ((rect.row0 + rect.row1) / 2 - rows / 2) * self.ground.row_m
        east_m = ((rect.col0 + rect.col1) / 2 - cols / 2) * self.ground.col_m
        return self.middle.moved(east_m, -south_m)


def _inside(points: SiteLabels | PixelPoints, rect: PixelRect) -> Bools:
    rows = (points.row >= rect.row0) & (points.row < rect.row1)
    return rows & (points.col >= rect.col0) & (points.col < rect.col1)
