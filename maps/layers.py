"""The themes of the map: the class of each group of cells, its colour, pattern and words.

A theme is a folium layer that draws every group from one shared GeoJSON; another theme is one more
entry in `themes`. Colours are ColorBrewer's colour-blind-safe sequences and Okabe-Ito; what is not
known differs in pattern too, so that it never reads as "little".
"""

from dataclasses import asdict, dataclass
from typing import Literal

import folium.map
import numpy as np
import numpy.typing as npt
import pandas as pd
from folium.template import Template

from maps.hotspots import LEAST_SEARCHED_SHARE, STRONGEST_FIRST

Pattern = Literal["plain", "hatch", "dots"]
PALE = "#f4f4f1"  # ground of which nothing is said
SEARCH_TOO_LITTLE = f"Under {LEAST_SEARCHED_SHARE:.0%} searched".replace("%", " %")
DENSITY_BREAKS = (
    5,
    15,
    30,
    60,
    120,
)  # per 1,000 km2; the South Asian belt as a whole holds 22 to 36
RATE_BREAKS = (0.1, 0.3, 1, 3)  # reporters per expected site, in steps of about three
SHARE_BREAKS = (0.5, 0.8, 0.95)  # above the fifth under which nothing is said


@dataclass(frozen=True)
class LegendClass:
    """One line of a legend."""

    label: str
    fill: str
    pattern: Pattern = "plain"

    @property
    def ink(self) -> str:
        """Colour of the pattern's strokes: grey on pale ground, white on a colour."""
        return "#8b959c" if self.fill == PALE else "#ffffff"


@dataclass(frozen=True)
class Theme:
    """One way to colour the groups: its words, its legend, and the class of each group in it."""

    key: str
    title: str
    heading: str
    note: str
    classes: tuple[LegendClass, ...]
    group_classes: tuple[int, ...]


HATCHED = LegendClass(SEARCH_TOO_LITTLE, PALE, "hatch")


def themes(groups: pd.DataFrame) -> list[Theme]:
    """Return the themes of a GROUPS table; those of reports only where a release is in it."""
    found = [_expected(groups), _hotspots(groups)]
    if (~groups["evidence_class"].isin(["no_release", "not_searched"])).any():
        found += [_reporting(groups), _evidence(groups)]
    return [*found, _coverage(groups)]


def _expected(groups: pd.DataFrame) -> Theme:
    density = 1000 * groups["expected_sites"].to_numpy() / groups["area_km2"].to_numpy()
    at = np.digitize(density, DENSITY_BREAKS)
    fills = ("#ffffd4", "#fee391", "#fec44f", "#fe9929", "#d95f0e", "#993404")
    labels = ("Under 5", "5 to 15", "15 to 30", "30 to 60", "60 to 120", "120 and more")
    classes = tuple(map(LegendClass, labels, fills))
    return Theme(
        "expected",
        "Expected sites",
        "Sites expected per 1,000 km²",
        "Sites found, weighted by how sure they are, plus those likely missed.",
        (*classes, HATCHED),
        _or_hatched(at, groups, len(classes)),
    )


def _hotspots(groups: pd.DataFrame) -> Theme:
    fills = ("#7f0000", "#ef6548", "#fdd49e", "#eceff1", PALE)
    labels = (
        "Hotspot, 99 %",
        "Hotspot, 95 %",
        "Hotspot, 90 %",
        "No denser than chance",
        "Not tested: too little of its cells searched",
    )
    patterns: tuple[Pattern, ...] = ("plain", "plain", "plain", "plain", "hatch")
    at = [STRONGEST_FIRST.index(name) for name in groups["hotspot_class"]]
    return Theme(
        "hotspots",
        "Hotspots",
        "Where sites are denser than chance",
        "The strongest class that half of an area's 5 km cells reach. 99 %: of cells called so, "
        "about one in a hundred is there by chance. Found from imagery alone.",
        tuple(map(LegendClass, labels, fills, patterns)),
        tuple(at),
    )


