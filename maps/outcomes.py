"""What teams found at the sites they were sent to, and what that says of the list.

One table, outcomes.csv, one row a site. It is for the operator: a place beside "confirmed" says
that somebody went there.

Precision is the share of places that are what they were taken for. Of the sites that teams told of
it is a plain share. Of all sites that the list was drawn from, only those count that a lot or a
certainty put into it, weighted by the inverse of their chance to be drawn (Hájek's estimator;
Särndal, Swensson and Wretman, Model Assisted Survey Sampling, 1992, 5.7): the best sites of a list
are right more often than the others. Intervals are Jeffreys' at 90 % (Brown, Cai and DasGupta,
Statistical Science 16 (2001) 101-133); where weights differ, for the number of equally likely sites
that would leave the estimate as unsure: Kish's, or fewer where the heaviest ones stand apart from
the rest (Korn and Graubard, Survey Methodology 24 (1998) 193-201).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyproj import Transformer
from scipy.spatial import cKDTree
from scipy.special import betaincinv

from maps.expected import Estimate
from maps.team_list import RANDOM

Floats = npt.NDArray[np.float64]

OUTCOMES = ("confirmed", "not_a_site", "closed", "unsafe", "not_reached")
REAL = ("confirmed", "closed")  # a closed kiln is a kiln: the detector was right
TOLD = (*REAL, "not_a_site")
# Nobody is sent again to a place that was seen, nor to one that was not safe.
DONE = (*TOLD, "unsafe")
OUTCOME_COLUMNS = ("site_id", "lon", "lat", "outcome", "visited_on", "team", "note")
JEFFREYS = 0.5
TAIL = 0.05  # of either side of a 90 % interval


@dataclass(frozen=True)
class Precision:
    """Shares of places that are what they were taken for.

    Attributes:
        n_told: sites of which a team said what they are.
        n_real: of these, confirmed or closed.
        n_untold: sites that were not reached, or not safe to look at.
        of_told: share of those told of; None where there is none.
        of_all: share of all sites that the list was drawn from; None where nothing speaks of them.
        effective: how many equally likely sites `of_all` is worth.
        if_untold: `of_told` if all the others were none, and if all were real.
    """

    n_told: int
    n_real: int
    n_untold: int
    of_told: Estimate | None
    of_all: Estimate | None
    effective: float
    if_untold: tuple[float, float] | None


def precision(outcomes: pd.DataFrame, listed: pd.DataFrame) -> Precision:
    """Estimate precision from outcomes and from how their sites came into a list.

    Args:
        outcomes: OUTCOME_COLUMNS.
        listed: site_id, selection and random_probability of every site that a pack held.
    """
    table = outcomes.merge(listed.drop_duplicates("site_id", keep="last"), on="site_id", how="left")
    told = table[table["outcome"].isin(TOLD)]
    real = told["outcome"].isin(REAL).to_numpy().astype(np.float64)
    # Drawn by lot, or in the list whatever the lot; a site that its rank brought in speaks for
    # nobody else. Sites of no pack have no known chance.
    chance = told["random_probability"].to_numpy(dtype=np.float64)
    by_lot = (told["selection"] == RANDOM).to_numpy(dtype=np.bool_)
    drawn = (by_lot | (chance >= 1)) & (chance > 0)
    untold = len(table) - len(told)
    n_real = int(real.sum())
    whole = max(len(table), 1)
    weights = 1 / chance[drawn]
    return Precision(
        n_told=len(told),
        n_real=n_real,
        n_untold=untold,
        of_told=_share(real, np.ones(len(told))),
        of_all=_share(real[drawn], weights),
        effective=effective_number(real[drawn], weights),
        if_untold=(n_real / whole, (n_real + untold) / whole) if len(table) else None,
    )


def effective_number(real: Floats, weights: Floats) -> float:
    """Return how many sites of equal weights are worth these.

    Weights alone say so if they have nothing to do with what is estimated (Kish, Survey Sampling,
    1965, 11.7). Here they have: unlikely sites weigh most. So the variance of the weighted share is
    linearised, and the smaller number of the two counts.

    Args:
        real: 1 or 0 a site.
        weights: of the same sites.
    """
    if not len(weights):
        return 0.0
    kish = float(weights.sum() ** 2 / (weights**2).sum())
    share = float((real * weights).sum() / weights.sum())
    variance = float((weights**2 * (real - share) ** 2).sum() / weights.sum() ** 2)
    return min(kish, share * (1 - share) / variance) if variance > 0 else kish


def _share(real: Floats, weights: Floats) -> Estimate | None:
    if not len(real):
        return None
    share = float((real * weights).sum() / weights.sum())
    number = effective_number(real, weights)
    yes, no = share * number + JEFFREYS, (1 - share) * number + JEFFREYS
    low, high = (float(betaincinv(yes, no, tail)) for tail in (TAIL, 1 - TAIL))
    return Estimate(share, min(low, share), max(high, share))


def visited(sites: pd.DataFrame, outcomes: pd.DataFrame, radius_m: float) -> npt.NDArray[np.bool_]:
    """Say of each site (site_id, lon, lat) whether a team need not go there again.

    A later survey may place a site a few metres off and name it anew, so a site within `radius_m`
    of a place that is done is done as well.

    Args:
        sites: of any survey.
        outcomes: OUTCOME_COLUMNS.
        radius_m: the class's merge radius: centres nearer than that are one site.
    """
    done = outcomes[outcomes["outcome"].isin(DONE)]
    found = sites["site_id"].isin(set(done["site_id"])).to_numpy(dtype=np.bool_)
    if done.empty or sites.empty:
        return found
    distance_m, _ = cKDTree(_xyz(done)).query(_xyz(sites), distance_upper_bound=radius_m)
    return np.asarray(found | np.isfinite(distance_m))


def _xyz(places: pd.DataFrame) -> Floats:
    """WGS 84 X, Y, Z in metres: a chord of 60 m is the distance on the ground."""
    lon, lat = (places[name].to_numpy(dtype=np.float64) for name in ("lon", "lat"))
    to_xyz = Transformer.from_crs(4979, 4978, always_xy=True)
    return np.column_stack(to_xyz.transform(lon, lat, np.zeros(len(lon))))
