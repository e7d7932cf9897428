"""A made-up dataset of labelled tiles in two districts, with notes and land without any site."""

from pathlib import Path

import numpy as np
import pandas as pd
from affine import Affine

from models.chips import Picture
from tests.made_up import UTM_44N, write_raster
from tests.models.made_up_models import made_up_land, simulated_picture

DATASET = """
name = "made_up"
licence = "CC-BY-NC-4.0"
steps = 1

[[tiles]]
region = "Plain"
images = "images"
labels = "labels"
format = "yolo_obb"
table = "tiles.csv"
notes = "notes.csv"
credit = "made up"
licence = "CC0-1.0"

[[empty_chips]]
region = "Nowhere"
chips = "empty.npz"
credit = "made up"
licence = "none stated"
evaluation_only = true

[folds.west]
test = ["west"]
"""


def write_tiles(folder: Path, n: int = 4, n_kilns: int = 3, skip: tuple[int, ...] = ()) -> Path:
    """The dataset file; on the tiles of `skip` the first kiln of the tile carries no label.

    Tiles 0 to n - 1 lie in the east and are trained on, n to 2 n - 1 in the west and are held out.
    """
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    for i in range(2 * n):
        picture = simulated_picture(i, n_kilns)
        where = Affine(10.0, 0.0, 300_000.0 + 30_000 * i, 0.0, -10.0, 2_990_000.0)
        write_raster(folder / f"images/{i}.tif", picture.pixels, crs=UTM_44N, transform=where)
        lines = [yolo_line(picture, k) for k in range(len(picture.sites)) if k or i not in skip]
        (folder / f"labels/{i}.txt").write_text("".join(lines))
    districts = ["east"] * n + ["west"] * n
    pd.DataFrame({"name": range(2 * n), "district": districts}).to_csv(
        folder / "tiles.csv", index=False
    )
    notes = [note(simulated_picture(i, n_kilns), i) for i in skip]
    pd.DataFrame(notes, columns=["tile", "x_px", "y_px", "verdict", "note"]).to_csv(
        folder / "notes.csv", index=False
    )
    chips = np.stack([made_up_land(64, 64, seed) for seed in range(6)])
    np.savez(folder / "empty.npz", x=chips)
    path = folder / "made_up.toml"
    path.write_text(DATASET)
    return path


def note(picture: Picture, tile: int) -> tuple[str, float, float, str, str]:
    """A note that the first kiln of a tile has no label."""
    sites = picture.sites
    return str(tile), float(sites.col[0]), float(sites.row[0]), "unlabelled kiln", "made up"


def yolo_line(picture: Picture, k: int) -> str:
    """A label of YOLO's oriented kind: class and four corners as shares of the picture."""
    s, size = picture.sites, picture.usable.shape[0]
    along = np.array([1, 1, -1, -1]) * s.length_px[k] / 2
    across = np.array([1, -1, -1, 1]) * s.width_px[k] / 2
    cos, sin = np.cos(s.angle_rad[k]), np.sin(s.angle_rad[k])
    x, y = s.col[k] + along * cos - across * sin, s.row[k] + along * sin + across * cos
    return "0 " + " ".join(f"{v / size:.6f}" for v in np.stack([x, y], 1).ravel()) + "\n"
