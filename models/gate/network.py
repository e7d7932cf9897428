"""A small network at low resolution that says where a detector need not look."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from models.inference.fused import Fused, add_doubled, twice
from models.network import STRIDE, ConvUnit, enlarge, standardise, window_moments
from models.weights import GateShape, NetworkShape

if TYPE_CHECKING:
    from models.fitting.augment import Sample  # it draws in torchvision, which takes seconds

# Pixels averaged before the gate looks: 20 m, at which a kiln is still five pixels long.
COARSE_PX = 2
# Pixels along a cell of the gate's heatmap.
GATE_CELL_PX = 4
# The heatmap starts where a cell in a thousand holds a site.
PRIOR = 0.001


def gate_margin_px() -> int:
    """Pixels around a tile that can change its cells of the heatmap or their neighbours."""
    at_4 = 3 * GATE_CELL_PX  # two convolutions, merge
    at_8 = 3 * STRIDE
    alignment = STRIDE - 1
    reach = at_4 + at_8 + alignment + GATE_CELL_PX  # and the next cell
    return -(-reach // STRIDE) * STRIDE


class GateNet(nn.Module):
    """Stages at strides 4 and 8, merged to one heatmap at stride 4.

    A twentieth of the detector's operations a pixel: nothing is computed at full resolution.
    """

    def __init__(self, shape: GateShape, n_bands: int = 3) -> None:
        super().__init__()
        c4, c8 = shape.channels
        self.fold = nn.PixelUnshuffle(GATE_CELL_PX // COARSE_PX)
        self.stage4 = nn.Sequential(
            ConvUnit(n_bands * (GATE_CELL_PX // COARSE_PX) ** 2, c4), ConvUnit(c4, c4)
        )
        self.stage8 = nn.Sequential(ConvUnit(c4, c8, stride=2), ConvUnit(c8, c8), ConvUnit(c8, c8))
        self.lateral = nn.Conv2d(c8, c4, 1)
        self.merge = ConvUnit(c4, c4)
        self.out = nn.Conv2d(c4, 1, 1)
        with torch.no_grad():
            self.out.bias.fill_(-math.log((1 - PRIOR) / PRIOR))  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        """Coarse normalised pixels to raw logits.

        Args:
            x: (batch, band, y / 2, x / 2), from `Prepared.coarse` or `coarse_samples`.

        Returns:
            (batch, 1, y / 4, x / 4), float32.
        """
        x = self.fold(x).contiguous(memory_format=torch.channels_last)
        f4 = self.stage4(x)  # (b, c4, y/4, x/4)
        f8 = self.stage8(f4)  # (b, c8, y/8, x/8)
        up = F.interpolate(self.lateral(f8), scale_factor=2, mode="nearest")
        features = self.merge(f4 + up)
        with torch.autocast(x.device.type, enabled=False):
            out: Tensor = self.out(features.float())
        return out


class FusedGate(Fused):
    """A trained `GateNet`, for inference alone."""

    def __init__(self, net: GateNet, device: str, dtype: torch.dtype) -> None:
        super().__init__(net, device, dtype)
        self._net = net
        net.lateral = twice(net.lateral)
        net.out.float()

    def logits(self, x: Tensor) -> Tensor:
        """As `GateNet.forward`."""
        net = self._net
        x = net.fold(x.to(self.dtype)).contiguous(memory_format=torch.channels_last)
        f4 = self.units(net.stage4, x)
        f8 = self.units(net.stage8, f4)
        features = self.unit(net.merge, add_doubled(f4, self.conv(net.lateral, f8)))
        out: Tensor = net.out(features.float())
        return out


def coarse_samples(batch: Sample, shape: GateShape) -> Tensor:
    """Training samples as the gate sees pixels: (batch, band, y / 2, x / 2)."""
    moments = NetworkShape(window_px=shape.window_px)
    mean, scale = window_moments(batch.pixels, batch.usable, moments)[:2]
    mean, scale = (enlarge(t, STRIDE // COARSE_PX) for t in (mean, scale))
    whole = -F.max_pool2d(-batch.usable, COARSE_PX)
    return standardise(F.avg_pool2d(batch.pixels, COARSE_PX), whole, mean, scale)
