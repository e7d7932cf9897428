"""Renders made-up land and sky: fields, what stands on them, then haze, cloud and the sensor."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tiles.simulation.canvas import (
    Canvas,
    Colour,
    Floats,
    Frame,
    Thing,
    cell_bits,
    cell_noise,
    smooth,
    uniform,
    value_noise,
    windows,
)

PSF_MARGIN_PX = 1  # the 3-tap blur of the sensor reads one pixel on each side
# A block of up to 4 x 3 parcels: parcels of 40 to 170 m, as on the Ganges plain.
FIELD_WIDTH_M = 170.0
FIELD_HEIGHT_M = 120.0
WARP_M = 80.0  # bends field rows by as much as villages bend them; more folds them over
BUND_M = 4.0  # half of a field's bank with its trees
TEXTURE_M = 14.0  # grain of crops and trees: just above a pixel, so that both scenes resolve it
DARKEST = 1  # 0 is nodata in the scenes
BRIGHTEST = 255


# --- land -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Land:
    """Fields everywhere, before anything stands on them.

    Attributes:
        seed: Of all textures.
        crops: Colours of fields from lush to bare, shape (3, 256).
        angle_rad: Direction of field rows, from east to north.
        lushness: Mean position on the ramp of crops, 0 lush to 1 bare.
        tree_share: Share of grains that are trees, where trees are commonest.
    """

    seed: int
    crops: Floats
    angle_rad: float = 0.0
    lushness: float = 0.5
    tree_share: float = 0.05


def crop_ramp(stops: Sequence[Colour], jitter: float, rng: np.random.Generator) -> Floats:
    """Return 256 field colours, (3, 256), along `stops` from lush to bare, each a little off."""
    at = np.linspace(0, 1, 256)
    where = np.linspace(0, 1, len(stops))
    table = np.array([[stop.red, stop.green, stop.blue] for stop in stops]).T
    ramp = np.stack([np.interp(at, where, band) for band in table])
    shade = rng.normal(0, jitter, 256) + rng.normal(0, jitter / 3, (3, 256))
    return np.clip(ramp + shade, 4, 250).astype(np.float32)


def paint_land(frame: Frame, land: Land) -> Canvas:
    """Return a canvas of the frame with fields, their banks and their trees."""
    x, y = frame.lattice()
    seed = land.seed
    cos, sin = np.float32(np.cos(land.angle_rad)), np.float32(np.sin(land.angle_rad))
    bend = [value_noise(x, y, 1700, seed + n) - np.float32(0.5) for n in (1, 2)]
    u = frame.upsample(x * cos + y * sin + np.float32(2 * WARP_M) * bend[0])
    v = frame.upsample(y * cos - x * sin + np.float32(2 * WARP_M) * bend[1])
    broad = 0.6 * value_noise(x, y, 23_000, seed + 3) + 0.4 * value_noise(x, y, 4_300, seed + 4)
    local = value_noise(x, y, 700, seed + 5)
    bareness = frame.upsample(land.lushness + 1.0 * (broad - 0.5) + 0.3 * (local - 0.5))
    groves = frame.upsample(land.tree_share * 4 * value_noise(x, y, 900, seed + 6) ** 2)
    soil = frame.upsample(0.92 + 0.16 * value_noise(x, y, 370, seed + 7))
    canvas = Canvas(
        np.empty((3, frame.rows, frame.cols), np.float32),
        frame.upsample(x),
        frame.upsample(y),
        frame.gsd_m,
    )
    crop, bank = _parcels(u, v, seed)
    code = np.clip((0.75 * (crop - 0.5) + bareness) * 255, 0, 255).astype(np.uint8)
    grain = cell_noise(u, v, TEXTURE_M, seed + 8)
    shade = soil * (0.93 + 0.14 * grain)
    shade[bank] *= np.float32(0.86)
    shade[grain > 1 - groves] *= np.float32(0.68)
    for band in range(3):
        np.multiply(land.crops[band].take(code), shade, out=canvas.rgb[band])
    return canvas


def _parcels(u: Floats, v: Floats, seed: int) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return each pixel's parcel as a number in [0, 1), and whether it lies on a bank."""
    u = u * np.float32(1 / FIELD_WIDTH_M)
    i = np.floor(u).astype(np.int32)
    column_shift = uniform(cell_bits(i, np.zeros_like(i), seed + 11))
    v = v * np.float32(1 / FIELD_HEIGHT_M) + column_shift
    j = np.floor(v).astype(np.int32)
    bits = cell_bits(i, j, seed + 12)
    across = 1 + (bits & np.uint32(3)).astype(np.float32)
    down = 1 + ((bits >> np.uint32(2)) % np.uint32(3)).astype(np.float32)
    fu, fv = (u - i) * across, (v - j) * down
    si, sj = fu.astype(np.int32), fv.astype(np.int32)
    crop = uniform(cell_bits(i * 4 + si, j * 4 + sj, seed + 13))
    bank = np.abs(fu - si - np.float32(0.5)) > 0.5 - across * (BUND_M / FIELD_WIDTH_M)
    bank |= np.abs(fv - sj - np.float32(0.5)) > 0.5 - down * (BUND_M / FIELD_HEIGHT_M)
    return crop, bank


