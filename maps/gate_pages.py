"""The gate's look at a page: only the tags, scripts, styles, data and policy it was made with."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from maps.cell_code import cell_ids, decode_groups
from maps.evidence import EVIDENCE_CLASSES, OUTSIDE, UNRELEASED
from maps.gate_rules import Expected, check_words, refused
from maps.language import catalogue_json
from maps.layers import themes
from maps.map_block import BaseBlock, MapBlock, PeriodBlock
from maps.map_data import class_digits, decode_sites, figures_block
from maps.map_page import OWN_SCRIPTS
from maps.page import SealedPage, asset, leaflet, policy
from tiles.cells import to_equal_area

Attributes = dict[str, str | None]

THEMES_OF_REPORTS = ("reporting", "evidence")
# Classes of these themes that say nothing of reports.
SILENT = {"class.not_released", "class.no_release", "class.searched_little"}
PLACE_TOLERANCE_M = 2.0  # the map holds whole metres

# A page that is all words, tables and drawings needs no others; none of these loads a file.
TAGS = re.compile(
    "html|head|meta|link|title|style|body|header|footer|main|aside|section|div|nav|h1|h2|h3|p|a"
    "|strong|b|small|span|bdi|code|ul|ol|li|dl|dt|dd|table|caption|thead|tbody|tr|th|td|svg|g|path"
    "|rect|defs|pattern|script|noscript|button|label|input|select|option|output|fieldset|legend"
    "|details|summary|canvas"
)
ICON: Attributes = {"rel": "icon", "href": "data:,"}  # without it browsers ask for favicon.ico
LINKING = {"src", "srcset", "href", "xlink:href", "action", "formaction", "data", "poster", "ping"}
OWN_LINK = re.compile(
    r"data:,|#[\w-]*|(?:index|map|table|method)(?:\.(?:en|hi|bn|ur|ne))?\.html(?:#[\w=&.-]*)?"
    r"|(?:groups|sites)\.(?:csv|geojson)|data_dictionary\.csv|CITATION\.cff|manifest\.json"
)
FETCHED_BY_STYLE = re.compile(r"""@import|url\((?!["']?(?:data:|#))""", re.IGNORECASE)
RAW = ("script", "style")  # tags whose content is no text of the page


class PageContent(HTMLParser):
    """What a page holds: words and attributes, scripts, styles, data blocks, and what is amiss."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.refused: list[str] = []
        self.words: list[str] = []
        self.metas: list[Attributes] = []
        self.raw: list[tuple[str, Attributes, str]] = []
        self._open: str | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect a tag and refuse what would load, send or run something."""
        if not TAGS.fullmatch(tag):
            self.refused.append(f"the tag <{tag}>")
        if tag == "link" and dict(attrs) != ICON:
            self.refused.append(f"a <link> with {dict(attrs)}")
        if tag == "meta":
            self.metas.append(dict(attrs))
        if tag in RAW:
            self._open = tag
            self.raw.append((tag, dict(attrs), ""))
        for name, value in attrs:
            self.words.append(value or "")
            if name in LINKING and not OWN_LINK.fullmatch(value or ""):
                self.refused.append(f"a {name} that points to {value!r}")
            elif name.startswith("on") or name == "style":
                self.refused.append(f"the attribute {name} on <{tag}>")

    def handle_endtag(self, tag: str) -> None:
        """Leave a script or style."""
        if tag == self._open:
            self._open = None

    def handle_data(self, data: str) -> None:
        """Collect text; that of a script or style stays whole."""
        if self._open is None:
            self.words.append(data)
        else:
            tag, attributes, before = self.raw[-1]
            self.raw[-1] = (tag, attributes, before + data)

    def handle_comment(self, data: str) -> None:
        """Refuse comments: nobody reads them on the page."""
        self.refused.append("a comment")

    def handle_pi(self, data: str) -> None:
        """Refuse processing instructions."""
        self.refused.append("a processing instruction")

    def unknown_decl(self, data: str) -> None:
        """Refuse marked sections."""
        self.refused.append("a marked section")


def read_page(html: str, made: SealedPage, refuse: Callable[[str], Exception]) -> PageContent:
    """Parse a page and compare it with what it was made of.

    Args:
        html: as written.
        made: the page as it was made: the scripts and styles that it may hold.
        refuse: makes the error from what the page must not hold.
    """
    page = PageContent(html)
    if page.refused:
        raise refuse(page.refused[0])
    if page.metas != _metas(made):
        raise refuse("another Content-Security-Policy or <meta> than it was made with")
    for tag, known in (("script", made.scripts), ("style", made.styles)):
        bare = [text for kind, attributes, text in page.raw if kind == tag and not attributes]
        if bare != list(known):
            raise refuse(f"a {tag} that it was not made with")
    for tag, attributes, _ in page.raw:
        if attributes and (tag != "script" or attributes.get("type") != "application/json"):
            raise refuse(f"a {tag} with {attributes}")
    for style in made.styles:
        if found := FETCHED_BY_STYLE.search(style):
            raise refuse(f"a style that loads a file ({found.group()})")
    return page


def data_blocks(page: PageContent) -> list[tuple[Attributes, Any]]:
    """Attributes and content of the page's blocks of JSON."""
    return [(attributes, json.loads(text)) for _, attributes, text in page.raw if attributes]


def _metas(made: SealedPage) -> list[Attributes]:
    """The <meta> tags of maps/assets/layout.html.j2."""
    return [
        {"charset": "utf-8"},
        {
            "http-equiv": "Content-Security-Policy",
            "content": policy(made.scripts, made.styles, made.images),
        },
        {"name": "viewport", "content": "width=device-width, initial-scale=1"},
        {"name": "referrer", "content": "no-referrer"},
    ]


def check_page(name: str, text: str, expected: Expected) -> None:
    """Refuse a page that holds anything but what it was made of, and data but its tier's.

    Args:
        name: of the file.
        text: as written.
        expected: what the folder is held against.

    Raises:
        PublishError: naming the page and what must not be in it.
    """
    made = expected.pages[name]
    page = read_page(text, made, lambda what: refused(name, what))
    # One text, so that a pair broken up by tags is one; program files hold numbers of their own.
    own = {leaflet("leaflet.js"), *map(asset, OWN_SCRIPTS)}
    drawn = [script for script in made.scripts if script not in own]
    check_words(name, iter([" ".join(page.words), *drawn]))
    for attributes, data in data_blocks(page):
        block = attributes.get("id")
        if block == "survey":
            _check_survey(name, MapBlock.model_validate(data), expected)
        elif block == "base":
            _check_base(name, BaseBlock.model_validate(data))
        elif block == "words":
            if data != json.loads(catalogue_json()):
                raise refused(name, "other texts than the catalogues'")
        else:
            raise refused(name, f"a data block {block!r}")
    if text != made.html:
        raise refused(name, "other words than it was made with")


def _check_base(name: str, base: BaseBlock) -> None:
    blocks = (base.country_names, base.district_names, base.place_names)
    check_words(name, (text for block in blocks for of in block.names for text in of.values()))


def _check_survey(name: str, block: MapBlock, expected: Expected) -> None:
    """The map's groups are the tier's, cell for cell, its sites the ones that may be shown."""
    check_words(name, iter(block.group_ids))
    if block.tier != expected.facts.tier:
        raise refused(name, f"the {block.tier} tier's data")
    groups = decode_groups(block.cells)
    drawn: dict[str, set[str]] = {}
    for cell_id, group in zip(cell_ids(groups.keys), groups.group.tolist(), strict=True):
        drawn.setdefault(block.group_ids[group], set()).add(cell_id)
    known = dict(zip(expected.partition["group_id"], expected.partition["cell_ids"], strict=True))
    for group_id, cells in drawn.items():
        if group_id != OUTSIDE and cells != set(known[group_id]):
            raise refused(name, f"other ground for group {group_id!r} than its cells")
    for period in block.periods:
        _check_reports(name, block, period, expected)
    newest = block.periods[-1]
    drawn_now = class_digits(themes(expected.groups))
    if (newest.figures, newest.classes) != (figures_block(expected.groups), drawn_now):
        raise refused(name, "other figures than those of the areas")
    _check_sites(name, block, expected)


def _check_reports(name: str, block: MapBlock, period: PeriodBlock, expected: Expected) -> None:
    """Nothing in a period may speak of reports in a group under k: no rate, word or colour."""
    may = expected.partition.set_index("group_id")["released"].to_dict()
    figures = period.figures
    classes = {theme.key: theme.classes for theme in block.themes}
    for at, group_id in enumerate(block.group_ids):
        if may.get(group_id, False):
            continue
        rates = (figures.rate[at], figures.rate_low[at], figures.rate_high[at])
        coloured = {
            classes[key][int(period.classes[key][at])].key
            for key in THEMES_OF_REPORTS
            if key in period.classes
        }
        silent = EVIDENCE_CLASSES[int(figures.evidence[at])] in UNRELEASED
        if rates != (None, None, None) or not silent or coloured - SILENT:
            raise refused(name, f"a figure of reports for group {group_id!r}, under k")


def _check_sites(name: str, block: MapBlock, expected: Expected) -> None:
    if (block.sites is None) != (expected.points is None):
        raise refused(name, "single sites, which this tier never holds")
    if block.sites is None or expected.points is None:
        return
    drawn = decode_sites(block.sites)
    here, known = (_in_metres(at.lon, at.lat) for at in (drawn, expected.points))
    same = len(here) == len(known)
    if same and len(here):
        far_m = [cKDTree(a).query(b)[0].max() for a, b in ((here, known), (known, here))]
        same = max(far_m) <= PLACE_TOLERANCE_M
    if not same:
        raise refused(name, "other sites than those that may be shown")


def _in_metres(lon: npt.ArrayLike, lat: npt.ArrayLike) -> npt.NDArray[np.float64]:
    x_m, y_m = to_equal_area().transform(np.asarray(lon), np.asarray(lat))
    return np.column_stack([x_m, y_m])
