"""The themes of the map: the class of each group of cells, its colour, pattern and words.

A theme is a folium layer that colours every cell by its group; another theme is one more entry in
`themes`, with its words in the catalogues. Colours are ColorBrewer's colour-blind-safe sequences
and Okabe-Ito; every class has a pattern of its own beside, so that nobody needs to see colours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from maps.hotspots import LEAST_SEARCHED_SHARE, STRONGEST_FIRST
from maps.language import Language

Pattern = Literal["plain", "sparse", "dots", "bars", "posts", "bricks", "grid", "rings", "hatch"]
# Strokes of a tile of 8 x 8 units, as SVG draws them and as a canvas does (Path2D). A dot is a
# stroke of next to no length with round ends. The hatch is kept for ground that was not searched.
PATTERNS: dict[Pattern, str] = {
    "plain": "",
    "sparse": "M4 4h.01",
    "dots": "M2 2h.01M6 6h.01",
    "bars": "M0 4H8",
    "posts": "M2 0V8M6 0V8",
    "bricks": "M0 2H8M0 6H8M2 2V6M6 6V8M6 0V2",
    "grid": "M0 2H8M0 6H8M2 0V8M6 0V8",
    "rings": "M2 4a2 2 0 1 0 4 0a2 2 0 1 0 -4 0",
    "hatch": "M-2 2L2 -2M0 8L8 0M6 10L10 6",
}
RISING: tuple[Pattern, ...] = ("plain", "sparse", "dots", "bars", "posts", "grid")
PALE = "#f4f4f1"  # ground of which nothing is said
DARK = 110  # of 255: fills darker than this get white strokes
DENSITY_BREAKS = (
    5,
    15,
    30,
    60,
    120,
)  # per 1,000 km2; the South Asian belt as a whole holds 22 to 36
RATE_BREAKS = (0.1, 0.3, 1, 3)  # reporters per expected site, in steps of about three
SHARE_BREAKS = (50, 80, 95)  # per cent, above the fifth under which nothing is said
STEADY_BREAKS = (50, 80, 95)  # per cent of eleven other grids


@dataclass(frozen=True)
class LegendClass:
    """One line of a legend: the key of its words and the numbers in them."""

    key: str
    fill: str
    pattern: Pattern = "plain"
    values: tuple[tuple[str, float], ...] = ()

    def label(self, language: Language) -> str:
        """Return its words."""
        return language.say(self.key, **dict(self.values))

    @property
    def path(self) -> str:
        """Strokes of its pattern, an SVG path on a tile of 8 x 8 units."""
        return PATTERNS[self.pattern]

    @property
    def stroke(self) -> int:
        """Width of the strokes: dots are wider than lines."""
        return 2 if ".01" in self.path else 1

    @property
    def ink(self) -> str:
        """Colour of the pattern's strokes: the fill darkened, or lightened where it is dark."""
        levels = [int(self.fill[at : at + 2], 16) for at in (1, 3, 5)]
        if np.dot(levels, (0.299, 0.587, 0.114)) < DARK:  # luma of ITU-R BT.601
            return "#" + "".join(f"{round(level + 0.45 * (255 - level)):02x}" for level in levels)
        return "#" + "".join(f"{round(0.62 * level):02x}" for level in levels)


@dataclass(frozen=True)
class Theme:
    """One way to colour the groups: its legend, and the class of each group in it."""

    key: str
    classes: tuple[LegendClass, ...]
    group_classes: tuple[int, ...]


HATCHED = LegendClass(
    "class.searched_little", PALE, "hatch", (("share", round(100 * LEAST_SEARCHED_SHARE)),)
)


def themes(groups: pd.DataFrame) -> list[Theme]:
    """Return the themes of a GROUPS table; those of reports only where a release is in it."""
    found = [_expected(groups), _hotspots(groups)]
    if groups["hot_stability"].notna().any():
        found.append(_stability(groups))
    if (~groups["evidence_class"].isin(["no_release", "not_searched"])).any():
        found += [_reporting(groups), _evidence(groups)]
    return [*found, _coverage(groups)]


def _expected(groups: pd.DataFrame) -> Theme:
    density = 1000 * groups["expected_sites"].to_numpy() / groups["area_km2"].to_numpy()
    fills = ("#ffffd4", "#fee391", "#fec44f", "#fe9929", "#d95f0e", "#993404")
    classes = _steps("class.under", "class.over", fills, DENSITY_BREAKS)
    at = np.digitize(density, DENSITY_BREAKS)
    return Theme("expected", (*classes, HATCHED), _or_hatched(at, groups, len(classes)))


