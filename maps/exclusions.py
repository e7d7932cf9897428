"""Places that are never to be shown: a list that the operator keeps, and what it hides.

A site within an excluded place is dropped before anything is counted, as if the detector had missed
it, in every tier alike. Why not kept in the sums: whoever holds the points of the partner tier
could subtract them from the expected number of their group and see how many are hidden there. A
detection that is missing from both is no different from the one kiln in five or so that the
detector misses anyway. Nothing of the list leaves the operator's folder: not its path, not its
length, not its hash.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pyproj import Geod

from maps.sheets import ENCODING, write_csv
from tiles.errors import TableError
from tiles.region import MONTH

MAX_RADIUS_M = 2000.0  # a wider hole shows by itself: detectors miss kilns, not whole brick belts
COLUMNS = ("lon", "lat", "radius_m", "reason", "added", "site_id")
REQUIRED = ("lon", "lat", "radius_m")
SCREEN_DEGREES_LAT = 0.05  # over twice MAX_RADIUS_M: what lies further off needs no geodesic

SECOND = r"(?<=-\w{9})-\d+$"  # what `maps.linking` puts behind the name of a second site

Frame = TypeVar("Frame", bound=pd.DataFrame)


class Exclusion(BaseModel):
    """One place that is never to be shown.

    Attributes:
        lon: degrees east, WGS 84.
        lat: degrees north, WGS 84.
        radius_m: sites whose centre lies within are hidden.
        reason: for the operator alone.
        added: month or day on which it was added, as 2026-10 or 2026-10-05; may be empty.
        site_id: the site that it was added for, hidden wherever a later survey sees it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lon: float = Field(ge=-180, le=180)
    lat: float = Field(ge=-90, le=90)
    radius_m: float = Field(gt=0, le=MAX_RADIUS_M)
    reason: str = ""
    added: str = ""
    site_id: str = ""

    @field_validator("added")
    @classmethod
    def _month(cls, value: str) -> str:
        if value and not MONTH.fullmatch(value[:7]):
            raise ValueError("write it as 2026-10 or 2026-10-05")
        return value


@dataclass(frozen=True)
class Exclusions:
    """The list of places that are never to be shown."""

    places: tuple[Exclusion, ...] = ()

    def hides(self, sites: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Say of each site (site_id, lon, lat) whether it is never to be shown."""
        lon, lat = (sites[name].to_numpy(dtype=np.float64) for name in ("lon", "lat"))
        hidden = sites["site_id"].isin({place.site_id for place in self.places} - {""})
        found = np.array(hidden, dtype=np.bool_)
        geod = Geod(ellps="WGS84")
        for place in self.places:
            near = np.flatnonzero(np.abs(lat - place.lat) <= SCREEN_DEGREES_LAT)
            here_lon, here_lat = (np.full(len(near), at) for at in (place.lon, place.lat))
            distance_m = geod.inv(here_lon, here_lat, lon[near], lat[near])[2]
            found[near] |= np.asarray(distance_m) <= place.radius_m
        # Of two sites in one square of 25 m the second is called -2: alone it would tell of the
        # first, so they go together.
        squares = sites["site_id"].str.replace(SECOND, "", regex=True)
        return np.asarray(squares.isin(set(squares[found])), dtype=np.bool_)

    def without(self, sites: Frame) -> Frame:
        """Return the sites that may be shown, in their order."""
        if not self.places or sites.empty:
            return sites
        kept: Frame = sites[~self.hides(sites)].reset_index(drop=True)
        return kept

    def with_place(self, place: Exclusion) -> Self:
        """Return the list with one place more; the same place and radius stand once."""
        others = [
            known
            for known in self.places
            if (known.lon, known.lat, known.site_id) != (place.lon, place.lat, place.site_id)
        ]
        return type(self)((*others, place))


def read_exclusions(path: Path | None) -> Exclusions:
    """Read a list; None is an empty one.

    Raises:
        TableError: it cannot be read, or a row is no place. Everything stops then: a list that is
            read in part would show what it hides.
    """
    if path is None:
        return Exclusions()
    try:
        text = path.read_text(encoding=ENCODING)
    except FileNotFoundError:
        raise TableError(
            f"the list of excluded places {path} is not there: check the path; an empty list is a "
            f"file with the line {','.join(COLUMNS[:5])}."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(
            f"the list of excluded places {path} cannot be read ({error}): save it as UTF-8 CSV."
        ) from None
    rows = csv.DictReader(io.StringIO(text, newline=""))
    names = [name.strip() for name in rows.fieldnames or ()]
    if missing := [name for name in REQUIRED if name not in names]:
        raise TableError(
            f"the list of excluded places {path} has no column {missing[0]}: its first line must "
            f"be {','.join(COLUMNS[:5])}."
        )
    if unknown := sorted(set(names) - set(COLUMNS)):
        raise TableError(
            f"the list of excluded places {path} has a column {unknown[0]!r} that nothing reads: "
            f"columns are {', '.join(COLUMNS)}."
        )
    rows.fieldnames = names
    return Exclusions(tuple(_place(path, number, row) for number, row in enumerate(rows, start=2)))


def _place(path: Path, number: int, row: dict[str, str]) -> Exclusion:
    where = f"the list of excluded places {path}, line {number}"
    if None in row or None in row.values():
        raise TableError(f"{where}: it has more or fewer cells than the first line: correct it.")
    # The writer's apostrophe keeps spreadsheets from running a reason that begins with a sign.
    values = {name: text.strip().removeprefix("'") for name, text in row.items()}
    try:
        return Exclusion.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise TableError(
            f"{where}: {name} is {values.get(name)!r} ({first['msg'].lower()}): correct it."
        ) from None


def write_exclusions(path: Path, places: Iterable[Exclusion]) -> None:
    """Write a list that `read_exclusions` reads, whole or not at all."""
    rows = [[getattr(place, name) for name in COLUMNS] for place in places]
    write_csv(path, COLUMNS, rows)
