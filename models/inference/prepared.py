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
from models.inference.tiling import slices
from models.network import CLIP, STRIDE, all_usable, standardise, window_moments
from models.weights import NetworkShape

# Rows of squares normalised at once on a CPU: 64 px, a megabyte of a tile's width.
STRIP_SQUARES = 8


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
    def _moments(self) -> Tensor:
        """(1, band + 1, y / 8, x / 8): means, and the scale."""
        return torch.cat(window_moments(*self._tensors, self._shape)[:2], dim=1)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, multiples of STRIDE."""
        rows, cols = (-(-side // STRIDE) * STRIDE for side in self.usable.shape)
        return rows, cols

    def normalised(self, window: ArrayWindow, dtype: torch.dtype = torch.float32) -> Tensor:
        """(1, band, y, x), channels last, of a window on multiples of STRIDE; see `normalise`.

        A strip at a time, so that on a CPU nothing in between leaves the core's cache.
        """
        pixels, usable = (t[0, :, *slices(window)] for t in self._tensors)
        holes = None if all_usable(usable) else ~usable
        near = self._near(window, STRIDE)
        out = torch.empty(
            (1, *pixels.shape), dtype=dtype, device=near.device, memory_format=torch.channels_last
        )
        step = STRIP_SQUARES if self._device == "cpu" else window.rows
        for first in range(0, window.rows // STRIDE + 1, step):
            # from the middle of a square to the middle of the next
            top = STRIDE * first - STRIDE // 2
            lines = _between(near[:, first : first + step + 1])
            rows = slice(max(top, 0), min(top + lines.shape[1], window.rows))
            moments = lines[:, rows.start - top : rows.stop - top]
            z = torch.sub(pixels[:, rows].float(), moments[:-1]).mul_(moments[-1:])
            z.clamp_(-CLIP, CLIP)
            if holes is not None:
                z.masked_fill_(holes[:, rows], 0.0)
            # a band at a time: torch is three times as slow when it sorts all of them in one go
            for own, values in zip(out[0, :, rows], z.to(dtype), strict=True):
                own.copy_(values)
        return out

    def coarse(self, window: ArrayWindow, factor: int) -> Tensor:
        """The same of means over squares of `factor` pixels, 0 where one of them is unusable."""
        near = self._near(window, STRIDE // factor)
        cut = STRIDE // factor // 2
        moments = _between(near, STRIDE // factor)[None, :, cut : cut + window.rows // factor]
        pixels, mask = (t[..., *slices(window)] for t in self._tensors)
        pixels = F.avg_pool2d(pixels.float(), factor)
        whole = mask if all_usable(mask) else -F.max_pool2d(-mask.float(), factor)
        return standardise(pixels, whole, moments[:, :-1], moments[:, -1:])

    def _near(self, window: ArrayWindow, factor: int) -> Tensor:
        """Moments (band + 1, y / 8 + 2, x / 8 * factor) of a window, for `_between`.

        Of its rows of squares and of one row to each side; along columns as many as are wanted.
        """
        rows, cols = (side // STRIDE for side in self.shape)
        row = _with_neighbours(window.row0, window.rows, rows, self._moments.device)
        col = _with_neighbours(window.col0, window.cols, cols, self._moments.device)
        near = self._moments[:, :, row[:, None], col]
        wide = F.interpolate(near, scale_factor=(1, factor), mode="bilinear", align_corners=False)
        return wide[0, :, :, factor:-factor]


def _with_neighbours(first_px: int, length_px: int, squares: int, device: torch.device) -> Tensor:
    """Numbers of a window's squares and one to each side; the last one again at an array's edge."""
    first = first_px // STRIDE
    numbers = torch.arange(first - 1, first + length_px // STRIDE + 1, device=device)
    return numbers.clamp(0, squares - 1)


def _between(near: Tensor, factor: int = STRIDE) -> Tensor:
    """Values (channel, (y - 1) * factor, x) between the middles of rows (channel, y, x)."""
    share = (torch.arange(factor, device=near.device) + 0.5) / factor
    lines = torch.lerp(near[:, :-1, None], near[:, 1:, None], share[:, None])
    return lines.flatten(1, 2)


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
