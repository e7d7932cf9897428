"""What adapting does to land without any kiln: false alarms in Europe before and after.

    python -m tests.benchmarks.adapt_empty ../shared/data OUT [--chips 600]

Adapts the shipped weights by `kilnlight adapt`'s own path to every second chip of European land,
where there is no kiln, and counts what both detect above their thresholds on those chips and on
the others. Nobody should do this; the figures say what happens to who does.
"""

import argparse
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

from models.adapting import AdaptSettings, adapt
from models.detector import Detector
from models.judging.scoring import detect_pictures, inner_area_km2
from models.labelled.dataset import load_dataset
from models.weights import default_weights

DATASET = Path("models/datasets/brick_kiln.toml")
SIDE_M = 640.0


def europe(data: Path, chips: int) -> list:
    """Chips evenly through the whole set, without labels because there are no sites."""
    empty = load_dataset(DATASET, data, "d1", simulate=False).empty
    found = [picture for picture in empty if picture.region == "Europe"]
    return found[:: max(len(found) // chips, 1)][:chips]


def write_scenes(pictures: list, folder: Path) -> list[str]:
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


def per_1000km2(weights: Path, pictures: list) -> float:
    """Detections above the card's threshold for each 1,000 km2."""
    detector = Detector.load(weights, device="cpu")
    found = np.concatenate([boxes.score for boxes in detect_pictures(detector, pictures)])
    area_km2 = sum(inner_area_km2(picture) for picture in pictures)
    return 1000 * float((found > detector.threshold).sum()) / area_km2


def main() -> None:
    """Adapt, unless that was done, and print the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--chips", type=int, default=600)
    arguments = parser.parse_args()
    pictures = europe(arguments.data, arguments.chips)
    seen, others = pictures[::2], pictures[1::2]
    own = arguments.out / "europe.safetensors"
    if not own.is_file():
        scenes = write_scenes(seen, arguments.out / "europe")
        adapt(AdaptSettings(imagery=tuple(scenes), out=own, threads=1), say=print)
    for name, weights in (("as shipped", default_weights()), ("adapted", own)):
        rates = [per_1000km2(weights, part) for part in (seen, others)]
        print(f"{name}: {rates[0]:.0f} per 1,000 km2 on what was adapted to, {rates[1]:.0f} beside")


if __name__ == "__main__":
    main()
