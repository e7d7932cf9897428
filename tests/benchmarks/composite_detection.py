"""Does a detector trained on single dates work on composites? A season with cloud, shadow and haze.

    python -m tests.benchmarks.composite_detection OUT [../shared/data]

writes OUT/composite_detection.csv: a simulated belt, and with the data folder part of the real
scene of Delhi, each as six dates whose sky, light and position differ, searched in every way a run
offers. The masks are as wrong as real ones: a tenth of the clouds and a third of the shadows are
missing from them.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import rasterio
from affine import Affine
from pyproj import Transformer
from rasterio.windows import Window
from scipy import ndimage

from maps.linking import link_sites
from models.detector import Detector
from models.judging.evaluation import Places, average_precision, match, places_from_lonlat
from models.site_class import load_site_class
from models.weights import default_weights
from pipeline.engine.search import Searcher
from tests.seasons import CLEAR_SCL, CLOUD_SCL, SHADOW_SCL, open_date
from tiles.blocks import plan_blocks
from tiles.composite import compose
from tiles.mosaic import clear_share
from tiles.scene import Scene
from tiles.simulate import BeltSettings
from tiles.simulation.pixels import Cloud, Sky
from tiles.simulation.plan import plan_belt
from tiles.simulation.scenes import ground_crs, scene_specs

DATES = ("2025-11-12", "2025-12-07", "2026-01-06", "2026-02-05", "2026-03-12", "2026-04-16")
CLOUD_SHARES = (0.15, 0.35, 0.55, 0.25, 0.45, 0.10)  # of a winter on the plain: fog banks included
OPAQUE_SHARE = 0.52  # of a cloud's disc, as in tiles.simulation.scenes
MISSED_CLOUDS, MISSED_SHADOWS = 0.1, 0.33  # by the masks
SHIFT_PX = 0.3  # one deviation of Sentinel-2's registration between dates, 3 m (ESA's reports)
LOW_SCORE = 0.05  # kept for average precision
DELHI = Window(5200, 1200, 1800, 1800)  # 16 x 18 km where kilns are densest: 200 of them
SIDE_KM = 15.0

Floats = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]  # (3, y, x)


@dataclass(frozen=True)
class World:
    """A season on disk and what stands there: columns lon, lat, trusted."""

    name: str
    clear: Scene
    scenes: tuple[Scene, ...]
    truth: pd.DataFrame


@dataclass(frozen=True)
class Grid:
    """Where a picture lies."""

    crs: str
    transform: Affine


def sky_of(shape: tuple[int, int], share: float, rng: np.random.Generator) -> Sky:
    """Clouds over a share of a picture whose first pixel is the origin, and haze."""
    rows, cols = shape[0] * 10.0, shape[1] * 10.0
    clouds = []
    covered = 0.0
    while covered < share * rows * cols:
        radius = float(900 * np.exp(rng.normal(0, 0.5)))
        x, y = rng.uniform(0, cols), rng.uniform(0, rows)
        clouds.append(Cloud(x, -y, radius, int(rng.integers(2**31))))
        covered += OPAQUE_SHARE * np.pi * radius**2
    return Sky(tuple(clouds), haze=float(rng.uniform(0.05, 0.5)), seed=int(rng.integers(2**31)))


@dataclass(frozen=True)
class Moved:
    """How far from the clouds themselves their opacity lies on the ground, metres."""

    east_m: float = 0.0
    north_m: float = 0.0


def opacity(clouds: Iterable[Cloud], shape: tuple[int, int], moved: Moved) -> Floats:
    """Opacity of clouds, or of their shadows, (y, x), 0 to 1."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32) * 10 + 5
    x, y = x - np.float32(moved.east_m), -y - np.float32(moved.north_m)
    clear = np.ones(shape, np.float32)
    for cloud in clouds:
        reach = int(cloud.reach_m / 10) + 2
        row, col = int((-cloud.y_m - moved.north_m) / 10), int((cloud.x_m + moved.east_m) / 10)
        rows = slice(max(row - reach, 0), max(row + reach, 0))
        cols = slice(max(col - reach, 0), max(col + reach, 0))
        if clear[rows, cols].size:
            clear[rows, cols] *= 1 - cloud.alpha(x[rows, cols], y[rows, cols])
    return 1 - clear


