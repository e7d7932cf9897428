"""Training samples: a random piece of a picture, turned, recoloured, with its targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)
from torchvision.transforms import v2

from models.chips import Picture, SiteLabels
from models.network import CELL_PX, N_OUTPUTS, TYPICAL_LENGTH_PX, TYPICAL_WIDTH_PX

Floats = NDArray[np.float64]

# Side of what the loss sees: Bangladesh's tiles are 128 px, and a batch of them fits the cache.
SAMPLE_PX = 128
# Real surroundings for the normalisation window beyond the sample; cropped before the network.
CONTEXT_PX = 32
# Two cells: a kiln's core is 5 px across, and touching kilns must keep two peaks.
HEAT_SIGMA_CELLS = 1.0
# A place that may or may not be a site teaches nothing this far around it.
DOUBTFUL_RADIUS_PX = 12.0
# Cells this hot learn box, offset and size: the centre and its four neighbours.
BOX_HEAT = 0.6
# Boxes nearly square have no direction to learn.
MIN_ELONGATION = 1.15


@dataclass(frozen=True)
class AugmentSettings:
    """How far samples stray from the picture.

    Attributes:
        turn_share: Share of samples turned by any angle; the others by quarter turns, unblurred.
        scale: Largest factor by which a turned sample is enlarged or shrunk.
        gain: Standard deviation of the log gain of each band.
        gamma: Standard deviation of the log exponent, alike for all bands.
        saturation: Largest factor by which colour is strengthened or weakened.
        noise_share: Share of samples with noise added.
        noise: Noise as a share of the sample's deviation, at most.
        blur_share: Share of samples blurred a little.
    """

    turn_share: float = 0.4
    scale: float = 1.2
    gain: float = 0.06
    gamma: float = 0.1
    saturation: float = 1.15
    noise_share: float = 0.2
    noise: float = 0.06
    blur_share: float = 0.1


@dataclass(frozen=True)
class Sample:
    """One training sample.

    Attributes:
        pixels: (3, CONTEXT_PX + SAMPLE_PX + CONTEXT_PX, same), float32, not yet normalised.
        usable: (1, same, same), float32.
        targets: (N_OUTPUTS, SAMPLE_PX / 2, SAMPLE_PX / 2): heat, offsets, log sizes, direction.
        masks: (3, same, same): where heat counts, where offsets count, where size and direction do.
    """

    pixels: Tensor
    usable: Tensor
    targets: Tensor
    masks: Tensor


@dataclass(frozen=True)
class Placement:
    """From a sample's pixels to a picture's: source = centre + matrix (sample - middle); (x, y)."""

    matrix: Floats
    centre_row: float
    centre_col: float

    def to_sample(self, sites: SiteLabels) -> SiteLabels:
        """Sites of the picture in the sample's pixels."""
        inverse = np.linalg.inv(self.matrix)
        offset = np.stack([sites.col - self.centre_col, sites.row - self.centre_row])
        x, y = inverse @ offset + SAMPLE_PX / 2
        scale = float(np.sqrt(abs(np.linalg.det(inverse))))
        along = inverse @ np.stack([np.cos(sites.angle_rad), np.sin(sites.angle_rad)])
        return SiteLabels(
            row=y,
            col=x,
            length_px=sites.length_px * scale,
            width_px=sites.width_px * scale,
            angle_rad=np.arctan2(along[1], along[0]) % np.pi,
        )


def draw_placement(
    rng: np.random.Generator, row: float, col: float, settings: AugmentSettings
) -> Placement:
    """A random turn, flip and scale about a position of the picture."""
    flip = np.diag([rng.choice([-1.0, 1.0]), 1.0])
    if rng.random() < settings.turn_share:
        angle = rng.uniform(0, 2 * np.pi)
        scale = settings.scale ** rng.uniform(-1, 1)
    else:
        angle, scale = rng.integers(4) * np.pi / 2, 1.0
        row, col = round(row), round(col)  # pixels fall on pixels: nothing is interpolated
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    return Placement(scale * turn @ flip, row, col)


def make_sample(
    picture: Picture, placement: Placement, rng: np.random.Generator, settings: AugmentSettings
) -> Sample:
    """Cut, recolour and label one sample."""
    pixels, usable, taught = _cut(picture, placement)
    pixels = _recolour(pixels, usable, rng, settings)
    sites = placement.to_sample(picture.sites)
    none = np.zeros(len(picture.doubtful))
    doubtful = placement.to_sample(
        SiteLabels(picture.doubtful.row, picture.doubtful.col, none, none, none)
    )
    targets, masks = make_targets(sites, doubtful, taught)
    return Sample(pixels, usable, targets, masks)


