"""What stands on the made-up land: kilns and their yards, villages, roads, rivers and look-alikes.

Each is a frozen description in ground metres with one method, paint(), which draws it with soft,
sub-pixel edges from signed distances (negative inside), so it looks the same on every pixel grid.
Angles are radians from east towards north.
"""

from dataclasses import dataclass

import numpy as np

from tiles.simulation.canvas import Canvas, Colour, Floats, cell_noise, value_noise

BRICK_GRAIN_M = 11.0  # stacks and lanes inside a kiln: about a pixel
ROOF_M = 11.0  # a house with its yard; a pixel shows one or two
ROW_COLOUR = Colour(120, 105, 95)  # unburnt bricks, stacked wet
CHIMNEY_RADIUS_M = 4.0
CHIMNEY_SHADOW_HALF_WIDTH_M = 3.0


def rounded_box_m(u: Floats, v: Floats, half_u: float, half_v: float, radius: float) -> Floats:
    """Return the signed distance in metres to a rounded rectangle centred on (0, 0)."""
    du = np.abs(u) - np.float32(half_u - radius)
    dv = np.abs(v) - np.float32(half_v - radius)
    inside = np.minimum(np.maximum(du, dv), 0)
    du, dv = np.maximum(du, 0), np.maximum(dv, 0)
    return np.sqrt(du * du + dv * dv) + inside - np.float32(radius)


def capsule_m(u: Floats, v: Floats, length: float) -> Floats:
    """Return the distance in metres to the segment from (0, 0) to (length, 0)."""
    beyond = u - np.clip(u, 0, np.float32(length))
    return np.sqrt(beyond * beyond + v * v)


def cover(distance_m: Floats, edge_m: float) -> Floats:
    """Return the share of a pixel that a shape covers, its edge spread over `edge_m`."""
    share: Floats = np.clip(np.float32(0.5) - distance_m * np.float32(1 / edge_m), 0, 1)
    return share


@dataclass(frozen=True, slots=True)
class Slab:
    """A rounded rectangle or blob of one colour: yards, ponds, roofs, bare soil, quarries, tracks.

    Attributes:
        x_m, y_m: Centre.
        length_m, width_m: Along and across `angle_rad`.
        colour: Its own colour.
        roundness: Corner radius as a share of half the width: 0 sharp, 1 round ends.
        strength: Opacity.
        soft_m: Over how many metres the edge fades.
        ragged_m: How far the outline wanders.
        stripe_m: Distance between stripes along it; 0 for none.
        stripe_colour: Of the stripes.
        mottle: Relative brightness range of its grain.
        seed: Of outline and grain.
    """

    x_m: float
    y_m: float
    length_m: float
    width_m: float
    angle_rad: float
    colour: Colour
    roundness: float = 0.1
    strength: float = 1.0
    soft_m: float = 0.0
    ragged_m: float = 0.0
    stripe_m: float = 0.0
    stripe_colour: Colour = ROW_COLOUR
    mottle: float = 0.1
    seed: int = 0

    @property
    def reach_m(self) -> float:
        """Radius in metres of the circle that holds it."""
        half_diagonal = float(np.hypot(self.length_m, self.width_m)) / 2
        return half_diagonal + self.ragged_m + max(self.soft_m, 20.0) / 2

    def paint(self, canvas: Canvas) -> None:
        """Paint itself over what the canvas shows."""
        u, v = canvas.turned(self.x_m, self.y_m, self.angle_rad)
        half_u, half_v = self.length_m / 2, self.width_m / 2
        distance = rounded_box_m(u, v, half_u, half_v, self.roundness * min(half_u, half_v))
        if self.ragged_m:
            wander = value_noise(u, v, 90.0, self.seed) - np.float32(0.5)
            distance = distance + wander * np.float32(2 * self.ragged_m)
        alpha = cover(distance, max(canvas.gsd_m, self.soft_m)) * np.float32(self.strength)
        colour = self.colour.column()
        if self.stripe_m:
            phase = u * np.float32(1 / self.stripe_m)
            stripe = np.abs(phase - np.rint(phase)) < 0.2
            colour = np.where(stripe, self.stripe_colour.column(), colour)
        grain = cell_noise(u, v, BRICK_GRAIN_M, self.seed + 1) - np.float32(0.5)
        canvas.blend(alpha, colour * (1 + np.float32(self.mottle) * grain))


@dataclass(frozen=True, slots=True)
class Stroke:
    """A straight piece of road, canal or river with round ends."""

    start_x_m: float
    start_y_m: float
    end_x_m: float
    end_y_m: float
    width_m: float
    colour: Colour
    strength: float = 1.0

    @property
    def x_m(self) -> float:
        """Metres east of its middle."""
        return (self.start_x_m + self.end_x_m) / 2

    @property
    def y_m(self) -> float:
        """Metres north of its middle."""
        return (self.start_y_m + self.end_y_m) / 2

    @property
    def length_m(self) -> float:
        """Length in metres, without the round ends."""
        return float(np.hypot(self.end_x_m - self.start_x_m, self.end_y_m - self.start_y_m))

    @property
    def reach_m(self) -> float:
        """Radius in metres of the circle that holds it."""
        return (self.length_m + self.width_m) / 2 + 20

    def paint(self, canvas: Canvas) -> None:
        """Paint itself over what the canvas shows; narrower than a pixel, it is fainter."""
        angle = float(np.arctan2(self.end_y_m - self.start_y_m, self.end_x_m - self.start_x_m))
        u, v = canvas.turned(self.start_x_m, self.start_y_m, angle)
        drawn_m = max(self.width_m, canvas.gsd_m)
        distance = capsule_m(u, v, self.length_m) - np.float32(drawn_m / 2)
        share = min(1.0, self.width_m / canvas.gsd_m) * self.strength
        canvas.blend(cover(distance, canvas.gsd_m) * np.float32(share), self.colour.column())


