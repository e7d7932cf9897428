"""The ground a survey is about and the months it speaks for."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio.errors
import shapely
import shapely.errors
from shapely.geometry.base import BaseGeometry

from tiles.errors import RegionError

UNDATED = "undated"  # the period where the imagery states no date and the user names none
DELAY_MONTHS = 3  # what is public speaks of a season that is over, not of who is there now
MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)


@dataclass(frozen=True)
class Region:
    """A polygon on the ground: EPSG:4326, x is longitude, y is latitude, in degrees."""

    name: str
    polygon: BaseGeometry


@dataclass(frozen=True)
class Period:
    """Whole months, both ends included: `2025-11/2026-06`."""

    first: str
    last: str

    def __post_init__(self) -> None:
        if not (MONTH.fullmatch(self.first) and MONTH.fullmatch(self.last)):
            raise RegionError(f"period {self}: write months as 2025-11/2026-06.")
        if self.last < self.first:
            raise RegionError(f"period {self} ends before it begins: swap the two months.")

    @classmethod
    def parse(cls, text: str) -> "Period":
        """Read `2025-11/2026-06`, or one month `2026-02`.

        Raises:
            RegionError: the text is neither.
        """
        first, _, last = text.strip().partition("/")
        return cls(first, last or first)

    @property
    def a_quarter_later(self) -> str:
        """The first month that lies a whole quarter after the period."""
        return self.later(DELAY_MONTHS)

    def later(self, months: int) -> str:
        """The first month that lies so many whole months after the period."""
        year, month = (int(part) for part in self.last.split("-"))
        years, months = divmod(month + months, 12)
        return f"{year + years}-{months + 1:02d}"

    def holds(self, month: str) -> bool:
        """Say whether a month written as 2026-02 lies in the period."""
        return self.first <= month <= self.last

    def __str__(self) -> str:
        return f"{self.first}/{self.last}"


def read_region(path: Path, name: str | None = None) -> Region:
    """Read every polygon of a vector file (GeoJSON, GeoPackage, ...) as one region.

    It is called `name`, or like the file.

    Raises:
        RegionError: the file is absent, unreadable, has no CRS, or holds no valid polygon.
    """
    shapes = read_shapes(path, "region")
    return Region(name or path.stem, _one_polygon(shapes.geometry, f"region file {path}"))


def read_shapes(path: Path, what: str) -> gpd.GeoDataFrame:
    """Read a vector file (GeoJSON, GeoPackage, ...) in longitude and latitude.

    Args:
        path: the file.
        what: what it is and which option names it, for messages: `region`, `districts`.

    Raises:
        RegionError: the file is absent, unreadable or empty, or has no CRS.
    """
    if not path.is_file():
        raise RegionError(f"{what} file {path} is not there: check the path after --{what}.")
    try:
        with np.errstate(invalid="ignore"):
            frame = gpd.read_file(path)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError) as error:
        raise RegionError(
            f"{what} file {path} is no readable vector file: use GeoJSON or GeoPackage."
        ) from error
    if not isinstance(frame, gpd.GeoDataFrame) or frame.empty:
        raise RegionError(f"{what} file {path} holds nothing on the ground: draw at least one.")
    if frame.crs is None:
        raise RegionError(
            f"{what} file {path} has no coordinate system: save it with one, e.g. EPSG:4326."
        )
    try:
        return frame.to_crs(4326)
    except shapely.errors.GEOSException as error:
        raise RegionError(f"{what} file {path} holds broken coordinates ({error}).") from error


def region_of(name: str, footprints: Iterable[BaseGeometry]) -> Region:
    """Join footprints (EPSG:4326) to one region."""
    return Region(name, _one_polygon(footprints, f"region {name}"))


def _one_polygon(geometries: Iterable[BaseGeometry | None], where: str) -> BaseGeometry:
    parts = [geometry for geometry in geometries if geometry is not None]
    if any(part.geom_type not in ("Polygon", "MultiPolygon") for part in parts):
        raise RegionError(f"{where} holds something other than polygons: remove points and lines.")
    for part in parts:
        if not part.is_valid:
            raise RegionError(
                f"{where} is invalid ({shapely.is_valid_reason(part)}): repair the polygon."
            )
    union = shapely.union_all(parts) if parts else shapely.Polygon()
    if union.is_empty or union.area <= 0:
        raise RegionError(f"{where} has no area: draw a polygon with an inside.")
    west, south, east, north = union.bounds
    if west < -180 or east > 180 or south < -90 or north > 90:
        raise RegionError(
            f"{where} reaches beyond the globe ({west}, {south}, {east}, {north}): use degrees."
        )
    return union