def _hotspots(groups: pd.DataFrame) -> Theme:
    classes = (
        LegendClass("class.hot", "#7f0000", "grid", (("share", 99),)),
        LegendClass("class.hot", "#ef6548", "posts", (("share", 95),)),
        LegendClass("class.hot", "#fdd49e", "dots", (("share", 90),)),
        LegendClass("class.not_denser", "#eceff1"),
        LegendClass("class.not_tested", PALE, "hatch"),
    )
    return Theme("hotspots", classes, tuple(map(STRONGEST_FIRST.index, groups["hotspot_class"])))


def _stability(groups: pd.DataFrame) -> Theme:
    fills = ("#dadaeb", "#bcbddc", "#807dba", "#4a1486")
    classes = (
        *_steps("class.under_share", "", fills, (*STEADY_BREAKS, 100), RISING[1:]),
        LegendClass("class.no_hot_cell", PALE),
        LegendClass("class.not_tried", "#cfd8dc", "rings"),
        HATCHED,
    )
    stability = groups["hot_stability"].to_numpy(dtype=float, na_value=np.nan)
    steps = np.digitize(100 * np.nan_to_num(stability), STEADY_BREAKS)
    cold = (groups["n_hot_cells"] == 0).to_numpy()
    at = np.select([cold, np.isfinite(stability)], [len(fills), steps], len(fills) + 1)
    return Theme("stability", classes, _or_hatched(at, groups, len(classes) - 1))


def _reporting(groups: pd.DataFrame) -> Theme:
    fills = ("#ffffcc", "#a1dab4", "#41b6c4", "#2c7fb8", "#253494")
    classes = (
        *_steps("class.under", "class.over", fills, RATE_BREAKS),
        LegendClass("class.too_few", PALE, "rings"),
        LegendClass("class.not_released", "#cfd8dc", "bricks"),
    )
    rate = groups["report_rate"].to_numpy(dtype=float, na_value=np.nan)
    no_release = (groups["evidence_class"] == "no_release").to_numpy()
    known = np.digitize(np.nan_to_num(rate), RATE_BREAKS)
    at = np.select([np.isfinite(rate), no_release], [known, len(classes) - 1], len(classes) - 2)
    return Theme("reporting", (*classes, HATCHED), _or_hatched(at, groups, len(classes)))


def _evidence(groups: pd.DataFrame) -> Theme:
    names = ("both", "imagery_only", "unheard", "reports_only", "no_release", "not_searched")
    classes = (
        LegendClass("class.both", "#0072b2", "grid"),
        LegendClass("class.imagery_only", "#f0d58c"),
        LegendClass("class.unheard", "#d55e00", "rings"),
        LegendClass("class.reports_only", "#cc79a7", "posts"),
        LegendClass("class.no_release", "#cfd8dc", "bricks"),
        HATCHED,
    )
    return Theme("evidence", classes, tuple(names.index(name) for name in groups["evidence_class"]))


def _coverage(groups: pd.DataFrame) -> Theme:
    fills = ("#d0d1e6", "#a6bddb", "#3690c0", "#034e7b")
    fifth = round(100 * LEAST_SEARCHED_SHARE)
    breaks = (fifth, *SHARE_BREAKS, 100)
    classes = tuple(
        LegendClass("class.between_share", fill, pattern, (("low", low), ("high", high)))
        for fill, pattern, low, high in zip(fills, RISING[:4], breaks, breaks[1:], strict=False)
    )
    at = np.digitize(100 * groups["searched_share"].to_numpy(), SHARE_BREAKS)
    return Theme("coverage", (*classes, HATCHED), _or_hatched(at, groups, len(classes)))


def _steps(
    first: str,
    last: str,
    fills: Sequence[str],
    breaks: Sequence[float],
    patterns: Sequence[Pattern] = RISING,
) -> tuple[LegendClass, ...]:
    """Classes between rising breaks; with as many breaks as fills the last class ends at one."""
    lows, highs = (None, *breaks), (*breaks, None)
    between = first.replace("under", "between")
    found = []
    for fill, pattern, low, high in zip(fills, patterns, lows, highs, strict=False):
        key = first if low is None else last if high is None else between
        ends = (("low", low), ("high", high))
        values = tuple((name, end) for name, end in ends if end is not None)
        found.append(LegendClass(key, fill, pattern, values))
    return tuple(found)


def _or_hatched(at: npt.NDArray[np.intp], groups: pd.DataFrame, hatched: int) -> tuple[int, ...]:
    little = groups["searched_share"].to_numpy() < LEAST_SEARCHED_SHARE
    return tuple(int(place) for place in np.where(little, hatched, at))
