"""Makes one small made-up picture with its kilns boxed, for mixing into detector training."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tiles.errors import SimulationError
from tiles.simulation.canvas import Colour, Floats, Frame, Thing
from tiles.simulation.dress import (
    LOOK_ALIKES_PER_KM2,
    PALETTES,
    Kiln,
    KilnKind,
    Palette,
    draw_kiln,
    dress_kiln,
    village,
)
from tiles.simulation.pixels import (
    Cloud,
    Land,
    Landscape,
    Radiometry,
    Sky,
    crop_ramp,
    render,
)
from tiles.simulation.things import Stroke

LEAST_SIZE_PX = 32  # a kiln of 134 m with its diagonal must fit at 10 m
GSD_RANGE_M = (5.0, 20.0)  # finer shows bricks that we do not draw; coarser hides the kiln
KILNS_EXPECTED = 2.0  # in a patch, where the caller names no number
LOOK_ALIKE_BOOST = 1.7  # more look-alikes than nature, so that training meets them
SPACING = 1.25  # least distance between two kilns as a multiple of the longer one
TRIES = 40  # to place one kiln before the patch is called full


@dataclass(frozen=True)
class Patch:
    """A made-up picture and its kilns.

    Attributes:
        pixels: uint8, (3, size, size), red, green, blue; 1 to 255, no nodata.
        boxes: float32, (n, 5): cx (col), cy (row), length, width in pixels from the outer corner of
            the first pixel, and the angle of the long axis in radians from +col towards +row.
        kinds: Of each box.
    """

    pixels: npt.NDArray[np.uint8]
    boxes: Floats
    kinds: tuple[KilnKind, ...]


def simulate_patch(
    rng: np.random.Generator,
    size_px: int = 192,
    n_kilns: int | None = None,
    gsd_m: float = 10.0,
) -> Patch:
    """Return a patch of one of several countries, in one of very many lights, with kilns boxed.

    Yards, ponds, red roofs, bare soil, running tracks and quarries stand in it unlabelled. Every
    kiln lies wholly inside.

    Args:
        rng: Same state, same patch.
        size_px: Rows and columns.
        n_kilns: How many; fewer where they do not fit. None: Poisson around two.
        gsd_m: Ground size of a pixel in metres.

    Raises:
        SimulationError: For a size, number or ground size that cannot be painted.
    """
    _check(size_px, n_kilns, gsd_m)
    side_m = size_px * gsd_m
    palette = PALETTES[int(rng.integers(len(PALETTES)))]
    wanted = int(rng.poisson(KILNS_EXPECTED)) if n_kilns is None else n_kilns
    kilns = _place(wanted, side_m, gsd_m, rng)
    things = _things(kilns, side_m, palette, rng)
    land = Land(
        seed=int(rng.integers(2**31)),
        crops=crop_ramp(palette.crops, float(rng.uniform(2, 9)), rng),
        angle_rad=float(rng.uniform(0, np.pi)),
        lushness=float(rng.uniform(0.3, 0.7)),
        tree_share=float(rng.uniform(0, 0.12)),
    )
    frame = Frame(0, 0, size_px, size_px, gsd_m, lambda col, row: (col * gsd_m, -row * gsd_m))
    grain = rng.standard_normal((3, size_px, size_px), dtype=np.float32)
    pixels = render(
        frame, Landscape(land, things), _sky(side_m, rng), _radiometry(land, rng), grain
    )
    boxes = [
        (k.x_m / gsd_m, -k.y_m / gsd_m, k.length_m / gsd_m, k.width_m / gsd_m, -k.angle_rad)
        for k in kilns
    ]
    kinds = tuple(kiln.kind for kiln in kilns)
    return Patch(pixels, np.array(boxes, np.float32).reshape(-1, 5), kinds)


def _check(size_px: int, n_kilns: int | None, gsd_m: float) -> None:
    if size_px < LEAST_SIZE_PX:
        raise SimulationError(f"size_px={size_px} is too small for a kiln: use {LEAST_SIZE_PX} up.")
    if n_kilns is not None and n_kilns < 0:
        raise SimulationError(f"n_kilns={n_kilns} is negative: use 0 or more.")
    low, high = GSD_RANGE_M
    if not low <= gsd_m <= high:
        raise SimulationError(f"gsd_m={gsd_m} cannot be painted: use {low:g} to {high:g} metres.")


def _place(wanted: int, side_m: float, gsd_m: float, rng: np.random.Generator) -> list[Kiln]:
    """Return up to `wanted` kilns, wholly inside, apart from each other, often in pairs."""
    kilns: list[Kiln] = []
    for _ in range(wanted * TRIES):
        if len(kilns) == wanted:
            break
        x, y = rng.uniform(0, side_m, 2)
        if kilns and rng.random() < 0.4:
            near = kilns[int(rng.integers(len(kilns)))]
            away, around = rng.uniform(120, 450), rng.uniform(0, 2 * np.pi)
            x, y = near.x_m + away * np.cos(around), -near.y_m + away * np.sin(around)
        kiln = draw_kiln(float(x), float(-y), float(rng.uniform(0, np.pi)), rng)
        margin = np.hypot(kiln.length_m, kiln.width_m) / 2 + gsd_m
        inside = margin <= min(x, y) and max(x, y) <= side_m - margin
        if inside and all(_apart(kiln, other) for other in kilns):
            kilns.append(kiln)
    return kilns


def _apart(kiln: Kiln, other: Kiln) -> bool:
    distance = np.hypot(kiln.x_m - other.x_m, kiln.y_m - other.y_m)
    return bool(distance > SPACING * max(kiln.length_m, other.length_m))


def _things(
    kilns: list[Kiln], side_m: float, palette: Palette, rng: np.random.Generator
) -> tuple[Thing, ...]:
    """Return all things in painting order: land use, kiln grounds, roads, kiln bodies."""
    area_km2 = (side_m / 1000) ** 2
    things: list[Thing] = []
    for make, per_km2 in LOOK_ALIKES_PER_KM2.items():
        for _ in range(int(rng.poisson(per_km2 * area_km2 * LOOK_ALIKE_BOOST))):
            parts = make(*_spot(side_m, rng), palette, rng)
            if all(_clear(part, kilns) for part in parts):
                things += parts
    for _ in range(int(rng.poisson(0.4 * area_km2))):
        settlement = village(*_spot(side_m, rng), float(rng.uniform(60, 400)), palette, rng)
        if _clear(settlement, kilns):
            things.append(settlement)
    sun = float(rng.uniform(-np.pi / 2, 0))  # a morning sun in the south-east, either hemisphere
    dressed = [dress_kiln(kiln, palette, sun, rng) for kiln in kilns]
    grounds = [slab for slabs, _ in dressed for slab in slabs]
    bodies = [body for _, body in dressed]
    roads = [_road(side_m, palette, rng) for _ in range(int(rng.integers(0, 5)))]
    return (*things, *roads, *grounds, *bodies)


def _spot(side_m: float, rng: np.random.Generator) -> tuple[float, float]:
    return float(rng.uniform(0, side_m)), float(-rng.uniform(0, side_m))


def _clear(thing: Thing, kilns: list[Kiln]) -> bool:
    """Say whether a thing leaves every kiln's body alone."""
    return all(
        np.hypot(thing.x_m - k.x_m, thing.y_m - k.y_m) > thing.reach_m + k.length_m / 2
        for k in kilns
    )


