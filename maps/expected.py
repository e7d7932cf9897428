"""How many sites stand in a cell: those detected, those missed, and those on ground not searched.

With density l (sites per km2) of a cell, searched ground s, other ground u and recall r, the true
sites among the detections are Poisson with mean l*r*s, the missed ones with l*(1-r)*s and those on
other ground with l*u, all independent given l (thinning of a Poisson process). A Gamma(a, b) prior
of l, by moments over the searched cells, gives l | D ~ Gamma(a + D, b + r*s), so that

    E[T] = D + (a + D) / (b + r*s) * ((1 - r)*s + u),   D = sum of p_site.

D itself is Poisson-binomial, variance sum p(1 - p). Errors of calibration and recall are shared by
all cells, so over several cells their standard deviations add. The density of unsearched ground is
alike nearby: its standard deviations add within blocks of 20 km, and the variances of blocks add,
as do those of everything else. Intervals are the 5 and 95 % points of the Gamma distribution of
that mean and variance, widened to whole sites.

Sources: Kingman, Poisson Processes (1993), 5.1; Gelman et al., Bayesian Data Analysis (2013), 2.6;
Marshall, Applied Statistics 40 (1991) 283-294 for the moments.
"""

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import gammaincinv

from models.site_class import SiteClass
from tiles.cells import SQUARE_METRES_PER_KM2, Cell
from tiles.coverage import searched_km2
from tiles.errors import ConfigError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Z_90 = 1.6448536269514722  # half of a 90 % normal interval in standard deviations
COUNTED_FROM = 0.5  # a site counts in whole numbers from this p_site on: likelier than not
FEWEST_CELLS = 10  # below, a variance between cells is guesswork and the prior says: sd = mean
LEAST_SPREAD = 0.05  # densities differ between cells by 5 % at least; keeps the prior proper
PRIOR_SITES = 0.5  # half a site (Jeffreys) at the class's prevalence: no region is quite empty
SHARED = ["sd_recall", "sd_calibration"]  # errors that are alike in all cells
PARTS = ["expected_sites", "var_own", "sd_density", *SHARED]  # what sums over cells are made of
WHOLE = "whole_"
BLOCK_CELLS = 4  # 20 km: about how far the density of kilns resembles itself


@dataclass(frozen=True)
class Recall:
    """Share of the class's sites that the detector finds at its threshold, with a 90 % interval."""

    mean: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.mean <= self.high <= 1:
            raise ConfigError(
                f"recall {self.mean} with interval {self.low} to {self.high}: these must rise "
                "within (0, 1]; evaluate the weights again."
            )


