"""Speed of the engine against its floor and against what others do, as ratios in one run.

`make bench` takes a scene of one full Sentinel-2 tile; `KILNLIGHT_BENCH=quick` a sixth of its side.
The scene is made once and kept in the system's temporary folder.
"""

import ctypes
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import torch
from affine import Affine

from maps.linking import link_sites
from models.detection import DETECTIONS, PixelBoxes, PixelOrigin, georeference
from models.detector import MERGED_MARGIN_PX, Detector, network_margin_px
from models.gate.card import default_gate
from models.inference.prepared import Prepared
from models.inference.tiling import grown, shrunk, tiles_of, within
from models.site_class import load_site_class
from models.weights import default_weights, load_card
from pipeline.engine.nursery import ENVIRON
from pipeline.engine.search import DetectorSpec, Searcher
from tests.benchmarks.engine_runs import SCENES, command_s, several_s, small_scene, surveyed
from tests.benchmarks.other_ways import CHIP_PX, CORES, chip_loop, pairs_within, sahi, seconds
from tests.made_up import UTM_44N, UTM_ORIGIN
from tiles.blocks import plan_blocks
from tiles.read import read_block
from tiles.scene import GsdLimits, open_scene
from tiles.simulate import simulate_patch
from tiles.tables import write_table

QUICK = os.environ.get("KILNLIGHT_BENCH") == "quick"
SIDE_PX = 1830 if QUICK else 10_980  # a Sentinel-2 tile is 10,980 px wide
PATCH_PX = 512
PATCHES = 12 if QUICK else 48
KILNS_PER_1000KM2 = 30.0  # the belt's mean
PART_PX = 1024 if QUICK else 3072  # of the scene, for what is slow: figures are a megapixel's
KILN = load_site_class("brick_kiln")
# of glibc's malloc.h: what `pipeline.engine.nursery` sets by environment variables
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8


def made_up_scene():
    """A COG of three bands, DEFLATE, of patches turned and put side by side."""
    folder = Path(tempfile.gettempdir()) / "kilnlight_bench"
    path = folder / f"tile_{SIDE_PX}.tif"
    if path.exists():
        return path
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(4)
    expected = KILNS_PER_1000KM2 / 1000 * (PATCH_PX / 100) ** 2
    patches = [simulate_patch(rng, PATCH_PX, int(rng.poisson(expected))) for _ in range(PATCHES)]
    side = -(-SIDE_PX // PATCH_PX)
    land = np.empty((3, side * PATCH_PX, side * PATCH_PX), np.uint8)
    for row in range(side):
        for col in range(side):
            turned = np.rot90(patches[rng.integers(PATCHES)].pixels, rng.integers(4), (1, 2))
            land[:, row * PATCH_PX :, col * PATCH_PX :][:, :PATCH_PX, :PATCH_PX] = turned
    shape = {"count": 3, "height": SIDE_PX, "width": SIDE_PX, "dtype": "uint8"}
    options = {"compress": "deflate", "blocksize": 512, "crs": UTM_44N, "transform": UTM_ORIGIN}
    unfinished = path.with_suffix(f".{os.getpid()}.tif")
    with rasterio.open(unfinished, "w", driver="COG", **shape, **options) as dataset:
        dataset.write(land[:, :SIDE_PX, :SIDE_PX])
    unfinished.rename(path)
    return path


@pytest.fixture(scope="module")
def scene():
    return open_scene(made_up_scene(), "bench", GsdLimits())


@pytest.fixture(scope="module", autouse=True)
def memory_as_workers_keep_it():
    """Freed memory stays with this process too, else what runs bare here would look slow."""
    libc = ctypes.CDLL(None)
    for option, value in ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1)):
        assert libc.mallopt(option, value) == 1


@pytest.fixture(scope="module")
def detector():
    return Detector.load(default_weights(), "cpu", "auto", threads=1)