def _reporting(groups: pd.DataFrame) -> Theme:
    fills = ("#ffffcc", "#a1dab4", "#41b6c4", "#2c7fb8", "#253494")
    labels = ("Under 0.1", "0.1 to 0.3", "0.3 to 1", "1 to 3", "3 and more")
    classes = (
        *map(LegendClass, labels, fills),
        LegendClass("Too few to say", PALE, "dots"),
        LegendClass("Not released", "#cfd8dc"),
    )
    rate = groups["report_rate"].to_numpy(dtype=float)
    no_release = (groups["evidence_class"] == "no_release").to_numpy()
    known = np.digitize(np.nan_to_num(rate), RATE_BREAKS)
    at = np.select([np.isfinite(rate), no_release], [known, len(classes) - 1], len(classes) - 2)
    return Theme(
        "reporting",
        "Reporting rate",
        "People reporting per expected site",
        "From counts with random noise added, so that nobody can be singled out. A low rate is not "
        "a sign that all is well: it can mean that people cannot report.",
        (*classes, HATCHED),
        _or_hatched(at, groups, len(classes)),
    )


def _evidence(groups: pd.DataFrame) -> Theme:
    names = ("both", "imagery_only", "unheard", "reports_only", "no_release", "not_searched")
    classes = (
        LegendClass("Imagery and reports", "#0072b2"),
        LegendClass("Imagery only", "#f0d58c"),
        LegendClass("Unheard: many sites, few reports", "#d55e00", "dots"),
        LegendClass("Reports, no site seen", "#cc79a7"),
        LegendClass("No reports released", "#cfd8dc"),
        HATCHED,
    )
    return Theme(
        "evidence",
        "What is known",
        "What the figures rest on",
        "Unheard: at least five sites, and surely under half of the usual reporting rate, that of "
        "the middle area. No reports never means that nothing happens.",
        classes,
        tuple(names.index(name) for name in groups["evidence_class"]),
    )


def _coverage(groups: pd.DataFrame) -> Theme:
    fills = ("#d0d1e6", "#a6bddb", "#3690c0", "#034e7b")
    labels = ("20 to 50 % searched", "50 to 80 %", "80 to 95 %", "95 to 100 %")
    classes = tuple(map(LegendClass, labels, fills))
    at = np.digitize(groups["searched_share"].to_numpy(), SHARE_BREAKS)
    return Theme(
        "coverage",
        "What was searched",
        "Share of the ground that was searched",
        "Cloud, gaps in the imagery and failed scenes leave ground unsearched. Where nothing was "
        "searched, nothing found means nothing.",
        (*classes, HATCHED),
        _or_hatched(at, groups, len(classes)),
    )


def _or_hatched(at: npt.NDArray[np.intp], groups: pd.DataFrame, hatched: int) -> tuple[int, ...]:
    little = groups["searched_share"].to_numpy() < LEAST_SEARCHED_SHARE
    return tuple(int(place) for place in np.where(little, hatched, at))


class ThemeLayer(folium.map.Layer):
    """One theme as a base layer: its polygons are made when it is first shown."""

    _template = Template("""
        {% macro script(this, kwargs) %}
            var {{ this.get_name() }} = kilnlight.themeLayer({{ this.theme|tojavascript }});
        {% endmacro %}
        """)

    def __init__(self, theme: Theme, show: bool) -> None:
        super().__init__(name=theme.title, overlay=False, show=show)
        self._name = "ThemeLayer"
        self.theme = {
            "key": theme.key,
            "classes": [{**asdict(line), "ink": line.ink} for line in theme.classes],
            "groups": list(theme.group_classes),
        }


class GraticuleLayer(folium.map.Layer):
    """Lines of longitude and latitude with their degrees, drawn for the view."""

    _template = Template("""
        {% macro script(this, kwargs) %}
            var {{ this.get_name() }} = kilnlight.graticule({{ this._parent.get_name() }});
        {% endmacro %}
        """)

    def __init__(self) -> None:
        super().__init__(name="Degrees", overlay=True)
        self._name = "GraticuleLayer"


class GapsLayer(folium.map.Layer):
    """Cells of which under a fifth was searched, hatched over every theme; data block `gaps`."""

    _template = Template("""
        {% macro script(this, kwargs) %}
            var {{ this.get_name() }} = kilnlight.gaps({{ this._parent.get_name() }});
        {% endmacro %}
        """)

    def __init__(self) -> None:
        super().__init__(name="Not searched", overlay=True)
        self._name = "GapsLayer"


class RegionLayer(folium.map.Layer):
    """The outline of the cells surveyed, from the page's data block `region`."""

    _template = Template("""
        {% macro script(this, kwargs) %}
            var {{ this.get_name() }} = kilnlight.outline({{ this._parent.get_name() }});
        {% endmacro %}
        """)

    def __init__(self) -> None:
        super().__init__(name="Region surveyed", overlay=True)
        self._name = "RegionLayer"
