"""A survey against places that are known: how many were found, and what matches none."""

from dataclasses import astuple, dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio.errors
import rasterio
import shapely
from shapely.geometry.base import BaseGeometry

from maps.expected import COUNTED_FROM
from maps.linking import SITES
from models.chips import read_tiles
from models.evaluation import Evaluation, evaluate_detections, places_from_lonlat
from pipeline.run_folder import RunFolder
from tiles.coverage import COVERAGE, SEARCHED
from tiles.errors import DatasetError, RunFolderError
from tiles.tables import read_table

YES = ("true", "yes", "1")
LABEL_EDGE_PX = 5  # labels of single tiles this near the edge are not counted either way


@dataclass(frozen=True)
class Bounds:
    """A rectangle of longitudes and latitudes in degrees."""

    west: float
    south: float
    east: float
    north: float

    @classmethod
    def parse(cls, text: str) -> "Bounds":
        """Read `west,south,east,north`.

        Raises:
            DatasetError: the text is no rectangle.
        """
        try:
            bounds = cls(*(float(part) for part in text.split(",")))
        except (TypeError, ValueError) as error:
            raise DatasetError(f"bounds {text!r}: write west,south,east,north.") from error
        if bounds.west >= bounds.east or bounds.south >= bounds.north:
            raise DatasetError(f"bounds {text!r} hold nothing: write west,south,east,north.")
        return bounds


def evaluate_run(run_folder: Path, truth: Path, bounds: Bounds | None) -> Evaluation:
    """Score a run's sites against known places inside its region, and inside `bounds` if given.

    Args:
        run_folder: a finished run.
        truth: CSV with `lat, lon` (and `trusted`: false makes a place that counts neither way), a
            vector file of points or polygons, or a folder of labelled tiles.
        bounds: a part of the region, such as ground that training never saw.

    Raises:
        DatasetError: the truth cannot be read, or holds no place there.
        RunFolderError: the folder holds no finished run.
    """
    sites = read_table(run_folder / "sites.parquet", SITES)
    coverage = read_table(run_folder / "coverage.parquet", COVERAGE)
    region = _region(run_folder)
    ground = region if bounds is None else region.intersection(shapely.box(*astuple(bounds)))
    known = read_truth(truth)
    known, found = (
        table[shapely.contains_xy(ground, table["lon"], table["lat"])] for table in (known, sites)
    )
    trusted = known[known["trusted"]]
    doubtful = known[~known["trusted"]]
    return evaluate_detections(
        places_from_lonlat(found["lon"].to_numpy(), found["lat"].to_numpy()),
        found["p_site"].to_numpy(),
        places_from_lonlat(trusted["lon"].to_numpy(), trusted["lat"].to_numpy()),
        _searched_km2(coverage, region, ground),
        COUNTED_FROM,
        places_from_lonlat(doubtful["lon"].to_numpy(), doubtful["lat"].to_numpy()),
        name=f"{run_folder.name} against {truth.name}",
    )


def _region(run_folder: Path) -> BaseGeometry:
    manifest = RunFolder(run_folder).manifest()
    if manifest is None:
        raise RunFolderError(f"{run_folder} holds no finished run: give the folder of --out.")
    region: BaseGeometry = shapely.from_wkb(manifest["survey"]["region"]["wkb"])
    return region


def _searched_km2(coverage: gpd.GeoDataFrame, region: BaseGeometry, ground: BaseGeometry) -> float:
    """Searched area of the region inside `ground`; a cell that it cuts counts by its share."""
    seen = coverage[coverage["status"].isin(SEARCHED)]
    cells = shapely.intersection(seen.geometry.to_numpy(), region)
    shares = shapely.area(shapely.intersection(cells, ground)) / shapely.area(cells)
    return float(seen["area_km2"].to_numpy() @ shares)


def read_truth(path: Path) -> pd.DataFrame:
    """Read known places as a table `lon, lat` (degrees) and `trusted`.

    Raises:
        DatasetError: the file is absent, unreadable, or has no positions.
    """
    if path.is_dir():
        return _labelled_tiles(path)
    try:
        if path.suffix.lower() == ".csv":
            table = pd.read_csv(path)
        else:
            frame = gpd.read_file(path).to_crs(4326)
            centres = shapely.centroid(frame.geometry.to_numpy())
            table = pd.DataFrame(frame.drop(columns=frame.geometry.name)).assign(
                lon=shapely.get_x(centres), lat=shapely.get_y(centres)
            )
        if {"lon", "lat"} <= set(table.columns):
            table = table.astype({"lon": float, "lat": float})
    except (OSError, ValueError, pyogrio.errors.DataSourceError) as error:
        raise DatasetError(f"truth file {path} cannot be read: check it ({error}).") from error
    if not {"lon", "lat"} <= set(table.columns):
        raise DatasetError(f"truth file {path} has no columns lat and lon: name them so.")
    trusted = pd.Series(True, table.index)
    if "trusted" in table:
        trusted = table["trusted"].astype(str).str.strip().str.lower().isin(YES)
    return table[["lon", "lat"]].assign(trusted=trusted)


def _labelled_tiles(folder: Path) -> pd.DataFrame:
    """Positions in a folder of tiles: `geotiff/`, `labels_px/`, `tiles.csv`, `label_notes.csv`."""
    notes = folder / "label_notes.csv"
    pictures = read_tiles(
        folder / "geotiff",
        folder / "labels_px",
        folder / "tiles.csv",
        notes if notes.is_file() else None,
        LABEL_EDGE_PX,
    )
    rows = []
    for picture in pictures:
        with rasterio.open(folder / "geotiff" / f"{picture.name}.tif") as dataset:
            transform = dataset.transform
        row = np.concatenate([picture.sites.row, picture.doubtful.row])
        col = np.concatenate([picture.sites.col, picture.doubtful.col])
        edge = np.min([row, col, picture.usable.shape[0] - row, picture.usable.shape[1] - col], 0)
        known = np.arange(len(row)) < len(picture.sites)
        lon, lat = rasterio.transform.xy(transform, row, col, offset="ul")
        rows.append(
            pd.DataFrame({"lon": lon, "lat": lat, "trusted": known & (edge >= LABEL_EDGE_PX)})
        )
    return pd.concat(rows, ignore_index=True)
