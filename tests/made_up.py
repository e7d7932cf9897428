"""Made-up rasters and tables that several folders of tests share."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine

UTM_44N = "EPSG:32644"
UTM_ORIGIN = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 2_990_000.0)
DEGREES = Affine(9e-5, 0.0, 77.0, 0.0, -9e-5, 28.5)  # 10 m from north to south, 8.8 m across
ROTATED = UTM_ORIGIN @ Affine.rotation(17.0)


def write_raster(
    path: Path,
    pixels: npt.NDArray[np.generic],
    crs: str | None = UTM_44N,
    transform: Affine = UTM_ORIGIN,
    **options: object,
) -> Path:
    """Write (band, y, x) pixels as a GeoTIFF; `options` go to GDAL (nodata, tiled, ...)."""
    bands, rows, cols = pixels.shape
    profile = {"driver": "GTiff", "count": bands, "height": rows, "width": cols}
    profile |= {"dtype": pixels.dtype, "crs": crs, "transform": transform, **options}
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(pixels)
    return path


def noise(rows: int, cols: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Three bands of mid-grey noise: no kiln, no cloud, no nodata."""
    return np.random.default_rng(seed).integers(60, 120, (3, rows, cols)).astype(np.uint8)


def kilnlight(*arguments: object) -> tuple[int, str]:
    """Run the real command, with no terminal, and return (exit code, standard error)."""
    done = subprocess.run(
        [sys.executable, "-c", "from pipeline.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stderr


def run_until_killed(work: Callable[[], object]) -> None:
    """Do a work that kills its own process half-way, in a process of its own."""
    child = os.fork()
    if not child:
        work()
        os._exit(0)  # not reached
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
