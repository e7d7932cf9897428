"""The gate of the public folder: refuses, in the bytes as written, what the tier never holds."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from maps.gate_pages import data_blocks, read_page
from maps.linking import SITE_ID_PATTERN
from maps.page import SealedPage, asset, leaflet
from maps.positions import position_in
from tiles.cells import CELL_SIZE_M, GRID_NORTH_M, GRID_WEST_M, to_equal_area
from tiles.errors import PublishError
from tiles.noised_counts import HEAD_NOTE

CORNER_TOLERANCE_M = 2.0  # five decimals of a degree are 0.6 m off at most, on each axis
AREAS = ("Polygon", "MultiPolygon")
OUTLINES = ("gaps", "region")  # data blocks of one area without properties
MAP_KEYS = {"type", "features"}
MAP_PROPERTIES = {"at", "title", "rows"}
TABLE_KEYS = MAP_KEYS | {"disclaimer", "imagery", "cautions", "simulated"}
MANIFEST_KEYS = {
    "disclaimer",
    "region",
    "period",
    "not_before",
    "software",
    "simulated",
    HEAD_NOTE,
    "sha256",
}
# What reading a file of another shape than expected raises; it is refused like any other fault.
UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, RecursionError, csv.Error)


def check_public(
    folder: Path,
    allowed_files: set[str],
    allowed_columns: set[str],
    sites: pd.DataFrame,
    pages: Mapping[str, SealedPage],
) -> None:
    """Refuse a public folder that holds anything but groups of cells and words about them.

    Args:
        folder: as written, not yet public.
        allowed_files: names it may hold.
        allowed_columns: columns and properties it may hold.
        sites: the survey's sites; none of their names may be found.
        pages: what each page was made of, by file name.

    Raises:
        PublishError: naming the file and what must not be in it.
    """
    for path in sorted(folder.rglob("*")):
        if path.name not in allowed_files or not path.is_file() or path.parent != folder:
            raise _refused("the public folder", f"the file {path.name}")
        try:
            text = path.read_bytes().decode("utf-8")
            _check_names(path.name, text, sites)
            _check_file(path, text, allowed_columns, pages)
        except UNREADABLE as error:
            fault = f"something that cannot be checked ({type(error).__name__}: {error})"
            raise _refused(path.name, fault) from error


def _check_file(
    path: Path, text: str, allowed_columns: set[str], pages: Mapping[str, SealedPage]
) -> None:
    if path.suffix == ".html":
        _check_page(path.name, text, pages[path.name])
    elif path.suffix == ".geojson":
        _check_collection(path.name, json.loads(text), TABLE_KEYS, allowed_columns)
    elif path.suffix == ".csv":
        _check_csv(path.name, text, allowed_columns)
    else:
        content = json.loads(text)
        _check_keys(path.name, content, MANIFEST_KEYS)
        _check_words(path.name, _leaves(content))


def _refused(name: str, what: str) -> PublishError:
    return PublishError(
        f"{name} holds {what}, so nothing was published: change the name or credit it comes from, "
        "or report a fault of the program."
    )


def _check_names(name: str, text: str, sites: pd.DataFrame) -> None:
    if found := re.search(SITE_ID_PATTERN, text):
        raise _refused(name, f"the site id {found.group()}")
    if named := set(sites["site_id"]) & set(re.findall(r"[\w-]+", text)):
        raise _refused(name, f"the site id {min(named)}")


def _check_words(name: str, words: Iterator[str]) -> None:
    for text in words:
        if place := position_in(text):
            raise _refused(name, f"{place!r}, fine enough to place a site")


def _leaves(value: object) -> Iterator[str]:
    """Every text, number and key of JSON, as text."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from (str(key), *_leaves(inner))
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield str(value)


def _check_page(name: str, text: str, made: SealedPage) -> None:
    page = read_page(text, made, lambda what: _refused(name, what))
    # One text, so that a pair broken up by tags is one; program files hold numbers of their own.
    own = {leaflet("leaflet.js"), asset("map.js")}
    drawn = [script for script in made.scripts if script not in own]
    _check_words(name, iter([" ".join(page.words), *drawn]))
    for attributes, data in data_blocks(page):
        block = attributes.get("id")
        if block == "groups":
            _check_collection(name, data, MAP_KEYS, MAP_PROPERTIES)
        elif block in OUTLINES:
            _check_keys(name, data, {"type", "geometry", "properties"})
            _check_keys(name, data["properties"], set())
            _check_corners(name, _corners(name, data["geometry"]))
        else:
            raise _refused(name, f"a data block {block!r}")


def _check_keys(name: str, data: Mapping[str, Any], allowed: set[str]) -> None:
    if unknown := sorted(set(data) - allowed):
        raise _refused(name, f"the property {unknown[0]!r}")


def _check_collection(
    name: str, data: dict[str, Any], allowed_keys: set[str], allowed_properties: set[str]
) -> None:
    _check_keys(name, data, allowed_keys)
    corners = []
    for feature in data["features"]:
        _check_keys(name, feature, {"type", "geometry", "properties"})
        _check_keys(name, feature["properties"], allowed_properties)
        _check_words(name, _leaves(feature["properties"]))
        corners.append(_corners(name, feature["geometry"]))
    _check_words(name, _leaves({key: data[key] for key in data if key != "features"}))
    _check_corners(name, np.concatenate(corners))


def _corners(name: str, geometry: dict[str, Any]) -> npt.NDArray[np.float64]:
    """Every longitude, latitude of an area, (n, 2)."""
    _check_keys(name, geometry, {"type", "coordinates"})
    if geometry["type"] not in AREAS:
        raise _refused(name, f"a {geometry['type']}, only areas may be")
    found: list[list[float]] = []

    def walk(part: list[Any]) -> None:
        if part and isinstance(part[0], list):
            for inner in part:
                walk(inner)
        elif part:
            lon, lat = part  # a height, or half of a position, is a ValueError
            found.append([float(lon), float(lat)])

    walk(geometry["coordinates"])
    return np.array(found).reshape(-1, 2)


def _check_corners(name: str, lonlat: npt.NDArray[np.float64]) -> None:
    """Areas are whole cells: a corner off the grid could be a site's own place."""
    if not len(lonlat):
        return
    x_m, y_m = to_equal_area().transform(lonlat[:, 0], lonlat[:, 1])
    steps_m = np.column_stack((x_m - GRID_WEST_M, GRID_NORTH_M - y_m))
    if not np.isfinite(steps_m).all():
        raise ValueError("a corner off the globe")
    off_m = np.abs(steps_m - np.round(steps_m / CELL_SIZE_M) * CELL_SIZE_M).max(axis=1)
    worst = int(off_m.argmax())
    if off_m[worst] > CORNER_TOLERANCE_M:
        raise _refused(name, f"an area with a corner {off_m[worst]:.0f} m off the grid of cells")


def _check_csv(name: str, text: str, allowed_columns: set[str]) -> None:
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    header = next(rows)
    if unknown := sorted(set(header) - allowed_columns):
        raise _refused(name, f"the column {unknown[0]!r}")
    for row in rows:
        if len(row) != len(header):
            raise _refused(name, f"a row of {len(row)} cells under {len(header)} columns")
        _check_words(name, iter(row))