# --- sky and sensor -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cloud:
    """One cloud and its shadow; opaque in the middle, torn at the edge."""

    x_m: float
    y_m: float
    radius_m: float
    seed: int

    def alpha(self, x_m: Floats, y_m: Floats) -> Floats:
        """Return its opacity, 0 to 1, at ground positions of any shape."""
        dx, dy = x_m - np.float32(self.x_m), y_m - np.float32(self.y_m)
        distance = np.sqrt(dx * dx + dy * dy) * np.float32(1 / self.radius_m)
        ragged = 1.1 * value_noise(dx, dy, self.radius_m * 0.6, self.seed)
        ragged += 0.4 * value_noise(dx, dy, self.radius_m * 0.2, self.seed + 1)
        return smooth(np.clip((1.0 - distance) * 1.4 + ragged - np.float32(0.8), 0, 1))

    @property
    def reach_m(self) -> float:
        """Radius in metres outside which it is wholly transparent."""
        return self.radius_m * (1 + 0.7 / 1.4)  # where (1 - d) * 1.4 + 1.5 - 0.8 falls to zero


@dataclass(frozen=True)
class Gap:
    """The ground beyond a straight edge of the swath: x cos + y sin > distance, angle as east."""

    angle_rad: float
    distance_m: float

    def covers(self, x_m: Floats, y_m: Floats) -> npt.NDArray[np.bool_]:
        """Say where there is no data."""
        along = x_m * np.float32(np.cos(self.angle_rad)) + y_m * np.float32(np.sin(self.angle_rad))
        return np.asarray(along > self.distance_m, np.bool_)


WINTER_HAZE = Colour(168, 172, 182)


@dataclass(frozen=True)
class Sky:
    """What stands between the ground and the sensor on one date.

    Attributes:
        clouds: In any order.
        gaps: Edges of the swath, with nodata beyond.
        haze: Greatest opacity of the haze, 0 to 1; it varies over `HAZE_WAVELENGTH_M`.
        haze_colour: What a very thick haze looks like.
        seed: Of the haze.
        shadow_east_m, shadow_north_m: From a cloud to its shadow.
    """

    clouds: tuple[Cloud, ...] = ()
    gaps: tuple[Gap, ...] = ()
    haze: float = 0.0
    haze_colour: Colour = WINTER_HAZE
    seed: int = 0
    shadow_east_m: float = -420.0  # morning sun from the south-east, cloud base at about 1 km
    shadow_north_m: float = 610.0

    def cloud_alpha(self, x_m: Floats, y_m: Floats) -> Floats:
        """Return the opacity of the clouds, 0 to 1, at ground positions of any shape."""
        clear = np.ones(np.shape(x_m), np.float32)
        for cloud in self.clouds:
            clear *= 1 - cloud.alpha(x_m, y_m)
        return 1 - clear

    def nodata(self, x_m: Floats, y_m: Floats) -> npt.NDArray[np.bool_]:
        """Say where the sensor did not look."""
        empty = np.zeros(np.shape(x_m), np.bool_)
        for gap in self.gaps:
            empty |= gap.covers(x_m, y_m)
        return empty


HAZE_WAVELENGTH_M = 9_000.0  # winter haze over the plain changes over some ten kilometres
CLOUD_COLOUR = Colour(296, 298, 300)  # saturates in every scene, as cloud in a stretched picture
SHADOW_OF_CLOUD = 0.5  # half of the light is diffuse


AS_IT_IS = Colour(1, 1, 1)
NOTHING = Colour(0, 0, 0)


