"""Made-up fields of counts for the tests and benchmarks of hotspots: even, and with a disc."""

from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.ndimage import binary_dilation

from maps.bands import TOUCHING, Band, choose_band
from maps.hotspots import CellTest, benjamini_hochberg, check_cells

CELL_KM2 = 25.0
LEAST_KM2 = 5.0  # a fifth of a cell: less is not tested
BELT = 0.75  # sites a cell: 30 per 1,000 km2
DENSER = 3.0
EIGHT_AROUND = np.ones((3, 3), dtype=bool)


class Share(NamedTuple):
    """A share with its exact 95 % interval."""

    share: float
    low: float
    high: float


def share_with_interval(found: int, of: int) -> Share:
    interval = stats.binomtest(int(found), int(of)).proportion_ci(0.95, method="exact")
    return Share(found / of, interval.low, interval.high)


def searched_field(rng: np.random.Generator, side: int, patchy: bool) -> np.ndarray:
    share = rng.uniform(0.1, 1.0, (side, side)) if patchy else np.ones((side, side))
    return CELL_KM2 * share


def checked(counts: np.ndarray, searched: np.ndarray, band: Band | None = None):
    """Test a square field; returns which cells were tested, and the result for those."""
    rows, cols = np.nonzero(searched >= LEAST_KM2)
    found, area = counts[rows, cols], searched[rows, cols]
    band = band or choose_band(len(rows), int(found.sum()))
    return (rows, cols), check_cells(rows, cols, found, area, band)


def normal_p(result: CellTest) -> np.ndarray:
    """What most GIS tools report: the p of Gi* as if it were normal."""
    return np.where(np.isnan(result.gi_z), 1.0, stats.norm.sf(result.gi_z))


def null_fields(mean: float, fields: int, seed: int, side: int = 20) -> tuple[int, int]:
    """Of fields of even density, those with a discovery at 5 %: ours, and by Gi*'s normal p.

    The latter over the eight cells around, as most GIS tools are set.
    """
    rng = np.random.default_rng(seed)
    found = by_normal = 0
    for _ in range(fields):
        searched = searched_field(rng, side, patchy=True)
        counts = rng.poisson(mean * searched / CELL_KM2)
        _, result = checked(counts, searched)
        found += bool((result.q_value <= 0.05).any())
        _, usual = checked(counts, searched, Band(TOUCHING))
        by_normal += bool((benjamini_hochberg(normal_p(usual)) <= 0.05).any())
    return found, by_normal


def planted_disc(
    radius_km: float,
    seed: int,
    side: int = 60,
    patchy: bool = False,
    density: float = BELT,
    band: Band | None = None,
) -> tuple[int, int, int, int]:
    """One disc of three times the density around, anywhere in a square of so many cells.

    Returns:
        Hot cells of the disc, tested cells of the disc, hot cells further than one cell from it,
        hot cells. A cell is the disc's if its centre is.
    """
    rng = np.random.default_rng(seed)
    radius = radius_km / 5
    middle = rng.uniform(radius + 1, side - radius - 1, 2)
    core, share = _disc(side, middle, radius)
    searched = searched_field(rng, side, patchy)
    counts = rng.poisson(density * (1 + (DENSER - 1) * share) * searched / CELL_KM2)
    (rows, cols), result = checked(counts, searched, band)
    hot = result.q_value <= 0.10
    inside = core[rows, cols]
    far = ~binary_dilation(core, EIGHT_AROUND)[rows, cols]
    return int((hot & inside).sum()), int(inside.sum()), int((hot & far).sum()), int(hot.sum())


def _disc(side: int, middle: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Cells whose centre lies in a disc, and the share of each cell that does."""
    fine = 10
    at = (np.arange(side * fine) + 0.5) / fine
    inside = (at[:, None] - middle[0]) ** 2 + (at - middle[1]) ** 2 <= radius**2
    centre = np.arange(side) + 0.5
    core = (centre[:, None] - middle[0]) ** 2 + (centre - middle[1]) ** 2 <= radius**2
    return core, inside.reshape(side, fine, side, fine).mean(axis=(1, 3))
