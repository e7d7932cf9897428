"""The small maps on paper: the ground round a site with its neighbours, and the whole area.

No name covers another one, a dot or the scale: one that finds no room beside its dot is left out.
"""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from maps.boundaries import Places
from maps.packs.paper import BRICK, INK, LINES, PALE, SOFT, WHITE, Box, Colour, Paper
from maps.packs.pictures import AROUND, Chip

M_PER_DEGREE = 111_320.0  # of latitude; a map of a few kilometres does not show the difference
DOT_MM = 1.4
RING_MM = 3.4
MOST_NUMBERS = 150  # more find no room beside their dots
MOST_NAMES = 25  # more names than that cover the dots of an area's map
LABEL, LABEL_MM = 6.5, 3.2  # letters in points, and the height of their pale ground
NAME_MM = 30.0  # longer names are cut
DOT_EDGE = 0.8  # of a dot's radius: the square that no label may cover
BARS_M = (100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000)  # lengths that read well
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Maplet:
    """What small maps are drawn from."""

    area: BaseGeometry
    lon: Floats
    lat: Floats
    rank: npt.NDArray[np.int64]
    places: Places | None = None
    side_m: float = AROUND.side_m


def maplet_of(rows: pd.DataFrame, area: BaseGeometry, places: Places | None) -> Maplet:
    """Return what maps of a pack are drawn from."""
    return Maplet(
        area,
        rows["lon"].to_numpy(np.float64),
        rows["lat"].to_numpy(np.float64),
        rows["rank"].to_numpy(np.int64),
        places,
    )


@dataclass(frozen=True)
class Spot:
    """A point on a page, millimetres from its upper left corner."""

    x: float
    y: float


