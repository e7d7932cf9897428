"""The gate's look at tables, citation and manifest: known columns, whole cells, k, known sites."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import ValidationError

from maps.citation import citation, read_citation
from maps.dictionary import HEADER, dictionary
from maps.downloads import GROUP_NAMES, MANIFEST, group_table, manifest, site_table
from maps.evidence import OUTSIDE, UNRELEASED
from maps.gate_rules import NEVER_OF_SITES, Expected, check_words, refused
from maps.page import geometry_json
from maps.sheets import ENCODING, safe_cell
from tiles.cells import CELL_SIZE_M, GRID_NORTH_M, GRID_WEST_M, to_equal_area
from tiles.partition import REST

CORNER_TOLERANCE_M = 2.0  # five decimals of a degree are 0.6 m off at most, on each axis
AREAS = ("Polygon", "MultiPolygon")
COLLECTION_KEYS = {"type", "features", "disclaimer", "imagery", "cautions", "simulated"}
PLAIN = re.compile(r"[\d.:_-]*|KL-[\w-]+|True|False")  # numbers, dates, names of sites and cells
# What reading a file of another shape than expected raises; it is refused like any other fault.
UNREADABLE = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    RecursionError,
    csv.Error,
    ValidationError,
)


class TableGate:
    """Checks of the files beside the pages; each is given one file's text."""

    def __init__(self, folder: Path, expected: Expected) -> None:
        self.folder = folder
        self.expected = expected
        self.groups = expected.partition.set_index("group_id")

    def check_group_sheet(self, text: str) -> None:
        """Check groups.csv."""
        rows = list(_rows("groups.csv", text, GROUP_NAMES))
        for row in rows:
            check_words("groups.csv", iter(row.values()))
            self._check_group("groups.csv", row)
        wanted = [[safe_cell(value) for value in row.values()] for row in self._areas]
        if [list(row.values()) for row in rows] != wanted:
            raise refused("groups.csv", "other figures than those of the areas")

    def check_group_areas(self, text: str) -> None:
        """Check groups.geojson: each area is a group of the tier, cell for cell."""
        name = "groups.geojson"
        features = list(self._features(name, json.loads(text)))
        for feature in features:
            properties = feature["properties"]
            _check_keys(name, properties, set(GROUP_NAMES))
            check_words(name, leaves(properties))
            corners = corners_of(name, feature["geometry"])
            check_corners(name, corners)
            self._check_group(name, properties)
            group_id = properties["group_id"]
            known = group_id != OUTSIDE
            if known and feature["geometry"] != geometry_json(self.groups.geometry[group_id]):
                raise refused(name, f"other ground for group {group_id!r} than its cells")
        known_rows = json.loads(json.dumps(self._areas))
        if [feature["properties"] for feature in features] != known_rows:
            raise refused(name, "other figures than those of the areas")

    @cached_property
    def _areas(self) -> list[dict[str, Any]]:
        rows = group_table(self.expected.groups).to_dict("records")
        return [{str(name): value for name, value in row.items()} for row in rows]

    def _features(self, name: str, data: dict[str, Any]) -> Iterator[dict[str, Any]]:
        _check_keys(name, data, COLLECTION_KEYS)
        check_words(name, leaves({key: data[key] for key in data if key != "features"}))
        for feature in data["features"]:
            _check_keys(name, feature, {"type", "geometry", "properties"})
            yield feature

    def _check_group(self, name: str, row: Mapping[str, Any]) -> None:
        """A figure of reports only where the group holds k real sites and has a count."""
        group_id, evidence = str(row["group_id"]), str(row["evidence_class"])
        rated = any(str(row[key] or "") for key in row if key.startswith("report_rate"))
        silent = not rated and evidence in UNRELEASED
        if silent and group_id == OUTSIDE:
            return
        group = self.groups.loc[group_id]  # one that the tier does not know is a LookupError
        if silent:
            return
        least = self.expected.facts.k
        if not bool(group["released"]) or int(group["k_lower"]) < least or group_id == REST:
            raise refused(name, f"a figure of reports for group {group_id!r}, under k {least}")
        if self.expected.facts.release is None:
            raise refused(name, f"a figure of reports for group {group_id!r} without a release")

    def check_site_sheet(self, text: str) -> None:
        """Check sites.csv: the known sites, column for column, in the order of their names."""
        known = self._sites
        rows = _rows("sites.csv", text, list(known.columns))
        wanted = [[safe_cell(value) for value in row] for row in known.itertuples(index=False)]
        if [list(row.values()) for row in rows] != wanted:
            raise refused("sites.csv", "other sites than those that may be shown")
        texts = {cell for row in wanted for cell in row if not PLAIN.fullmatch(cell)}
        check_words("sites.csv", iter(sorted(texts)), positions=False)

    def check_site_points(self, text: str) -> None:
        """Check sites.geojson, likewise."""
        name = "sites.geojson"
        known = json.loads(json.dumps(self._sites.to_dict("records")))
        features = list(self._features(name, json.loads(text)))
        if [feature["properties"] for feature in features] != known:
            raise refused(name, "other sites than those that may be shown")
        for feature, site in zip(features, known, strict=True):
            point = {"type": "Point", "coordinates": [site["lon"], site["lat"]]}
            if feature["geometry"] != point:
                raise refused(name, f"another place for {site['site_id']} than its own")

    @cached_property
    def _sites(self) -> pd.DataFrame:
        if self.expected.points is None:
            raise refused("the folder", "a list of sites, which the public tier never holds")
        table = site_table(self.expected.points)
        if never := NEVER_OF_SITES.intersection(table.columns):
            raise refused("sites.csv", f"the column {min(never)!r}")
        return table

    def check_dictionary(self, text: str) -> None:
        """Check that the dictionary is the schemas'."""
        rows = _rows("data_dictionary.csv", text, HEADER)
        wanted = [tuple(map(safe_cell, e.row())) for e in dictionary(self.expected.facts.tier)]
        if [tuple(row.values()) for row in rows] != wanted:
            raise refused("data_dictionary.csv", "other columns than the tables have")

    def check_citation(self, text: str) -> None:
        """Check that CITATION.cff can be read and says what it was given."""
        check_words("CITATION.cff", iter(read_citation(text).values()))
        if text != citation(self.expected.facts):
            raise refused("CITATION.cff", "another citation than was made")

    def check_manifest(self, text: str) -> None:
        """Check what the manifest says, and its SHA-256 of every other file."""
        content = json.loads(text)
        facts = self.expected.facts
        said = {key: value for key, value in content.items() if key != "sha256"}
        wanted = manifest(self.folder, facts)
        hashes = {name: wanted["sha256"][name] for name in self.expected.files - {MANIFEST}}
        _check_keys(MANIFEST, content, set(wanted))
        check_words(MANIFEST, leaves(said))
        if content["sha256"] != hashes or said != {key: wanted[key] for key in said}:
            raise refused(MANIFEST, "another SHA-256 or fact than that of the files")
        if facts.release is not None and not (content["epsilon"] and content["release_id"]):
            raise refused(MANIFEST, "a release without its epsilon")


