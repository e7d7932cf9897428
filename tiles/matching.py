"""Which places of two lists are the same place: one to one, nearest first, and a list's offset."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyproj import Geod
from scipy.spatial import cKDTree

from tiles.cells import CellGrid

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

EARTH_RADIUS_M = 6371008.8  # the sphere of mean radius: 0.3 % of 100 m does not matter here
OFFSETS_TO_M = 250.0  # published lists were seen displaced by up to 120 m; kilns stand 400 m apart
KERNEL_M = 30.0  # how far hits of one list scatter: a third of a kiln
NEAR_PEAK_M = 2 * KERNEL_M
FEWEST_PAIRS = 20  # under these a heap of neighbours by chance can pass for an offset
LEAST_OFFSET_M = 10.0  # one pixel: less is not worth a correction
BLOCK_M = 10_000  # a list is careless by region, so land is resampled in blocks, not places
DRAWS = 400
ELLIPSOID = Geod(ellps="WGS84")


@dataclass(frozen=True)
class Pairs:
    """Rows of two tables that are one place, nearest first.

    Attributes:
        first: Row numbers in the one table, each at most once.
        second: Row numbers in the other.
        distance_m: How far apart they lie.
    """

    first: Ints
    second: Ints
    distance_m: Floats


@dataclass(frozen=True)
class Offset:
    """How far a list lies from where its places are; what to add to it is the same vector.

    Attributes:
        east_m: To be added eastwards.
        north_m: To be added northwards.
        low_m: Lower end of the 95 % interval of its length.
        pairs: How many places speak for it.
    """

    east_m: float = 0.0
    north_m: float = 0.0
    low_m: float = 0.0
    pairs: int = 0

    @property
    def length_m(self) -> float:
        """How far the list is moved."""
        return float(np.hypot(self.east_m, self.north_m))

    def moved(self, places: pd.DataFrame) -> pd.DataFrame:
        """The places with `lon` and `lat` corrected."""
        if not len(places) or not self.length_m:
            return places
        bearing = np.degrees(np.arctan2(self.east_m, self.north_m))
        lon, lat, _ = ELLIPSOID.fwd(
            places["lon"].to_numpy(float),
            places["lat"].to_numpy(float),
            np.full(len(places), bearing),
            np.full(len(places), self.length_m),
        )
        return places.assign(lon=lon, lat=lat)


def match_places(first: pd.DataFrame, second: pd.DataFrame, within_m: float) -> Pairs:
    """Pair the places of two tables, one to one.

    Nearest pairs go first, so a place takes its nearest free neighbour and the order of the rows
    decides only between equal distances.

    Args:
        first: Columns `lon`, `lat` in degrees, WGS 84.
        second: The same.
        within_m: Farther apart two rows are two places.
    """
    one, other, distance_m = _near(first, second, within_m)
    free_one, free_other = np.ones(len(first), bool), np.ones(len(second), bool)
    kept = []
    for at in np.lexsort((other, one, distance_m)):
        if free_one[one[at]] and free_other[other[at]]:
            free_one[one[at]] = free_other[other[at]] = False
            kept.append(at)
    chosen = np.array(kept, dtype=np.int64)
    return Pairs(one[chosen], other[chosen], distance_m[chosen])


def estimate_offset(listed: pd.DataFrame, found: pd.DataFrame, seed: int = 0) -> Offset:
    """Estimate how far a list lies from where its places were found.

    Every listed place is joined to every found one within 250 m. Pairs of one place heap up around
    the list's own displacement, others spread: the densest spot (a Gaussian kernel of 30 m; mean
    shift, Comaniciu and Meer, 2002) is the displacement. It is used only where 20 pairs stand
    there, it is longer than a pixel, and so is the lower end of its interval from resampling
    blocks of 10 km; else it is zero.

    Args:
        listed: Columns `lon`, `lat` in degrees, WGS 84.
        found: The same.
        seed: Of the resampling.
    """
    one, other, _ = _near(listed, found, OFFSETS_TO_M)
    if len(one) < FEWEST_PAIRS:
        return Offset()
    vectors = _displacements(listed, found, one, other)
    peak = _peak(vectors, vectors[_densest(vectors)])
    near = np.hypot(*(vectors - peak).T) < NEAR_PEAK_M
    centre = vectors[near].mean(axis=0)
    low_m = _low(vectors[near], _blocks(listed, one[near]), seed)
    if near.sum() < FEWEST_PAIRS or low_m < LEAST_OFFSET_M:
        return Offset(pairs=int(near.sum()))
    east_m, north_m = centre.round(1)
    return Offset(float(east_m), float(north_m), round(low_m, 1), int(near.sum()))


def _near(first: pd.DataFrame, second: pd.DataFrame, within_m: float) -> tuple[Ints, Ints, Floats]:
    """Rows of both tables that lie within a distance, and that distance in metres."""
    if not len(first) or not len(second):
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    ours, theirs = cKDTree(_xyz_m(first)), cKDTree(_xyz_m(second))
    near = ours.sparse_distance_matrix(theirs, within_m, output_type="coo_matrix")
    return near.row.astype(np.int64), near.col.astype(np.int64), np.asarray(near.data, float)


def _xyz_m(places: pd.DataFrame) -> Floats:
    across, up = (np.radians(places[name].to_numpy(float)) for name in ("lon", "lat"))
    return EARTH_RADIUS_M * np.column_stack(
        [np.cos(up) * np.cos(across), np.cos(up) * np.sin(across), np.sin(up)]
    )


def _displacements(listed: pd.DataFrame, found: pd.DataFrame, one: Ints, other: Ints) -> Floats:
    """East and north in metres from listed to found, shape (pairs, 2)."""
    azimuth, _, distance_m = ELLIPSOID.inv(
        listed["lon"].to_numpy(float)[one],
        listed["lat"].to_numpy(float)[one],
        found["lon"].to_numpy(float)[other],
        found["lat"].to_numpy(float)[other],
    )
    bearing = np.radians(azimuth)
    return np.stack([distance_m * np.sin(bearing), distance_m * np.cos(bearing)], axis=1)


def _densest(vectors: Floats) -> int:
    """The vector with most others within the kernel; the first of equals."""
    tree = cKDTree(vectors)
    counts = tree.query_ball_point(vectors, KERNEL_M, return_length=True)
    return int(np.argmax(counts))


def _peak(vectors: Floats, start: Floats) -> Floats:
    """Climb to the top of the kernel density."""
    peak = start
    for _ in range(100):
        weights = np.exp(-0.5 * (((vectors - peak) / KERNEL_M) ** 2).sum(axis=1))
        before, peak = peak, (weights[:, None] * vectors).sum(axis=0) / weights.sum()
        if np.hypot(*(peak - before)) < 0.01:
            break
    return peak


def _blocks(listed: pd.DataFrame, rows: Ints) -> Ints:
    """Number of the block of land that each row lies in."""
    down, right = CellGrid(BLOCK_M).cells_at(
        listed["lon"].to_numpy(float)[rows], listed["lat"].to_numpy(float)[rows]
    )
    return np.unique(np.stack([down, right], axis=1), axis=0, return_inverse=True)[1].reshape(-1)


def _low(vectors: Floats, block: Ints, seed: int) -> float:
    """Lower end of the interval of the mean vector's length; 0 where one block holds all."""
    n_blocks = int(block.max()) + 1
    if n_blocks < 2:
        return 0.0
    drawn = np.random.default_rng(seed).multinomial(
        n_blocks, np.full(n_blocks, 1 / n_blocks), size=DRAWS
    )
    weights = drawn[:, block].astype(float)
    means = weights @ vectors / np.maximum(weights.sum(axis=1), 1.0)[:, None]
    return float(np.quantile(np.hypot(*means.T), 0.025))