@dataclass(frozen=True)
class Floor:
    """Bare work in one process and thread, in seconds."""

    decode_s: float
    forward_s: float

    @property
    def seconds(self):
        """The larger one, spread over all cores."""
        return max(self.decode_s, self.forward_s) / CORES


@pytest.fixture(scope="module")
def floor(scene, detector):
    """Decode each file block that any block needs once, and the very forward passes, bare."""
    with rasterio.open(scene.path) as dataset:
        windows = [window for _, window in dataset.block_windows(1)]
        decode_s = seconds(lambda: [dataset.read(window=w) for w in windows])
    forward_s = sum(_forward_s(detector, scene, b) for b in blocks_of(scene, detector))
    return Floor(decode_s, forward_s)


def _forward_s(detector, scene, block):
    read = read_block(scene, block)
    prepared = Prepared(read.pixels.to_numpy(), read.usable, detector.card.shape, detector.device)
    total = 0.0
    for tile in tiles_of(_core(block), PixelOrigin(block.row - block.halo, block.col - block.halo)):
        seen = shrunk(tile, read.usable)
        if seen is None:
            continue
        window = grown(seen, network_margin_px(detector.card.shape), *prepared.shape)
        inner = within(grown(seen, MERGED_MARGIN_PX, *prepared.shape), window)
        with torch.inference_mode():
            x = prepared.normalised(window, detector._dtype).to(detector.device)
            total += seconds(lambda x=x, inner=inner: _ended(detector._net.features(x, inner)))
    return total


def _ended(features):
    """Wait for a graphics card, which only notes what it is to do."""
    if features.is_cuda:
        torch.cuda.synchronize()


def _core(block):
    from models.detection import ArrayWindow

    return ArrayWindow(block.halo, block.halo, block.rows, block.cols)


def blocks_of(scene, detector):
    return list(plan_blocks(scene, detector.halo_px, scene.footprint))


def machine():
    with open("/proc/cpuinfo") as stream:
        text = stream.read()
    flags = [f for f in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if f" {f}" in text]
    load = os.getloadavg()[0]
    return f"{CORES} cores ({', '.join(flags)}), torch {torch.__version__}, load {load:.1f}"


def megapixels(scene):
    return scene.rows * scene.cols / 1e6


