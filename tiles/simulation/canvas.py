"""The made-up ground as arrays: noise, pixel frames and canvases, all functions of ground position.

Nothing here draws random numbers in sequence: textures are hashes of ground cells, so a block
shows the same ground whichever way a scene is cut, and two scenes show it on their own grids.
Ground positions are metres east (x) and north (y) of the centre of the belt; arrays are (row, col),
pictures (band, row, col) in red, green, blue.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint32]

# Smooth quantities are computed every 16th pixel: 160 m, under half their wavelength.
LATTICE_PX = 16


@dataclass(frozen=True)
class Colour:
    """Red, green, blue on the scale of an 8-bit picture, 0 to 255."""

    red: float
    green: float
    blue: float

    def column(self) -> Floats:
        """Return the colour shaped (3, 1, 1), to be broadcast over a picture."""
        return np.array([self.red, self.green, self.blue], np.float32)[:, None, None]

    def scaled(self, factor: float) -> "Colour":
        """Return the colour with all three bands multiplied by `factor`."""
        return Colour(self.red * factor, self.green * factor, self.blue * factor)


# --- noise ----------------------------------------------------------------------------------------


def cell_bits(i: npt.NDArray[np.int32], j: npt.NDArray[np.int32], seed: int) -> Words:
    """Return 32 well-mixed bits of each integer cell (i, j): the "lowbias32" hash by C. Wellons."""
    bits = i.astype(np.uint32) * np.uint32(0x9E3779B1)
    bits += j.astype(np.uint32) * np.uint32(0x85EBCA6B) + np.uint32(seed & 0xFFFFFFFF)
    bits ^= bits >> np.uint32(16)
    bits *= np.uint32(0x7FEB352D)
    bits ^= bits >> np.uint32(15)
    bits *= np.uint32(0x846CA68B)
    bits ^= bits >> np.uint32(16)
    return bits


def cell_noise(x_m: Floats, y_m: Floats, cell_m: float, seed: int) -> Floats:
    """Return one number in [0, 1) for each square of `cell_m` metres: grain with hard edges."""
    i = np.floor(x_m * np.float32(1 / cell_m)).astype(np.int32)
    j = np.floor(y_m * np.float32(1 / cell_m)).astype(np.int32)
    return uniform(cell_bits(i, j, seed))


def value_noise(x_m: Floats, y_m: Floats, wavelength_m: float, seed: int) -> Floats:
    """Return smooth noise in [0, 1): cell values at lattice corners, blended with a smooth step."""
    u = x_m * np.float32(1 / wavelength_m)
    v = y_m * np.float32(1 / wavelength_m)
    i, j = np.floor(u).astype(np.int32), np.floor(v).astype(np.int32)
    fu, fv = smooth(u - i), smooth(v - j)
    low = _mix(uniform(cell_bits(i, j, seed)), uniform(cell_bits(i + 1, j, seed)), fu)
    high = _mix(uniform(cell_bits(i, j + 1, seed)), uniform(cell_bits(i + 1, j + 1, seed)), fu)
    return _mix(low, high, fv)


def uniform(bits: Words) -> Floats:
    """Return numbers in [0, 1) from the upper 24 bits: all that a float32 holds."""
    return (bits >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def smooth(share: Floats) -> Floats:
    """Return the smooth step 3 s^2 - 2 s^3 of a share s in [0, 1]."""
    return share * share * (3 - 2 * share)


def _mix(low: Floats, high: Floats, share: Floats) -> Floats:
    return low + (high - low) * share


# --- the canvas -----------------------------------------------------------------------------------

Doubles = npt.NDArray[np.float64]
Locate = Callable[[Doubles, Doubles], tuple[Doubles, Doubles]]  # pixel (col, row) -> x_m, y_m


@dataclass(frozen=True)
class Frame:
    """A window of a pixel grid and how it lies on the ground.

    `locate` takes pixel coordinates (col, row; the centre of pixel (r, c) is (c + 0.5, r + 0.5)).
    """

    row0: int
    col0: int
    rows: int
    cols: int
    gsd_m: float
    locate: Locate

    def grown(self, margin_px: int) -> "Frame":
        """Return the frame with `margin_px` more pixels on every side."""
        return Frame(
            self.row0 - margin_px,
            self.col0 - margin_px,
            self.rows + 2 * margin_px,
            self.cols + 2 * margin_px,
            self.gsd_m,
            self.locate,
        )

    def lattice(self) -> tuple[Floats, Floats]:
        """Return x_m, y_m on the coarse lattice under the frame; upsample() brings it to pixels."""
        first_row, last_row = self.row0 // LATTICE_PX, (self.row0 + self.rows - 1) // LATTICE_PX + 1
        first_col, last_col = self.col0 // LATTICE_PX, (self.col0 + self.cols - 1) // LATTICE_PX + 1
        row = np.arange(first_row, last_row + 1) * LATTICE_PX + 0.5
        col = np.arange(first_col, last_col + 1) * LATTICE_PX + 0.5
        cols, rows = np.meshgrid(col, row)
        x_m, y_m = self.locate(cols, rows)
        return np.asarray(x_m, np.float32), np.asarray(y_m, np.float32)

    def upsample(self, coarse: Floats) -> Floats:
        """Return lattice values at every pixel, (rows, cols), by linear steps in a fixed order."""
        row = np.arange(self.row0, self.row0 + self.rows)
        col = np.arange(self.col0, self.col0 + self.cols)
        i, j = row // LATTICE_PX - row[0] // LATTICE_PX, col // LATTICE_PX - col[0] // LATTICE_PX
        down = ((row % LATTICE_PX) / LATTICE_PX).astype(np.float32)[:, None]
        across = ((col % LATTICE_PX) / LATTICE_PX).astype(np.float32)
        bands = _mix(coarse[i], coarse[i + 1], down)
        return _mix(bands[:, j], bands[:, j + 1], across)


@dataclass(frozen=True)
class Canvas:
    """A picture (3, rows, cols) under work, with the ground position of each pixel centre."""

    rgb: Floats
    x_m: Floats
    y_m: Floats
    gsd_m: float

    def blend(self, alpha: Floats, colour: Floats) -> None:
        """Lay `colour` (3, 1, 1) or (3, rows, cols) over the picture with opacity `alpha`."""
        self.rgb[...] += alpha * (colour - self.rgb)

    def darken(self, alpha: Floats) -> None:
        """Take away the share `alpha` (rows, cols) of the light."""
        self.rgb[...] *= 1 - alpha

    def turned(self, x_m: float, y_m: float, angle_rad: float) -> tuple[Floats, Floats]:
        """Return coordinates along and across an axis through a point, angle from east to north."""
        dx, dy = self.x_m - np.float32(x_m), self.y_m - np.float32(y_m)
        cos, sin = np.float32(np.cos(angle_rad)), np.float32(np.sin(angle_rad))
        return dx * cos + dy * sin, dy * cos - dx * sin


class Thing(Protocol):
    """Something on the ground: it touches no pixel further than `reach_m` from its centre."""

    @property
    def x_m(self) -> float:
        """Metres east of the belt's centre."""

    @property
    def y_m(self) -> float:
        """Metres north of the belt's centre."""

    @property
    def reach_m(self) -> float:
        """Radius of the circle that holds all of it, in metres, soft edges included."""

    def paint(self, canvas: Canvas) -> None:
        """Paint itself over what the canvas shows."""


