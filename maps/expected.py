"""How many sites stand in a cell: those detected, those missed, and those on ground not searched.

With density l (sites per km2) of a cell, searched ground s, other ground u and recall r, the true
sites among the detections are Poisson with mean l*r*s, the missed ones with l*(1-r)*s and those on
other ground with l*u, all independent given l (thinning of a Poisson process). A Gamma(a, b) prior
of l (`maps.density`) gives l | D ~ Gamma(a + D, b + r*s), so that

    E[T] = D + (a + D) / (b + r*s) * ((1 - r)*s + u),   D = sum of p_site.

D itself is Poisson-binomial, variance sum p(1 - p). Errors of calibration and recall are shared by
all cells, so over several cells their standard deviations add. The density of unsearched ground is
alike nearby: its standard deviations add within blocks of 20 km, and the variances of blocks add,
as do those of everything else. Intervals are the 5 and 95 % points of the Gamma distribution of
that mean and variance, widened to whole sites.

Recall enters apart, since sites go with 1/r: a recall 10 points lower means more sites than one 10
points higher takes away. E[T] at the lower and at the upper end of recall's interval (widened, as
this region is not the one it was measured in) gives how far each end of T's interval moves; that
and the distance of the Gamma point from the mean are added in quadrature (R. Barlow, Asymmetric
errors, PHYSTAT 2003, gives the rule and its limits).

Where a gate looked first, a site is found if gate and detector both find it: r is the product.

Sources: Kingman, Poisson Processes (1993), 5.1; Gelman et al., Bayesian Data Analysis (2013), 2.6.
"""

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import gammaincinv

from maps.density import cell_borrowing, density_prior
from maps.neighbours import Borrowing
from models.site_class import SiteClass
from tiles.cells import SQUARE_METRES_PER_KM2, Cell
from tiles.coverage import searched_km2
from tiles.errors import ConfigError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Z_90 = 1.6448536269514722  # half of a 90 % normal interval in standard deviations
COUNTED_FROM = 0.5  # a site counts in whole numbers from this p_site on: likelier than not
RECALL_ENDS = ["above", "below"]  # sites more at recall's lower end, and fewer at its upper end
SHARED = [*RECALL_ENDS, "sd_calibration"]  # errors that are alike in all cells
PARTS = ["expected_sites", "var_own", "sd_density", *SHARED]  # what sums over cells are made of
UNSEARCHED = ["expected_unsearched", "var_unsearched"]  # of expected_sites and its variance
WHOLE = "whole_"
WHOLE_SLACK = 1e-9  # an end that is a whole number but for rounding stays that number
# Recall in a region that nobody measured it in: 10 points, up or down, is what it must be expected
# to differ by. With this sd, intervals of sums of 20 sites and more hold 90 to 93 % when recall is
# off by just that, in simulation (tests/benchmarks/bench_evidence.py).
TRANSFER_SD = 0.1
LEAST_RECALL = 0.05  # the lower end of a widened interval stays above nought
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

    @property
    def elsewhere(self) -> "Recall":
        """The recall to reckon with in a region where it was not measured: a wider interval.

        The interval of the weights' card says how well recall is known in the places it was
        measured in; another region's imagery and kilns differ (TRANSFER_SD). A recall without an
        interval is stipulated, as in a simulation, and taken at its word.
        """
        if self.low == self.high:
            return self
        below, above = (np.hypot(part, Z_90 * TRANSFER_SD) for part in self._halves)
        return Recall(
            self.mean,
            max(self.mean - below, min(LEAST_RECALL, self.mean)),
            min(self.mean + above, 1.0),
        )

    @property
    def _halves(self) -> tuple[float, float]:
        return self.mean - self.low, self.high - self.mean

    def after(self, gate: "Recall") -> "Recall":
        """The recall of gate and detector in turn: a product of independent shares."""
        mean = self.mean * gate.mean
        halves = zip(self._halves, gate._halves, strict=True)
        below, above = (mean * np.hypot(a / self.mean, b / gate.mean) for a, b in halves)
        return Recall(mean, max(mean - below, min(LEAST_RECALL, mean)), min(mean + above, 1.0))


@dataclass(frozen=True)
class Estimate:
    """A number of sites with its interval: of 90 %, of an audit sample 95 %."""

    mean: float
    low: float
    high: float


def expected_by_cell(
    sites: pd.DataFrame,
    coverage: pd.DataFrame,
    recall: Recall,
    site_class: SiteClass,
    gate: Recall | None = None,
) -> pd.DataFrame:
    """Return the expected number of sites of every cell, with 90 % interval and its parts.

    Sites in cells that the coverage does not hold (a centre a few metres beyond the region's edge)
    count in no cell.

    Args:
        sites: linked sites: cell_id, p_site, p_low, p_high.
        coverage: a COVERAGE table of one period.
        recall: of the detector, at the threshold the detections were made with.
        site_class: its prevalence is the prior where little was searched.
        gate: of the cheap gate that looked first, where there was one.

    Returns:
        One row a cell, sorted by row and column: cell_id, row, col, area_km2, searched_km2, n_sites
        (p_site of 0.5 or more), expected_sites, expected_low, expected_high; and, for sums over
        cells, var_own, sd_density, above, below, sd_calibration (see the module's text), detected,
        var_detected and p_spread of its sites, and what of it stands on ground not searched. The
        columns named whole_... are of the whole cell, its ground outside the region included.

    Raises:
        ConfigError: ground was left to a gate whose recall nobody states.
    """
    recall = _with_gate(recall.elsewhere, coverage, gate)
    cells = _cells(coverage)
    _add_sites(cells, sites)
    prevalence = site_class.prevalence_per_1000km2 / 1000
    whole_km2 = np.array([whole_cell_km2(str(cell_id)) for cell_id in cells["cell_id"]])
    borrowing = cell_borrowing(cells, recall.mean, prevalence)
    for prefix, area_km2 in (("", cells["area_km2"].to_numpy()), (WHOLE, whole_km2)):
        parts = _parts(cells, area_km2, recall, prevalence, borrowing)
        cells[[f"{prefix}{name}" for name in PARTS]] = parts[PARTS]
        if not prefix:
            cells[UNSEARCHED] = parts[UNSEARCHED]
    each = moments_by(cells, np.arange(len(cells)))
    cells["expected_low"], cells["expected_high"] = ends_90(each)
    return cells


