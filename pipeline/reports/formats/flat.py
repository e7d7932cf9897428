"""A record of any shape as text by name: groups are joined, places become geopoint text."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

DEEPEST = 8  # groups within groups; forms are rarely three deep
GEO_URI = re.compile(r"geo:([^,;\s]+),([^,;?\s]+)", re.IGNORECASE)  # RFC 5870, latitude first
GEOPOINT_PARTS = 4  # "lat lon altitude accuracy", as XForms write a point


@dataclass(frozen=True, slots=True, repr=False)
class Flat:
    """Text by name, and which of the names are places (as geopoint text)."""

    values: dict[str, str] = field(default_factory=dict)
    points: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, repr=False)
class Point:
    """The parts of a place as they were written; "" where absent."""

    lat: str = ""
    lon: str = ""
    accuracy: str = ""


@lru_cache(maxsize=1024)  # the names of a form, which every record repeats
def plain(name: str) -> str:
    """Fold the name of a column."""
    return " ".join(name.casefold().split())


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Return {question: group/question} for questions that stand in one group only."""
    grouped = [name for name in names if "/" in name]
    times = Counter(name.rpartition("/")[2] for name in grouped)
    last = {name.rpartition("/")[2]: name for name in grouped}
    return {short: name for short, name in last.items() if times[short] == 1}


def split_point(text: str) -> Point:
    """Read `lat lon`, `lat lon altitude accuracy`, `lat,lon`, or the first geo: URI of a text."""
    uri = GEO_URI.search(text)
    if uri:
        return Point(*uri.groups())
    parts = text.replace(",", " ").split()
    if not 2 <= len(parts) <= GEOPOINT_PARTS:
        return Point(text, text) if parts else Point()  # something, but no place
    return Point(parts[0], parts[1], parts[3] if len(parts) == GEOPOINT_PARTS else "")


def flatten(record: Mapping[str, object]) -> Flat:
    """Flatten a JSON record; members of groups get the group's name and a slash before theirs.

    Lists of plain values are joined with semicolons; other lists (repeated groups, attachments)
    are dropped. GeoJSON points, longitude first, and {"lat": .., "lon": ..} become geopoint text.
    """
    flat = Flat()
    _add(flat, record, "", 0)
    for short, name in short_names(flat.values).items():
        flat.values.setdefault(short, flat.values[name])
    return flat


def _add(flat: Flat, group: Mapping[str, object], above: str, depth: int) -> None:
    for key, value in group.items():
        name = f"{above}{plain(str(key))}"
        if isinstance(value, str):
            flat.values[name] = value
            continue
        point = geopoint(value)
        if point is not None:
            flat.values[name] = point
            flat.points.extend([name] if point else [])
        elif isinstance(value, Mapping) and depth < DEEPEST:
            _add(flat, value, f"{name}/", depth + 1)
        else:
            flat.values[name] = as_text(value)


def as_text(value: object) -> str:
    """Write a plain JSON value, or a list of them, as text; anything else as none."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, Mapping):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ";".join(filter(None, (as_text(one) for one in value if not isinstance(one, list))))
    return str(value)


def geopoint(value: object) -> str | None:
    """Return geopoint text for a GeoJSON point or an object of lat and lon, None for all else."""
    if not isinstance(value, Mapping):
        return None
    if value.keys() == {"lat", "lon"}:
        return f"{as_text(value['lat'])} {as_text(value['lon'])}".strip()
    if value.get("type") != "Point":
        return None
    coordinates = value.get("coordinates")
    numbers = [as_text(one) for one in coordinates] if isinstance(coordinates, list) else []
    if len(numbers) < 2:
        return ""
    about = value.get("properties")
    accuracy = as_text(about.get("accuracy")) if isinstance(about, Mapping) else ""
    return f"{numbers[1]} {numbers[0]} 0 {accuracy}" if accuracy else f"{numbers[1]} {numbers[0]}"
