"""Speed of a survey against its floor, as ratios in one run: `make bench`."""

import os
import time

import numpy as np
import pytest
import torch

from models.weights import default_weights, load_card
from pipeline.config import RunSettings
from pipeline.progress import Screen
from pipeline.run import run
from pipeline.survey import DetectorSpec, load_detector
from tests.made_up import write_raster
from tiles.blocks import plan_blocks
from tiles.read import read_block
from tiles.scene import GsdLimits, open_scene
from tiles.simulate import simulate_patch

SIDE_PX = 4096  # 16.8 megapixels, 1,678 km2
PATCH_PX = 512


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    rng = np.random.default_rng(0)
    side = SIDE_PX // PATCH_PX
    rows = [
        np.concatenate([simulate_patch(rng, PATCH_PX, 2).pixels for _ in range(side)], axis=2)
        for _ in range(side)
    ]
    options = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"}
    path = tmp_path_factory.mktemp("bench") / "scene.tif"
    return open_scene(
        write_raster(path, np.concatenate(rows, axis=1), **options), "scene", GsdLimits()
    )


def seconds(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def test_survey_against_its_floor(scene, tmp_path):
    weights = default_weights()
    spec = DetectorSpec(weights, "", "cpu", "auto", load_card(weights).halo_px)
    detector = load_detector(spec)
    blocks = list(plan_blocks(scene, spec.halo_px, scene.footprint))
    read = [read_block(scene, block) for block in blocks]
    decode_s = seconds(lambda: [read_block(scene, block) for block in blocks])
    forward_s = seconds(
        lambda: [detector.outputs(one.pixels.to_numpy(), one.usable) for one in read]
    )
    cores = len(os.sched_getaffinity(0))
    floor_s = max(decode_s, forward_s) / cores
    settings = RunSettings(imagery=(str(scene.path),), out=tmp_path / "run")
    summary = run(settings, Screen(quiet=True))
    survey_s = summary.seconds["survey"]
    megapixels = SIDE_PX**2 / 1e6
    flags = [name for name in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if _has(name)]
    print(
        f"\n{cores} cores ({', '.join(flags)}), torch {torch.__version__}, {detector.precision}\n"
        f"  reading alone, one thread   {megapixels / decode_s:7.1f} MP/s\n"
        f"  forward alone, one thread   {megapixels / forward_s:7.1f} MP/s\n"
        f"  floor on {cores} cores            {megapixels / floor_s:7.1f} MP/s\n"
        f"  survey end to end           {megapixels / survey_s:7.1f} MP/s "
        f"({survey_s / floor_s:.2f} times the floor, workers' start included)"
    )
    assert len(summary.survey.detections) > 0


def _has(flag):
    with open("/proc/cpuinfo") as stream:
        return f" {flag} " in stream.read().replace("\n", " ")
