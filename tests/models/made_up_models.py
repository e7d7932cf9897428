"""Made-up pictures and an untrained small network for the tests of the models."""

import numpy as np
import torch

from models.calibration import Calibration
from models.chips import Ground, Picture, PixelPoints, SiteLabels
from models.detector import halo_px
from models.network import STRIDE, KilnNet
from models.weights import LoadedWeights, NetworkShape, Recall, WeightsCard
from tiles.simulate import simulate_patch

SMALL = NetworkShape(
    fine_channels=0, stem_channels=8, stage_channels=(12, 16), blocks=1, window_px=40
)


def make_card(shape: NetworkShape = SMALL, **changes: object) -> WeightsCard:
    """A card with made-up figures."""
    card = WeightsCard(
        name="made-up",
        version="0.1",
        site_class="brick_kiln",
        licence="Apache-2.0",
        bands=("red", "green", "blue"),
        gsd_m=10.0,
        stride=STRIDE,
        halo_px=halo_px(shape),
        threshold=0.3,
        shape=shape,
        calibration=Calibration(
            intercept=0.5,
            slope=1.2,
            variance_intercept=0.04,
            variance_slope=0.01,
            covariance=0.0,
            prevalence_per_1000km2=30.0,
            n_true=100,
            n_false=300,
        ),
        recall=Recall(mean=0.8, low=0.7, high=0.9),
    )
    return card.model_copy(update=changes)


def make_weights(shape: NetworkShape = SMALL, seed: int = 3, **changes: object) -> LoadedWeights:
    """An untrained network whose heatmap is livened up, so that it has peaks everywhere."""
    torch.manual_seed(seed)
    net = KilnNet(shape).eval()
    with torch.no_grad():
        net.out.weight.mul_(6.0)
        net.out.bias.zero_()
    tensors = {name: value.numpy() for name, value in net.state_dict().items()}
    return LoadedWeights(make_card(shape, **changes), tensors, "0" * 64)


def made_up_land(rows: int, cols: int, seed: int = 0) -> np.ndarray:
    """Smooth noise with a gradient of brightness, uint8, (3, rows, cols)."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(3, rows // 4 + 2, cols // 4 + 2)).repeat(4, 1).repeat(4, 2)
    fine = rng.normal(size=(3, rows, cols))
    slope = np.linspace(0, 90, cols)[None, None] + np.linspace(0, 40, rows)[None, :, None]
    land = 60 + slope + 14 * coarse[:, :rows, :cols] + 6 * fine
    return np.clip(land, 1, 255).astype(np.uint8)


def simulated_picture(seed: int, n_kilns: int | None = None, size_px: int = 160) -> Picture:
    """A made-up brick belt as a labelled picture."""
    patch = simulate_patch(np.random.default_rng(seed), size_px, n_kilns)
    col, row, length, width, angle = patch.boxes.T.astype(float)
    none = np.zeros(0)
    return Picture(
        name=f"simulated {seed}",
        place=f"made-up {seed}",
        pixels=patch.pixels,
        usable=np.ones((size_px, size_px), bool),
        sites=SiteLabels(row, col, length, width, angle % np.pi),
        doubtful=PixelPoints(none, none),
        blind_edge_px=0,
        ground=Ground(0.0, 0.0, 10.0, 10.0),
    )
