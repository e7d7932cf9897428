"""Made-up worlds that evidence and lists are judged by; every figure from them is simulated.

Written on 22 November 2026, before the models that are judged by it: the neighbour-discounted
prior, the recall's transfer error and the operator's list. The sizes of the effects were chosen
from what is known of kilns, with the reason beside each, and not changed afterwards. Seeds of the
judged worlds: SEEDS. Nothing in `maps` reads this module.

The worlds differ from the fitted models on purpose: sites cluster (log-Gaussian Cox process) where
the model has independent Gamma densities; recall is off by 10 points; rates are log-normal with a
smooth part and a part of each group's own where the model has Gamma priors.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.ndimage import gaussian_filter

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SEEDS = tuple(range(2211, 2231))  # twenty worlds
FIRST_ROW, FIRST_COL = 700, 4900  # somewhere in northern India
CELL_KM2 = 25.0


@dataclass(frozen=True)
class Ground:
    """Cells of a square region, row by row: arrays of one length."""

    side: int
    row: Ints
    col: Ints
    density_km2: Floats  # true sites per km2

    @property
    def cell_ids(self) -> list[str]:
        """Names of the cells."""
        return [
            f"5000_{FIRST_ROW + r}_{FIRST_COL + c}" for r, c in zip(self.row, self.col, strict=True)
        ]


def smooth_field(rng: np.random.Generator, side: int, range_cells: float) -> Floats:
    """Standard normal values that resemble each other within `range_cells`."""
    noise = gaussian_filter(rng.normal(size=(side, side)), range_cells, mode="wrap")
    return np.asarray((noise - noise.mean()) / noise.std())


def make_ground(rng: np.random.Generator, side: int = 32, mean_km2: float = 0.03) -> Ground:
    """Clustered ground: belts of kilns are ten times as dense as the land between them.

    The default mean is the South Asian belt's 30 a thousand km2; a standard deviation of 1.0 of the
    logarithm over 15 km spreads cells from a third to three times the median.
    """
    row, col = np.divmod(np.arange(side * side), side)
    log_density = smooth_field(rng, side, 3.0).ravel() + rng.normal(0, 0.4, side * side)
    density = np.exp(log_density)
    return Ground(side, row, col, mean_km2 * density / density.mean())


@dataclass(frozen=True)
class Searched:
    """One survey of a ground: what the program sees, and the truth by cell."""

    sites: pd.DataFrame  # cell_id, p_site, p_low, p_high, real
    coverage: pd.DataFrame
    truth: Ints  # real sites of each cell, found or not, searched or not
    recall_told: tuple[float, float, float]


def survey_ground(
    rng: np.random.Generator, ground: Ground, recall_error: float, cloud: bool = True
) -> Searched:
    """Look at a ground with a recall of 0.8 + `recall_error`; the program is told about 0.8.

    What it is told was itself measured, on some 80 labelled sites: sd 0.045, 90 % interval +-0.074.
    Probabilities of candidates are right (each is real with its own); a tenth of the cells lies
    wholly under cloud, in patches, others lose up to a third.
    """
    size = ground.side**2
    share = rng.uniform(0.67, 1.0, size)
    if cloud:
        share[smooth_field(rng, ground.side, 2.0).ravel() > 1.28] = 0.0
    recall = np.clip(0.8 + recall_error, 0.05, 1.0)
    all_here = rng.poisson(ground.density_km2 * CELL_KM2)
    seen = rng.binomial(all_here, share)
    found = rng.binomial(seen, recall)
    # false candidates: half as many as real ones, on the same land, three in four of them doubtful
    false = rng.poisson(0.5 * ground.density_km2 * CELL_KM2 * share)
    sites = _candidates(rng, ground.cell_ids, found, false)
    told = float(np.clip(rng.normal(0.8, 0.045), 0.6, 0.95))
    low, high = told - 0.074, min(told + 0.074, 1.0)
    coverage = _coverage(ground.cell_ids, share)
    return Searched(sites, coverage, all_here, (told, low, high))


def _candidates(
    rng: np.random.Generator, cell_ids: list[str], found: Ints, false: Ints
) -> pd.DataFrame:
    """Candidates whose p_site is calibrated, by Bayes' rule from a score's two distributions."""
    score = np.concatenate(
        [rng.normal(1.2, 1.0, found.sum()), rng.normal(-1.2, 1.0, false.sum())]
    )  # two normal classes, 2.4 apart: an area under the curve of 0.955
    odds = found.sum() / max(int(false.sum()), 1)
    p_site = 1 / (1 + np.exp(-2.4 * score) / max(odds, 1e-9))
    where = np.concatenate([np.repeat(cell_ids, found), np.repeat(cell_ids, false)])
    half = 0.1 * 4 * p_site * (1 - p_site) / 2  # the curve is known to +-0.05 in its middle
    return pd.DataFrame(
        {
            "cell_id": where,
            "p_site": p_site,
            "p_low": np.clip(p_site - half, 0, 1),
            "p_high": np.clip(p_site + half, 0, 1),
            "real": np.repeat([True, False], [found.sum(), false.sum()]),
        }
    )


def _coverage(cell_ids: list[str], share: Floats) -> pd.DataFrame:
    table = pd.concat(
        [
            pd.DataFrame({"cell_id": cell_ids, "status": status, "area_km2": CELL_KM2 * part})
            for status, part in (("searched", share), ("cloud", 1 - share))
        ]
    )
    return table[table["area_km2"] > 0]


def blocks(ground: Ground, cells_wide: int) -> Ints:
    """Number of the square block of cells each cell lies in: stands for a group or a district."""
    across = -(-ground.side // cells_wide)
    return (ground.row // cells_wide) * across + ground.col // cells_wide


@dataclass(frozen=True)
class Reports:
    """Reports by group: the truth and the noised counts."""

    rate: Floats  # reporters per site
    exposure: Floats  # expected sites
    x_km: Floats
    y_km: Floats
    count: Ints
    noised: Ints


def make_rates(
    rng: np.random.Generator, side: int = 16, epsilon: float = 1.0, mean_rate: float = 0.3
) -> Reports:
    """Reporting rates of 10 km groups, and their counts with discrete Laplace noise of scale 1/eps.

    Speaking depends on language, hotlines and networks, which reach across districts: four fifths
    of the variance of the log rate (sd 0.9) is smooth over 40 km, a fifth is the group's own.
    """
    y, x = np.divmod(np.arange(side * side), side)
    smooth = smooth_field(rng, side, 2.0).ravel()
    log_rate = 0.9 * (np.sqrt(0.8) * smooth + np.sqrt(0.2) * rng.normal(size=side * side))
    rate = mean_rate * np.exp(log_rate - 0.9**2 / 2)
    exposure = rng.gamma(2.0, 6.0, side * side) + 3
    count = rng.poisson(rate * exposure)
    return Reports(rate, exposure, 10.0 * x, 10.0 * y, count, count + laplace(rng, epsilon, count))


def laplace(rng: np.random.Generator, epsilon: float, like: Ints) -> Ints:
    """Discrete Laplace noise of scale 1 / epsilon: the difference of two geometric numbers."""
    p = 1 - np.exp(-epsilon)
    drawn = rng.geometric(p, len(like)) - rng.geometric(p, len(like))
    return np.asarray(drawn, dtype=np.int64)


@dataclass(frozen=True)
class Outcomes:
    """A region for ranking: candidates, groups, noised reports, and what a visit would find."""

    sites: pd.DataFrame  # group (number), cell_id, p_site, real, found (True: abuse there)
    groups: pd.DataFrame  # exposure, variance, noised, access, x_km, y_km
    true_counts: Ints  # reporters of each group, before noise


def make_outcomes(rng: np.random.Generator, side: int = 32, epsilon: float = 1.0) -> Outcomes:
    """A belt of 160 x 160 km in groups of 10 km; a visit finds abuse at one real site in ten.

    Abuse runs in the networks of contractors: the log-odds vary between places with an sd of 1.3,
    two thirds of the variance smooth over 30 km. People at a site with abuse report, ten times as
    often as people elsewhere, if they can: the chance to report varies with networks and language
    (phone coverage between 0.2 and 1, which maps show) and with how known a hotline is (log-normal,
    sd 0.7, which nobody has a map of). Per site with abuse and full chance three people report.
    """
    ground = make_ground(rng, side, mean_km2=0.12)  # the dense belts, where lists are made
    seen = survey_ground(rng, ground, recall_error=0.0)
    group_of_cell = blocks(ground, 2)
    n_groups = int(group_of_cell.max()) + 1
    sites = seen.sites.copy()
    by_cell = dict(zip(ground.cell_ids, group_of_cell, strict=True))
    sites["group"] = sites["cell_id"].map(by_cell).astype("int64")
    across = side // 2
    abuse_log_odds = -2.6 + 1.3 * (  # a tenth of the real sites, on average over places
        np.sqrt(2 / 3) * smooth_field(rng, across, 1.5).ravel()
        + np.sqrt(1 / 3) * rng.normal(size=n_groups)
    )
    chance = 1 / (1 + np.exp(-abuse_log_odds[sites["group"]]))
    sites["found"] = sites["real"] & (rng.uniform(size=len(sites)) < chance)
    access = 0.2 + 0.8 / (1 + np.exp(-1.5 * smooth_field(rng, across, 2.0).ravel()))
    known = np.exp(rng.normal(0, 0.7, n_groups) - 0.7**2 / 2)
    abused = np.bincount(sites["group"], sites["found"], n_groups)
    others = np.bincount(sites["group"], sites["real"] & ~sites["found"], n_groups)
    counts = rng.poisson((3.0 * abused + 0.3 * others) * access * known)
    y, x = np.divmod(np.arange(n_groups), across)
    found = np.bincount(sites["group"], sites["p_site"], n_groups)
    groups = pd.DataFrame(
        {
            "exposure": found / 0.8 + 0.5,
            "variance": (0.1 * found) ** 2 + found * 0.3 + 0.5,
            "noised": counts + laplace(rng, epsilon, counts),
            "access": access,
            "x_km": 10.0 * x,
            "y_km": 10.0 * y,
        }
    )
    return Outcomes(sites, groups, counts)
