"""How dense sites are in a cell before its own are counted: as in all cells, and those nearby.

The prior of all cells is the Gamma distribution of the mean and variance of their densities, what
chance alone adds taken out (Marshall, Applied Statistics 40 (1991) 283-294). Kilns stand in belts,
so cells within 20 km are listened to as `maps.neighbours` says. Without them the sites missed in a
belt would be counted too low, and those of empty land too high.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.ndimage import convolve

from maps.neighbours import (
    FEWEST_PLACES,
    Borrowing,
    GammaPrior,
    Nearby,
    choose_borrowing,
    gamma_prior,
    log_negative_binomial,
)

Floats = npt.NDArray[np.float64]

LEAST_SPREAD = 0.05  # densities differ between cells by 5 % at least; keeps the prior proper
PRIOR_SITES = 0.5  # half a site (Jeffreys) at the class's prevalence: no region is quite empty
MOST_JUDGED = 20_000  # cells that the choice listens to; more change neither figure
REACH_CELLS = 4  # 20 km: cells further away say no more of a cell than all cells do


def cell_borrowing(cells: pd.DataFrame, recall: float, prevalence_per_km2: float) -> Borrowing:
    """Return how alike the densities of neighbouring cells are, by leave-one-out.

    Args:
        cells: row, col, searched_km2 and detected (the sum of p_site) of each.
        recall: of the detector.
        prevalence_per_km2: of the class; says what is usual where little was searched.
    """
    detected, exposure = cells["detected"].to_numpy(), recall * cells["searched_km2"].to_numpy()
    seen = np.flatnonzero(exposure > 0)
    if len(seen) < FEWEST_PLACES:
        return Borrowing()
    seen = seen[:: -(-len(seen) // MOST_JUDGED)]
    of_all = _prior_of_all(detected, exposure, prevalence_per_km2)

    def own_counts(prior: GammaPrior) -> Floats:
        here = GammaPrior(np.asarray(prior.shape)[seen], np.asarray(prior.rate)[seen])
        return log_negative_binomial(detected[seen], exposure[seen], here)

    return choose_borrowing(
        lambda discount: _nearby(cells, detected, exposure, discount), of_all, own_counts
    )


def density_prior(
    cells: pd.DataFrame, recall: float, prevalence_per_km2: float, borrowing: Borrowing
) -> GammaPrior:
    """Return the prior of each cell's density, in sites per km2; see `cell_borrowing`."""
    detected, exposure = cells["detected"].to_numpy(), recall * cells["searched_km2"].to_numpy()
    of_all = _prior_of_all(detected, exposure, prevalence_per_km2)
    return borrowing.prior(of_all, _nearby(cells, detected, exposure, borrowing.discount))


def _nearby(cells: pd.DataFrame, detected: Floats, exposure: Floats, discount: float) -> Nearby:
    """Discounted sums over the cells within REACH_CELLS, the cell itself left out."""
    if cells.empty:
        return Nearby(np.zeros(0), np.zeros(0))
    at = tuple((cells[axis] - cells[axis].min()).to_numpy() for axis in ("row", "col"))
    steps = np.arange(-REACH_CELLS, REACH_CELLS + 1)
    distance = np.hypot(*np.meshgrid(steps, steps))
    kernel = np.where((distance > 0) & (distance <= REACH_CELLS), discount**distance, 0.0)
    sums = []
    for values in (detected, exposure):
        ground = np.zeros(tuple(int(axis.max()) + 1 for axis in at))
        ground[at] = values
        sums.append(np.maximum(convolve(ground, kernel, mode="constant")[at], 0.0))
    return Nearby(*sums)


def _prior_of_all(detected: Floats, exposure_km2: Floats, prevalence_per_km2: float) -> GammaPrior:
    seen = exposure_km2 > 0
    counts, exposure = detected[seen], exposure_km2[seen]
    mean = (counts.sum() + PRIOR_SITES) / (exposure.sum() + PRIOR_SITES / prevalence_per_km2)
    return gamma_prior(counts, exposure, 0.0, float(mean), LEAST_SPREAD)
