"""Published positions of sites: lists overlap, so what lies close together is one site."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from tiles.cells import CellGrid
from tiles.errors import ConfigError, TableError

EARTH_RADIUS_M = 6371008.8  # the sphere of mean radius: 0.3 % of 100 m does not matter here


def read_listed(path: Path, share_real: float | None, same_site_m: float) -> pd.DataFrame:
    """Read a CSV of positions, and join those within `same_site_m` of each other.

    Joining is by chains (single linkage), so a row of close sites counts as one: too few sites
    counted makes a group larger, too many would make it a lie.

    Args:
        path: CSV (also .gz) with the columns lat and lon in degrees, WGS 84, and perhaps p_low: the
            least chance that the position is a real site of the class.
        share_real: that chance where there is no column p_low, in (0, 1].
        same_site_m: positions this close are one site.

    Returns:
        One row a site, sorted: lon, lat (the first position's), p_low (the highest of its
        positions) and cell_id.

    Raises:
        TableError: the file cannot be read, lacks a column, or holds an impossible value.
        ConfigError: neither the file nor the settings say how sure the positions are.
    """
    frame = _numbers(_frame(path), path)
    if "p_low" not in frame:
        if share_real is None or not 0 < share_real <= 1:
            raise ConfigError(
                f"{path} has no column p_low: say with --share-real which share of its positions "
                "are real sites at least, over 0 and at most 1."
            )
        frame = frame.assign(p_low=share_real)
    frame = frame.sort_values(["lat", "lon", "p_low"], kind="stable").reset_index(drop=True)
    frame["site"] = _labels(frame["lon"].to_numpy(), frame["lat"].to_numpy(), same_site_m)
    sites = frame.groupby("site", sort=True).agg(
        lon=("lon", "first"), lat=("lat", "first"), p_low=("p_low", "max")
    )
    cell_ids = CellGrid().cell_ids_at(sites["lon"].to_numpy(), sites["lat"].to_numpy())
    return sites.assign(cell_id=pd.Series(cell_ids, index=sites.index, dtype=object))


def read_places(path: Path) -> pd.DataFrame:
    """Read a CSV of positions as it is: one row a place, with `lon`, `lat` and all it has beside.

    Raises:
        TableError: the file cannot be read, lacks a column, or holds an impossible value.
    """
    frame = _frame(path)
    return frame.assign(**{str(name): values for name, values in _numbers(frame, path).items()})


def _frame(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (OSError, ValueError, EOFError):  # pandas' own errors are ValueErrors
        raise TableError(
            f"{path} is no readable CSV of positions: give one with lat, lon."
        ) from None


def _numbers(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The columns lat, lon and perhaps p_low, as numbers that can be."""
    columns = [name for name in ("lat", "lon", "p_low") if name in frame]
    if columns[:2] != ["lat", "lon"]:
        raise TableError(f"{path} must have the columns lat and lon: rename its columns.")
    numbers = pd.DataFrame({name: pd.to_numeric(frame[name], errors="coerce") for name in columns})
    limits = {"lat": (-90.0, 90.0), "lon": (-180.0, 180.0), "p_low": (0.0, 1.0)}
    for name in columns:
        wrong = ~numbers[name].between(*limits[name])
        if wrong.any():
            line = int(np.argmax(wrong.to_numpy())) + 2
            raise TableError(
                f"{path}, line {line}, column {name}: {frame[name].iloc[line - 2]} is not "
                f"between {limits[name][0]:g} and {limits[name][1]:g}: correct it."
            )
    return numbers


def _labels(
    lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64], radius_m: float
) -> npt.NDArray[np.int32]:
    """Number the sites by their first position."""
    across, up = np.radians(lon), np.radians(lat)
    xyz_m = EARTH_RADIUS_M * np.column_stack(
        [np.cos(up) * np.cos(across), np.cos(up) * np.sin(across), np.sin(up)]
    )
    pairs = cKDTree(xyz_m).query_pairs(radius_m, output_type="ndarray")
    links = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(lon),) * 2)
    return np.asarray(connected_components(links, directed=False)[1])