@dataclass(frozen=True)
class Radiometry:
    """How a sensor and a stretch turn brightness into numbers: (gain * value + offset), then blur.

    Attributes:
        gain: By band.
        offset: By band, in counts.
        gamma: Exponent on the 0 to 1 scale; 1 is linear.
        blur: Weight of each neighbour in the 3-tap blur, 0 to 0.33; 0.16 is Sentinel-2's.
        noise: Standard deviation, in counts.
    """

    gain: Colour = AS_IT_IS
    offset: Colour = NOTHING
    gamma: float = 1.0
    blur: float = 0.16
    noise: float = 1.5


@dataclass(frozen=True)
class Landscape:
    """The land and what stands on it, in painting order, with an index of where."""

    land: Land
    things: tuple[Thing, ...]
    centres: npt.NDArray[np.float64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the things as rows of (x_m, y_m, reach_m)."""
        index = [(thing.x_m, thing.y_m, thing.reach_m) for thing in self.things]
        object.__setattr__(self, "centres", np.array(index, np.float64).reshape(-1, 3))


def render(
    frame: Frame, landscape: Landscape, sky: Sky, radiometry: Radiometry, grain: Floats
) -> npt.NDArray[np.uint8]:
    """Return the frame as a sensor sees it: (3, rows, cols), 1 to 255, and 0 for no data.

    Args:
        frame: Which pixels.
        landscape: What is on the ground.
        sky: What is above it.
        radiometry: Of the sensor and the stretch.
        grain: Sensor noise of unit variance, (3, rows, cols).
    """
    canvas = paint_land(frame.grown(PSF_MARGIN_PX), landscape.land)
    for number, cut in windows(canvas, landscape.centres):
        landscape.things[number].paint(cut)
    inner = slice(PSF_MARGIN_PX, -PSF_MARGIN_PX)
    canvas = Canvas(
        _blurred(canvas.rgb, radiometry.blur),
        canvas.x_m[inner, inner],
        canvas.y_m[inner, inner],
        canvas.gsd_m,
    )
    _paint_sky(canvas, frame, sky)
    picture = _developed(canvas.rgb, radiometry, grain)
    if sky.gaps:
        picture[:, sky.nodata(canvas.x_m, canvas.y_m)] = 0
    return picture


def _blurred(rgb: Floats, weight: float) -> Floats:
    """Blur with (w, 1 - 2w, w) down and across; the picture loses its outermost pixels."""
    side, middle = np.float32(weight), np.float32(1 - 2 * weight)
    down = middle * rgb[:, 1:-1] + side * (rgb[:, :-2] + rgb[:, 2:])
    blurred = middle * down[:, :, 1:-1] + side * (down[:, :, :-2] + down[:, :, 2:])
    return blurred.astype(np.float32, copy=False)


def _paint_sky(canvas: Canvas, frame: Frame, sky: Sky) -> None:
    places = np.array([(c.x_m, c.y_m, c.reach_m) for c in sky.clouds], np.float64).reshape(-1, 3)
    shift = np.array([sky.shadow_east_m, sky.shadow_north_m, 0])
    for number, cut in windows(canvas, places + shift):
        east, north = np.float32(sky.shadow_east_m), np.float32(sky.shadow_north_m)
        alpha = sky.clouds[number].alpha(cut.x_m - east, cut.y_m - north)
        cut.darken(alpha * np.float32(SHADOW_OF_CLOUD))
    if sky.haze > 0:
        x, y = frame.lattice()
        thickness = frame.upsample(sky.haze * value_noise(x, y, HAZE_WAVELENGTH_M, sky.seed))
        canvas.blend(thickness, sky.haze_colour.column())
    for number, cut in windows(canvas, places):
        cut.blend(sky.clouds[number].alpha(cut.x_m, cut.y_m), CLOUD_COLOUR.column())


def _developed(rgb: Floats, radiometry: Radiometry, grain: Floats) -> npt.NDArray[np.uint8]:
    """Apply gain, offset, gamma and noise in place, and round to counts."""
    rgb *= radiometry.gain.column()
    rgb += radiometry.offset.column()
    if radiometry.gamma != 1:
        scaled = np.maximum(rgb, 0) * np.float32(1 / BRIGHTEST)
        rgb = np.float32(BRIGHTEST) * scaled ** np.float32(radiometry.gamma)
    rgb += grain * np.float32(radiometry.noise)
    return np.clip(np.rint(rgb), DARKEST, BRIGHTEST).astype(np.uint8)