@dataclass(frozen=True)
class Estimate:
    """A number of sites with its 90 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class GammaPrior:
    """Gamma distribution of a rate: shape without unit, rate in units of exposure."""

    shape: float
    rate: float

    @property
    def mean(self) -> float:
        """Mean of the rate, per unit of exposure."""
        return self.shape / self.rate


def expected_by_cell(
    sites: pd.DataFrame, coverage: pd.DataFrame, recall: Recall, site_class: SiteClass
) -> pd.DataFrame:
    """Return the expected number of sites of every cell, with 90 % interval and its parts.

    Sites in cells that the coverage does not hold (a centre a few metres beyond the region's edge)
    count in no cell.

    Args:
        sites: linked sites: cell_id, p_site, p_low, p_high.
        coverage: a COVERAGE table of one period.
        recall: of the detector, at the threshold the detections were made with.
        site_class: its prevalence is the prior where little was searched.

    Returns:
        One row a cell, sorted by row and column: cell_id, row, col, area_km2, searched_km2, n_sites
        (p_site of 0.5 or more), expected_sites, expected_low, expected_high; and, for sums over
        cells, var_own, sd_density, sd_recall, sd_calibration (see the module's text). The columns
        named whole_... are the same for the whole cell, its ground outside the region included.
    """
    cells = _cells(coverage)
    _add_sites(cells, sites)
    prevalence = site_class.prevalence_per_1000km2 / 1000
    whole_km2 = np.array([whole_cell_km2(str(cell_id)) for cell_id in cells["cell_id"]])
    for prefix, area_km2 in (("", cells["area_km2"].to_numpy()), (WHOLE, whole_km2)):
        parts = _parts(cells, area_km2, recall, prevalence)
        cells[[f"{prefix}{name}" for name in PARTS]] = parts[PARTS]
    variance = cells["var_own"] + cells[["sd_density", *SHARED]].pow(2).sum(axis=1)
    interval = interval_90(cells["expected_sites"].to_numpy(), variance.to_numpy())
    cells["expected_low"], cells["expected_high"] = interval
    return cells.drop(columns=["detected", "var_detected", "p_spread"])


def whole_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells with the moments of their whole ground, inside the region or not."""
    return cells.assign(**{name: cells[f"{WHOLE}{name}"] for name in PARTS})


def expected_over(cells: pd.DataFrame) -> Estimate:
    """Add up the cells of a group or region, with what their errors share."""
    moments = moments_by(cells, np.zeros(len(cells), dtype=np.int64))
    mean, variance = (moments[name].to_numpy() for name in ("mean", "variance"))
    low, high = interval_90(mean, variance)
    return Estimate(float(mean.sum()), float(low.sum()), float(high.sum()))


def moments_by(cells: pd.DataFrame, group: Ints) -> pd.DataFrame:
    """Return mean and variance of the number of sites of each group of cells, by group number."""
    keyed = cells.assign(group=group)
    block = [keyed["group"], keyed["row"] // BLOCK_CELLS, keyed["col"] // BLOCK_CELLS]
    density = keyed["sd_density"].groupby(block).sum().pow(2).groupby(level="group").sum()
    sums = keyed.groupby("group")[["expected_sites", "var_own", *SHARED]].sum()
    variance = sums["var_own"] + density + sums[SHARED].pow(2).sum(axis=1)
    return pd.DataFrame({"mean": sums["expected_sites"], "variance": variance})


def interval_90(mean: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Return 5 and 95 % points of Gamma distributions, widened to whole sites."""
    spread = (variance > 0) & (mean > 0)
    shape = np.where(spread, mean**2 / np.where(spread, variance, 1.0), 1.0)
    scale = mean / shape
    low, high = (np.where(spread, gammaincinv(shape, q) * scale, mean) for q in (0.05, 0.95))
    return np.floor(low), np.ceil(high)


def gamma_prior(
    counts: Floats, exposure: Floats, noise_variance: float, mean: float, least_spread: float
) -> GammaPrior:
    """Fit a Gamma distribution to rates by moments (Marshall 1991), noise of the counts taken out.

    Args:
        counts: one count a place; may be fractional, and negative when noised.
        exposure: positive, one a place.
        noise_variance: of the noise that was added to each count.
        mean: mean of the rates, positive.
        least_spread: smallest standard deviation of the rates, as a share of their mean.
    """
    if len(counts) < FEWEST_CELLS:
        return GammaPrior(1.0, 1.0 / mean)
    rates = counts / exposure
    seen = np.sum(exposure * (rates - mean) ** 2) / exposure.sum()
    by_chance = mean / exposure.mean() + noise_variance * np.sum(1 / exposure) / exposure.sum()
    variance = max(float(seen - by_chance), (least_spread * mean) ** 2)
    return GammaPrior(mean**2 / variance, mean / variance)


@dataclass(frozen=True)
class _Expectation:
    """Moments of the number of sites of each cell at one recall."""

    mean: Floats
    var_own: Floats
    sd_density: Floats
    gain: Floats  # sites more for each true site more among the detections


def _parts(
    cells: pd.DataFrame, area_km2: Floats, recall: Recall, prevalence_per_km2: float
) -> pd.DataFrame:
    """The PARTS of cells of this area: what is not searched of it is unseen ground."""
    middle, low, high = (
        _expectation(cells, area_km2, r, prevalence_per_km2)
        for r in (recall.mean, recall.low, recall.high)
    )
    return pd.DataFrame(
        {
            "expected_sites": middle.mean,
            "var_own": middle.var_own,
            "sd_density": middle.sd_density,
            "sd_recall": np.abs(low.mean - high.mean) / (2 * Z_90),
            "sd_calibration": middle.gain * cells["p_spread"].to_numpy() / (2 * Z_90),
        },
        index=cells.index,
    )


def _expectation(
    cells: pd.DataFrame, area_km2: Floats, recall: float, prevalence_per_km2: float
) -> _Expectation:
    detected, var_detected = cells["detected"].to_numpy(), cells["var_detected"].to_numpy()
    searched = cells["searched_km2"].to_numpy()
    unsearched = np.maximum(area_km2 - searched, 0)
    prior = _density_prior(detected, recall * searched, prevalence_per_km2)
    missed = (1 - recall) * searched
    rate = prior.rate + recall * searched
    density = (prior.shape + detected) / rate
    var_density = (prior.shape + detected + var_detected) / rate**2
    open_ground = missed + unsearched
    var_own = (
        var_detected * (1 + 2 * open_ground / rate)
        + density * open_ground
        + var_density * missed * (missed + 2 * unsearched)
    )
    return _Expectation(
        mean=detected + density * open_ground,
        var_own=var_own,
        sd_density=np.sqrt(var_density) * unsearched,
        gain=1 + open_ground / rate,
    )


def _density_prior(detected: Floats, exposure_km2: Floats, prevalence_per_km2: float) -> GammaPrior:
    seen = exposure_km2 > 0
    counts, exposure = detected[seen], exposure_km2[seen]
    mean = (counts.sum() + PRIOR_SITES) / (exposure.sum() + PRIOR_SITES / prevalence_per_km2)
    return gamma_prior(counts, exposure, 0.0, float(mean), LEAST_SPREAD)


def _cells(coverage: pd.DataFrame) -> pd.DataFrame:
    """Area and searched area of each cell, in the grid's order."""
    area = coverage.groupby("cell_id")["area_km2"].sum()
    searched = searched_km2(coverage).reindex(area.index, fill_value=0.0)
    cells = pd.DataFrame({"area_km2": area, "searched_km2": searched}).reset_index()
    places = [Cell.parse(str(cell_id)) for cell_id in cells["cell_id"]]
    cells.insert(1, "row", np.array([place.row for place in places], dtype=np.int64))
    cells.insert(2, "col", np.array([place.col for place in places], dtype=np.int64))
    return cells.sort_values(["row", "col"], ignore_index=True)


def _add_sites(cells: pd.DataFrame, sites: pd.DataFrame | gpd.GeoDataFrame) -> None:
    p_site = sites["p_site"]
    per_site = pd.DataFrame(
        {
            "n_sites": (p_site >= COUNTED_FROM).astype("int64"),
            "detected": p_site,
            "var_detected": p_site * (1 - p_site),
            "p_spread": sites["p_high"] - sites["p_low"],
        }
    )
    sums = per_site.groupby(sites["cell_id"]).sum().reindex(cells["cell_id"], fill_value=0)
    for name in per_site:
        cells[name] = sums[name].to_numpy()


def whole_cell_km2(cell_id: str) -> float:
    """Area of a whole cell in km2: the grid is equal-area."""
    return Cell.parse(cell_id).size_m ** 2 / SQUARE_METRES_PER_KM2
