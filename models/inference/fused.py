"""The network as a survey runs it: convolution, norm, sum and ReLU in one pass over memory each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from models.detection import ArrayWindow
from models.network import CELL_PX, STRIDE, ConvUnit, KilnNet, Residual, fold_batch_norms

# How far a cut at stride 8 is felt afterwards, in pixels: a convolution of radius one at stride 4
# and two at stride 2, and a coarse cell that serves a finer one may begin 2 px away.
CUT_REACH_PX = 4 + 2 * 2 + 2


class Fused:
    """Runs convolutions with what follows them; oneDNN's own on a CPU, plain layers elsewhere."""

    def __init__(self, net: nn.Module, device: str, dtype: torch.dtype) -> None:
        """Fold every norm into its convolution, and place the network.

        Args:
            net: A trained network of `ConvUnit`; it is changed.
            device: Where it runs.
            dtype: What it multiplies in.
        """
        fold_batch_norms(net.eval()).to(  # type: ignore[call-overload]
            device=device, dtype=dtype, memory_format=torch.channels_last
        )
        self.dtype = dtype
        there = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        self._onednn = device == "cpu" and bool(there)

    def units(self, units: Iterable[nn.Module], x: Tensor) -> Tensor:
        """Several units, one after the other."""
        for unit in units:
            x = self.unit(unit, x)
        return x

    def unit(self, unit: nn.Module, x: Tensor) -> Tensor:
        """Convolution and ReLU of a `ConvUnit`."""
        return self.conv(cast(ConvUnit, unit)[0], x, "relu")

    def conv(self, conv: nn.Module, x: Tensor, then: str = "none") -> Tensor:
        """A convolution, and `relu` or nothing."""
        conv = cast(nn.Conv2d, conv)
        if self._onednn:
            x = x.contiguous(memory_format=torch.channels_last)
            out: Tensor = torch.ops.mkldnn._convolution_pointwise(
                x, conv.weight, conv.bias, *_sides(conv), 1, then, [], ""
            )
            return out
        y = conv(x)
        return cast(Tensor, F.relu_(y) if then == "relu" else y)

    def conv_add(self, conv: nn.Conv2d, x: Tensor, shortcut: Tensor) -> Tensor:
        """A convolution, the sum with a shortcut, and ReLU."""
        if self._onednn:
            out: Tensor = torch.ops.mkldnn._convolution_pointwise.binary(
                x, shortcut, conv.weight, conv.bias, *_sides(conv), 1, "add", 1.0, "relu", [], ""
            )
            return out
        return F.relu_(conv(x).add_(shortcut))


class FusedNet(Fused):
    """A trained `KilnNet`, for inference alone: the features that its last layer reads.

    On a CPU the forward of so small a network waits for memory, not for multiplications: a ReLU of
    its own is as dear as the convolution before it. oneDNN applies it, and the sum of a shortcut,
    while the convolution's result is still in the cache; nothing is rounded in between.

    Attributes:
        out_weight: (N_OUTPUTS, channels), float32: the last layer, which `decoding` applies
            where it matters.
        out_bias: (N_OUTPUTS,), float32.
    """

    def __init__(self, net: KilnNet, device: str, dtype: torch.dtype) -> None:
        super().__init__(net, device, dtype)
        self._net = net
        net.lateral4, net.lateral2 = (twice(each) for each in (net.lateral4, net.lateral2))
        self.out_weight = net.out.weight.detach().float()[:, :, 0, 0]
        self.out_bias = cast(Tensor, net.out.bias).detach().float()

    def features(self, x: Tensor, inner: ArrayWindow | None = None) -> Tensor:
        """Normalised pixels (batch, band, y, x) to features (batch, y / 2, x / 2, channels).

        Args:
            x: Sides multiples of STRIDE.
            inner: The pixels whose features are wanted, on multiples of STRIDE; all when None. What
                lies around is looked at as far as stride 8, and not merged: features nearer than
                CUT_REACH_PX to the edge of `inner` lack what they would merge from beyond it.
        """
        net = self._net
        x = x.to(self.dtype).contiguous(memory_format=torch.channels_last)
        if isinstance(net.fine, ConvUnit):
            x = self.unit(net.fine, x)
        else:
            x = net.fine(x).contiguous(memory_format=torch.channels_last)
        f2 = self.units(net.stem, x)  # (b, c2, y/2, x/2)
        f4 = self._stage(net.stage4, f2)  # (b, c4, y/4, x/4)
        f8 = self._stage(net.stage8, f4)  # (b, c8, y/8, x/8)
        if inner is not None:
            f2, f4, f8 = (
                _part(f, inner, px) for f, px in ((f2, CELL_PX), (f4, 2 * CELL_PX), (f8, STRIDE))
            )
        f4 = self.unit(net.merge4, add_doubled(f4, self.conv(net.lateral4, f8)))
        f2 = self.unit(net.merge2, add_doubled(f2, self.conv(net.lateral2, f4)))
        return self.unit(net.head, f2).permute(0, 2, 3, 1)

    def _stage(self, stage: nn.Sequential, x: Tensor) -> Tensor:
        first, *blocks = stage
        x = self.unit(first, x)
        for block in cast(list[Residual], blocks):
            x = self.conv_add(block.conv, self.unit(block.first, x), x)
        return x


def _sides(conv: nn.Conv2d) -> tuple[list[int], list[int], list[int]]:
    """Padding, stride and dilation along rows and columns."""
    padding = cast(tuple[int, ...], conv.padding)
    return list(padding), list(conv.stride), list(conv.dilation)


def _part(features: Tensor, inner: ArrayWindow, cell_px: int) -> Tensor:
    """Features (batch, channels, y, x) of a window of pixels, in the memory of the whole."""
    row, col = inner.row0 // cell_px, inner.col0 // cell_px
    return features[..., row : row + inner.rows // cell_px, col : col + inner.cols // cell_px]


def twice(lateral: nn.Conv2d) -> nn.Conv2d:
    """The same 1 x 1 convolution, all its channels twice: two cells of a map of twice the side."""
    wide = nn.Conv2d(lateral.in_channels, 2 * lateral.out_channels, 1)
    with torch.no_grad():
        wide.weight.copy_(lateral.weight.repeat(2, 1, 1, 1))
        cast(Tensor, wide.bias).copy_(cast(Tensor, lateral.bias).repeat(2))
    wide = wide.to(device=lateral.weight.device, dtype=lateral.weight.dtype)
    return wide.to(memory_format=torch.channels_last)


def add_doubled(fine: Tensor, coarse: Tensor) -> Tensor:
    """Add a map of half the side, each of its cells to four.

    Channels lie beside each other in memory, and cells of a row: a cell with all its channels twice
    is two cells, and rows can be added whole.

    Args:
        fine: (batch, channels, 2 y, 2 x), channels last.
        coarse: (batch, 2 channels, y, x), channels last, from a convolution made by `twice`.
    """
    batch, channels, rows, cols = fine.shape
    lines = fine.permute(0, 2, 3, 1).view(batch, rows // 2, 2, cols * channels)
    both = lines + coarse.permute(0, 2, 3, 1).reshape(batch, rows // 2, 1, cols * channels)
    return both.view(batch, rows, cols, channels).permute(0, 3, 1, 2)