def test_survey_against_its_floor_and_others(scene, detector, floor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("survey")
    mp = megapixels(scene)
    small = small_scene(folder)
    small_command_s, whole_command_s = (
        command_s(small, folder / "a"),
        command_s(scene, folder / "b"),
    )
    surveyed(small, folder / "start")  # from here on what workers are forked from is warm
    found, plain_s = surveyed(scene, folder / "plain")
    each_s = several_s(scene, folder / "several") / SCENES
    one_s = surveyed(scene, folder / "one", workers=1)[1]
    threaded_s = two_threads_s(scene)
    sahi_mp, twins = sahi(scene, PART_PX)
    loop_mp = chip_loop(scene, PART_PX)
    rate = mp / plain_s
    print(
        f"\n{machine()}, {detector.precision}; {scene.rows} x {scene.cols} px, {mp:.1f} MP, "
        f"{len(found)} detections\n"
        f"  decoding alone, one thread            {mp / floor.decode_s:7.1f} MP/s\n"
        f"  forward alone, one thread             {mp / floor.forward_s:7.1f} MP/s\n"
        f"  floor on {CORES} cores                      {mp / floor.seconds:7.1f} MP/s\n"
        f"  survey end to end                     {rate:7.1f} MP/s = {rate * 100:.0f} km2/s, "
        f"{plain_s / floor.seconds:.2f} times the floor\n"
        f"    of {SCENES} such scenes, each          {mp / each_s:7.1f} MP/s, "
        f"{each_s / floor.seconds:.2f} times the floor\n"
        f"    `kilnlight run`, begin to end       {mp / whole_command_s:7.1f} MP/s in "
        f"{whole_command_s:.1f} s; {small_command_s:.1f} s of a scene of 256 px\n"
        f"  SAHI's procedure, fp32                {sahi_mp:7.2f} MP/s: survey {rate / sahi_mp:.1f} "
        f"times as fast; it leaves {twins} twins, the survey {twins_of(found)}\n"
        f"  plain loop of {CHIP_PX} px chips            {loop_mp:7.2f} MP/s: survey "
        f"{rate / loop_mp:.1f} times as fast\n"
        f"  1 worker process                      {mp / one_s:7.1f} MP/s\n"
        f"  1 process, {CORES} threads, no cluster      {mp / threaded_s:7.1f} MP/s: "
        f"{CORES} processes have {threaded_s / plain_s:.2f} of its speed"
    )
    if default_gate(detector.card) is not None:
        gated, gated_s = surveyed(scene, folder / "gated", gate=True)
        kept = len(set(gated["detection_id"]) & set(found["detection_id"]))
        gate_rate = mp / gated_s
        print(
            f"  with the gate                         {gate_rate:7.1f} MP/s "
            f"= {gate_rate / sahi_mp:.1f} times SAHI, {gate_rate / loop_mp:.1f} times the plain "
            f"loop; {kept} of {len(found)} detections kept, {len(gated) - kept} others"
        )
    assert len(found) > 0
    assert twins_of(found) == 0


def two_threads_s(scene):
    """One process with as many threads as cores, each with its own blocks: no cluster at all."""
    card = load_card(default_weights())
    spec = DetectorSpec(default_weights(), "", "cpu", "auto", card.halo_px)
    searcher = Searcher.load(spec)
    work = iter(blocks_of(scene, searcher.detector))
    lock = threading.Lock()

    def take():
        torch.set_num_threads(1)
        while True:
            with lock:
                block = next(work, None)
            if block is None:
                return
            searcher.search(scene, block, KILN)

    threads = [threading.Thread(target=take) for _ in range(CORES)]

    def race():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return seconds(race)


def twins_of(found):
    """Detections of one scene nearer than 60 m to another."""
    return pairs_within(found["peak_row"].to_numpy(), found["peak_col"].to_numpy(), 5.0)


MEMORY = """
import sys
from pathlib import Path
from models.site_class import load_site_class
from models.weights import default_weights, load_card
from pipeline.engine.search import DetectorSpec, Searcher
from tiles.blocks import plan_blocks
from tiles.handles import use_gdal_settings
from tiles.scene import GsdLimits, open_scene
use_gdal_settings()
weights = default_weights()
searcher = Searcher.load(DetectorSpec(weights, "", "cpu", "auto", load_card(weights).halo_px))
def peak_mb():
    # VmHWM, not ru_maxrss: the latter remembers the parent that this process was forked from
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
idle = peak_mb()
scene = open_scene(Path(sys.argv[1]), "s", GsdLimits())
for block in plan_blocks(scene, searcher.detector.halo_px, scene.footprint):
    searcher.search(scene, block, load_site_class("brick_kiln"))
print(idle, peak_mb())
"""


def mosaic_of(scene, times, folder):
    """A VRT that shows the scene so many times along each side."""
    side = scene.rows
    sources = "".join(
        f"<SimpleSource><SourceFilename>{scene.path}</SourceFilename><SourceBand>{{band}}"
        f'</SourceBand><SrcRect xOff="0" yOff="0" xSize="{side}" ySize="{side}"/>'
        f'<DstRect xOff="{col * side}" yOff="{row * side}" xSize="{side}" ySize="{side}"/>'
        "</SimpleSource>"
        for row in range(times)
        for col in range(times)
    )
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{n}" blockXSize="512" blockYSize="512">'
        f"{sources.format(band=n)}</VRTRasterBand>"
        for n in (1, 2, 3)
    )
    transform = ", ".join(map(str, UTM_ORIGIN.to_gdal()))
    path = folder / f"mosaic_{times}.vrt"
    path.write_text(
        f'<VRTDataset rasterXSize="{side * times}" rasterYSize="{side * times}">'
        f"<SRS>{UTM_44N}</SRS><GeoTransform>{transform}</GeoTransform>{bands}</VRTDataset>"
    )
    return path


