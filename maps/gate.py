"""The gate of the public folder: refuses, in the bytes as written, what the tier never holds."""

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from maps.linking import SITE_ID_PATTERN
from maps.page import CSP_MARK, leaflet
from tiles.cells import CELL_SIZE_M, GRID_NORTH_M, GRID_WEST_M, to_equal_area
from tiles.errors import PublishError

CORNER_TOLERANCE_M = 2.0  # five decimals of a degree are 0.6 m off at most, on each axis
# A number this fine places something to 11 m; outside of the areas' own corners none is needed.
FINE_NUMBER = re.compile(r"(?<![\w#.])-?(?!10\.\d{4,9}/[A-Za-z])\d+\.\d{4,}")  # but a DOI may stand
DATA_BLOCK = re.compile(r'<script type="application/json" id="(\w+)">(.*?)</script>', re.DOTALL)
FETCHED_BY_STYLE = re.compile(r"""@import|url\((?!["']?(?:data:|#))""", re.IGNORECASE)
AREAS = ("Polygon", "MultiPolygon")
DATA_BLOCKS = ("groups", "gaps", "region")
OWN_LINK = re.compile(r"data:,|#\w*|(?:index|map|method)\.html(?:#\w+)?|groups\.\w+|manifest\.json")
LINKING = {"src", "srcset", "href", "xlink:href", "action", "formaction", "data", "poster", "ping"}
LOADING_TAGS = {
    "img",
    "iframe",
    "frame",
    "object",
    "embed",
    "base",
    "form",
    "video",
    "audio",
    "image",
}
MAP_PROPERTIES = {"at", "title", "rows"}


def check_public(
    folder: Path, allowed_files: set[str], allowed_columns: set[str], sites: pd.DataFrame
) -> None:
    """Refuse a public folder that holds anything but groups of cells and words about them.

    Args:
        folder: as written, not yet public.
        allowed_files: names it may hold.
        allowed_columns: columns and properties it may hold.
        sites: the survey's sites: site_id, lon, lat; none of them may be found.

    Raises:
        PublishError: naming the file and what must not be in it.
    """
    for path in sorted(folder.rglob("*")):
        if path.name not in allowed_files or not path.is_file() or path.parent != folder:
            raise _refused("the public folder", f"the file {path.name}")
        text = path.read_bytes().decode("utf-8")
        _check_text(path.name, text, sites)
        if path.suffix == ".html":
            text = _check_html(path.name, text)
        elif path.suffix == ".geojson":
            text = _check_geojson(path.name, text, allowed_columns)
        elif path.suffix == ".csv":
            _check_csv(path.name, text, allowed_columns)
        if fine := FINE_NUMBER.search(text):
            raise _refused(path.name, f"the number {fine.group()}, fine enough to place a site")


def _refused(name: str, what: str) -> PublishError:
    return PublishError(
        f"{name} holds {what}, so nothing was published: change the name or credit it comes from, "
        "or report a fault of the program."
    )


def _check_text(name: str, text: str, sites: pd.DataFrame) -> None:
    if found := re.search(SITE_ID_PATTERN, text):
        raise _refused(name, f"the site id {found.group()}")
    if named := set(sites["site_id"]) & set(re.findall(r"[\w-]+", text)):
        raise _refused(name, f"the site id {min(named)}")


def _check_html(name: str, text: str) -> str:
    """Check policy, data blocks, tags and styles; return the rest, without Leaflet's own text."""
    if CSP_MARK in text or "default-src 'none'" not in text:
        raise _refused(name, "no Content-Security-Policy")
    _check_data_blocks(name, text)
    rest = DATA_BLOCK.sub("", text)
    for known in ("leaflet.js", "leaflet.css"):
        rest = rest.replace(leaflet(known), "")
    tags = _Tags()
    tags.feed(rest)
    if tags.refused:
        raise _refused(name, f"{tags.refused[0]}")
    if found := FETCHED_BY_STYLE.search(tags.style):
        raise _refused(name, f"a style that loads a file ({found.group()})")
    return rest


class _Tags(HTMLParser):
    """Collects tags and attributes that would load, send or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[str] = []
        self.style = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in LOADING_TAGS:
            self.refused.append(f"the tag <{tag}>")
        for name, value in attrs:
            if name in LINKING and not OWN_LINK.fullmatch(value or ""):
                self.refused.append(f"a {name} that points to {value!r}")
            elif name.startswith("on") or name == "style":
                self.refused.append(f"the attribute {name} on <{tag}>")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "style":
            self.style += data


def _check_data_blocks(name: str, text: str) -> None:
    for block, content in DATA_BLOCK.findall(text):
        if block not in DATA_BLOCKS:
            raise _refused(name, f"a data block {block!r}")
        data = json.loads(content)
        if block == "groups":
            _check_features(name, data, MAP_PROPERTIES)
            continue
        if data["properties"] or data["geometry"]["type"] not in AREAS:
            raise _refused(name, f"more of {block} than its outline")
        if block == "gaps" and data["geometry"]["coordinates"]:
            _check_corners(name, _positions(data["geometry"]["coordinates"]))


def _check_geojson(name: str, text: str, allowed_columns: set[str]) -> str:
    data = json.loads(text)
    _check_features(name, data, allowed_columns)
    return json.dumps({key: value for key, value in data.items() if key != "features"})


def _check_features(name: str, data: dict[str, object], allowed: set[str]) -> None:
    features = data["features"]
    assert isinstance(features, list)
    for feature in features:
        unknown = set(feature["properties"]) - allowed
        if unknown or set(feature) != {"type", "geometry", "properties"}:
            raise _refused(name, f"the property {sorted(unknown)}")
        kind = feature["geometry"]["type"]
        if kind not in AREAS:
            raise _refused(name, f"a {kind}, only areas may be")
        if fine := FINE_NUMBER.search(json.dumps(feature["properties"])):
            raise _refused(name, f"the number {fine.group()} of an area")
    corners = [_positions(feature["geometry"]["coordinates"]) for feature in features]
    if corners:
        _check_corners(name, np.concatenate(corners))


def _positions(coordinates: object) -> npt.NDArray[np.float64]:
    """Every longitude, latitude of nested GeoJSON coordinates, (n, 2)."""
    found: list[list[float]] = []

    def walk(part: list[object]) -> None:
        if isinstance(part[0], list):
            for inner in part:
                assert isinstance(inner, list)
                walk(inner)
        else:
            found.append([float(str(value)) for value in part[:2]])

    assert isinstance(coordinates, list)
    walk(coordinates)
    return np.array(found)


def _check_corners(name: str, lonlat: npt.NDArray[np.float64]) -> None:
    """Areas are whole cells: a corner off the grid could be a site's own place."""
    x_m, y_m = to_equal_area().transform(lonlat[:, 0], lonlat[:, 1])
    steps_m = np.column_stack((x_m - GRID_WEST_M, GRID_NORTH_M - y_m))
    off_m = np.abs(steps_m - np.round(steps_m / CELL_SIZE_M) * CELL_SIZE_M).max(axis=1)
    worst = int(off_m.argmax())
    if off_m[worst] > CORNER_TOLERANCE_M:
        raise _refused(name, f"an area with a corner {off_m[worst]:.0f} m off the grid of cells")


def _check_csv(name: str, text: str, allowed_columns: set[str]) -> None:
    header = next(csv.reader(text.removeprefix("\ufeff").splitlines()), [])
    unknown = sorted(set(header) - allowed_columns)
    if unknown:
        raise _refused(name, f"the column {unknown[0]!r}")
