"""Chips in one .npz array: with positions from a table beside it, or known to hold no site."""

from __future__ import annotations

import fnmatch
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.chips import METRES_PER_DEGREE, Ground, LonLat, Picture, PixelPoints, SiteLabels
from models.labelled.formats.images import check_inside, check_numbers, numbers, read_csv
from models.labelled.places import block_name
from tiles.errors import DatasetError

GSD_M = 10.0  # of every chip: the detector's own grid
CHIP_AXES = 4  # chip, band, row, column
N_COLOURS = 3  # red, green, blue
# What a damaged .npz raises while it is read.
UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class PositionChips:
    """Chips with a table of positions.

    Attributes:
        chips: The .npz.
        labels: CSV with one row a chip, in the same order; `lon, lat` of its middle.
        region: Region of all chips.
        positions: Column of JSON lists of `{"x": .., "y": .., "trusted": .., "src": "A|B"}`, x and
            y in pixels of the chip.
        name: Column of the chips' names.
        key: Array of the .npz.
        bands: Zero-based numbers of red, green and blue among the chips' bands.
        keep_sources: A position counts only where one of these stands in its `src`; others are
            doubtful: nothing is learnt there. Empty takes all.
        block_m: Side of the blocks of land that are the chips' places.
        blind_edge_px: Along the edge sites may be unlabelled.
    """

    chips: Path
    labels: Path
    region: str
    positions: str = "kilns"
    name: str = "chip"
    key: str = "x"
    bands: tuple[int, int, int] = (0, 1, 2)
    keep_sources: tuple[str, ...] = ()
    block_m: float = 20_000.0
    blind_edge_px: int = 5


def read_position_chips(source: PositionChips) -> list[Picture]:
    """All chips; their places are blocks of land.

    Raises:
        DatasetError: A file is missing or wrong, they do not fit, or a position lies outside.
    """
    chips = _bands_first(read_array(source.chips, source.key), source.chips)
    if max(source.bands) >= chips.shape[1]:
        raise DatasetError(
            f"{source.chips} has {chips.shape[1]} bands: there is no band {max(source.bands)} "
            "(counted from 0)."
        )
    chips = np.ascontiguousarray(chips[:, list(source.bands)])
    frame = read_csv(source.labels, (source.name, "lon", "lat", source.positions))
    if len(frame) != len(chips) or not len(frame):
        raise DatasetError(
            f"{source.labels} has {len(frame)} rows for the {len(chips)} chips of {source.chips}: "
            "one row a chip is needed, in the same order, and at least one."
        )
    _check_finite(chips, source.chips)
    numbers(frame, ("lon", "lat"), source.labels, blank=False)  # refuses what is none
    rows = frame.to_dict("records")
    return [_position_chip(source, chip, row) for chip, row in zip(chips, rows, strict=True)]


def _position_chip(source: PositionChips, chip: NDArray[Any], row: dict[Any, Any]) -> Picture:
    name = str(row[source.name])
    points, counts = _positions(str(row[source.positions]), source, name)
    check_inside(points.col, points.row, chip.shape, source.labels)
    middle = LonLat(float(row["lon"]), float(row["lat"]))
    return _picture(
        chip,
        name=name,
        place=block_name(source.region, middle, source.block_m),
        region=source.region,
        middle=middle,
        sites=SiteLabels.at(points.shifted(0, 0, counts)),
        doubtful=points.shifted(0, 0, ~counts),
        blind_edge_px=source.blind_edge_px,
    )


def _positions(
    text: str, source: PositionChips, name: str
) -> tuple[PixelPoints, NDArray[np.bool_]]:
    try:
        known = json.loads(text)
        row = np.array([p["y"] for p in known], float)
        col = np.array([p["x"] for p in known], float)
        counts = np.array([_counts(p, source.keep_sources) for p in known], bool)
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{source.labels} has no JSON list of positions with x and y for the chip {name}: "
            "correct that row."
        ) from error
    return PixelPoints(row, col), counts


def _counts(position: dict[str, Any], keep_sources: Sequence[str]) -> bool:
    stated = set(str(position.get("src", "")).split("|"))
    return bool(position.get("trusted", True)) and (
        not keep_sources or not stated.isdisjoint(keep_sources)
    )


@dataclass(frozen=True)
class EmptyChips:
    """Chips without any site of the class.

    Attributes:
        chips: The .npz.
        region: Region of all chips.
        key: Array of the chips.
        label_key: Array of labels, one a chip; used where `keep_label` is given.
        keep_label: Only chips with this label hold no site.
        group_key: Array that says which group (a date, a campaign) a chip belongs to; its place.
        group_names_key: Array of the groups' names, where groups are numbers.
        exclude: Patterns of group names that are not used at all.
        places: CSV with the column `place`, one row a chip of the .npz: chips of one place lie on
            the same ground, whatever their group. Without it groups are the places.
    """

    chips: Path
    region: str
    key: str = "x"
    label_key: str = "y"
    keep_label: int | None = None
    group_key: str | None = None
    group_names_key: str | None = None
    exclude: tuple[str, ...] = ()
    places: Path | None = None