def test_memory_of_a_worker_does_not_grow_with_the_scene(tmp_path):
    base = quarter_of(open_scene(made_up_scene(), "bench", GsdLimits()), tmp_path)
    peaks = {}
    for times in (1, 2, 4):
        path = mosaic_of(base, times, tmp_path)
        told = subprocess.run(
            [sys.executable, "-c", MEMORY, str(path)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, **ENVIRON},  # as a worker of a local cluster
        ).stdout.split()
        idle_mb, peaks[times**2] = float(told[0]), float(told[1])
    above = {n: peak - idle_mb for n, peak in peaks.items()}
    print(
        f"\n  a worker idle {idle_mb:.0f} MB; above it at 1, 4 and 16 times {base.rows}^2 px: "
        + ", ".join(f"{mb:.0f} MB" for mb in above.values())
        + f" (largest / smallest peak {max(peaks.values()) / min(peaks.values()):.2f})"
    )
    assert max(above.values()) < 1500
    assert max(peaks.values()) / min(peaks.values()) < 1.1


def quarter_of(scene, folder):
    """The scene's first quarter, or all of a small one: sixteen of them are sixteen tiles' work."""
    if QUICK:
        return scene
    side = scene.rows // 2
    path = folder / "quarter.tif"
    with rasterio.open(scene.path) as dataset:
        profile = dataset.profile | {"driver": "GTiff", "height": side, "width": side}
        with rasterio.open(path, "w", **profile) as quarter:
            quarter.write(dataset.read(window=rasterio.windows.Window(0, 0, side, side)))
    return open_scene(path, "quarter", GsdLimits())


def test_a_hundred_thousand_detections(scene, tmp_path):
    number = 10_000 if QUICK else 100_000
    rng = np.random.default_rng(0)
    side = 100_000  # px: a region of a million km2
    row, col = rng.uniform(0, side, (2, number))
    wide = open_scene(scene.path, "wide", GsdLimits())
    boxes = PixelBoxes(
        row, col, row.astype(int), col.astype(int),
        rng.uniform(8, 13, number), rng.uniform(4, 6, number),
        rng.uniform(0, np.pi, number), rng.uniform(0.45, 1, number),
    )  # fmt: skip
    card = load_card(default_weights())
    unfamiliar = np.zeros(number, bool)
    found = georeference(
        boxes,
        wide,
        "brick_kiln",
        card.calibration.probabilities(boxes.score, unfamiliar),
        unfamiliar,
    )
    assert isinstance(found, gpd.GeoDataFrame)
    sites = []

    def work():
        write_table(found, tmp_path / "detections.parquet", DETECTIONS)
        sites.append(link_sites(found, KILN))
        sites[0].to_parquet(tmp_path / "sites.parquet")

    took_s = seconds(work)
    print(f"\n  {number} detections: merged, linked, written in {took_s:.1f} s")
    assert 0.9 * number < len(sites[0]) <= number


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_on_a_gpu(scene):
    detector = Detector.load(default_weights(), "cuda", "auto")
    blocks = blocks_of(scene, detector)
    forward_s = sum(_forward_s(detector, scene, block) for block in blocks)
    spec = DetectorSpec(default_weights(), "", "cuda", "auto", detector.halo_px)
    searcher = Searcher.load(spec)
    whole_s = seconds(lambda: [searcher.search(scene, block, KILN) for block in blocks])
    print(
        f"\n  {torch.cuda.get_device_name()}: whole tile {whole_s:.2f} s, "
        f"{whole_s / forward_s:.2f} times the bare forward passes"
    )
    assert whole_s > 0


def test_transform_of_the_made_up_scene(scene):
    assert scene.transform == Affine(*UTM_ORIGIN[:6])
