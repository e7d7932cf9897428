"""Cost of a season composite against reading its inputs once, and its memory: `make bench`.

Blocks and halo are those of a survey. A whole Sentinel-2 tile: KILNLIGHT_BENCH_SIDE=10980 (5 GB of
scenes in the temporary folder).
"""

import os
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

from models.weights import default_weights, load_card
from tests.made_up import UTM_ORIGIN
from tests.seasons import CLEAR_SCL, CLOUD_SCL, open_date
from tiles.blocks import COMPOSITE_CORE_PX, Block, plan_blocks
from tiles.composite import compose, read_looks
from tiles.handles import use_gdal_settings

SIDE_PX = int(os.environ.get("KILNLIGHT_BENCH_SIDE", "6144"))
FILE_BLOCK_PX = int(os.environ.get("KILNLIGHT_BENCH_BLOCK", "512"))  # 1,024 in some archives
DATES = ("2025-11-05", "2025-11-25", "2025-12-10", "2026-01-04", "2026-01-24")
DATES += ("2026-02-13", "2026-03-05", "2026-03-25")
MOST_TIMES_READING = {"median": 3.0, "medoid": 3.3}  # the medoid was seen at 3.07
MOST_GROWTH_MB = 60  # of peak memory, from the middle block to the last


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    folder = tmp_path_factory.mktemp("season")
    return [_write(folder, date, seed) for seed, date in enumerate(DATES)]


def _write(folder, date, seed):
    """One date: fields, noise of the sensor, a third under cloud; DEFLATE in tiles."""
    name = f"S2A_MSIL2A_{date.replace('-', '')}T053000_N0510_R005_T44RKR"
    path, mask = folder / f"{name}.tif", folder / f"{name}_SCL.tif"
    sides = {"width": SIDE_PX, "height": SIDE_PX, "transform": UTM_ORIGIN, "nodata": 0}
    halves = {"width": SIDE_PX // 2, "height": SIDE_PX // 2}
    halves |= {"transform": UTM_ORIGIN @ Affine.scale(2)}
    stored = {"driver": "GTiff", "crs": "EPSG:32644", "tiled": True, "compress": "deflate"}
    stored |= {"blockxsize": FILE_BLOCK_PX, "blockysize": FILE_BLOCK_PX, "zlevel": 1}
    stored |= {"num_threads": "all_cpus"}
    image_options = {**stored, **sides, "dtype": "uint16", "count": 3, "predictor": 2}
    with (
        rasterio.open(path, "w", **image_options) as image,
        rasterio.open(mask, "w", **stored, **halves, dtype="uint8", count=1) as scl,
    ):
        for row, pixels, codes in _bands_of_rows(seed):
            window = Window(0, row, SIDE_PX, pixels.shape[1])
            image.write(pixels, window=window)
            scl.write(codes[None], window=Window(*(n // 2 for n in window.flatten())))
    return open_date(path, mask, date)


def _bands_of_rows(seed):
    """First row, pixels (band, y, x) and classification (y, x) at 20 m, from top to bottom."""
    rng, land = np.random.default_rng(seed), np.random.default_rng(99)
    cloudy = rng.random((SIDE_PX // 512 + 1, SIDE_PX // 512 + 1)) < 1 / 3
    for row in range(0, SIDE_PX, FILE_BLOCK_PX):
        rows = min(FILE_BLOCK_PX, SIDE_PX - row)
        fields = land.integers(1500, 3000, (3, rows // 8 + 1, SIDE_PX // 8 + 1), dtype=np.uint16)
        pixels = fields.repeat(8, axis=1).repeat(8, axis=2)[:, :rows, :SIDE_PX]
        pixels += rng.integers(0, 200, pixels.shape, dtype=np.uint16)
        clouds = cloudy[row // 512].repeat(512)[:SIDE_PX]
        pixels[:, :, clouds] += 4000
        codes = np.where(clouds[::2], CLOUD_SCL, CLEAR_SCL).astype(np.uint8)[: SIDE_PX // 2]
        yield row, pixels, codes[None].repeat(rows // 2, axis=0)


def _peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _read_once(scenes):
    """Seconds of processor for every row of blocks of every file and mask, as rasterio reads it."""
    started = time.process_time()
    for scene in scenes:
        for path in (scene.path, scene.mask.href):
            with rasterio.open(path) as dataset:
                for row in range(0, dataset.height, FILE_BLOCK_PX):
                    rows = min(FILE_BLOCK_PX, dataset.height - row)
                    dataset.read(window=Window(0, row, dataset.width, rows))
    return time.process_time() - started


def _make(season, method):
    """In a process of its own: reading all once, the composite, and its memory block by block."""
    use_gdal_settings()
    reading_s = _read_once(season)
    (composite,) = compose(season, method)
    read_looks(composite, Block(0, 0, 64, 64, 0))  # modules are loaded at the first use
    halo_px, peaks_mb = load_card(default_weights()).halo_px, []
    started = time.process_time()
    for block in plan_blocks(composite, halo_px, composite.footprint, COMPOSITE_CORE_PX):
        read_looks(composite, block)
        peaks_mb.append(_peak_mb())
    return time.process_time() - started, reading_s, peaks_mb


@pytest.mark.parametrize("method", ["median", "medoid"])
def test_a_composite_costs_little_more_than_reading_and_memory_is_flat(season, method):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        made_s, reading_s, peaks_mb = pool.submit(_make, season, method).result()
    half = len(peaks_mb) // 2
    print(
        f"\n{method} of {len(DATES)} dates, {SIDE_PX} px square: {made_s:.1f} s of CPU, reading "
        f"once {reading_s:.1f} s, {made_s / reading_s:.2f} times; peak memory {peaks_mb[0]:.0f}, "
        f"{peaks_mb[half]:.0f}, {peaks_mb[-1]:.0f} MB after one, half and all of "
        f"{len(peaks_mb)} blocks"
    )
    assert made_s < MOST_TIMES_READING[method] * reading_s
    assert peaks_mb[-1] - peaks_mb[half] < MOST_GROWTH_MB
