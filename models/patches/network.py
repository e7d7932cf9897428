"""A classifier of chips: pixels of a square to one logit, whether a site lies in it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock
from torchvision.ops import Conv2dNormActivation

from models.weights import PatchShape

# Sides of chips are multiples of the coarsest stage.
COARSEST_PX = 8
# Pixels folded into channels before the first convolution: nothing is averaged away, and what
# costs most in a network of this size, many positions of few channels, is spared.
FOLD_PX = 4
# Contrast under 5 % of the brightness is sensor noise, and is not blown up to full contrast.
CONTRAST_FLOOR = 0.05
# A pixel beyond 5 deviations (a white roof in the forest) says no more at 50.
CLIP = 5.0
# Pixels this dark against their chip (water, shadow) differ by noise alone.
LEAST_RATIO = 0.1
# Logarithms of ratios are half as wide as deviations.
RATIO_SCALE = 2.0
# Two views of the pixels, see `two_views`.
VIEWS = 2


class PatchNet(nn.Module):
    """Stages at strides 4 and 8 (He et al., 2016), pooled over the chip, and a small head."""

    def __init__(self, shape: PatchShape, n_bands: int = 3) -> None:
        super().__init__()
        self.shape = shape
        c4, c8 = shape.channels
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(FOLD_PX),
            Conv2dNormActivation(VIEWS * n_bands * FOLD_PX**2, c4),
            BasicBlock(c4, c4),
        )
        self.stage8 = nn.Sequential(_halved(c4, c8), BasicBlock(c8, c8))
        self.drop = nn.Dropout(shape.dropout)
        self.head = nn.Sequential(nn.Linear(2 * c8, c8), nn.ReLU(), nn.Linear(c8, 1))

    def forward(self, x: Tensor) -> Tensor:
        """One logit a chip.

        Args:
            x: (batch, 2 bands, side, side), from `two_views`; the side a multiple of COARSEST_PX.

        Returns:
            (batch,), float32.
        """
        x = x.contiguous(memory_format=torch.channels_last)
        cells = self.stage8(self.stem(x))  # (b, c8, side/8, side/8)
        pooled = self.drop(torch.cat([cells.mean((2, 3)), cells.amax((2, 3))], dim=1))  # (b, 2 c8)
        # In float32 even where the rest is bf16: eight bits of mantissa would tie the chips.
        with torch.autocast(x.device.type, enabled=False):
            out: Tensor = self.head(pooled.float())
        return out[:, 0]


def _halved(c_in: int, c_out: int) -> BasicBlock:
    shortcut = Conv2dNormActivation(c_in, c_out, 1, stride=2, activation_layer=None)
    return BasicBlock(c_in, c_out, stride=2, downsample=shortcut)


def two_views(pixels: Tensor, usable: Tensor) -> Tensor:
    """Chips as the network takes them: against their own contrast, and their own brightness.

    The first view is each pixel less its band's mean over the chip, over the chip's deviation
    (shared by the bands): it does not change with gain or offset, but for the floor. The second is
    the logarithm of the pixel over the chip's mean brightness over all bands: it does not change
    with gain, and keeps how strong the contrast is and of which colour the land is, which tells
    bare soil in a forest from the texture of the forest itself.

    Args:
        pixels: (batch, band, side, side), float32, any scaling.
        usable: (batch, 1, side, side), 1 where a pixel counts, else 0; others become 0.

    Returns:
        (batch, 2 band, side, side), float32, within [-CLIP, CLIP].
    """
    nothing = torch.zeros((), device=pixels.device)
    clean = torch.where(usable > 0, pixels, nothing)
    count = usable.sum((2, 3), keepdim=True).clamp_min(1.0)
    mean = clean.sum((2, 3), keepdim=True) / count  # (b, band, 1, 1)
    offset = torch.where(usable > 0, clean - mean, nothing)
    variance = (offset.square().sum((2, 3), keepdim=True) / count).mean(1, keepdim=True)
    brightness = mean.mean(1, keepdim=True).clamp_min(1e-9)
    scale = (variance + (CONTRAST_FLOOR * brightness).square()).rsqrt()
    ratio = (clean / brightness).clamp_min(LEAST_RATIO).log() * RATIO_SCALE
    views = torch.cat([offset * scale, ratio], dim=1).clamp(-CLIP, CLIP)
    return torch.where(usable > 0, views, nothing)
