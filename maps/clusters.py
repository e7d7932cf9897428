"""Hot cells that touch are one cluster, called after the nearest place and its district."""

from dataclasses import dataclass
from itertools import count

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
from pyproj import Geod
from scipy.spatial import cKDTree

from maps.bands import Floats, Ints
from maps.boundaries import Districts, Places
from maps.districts import DistrictGround
from maps.expected import ends_90, moments_by
from maps.hotspots import NOT_TESTED, STRONGEST_FIRST
from tiles.cells import GRID_NORTH_M, GRID_WEST_M, join_cells, to_equal_area
from tiles.tables import Column, TableSchema

Bools = npt.NDArray[np.bool_]

AT_KM = 5.0  # nearer than one cell, a direction would say more than is known
WINDS = (
    "north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"
)  # fmt: skip

CLUSTERS = TableSchema(
    name="clusters",
    version=1,
    columns=(
        Column("cluster_id", "string", "as in the hotspots table"),
        Column("name", "string", "after the nearest place and district; the id where none is"),
        Column("site_class", "string", "name of the site class"),
        Column("period", "string", "first and last month, as 2025-11/2026-06"),
        Column("hotspot_class", "string", "strongest class among its cells"),
        Column("n_cells", "int64", "hot cells that touch, corners too"),
        Column("area_km2", "float64", "their area inside the region"),
        Column("searched_km2", "float64", "of that: searched + searched_gate + water"),
        Column("n_sites", "int64", "sites found in them with p_site of 0.5 or more"),
        Column("expected_sites", "float64", "sites on area_km2, found or not"),
        Column("expected_low", "float64", "lower end of its 90 % interval", nullable=True),
        Column("expected_high", "float64", "upper end of its 90 % interval", nullable=True),
        Column("rate_per_1000km2", "float64", "n_sites per 1,000 km2 searched"),
        Column(
            "rate_ratio",
            "float64",
            "that rate over the rate of the tested cells outside it; high by selection",
            nullable=True,
        ),
        Column("stability", "float64", "mean stability of its cells"),
    ),
    geometry_doc="its whole cells, joined",
)


@dataclass(frozen=True)
class Names:
    """What clusters can be called after; either may be absent."""

    places: Places | None = None
    districts: Districts | None = None
    ground: DistrictGround | None = None


def describe_clusters(
    hotspots: gpd.GeoDataFrame, cells: pd.DataFrame, names: Names
) -> gpd.GeoDataFrame:
    """Return the CLUSTERS table: one row a cluster, by number.

    Args:
        hotspots: a HOTSPOTS table with its stability.
        cells: the table of `expected_by_cell` that it was made from.
        names: places and districts of the user.
    """
    hot = hotspots["cluster_id"].notna().to_numpy()
    if not hot.any():
        return CLUSTERS.empty()
    ids, label = np.unique(hotspots["cluster_id"][hot].astype(str), return_inverse=True)
    label = label.astype(np.int64)
    inside, seen = cells[hot], hotspots[hot]
    moments = moments_by(inside, label)
    low, high = ends_90(moments)
    strength = seen["hotspot_class"].map({name: at for at, name in enumerate(STRONGEST_FIRST)})
    table = pd.DataFrame(
        {
            "cluster_id": ids,
            "hotspot_class": [STRONGEST_FIRST[at] for at in strength.groupby(label).min()],
            "n_cells": np.bincount(label),
            "expected_sites": moments["mean"].to_numpy(),
            "expected_low": low,
            "expected_high": high,
            "stability": seen["stability"].groupby(label).mean(),
        }
    )
    table[["site_class", "period"]] = hotspots[["site_class", "period"]].iloc[0].to_list()
    sums = inside[["area_km2", "searched_km2", "n_sites"]].groupby(label).sum()
    table[list(sums)] = sums
    rate = table["n_sites"] / table["searched_km2"]
    table["rate_per_1000km2"] = 1000 * rate
    table["rate_ratio"] = rate / _rate_elsewhere(table, hotspots)
    table["name"] = _names(cells, hot, label, names, list(ids))
    shapes = [join_cells(seen["cell_id"][label == at]) for at in range(len(ids))]
    return gpd.GeoDataFrame(table[CLUSTERS.column_names], geometry=shapes, crs="EPSG:4326")


