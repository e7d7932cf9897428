"""A block's pixels on the network's device, with what normalises any window of them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from models.detection import ArrayWindow, Bools
from models.network import STRIDE, enlarge, standardise, window_moments
from models.tiling import grown, slices
from models.weights import NetworkShape


class Prepared:
    """Pixels as they were read, and the mean and scale around each square of 8 px.

    The moments are taken once for the whole block: a third of the work of taking them tile by
    tile. On a GPU the pixels travel in their own number type, from pinned memory.
    """

    def __init__(
        self, pixels: NDArray[Any], usable: Bools, shape: NetworkShape, device: str = "cpu"
    ) -> None:
        """Moments are taken when a window is first asked for.

        Args:
            pixels: (band, y, x), the network's bands, any number type.
            usable: (y, x).
            shape: Gives the window of the moments.
            device: Where the network runs; MPS has no double precision, so there the CPU prepares.
        """
        self.pixels, self.usable = pixels, usable
        self._shape, self._device = shape, device

    @cached_property
    def _tensors(self) -> tuple[Tensor, Tensor]:
        x, mask = to_tensors(self.pixels, self.usable, len(self.pixels))
        if self._device == "cuda":
            x, mask = (t.pin_memory().to(self._device, non_blocking=True) for t in (x, mask))
        return x, mask

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        mean, scale, _ = window_moments(*self._tensors, self._shape)
        return mean, scale

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, multiples of STRIDE."""
        rows, cols = (-(-side // STRIDE) * STRIDE for side in self.usable.shape)
        return rows, cols

    def normalised(self, window: ArrayWindow) -> Tensor:
        """(1, band, y, x) of a window that starts and ends on multiples of STRIDE, float32."""
        mean, scale = (self._enlarged(t, window, STRIDE) for t in self._moments)
        inside = slices(window)
        pixels, usable = (t[..., *inside] for t in self._tensors)
        return standardise(pixels.float(), usable, mean, scale)

    def coarse(self, window: ArrayWindow, factor: int) -> Tensor:
        """The same of means over squares of `factor` pixels, 0 where one of them is unusable."""
        mean, scale = (self._enlarged(t, window, STRIDE // factor) for t in self._moments)
        inside = slices(window)
        pixels, mask = (t[..., *inside] for t in self._tensors)
        pixels = F.avg_pool2d(pixels.float(), factor)
        whole = mask if bool(mask.all()) else -F.max_pool2d(-mask.float(), factor)
        return standardise(pixels, whole, mean, scale)

    def _enlarged(self, moments: Tensor, window: ArrayWindow, factor: int) -> Tensor:
        """Moments of a window with so many values a square, linear between the squares' middles."""
        rows, cols = self.shape
        own = ArrayWindow(
            window.row0 // STRIDE,
            window.col0 // STRIDE,
            window.rows // STRIDE,
            window.cols // STRIDE,
        )
        around = grown(own, 1, rows // STRIDE, cols // STRIDE)
        row0, col0 = (own.row0 - around.row0) * factor, (own.col0 - around.col0) * factor
        kept = np.s_[..., row0 : row0 + own.rows * factor, col0 : col0 + own.cols * factor]
        return enlarge(moments[..., *slices(around)], factor)[kept]


def to_tensors(pixels: NDArray[Any], usable: Bools, n_bands: int) -> tuple[Tensor, Tensor]:
    """Pixels (1, band, y, x) and mask (1, 1, y, x), padded to the stride, not-a-number masked.

    Numbers stay 8 or 16 bits wide where they are; else they become float32.
    """
    values, mask = pixels[:n_bands], np.asarray(usable, bool)
    if values.dtype not in (np.uint8, np.int16, np.uint16):
        values = values.astype(np.float32)
        mask = mask & np.isfinite(values).all(axis=0)
    pad = [(0, -side % STRIDE) for side in mask.shape]
    if any(after for _, after in pad):
        values, mask = np.pad(values, [(0, 0), *pad]), np.pad(mask, pad)
    return (
        torch.from_numpy(np.ascontiguousarray(values))[None],
        torch.from_numpy(np.ascontiguousarray(mask))[None, None],
    )
