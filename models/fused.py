"""The network as a survey runs it: convolution, norm, sum and ReLU in one pass over memory each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from models.network import ConvUnit, KilnNet, Residual, fold_batch_norms


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
        out_weight: (N_OUTPUTS, channels), float32: the last layer, which `models.decoding` applies
            where it matters.
        out_bias: (N_OUTPUTS,), float32.
    """

    def __init__(self, net: KilnNet, device: str, dtype: torch.dtype) -> None:
        super().__init__(net, device, dtype)
        self._net = net
        self.out_weight = net.out.weight.detach().float()[:, :, 0, 0]
        self.out_bias = cast(Tensor, net.out.bias).detach().float()

    def features(self, x: Tensor) -> Tensor:
        """Normalised pixels (batch, band, y, x) to features (batch, y / 2, x / 2, channels)."""
        net = self._net
        x = x.to(self.dtype).contiguous(memory_format=torch.channels_last)
        if isinstance(net.fine, ConvUnit):
            x = self.unit(net.fine, x)
        else:
            x = net.fine(x).contiguous(memory_format=torch.channels_last)
        f2 = self.units(net.stem, x)  # (b, c2, y/2, x/2)
        f4 = self._stage(net.stage4, f2)  # (b, c4, y/4, x/4)
        f8 = self._stage(net.stage8, f4)  # (b, c8, y/8, x/8)
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


def add_doubled(fine: Tensor, coarse: Tensor) -> Tensor:
    """Add a map of half the side, each of its cells to four, in the memory of the finer one."""
    batch, channels, rows, cols = coarse.shape
    cells = fine.permute(0, 2, 3, 1).view(batch, rows, 2, cols, 2, channels)
    cells += coarse.permute(0, 2, 3, 1).view(batch, rows, 1, cols, 1, channels)
    return fine