def _rate_elsewhere(table: pd.DataFrame, hotspots: pd.DataFrame) -> pd.Series:
    """Sites a km2 of the tested cells outside each cluster; missing where there are none."""
    tested = hotspots[hotspots["hotspot_class"] != NOT_TESTED]
    searched_km2 = tested["searched_km2"].sum() - table["searched_km2"]
    sites = tested["n_sites"].sum() - table["n_sites"]
    return (sites / searched_km2).where((sites > 0) & (searched_km2 > 0))


def _names(
    cells: pd.DataFrame,
    hot: Bools,
    label: Ints,
    names: Names,
    ids: list[str],
) -> list[str]:
    near = _place_names(cells[hot], label, names.places)
    within = _district_names(cells, hot, label, names)
    called: dict[str, count[int]] = {}
    result = []
    for at, cluster_id in enumerate(ids):
        place, district = near[at], within[at]
        both = f"{place} ({district})" if place and district else place or district
        if both is None:
            result.append(cluster_id)
            continue
        number = next(called.setdefault(both, count(1)))
        result.append(both if number == 1 else f"{both}, {number}")
    return result


def _place_names(inside: pd.DataFrame, label: Ints, places: Places | None) -> list[str | None]:
    """`14 km north-east of Town`, measured from the place to the middle of the cluster's sites."""
    if places is None:
        return [None] * (int(label.max()) + 1)
    size_m = float(str(inside["cell_id"].iloc[0]).partition("_")[0])
    x_m = GRID_WEST_M + (inside["col"].to_numpy() + 0.5) * size_m
    y_m = GRID_NORTH_M - (inside["row"].to_numpy() + 0.5) * size_m
    weight = inside["n_sites"].to_numpy() + 1e-9  # a cell can be hot for its neighbours' sites
    x_m, y_m = (np.bincount(label, weight * at) / np.bincount(label, weight) for at in (x_m, y_m))
    lon, lat = to_equal_area().transform(x_m, y_m, direction="INVERSE")
    nearest = cKDTree(_on_sphere(places.lon, places.lat)).query(_on_sphere(lon, lat))[1]
    azimuth, _, metres = Geod(ellps="WGS84").inv(places.lon[nearest], places.lat[nearest], lon, lat)
    return [
        _beside(places.names[at], float(angle), float(metre) / 1000)
        for at, angle, metre in zip(nearest, azimuth, metres, strict=True)
    ]


def _beside(place: str, azimuth_deg: float, km: float) -> str:
    if km < AT_KM:
        return place
    wind = WINDS[round(azimuth_deg / 45) % len(WINDS)]
    return f"{km:.0f} km {wind} of {place}"


def _on_sphere(lon: Floats, lat: Floats) -> Floats:
    """Points on the unit sphere: the nearest by chord is the nearest by ground, within 0.5 %."""
    east, north = np.radians(lon), np.radians(lat)
    return np.column_stack(
        [np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)]
    )


def _district_names(
    cells: pd.DataFrame,
    hot: Bools,
    label: Ints,
    names: Names,
) -> list[str | None]:
    """The district that holds most of each cluster's ground; none where most lies in none."""
    found: list[str | None] = [None] * (int(label.max()) + 1)
    if names.districts is None or names.ground is None:
        return found
    cluster = np.full(len(cells), -1)
    cluster[hot] = label
    at = cluster[names.ground.cell]
    area_km2 = cells["area_km2"].to_numpy()[names.ground.cell] * names.ground.share
    shares = pd.DataFrame({"at": at, "district": names.ground.district, "km2": area_km2})
    sums = shares[shares["at"] >= 0].groupby(["at", "district"])[["km2"]].sum().reset_index()
    largest = sums.sort_values(["km2", "district"], ascending=[False, True], kind="stable")
    for one, district in largest.drop_duplicates("at")[["at", "district"]].to_numpy(np.int64):
        if district >= 0:
            found[one] = names.districts.names[district]
    return found
