"""The detection: one oriented box in one scene, its columns and units, and where it lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol, Self

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod

from tiles.tables import Column, TableSchema

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# Scores are kept to this many decimals: sums of another order must not change a file's bytes.
SCORE_DECIMALS = 4

_GEOD = Geod(ellps="WGS84")

DETECTIONS = TableSchema(
    "detections",
    2,
    (
        Column("detection_id", "string", "scene_id, peak_row and peak_col joined by underscores"),
        Column("scene_id", "string", "the scene in which the site was seen"),
        Column("site_class", "string", "name of the site class"),
        Column("kind", "string", "FCBK, Zigzag, CFCBK, or unknown where the data bear no answer"),
        Column("score", "float64", "the network's own score in [0, 1]; not a probability"),
        Column("p_site", "float64", "calibrated probability that this is a site of the class"),
        Column("p_low", "float64", "lower end of the 90 % interval of p_site"),
        Column("p_high", "float64", "upper end of the 90 % interval of p_site"),
        Column("lon", "float64", "longitude of the centre, degrees, WGS 84"),
        Column("lat", "float64", "latitude of the centre, degrees, WGS 84"),
        Column("length_m", "float64", "long side in metres on the ellipsoid"),
        Column("width_m", "float64", "short side in metres on the ellipsoid"),
        Column("azimuth_deg", "float64", "long side, clockwise from true north, in [0, 180)"),
        Column("peak_row", "int64", "row of the heatmap's peak on the scene's working grid"),
        Column("peak_col", "int64", "column of the heatmap's peak on the scene's working grid"),
        Column("date", "string", "the scene's date, ISO 8601; none for a composite", nullable=True),
        Column("first_date", "string", "earliest of the looks that showed it", nullable=True),
        Column("last_date", "string", "latest of the looks that showed it", nullable=True),
        Column("looks", "int64", "clear looks at its peak: 1, or the dates of a composite"),
        Column("unfamiliar", "bool", "the imagery here is unlike what the weights were trained on"),
    ),
    "footprint of the oriented box, a polygon in longitude and latitude, WGS 84",
)


@dataclass(frozen=True)
class PixelBoxes:
    """Oriented boxes on a scene's working grid, as arrays of one length.

    Pixel (0, 0)'s outer corner is the origin, so the centre of pixel (r, c) is (r + 0.5, c + 0.5).

    Attributes:
        row: Refined centre, downwards, pixels.
        col: Refined centre, to the right, pixels.
        peak_row: The pixel that owns the detection: its row.
        peak_col: The pixel that owns the detection: its column.
        length_px: Long side, pixels.
        width_px: Short side, pixels.
        angle_rad: Direction of the long side, from +col towards +row, in [0, pi).
        score: The network's score in [0, 1].
    """

    row: Floats
    col: Floats
    peak_row: Ints
    peak_col: Ints
    length_px: Floats
    width_px: Floats
    angle_rad: Floats
    score: Floats

    def __post_init__(self) -> None:
        lengths = {field.name: len(getattr(self, field.name)) for field in fields(self)}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"arrays of a PixelBoxes differ in length: {lengths}")

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, index: Bools | Ints | slice) -> PixelBoxes:
        """The boxes at `index`: a mask, positions or a slice."""
        return PixelBoxes(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @classmethod
    def empty(cls) -> Self:
        """No boxes."""
        floats, ints = np.zeros(0, np.float64), np.zeros(0, np.int64)
        return cls(floats, floats, ints, ints, floats, floats, floats, floats)

    @staticmethod
    def concatenate(parts: Sequence[PixelBoxes]) -> PixelBoxes:
        """All boxes, sorted by peak row and column: the order of the parts does not matter."""
        if not parts:
            return PixelBoxes.empty()
        joined = PixelBoxes(
            **{
                f.name: np.concatenate([getattr(part, f.name) for part in parts])
                for f in fields(PixelBoxes)
            }
        )
        return joined[np.lexsort((joined.peak_col, joined.peak_row)).astype(np.int64)]


@dataclass(frozen=True)
class ArrayWindow:
    """A rectangle of an array: first row and column, and how many of each."""

    row0: int
    col0: int
    rows: int
    cols: int


@dataclass(frozen=True)
class PixelOrigin:
    """Where on the scene's working grid an array's first pixel lies; negative in a scene's halo."""

    row: int
    col: int


@dataclass(frozen=True)
class SiteProbabilities:
    """Calibrated probabilities with a 90 % interval each; arrays of one length."""

    p: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class SeenOn:
    """The looks behind each box, sequences of one length.

    Attributes:
        first_date: Earliest, ISO 8601; None where no date is known.
        last_date: Latest.
        count: How many.
    """

    first_date: Sequence[str | None]
    last_date: Sequence[str | None]
    count: Ints


