"""The districts and places that the user brings: whose names the figures go by."""

from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from maps.bands import Floats, Ints
from tiles.cells import project
from tiles.errors import RegionError
from tiles.region import read_shapes

# Columns that hold names in the files people have: Natural Earth, OCHA, GADM, geoBoundaries,
# DataMeet and censuses; the first that is there is taken, whatever its case.
DISTRICT_NAMES = (
    "name", "district", "adm2_en", "adm2_name", "name_2", "shapename", "dtname", "adm1_en", "name_1"
)  # fmt: skip
STATE_NAMES = ("state", "st_nm", "adm1_en", "adm1_name", "name_1", "stname", "admin", "province")
PLACE_NAMES = ("name", "place", "nameascii", "name_en", "asciiname", "town", "village")
# Borders drawn twice differ a little; districts that share a hundredth of the smaller one are two
# editions, or two levels, in one file, and their sites would count twice.
OVERLAP_SHARE = 0.01


@dataclass(frozen=True)
class Districts:
    """Areas with a name each, sorted by name, that do not overlap."""

    names: tuple[str, ...]
    polygons: npt.NDArray[np.object_]  # (n,) EPSG:4326, lon/lat
    ground: npt.NDArray[np.object_]  # (n,) the same in EPSG:6933, metres

    def at(self, lon: Floats, lat: Floats) -> Ints:
        """Return the first district, by name, that holds each point; -1 where none does."""
        none = len(self.names)
        held = np.full(len(lon), none, dtype=np.int64)
        point, district = shapely.STRtree(self.polygons).query(
            shapely.points(lon, lat), predicate="intersects"
        )
        np.minimum.at(held, point, district)
        return np.where(held < none, held, -1)


@dataclass(frozen=True)
class Places:
    """Points with a name each."""

    names: tuple[str, ...]
    lon: Floats
    lat: Floats


def read_districts(path: Path) -> Districts:
    """Read named areas; parts of one name, and of one state, are joined.

    Where one name is used in two states, the state stands behind it. Features without a name are
    left out: files carry rests of states so.

    Raises:
        RegionError: the file cannot be read, has no column of names, or areas overlap.
    """
    frame = _read(path, "districts")
    frame = frame[frame.geometry.geom_type.isin(["Polygon", "MultiPolygon"])]
    named = frame.assign(own=_names(frame, DISTRICT_NAMES, path)).dropna(subset=["own"])
    if named.empty:
        raise RegionError(f"districts file {path} holds no area with a name: draw at least one.")
    named = named.assign(own=_with_states(named))
    if not named.geometry.is_valid.all():
        bad = named[~named.geometry.is_valid].iloc[0]
        why = shapely.is_valid_reason(bad.geometry)
        raise RegionError(f"districts file {path}: {bad['own']} is invalid ({why}): repair it.")
    joined = named[["own", "geometry"]].dissolve("own").sort_index()
    polygons = joined.geometry.to_numpy()
    ground = np.array([project(polygon) for polygon in polygons], dtype=object)
    names = tuple(str(name) for name in joined.index)
    _refuse_overlap(path, names, ground)
    return Districts(names, polygons, ground)


def read_places(path: Path) -> Places:
    """Read named points: towns, villages, landmarks.

    Raises:
        RegionError: the file cannot be read, has no column of names, or holds no point.
    """
    frame = _read(path, "places")
    frame = frame[frame.geometry.geom_type == "Point"]
    named = frame.assign(own=_names(frame, PLACE_NAMES, path)).dropna(subset=["own"])
    if named.empty:
        raise RegionError(f"places file {path} holds no point with a name: add at least one.")
    points = named.geometry
    return Places(tuple(named["own"]), points.x.to_numpy(), points.y.to_numpy())


def _read(path: Path, what: str) -> gpd.GeoDataFrame:
    frame = read_shapes(path, what)
    return frame[frame.geometry.notna() & ~frame.geometry.is_empty]


def _names(frame: gpd.GeoDataFrame, known: tuple[str, ...], path: Path) -> pd.Series:
    column = _column(frame, known)
    if column is None:
        seen = ", ".join(str(name) for name in frame.columns if name != frame.geometry.name)
        raise RegionError(
            f"{path} has no column of names (it has {seen or 'none'}): call the one with them name."
        )
    text = frame[column].astype("string").str.strip()
    names: pd.Series = text.where(text != "").astype(object)
    return names


def _column(frame: gpd.GeoDataFrame, known: tuple[str, ...]) -> str | None:
    by_lower = {str(name).lower(): str(name) for name in frame.columns}
    return next((by_lower[name] for name in known if name in by_lower), None)


def _with_states(named: gpd.GeoDataFrame) -> pd.Series:
    """Put the state behind a name that several states use."""
    column = _column(named, STATE_NAMES)
    own: pd.Series = named["own"]
    if column is None:
        return own
    states = named.groupby("own")[column].transform("nunique")
    return own.where(states < 2, own + " (" + named[column].astype(str) + ")")


def _refuse_overlap(path: Path, names: tuple[str, ...], ground: npt.NDArray[np.object_]) -> None:
    first, second = shapely.STRtree(ground).query(ground, predicate="intersects")
    first, second = first[first < second], second[first < second]
    shared = shapely.area(shapely.intersection(ground[first], ground[second]))
    share = shared / np.minimum(shapely.area(ground[first]), shapely.area(ground[second]))
    if len(share) and share.max() > OVERLAP_SHARE:
        worst = int(share.argmax())
        raise RegionError(
            f"districts file {path}: {names[first[worst]]} and {names[second[worst]]} overlap "
            f"({share[worst]:.0%} of the smaller): sites there would count twice; keep one edition "
            f"and one level of districts."
        )
