"""Decides where everything of the made-up belt lies: kilns, clusters, villages, roads, rivers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from tiles.errors import SimulationError
from tiles.simulation.canvas import Colour, Thing
from tiles.simulation.dress import (
    LOOK_ALIKES_PER_KM2,
    PLAIN,
    QUANTILES,
    Kiln,
    draw_kiln,
    dress_kiln,
    village,
)
from tiles.simulation.pixels import Land, Landscape, crop_ramp
from tiles.simulation.settings import BeltSettings, stream
from tiles.simulation.things import Stroke, Village

Points = npt.NDArray[np.float64]  # (n, 2): metres east and north of the belt's centre

# Distances drawn for a kiln that follows another. Later kilns come between, so they are longer than
# the published distances to the nearest kiln, which the belt as a whole then meets (145, 411, 939,
# 1,944 and 4,297 m at 5 to 95 %; tuned over ten seeds).
FOLLOW_M = (110.0, 160.0, 760.0, 2700.0, 4000.0, 5000.0, 6000.0)
FOLLOW_SHARE = 0.72  # the rest lie anywhere; tuned with the distances
FOLLOW_SHARE_IN_CLUSTER = 0.1  # clusters are dense enough without
LEAST_SPACING_M = 105.0  # under a kiln's length only 1.9 % of kilns have a neighbour
SUN_RAD = -1.05  # a winter morning's sun, 30 degrees east of south
TRIES = 400  # for one place, before the belt is called full
RIVER_CLEARANCE_M = 420.0  # half of the widest river and its sand, and a yard
VILLAGE_CLEARANCE_M = 180.0  # a yard beside the last house
LOOK_ALIKE_CLEARANCE_M = 250.0  # from a kiln: its yards, and then some
HEART_M = 500.0  # of a cluster: kept free of houses, so that kilns find room in the smallest belt
VILLAGE_SPACING_M = 2000.0  # one village every 4 to 5 km2, as in the scene of Delhi
MARGIN_M = 2500.0  # land goes on outside: a UTM grid turned by 1.4 degrees shows 2.4 km more
EDGE_M = 150.0  # kilns stay this far inside the region, so that no box crosses its edge


@dataclass(frozen=True, slots=True)
class PlantedCluster:
    """A disc with more kilns, or more reports, than its surroundings."""

    cluster_id: str
    x_m: float
    y_m: float
    radius_m: float

    def draw(self, rng: np.random.Generator) -> Points:
        """Return a place in the disc, evenly spread, shape (2,)."""
        away, around = self.radius_m * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
        return np.array([self.x_m + away * np.cos(around), self.y_m + away * np.sin(around)])

    def holds(self, points: Points) -> npt.NDArray[np.bool_]:
        """Say which points (n, 2) lie in the disc."""
        distance = np.hypot(points[..., 0] - self.x_m, points[..., 1] - self.y_m)
        return np.asarray(distance <= self.radius_m, np.bool_)


@dataclass(frozen=True)
class BeltPlan:
    """Where everything is; the same for every scene and date."""

    settings: BeltSettings
    clusters: tuple[PlantedCluster, ...]
    kilns: tuple[Kiln, ...]
    cluster_ids: tuple[str | None, ...]  # of each kiln
    villages: tuple[Village, ...]
    things: tuple[Thing, ...]  # in painting order

    def landscape(self, date_number: int) -> Landscape:
        """Return what the ground looks like on one date: crops change, the rest stays."""
        rng = stream(self.settings, f"crops {date_number}")
        land = Land(
            seed=self.settings.seed * 97 + 5,
            crops=crop_ramp(PLAIN.crops, 4.0, rng),
            lushness=0.46 + 0.05 * date_number,
        )
        return Landscape(land, self.things)


def plan_belt(settings: BeltSettings) -> BeltPlan:
    """Return the plan of a belt.

    Raises:
        SimulationError: Where the kilns cannot all be placed.
    """
    sand, water = _rivers(settings)
    river_points = np.array([(piece.x_m, piece.y_m) for piece in water])
    clusters = _clusters(settings, river_points)
    villages = _villages(settings, river_points, clusters)
    placer = _Placer(settings, clusters, river_points, villages)
    share = round(settings.kilns * settings.cluster_share)
    kilns: list[Kiln] = []
    for cluster in clusters:
        kilns += placer.group(share, cluster)
    kilns += placer.group(settings.kilns - len(kilns), None)
    cluster_ids = [cluster.cluster_id for cluster in clusters for _ in range(share)]
    roads = _roads(settings, villages)
    alike = _look_alikes(settings, kilns)
    rng = stream(settings, "kiln looks")
    dressed = [dress_kiln(kiln, PLAIN, SUN_RAD, rng) for kiln in kilns]
    grounds = [slab for slabs, _ in dressed for slab in slabs]
    bodies = [body for _, body in dressed]
    things = (*alike, *sand, *water, *roads, *villages, *grounds, *bodies)
    unplanted = [None] * (len(kilns) - len(cluster_ids))
    return BeltPlan(settings, clusters, tuple(kilns), (*cluster_ids, *unplanted), villages, things)


# --- kilns ----------------------------------------------------------------------------------------


def _clusters(settings: BeltSettings, river_points: Points) -> tuple[PlantedCluster, ...]:
    """Return two discs, west and east, clear of seam, edges and, as far as may be, of rivers."""
    rng, rivers = stream(settings, "clusters"), cKDTree(river_points)
    planted = []
    for name, side in (("kilns-west", -1), ("kilns-east", 1)):
        places = rng.uniform((0.40, -0.6), (0.62, 0.6), (20, 2)) * [side, 1] * settings.half_m
        x, y = places[int(np.argmax(rivers.query(places)[0]))]
        planted.append(PlantedCluster(name, float(x), float(y), settings.cluster_radius_m))
    return tuple(planted)


class _Placer:
    """Finds places for kilns one after the other, free of water, houses and other kilns."""

    def __init__(
        self,
        settings: BeltSettings,
        clusters: Sequence[PlantedCluster],
        river_points: Points,
        villages: Sequence[Village],
    ) -> None:
        self._rng = stream(settings, "kilns")
        self._inner_m = settings.half_m - EDGE_M
        self._clusters = clusters
        self._rivers = cKDTree(river_points)
        self._centres = cKDTree(np.array([(v.x_m, v.y_m) for v in villages]))
        self._radii = np.array([v.radius_m for v in villages])
        self._placed: list[Points] = []

    def group(self, count: int, cluster: PlantedCluster | None) -> list[Kiln]:
        """Return `count` kilns in a cluster, or outside all of them."""
        own: list[Points] = []
        for _ in range(count):
            own.append(self._place(own, cluster))
            self._placed.append(own[-1])
        angles = self._rng.uniform(0, np.pi, count)
        return [
            draw_kiln(float(x), float(y), float(angle), self._rng)
            for (x, y), angle in zip(own, angles, strict=True)
        ]

    def _place(self, own: Sequence[Points], cluster: PlantedCluster | None) -> Points:
        for _ in range(TRIES):
            point, spacing_m = self._propose(own, cluster)
            if self._allowed(point, cluster) and self._nearest_m(point) >= spacing_m:
                return point
        raise SimulationError(
            f"Only {len(self._placed)} kilns found a place in the belt: "
            "use a smaller n_kilns, or a larger side_km or cluster_radius_km."
        )

    def _propose(
        self, own: Sequence[Points], cluster: PlantedCluster | None
    ) -> tuple[Points, float]:
        """Return a place, near one of its own or anywhere, and its least distance to any kiln."""
        rng = self._rng
        share = FOLLOW_SHARE if cluster is None else FOLLOW_SHARE_IN_CLUSTER
        if own and rng.random() < share:
            away = float(np.exp(np.interp(rng.random(), QUANTILES, np.log(FOLLOW_M))))
            around = rng.uniform(0, 2 * np.pi)
            step = away * np.array([np.cos(around), np.sin(around)])
            return own[int(rng.integers(len(own)))] + step, max(LEAST_SPACING_M, 0.9 * away)
        if cluster is not None:
            return cluster.draw(rng), LEAST_SPACING_M
        return rng.uniform(-self._inner_m, self._inner_m, 2), LEAST_SPACING_M

    def _nearest_m(self, point: Points) -> float:
        if not self._placed:
            return np.inf
        offsets = np.array(self._placed) - point
        return float(np.hypot(offsets[:, 0], offsets[:, 1]).min())

    def _allowed(self, point: Points, cluster: PlantedCluster | None) -> bool:
        if np.abs(point).max() > self._inner_m:
            return False
        if cluster is None and any(other.holds(point) for other in self._clusters):
            return False
        if cluster is not None and not cluster.holds(point):
            return False
        if self._rivers.query(point)[0] < RIVER_CLEARANCE_M:
            return False
        distance_m, index = self._centres.query(point)
        return bool(distance_m > self._radii[index] + VILLAGE_CLEARANCE_M)


# --- land use -------------------------------------------------------------------------------------


def _rivers(settings: BeltSettings) -> tuple[list[Stroke], list[Stroke]]:
    """Return the sand and the water of meandering rivers that run from north to south."""
    rng = stream(settings, "rivers")
    sand: list[Stroke] = []
    water: list[Stroke] = []
    for n in range(max(1, round(settings.side_km / 60))):
        path = _meander(settings, (n % 2 * 2 - 1) * float(rng.uniform(0.1, 0.3)), rng)
        width = float(rng.uniform(90, 220))
        bank = Colour(176, 170, 156)
        sand += _strokes(path + rng.uniform(-40, 40, 2), width * 1.7, bank)
        water += _strokes(path, width, PLAIN.water)
    return sand, water


def _meander(settings: BeltSettings, offset: float, rng: np.random.Generator) -> Points:
    """Return points of a river 150 m apart: sines of some kilometres on a slow drift."""
    reach = settings.half_m + MARGIN_M
    y = np.arange(-reach, reach + 150, 150)
    x = np.full_like(y, offset * settings.half_m)
    for wavelength, height in ((41_000, 3_000), (9_500, 1_000), (3_700, 420)):
        swing = min(height, settings.half_m * 0.15)
        x += swing * np.sin(2 * np.pi * y / wavelength + rng.uniform(0, 2 * np.pi))
    return np.column_stack([x, y])


def _strokes(path: Points, width_m: float, colour: Colour, strength: float = 1.0) -> list[Stroke]:
    """Return the pieces of a line through points (n, 2)."""
    return [
        Stroke(float(a[0]), float(a[1]), float(b[0]), float(b[1]), width_m, colour, strength)
        for a, b in pairwise(path)
    ]


def _villages(
    settings: BeltSettings, river_points: Points, clusters: Sequence[PlantedCluster]
) -> tuple[Village, ...]:
    """Return villages on a shaken 2 km grid, none in a river or in the middle of a cluster."""
    hearts = cKDTree(np.array([(cluster.x_m, cluster.y_m) for cluster in clusters]))
    rng = stream(settings, "villages")
    reach, rivers = settings.half_m + MARGIN_M, cKDTree(river_points)
    steps = np.arange(-reach, reach, VILLAGE_SPACING_M) + VILLAGE_SPACING_M / 2
    villages = []
    for x, y in np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2):
        place = np.array([x, y]) + rng.uniform(-0.42, 0.42, 2) * VILLAGE_SPACING_M
        radius = float(np.clip(np.exp(rng.normal(np.log(200), 0.45)), 80, 600))
        kept = rng.random() < 0.85 and rivers.query(place)[0] > radius * 1.6 + 200
        kept &= hearts.query(place)[0] > radius + HEART_M
        if kept:
            villages.append(village(float(place[0]), float(place[1]), radius, PLAIN, rng))
    return tuple(villages)


def _roads(settings: BeltSettings, villages: Sequence[Village]) -> list[Stroke]:
    """Return winding roads from each village to its two nearest, and a highway across."""
    rng = stream(settings, "roads")
    places = np.array([(v.x_m, v.y_m) for v in villages])
    neighbours = cKDTree(places).query(places, k=min(3, len(places)))[1][:, 1:]
    pairs = sorted({(min(a, b), max(a, b)) for a, row in enumerate(neighbours) for b in row})
    roads: list[Stroke] = []
    for a, b in pairs:
        steps = np.linspace(0, 1, 5)[:, None]
        path = places[a] * (1 - steps) + places[b] * steps
        path[1:-1] += rng.normal(0, 70, (3, 2))
        dark = rng.random() < 0.3  # lined with trees
        colour = Colour(48, 52, 48) if dark else PLAIN.track.scaled(float(rng.uniform(0.7, 1.1)))
        roads += _strokes(path, float(rng.uniform(5, 13)), colour, 0.85)
    reach = settings.half_m + MARGIN_M
    x = np.arange(-reach, reach + 700, 700)
    y = settings.half_m * 0.25 + 0.12 * x + settings.half_m * 0.1 * np.sin(x / 17_000)
    return roads + _strokes(np.column_stack([x, y]), 34, Colour(126, 122, 120), 0.9)


def _look_alikes(settings: BeltSettings, kilns: Sequence[Kiln]) -> list[Thing]:
    """Return everything that could be mistaken for a kiln, at least one of each, off the kilns."""
    rng = stream(settings, "look-alikes")
    reach = settings.half_m + MARGIN_M
    area_km2 = (2 * reach / 1000) ** 2
    taken = cKDTree(np.array([(kiln.x_m, kiln.y_m) for kiln in kilns]))
    things: list[Thing] = []
    for make, per_km2 in LOOK_ALIKES_PER_KM2.items():
        for _ in range(max(1, int(rng.poisson(per_km2 * area_km2)))):
            x, y = (float(v) for v in rng.uniform(-reach, reach, 2))
            parts = make(x, y, PLAIN, rng)
            size_m = max(part.reach_m for part in parts)
            if taken.query((x, y))[0] > size_m + LOOK_ALIKE_CLEARANCE_M:
                things += parts
    return things