def windows(canvas: Canvas, centres: npt.NDArray[np.float64]) -> list[tuple[int, Canvas]]:
    """Return (index, cut-out of the canvas) of those centres (x_m, y_m, reach_m) that touch it.

    The grid is taken as affine from its corners: over 512 px a UTM grid departs from that by
    under a metre, which the two pixels of slack cover.
    """
    x, y = canvas.x_m.astype(np.float64), canvas.y_m.astype(np.float64)
    rows, cols = x.shape
    per_col = np.array([x[0, -1] - x[0, 0], y[0, -1] - y[0, 0]]) / (cols - 1)
    per_row = np.array([x[-1, 0] - x[0, 0], y[-1, 0] - y[0, 0]]) / (rows - 1)
    inverse = np.linalg.inv(np.column_stack([per_col, per_row]))
    col, row = inverse @ (centres[:, :2] - [x[0, 0], y[0, 0]]).T
    reach = centres[:, 2] / canvas.gsd_m + 2
    top = np.clip(np.floor(row - reach), 0, rows).astype(int)
    bottom = np.clip(np.ceil(row + reach) + 1, 0, rows).astype(int)
    left = np.clip(np.floor(col - reach), 0, cols).astype(int)
    right = np.clip(np.ceil(col + reach) + 1, 0, cols).astype(int)
    seen = np.flatnonzero((bottom > top) & (right > left))
    return [
        (int(n), _cut(canvas, slice(top[n], bottom[n]), slice(left[n], right[n]))) for n in seen
    ]


def _cut(canvas: Canvas, rows: slice, cols: slice) -> Canvas:
    return Canvas(
        canvas.rgb[:, rows, cols], canvas.x_m[rows, cols], canvas.y_m[rows, cols], canvas.gsd_m
    )
