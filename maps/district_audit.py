"""Sites of each district from what an audit sample says, in place of the weights' recall.

The audit gives, for each stratum, the mean number of real sites a unit: of listed sites how many
are real, of squares of searched ground how many sites they hold that no list has. A district's
total is the sum over strata of its own units times that mean (a synthetic stratified estimator:
Rao and Molina, Small Area Estimation, 2015, 3.2; Cochran, Sampling Techniques, 1977, 5.3). It
presumes that a stratum is alike in all districts; the error of its mean is shared by all of them,
and chance among a district's own units is added (binomial for listed sites, Poisson for squares).
Ground that was not searched is outside the audit: its sites stay with `maps.expected`.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from maps.audit_estimate import AuditEstimates
from maps.audit_sample import PLACE, Frame
from maps.boundaries import Districts
from maps.expected import SHARED, moments_by
from tiles.errors import TableError


@dataclass(frozen=True)
class Audit:
    """An audit sample as districts see it."""

    strata: pd.DataFrame
    """Indexed by stratum: kind, mean, sd_mean."""
    units: pd.DataFrame
    """One row a listed site or square of searched ground: district (-1 for none), stratum."""


def audit_in_districts(estimates: AuditEstimates, frame: Frame, districts: Districts) -> Audit:
    """Say which district each unit lies in that the sample speaks for.

    Args:
        estimates: what the marks of the sample say.
        frame: all units of the survey that it must have been drawn from.
        districts: the user's.

    Raises:
        TableError: the sample was drawn from another survey.
    """
    sizes = pd.DataFrame(
        {"here": frame.units.groupby("stratum").size(), "there": estimates.strata["population"]}
    ).fillna(0)
    other = sizes[sizes["here"] != sizes["there"]]
    if len(other):
        name, (here, there) = other.index[0], other.iloc[0]
        raise TableError(
            f"the audit sample was drawn from {there:,.0f} units of {name}, and this survey has "
            f"{here:,.0f}: give the sample of this very survey, or draw anew."
        )
    lon, lat = frame.units["lon"].to_numpy(), frame.units["lat"].to_numpy()
    units = pd.DataFrame({"district": districts.at(lon, lat), "stratum": frame.units["stratum"]})
    return Audit(estimates.strata[["kind", "mean", "sd_mean"]], units)


def audited_moments(audit: Audit, pieces: pd.DataFrame) -> pd.DataFrame:
    """Return mean and variance of the number of sites of each district, by its number.

    Args:
        audit: of the survey that the pieces are of.
        pieces: what `cell_pieces` returns.
    """
    strata = audit.strata
    counts = (
        audit.units.groupby(["district", "stratum"])
        .size()
        .unstack(fill_value=0)
        .reindex(index=np.unique(pieces["district"]), columns=strata.index, fill_value=0)
    )
    chance = strata["mean"] * (1 - strata["mean"]).where(strata["kind"] == PLACE, 1.0)
    rest = _not_searched(pieces)
    return pd.DataFrame(
        {
            "mean": counts @ strata["mean"] + rest["mean"],
            "variance": counts @ chance
            + counts.pow(2) @ strata["sd_mean"].pow(2)
            + rest["variance"],
        }
    )


def _not_searched(pieces: pd.DataFrame) -> pd.DataFrame:
    """Moments of what stands on ground that was not searched, by district."""
    expected = pieces["expected_unsearched"]
    alone = pieces.assign(expected_sites=expected, var_own=expected, **dict.fromkeys(SHARED, 0.0))
    return moments_by(alone, pieces["district"].to_numpy(np.int64))