class SceneGrid(Protocol):
    """What `georeference` asks of a scene; `tiles.scene.Scene` has it."""

    @property
    def scene_id(self) -> str:
        """Identifier of the scene, unique within a survey."""

    @property
    def date(self) -> str | None:
        """Acquisition date, ISO 8601, if known."""

    def to_lonlat(self, col: Floats, row: Floats) -> Any:  # noqa: ANN401  (a pair or named pair)
        """Longitudes and latitudes (degrees, WGS 84) of pixel coordinates."""


def georeference(
    boxes: PixelBoxes,
    scene: SceneGrid,
    site_class: str,
    probabilities: SiteProbabilities,
    unfamiliar: Bools,
    kind: str = "unknown",
    seen: SeenOn | None = None,
) -> gpd.GeoDataFrame:
    """The DETECTIONS table of one scene's boxes, in the order of the boxes.

    Lengths, widths and azimuths are geodesics on WGS 84 between the middles of the box's sides, so
    they hold in any CRS, where pixels are not square and where the grid is rotated.

    Args:
        boxes: Boxes on the scene's working grid.
        scene: Gives the identifier, the date and the positions of pixels.
        site_class: Name of the class.
        probabilities: One calibrated probability a box.
        unfamiliar: One flag a box.
        kind: Kind of site, the same for all boxes.
        seen: On which dates of a composite each box was seen; once on the scene's own when None.
    """
    corners_lon, corners_lat = _lonlat(scene, *_corners(boxes))
    lon, lat = _lonlat(scene, boxes.col, boxes.row)
    sides = _sides(scene, boxes)
    size = len(boxes)
    frame = gpd.GeoDataFrame(
        {
            "detection_id": [
                f"{scene.scene_id}_{row}_{col}"
                for row, col in zip(boxes.peak_row, boxes.peak_col, strict=True)
            ],
            "scene_id": [scene.scene_id] * size,
            "site_class": [site_class] * size,
            "kind": [kind] * size,
            "score": np.round(boxes.score, SCORE_DECIMALS),
            "p_site": probabilities.p,
            "p_low": probabilities.low,
            "p_high": probabilities.high,
            "lon": lon,
            "lat": lat,
            "length_m": sides.length_m,
            "width_m": sides.width_m,
            "azimuth_deg": sides.azimuth_deg,
            "peak_row": boxes.peak_row.astype(np.int64),
            "peak_col": boxes.peak_col.astype(np.int64),
            "date": [scene.date] * size,
            "first_date": [scene.date] * size if seen is None else list(seen.first_date),
            "last_date": [scene.date] * size if seen is None else list(seen.last_date),
            "looks": np.ones(size, np.int64) if seen is None else seen.count,
            "unfamiliar": np.asarray(unfamiliar, bool),
        },
        geometry=shapely.polygons(np.stack([corners_lon, corners_lat], axis=-1)),
        crs="EPSG:4326",
    )
    return frame


@dataclass(frozen=True)
class _Sides:
    length_m: Floats
    width_m: Floats
    azimuth_deg: Floats


def _sides(scene: SceneGrid, boxes: PixelBoxes) -> _Sides:
    length_m, azimuth = _span(scene, boxes, boxes.length_px, boxes.angle_rad)
    width_m, across = _span(scene, boxes, boxes.width_px, boxes.angle_rad + np.pi / 2)
    # Where pixels are not square, the side that is longer in pixels can be shorter in metres.
    swapped = width_m > length_m
    longer = np.where(swapped, across, azimuth) % 180.0
    return _Sides(
        np.where(swapped, width_m, length_m), np.where(swapped, length_m, width_m), longer % 180.0
    )


def _span(
    scene: SceneGrid, boxes: PixelBoxes, length_px: Floats, angle_rad: Floats
) -> tuple[Floats, Floats]:
    """Geodesic length (m) and azimuth (degrees) of a line through each box's centre."""
    half_col, half_row = np.cos(angle_rad) * length_px / 2, np.sin(angle_rad) * length_px / 2
    lon1, lat1 = _lonlat(scene, boxes.col - half_col, boxes.row - half_row)
    lon2, lat2 = _lonlat(scene, boxes.col + half_col, boxes.row + half_row)
    forward, _, distance_m = _GEOD.inv(lon1, lat1, lon2, lat2)
    return np.asarray(distance_m, float), np.asarray(forward, float)


def _corners(boxes: PixelBoxes) -> tuple[Floats, Floats]:
    """Columns and rows of the four corners, each (n, 4), in order around the box."""
    along = np.array([1.0, 1.0, -1.0, -1.0]) * boxes.length_px[:, None] / 2
    across = np.array([1.0, -1.0, -1.0, 1.0]) * boxes.width_px[:, None] / 2
    cos, sin = np.cos(boxes.angle_rad)[:, None], np.sin(boxes.angle_rad)[:, None]
    col = boxes.col[:, None] + along * cos - across * sin
    row = boxes.row[:, None] + along * sin + across * cos
    return col, row


def _lonlat(scene: SceneGrid, col: Floats, row: Floats) -> tuple[Floats, Floats]:
    lon, lat = scene.to_lonlat(col, row)
    return np.asarray(lon, float), np.asarray(lat, float)
