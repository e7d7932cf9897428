"""What the journal costs, and 100,000 detections of one region merged, linked and written.

Seconds are of this process's own work, so that they hold on a machine with other work, too.
"""

import time
import tracemalloc
from dataclasses import replace

import numpy as np
import shapely

from maps.linking import link_sites
from models.detection import DETECTIONS, PixelBoxes, SiteProbabilities, georeference
from models.site_class import load_site_class
from pipeline.engine.gather import write_tables
from pipeline.engine.journal import Journal, PlannedTask
from pipeline.engine.results import pack_result
from pipeline.engine.search import BlockResult
from tests.made_up import noise, write_raster
from tiles.blocks import Block
from tiles.coverage import sample_ground
from tiles.coverage_map import CoverageMap
from tiles.region import Region
from tiles.scene import GsdLimits, open_scene
from tiles.tables import read_table

DETECTED = 100_000
BLOCK_PX = 2048
SIDE = 18  # blocks a side: 324 tasks of 308 detections, 136,000 km2


def seconds(work):
    started = time.process_time()
    answer = work()
    return time.process_time() - started, answer


def made_up_scene(tmp_path):
    """A scene as large as is needed; its header alone is read."""
    path = write_raster(tmp_path / "s.tif", noise(64, 64))
    return replace(open_scene(path, "s", GsdLimits()), rows=SIDE * BLOCK_PX, cols=SIDE * BLOCK_PX)


def made_up_result(scene, block, rng):
    n = DETECTED // SIDE**2 + 1
    row, col = block.row + rng.uniform(0, BLOCK_PX, n), block.col + rng.uniform(0, BLOCK_PX, n)
    ones = np.ones(n)
    boxes = PixelBoxes(row, col, row.astype(int), col.astype(int), 10 * ones, 5 * ones, ones, ones)
    probabilities = SiteProbabilities(0.5 * ones, 0.4 * ones, 0.6 * ones)
    detections = georeference(boxes, scene, "brick_kiln", probabilities, np.zeros(n, bool))
    ground = sample_ground(scene, block, 0)
    return pack_result(BlockResult(detections, ground, 419.0, 4, 0, 0.5, 1.0))


def test_100_000_detections(tmp_path):
    scene, rng = made_up_scene(tmp_path), np.random.default_rng(0)
    blocks = [
        Block(row * BLOCK_PX, col * BLOCK_PX, BLOCK_PX, BLOCK_PX, 128)
        for row in range(SIDE)
        for col in range(SIDE)
    ]
    tasks = [PlannedTask(f"{number:032x}", 0, block) for number, block in enumerate(blocks)]
    region = Region("r", shapely.box(*scene.footprint.bounds))
    with Journal.open(tmp_path) as journal:
        journal.plan(tasks)
        results = [made_up_result(scene, task.block, rng) for task in tasks]
        bytes_each = np.mean([len(one.detections) + len(one.ground) for one in results])
        started = time.process_time()
        for task, result in zip(tasks, results, strict=True):
            journal.add(task.key, result)
        add_s = time.process_time() - started
        del results
        merge_s, _ = seconds(
            lambda: write_tables(journal, [scene], CoverageMap(), region, "undated", tmp_path)
        )
    found = read_table(tmp_path / "detections.parquet", DETECTIONS)
    link_s, sites = seconds(lambda: link_sites(found, load_site_class("brick_kiln")))
    with Journal.open(tmp_path) as journal:
        journal.plan(PlannedTask(f"{number:x}", 0, blocks[0]) for number in range(DETECTED))
        tracemalloc.start()
        listed = sum(1 for _ in journal.pending())
        peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
    print(
        f"\n{len(found):,} detections of {len(tasks)} tasks, {bytes_each / 1e3:.0f} kB each\n"
        f"  journal: {1e3 * add_s / len(tasks):.2f} ms a task, "
        f"{100 * add_s / len(tasks) / 1.5:.2f} % of a task of 1.5 s\n"
        f"  merge and write the tables {merge_s:.1f} s, link {len(sites):,} sites {link_s:.1f} s\n"
        f"  client while it lists {listed:,} tasks: {peak_mb:.1f} MB at most"
    )
    assert len(found) > 0.99 * DETECTED
    assert merge_s + link_s < 10
