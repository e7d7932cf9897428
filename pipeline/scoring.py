"""A survey against places that are known: how many were found, and what matches none."""

from dataclasses import astuple, dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio.errors
import rasterio
import shapely
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from shapely.geometry.base import BaseGeometry

from maps.expected import COUNTED_FROM
from maps.linking import SITES
from models.judging.evaluation import (
    Evaluation,
    Places,
    evaluate_detections,
    match,
    places_from_lonlat,
)
from models.judging.reliability import Forecasts, Reliability, reliability
from models.judging.trade_offs import AtScore, Cheapest, cheapest, trade_offs
from models.labelled.formats.tiles import TileFolder, read_tiles
from pipeline.run_folder import RunFolder
from tiles.coverage import COVERAGE, SEARCHED
from tiles.errors import DatasetError, RunFolderError
from tiles.files import write_text
from tiles.tables import read_table

YES = ("true", "yes", "1")
LABEL_EDGE_PX = 5  # labels of single tiles this near the edge are not counted either way
MATCH_M = 100.0  # a kiln's length, where the run does not say what its class takes
P_LIMIT = 1e-4  # probabilities have four decimals: beyond this their log-odds say nothing


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


class RunEvaluation(BaseModel):
    """A run against known places.

    Attributes:
        figures: Of its sites, by probability.
        calibration: Of their probabilities, at the density that the run presumes; None where the
            run has too few right or wrong sites to say.
        at_scores: What other least probabilities would give, at that density.
        cheapest: The cheapest of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    figures: Evaluation
    calibration: Reliability | None
    at_scores: tuple[AtScore, ...]
    cheapest: tuple[Cheapest, ...]

    def summary(self) -> str:
        """Some lines for people."""
        lines = [self.figures.summary()]
        if self.calibration is not None:
            lines.append(f"  calibration {self.calibration}")
        return "\n".join([*lines, *(f"  {at}" for at in (*self.at_scores, *self.cheapest))])


@dataclass(frozen=True)
class _Compared:
    """Sites of a run and known places on the same ground."""

    found: Places
    p_site: NDArray[np.float64]
    trusted: Places
    doubtful: Places
    area_km2: float
    name: str


def assess_run(run_folder: Path, truth: Path, bounds: Bounds | None) -> RunEvaluation:
    """All figures of a run's sites against known places; see `evaluate_run`.

    Raises:
        DatasetError: the truth cannot be read, or holds no place there.
        RunFolderError: the folder holds no finished run.
    """
    compared = _compare(run_folder, truth, bounds)
    figures = _figures(compared)
    site_class = (RunFolder(run_folder).manifest() or {})["survey"].get("site_class", {})
    tolerance_m = float(site_class.get("match_tolerance_m", MATCH_M))
    density = 1000 * len(compared.trusted) / compared.area_km2
    presumed = float(site_class.get("prevalence_per_1000km2", density))
    table = _table(compared, tolerance_m)
    found = table[table["score"] > 0]
    p = np.clip(found["score"].to_numpy(float), P_LIMIT, 1 - P_LIMIT)
    forecasts = Forecasts(
        np.log(p / (1 - p)),
        found["is_site"].to_numpy(bool),
        np.full(len(found), density),
        found["block"].to_numpy(np.int64),
    )
    return RunEvaluation(
        figures=figures,
        calibration=reliability(forecasts, presumed),
        at_scores=trade_offs(table, COUNTED_FROM, presumed),
        cheapest=cheapest(table, presumed),
    )


def write_evaluation(evaluation: RunEvaluation, folder: Path) -> Path:
    """Write a run's figures as `evaluation.json` into a folder and return the file."""
    path = folder / "evaluation.json"
    write_text(path, evaluation.model_dump_json(indent=1) + "\n")
    return path


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
    return _figures(_compare(run_folder, truth, bounds))


def _compare(run_folder: Path, truth: Path, bounds: Bounds | None) -> _Compared:
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
    return _Compared(
        found=_places(found),
        p_site=found["p_site"].to_numpy(float),
        trusted=_places(trusted),
        doubtful=_places(doubtful),
        area_km2=_searched_km2(coverage, region, ground),
        name=f"{run_folder.name} against {truth.name}",
    )


def _places(table: pd.DataFrame) -> Places:
    return places_from_lonlat(table["lon"].to_numpy(float), table["lat"].to_numpy(float))


def _figures(compared: _Compared) -> Evaluation:
    return evaluate_detections(
        compared.found,
        compared.p_site,
        compared.trusted,
        compared.area_km2,
        COUNTED_FROM,
        compared.doubtful,
        name=compared.name,
    )


def _table(compared: _Compared, tolerance_m: float) -> pd.DataFrame:
    """A row a site of the run that counts, and a row with score 0 for each known one not found."""
    m = match(compared.found, compared.p_site, compared.trusted, compared.doubtful, tolerance_m)
    missed = np.setdiff1d(np.arange(len(compared.trusted)), m.site)
    return pd.DataFrame(
        {
            "score": np.concatenate([compared.p_site[m.order], np.zeros(len(missed))]),
            "is_site": np.concatenate([m.hit, np.ones(len(missed), bool)]),
            "block": np.concatenate(
                [compared.found.block[m.order], compared.trusted.block[missed]]
            ),
            "area_km2": compared.area_km2,
        }
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
        TileFolder(
            format="obb_json",
            images=folder / "geotiff",
            labels=folder / "labels_px",
            table=folder / "tiles.csv",
            notes=notes if notes.is_file() else None,
            blind_edge_px=LABEL_EDGE_PX,
        )
    )
    rows = []
    for picture in pictures:
        with rasterio.open(folder / "geotiff" / picture.name) as dataset:
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