def leaves(value: object) -> Iterator[str]:
    """Every text, number and key of JSON, as text."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from (str(key), *leaves(inner))
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    else:
        yield str(value)


def _check_keys(name: str, data: Mapping[str, Any], allowed: set[str]) -> None:
    if unknown := sorted(set(data) - allowed):
        raise refused(name, f"the property {unknown[0]!r}")


def _rows(name: str, text: str, columns: Any) -> Iterator[dict[str, str]]:  # noqa: ANN401
    marked = text.encode("utf-8").decode(ENCODING)  # without the mark that Excel wants
    rows = csv.reader(io.StringIO(marked, newline=""))
    header = next(rows)
    if unknown := sorted(set(header) - set(columns)):
        raise refused(name, f"the column {unknown[0]!r}")
    if header != list(columns):
        raise refused(name, "columns in another order, or too few")
    for row in rows:
        if len(row) != len(header):
            raise refused(name, f"a row of {len(row)} cells under {len(header)} columns")
        yield dict(zip(header, row, strict=True))


def corners_of(name: str, geometry: dict[str, Any]) -> npt.NDArray[np.float64]:
    """Every longitude, latitude of an area, (n, 2)."""
    _check_keys(name, geometry, {"type", "coordinates"})
    if geometry["type"] not in AREAS:
        raise refused(name, f"a {geometry['type']}, only areas may be")
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


def check_corners(name: str, lonlat: npt.NDArray[np.float64]) -> None:
    """Areas are whole cells: a corner off the grid could be a site's own place."""
    if not len(lonlat):
        return
    x_m, y_m = to_equal_area().transform(lonlat[:, 0], lonlat[:, 1])
    steps_m = np.column_stack((x_m - GRID_WEST_M, GRID_NORTH_M - y_m))
    if not np.isfinite(steps_m).all():
        raise ValueError("a corner off the globe")
    away_m = np.abs(steps_m - np.round(steps_m / CELL_SIZE_M) * CELL_SIZE_M)
    away_m[np.abs(lonlat[:, 0]) >= 180 - 1e-5, 0] = 0  # the date line cuts the last column
    off_m = away_m.max(axis=1)
    worst = int(off_m.argmax())
    if off_m[worst] > CORNER_TOLERANCE_M:
        raise refused(name, f"an area with a corner {off_m[worst]:.0f} m off the grid of cells")