def weathered(base: Picture, sky: Sky, rng: np.random.Generator) -> tuple[Picture, Picture]:
    """One date of a clear picture, and its scene classification at 20 m."""
    shape = base.shape[1:]
    seen = [bool(rng.random() > MISSED_CLOUDS) for _ in sky.clouds]
    alpha = opacity(sky.clouds, shape, Moved())
    shade = opacity(sky.clouds, shape, Moved(sky.shadow_east_m, sky.shadow_north_m))
    shift = rng.normal(0, SHIFT_PX, 2)
    light = rng.uniform(0.85, 1.15) * rng.uniform(0.97, 1.03, 3)
    y, x = np.mgrid[: shape[0], : shape[1]] / 900.0
    haze = sky.haze * (0.6 + 0.4 * np.sin(x * 6.3 + sky.seed % 7) * np.cos(y * 6.3 + sky.seed % 5))
    out = np.empty(base.shape, np.float32)
    for band, veil in enumerate(np.array([168, 172, 182], np.float32)):
        moved = ndimage.shift(base[band].astype(np.float32), shift, order=3, mode="nearest")
        ground = moved * light[band] * (1 - 0.5 * shade)
        hazy = ground + haze * (veil - ground)
        out[band] = hazy + alpha * (298 - hazy)
    out += rng.normal(0, 1.5, out.shape)
    known = opacity(compress(sky.clouds, seen), shape, Moved())
    codes = np.full(shape, CLEAR_SCL, np.uint8)
    codes[(shade > 0.4) & (rng.random() > MISSED_SHADOWS)] = SHADOW_SCL
    codes[known > 0.25] = CLOUD_SCL
    return np.clip(np.rint(out), 1, 255).astype(np.uint8), codes[::2, ::2]


def write(path: Path, pixels: Picture, grid: Grid) -> Path:
    """A tiled GeoTIFF."""
    bands, rows, cols = pixels.shape
    profile = {"driver": "GTiff", "count": bands, "height": rows, "width": cols, "dtype": "uint8"}
    profile |= {"crs": grid.crs, "transform": grid.transform, "compress": "deflate"}
    profile |= {"tiled": True, "blockxsize": 512, "blockysize": 512}
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(pixels)
    return path


def season_of(name: str, bases: list[Picture], grid: Grid, truth: pd.DataFrame, out: Path) -> World:
    """Write a season: one base a date, each under its own sky."""
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(2026)
    scenes = []
    for date, share, base in zip(DATES, CLOUD_SHARES, bases, strict=True):
        pixels, codes = weathered(base, sky_of(base.shape[1:], share, rng), rng)
        path = write(folder / f"{name}_{date}.tif", pixels, grid)
        coarse = replace(grid, transform=grid.transform @ Affine.scale(2))
        scenes.append(open_date(path, write(folder / f"scl_{date}.tif", codes[None], coarse), date))
    clear = open_date(write(folder / "clear.tif", bases[0], grid), None, DATES[0])
    return World(name, clear, tuple(scenes), truth)


def belt(out: Path) -> World:
    """A simulated belt whose crops change from date to date."""
    settings = BeltSettings(side_km=SIDE_KM, seed=77, n_kilns=75, cloud_share=0.0, haze=0.0)
    plan = plan_belt(settings)
    spec = replace(scene_specs(settings)[0], sky=Sky(), rows=1500, cols=1500)
    bases = []
    for number in range(len(DATES)):
        picture = np.zeros((3, spec.rows, spec.cols), np.uint8)
        for window, part in spec.blocks(plan.landscape(number)):
            picture[:, *window.toslices()] = part
        bases.append(picture)
    to_lonlat = Transformer.from_crs(ground_crs(settings), 4326, always_xy=True)
    lon, lat = to_lonlat.transform([k.x_m for k in plan.kilns], [k.y_m for k in plan.kilns])
    grid = Grid(f"EPSG:{spec.epsg}", Affine(10, 0, spec.left_m, 0, -10, spec.top_m))
    truth = pd.DataFrame({"lon": lon, "lat": lat, "trusted": True})
    return season_of("belt", bases, grid, truth, out)


