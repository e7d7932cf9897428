"""How far reviewers agree, and on what they do not."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from maps.review.consensus import votes_of
from maps.review.decisions import ADJUDICATION, REVIEW, VERDICTS

NORMAL_95 = 1.96


@dataclass(frozen=True)
class Agreement:
    """How far two reviewers agree on the places that both saw.

    Attributes:
        first: the one's name.
        second: the other's.
        places: how many both decided.
        agreed: share of these with the same decision.
        kappa: Cohen's kappa (Educational and Psychological Measurement 20 (1960) 37-46); NaN where
            both said one and the same thing of every place, and chance alone would explain all.
        low: lower end of its 95 % interval: Wilson's of the share of agreement, with chance taken
            as it was seen, so that few places that all agree do not prove agreement.
        high: upper end.
    """

    first: str
    second: str
    places: int
    agreed: float
    kappa: float
    low: float
    high: float


def disagreements(placed: pd.DataFrame) -> pd.DataFrame:
    """Places that reviewers decided differently and nobody adjudicated.

    Returns:
        One row a place: place, site_id, chip_id, lon, lat, said ("A: confirmed; B: rejected"),
        reviewers.
    """
    votes = votes_of(placed)
    settled = set(votes.loc[votes["stage"] == ADJUDICATION, "place"])
    first_round = votes[(votes["stage"] == REVIEW) & ~votes["place"].isin(settled)]
    rows = []
    for place, group in first_round.groupby("place", sort=True):
        if group["answer"].nunique() > 1:
            ordered = group.sort_values("reviewer", kind="stable")
            words = [
                f"{r}: {d}" for r, d in zip(ordered["reviewer"], ordered["answer"], strict=True)
            ]
            at = ordered.iloc[0]
            rows.append(
                (
                    place,
                    at["site_id"],
                    max(ordered["chip_id"]),  # asked in an audit by one, by rank by the other
                    at["lon"],
                    at["lat"],
                    "; ".join(words),
                    len(ordered),
                )
            )
    return pd.DataFrame(
        rows, columns=["place", "site_id", "chip_id", "lon", "lat", "said", "reviewers"]
    )


def agreements(placed: pd.DataFrame) -> list[Agreement]:
    """Cohen's kappa of every two reviewers that share a place, adjudications left out."""
    votes = votes_of(placed[placed["decision"].isin(VERDICTS)])
    table = votes[votes["stage"] == REVIEW].pivot(
        index="place", columns="reviewer", values="answer"
    )
    found = []
    for first, second in combinations(sorted(table.columns), 2):
        both = table[[first, second]].dropna()
        if len(both):
            found.append(_agreement(str(first), str(second), both))
    return found


def _agreement(first: str, second: str, both: pd.DataFrame) -> Agreement:
    n = len(both)
    observed = float((both[first] == both[second]).mean())
    shares = [both[name].value_counts(normalize=True) for name in (first, second)]
    expected = float(shares[0].mul(shares[1], fill_value=0.0).sum())
    if expected >= 1.0:
        return Agreement(first, second, n, observed, np.nan, np.nan, np.nan)
    kappa = (observed - expected) / (1 - expected)
    middle = (observed + NORMAL_95**2 / (2 * n)) / (1 + NORMAL_95**2 / n)
    spread = np.sqrt(observed * (1 - observed) / n + (NORMAL_95 / (2 * n)) ** 2)
    half = NORMAL_95 * spread / (1 + NORMAL_95**2 / n)
    low, high = ((share - expected) / (1 - expected) for share in (middle - half, middle + half))
    return Agreement(first, second, n, observed, kappa, max(low, -1.0), min(high, 1.0))