def whole_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells with the moments of their whole ground, inside the region or not."""
    return cells.assign(**{name: cells[f"{WHOLE}{name}"] for name in PARTS})


def expected_over(cells: pd.DataFrame) -> Estimate:
    """Add up the cells of a group or region, with what their errors share."""
    moments = moments_by(cells, np.zeros(len(cells), dtype=np.int64))
    low, high = ends_90(moments)
    return Estimate(float(moments["mean"].sum()), float(low.sum()), float(high.sum()))


def moments_by(cells: pd.DataFrame, group: Ints) -> pd.DataFrame:
    """Return moments of the number of sites of each group of cells, by group number.

    The columns: mean, variance (of everything), and above and below: what recall alone adds to the
    upper end of the 90 % interval and takes from the lower one. `ends_90` takes the table.
    """
    keyed = cells.assign(group=group)
    block = [keyed["group"], keyed["row"] // BLOCK_CELLS, keyed["col"] // BLOCK_CELLS]
    density = keyed["sd_density"].groupby(block).sum().pow(2).groupby(level="group").sum()
    sums = keyed.groupby("group")[["expected_sites", "var_own", *SHARED]].sum()
    recall = (sums[RECALL_ENDS].sum(axis=1) / (2 * Z_90)).pow(2)
    variance = sums["var_own"] + density + sums["sd_calibration"].pow(2) + recall
    return pd.DataFrame({"mean": sums["expected_sites"], "variance": variance}).join(
        sums[RECALL_ENDS]
    )


def ends_90(moments: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return the lower and upper ends of 90 % intervals of what `moments_by` returns."""
    mean, variance, above, below = (
        moments[name].to_numpy(np.float64) for name in ("mean", "variance", *RECALL_ENDS)
    )
    without_recall = np.maximum(variance - ((above + below) / (2 * Z_90)) ** 2, 0.0)
    low, high = _gamma_points(mean, without_recall)
    low, high = mean - np.hypot(mean - low, below), mean + np.hypot(high - mean, above)
    return np.floor(np.maximum(low, 0.0) + WHOLE_SLACK), np.ceil(high - WHOLE_SLACK)


def interval_90(mean: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Return 5 and 95 % points of Gamma distributions, widened to whole sites."""
    low, high = _gamma_points(mean, variance)
    return np.floor(low), np.ceil(high)


def _gamma_points(mean: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """5 and 95 % points of Gamma distributions of these means and variances."""
    spread = (variance > 0) & (mean > 0)
    shape = np.where(spread, mean**2 / np.where(spread, variance, 1.0), 1.0)
    scale = mean / shape
    low, high = (np.where(spread, gammaincinv(shape, q) * scale, mean) for q in (0.05, 0.95))
    return low, high


@dataclass(frozen=True)
class _Expectation:
    """Moments of the number of sites of each cell at one recall."""

    mean: Floats
    var_own: Floats
    sd_density: Floats
    unsearched: Floats  # the part of `mean` on ground that was not searched
    gain: Floats  # sites more for each true site more among the detections


def _parts(
    cells: pd.DataFrame,
    area_km2: Floats,
    recall: Recall,
    prevalence_per_km2: float,
    borrowing: Borrowing,
) -> pd.DataFrame:
    """The PARTS of cells of this area: what is not searched of it is unseen ground."""
    middle, low, high = (
        _expectation(cells, area_km2, r, prevalence_per_km2, borrowing)
        for r in (recall.mean, recall.low, recall.high)
    )
    return pd.DataFrame(
        {
            "expected_sites": middle.mean,
            "var_own": middle.var_own,
            "sd_density": middle.sd_density,
            "above": np.maximum(low.mean - middle.mean, 0.0),
            "below": np.maximum(middle.mean - high.mean, 0.0),
            "sd_calibration": middle.gain * cells["p_spread"].to_numpy() / (2 * Z_90),
            "expected_unsearched": middle.unsearched,
            "var_unsearched": middle.unsearched + middle.sd_density**2,
        },
        index=cells.index,
    )


def _expectation(
    cells: pd.DataFrame,
    area_km2: Floats,
    recall: float,
    prevalence_per_km2: float,
    borrowing: Borrowing,
) -> _Expectation:
    detected, var_detected = cells["detected"].to_numpy(), cells["var_detected"].to_numpy()
    searched = cells["searched_km2"].to_numpy()
    unsearched = np.maximum(area_km2 - searched, 0)
    prior = density_prior(cells, recall, prevalence_per_km2, borrowing)
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
        unsearched=density * unsearched,
        gain=1 + open_ground / rate,
    )


def _with_gate(recall: Recall, coverage: pd.DataFrame, gate: Recall | None) -> Recall:
    if not (coverage["status"] == "searched_gate").any():
        return recall
    if gate is None:
        raise ConfigError(
            "ground was left to a gate (status searched_gate) whose recall nobody states, so the "
            "number of missed sites cannot be had: measure the gate, or search without it."
        )
    return recall.after(gate)


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