def delhi(data: Path, out: Path) -> World:
    """Part of the real scene: the same ground on each date, under made-up skies."""
    with rasterio.open(data / "delhi_s2" / "scene.tif") as dataset:
        base = dataset.read(window=DELHI)
        grid = Grid(dataset.crs.to_wkt(), dataset.window_transform(DELHI))
        kilns = pd.read_csv(data / "delhi_s2" / "kilns.csv")
        lon, lat = dataset.transform @ (kilns["x"].to_numpy(), kilns["y"].to_numpy())
    trusted = kilns["trusted"].astype(str).str.lower().isin(["true", "1"])
    truth = pd.DataFrame({"lon": lon, "lat": lat, "trusted": trusted})
    return season_of("delhi", [base] * len(DATES), grid, truth, out)


def found_in(searcher: Searcher, scene: Scene) -> gpd.GeoDataFrame:
    """All detections of one scene or composite."""
    kilns = load_site_class("brick_kiln")
    blocks = plan_blocks(scene, searcher.detector.halo_px, scene.footprint)
    tables = [searcher.search(scene, block, kilns).detections for block in blocks]
    return pd.concat(tables, ignore_index=True)


def figures(world: World, way: str, sites: gpd.GeoDataFrame, p_least: float) -> dict[str, object]:
    """Average precision, recall, precision and F1 against the places of a world."""
    outline = world.clear.footprint
    inside = gpd.points_from_xy(world.truth["lon"], world.truth["lat"]).within(outline)
    truth = world.truth[inside]
    known, doubtful = (
        places_from_lonlat(part["lon"], part["lat"])
        for part in (truth[truth["trusted"]], truth[~truth["trusted"]])
    )
    places: Places = places_from_lonlat(sites["lon"], sites["lat"])
    matches = match(places, sites["p_site"].to_numpy(), known, doubtful, 100.0)
    sure = sites["p_site"].to_numpy()[matches.order] > p_least
    hits = int(matches.hit[sure].sum())
    precision, recall = hits / max(int(sure.sum()), 1), hits / len(known)
    return {
        "world": world.name,
        "way": way,
        "sites": len(known),
        "average_precision": round(average_precision(matches.hit, len(known)), 3),
        "recall": round(recall, 3),
        "precision": round(precision, 3),
        "f1": round(2 * precision * recall / max(precision + recall, 1e-9), 3),
        "false_alarms": int(sure.sum()) - hits,
    }


def measure(world: World, searcher: Searcher) -> list[dict[str, object]]:
    """Every way to search a season."""
    card = searcher.detector.card
    usual = card.calibration.at_prevalence(load_site_class("brick_kiln").prevalence_per_1000km2)
    p_least = float(usual.probabilities(np.array([card.threshold]), np.array([False])).p[0])
    clearest = max(world.scenes, key=lambda s: clear_share(s, world.clear.footprint))
    ways = {"one clear date": [found_in(searcher, world.clear)]}
    ways |= {f"single {s.date}": [found_in(searcher, s)] for s in world.scenes}
    ways["best"] = ways[f"single {clearest.date}"]
    ways["each"] = [table for s in world.scenes for table in ways[f"single {s.date}"]]
    for method, count in (("median", 6), ("medoid", 6), ("median", 3)):
        (composite,) = compose(world.scenes[:count], method)
        ways[f"{method} of {count}"] = [found_in(searcher, composite)]
    rows = []
    for way, tables in ways.items():
        sites = link_sites(pd.concat(tables, ignore_index=True), load_site_class("brick_kiln"))
        rows.append(figures(world, way, sites, p_least))
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measure and write the table."""
    out = Path(sys.argv[1])
    detector = Detector.load(default_weights(), "cpu", "fp32", threads=1)
    detector.threshold = LOW_SCORE
    searcher = Searcher(detector)
    worlds = [belt(out)] + ([delhi(Path(sys.argv[2]), out)] if len(sys.argv) > 2 else [])
    rows = [row for world in worlds for row in measure(world, searcher)]
    pd.DataFrame(rows).to_csv(out / "composite_detection.csv", index=False)


if __name__ == "__main__":
    main()