@dataclass(frozen=True, slots=True)
class Village:
    """A ragged blob of roofs: grey, with some bright, blue, rust and dark (trees, lanes)."""

    x_m: float
    y_m: float
    radius_m: float
    colour: Colour
    tree_share: float
    seed: int

    @property
    def reach_m(self) -> float:
        """Radius in metres of the circle that holds it."""
        return self.radius_m * 1.7 + 20  # the outline wanders by up to 0.7 of the radius

    def paint(self, canvas: Canvas) -> None:
        """Paint itself over what the canvas shows."""
        dx, dy = canvas.turned(self.x_m, self.y_m, 0.0)
        wander = value_noise(dx, dy, self.radius_m * 0.6, self.seed) - np.float32(0.5)
        wander += 0.4 * (value_noise(dx, dy, 70.0, self.seed + 1) - np.float32(0.5))
        distance = np.sqrt(dx * dx + dy * dy) - np.float32(self.radius_m)
        alpha = cover(distance + wander * np.float32(self.radius_m), 18.0)
        kind = cell_noise(dx, dy, ROOF_M, self.seed + 2)
        light = cell_noise(dx, dy, ROOF_M * 0.7, self.seed + 3)
        table = self._roofs()
        index = np.minimum(kind * len(table), len(table) - 1).astype(np.intp)
        roofs = table[index].transpose(2, 0, 1) * (np.float32(0.8) + np.float32(0.4) * light)
        canvas.blend(alpha * np.float32(0.92), roofs)

    def _roofs(self) -> Floats:
        """Return 100 roofs of equal share, (100, 3)."""
        base = self.colour
        trees = round(100 * self.tree_share)
        kinds = [Colour(28, 40, 34)] * trees  # crowns between the houses
        kinds += [Colour(206, 206, 210)] * 3 + [Colour(120, 145, 205)] * 3
        kinds += [Colour(158, 104, 88)] * 3  # rusted sheets and brick: as red as a kiln, but small
        kinds += [base.scaled(0.72)] * 16
        kinds += [base] * (100 - len(kinds))
        return np.array([[kind.red, kind.green, kind.blue] for kind in kinds], np.float32)


@dataclass(frozen=True, slots=True)
class KilnLook:
    """How one kiln differs from the next in the picture.

    Attributes:
        brick: Of the filled body.
        trench: Of the ring where bricks are fired: ash, or fresh red.
        core: Of the island in the middle.
        trench_strength, core_strength: Opacities.
        roundness: Corner radius as a share of half the width; 1 gives an oval with round ends.
        shadow_angle_rad, shadow_m: Of the chimney.
        mottle: Relative brightness range of its grain.
        seed: Of the grain.
    """

    brick: Colour
    trench: Colour
    core: Colour
    trench_strength: float
    core_strength: float
    roundness: float
    shadow_angle_rad: float
    shadow_m: float
    mottle: float
    seed: int


@dataclass(frozen=True, slots=True)
class KilnBody:
    """The fired ring of one kiln: brick body, trench, core, chimney and its shadow."""

    x_m: float
    y_m: float
    length_m: float
    width_m: float
    angle_rad: float
    look: KilnLook

    @property
    def reach_m(self) -> float:
        """Radius in metres of the circle that holds it."""
        return max(self.length_m * 0.6, self.look.shadow_m) + 20

    def paint(self, canvas: Canvas) -> None:
        """Paint itself over what the canvas shows."""
        look, edge_m = self.look, canvas.gsd_m
        u, v = canvas.turned(self.x_m, self.y_m, self.angle_rad)
        half_v = self.width_m / 2
        distance = rounded_box_m(u, v, self.length_m / 2, half_v, look.roundness * half_v)
        grain = 1 + np.float32(look.mottle) * (
            cell_noise(u, v, BRICK_GRAIN_M, look.seed) - np.float32(0.5)
        )
        canvas.blend(cover(distance, edge_m), look.brick.column() * grain)
        # Bull's trench kilns keep a trench 6 to 9 m wide around an island a third of the width.
        ring = np.abs(distance + np.float32(half_v * 0.45)) - np.float32(half_v * 0.18)
        canvas.blend(cover(ring, edge_m) * np.float32(look.trench_strength), look.trench.column())
        core = cover(distance + np.float32(half_v * 0.62), edge_m)
        canvas.blend(core * np.float32(look.core_strength), look.core.column())
        self._paint_chimney(canvas)

    def _paint_chimney(self, canvas: Canvas) -> None:
        look = self.look
        u, v = canvas.turned(self.x_m, self.y_m, look.shadow_angle_rad)
        shadow = capsule_m(u, v, look.shadow_m) - np.float32(CHIMNEY_SHADOW_HALF_WIDTH_M)
        canvas.darken(cover(shadow, canvas.gsd_m) * np.float32(0.4))
        top = np.sqrt(u * u + v * v) - np.float32(CHIMNEY_RADIUS_M)
        canvas.blend(cover(top, canvas.gsd_m) * np.float32(0.7), Colour(186, 180, 176).column())
