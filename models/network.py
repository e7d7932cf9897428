"""The fully convolutional network: pixels to a heatmap of centres, with box and direction."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from models.weights import NetworkShape

# The coarsest stage; blocks that start on multiples of this see the same pooling windows.
STRIDE = 8
# A kiln's core is about 10 x 5 px: at 2 px a cell, touching kilns still have their own peaks.
CELL_PX = 2
# Heatmap, offset (row, col), log length, log width, cos and sin of twice the angle.
N_OUTPUTS = 7
# Sizes are predicted as log-ratios to a typical kiln, so that an untrained net starts near one.
TYPICAL_LENGTH_PX = 11.0
TYPICAL_WIDTH_PX = 5.5
# Contrast under 2 % of the brightness is sensor noise, and is not blown up to full contrast.
CONTRAST_FLOOR = 0.02
# A normalised pixel beyond 6 deviations (a white roof in a dark field) says no more at 60.
CLIP = 6.0
# Rows summed at once for the moments: as many as stay in a core's cache.
STRIP_PX = 32
# Focal loss starts stable when an untrained net calls one cell in a hundred a centre.
PRIOR = 0.01


class ConvUnit(nn.Sequential):
    """3 x 3 convolution, batch normalisation, ReLU."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(c_out),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Module):
    """Two convolutions around a shortcut (He et al., 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvUnit(channels, channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (batch, channels, y, x) in and out."""
        return F.relu(x + self.norm(self.conv(self.first(x))))


class KilnNet(nn.Module):
    """Stages at strides 2, 4 and 8, merged back to stride 2 (in the manner of CenterNet, 2019)."""

    def __init__(self, shape: NetworkShape, n_bands: int = 3) -> None:
        super().__init__()
        self.shape = shape
        c2, (c4, c8) = shape.stem_channels, shape.stage_channels
        if shape.fine_channels:
            self.fine: nn.Module = ConvUnit(n_bands, shape.fine_channels)
            first = ConvUnit(shape.fine_channels, c2, stride=CELL_PX)
        else:
            self.fine = nn.PixelUnshuffle(CELL_PX)  # (b, bands, y, x) to (b, 4 bands, y/2, x/2)
            first = ConvUnit(CELL_PX**2 * n_bands, c2)
        self.stem = nn.Sequential(first, ConvUnit(c2, c2))
        self.stage4 = _stage(c2, c4, shape.blocks)
        self.stage8 = _stage(c4, c8, shape.blocks)
        self.lateral4 = nn.Conv2d(c8, c4, 1)
        self.merge4 = ConvUnit(c4, c4)
        self.lateral2 = nn.Conv2d(c4, c2, 1)
        self.merge2 = ConvUnit(c2, c2)
        self.head = ConvUnit(c2, c2)
        self.out = nn.Conv2d(c2, N_OUTPUTS, 1)
        with torch.no_grad():
            self.out.bias.zero_()  # type: ignore[union-attr]
            self.out.bias[0] = -math.log((1 - PRIOR) / PRIOR)  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        """Normalised pixels to raw outputs.

        Args:
            x: (batch, band, y, x), from `normalise`; y and x multiples of STRIDE.

        Returns:
            (batch, N_OUTPUTS, y / CELL_PX, x / CELL_PX); see `N_OUTPUTS` for the order.
        """
        x = self.fine(x.contiguous(memory_format=torch.channels_last))
        x = x.contiguous(memory_format=torch.channels_last)
        f2 = self.stem(x)  # (b, c2, y/2, x/2)
        f4 = self.stage4(f2)  # (b, c4, y/4, x/4)
        f8 = self.stage8(f4)  # (b, c8, y/8, x/8)
        f4 = self.merge4(f4 + _double(self.lateral4(f8)))  # (b, c4, y/4, x/4)
        f2 = self.merge2(f2 + _double(self.lateral2(f4)))  # (b, c2, y/2, x/2)
        features = self.head(f2)  # (b, c2, y/2, x/2)
        # In float32 even where the rest is bf16: eight bits of mantissa would tie the peaks.
        with torch.autocast(x.device.type, enabled=False):
            out: Tensor = self.out(features.float())  # (b, 7, y/2, x/2)
        return out


