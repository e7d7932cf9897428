"""A picture of the groups that needs no script: one SVG, drawn once."""

import math
from itertools import count

import geopandas as gpd
import shapely
from markupsafe import Markup
from shapely.geometry.base import BaseGeometry

from maps.language import Language
from maps.layers import PATTERNS, LegendClass, Theme

WIDTH = 640  # units of the picture's own coordinates; it scales with the page
MARGIN = 12


def overview_svg(
    groups: gpd.GeoDataFrame,
    gaps: BaseGeometry,
    surveyed: BaseGeometry,
    theme: Theme,
    language: Language,
) -> Markup:
    """Draw the groups in a theme's colours, what was not searched, and the survey's outline."""
    frame = _Frame(shapely.union_all([*groups.geometry, surveyed]))
    areas = [
        Markup('<path d="{}" fill="{}"/>').format(frame.path(shape), _fill(theme, at))
        for shape, at in zip(groups.geometry, theme.group_classes, strict=True)
    ]
    return Markup(
        '<svg class="map" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        '<defs>{}<pattern id="hatch" width="8" height="8" patternUnits="userSpaceOnUse">'
        '<path d="{}" stroke="#37474f" stroke-width="1.2"/>'
        '</pattern></defs><g stroke="#5b6470" stroke-width="0.7" fill-rule="evenodd">{}'
        '<path d="{}" fill="url(#hatch)"/></g>'
        '<path d="{}" fill="none" stroke="#101820" stroke-width="2" stroke-dasharray="6 4"/></svg>'
    ).format(
        WIDTH,
        frame.height,
        language.say("index.overview", heading=language.say(f"theme.{theme.key}.heading")),
        Markup("").join(map(_pattern, theme.classes, count())),
        PATTERNS["hatch"],
        Markup("\n").join(areas),
        frame.path(gaps),
        frame.path(surveyed),
    )


def _fill(theme: Theme, at: int) -> str:
    return f"url(#class{at})" if theme.classes[at].path else theme.classes[at].fill


def _pattern(line: LegendClass, at: int) -> Markup:
    return Markup(
        '<pattern id="class{}" width="8" height="8" patternUnits="userSpaceOnUse">'
        '<rect width="8" height="8" fill="{}"/><path d="{}" fill="none" stroke="{}" '
        'stroke-width="{}" stroke-linecap="round"/></pattern>'
    ).format(at, line.fill, line.path, line.ink, line.stroke)


class _Frame:
    """Degrees to picture units, east-west shrunk by the cosine of the middle latitude."""

    def __init__(self, ground: BaseGeometry) -> None:
        self.west, south, east, self.north = ground.bounds
        self.shrink = math.cos(math.radians((south + self.north) / 2))
        span = max((east - self.west) * self.shrink, (self.north - south) / 1.5, 1e-6)
        self.scale = (WIDTH - 2 * MARGIN) / span
        self.height = math.ceil((self.north - south) * self.scale) + 2 * MARGIN
        self.left = (WIDTH - (east - self.west) * self.shrink * self.scale) / 2

    def path(self, shape: BaseGeometry) -> str:
        """SVG path of a polygon's rings, to a tenth of a unit."""
        rings = [
            ring for part in shapely.get_parts(shape) for ring in (part.exterior, *part.interiors)
        ]
        return "".join(self._ring(ring) for ring in rings)

    def _ring(self, ring: shapely.LinearRing) -> str:
        points = [
            f"{self.left + (lon - self.west) * self.shrink * self.scale:.1f} "
            f"{MARGIN + (self.north - lat) * self.scale:.1f}"
            for lon, lat in shapely.get_coordinates(ring)[:-1]
        ]
        return "M" + "L".join(points) + "Z"