@dataclass(frozen=True)
class Sheet:
    """A box on paper that shows ground: equirectangular round a middle."""

    box: Box
    lon: float
    lat: float
    m_per_mm: float

    def at(self, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
        """Bring longitude, latitude to millimetres on the page."""
        across = M_PER_DEGREE * math.cos(math.radians(self.lat)) / self.m_per_mm
        x = self.box.x + self.box.width / 2 + (lon - self.lon) * across
        y = self.box.y + self.box.height / 2 - (lat - self.lat) * M_PER_DEGREE / self.m_per_mm
        return x, y

    def holds(self, x: Floats, y: Floats, margin: float = 1.5) -> npt.NDArray[np.bool_]:
        """Say which points lie in the box."""
        box = self.box
        across = (x > box.x + margin) & (x < box.x + box.width - margin)
        return across & (y > box.y + margin) & (y < box.y + box.height - margin)


def draw_around(
    paper: Paper, maplet: Maplet, box: Box, site: Mapping[Hashable, Any], chip: Chip | None
) -> None:
    """Draw the ground round a site: imagery where there is some, neighbours and names."""
    sheet = Sheet(box, float(site["lon"]), float(site["lat"]), maplet.side_m / box.width)
    if chip is None:
        paper.rectangle(box, LINES, PALE)
    else:
        paper.picture(box, chip.jpeg)
    x, y = sheet.at(maplet.lon, maplet.lat)
    others = np.flatnonzero(sheet.holds(x, y) & (maplet.rank != int(site["rank"])))
    middle = Spot(box.x + box.width / 2, box.y + box.height / 2)
    _ring(paper, middle)
    taken = [_bar(paper, sheet), around(middle, RING_MM)]
    _dots(paper, sheet, taken, _spots(x, y, others), maplet.rank[others], INK)
    _names(paper, sheet, maplet.places, taken)


def draw_overview(paper: Paper, maplet: Maplet, box: Box, rows: pd.DataFrame) -> None:
    """Draw the team's area with all of its sites, by number."""
    west, south, east, north = maplet.area.bounds
    lat = (south + north) / 2
    wide = (east - west) * M_PER_DEGREE * math.cos(math.radians(lat))
    high = (north - south) * M_PER_DEGREE
    scale = max(wide / (box.width - 8), high / (box.height - 8), 1.0)
    sheet = Sheet(box, (west + east) / 2, lat, scale)
    paper.rectangle(box, LINES, PALE)
    for part in shapely.get_parts(maplet.area):
        ring = shapely.get_coordinates(part.exterior)
        x, y = sheet.at(ring[:, 0], ring[:, 1])
        paper.outline(list(zip(x.tolist(), y.tolist(), strict=True)))
    x, y = sheet.at(maplet.lon, maplet.lat)
    taken = [_bar(paper, sheet)]
    _dots(paper, sheet, taken, _spots(x, y, np.arange(len(x))), maplet.rank, BRICK)
    _names(paper, sheet, maplet.places, taken)


def _dots(
    paper: Paper,
    sheet: Sheet,
    taken: list[Box],
    spots: list[Spot],
    ranks: npt.NDArray[np.int64],
    colour: Colour,
) -> None:
    """Draw the sites, then the numbers of those that have room, the first to visit first."""
    for spot in spots[::-1]:
        paper.disc(spot.x, spot.y, DOT_MM, colour)
        taken.append(around(spot, DOT_MM * DOT_EDGE))
    for spot, rank in list(zip(spots, ranks.tolist(), strict=True))[:MOST_NUMBERS]:
        _label(paper, sheet, taken, spot, DOT_MM + 0.4, str(rank))


def _names(paper: Paper, sheet: Sheet, places: Places | None, taken: list[Box]) -> None:
    if places is None:
        return
    x, y = sheet.at(places.lon, places.lat)
    shown = np.flatnonzero(sheet.holds(x, y, 1.5))[:MOST_NAMES]
    for spot, at in zip(_spots(x, y, shown), shown, strict=True):
        paper.disc(spot.x, spot.y, 0.6, SOFT)
        taken.append(around(spot, 0.6))
        _label(paper, sheet, taken, spot, 1.2, places.names[at])


def _spots(x: Floats, y: Floats, shown: npt.NDArray[np.intp]) -> list[Spot]:
    return [Spot(float(x[at]), float(y[at])) for at in shown]


def around(spot: Spot, radius: float) -> Box:
    """Return the square round a point, all in millimetres."""
    return Box(spot.x - radius, spot.y - radius, 2 * radius, 2 * radius)


def free_box(sheet: Box, taken: list[Box], spot: Spot, off: float, label: Box) -> Box | None:
    """Return where a label has room: right of its point, left, above or below; None if nowhere.

    Args:
        sheet: the map, which labels do not leave.
        taken: what they must not cover.
        spot: the point.
        off: between the point and its label, millimetres.
        label: its width and height; where it stands is not looked at.
    """
    x, y, width, height = spot.x, spot.y, label.width, label.height
    for left, top in (
        (x + off, y - height / 2),
        (x - off - width, y - height / 2),
        (x - width / 2, y - off - height),
        (x - width / 2, y + off),
    ):
        box = Box(left, top, width, height)
        if _inside(box, sheet) and not any(_overlap(box, other) for other in taken):
            return box
    return None


def _inside(box: Box, sheet: Box) -> bool:
    across = sheet.x <= box.x and box.x + box.width <= sheet.x + sheet.width
    return across and sheet.y <= box.y and box.y + box.height <= sheet.y + sheet.height


def _overlap(one: Box, other: Box) -> bool:
    across = one.x < other.x + other.width and other.x < one.x + one.width
    return across and one.y < other.y + other.height and other.y < one.y + one.height


def _label(paper: Paper, sheet: Sheet, taken: list[Box], spot: Spot, off: float, text: str) -> None:
    """Write dark letters on a pale ground, which can be read on any imagery."""
    text = paper.cut(text, LABEL, NAME_MM)
    width = paper.width(text, LABEL)
    label = Box(0, 0, width + 0.6, max(paper.line_mm(LABEL, text), LABEL_MM))
    box = free_box(sheet.box, taken, spot, off, label)
    if box is None:
        return
    taken.append(box)
    paper.rectangle(box, None, WHITE)
    paper.words(Box(box.x + 0.3, box.y, width + 1), text, LABEL, INK, "L")


def _ring(paper: Paper, middle: Spot) -> None:
    paper.ring(middle.x, middle.y, RING_MM, WHITE, 1.1)
    paper.ring(middle.x, middle.y, RING_MM, BRICK, 0.6)


def _bar(paper: Paper, sheet: Sheet) -> Box:
    """Draw a scale bar of a length that reads well, and return the ground it covers."""
    most_m = sheet.m_per_mm * sheet.box.width / 3
    length_m = max((length for length in BARS_M if length <= most_m), default=BARS_M[0])
    width = length_m / sheet.m_per_mm
    x, y = sheet.box.x + 3, sheet.box.y + sheet.box.height - 3
    text = f"{length_m} m" if length_m < 1000 else f"{length_m // 1000} km"
    ground = Box(x - 1, y - 4.2, max(width, 12) + 2, 5.6)
    paper.rectangle(ground, None, WHITE)
    paper.rectangle(Box(x, y - 0.6, width, 0.8), None, INK)
    paper.words(Box(x, y - 4, 20), text, LABEL, INK, "L")
    return ground
