"""From the dates of a season to detections, as a worker does it: composites, spans, ownership."""

import numpy as np
import pandas as pd
import pytest
from affine import Affine

from models.detector import Detector
from models.site_class import load_site_class
from models.weights import default_weights
from pipeline.engine.search import Searcher
from pipeline.pixels import PixelSettings, choose_scenes
from tests.made_up import UTM_ORIGIN, write_raster
from tests.seasons import CLEAR_SCL, CLOUD_SCL, open_date
from tiles.blocks import plan_blocks
from tiles.coverage import STATUSES, day_text
from tiles.simulate import simulate_patch

KILNS = load_site_class("brick_kiln")
SIDE = 256
DATES = ("2025-11-05", "2025-12-20", "2026-01-14", "2026-02-08")


@pytest.fixture(scope="module")
def searcher():
    return Searcher(Detector.load(default_weights("brick_kiln"), "cpu", "fp32", threads=1))


@pytest.fixture(scope="module")
def season(tmp_path_factory):
    """One ground on four dates; each but the first hides another half of it under cloud."""
    folder = tmp_path_factory.mktemp("season")
    base = simulate_patch(np.random.default_rng(3), SIDE, 4).pixels
    rng = np.random.default_rng(5)
    scenes = []
    for number, date in enumerate(DATES):
        noisy = base + rng.normal(0, 2, base.shape)
        codes = np.full((SIDE // 2, SIDE // 2), CLEAR_SCL, np.uint8)
        half = [np.s_[:0], np.s_[:64], np.s_[64:], np.s_[:, :64]][number]
        codes[half] = CLOUD_SCL
        noisy[:, codes.repeat(2, 0).repeat(2, 1) == CLOUD_SCL] = 255
        path = write_raster(folder / f"{date}.tif", np.clip(noisy, 1, 255).astype(np.uint8))
        coarser = UTM_ORIGIN @ Affine.scale(2)
        mask = write_raster(folder / f"scl_{date}.tif", codes[None], transform=coarser)
        scenes.append(open_date(path, mask, date))
    return scenes


def searched(searcher, season, **settings):
    chosen = choose_scenes(season, PixelSettings(**settings), KILNS, "IN", season[0].footprint)
    return [
        searcher.search(scene, block, KILNS)
        for scene in chosen.scenes
        for block in plan_blocks(scene, searcher.detector.halo_px, season[0].footprint)
    ]


def places(results):
    return pd.concat([result.detections for result in results], ignore_index=True)


def test_a_composite_finds_what_a_clear_date_finds_and_says_when_it_looked(searcher, season):
    clear = places(searched(searcher, season[:1]))
    (result,) = searched(searcher, season, composite="median")
    found = result.detections
    assert len(clear) >= 3
    assert len(found) == len(clear)
    gap_px = np.hypot(
        found["peak_row"].to_numpy()[:, None] - clear["peak_row"].to_numpy(),
        found["peak_col"].to_numpy()[:, None] - clear["peak_col"].to_numpy(),
    )
    assert gap_px.min(axis=1).max() <= 4
    assert found["date"].isna().all()
    assert set(found["first_date"]) == {"2025-11-05"}
    assert set(found["last_date"]) <= {"2025-12-20", "2026-01-14", "2026-02-08"}
    assert found["looks"].between(2, 4).all()
    assert set(result.ground.status) == {STATUSES.index("searched")}
    assert {day_text(int(day)) for day in result.ground.first_day} == {"2025-11-05"}


def test_each_date_apart_carries_its_own_day(searcher, season):
    found = places(searched(searcher, season[:2], composite="each"))
    assert (found["first_date"] == found["date"]).all()
    assert (found["last_date"] == found["date"]).all()
    assert (found["looks"] == 1).all()
    assert set(found["date"]) == set(DATES[:2])


def test_the_newest_clear_scene_alone_reports_a_place(searcher, season):
    every = places(searched(searcher, season, mosaic="all"))
    once = places(searched(searcher, season, mosaic="newest"))
    clear = places(searched(searcher, season[:1]))
    assert len(once) < len(every)
    # a place at the edge of two dates may be seen by both, or by neither
    assert abs(len(once) - len(clear)) <= 1
    hidden_by_newest = once[once["peak_col"] < SIDE // 2]
    assert len(hidden_by_newest) >= 2
    assert set(hidden_by_newest["date"]) <= {"2025-11-05", "2025-12-20", "2026-01-14"}
