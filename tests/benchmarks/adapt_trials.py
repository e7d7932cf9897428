"""What adapting does beside the imagery that was adapted to, and on land without any kiln.

    python -m tests.benchmarks.adapt_trials west ../shared/data OUT --start TO_DELHI.safetensors
    python -m tests.benchmarks.adapt_trials east ../shared/data OUT --start TO_DELHI.safetensors
    python -m tests.benchmarks.adapt_trials empty ../shared/data OUT [--chips 600]

`west` and `east` adapt weights that never saw Delhi (`kilnlight train --fold to_delhi`) to that
half of its scene by `kilnlight adapt`'s own path, and score both halves before and after: what is
learnt should hold for the region, not for the pixels alone.

`empty` adapts the shipped weights to every second chip of European land, where there is no kiln,
and counts what both detect above their thresholds on those chips and on the others. Nobody should
do this; the figures say what happens to who does.
"""

import argparse
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.windows import Window

from models.adapting import AdaptSettings, adapt
from models.chips import Picture
from models.detector import Detector
from models.judging.operating import score_held_out
from models.judging.out_of_fold import figures_of_table
from models.judging.scoring import detect_pictures, inner_area_km2
from models.labelled.dataset import load_dataset
from models.weights import default_weights

DATASET = Path("models/datasets/brick_kiln.toml")
HALVES = {"west": ("Delhi/1", "Delhi/2"), "east": ("Delhi/3", "Delhi/4")}
TOLERANCE_M = 100.0
# Left out between the half that is adapted to and the other: further than the network sees.
GUARD_PX = 300
SIDE_M = 640.0


def beside(half: str, data: Path, out: Path, start: Path) -> None:
    """AP in both halves of Delhi of weights before and after they were adapted to one of them."""
    pictures = load_dataset(DATASET, data, "to_delhi", simulate=False).test
    middle = min(p.first_col for p in pictures if p.place in HALVES["east"])
    own = out / f"{half}.safetensors"
    if not own.is_file():
        cut = out / f"{half}.tif"
        write_half(data / "delhi_s2/scene.tif", cut, half, middle)
        adapt(AdaptSettings(imagery=(str(cut),), out=own, weights=start, threads=1), say=print)
    for name, weights in (("before", start), (f"adapted to the {half}", own)):
        detector = Detector.load(weights, device="cpu")
        for side, places in HALVES.items():
            here = [picture for picture in pictures if picture.place in places]
            scores = score_held_out(detector, here, TOLERANCE_M, side, 0).scores
            ap = next(f for f in figures_of_table(scores, 0.3) if "average precision" in f.name)
            print(f"{name}: AP in the {side} {ap.value:.3f} [{ap.low:.3f}, {ap.high:.3f}]")


def write_half(scene: Path, cut: Path, half: str, middle: int) -> None:
    """The columns left or right of the middle, less the guard, as a scene of its own."""
    with rasterio.open(scene) as source:
        first, last = (
            (0, middle - GUARD_PX) if half == "west" else (middle + GUARD_PX, source.width)
        )
        window = Window(first, 0, last - first, source.height)
        profile = source.profile | {"width": last - first}
        profile["transform"] = source.window_transform(window)
        with rasterio.open(cut, "w", **profile) as target:
            target.write(source.read(window=window))


def empty(data: Path, out: Path, chips: int) -> None:
    """False alarms of the shipped weights in Europe before and after adapting to it."""
    empty_land = load_dataset(DATASET, data, "d1", simulate=False).empty
    europe = [picture for picture in empty_land if picture.region == "Europe"]
    europe = europe[:: max(len(europe) // chips, 1)][:chips]
    seen, others = europe[::2], europe[1::2]
    own = out / "europe.safetensors"
    if not own.is_file():
        scenes = write_chips(seen, out / "europe")
        adapt(AdaptSettings(imagery=tuple(scenes), out=own, threads=1), say=print)
    for name, weights in (("as shipped", default_weights()), ("adapted", own)):
        rates = [per_1000km2(weights, part) for part in (seen, others)]
        print(f"{name}: {rates[0]:.0f} per 1,000 km2 on what was adapted to, {rates[1]:.0f} beside")


def write_chips(pictures: list[Picture], folder: Path) -> list[str]:
    """Each chip as a GeoTIFF of its own, side by side on made-up ground."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i, picture in enumerate(pictures):
        bands, rows, cols = picture.pixels.shape
        where = Affine(10.0, 0.0, 500_000 + 2 * SIDE_M * (i % 50), 0.0, -10.0, 5e6 + SIDE_M * i)
        paths.append(str(folder / f"chip_{i:04d}.tif"))
        profile = {"driver": "GTiff", "count": bands, "height": rows, "width": cols}
        profile |= {"dtype": picture.pixels.dtype, "crs": "EPSG:32632", "transform": where}
        with rasterio.open(paths[-1], "w", **profile) as dataset:
            dataset.write(picture.pixels)
    return paths


def per_1000km2(weights: Path, pictures: list[Picture]) -> float:
    """Detections above the card's threshold for each 1,000 km2."""
    detector = Detector.load(weights, device="cpu")
    found = np.concatenate([boxes.score for boxes in detect_pictures(detector, pictures)])
    area_km2 = sum(inner_area_km2(picture) for picture in pictures)
    return 1000 * float((found > detector.threshold).sum()) / area_km2


def main() -> None:
    """Adapt, unless that was done, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("trial", choices=("west", "east", "empty"))
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--chips", type=int, default=600)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.trial == "empty":
        empty(asked.data, asked.out, asked.chips)
    else:
        beside(asked.trial, asked.data, asked.out, asked.start)


if __name__ == "__main__":
    main()
