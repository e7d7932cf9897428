"""Surveys without the maps that follow, for tests of the engine; run as a program, it is killed."""

import json
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from distributed import LocalCluster

from pipeline.config import RunSettings
from pipeline.engine.progress import Screen
from pipeline.engine.taking import said_when_full, survey_work, take_survey
from pipeline.plan import plan_survey
from pipeline.run_folder import SURVEY_FILES, RunFolder
from tests.made_up import UTM_44N, UTM_ORIGIN, write_raster
from tiles.simulate import simulate_patch

PATCH_PX = 512


def engine(**changes):
    """Settings of the engine that make tests quick."""
    return {"backoff_s": 0.01, **changes}


@contextmanager
def threads_cluster(threads=1):
    """A real scheduler and worker in this process: quick, as nothing is started or imported."""
    # tcp also within one process: Dask's own transport there asks the outside for its address
    options = {"host": "127.0.0.1", "protocol": "tcp://", "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(
        n_workers=1, threads_per_worker=threads, processes=False, silence_logs=50, **options
    ) as cluster:
        yield cluster.scheduler_address


def settings_for(imagery, out, **changes):
    values = {"imagery": (str(imagery),), "out": out, "precision": "fp32", "device": "cpu"}
    values |= {"engine": engine(), "pixels": {"any_season": True}, **changes}
    return RunSettings.of(values, "test")


def survey(settings, *, refresh=False):
    """Survey into a run folder, as `kilnlight run` does before it draws maps."""
    plan, weights = plan_survey(settings, RunFolder(settings.out).settled())
    folder = RunFolder.open(settings.out)
    with folder.session() as journal, said_when_full(folder.path):
        work = survey_work(folder, plan, weights, settings, journal, refresh=refresh)
        return take_survey(folder, work, Screen(quiet=True))


def table_bytes(folder):
    return {name: (folder / name).read_bytes() for name in SURVEY_FILES}


def belt_pixels(rows, cols, seed=7, kilns=6):
    """Made-up land with kilns, (band, y, x), of any size."""
    rng = np.random.default_rng(seed)
    patches = [simulate_patch(rng, PATCH_PX, kilns).pixels for _ in range(4)]
    across = -(-cols // PATCH_PX)
    bands = [
        np.concatenate([patches[(row + 2 * col) % 4] for col in range(across)], axis=2)
        for row in range(-(-rows // PATCH_PX))
    ]
    return np.ascontiguousarray(np.concatenate(bands, axis=1)[:, :rows, :cols])


def write_belt(path, rows, cols, crs=UTM_44N, transform=UTM_ORIGIN, seed=7, kilns=6, **options):
    tiled = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
    pixels = belt_pixels(rows, cols, seed, kilns)
    return write_raster(path, pixels, crs, transform, **(options or tiled))


if __name__ == "__main__":
    # a shell that starts tests in the background has its children ignore Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
    imagery, out, changes = sys.argv[1:]
    survey(settings_for(imagery, Path(out), **json.loads(changes)))