def read_empty_chips(source: EmptyChips) -> list[Picture]:
    """All chips that are kept; see `EmptyChips`.

    Raises:
        DatasetError: A file is missing, or holds no such arrays or nothing that is kept.
    """
    chips = _bands_first(read_array(source.chips, source.key), source.chips)
    groups = _groups(source, len(chips))
    keep = np.array([not any(fnmatch.fnmatch(g, e) for e in source.exclude) for g in groups])
    if source.keep_label is not None:
        labels = read_array(source.chips, source.label_key)
        if labels.shape != keep.shape:
            raise DatasetError(
                f"{source.chips} has {len(chips)} chips and labels of shape {labels.shape}: one "
                "label a chip is needed."
            )
        keep &= labels == source.keep_label
    if not keep.any():
        raise DatasetError(f"{source.chips} holds no chip that is kept: check label and exclude.")
    _check_finite(chips, source.chips)
    places = _chip_places(source, groups)
    return [
        _picture(
            chips[i],
            name=f"{source.chips.stem}/{i}",
            place=f"{source.region}/{places[i]}",
            region=source.region,
        )
        for i in np.flatnonzero(keep)
    ]


def _groups(source: EmptyChips, n: int) -> list[str]:
    if source.group_key is None:
        return [source.chips.stem] * n
    groups = read_array(source.chips, source.group_key)
    if source.group_names_key is not None:
        groups = named(groups, read_array(source.chips, source.group_names_key), source.chips)
    if len(groups) != n:
        raise DatasetError(
            f"{source.chips} has {n} chips and {len(groups)} groups: one group a chip is needed."
        )
    return [str(group) for group in groups]


def named(of: NDArray[Any], names: NDArray[Any], path: Path) -> NDArray[Any]:
    """The name of each number.

    Raises:
        DatasetError: A number has no name.
    """
    if of.dtype.kind not in "ui" or not np.isin(of, np.arange(len(names))).all():
        raise DatasetError(
            f"{path} numbers the groups of its chips {of.min()} to {of.max()} ({of.dtype}) and "
            f"names {len(names)}: whole numbers from 0 are needed, each with a name."
        )
    return np.asarray(names[of])


def _chip_places(source: EmptyChips, groups: Sequence[str]) -> list[str]:
    if source.places is None:
        return list(groups)
    frame = read_csv(source.places, ("place",))
    if len(frame) != len(groups):
        raise DatasetError(
            f"{source.places} has {len(frame)} rows for the {len(groups)} chips of {source.chips}: "
            "one row a chip is needed, in the same order."
        )
    return [str(place) for place in frame["place"]]


def read_array(path: Path, key: str) -> NDArray[Any]:
    """One array of an .npz.

    Raises:
        DatasetError: The file is missing, damaged, or holds no such array.
    """
    if not path.is_file():
        raise DatasetError(f"There are no chips at {path}: check the path and the data folder.")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            if key not in arrays:
                raise DatasetError(f"{path} holds no array {key!r}: it holds {sorted(arrays)}.")
            return np.asarray(arrays[key])
    except UNREADABLE as error:
        raise DatasetError(f"{path} holds no readable chips ({error}): replace it.") from error


def _bands_first(chips: NDArray[Any], path: Path) -> NDArray[Any]:
    """(n, y, x, band) or (n, band, y, x) to (n, band, y, x); bands are fewer than pixels a side."""
    if chips.ndim != CHIP_AXES or chips.dtype.kind not in "uif":
        raise DatasetError(
            f"{path} holds an array of shape {chips.shape} and type {chips.dtype}: chips are "
            "numbers of shape (n, y, x, band) or (n, band, y, x)."
        )
    first = chips.shape[1] < chips.shape[2] == chips.shape[3]
    last = chips.shape[3] < chips.shape[1] == chips.shape[2]
    if first == last or min(chips.shape[1], chips.shape[3]) < N_COLOURS:
        raise DatasetError(
            f"{path} holds chips of shape {chips.shape[1:]}: square chips of at least three bands "
            "are needed, the bands first or last."
        )
    return chips if first else np.moveaxis(chips, -1, 1)


def _check_finite(chips: NDArray[Any], path: Path) -> None:
    check_numbers(chips, np.ones((len(chips), *chips.shape[2:]), bool), path)


def _picture(
    chip: NDArray[Any],
    name: str,
    place: str,
    region: str,
    middle: LonLat | None = None,
    sites: SiteLabels | None = None,
    doubtful: PixelPoints | None = None,
    blind_edge_px: int = 0,
) -> Picture:
    none = PixelPoints.none()
    return Picture(
        name=name,
        place=place,
        pixels=chip,
        usable=np.ones(chip.shape[1:], bool),
        sites=SiteLabels.at(none) if sites is None else sites,
        doubtful=none if doubtful is None else doubtful,
        blind_edge_px=blind_edge_px,
        ground=_ground(middle, chip.shape[1]),
        region=region,
        middle=middle,
    )


def _ground(middle: LonLat | None, side_px: int) -> Ground:
    if middle is None:
        return Ground(0.0, 0.0, GSD_M, GSD_M)
    east_m = middle.lon * METRES_PER_DEGREE * float(np.cos(np.radians(middle.lat)))
    half_m = side_px * GSD_M / 2
    return Ground(east_m - half_m, middle.lat * METRES_PER_DEGREE + half_m, GSD_M, GSD_M)
