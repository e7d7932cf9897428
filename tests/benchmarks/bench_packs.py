"""A pack of 500 sites with pictures: from imagery to one encrypted file, step by step."""

import time

import numpy as np
import pandas as pd
import pytest
import shapely
from affine import Affine
from pyrage import x25519

from maps.language import load_language
from maps.packs.archive import zipped
from maps.packs.contents import Pack, write_pack
from maps.packs.fonts import choose_fonts
from maps.packs.pictures import cut_chips
from maps.packs.rows import pack_rows, sites_in
from maps.sealing import read_recipients
from tests.made_up import write_raster
from tests.made_up_packs import facts_of, places_of
from tiles.scene import GsdLimits, open_scene

SITES, SIDE_PX = 500, 4000  # 40 x 40 km at 10 m: what one team's area may hold
WEST, NORTH = 77.0, 28.5
STEP = 10 / 111_320
MOST_S = 15.0


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Smooth ground with noise, compressed in blocks, as Sentinel-2 comes."""
    rng = np.random.default_rng(5)
    coarse = rng.integers(60, 160, (3, SIDE_PX // 20, SIDE_PX // 20))
    ground = coarse.repeat(20, axis=1).repeat(20, axis=2)
    ground = (ground + rng.integers(0, 20, ground.shape)).astype(np.uint8)
    across = STEP / np.cos(np.radians(NORTH))
    path = tmp_path_factory.mktemp("bench") / "scene.tif"
    at = Affine(across, 0, WEST, 0, -STEP, NORTH)
    blocks = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"}
    return write_raster(path, ground, "EPSG:4326", at, **blocks)


def made_up_sites():
    """Sites anywhere in the scene but its edge, with every column that a pack takes."""
    rng = np.random.default_rng(6)
    span = SIDE_PX * STEP
    lon = WEST + rng.uniform(0.05, 0.95, SITES) * span / np.cos(np.radians(NORTH))
    lat = NORTH - rng.uniform(0.05, 0.95, SITES) * span
    p_site = np.sort(rng.beta(4, 1, SITES))[::-1]
    return pd.DataFrame(
        {
            "site_id": [f"KL-{number:09d}" for number in range(SITES)],
            "place": np.arange(1.0, SITES + 1),
            "kind": "unknown",
            "lon": lon,
            "lat": lat,
            "length_m": rng.uniform(80, 120, SITES),
            "width_m": rng.uniform(35, 60, SITES),
            "azimuth_deg": rng.uniform(0, 180, SITES),
            "p_site": p_site,
            "p_low": p_site - 0.05,
            "p_high": p_site + 0.02,
            "n_scenes": 1,
            "first_date": "2026-02-14",
            "last_date": "2026-02-14",
            "unfamiliar": False,
            "size_fit": 1.0,
            "hotspot_class": "hot_95",
            "review_status": "confirmed",
        }
    )


@pytest.mark.parametrize("code", ["en", "hi", "ur"])
def test_500_sites_with_pictures(scene, tmp_path, code):
    key = str(x25519.Identity.generate().to_public())
    seconds = {}
    sites, language, facts = made_up_sites(), load_language(code), facts_of()
    places = places_of(*(f"Village {number}" for number in range(40)))
    area = shapely.box(WEST, NORTH - 0.4, WEST + 0.45, NORTH)

    def step(name, made):
        seconds[name] = time.perf_counter() - step.started
        step.started = time.perf_counter()
        return made

    step.started, begun = time.perf_counter(), time.process_time()
    rows = step("rows", pack_rows(sites_in(sites, area), facts, language, places))
    scenes = [open_scene(scene, "scene", GsdLimits(0.3, 12))]
    chips = step("pictures", cut_chips(scenes, rows, facts))
    pack = Pack(facts, rows, area, places, language, choose_fonts(language), chips)
    step("files", write_pack(pack, tmp_path))
    files = {path.name: path.read_bytes() for path in sorted(tmp_path.iterdir())}
    sealed = step("sealing", read_recipients([key]).encrypt(zipped(files)))
    total = sum(seconds.values())
    steps = ", ".join(f"{name} {took:.1f}" for name, took in seconds.items())
    busy = time.process_time() - begun
    print(f"\n{code}: {SITES} sites, {len(sealed) / 1e6:.1f} MB: {total:.1f} s ({steps})")
    print(f"  the process itself worked for {busy:.1f} s of that")
    assert len(chips.near) == SITES
    assert total < MOST_S
