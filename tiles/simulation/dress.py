"""Chooses how made-up things look: palettes of whole landscapes, kilns with yards, look-alikes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtr

from tiles.simulation.canvas import Colour
from tiles.simulation.things import KilnBody, KilnLook, Slab, Village

KilnKind = Literal["FCBK", "Zigzag", "CFCBK"]
KILN_SHARES: dict[KilnKind, float] = {"FCBK": 0.42, "Zigzag": 0.50, "CFCBK": 0.08}

# 5, 25, 50, 75 and 95 % points of 21,941 published oriented boxes in five Indian states; the ends
# are extended a little. Circular kilns (CFCBK) are too few there: sizes of early round kilns.
QUANTILES = (0.0, 0.05, 0.25, 0.50, 0.75, 0.95, 1.0)
LENGTHS_M: dict[KilnKind, tuple[float, ...]] = {
    "FCBK": (68, 76, 92, 102, 112, 126, 134),
    "Zigzag": (66, 73, 87, 97, 108, 125, 133),
    "CFCBK": (56, 60, 67, 73, 80, 90, 96),
}
WIDTHS_M: dict[KilnKind, tuple[float, ...]] = {
    "FCBK": (32, 35, 42, 47, 51, 59, 63),
    "Zigzag": (34, 37, 44, 49, 55, 64, 68),
    "CFCBK": (48, 51, 57, 62, 68, 77, 82),
}
SIZE_CORRELATION = 0.5  # long kilns are wider; keeps length to width near 2.19 and 1.98


@dataclass(frozen=True)
class Palette:
    """The colours of one kind of country in one season."""

    crops: tuple[Colour, ...]  # from lush to bare
    yard: Colour  # levelled clay where green bricks dry
    dust: Colour  # trampled ground around a kiln
    brick: Colour
    village: Colour
    water: Colour
    track: Colour  # unpaved roads
    village_trees: float  # share of crowns between the houses


PLAIN = Palette(  # winter on the upper Ganges plain: dark wheat, brown fallow, cream yards
    crops=(
        Colour(24, 40, 36),
        Colour(38, 52, 44),
        Colour(56, 66, 54),
        Colour(74, 74, 66),
        Colour(88, 78, 72),
        Colour(104, 90, 78),
        Colour(134, 118, 98),
    ),
    yard=Colour(206, 178, 138),
    dust=Colour(142, 110, 98),
    brick=Colour(176, 119, 107),
    village=Colour(117, 119, 132),
    water=Colour(26, 36, 46),
    track=Colour(138, 128, 120),
    village_trees=0.12,
)
DELTA = Palette(  # the Bengal delta: green paddy, dark groves over the houses, grey-white yards
    crops=(
        Colour(22, 52, 30),
        Colour(34, 66, 42),
        Colour(48, 76, 54),
        Colour(62, 84, 66),
        Colour(76, 88, 72),
        Colour(92, 92, 80),
    ),
    yard=Colour(156, 162, 150),
    dust=Colour(150, 122, 104),
    brick=Colour(206, 124, 88),
    village=Colour(120, 116, 114),
    water=Colour(20, 26, 34),
    track=Colour(132, 134, 120),
    village_trees=0.62,
)
DRY = Palette(  # before the rains: fallow everywhere, little contrast with the yards
    crops=(
        Colour(58, 68, 46),
        Colour(96, 92, 70),
        Colour(124, 108, 84),
        Colour(146, 124, 98),
        Colour(164, 140, 110),
        Colour(184, 160, 126),
    ),
    yard=Colour(214, 188, 150),
    dust=Colour(170, 132, 110),
    brick=Colour(178, 104, 84),
    village=Colour(142, 136, 134),
    water=Colour(52, 64, 66),
    track=Colour(176, 160, 140),
    village_trees=0.08,
)
BURNT = Palette(  # red-brown soils after harvest: kilns stand out by shape more than by colour
    crops=(
        Colour(40, 48, 34),
        Colour(74, 66, 52),
        Colour(98, 76, 62),
        Colour(118, 86, 68),
        Colour(138, 100, 78),
    ),
    yard=Colour(190, 152, 122),
    dust=Colour(146, 104, 88),
    brick=Colour(184, 104, 84),
    village=Colour(128, 122, 124),
    water=Colour(40, 44, 48),
    track=Colour(160, 134, 116),
    village_trees=0.10,
)
PALETTES = (PLAIN, DELTA, DRY, BURNT)


@dataclass(frozen=True, slots=True)
class Kiln:
    """One kiln of the truth: centre and size in ground metres, angle from east towards north."""

    x_m: float
    y_m: float
    length_m: float
    width_m: float
    angle_rad: float
    kind: KilnKind


def draw_kiln(x_m: float, y_m: float, angle_rad: float, rng: np.random.Generator) -> Kiln:
    """Return a kiln of a random kind with length and width at the published quantiles."""
    kinds = list(KILN_SHARES)
    kind = kinds[int(rng.choice(len(kinds), p=list(KILN_SHARES.values())))]
    first, second = rng.standard_normal(2)
    other = SIZE_CORRELATION * first + np.sqrt(1 - SIZE_CORRELATION**2) * second
    length = float(np.interp(_normal_share(first), QUANTILES, LENGTHS_M[kind]))
    width = float(np.interp(_normal_share(other), QUANTILES, WIDTHS_M[kind]))
    width = min(width, 0.92 * length)  # the long axis stays the long axis
    return Kiln(x_m, y_m, round(length, 1), round(width, 1), angle_rad, kind)


def _normal_share(value: float) -> float:
    """Return the standard normal distribution function, so that two sizes can be correlated."""
    return float(ndtr(value))


def dress_kiln(
    kiln: Kiln, palette: Palette, sun_rad: float, rng: np.random.Generator
) -> tuple[list[Slab], KilnBody]:
    """Return the ground that belongs to a kiln (yards, dust, stacks), and its body.

    Args:
        kiln: Where it is and how large.
        palette: Of the country around.
        sun_rad: Direction towards the sun, from east towards north.
        rng: Draws the looks; positions and sizes of the kiln stay as given.
    """
    light = float(np.clip(rng.normal(1.0, 0.16), 0.62, 1.32))
    redness = float(np.clip(rng.normal(1.0, 0.10), 0.80, 1.25))
    base = palette.brick.scaled(light)
    brick = Colour(base.red * redness, base.green, base.blue * (2 - redness) ** 0.5)
    trench = _trench(brick, rng)
    roundness = {"FCBK": 1.0, "CFCBK": 1.0, "Zigzag": float(rng.uniform(0.25, 0.6))}[kiln.kind]
    look = KilnLook(
        brick=brick,
        trench=trench,
        core=_pick([brick.scaled(1.1), Colour(150, 132, 122), brick.scaled(0.85)], rng),
        trench_strength=float(rng.uniform(0.15, 0.75)),
        core_strength=float(rng.uniform(0.2, 0.8)),
        roundness=roundness,
        shadow_angle_rad=sun_rad + np.pi,
        shadow_m=float(rng.uniform(28, 45)),  # a 30 m chimney with the sun at 35 to 45 degrees
        mottle=float(rng.uniform(0.1, 0.35)),
        seed=_seed(rng),
    )
    body = KilnBody(kiln.x_m, kiln.y_m, kiln.length_m, kiln.width_m, kiln.angle_rad, look)
    return _grounds(kiln, palette, brick, rng), body


def _trench(brick: Colour, rng: np.random.Generator) -> Colour:
    ash, fresh = Colour(112, 98, 94), brick.scaled(0.72)
    return _pick([ash, fresh, fresh, Colour(brick.red * 1.1, brick.green * 0.9, brick.blue)], rng)


def _grounds(kiln: Kiln, palette: Palette, brick: Colour, rng: np.random.Generator) -> list[Slab]:
    """Return one to four drying yards along the sides, worn ground, and stacks of fired bricks."""
    yards = [_yard(kiln, palette, rng) for _ in range(int(rng.choice([0, 1, 2, 3, 4], p=YARDS)))]
    apron = Slab(
        kiln.x_m,
        kiln.y_m,
        kiln.length_m + float(rng.uniform(15, 70)),
        kiln.width_m + float(rng.uniform(15, 70)),
        kiln.angle_rad,
        palette.dust.scaled(float(rng.normal(1, 0.1))),
        roundness=0.4,
        strength=float(rng.uniform(0.2, 0.85)),
        soft_m=25.0,
        ragged_m=12.0,
        mottle=0.25,
        seed=_seed(rng),
    )
    stacks = [_stack(kiln, brick, rng) for _ in range(int(rng.integers(0, 4)))]
    return [*yards, apron, *stacks]


YARDS = (0.12, 0.28, 0.30, 0.20, 0.10)  # by eye on Sentinel-2: most kilns lie beside large yards


def _yard(kiln: Kiln, palette: Palette, rng: np.random.Generator) -> Slab:
    side = kiln.angle_rad + float(rng.integers(0, 4)) * np.pi / 2
    length, width = float(rng.uniform(70, 240)), float(rng.uniform(50, 150))
    end_on = abs(np.cos(side - kiln.angle_rad)) > 0.5
    away = (kiln.length_m if end_on else kiln.width_m) / 2 + width / 2 + float(rng.uniform(-5, 15))
    slide = float(rng.uniform(-60, 60))
    angle = side + np.pi / 2
    return Slab(
        kiln.x_m + away * np.cos(side) + slide * np.cos(angle),
        kiln.y_m + away * np.sin(side) + slide * np.sin(angle),
        length,
        width,
        angle,
        palette.yard.scaled(float(np.clip(rng.normal(1, 0.12), 0.7, 1.25))),
        roundness=0.08,
        strength=float(rng.uniform(0.75, 1)),
        ragged_m=float(rng.uniform(0, 8)),
        stripe_m=float(rng.choice([0.0, 22.0, 30.0, 45.0])),
        stripe_colour=palette.yard.scaled(float(rng.uniform(0.82, 0.96))),  # rows of green bricks
        mottle=0.12,
        seed=_seed(rng),
    )


def _stack(kiln: Kiln, brick: Colour, rng: np.random.Generator) -> Slab:
    around = float(rng.uniform(0, 2 * np.pi))
    away = kiln.length_m / 2 + float(rng.uniform(10, 60))
    return Slab(
        kiln.x_m + away * np.cos(around),
        kiln.y_m + away * np.sin(around),
        float(rng.uniform(12, 40)),
        float(rng.uniform(8, 20)),
        kiln.angle_rad,
        brick.scaled(float(rng.uniform(0.8, 1.1))),
        strength=0.8,
        seed=_seed(rng),
    )


# --- look-alikes ----------------------------------------------------------------------------------


def pond(x_m: float, y_m: float, palette: Palette, rng: np.random.Generator) -> list[Slab]:
    """Return a village tank: kiln-sized, round-cornered, dark or green."""
    green = palette.water.scaled(float(rng.uniform(0.9, 1.8)))
    colour = Colour(green.red, green.green * float(rng.uniform(1, 1.4)), green.blue)
    length = float(rng.uniform(40, 160))
    return [
        _slab(x_m, y_m, length, length * float(rng.uniform(0.4, 0.9)), colour, rng, roundness=0.7)
    ]


def red_roof(x_m: float, y_m: float, palette: Palette, rng: np.random.Generator) -> list[Slab]:
    """Return sheds with brick-red roofs: right colour, sharp corners, no ring, no yard."""
    red = Colour(
        float(rng.uniform(140, 200)), float(rng.uniform(75, 105)), float(rng.uniform(65, 95))
    )
    angle, count = float(rng.uniform(0, np.pi)), int(rng.integers(1, 4))
    length, width = float(rng.uniform(40, 130)), float(rng.uniform(14, 34))
    slabs = []
    for n in range(count):
        across = (n - (count - 1) / 2) * (width + 18)
        x, y = x_m - across * np.sin(angle), y_m + across * np.cos(angle)
        slabs.append(Slab(x, y, length, width, angle, red, 0.05, mottle=0.05, seed=_seed(rng)))
    return slabs


def factory(x_m: float, y_m: float, palette: Palette, rng: np.random.Generator) -> list[Slab]:
    """Return large white or blue roofs on a grey yard."""
    white, blue = Colour(222, 224, 226), Colour(122, 152, 214)
    angle = float(rng.uniform(0, np.pi))
    ground = Slab(x_m, y_m, 210, 150, angle, palette.village, 0.1, mottle=0.2, seed=_seed(rng))
    roofs = []
    for _ in range(int(rng.integers(1, 4))):
        dx, dy = rng.uniform(-60, 60, 2)
        size = rng.uniform(30, 100, 2)
        colour = _pick([white, white, blue], rng)
        roofs.append(Slab(x_m + dx, y_m + dy, size.max(), size.min(), angle, colour, 0.05))
    return [ground, *roofs]


def red_soil(x_m: float, y_m: float, palette: Palette, rng: np.random.Generator) -> list[Slab]:
    """Return a bare patch of reddish soil without form."""
    colour = Colour(
        float(rng.uniform(125, 185)), float(rng.uniform(88, 118)), float(rng.uniform(70, 98))
    )
    length = float(rng.uniform(60, 280))
    width = length * float(rng.uniform(0.4, 1))
    ragged = 0.15 * length
    return [_slab(x_m, y_m, length, width, colour, rng, roundness=0.9, soft_m=40, ragged_m=ragged)]


def stadium(x_m: float, y_m: float, palette: Palette, rng: np.random.Generator) -> list[Slab]:
    """Return a running track: a red oval ring around grass, 177 x 93 m as the rules have it."""
    angle = float(rng.uniform(0, np.pi))
    red, grass = Colour(168, 92, 76), Colour(58, 96, 54)
    track = Slab(x_m, y_m, 177, 93, angle, red, 1.0, mottle=0.05)
    return [track, Slab(x_m, y_m, 157, 73, angle, grass, 1.0, mottle=0.08)]


def quarry(x_m: float, y_m: float, palette: Palette, rng: np.random.Generator) -> list[Slab]:
    """Return a pit: pinkish grey steps down to dark water."""
    rock = Colour(168, 142, 128).scaled(float(rng.uniform(0.85, 1.15)))
    length = float(rng.uniform(180, 420))
    slabs = []
    for share, shade in ((1.0, 1.0), (0.7, 0.84), (0.42, 1.05), (0.2, 0.35)):
        size, wander = length * share, length * 0.08
        colour = rock.scaled(shade)
        slabs.append(_slab(x_m, y_m, size, size * 0.7, colour, rng, 0.8, 15, wander))
    return slabs


def bare_yard(x_m: float, y_m: float, palette: Palette, rng: np.random.Generator) -> list[Slab]:
    """Return a pale levelled field with rows, as beside a kiln, without a kiln."""
    colour = palette.yard.scaled(float(np.clip(rng.normal(0.95, 0.12), 0.65, 1.2)))
    length, width = float(rng.uniform(70, 240)), float(rng.uniform(50, 150))
    return [_slab(x_m, y_m, length, width, colour, rng, roundness=0.1)]


def grove(x_m: float, y_m: float, palette: Palette, rng: np.random.Generator) -> list[Slab]:
    """Return a dark orchard."""
    colour = palette.crops[0].scaled(float(rng.uniform(0.55, 0.9)))
    length, width = float(rng.uniform(60, 300)), float(rng.uniform(50, 200))
    return [_slab(x_m, y_m, length, width, colour, rng, roundness=0.3)]


LookAlike = Callable[[float, float, Palette, np.random.Generator], list[Slab]]
# How many to expect in a square kilometre of the plain, by eye; enough of each to be mistaken.
LOOK_ALIKES_PER_KM2: dict[LookAlike, float] = {
    pond: 0.45,
    grove: 0.45,
    bare_yard: 0.30,
    red_roof: 0.20,
    factory: 0.15,
    red_soil: 0.12,
    quarry: 0.02,
    stadium: 0.015,
}


def village(
    x_m: float, y_m: float, radius_m: float, palette: Palette, rng: np.random.Generator
) -> Village:
    """Return a village in the colours of the country."""
    colour = palette.village.scaled(float(np.clip(rng.normal(1, 0.07), 0.8, 1.2)))
    trees = float(np.clip(palette.village_trees + rng.normal(0, 0.06), 0, 0.66))
    return Village(x_m, y_m, radius_m, colour, trees, _seed(rng))


def _slab(
    x_m: float,
    y_m: float,
    length_m: float,
    width_m: float,
    colour: Colour,
    rng: np.random.Generator,
    roundness: float,
    soft_m: float = 0.0,
    ragged_m: float = 0.0,
) -> Slab:
    angle = float(rng.uniform(0, np.pi))
    return Slab(
        x_m,
        y_m,
        length_m,
        width_m,
        angle,
        colour,
        roundness,
        soft_m=soft_m,
        ragged_m=ragged_m,
        mottle=0.15,
        seed=_seed(rng),
    )


def _pick(colours: list[Colour], rng: np.random.Generator) -> Colour:
    return colours[int(rng.integers(len(colours)))]


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))
