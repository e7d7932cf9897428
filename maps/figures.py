"""The figures of groups as they are shown: whole numbers, rounded once, the same everywhere."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from maps.evidence import EVIDENCE_CLASSES
from maps.hotspots import LEAST_SEARCHED_SHARE, STRONGEST_FIRST

SMALL_TENTHS = 100  # under ten sites a decimal says something, above it is noise
SMALL_HUNDREDTHS = 100  # rates under one with two decimals, others with one
RATES = ("report_rate", "report_rate_low", "report_rate_high")

Floats = npt.NDArray[np.float64]


def shown_figures(groups: pd.DataFrame) -> pd.DataFrame:
    """Return what is said of each group, as whole numbers; Int64 columns may hold no value.

    Columns: expected (tenths of a site), low, high, searched (per cent), area (km2), cells, hot
    (cells), stability (per cent), rate, rate_low, rate_high (hundredths), hotspot and evidence
    (position in STRONGEST_FIRST and EVIDENCE_CLASSES), little (under a fifth was searched).
    """
    rates = {
        column.removeprefix("report_"): _nullable(_rate_hundredths(_floats(groups[column])))
        for column in RATES
    }
    return pd.DataFrame(
        {
            "expected": _expected_tenths(_floats(groups["expected_sites"])),
            "low": np.round(_floats(groups["expected_low"])).astype(np.int64),
            "high": np.round(_floats(groups["expected_high"])).astype(np.int64),
            "searched": per_cent(_floats(groups["searched_share"])).astype(np.int64),
            "area": np.round(_floats(groups["area_km2"])).astype(np.int64),
            "cells": groups["n_cells"].to_numpy(np.int64),
            "hot": groups["n_hot_cells"].to_numpy(np.int64),
            "stability": _nullable(per_cent(_floats(groups["hot_stability"]))),
            **rates,
            "hotspot": pd.Categorical(groups["hotspot_class"], STRONGEST_FIRST).codes,
            "evidence": pd.Categorical(groups["evidence_class"], EVIDENCE_CLASSES).codes,
            "little": _floats(groups["searched_share"]) < LEAST_SEARCHED_SHARE,
        }
    )


def per_cent(share: Floats) -> Floats:
    """Return shares as per cent; all and nothing only where it is all or nothing."""
    least = np.where(share > 0, 1.0, 0.0)
    most = np.where(share < 1 - 1e-9, 99.0, 100.0)
    return np.clip(np.round(100 * share), least, most)


def _expected_tenths(sites: Floats) -> npt.NDArray[np.int64]:
    tenths = np.round(10 * sites)
    return np.where(tenths < SMALL_TENTHS, tenths, 10 * np.round(sites)).astype(np.int64)


def _rate_hundredths(rate: Floats) -> Floats:
    hundredths = np.round(100 * rate)
    return np.where(hundredths < SMALL_HUNDREDTHS, hundredths, 10 * np.round(10 * rate))


def _floats(column: pd.Series) -> Floats:
    return np.asarray(column.to_numpy(dtype=float, na_value=np.nan))


def _nullable(values: Floats) -> "pd.Series[int]":
    return pd.Series(values).astype("Int64")
