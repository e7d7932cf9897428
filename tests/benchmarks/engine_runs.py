"""Surveys that benchmarks of the engine time, from one small scene to several whole tiles."""

import subprocess
import sys
from functools import partial

import numpy as np

from models.detection import DETECTIONS
from pipeline.config import RunSettings
from pipeline.engine.progress import Screen
from pipeline.run import run
from tests.benchmarks.other_ways import seconds
from tests.made_up import write_raster
from tiles.scene import GsdLimits, open_scene
from tiles.simulate import simulate_patch
from tiles.tables import read_table

SCENES = 4  # tiles of a longer run, in which the start counts for less


def surveyed(scene, out, **changes):
    """Survey in a fresh folder: detections, and its seconds with the workers' start."""
    values = {"imagery": (str(scene.path),), "out": out, "gate": False, **changes}
    summary = run(RunSettings.of(values, "bench"), Screen(quiet=True))
    return read_table(out / "detections.parquet", DETECTIONS), summary.seconds["survey"]


def small_scene(folder):
    """A scene of 256 px: surveying it takes the start of the workers and little else."""
    small = simulate_patch(np.random.default_rng(0), 256, 2).pixels
    return open_scene(write_raster(folder / "s.tif", small), "s", GsdLimits())


def command_s(scene, out):
    """Seconds of `kilnlight run` as a person waits for it: imports, plan, survey, maps."""
    kilnlight = "from pipeline.cli import main; main()"
    command = [sys.executable, "-c", kilnlight, "run", "--imagery", scene.path, "--out", out]
    run_it = partial(subprocess.run, [*map(str, command), "--no-gate", "--quiet"], check=True)
    return seconds(run_it)


def several_s(scene, folder):
    """Seconds of one survey of the scene SCENES times over, under other names."""
    folder.mkdir()
    paths = [folder / f"s{number}.tif" for number in range(SCENES)]
    for path in paths:
        path.symlink_to(scene.path)
    return surveyed(scene, folder / "run", imagery=tuple(map(str, paths)))[1]
