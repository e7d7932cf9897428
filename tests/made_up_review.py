"""A small finished run with imagery, to be reviewed: real files, made-up land."""

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from maps.linking import SITES
from models.site_class import load_site_class
from pipeline.config import RunSettings, to_toml
from tests.made_up import noise, write_raster
from tiles.catalog import find_scenes
from tiles.cells import CellGrid, cell_polygons
from tiles.coverage import COVERAGE
from tiles.scene import GsdLimits
from tiles.tables import write_table

SIDE_PX = 800  # of a scene: 8 km
PERIOD = "2025-11/2026-06"
RED_BRICK = (190, 90, 70)


def make_run(folder: Path, n_sites: int = 12, dates: tuple[str, ...] = ("20260115",)) -> Path:
    """A run folder with imagery beside it; site k of the list is painted where k is even."""
    imagery = folder / "imagery"
    imagery.mkdir(parents=True)
    pixels = noise(SIDE_PX, SIDE_PX)
    rows, cols = _middles(n_sites)
    for row, col in zip(rows[::2], cols[::2], strict=True):
        pixels[:, row - 3 : row + 3, col - 5 : col + 5] = np.array(RED_BRICK)[:, None, None]
    for date in dates:
        options = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
        write_raster(imagery / f"scene_{date}.tif", pixels, **options)
    run = folder / "run"
    run.mkdir()
    scenes = find_scenes([str(imagery)], GsdLimits()).scenes
    sites = _sites(*scenes[0].to_lonlat(cols, rows))
    write_table(sites, run / "sites.parquet", SITES)
    write_table(_coverage(scenes[0].footprint), run / "coverage.parquet", COVERAGE)
    settings = RunSettings(
        imagery=(str(imagery),), out=run, name="Made-up land", period=PERIOD, simulated=True
    )
    (run / "run.toml").write_text(to_toml(settings))
    survey = {
        "imagery": [{"scene_id": s.scene_id, "bands": [1, 2, 3], "sha256": ["0"]} for s in scenes],
        "region": {"wkb": shapely.to_wkb(scenes[0].footprint, hex=True)},
        "site_class": load_site_class("brick_kiln").model_dump(mode="json"),
    }
    (run / "manifest.json").write_text(json.dumps({"survey": survey, "files": {}}))
    return run


def _middles(n_sites: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns on a lattice of 600 m, from the scene's middle outwards in rows of ten."""
    number = np.arange(n_sites)
    return 120 + 60 * (number // 10), 120 + 60 * (number % 10)


def _sites(lon: np.ndarray, lat: np.ndarray) -> gpd.GeoDataFrame:
    n = len(lon)
    p_site = np.linspace(0.95, 0.35, n)
    values = {
        "site_id": [f"KL-{number:09d}" for number in range(n)],
        "site_class": "brick_kiln",
        "kind": "unknown",
        "lon": lon,
        "lat": lat,
        "length_m": 100.0,
        "width_m": 50.0,
        "azimuth_deg": 90.0,
        "p_site": p_site,
        "p_low": p_site - 0.1,
        "p_high": np.minimum(p_site + 0.1, 1.0),
        "n_detections": 1,
        "n_scenes": 1,
        "first_date": "2026-01-15",
        "last_date": "2026-01-15",
        "cell_id": CellGrid().cell_ids_at(lon, lat),
        "unfamiliar": False,
        "review_status": "unreviewed",
        "size_fit": 1.0,
        "hotspot_class": "not_tested",
        "rank": np.arange(1, n + 1),
        "priority": p_site,
        "reason": "made up",
    }
    table = pd.DataFrame(values)[list(SITES.column_names)]
    points = gpd.points_from_xy(lon, lat)
    return gpd.GeoDataFrame(table, geometry=points, crs="EPSG:4326")


def _coverage(region: shapely.Polygon) -> gpd.GeoDataFrame:
    cells = CellGrid().cells_of(region)
    table = pd.DataFrame(
        {
            "cell_id": cells["cell_id"],
            "period": PERIOD,
            "status": "searched",
            "area_km2": cells["area_km2"],
            "first_date": "2026-01-15",
            "last_date": "2026-01-15",
        }
    )
    shapes = cell_polygons(list(cells["cell_id"]))
    return gpd.GeoDataFrame(table, geometry=list(shapes), crs="EPSG:4326")
