"""What chips held out say of a classifier: threshold, recall, and from score to probability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from models.calibration import Calibration, fit_calibration
from models.judging.operating import recall_of
from models.labelled.chip_dataset import Chips
from models.site_class import SiteClass
from models.weights import Recall

Ints = NDArray[np.int64]

GSD_M = 10.0


@dataclass(frozen=True)
class PatchOperating:
    """How a classifier of squares is to be used.

    Attributes:
        threshold: Of the score.
        recall: Share of chips with a site above it.
        calibration: From score to probability.
        alarms_per_1000km2: Chips of random land above it, over their area.
    """

    threshold: float
    recall: Recall
    calibration: Calibration
    alarms_per_1000km2: float


def operate_patches(scores: pd.DataFrame, chips: Chips, site_class: SiteClass) -> PatchOperating:
    """Threshold of the greatest F1 at the class's prevalence, recall there, and calibration.

    Sites are weighed against random land alone, whose area is known: so many sites on so much land
    is the density of the sample, and the curve is moved from there to the class's prevalence. Hard
    negatives count only as often as random land holds them.

    Args:
        scores: `chip, fold, seed, logit` of all folds; see `patch_training`.
        chips: The chips.
        site_class: Gives the prevalence.
    """
    table = land_table(scores, chips)
    score, is_site = table["score"].to_numpy(float), table["is_site"].to_numpy(bool)
    place = place_numbers(table)
    calibration = fit_calibration(
        score,
        is_site,
        table["per_1000km2"].to_numpy(float),
        place,
        site_class.prevalence_per_1000km2,
        region=pd.factorize(table["region"], sort=True)[0].astype(np.int64),
    )
    threshold = land_threshold(table, site_class.prevalence_per_1000km2)
    return PatchOperating(
        threshold,
        recall_of(score > threshold, is_site, place),
        calibration,
        round(_alarms(table, threshold), 1),
    )


def land_table(scores: pd.DataFrame, chips: Chips) -> pd.DataFrame:
    """Sites and random land, as a table of `scoring.SCORE_COLUMNS`.

    A fold's networks see all of the random land each: their sites on so much land are the density
    of a row, and `area_km2` is the land of all networks together.

    Args:
        scores: `chip, fold, seed, logit`; see `patch_training`.
        chips: The chips.
    """
    used = scores[(chips.is_site | chips.random_land)[scores["chip"]]]
    index = used["chip"].to_numpy(np.int64)
    is_site = chips.is_site[index]
    network = used.groupby(["fold", "seed"]).ngroup().to_numpy()
    chip_km2 = (chips.pixels.shape[2] * GSD_M / 1000) ** 2
    land_km2 = chip_km2 * np.bincount(network, ~is_site)
    density = 1000 * np.bincount(network, is_site) / land_km2
    fold = used["fold"].astype(str).to_numpy()
    return pd.DataFrame(
        {
            "score": expit(used["logit"].to_numpy(float)),
            "is_site": is_site,
            "per_1000km2": density[network],
            "place": [f"{f}/{p}" for f, p in zip(fold, chips.place[index], strict=True)],
            "region": fold,
            "fold": fold,
            "seed": used["seed"].to_numpy(np.int64),
            "area_km2": land_km2.sum(),
        }
    )


def place_numbers(table: pd.DataFrame) -> Ints:
    """Place of each row, numbered alike for all networks: the unit that a bootstrap draws."""
    place = table["place"].str.rsplit("/", n=1).str[1].astype(int)
    return pd.factorize(place, sort=True)[0].astype(np.int64)


def land_threshold(table: pd.DataFrame, per_1000km2: float) -> float:
    """The score of the greatest F1 on land with so many sites, to two decimals.

    Args:
        table: See `land_table`.
        per_1000km2: Sites per 1,000 km2.
    """
    sites = table.loc[table["is_site"], "score"].to_numpy(float)
    candidates = np.round(np.arange(0.05, 0.991, 0.01), 2)
    f1 = []
    for candidate in candidates:
        hits = per_1000km2 * float((sites > candidate).mean())
        f1.append(2 * hits / (hits + _alarms(table, float(candidate)) + per_1000km2))
    return float(candidates[int(np.argmax(f1))])


def _alarms(table: pd.DataFrame, threshold: float) -> float:
    """Chips of random land above a threshold, per 1,000 km2."""
    wrong = (table["score"] > threshold) & ~table["is_site"]
    return 1000 * float(wrong.sum()) / float(table["area_km2"].iloc[0])