def _stage(c_in: int, c_out: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(ConvUnit(c_in, c_out, stride=2), *(Residual(c_out) for _ in range(blocks)))


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


def network_radius_px(shape: NetworkShape) -> int:
    """Furthest normalised pixel, in rows or columns, that can change the output of a cell.

    Convolutions of radius one at strides 2, 4 and 8 each reach that many pixels, and the two at
    full resolution, where there are any, as far as the one at stride 2 in whose place they stand.
    A coarse cell that serves a finer one begins up to its own size away.
    """
    at_2 = 2 * (2 + 1 + 1)  # stem twice, merge2, head
    at_4 = 2 + 4 * (2 * shape.blocks + 1)  # the stride-2 convolution, the blocks, merge4
    at_8 = 4 + 8 * 2 * shape.blocks
    alignment = (8 - 2) + 1
    return at_2 + at_4 + at_8 + alignment


def window_radius_px(shape: NetworkShape) -> int:
    """Furthest pixel that the normalisation of a pixel looks at.

    The window is made of whole 8 px squares and read between their centres: one square more on
    either side.
    """
    return STRIDE * (window_squares(shape) // 2) + 2 * STRIDE


def receptive_radius_px(shape: NetworkShape) -> int:
    """Furthest pixel, in rows or columns, that can change the output of a cell."""
    return network_radius_px(shape) + window_radius_px(shape)


def window_squares(shape: NetworkShape) -> int:
    """Side of the normalisation window in squares of 8 px: the nearest odd number."""
    return 2 * (shape.window_px // (2 * STRIDE)) + 1


def normalise(pixels: Tensor, usable: Tensor, shape: NetworkShape) -> Tensor:
    """Each pixel less the mean of a window around it, over the window's deviation.

    This is the one radiometry of the project: gain, offset and haze that change slowly over the
    land drop out, whatever the scaling of the file. Bands keep their own mean and share one
    deviation, so that colour contrast inside the window stays. Unusable pixels become 0 and are in
    no mean. The window is made of 8 x 8 px squares, so a scene cut anywhere on a grid of 8 px gives
    the same values; sums are in double precision, so the cut cannot show in the last digits.

    Args:
        pixels: (batch, band, y, x), any scaling; y and x multiples of STRIDE.
        usable: (batch, 1, y, x), 1 where a pixel counts, else 0.
        shape: Gives the window.

    Returns:
        (batch, band, y, x), float32, within [-CLIP, CLIP].
    """
    mean, scale = window_moments(pixels, usable, shape)[:2]
    return standardise(pixels.float(), usable, enlarge(mean), enlarge(scale))


def standardise(pixels: Tensor, usable: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Pixels less the mean, times the scale, clipped; 0 where nothing is usable.

    Args:
        pixels: (batch, band, y, x), float32; written over.
        usable: (batch, 1, y, x).
        mean: (batch, band, y, x).
        scale: (batch, 1, y, x).
    """
    z = torch.sub(pixels, mean).mul_(scale).clamp_(-CLIP, CLIP)
    # not multiplied: what is unusable may be no number at all
    return z if all_usable(usable) else z.masked_fill_(usable <= 0, 0.0)


def all_usable(usable: Tensor) -> bool:
    """Whether a mask is set everywhere; torch's own `all` takes ten times as long over booleans."""
    return bool(usable.view(torch.uint8).min() if usable.dtype == torch.bool else usable.all())


def window_moments(
    pixels: Tensor, usable: Tensor, shape: NetworkShape
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (batch, band), inverse deviation (batch, 1) and variance (batch, band) around squares.

    Each of shape (..., y / 8, x / 8), float32; see `normalise`.

    Args:
        pixels: (batch, band, y, x), any number type that converts to float32.
        usable: (batch, 1, y, x).
        shape: Gives the window.
    """
    in_bytes = pixels.dtype == torch.uint8
    of_squares, mean_of = (_byte_means, _exact_mean) if in_bytes else (_square_means, _mean)
    rows = range(0, pixels.shape[2], STRIP_PX)
    strips = [
        of_squares(pixels[:, :, r : r + STRIP_PX], usable[:, :, r : r + STRIP_PX]) for r in rows
    ]
    coarse = torch.cat(strips, dim=2).double()  # (b, 2 bands + 1, y/8, x/8)
    window = mean_of(coarse, window_squares(shape))  # zero padded: unusable
    n = pixels.shape[1]
    count = window[:, -1:].clamp_min(1e-9)
    mean = window[:, :n] / count  # (b, band, y/8, x/8)
    variance = (window[:, n : 2 * n] / count - mean * mean).clamp_min(0.0)
    floor = (CONTRAST_FLOOR * mean).square().mean(1, keepdim=True) + 1e-12
    scale = (variance.mean(1, keepdim=True) + floor).rsqrt()  # (b, 1, y/8, x/8)
    return mean.float(), scale.float(), variance.float()


def _square_means(pixels: Tensor, usable: Tensor) -> Tensor:
    """Means of pixels, their squares and the mask over squares: (b, 2 bands + 1, y/8, x/8)."""
    mask = usable.float()
    values = pixels.float()
    if not bool(usable.all()):
        values = torch.where(usable > 0, values, torch.zeros((), device=values.device))
    parts = [_square_sum(part) for part in (values, values * values, mask)]
    return torch.cat(parts, dim=1) / STRIDE**2


def _square_sum(x: Tensor) -> Tensor:
    """Sums over squares of 8 px, added in one fixed order wherever the square lies."""
    batch, channels, rows, cols = x.shape
    lines = x.reshape(batch, channels, rows // STRIDE, STRIDE, cols)
    down = lines[:, :, :, 0] + lines[:, :, :, 1]
    for k in range(2, STRIDE):
        down += lines[:, :, :, k]
    squares = down.reshape(batch, channels, rows // STRIDE, cols // STRIDE, STRIDE)
    total = squares[..., 0] + squares[..., 1]
    for k in range(2, STRIDE):
        total += squares[..., k]
    return total


def _mean(x: Tensor, side: int) -> Tensor:
    """Means over windows of so many squares along each side, zeros around."""
    return F.avg_pool2d(x, side, stride=1, padding=side // 2)


def _byte_means(pixels: Tensor, usable: Tensor) -> Tensor:
    """As `_square_means`, bit for bit, where pixels are bytes: their sums are whole numbers.

    The sum of 64 squared bytes has 23 bits, so float32 holds it whatever the order of adding, and
    a multiplication with ones, which is the quickest, may do it.
    """
    values, holes = pixels.float(), not all_usable(usable)
    if holes:
        values.masked_fill_(~usable.bool(), 0.0)
    sums = [_byte_sums(values), _byte_sums(values.mul_(values))]
    count = torch.full_like(sums[0][:, :1], STRIDE**2)
    sums.append(_byte_sums(usable.float()) if holes else count)
    return torch.cat(sums, dim=1) / STRIDE**2


def _byte_sums(x: Tensor) -> Tensor:
    """Sums over squares of 8 px, of whole numbers."""
    batch, channels, rows, cols = x.shape
    ones = x.new_ones(STRIDE)
    lines = ones[None] @ x.reshape(batch, channels, rows // STRIDE, STRIDE, cols)
    total = lines.reshape(-1, STRIDE) @ ones
    return total.view(batch, channels, rows // STRIDE, cols // STRIDE)


def _exact_mean(x: Tensor, side: int) -> Tensor:
    """As `_mean`, bit for bit, of numbers whose sums are exact: one axis after the other."""
    for axis in (2, 3):
        length = x.shape[axis]
        x = F.pad(x, (0, 0, side // 2, side // 2) if axis == 2 else (side // 2, side // 2))
        total = x.narrow(axis, 0, length) + x.narrow(axis, 1, length)
        for first in range(2, side):
            total += x.narrow(axis, first, length)
        x = total
    return x / side**2


def enlarge(x: Tensor, factor: int = STRIDE) -> Tensor:
    """So many values for each along rows and columns, linear between the squares' middles."""
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def fold_batch_norms(net: nn.Module) -> nn.Module:
    """Merge every batch normalisation into the convolution before it; for inference only."""
    for module in net.modules():
        if isinstance(module, ConvUnit):
            module[0] = nn.utils.fuse_conv_bn_eval(module[0], module[1])  # type: ignore[type-var,arg-type]
            module[1] = nn.Identity()
        elif isinstance(module, Residual):
            module.conv = nn.utils.fuse_conv_bn_eval(module.conv, module.norm)
            module.norm = nn.Identity()  # type: ignore[assignment]
    return net
