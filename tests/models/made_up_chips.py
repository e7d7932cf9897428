"""Made-up chips: bright pits in a dark forest, roads that are none, and forest drawn at random."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from models.patches.detector import patch_halo_px
from models.patches.network import PatchNet
from models.weights import LoadedWeights, PatchShape
from tests.models.made_up_models import make_card

SIDE_PX = 32
SMALL_PATCHES = PatchShape(channels=(8, 16), chip_px=SIDE_PX, dropout=0.0)
GALLERIES = ("pits 2019", "roads 2019", "pits 2024", "roads 2024", "random 10k")


def forest(rng: np.random.Generator, rows: int, cols: int) -> np.ndarray:
    """Dark green noise, (3, rows, cols), float."""
    base = np.array([50.0, 70.0, 60.0])[:, None, None]
    return base + 6 * rng.normal(size=(3, rows, cols))


def dig(land: np.ndarray, row: float, col: float, radius_px: float = 4.0) -> None:
    """A bright sandy pit with a dark pond in its middle."""
    r, c = np.indices(land.shape[1:])
    away = np.hypot(r + 0.5 - row, c + 0.5 - col)
    land[:, away < radius_px] = np.array([210.0, 190.0, 150.0])[:, None]
    land[:, away < 0.4 * radius_px] = np.array([60.0, 110.0, 110.0])[:, None]


def make_chips(per_gallery: int = 12, seed: int = 0) -> dict[str, np.ndarray]:
    """Arrays of an .npz as `chip_dataset` reads it."""
    rng = np.random.default_rng(seed)
    pixels, labels, gallery = [], [], []
    for number, name in enumerate(GALLERIES):
        for _ in range(per_gallery):
            land = forest(rng, SIDE_PX, SIDE_PX)
            if name.startswith("pits"):
                dig(land, *rng.uniform(8, SIDE_PX - 8, 2))
            elif name.startswith("roads"):
                land[:, :, int(rng.integers(4, SIDE_PX - 4)) :][:, :, :2] = 170.0
            pixels.append(np.moveaxis(np.clip(land, 1, 255).astype(np.uint8), 0, -1))
            labels.append(int(name.startswith("pits")))
            gallery.append(number)
    return {
        "x": np.stack(pixels),
        "y": np.array(labels, np.uint8),
        "gallery": np.array(gallery, np.uint8),
        "gallery_names": np.array(GALLERIES),
    }


DATASET = """
name = "made_up_pits"
site_class = "gold_mine"
licence = "Apache-2.0"
steps = 60
limits = ["Made up."]

[labelled_chips]
chips = "chips.npz"
places = "places.csv"
random_land = ["random*"]
credit = "made up"
licence = "CC0-1.0"

[folds]
early = ["* 2019"]
late = ["* 2024"]
"""


def write_dataset(folder: Path, text: str = DATASET, per_gallery: int = 12) -> Path:
    """A dataset file with its chips; the first chip of each year shows one place."""
    arrays = make_chips(per_gallery)
    np.savez(folder / "chips.npz", **arrays)
    place = np.arange(len(arrays["x"]))
    place[2 * per_gallery] = 0
    pd.DataFrame({"place": place}).to_csv(folder / "places.csv", index=False)
    path = folder / "pits.toml"
    path.write_text(text)
    return path


def make_patch_weights(seed: int = 3, **changes: object) -> LoadedWeights:
    """An untrained classifier whose logits are livened up, so that it has peaks everywhere."""
    torch.manual_seed(seed)
    net = PatchNet(SMALL_PATCHES).eval()
    with torch.no_grad():
        net.head[2].weight.mul_(8.0)
    tensors = {name: value.numpy() for name, value in net.state_dict().items()}
    card = make_card(site_class="gold_mine", halo_px=patch_halo_px(SMALL_PATCHES), **changes)
    card = card.model_copy(update={"shape": SMALL_PATCHES})
    return LoadedWeights(card, tensors, "0" * 64)
