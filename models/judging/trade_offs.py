"""What another threshold would give, and which is cheapest for a price of a site missed."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

SCORES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
# How many visits in vain one missed site is worth: equal, a few, and many (a place where people
# may be held is worth many).
PRICES = (1, 5, 20)


class AtScore(BaseModel):
    """One threshold, for a survey with the stated density of sites.

    Attributes:
        threshold: Score above which detections count.
        recall: Share of sites found.
        found_per_1000km2: Sites found.
        missed_per_1000km2: Sites missed.
        false_alarms_per_1000km2: As measured on the land scored.
        looks_per_site: Detections to look at for each site found; None where none is found.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: float
    recall: float
    found_per_1000km2: float
    missed_per_1000km2: float
    false_alarms_per_1000km2: float
    looks_per_site: float | None

    def __str__(self) -> str:
        looks = "" if self.looks_per_site is None else f", {self.looks_per_site:.1f} looks a site"
        return (
            f"score above {self.threshold:.2f}: {self.recall:.0%} found; per 1,000 km2 of survey "
            f"{self.found_per_1000km2:.1f} found, {self.missed_per_1000km2:.1f} missed, "
            f"{self.false_alarms_per_1000km2:.1f} false{looks}"
        )


class Cheapest(BaseModel):
    """The threshold of least cost (Elkan, 2001).

    Attributes:
        price: Of one missed site, in false alarms.
        threshold: The cheapest.
        cost_per_1000km2: False alarms and price times misses there, at the survey's density.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    price: int
    threshold: float
    cost_per_1000km2: float

    def __str__(self) -> str:
        price = f"{self.price} false alarm{'s' if self.price > 1 else ''}"
        return (
            f"where a missed site costs {price}: score above "
            f"{self.threshold:.2f} is cheapest ({self.cost_per_1000km2:.1f} per 1,000 km2)"
        )


def trade_offs(
    table: pd.DataFrame, threshold: float, prevalence_per_1000km2: float
) -> tuple[AtScore, ...]:
    """Several thresholds and the detector's own, in rising order.

    Args:
        table: Scores of one region, as `scoring.score_table` writes them.
        threshold: The detector's own.
        prevalence_per_1000km2: Sites per 1,000 km2 of the survey.
    """
    scores = sorted({*SCORES, round(threshold, 4)})
    return tuple(_at(table, score, prevalence_per_1000km2) for score in scores)


def cheapest(table: pd.DataFrame, prevalence_per_1000km2: float) -> tuple[Cheapest, ...]:
    """The threshold, to two decimals, of least cost for each of `PRICES`."""
    scores = np.round(np.arange(0.05, 0.96, 0.01), 2)
    at = [_at(table, float(score), prevalence_per_1000km2) for score in scores]
    found = []
    for price in PRICES:
        costs = [a.false_alarms_per_1000km2 + price * a.missed_per_1000km2 for a in at]
        best = int(np.argmin(costs))
        found.append(
            Cheapest(
                price=price, threshold=at[best].threshold, cost_per_1000km2=round(costs[best], 2)
            )
        )
    return tuple(found)


def _at(table: pd.DataFrame, score: float, prevalence_per_1000km2: float) -> AtScore:
    above, is_site = table["score"] > score, table["is_site"]
    recall = float((above & is_site).sum() / is_site.sum())
    false_alarms = 1000 * float((above & ~is_site).sum()) / float(table["area_km2"].iloc[0])
    found = prevalence_per_1000km2 * recall
    return AtScore(
        threshold=score,
        recall=round(recall, 4),
        found_per_1000km2=round(found, 2),
        missed_per_1000km2=round(prevalence_per_1000km2 - found, 2),
        false_alarms_per_1000km2=round(false_alarms, 2),
        looks_per_site=round((found + false_alarms) / found, 2) if found else None,
    )
