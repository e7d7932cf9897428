"""How many decisions a reviewer needs: the queue's order against random order, on the Delhi scene.

    python -m tests.benchmarks.review_curve ../shared/data START.safetensors OUT [SEEDS]

START are weights that never saw Delhi (`kilnlight train models/datasets/brick_kiln.toml --fold
to_delhi ...`). They detect in the western half; a simulated reviewer decides on the detections in
the queue's order or at random, by the scene's own trusted labels (doubtful places: unsure). The
weights then go on with what was decided (`kilnlight train --labels --start`), and the eastern half
is scored. Simulated: a real reviewer errs.
"""

import json
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio

from maps.review.labels import box_outline
from maps.review.queue import RANKED, USEFUL, deal, spread_order, usefulness
from models.detector import Detector
from models.judging.scoring import detect_picture
from models.labelled.formats.sites import read_scene
from models.training import TrainSettings, train
from models.weights import load_weights
from tiles.cells import CellGrid

DATASET = Path(__file__).with_name("review_curve.toml")
SIZES = (0, 25, 50, 100, 200)
FOUND_PX = 10.0  # 100 m
REJECTED_SIDE_M = 200.0


def candidates(data: Path, start: Path) -> pd.DataFrame:
    """Detections in the western half with what the scene's labels say of them."""
    picture = read_scene(data / "delhi_s2/scene.tif", data / "delhi_s2/kilns.csv", "Delhi")
    cols = picture.usable.shape[1]
    west = picture.columns(0, cols // 2, "west")
    detector = Detector.load(start, "cpu", "auto", threads=1)
    boxes = detect_picture(detector, west)
    with rasterio.open(data / "delhi_s2/scene.tif") as scene:
        lon, lat = scene.transform @ (boxes.col, boxes.row)
    at = np.stack([boxes.row, boxes.col], 1)

    def near(points):
        gaps = np.hypot(at[:, None, 0] - points.row, at[:, None, 1] - points.col)
        return gaps.min(1) < FOUND_PX

    kiln, doubtful = near(west.sites), near(west.doubtful)
    said = detector.card.calibration.at_prevalence(106.0).probabilities(boxes.score)
    return pd.DataFrame(
        {
            "site_id": [f"W{number:04d}" for number in range(len(boxes))],
            "lon": lon,
            "lat": lat,
            "length_m": boxes.length_px * 10,
            "width_m": boxes.width_px * 10,
            "azimuth_deg": (90 + np.degrees(boxes.angle_rad)) % 180,
            "p_site": said.p,
            "unfamiliar": False,
            "cell_id": CellGrid().cell_ids_at(lon, lat),
            "label": np.select([kiln, doubtful], ["site", "doubtful"], "not_site"),
        }
    )


def order(places: pd.DataFrame, how: str, seed: int) -> list[str]:
    """Names of the places in the order in which they are asked about."""
    names = places["site_id"].to_numpy()
    if how == "random":
        return list(np.random.default_rng(seed).permutation(names))
    worth = usefulness(places).worth
    ranked = places.sort_values("p_site", ascending=False)["site_id"]
    useful = names[spread_order(worth, list(places["cell_id"]))]
    return [name for name, _ in deal({RANKED: list(ranked), USEFUL: list(useful)})]


def write_labels(places: pd.DataFrame, decided: list[str], data: Path, folder: Path) -> Path:
    """Write what was decided as `kilnlight review labels` does."""
    folder.mkdir(parents=True, exist_ok=True)
    table = places.assign(audit=False)
    # what nobody decided on teaches nothing
    table.loc[~table["site_id"].isin(decided), "label"] = "doubtful"
    shapes = [
        box_outline(row.lon, row.lat, row.length_m, row.width_m, row.azimuth_deg)
        for row in table.itertuples()
    ]
    gpd.GeoDataFrame(table, geometry=shapes, crs=4326).to_parquet(folder / "labels.parquet")
    empty = table[table["label"] == "not_site"].assign(sites=0)
    side = REJECTED_SIDE_M
    squares = [box_outline(row.lon, row.lat, side, side, 0.0) for row in empty.itertuples()]
    gpd.GeoDataFrame(empty, geometry=squares, crs=4326).to_parquet(folder / "ground.parquet")
    scene = {"scene_id": "scene", "path": str((data / "delhi_s2/scene.tif").resolve())}
    imagery = {"scenes": [scene], "bands": [1, 2, 3], "licence": "CC-BY-NC-4.0"}
    (folder / "imagery.json").write_text(json.dumps(imagery))
    return folder


def scored(data: Path, start: Path, labels: Path | None, out: Path, seed: int) -> float:
    """AP on the eastern half after going on from `start`."""
    settings = TrainSettings(
        dataset=DATASET, out=out, data_root=data, fold="east", seed=seed, threads=1,
        labels=labels, start=start,
    )  # fmt: skip
    if not out.is_file():
        train(settings)
    figures = {figure.name: figure.value for figure in load_weights(out).card.figures}
    return next(value for name, value in figures.items() if "verage precision" in name)


def main(data: Path, start: Path, out: Path, seeds: int) -> None:
    """Run the whole curve and print it."""
    out.mkdir(parents=True, exist_ok=True)
    places = candidates(data, start)
    places.to_csv(out / "candidates.csv", index=False)
    print(f"{len(places)} places: {dict(places['label'].value_counts())}", flush=True)
    rows = []
    for seed in range(seeds):
        for size in SIZES:
            for how in ("queue", "random") if size else ("none",):
                name = f"{how}_{size}_{seed}"
                decided = order(places, how, seed)[:size] if size else []
                labels = write_labels(places, decided, data, out / name) if size else None
                ap = scored(data, start, labels, out / f"{name}.safetensors", seed)
                told = places[places["site_id"].isin(decided)]["label"]
                rows.append((how, size, seed, ap, int((told == "site").sum())))
                print(*rows[-1], flush=True)
                pd.DataFrame(rows, columns=["order", "decisions", "seed", "ap", "kilns"]).to_csv(
                    out / "curve.csv", index=False
                )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int((sys.argv[4:] or ["1"])[0]))