def _road(side_m: float, palette: Palette, rng: np.random.Generator) -> Stroke:
    """Return a straight road, canal or stream across the patch."""
    x, y = _spot(side_m, rng)
    angle, half = float(rng.uniform(0, np.pi)), side_m * 0.75
    water = rng.random() < 0.25
    width = float(rng.uniform(15, 120) if water else rng.uniform(5, 25))
    colour = palette.water if water else palette.track.scaled(float(rng.uniform(0.7, 1.15)))
    dx, dy = half * np.cos(angle), half * np.sin(angle)
    return Stroke(x - dx, y - dy, x + dx, y + dy, width, colour, 0.9)


def _sky(side_m: float, rng: np.random.Generator) -> Sky:
    """Return haze, and in one patch of ten a cloud that may hide a kiln in part."""
    haze = float(rng.choice([0.0, rng.uniform(0, 0.3), rng.uniform(0.2, 0.7)]))
    tint = Colour(*(float(v) for v in rng.uniform(130, 200, 3)))
    clouds: tuple[Cloud, ...] = ()
    if rng.random() < 0.1:
        # Beside the patch, reaching in: a kiln under full cloud would be a label on nothing.
        radius, angle = float(rng.uniform(0.2, 0.5)) * side_m, float(rng.uniform(0, 2 * np.pi))
        away = side_m * 0.5 + radius * 0.7
        x, y = side_m / 2 + away * np.cos(angle), -side_m / 2 + away * np.sin(angle)
        clouds = (Cloud(x, y, radius, int(rng.integers(2**31))),)
    return Sky(clouds=clouds, haze=haze, haze_colour=tint, seed=int(rng.integers(2**31)))


def _radiometry(land: Land, rng: np.random.Generator) -> Radiometry:
    """Return one of very many lights: tile-wise stretches differ fourfold in brightness."""
    target = np.exp(rng.uniform(np.log(28), np.log(140)))  # mean counts of the fields
    gain = target / land.crops.mean() * np.exp(rng.normal(0, 0.06, 3))
    offset = rng.uniform(-15, 25) + rng.normal(0, 4, 3)
    return Radiometry(
        gain=Colour(*(float(v) for v in gain)),
        offset=Colour(*(float(v) for v in offset)),
        gamma=float(np.exp(rng.normal(0, 0.15))),
        blur=float(rng.uniform(0.06, 0.28)),
        noise=float(rng.uniform(0.3, 4)),
    )