def _cut(picture: Picture, placement: Placement) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels, usable and whether labels are whole: (3, s, s), (1, s, s), (1, SAMPLE, SAMPLE)."""
    side = SAMPLE_PX + 2 * CONTEXT_PX
    reach = int(np.ceil(np.abs(placement.matrix).sum(1).max() * side / 2)) + 2
    row0, col0 = int(placement.centre_row) - reach, int(placement.centre_col) - reach
    window = _read_window(picture, row0, col0, 2 * reach)  # (5, 2 reach, 2 reach)
    theta = np.zeros((1, 2, 3), np.float32)
    theta[0, :, :2] = placement.matrix * side / (2 * reach)
    theta[0, 0, 2] = (placement.centre_col - col0) / reach - 1
    theta[0, 1, 2] = (placement.centre_row - row0) / reach - 1
    grid = F.affine_grid(torch.from_numpy(theta), [1, 5, side, side], align_corners=False)
    cut = F.grid_sample(window[None], grid, mode="bilinear", align_corners=False)[0]
    usable = (cut[3:4] > 0.99).float()
    middle = slice(CONTEXT_PX, CONTEXT_PX + SAMPLE_PX)
    return cut[:3] * usable, usable, (cut[4:5, middle, middle] > 0.99).float()


def _read_window(picture: Picture, row0: int, col0: int, side: int) -> Tensor:
    """(5, side, side) float32: red, green, blue, usable, labelled; zeros beyond the picture."""
    rows, cols = picture.usable.shape
    window = np.zeros((5, side, side), np.float32)
    top, left = max(row0, 0), max(col0, 0)
    bottom, right = min(row0 + side, rows), min(col0 + side, cols)
    if bottom > top and right > left:
        inner = (slice(top - row0, bottom - row0), slice(left - col0, right - col0))
        outer = (slice(top, bottom), slice(left, right))
        window[(slice(0, 3), *inner)] = picture.pixels[(slice(0, 3), *outer)]
        window[(3, *inner)] = picture.usable[outer]
        edge = picture.blind_edge_px
        r, c = np.arange(top, bottom)[:, None], np.arange(left, right)[None]
        whole = (r >= edge) & (r < rows - edge) & (c >= edge) & (c < cols - edge)
        taught = picture.usable if picture.taught is None else picture.taught & picture.usable
        window[(4, *inner)] = whole & taught[outer]
    return torch.from_numpy(window)


def _recolour(
    pixels: Tensor, usable: Tensor, rng: np.random.Generator, settings: AugmentSettings
) -> Tensor:
    """Another sensor's, season's or stretch's look of the same land."""
    top = pixels.max().clamp_min(1e-6)
    gamma = float(np.exp(rng.normal(0, settings.gamma)))
    gains = torch.tensor(np.exp(rng.normal(0, settings.gain, 3)), dtype=torch.float32)
    out = (pixels / top).clamp_min(0).pow(gamma) * gains[:, None, None]
    factor = settings.saturation ** rng.uniform(-1, 1)
    grey = out.mean(0, keepdim=True)
    out = grey + (out - grey) * float(factor)
    if rng.random() < settings.blur_share:
        out = v2.functional.gaussian_blur(out, [3, 3], [float(rng.uniform(0.3, 0.7))])
    if rng.random() < settings.noise_share:
        level = float(rng.uniform(0, settings.noise)) * float(out.std())
        out = out + level * torch.from_numpy(rng.standard_normal(out.shape, dtype=np.float32))
    return out * usable


def make_targets(sites: SiteLabels, doubtful: SiteLabels, taught: Tensor) -> tuple[Tensor, Tensor]:
    """What the network should say about one sample.

    Args:
        sites: In the sample's pixels; those outside it still warm its edge.
        doubtful: Places that teach nothing.
        taught: (1, SAMPLE_PX, SAMPLE_PX), 1 where the labels are whole.

    Returns:
        Targets (N_OUTPUTS, h, w) and masks (3, h, w); see `Sample`.
    """
    side = SAMPLE_PX // CELL_PX
    centre: Floats = CELL_PX * (np.arange(side, dtype=np.float64) + 0.5)
    targets = np.zeros((N_OUTPUTS, side, side), np.float32)
    heat_mask = (-F.max_pool2d(-taught[None], CELL_PX))[0, 0].numpy()
    masks = np.stack([heat_mask, np.zeros_like(heat_mask), np.zeros_like(heat_mask)])
    reach = SAMPLE_PX / 2 + DOUBTFUL_RADIUS_PX
    inside = np.maximum(*(abs(x - SAMPLE_PX / 2) for x in (doubtful.row, doubtful.col))) < reach
    for row, col in zip(doubtful.row[inside], doubtful.col[inside], strict=True):
        near = np.hypot(centre[:, None] - row, centre[None] - col) < DOUBTFUL_RADIUS_PX
        masks[0][near] = 0.0
    for i in range(len(sites)):
        _draw_site(targets, masks, sites, i, centre)
    return torch.from_numpy(targets), torch.from_numpy(masks)


def _draw_site(
    targets: NDArray[np.float32],
    masks: NDArray[np.float32],
    sites: SiteLabels,
    i: int,
    centre: Floats,
) -> None:
    row, col = sites.row[i], sites.col[i]
    if not (-8 < row < SAMPLE_PX + 8 and -8 < col < SAMPLE_PX + 8):
        return
    # The peak sits on the cell that holds the centre, so that one cell is exactly 1.
    cell_row, cell_col = np.floor(row / CELL_PX), np.floor(col / CELL_PX)
    cells = np.arange(len(centre))
    square = (cells[:, None] - cell_row) ** 2 + (cells[None] - cell_col) ** 2
    heat = np.exp(-square / (2 * HEAT_SIGMA_CELLS**2)).astype(np.float32)
    mine = (heat >= BOX_HEAT) & (heat > targets[0])
    targets[0] = np.maximum(targets[0], heat)
    targets[1][mine] = np.broadcast_to(((row - centre) / CELL_PX)[:, None], mine.shape)[mine]
    targets[2][mine] = np.broadcast_to(((col - centre) / CELL_PX)[None], mine.shape)[mine]
    masks[0][heat == 1.0] = 1.0
    masks[1][mine] = 1.0
    if sites.length_px[i] > 0:
        length, width = sites.length_px[i], max(sites.width_px[i], 1.0)
        targets[3][mine] = np.log(length / TYPICAL_LENGTH_PX)
        targets[4][mine] = np.log(width / TYPICAL_WIDTH_PX)
        targets[5][mine] = np.cos(2 * sites.angle_rad[i])
        targets[6][mine] = np.sin(2 * sites.angle_rad[i])
        masks[2][mine] = 1.0 if length > MIN_ELONGATION * width else 0.0
