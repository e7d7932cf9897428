"""What is known of each group of cells: expected sites, hotspots, reporting rate, and from what."""

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from maps.expected import Floats, interval_90, moments_by
from maps.hotspots import (
    HOT_CLASSES,
    LEAST_SEARCHED_SHARE,
    NOT_TESTED,
    STRONGEST_FIRST,
)
from maps.reporting import FEWEST_SITES, Release, ReportingRates, reporting_rates
from maps.squares import join_cells
from tiles.partition import REST
from tiles.tables import Column, TableSchema

EVIDENCE_CLASSES = (
    "imagery_only",
    "reports_only",
    "both",
    "unheard",
    "no_release",
    "not_searched",
)
OUTSIDE = "outside_partition"  # cells of the survey that the partition does not know
MOMENT_PARTS = ("searched_km2", "sd_recall", "sd_calibration")  # nought where nobody looked

GROUPS = TableSchema(
    name="groups",
    version=1,
    columns=(
        Column("group_id", "string", "group of cells of the partition"),
        Column("period", "string", "first and last month, as 2025-11/2026-06"),
        Column("n_cells", "int64", "cells of the group"),
        Column("area_km2", "float64", "area of the group"),
        Column("searched_km2", "float64", "searched + searched_gate + water"),
        Column("searched_share", "float64", "searched_km2 / area_km2"),
        Column("expected_sites", "float64", "sites expected, found or not, searched or not"),
        Column("expected_low", "float64", "lower end of its 90 % interval"),
        Column("expected_high", "float64", "upper end of its 90 % interval"),
        Column("hotspot_class", "string", "strongest class that half of its cells reach"),
        Column("n_hot_cells", "int64", "cells of any hot class"),
        Column("report_rate", "float64", "reporters per expected site and period", nullable=True),
        Column("report_rate_low", "float64", "lower end of its 90 % interval", nullable=True),
        Column("report_rate_high", "float64", "upper end of its 90 % interval", nullable=True),
        Column("evidence_class", "string", "one of " + ", ".join(EVIDENCE_CLASSES)),
    ),
    geometry_doc="the group's whole cells, joined",
)


def group_evidence(
    cells: pd.DataFrame,
    hotspots: pd.DataFrame,
    partition: pd.DataFrame,
    period: str,
    release: Release | None = None,
) -> gpd.GeoDataFrame:
    """Return the GROUPS table: one row a group of the partition, in its order.

    Ground of a group that the survey's region does not reach counts as not searched: reports come
    from the whole group, so the sites they are held against must too. Cells that no group holds
    come last, as one group `outside_partition`.

    The evidence class is, in this order: `not_searched` (under a fifth searched); `no_release` (no
    noised count; always for `rest`); `unheard` (at least five sites, and the rate's whole interval
    lies below the mean of all groups); `both` and `reports_only` (the count stands out of the
    noise, with and without sites seen); else `imagery_only`: the imagery is all there is to go by.

    Args:
        cells: what `expected_by_cell` returns.
        hotspots: what `find_hotspots` returns for the same cells.
        partition: group_id, cell_ids and area_km2.
        period: months the survey speaks for.
        release: what `select_release` returns, if reports were released.
    """
    members = _with_outside(partition, cells)
    table, variance = _imagery(members, cells, hotspots)
    table["period"] = period
    rates = _rates(table, variance, release)
    table["report_rate"], table["report_rate_low"], table["report_rate_high"] = (
        rates.rate,
        rates.low,
        rates.high,
    )
    table["evidence_class"] = _evidence_classes(table, rates, release)
    squares = gpd.GeoSeries([join_cells(ids) for ids in members["cell_ids"]], crs="EPSG:4326")
    return gpd.GeoDataFrame(table[GROUPS.column_names], geometry=squares)


def groups_of_cells(partition: pd.DataFrame) -> dict[str, str]:
    """Return the group_id of every cell of a partition."""
    pairs = zip(partition["group_id"], partition["cell_ids"], strict=True)
    return {str(cell_id): str(group_id) for group_id, cell_ids in pairs for cell_id in cell_ids}


def _with_outside(partition: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The partition's groups, and one more of the survey's cells that are in none."""
    groups = pd.DataFrame(partition[["group_id", "cell_ids", "area_km2"]])
    others = cells[~cells["cell_id"].isin(groups_of_cells(partition))]
    if others.empty:
        return groups.reset_index(drop=True)
    area_km2 = float(others["area_km2"].sum())
    outside = pd.DataFrame(
        {"group_id": [OUTSIDE], "cell_ids": [list(others["cell_id"])], "area_km2": [area_km2]}
    )
    return pd.concat([groups, outside], ignore_index=True)


def _imagery(
    groups: pd.DataFrame, cells: pd.DataFrame, hotspots: pd.DataFrame
) -> tuple[pd.DataFrame, Floats]:
    """The columns that come from imagery, and the variance of each group's number of sites."""
    every = groups["cell_ids"].explode().rename("cell_id").rename_axis("group").reset_index()
    classed = cells.merge(hotspots[["cell_id", "hotspot_class"]], on="cell_id")
    inside = every.merge(classed, on="cell_id")
    parts = pd.concat([inside, _ground_beyond(groups, inside, cells)], ignore_index=True)
    moments = moments_by(parts, parts["group"].to_numpy(np.int64)).reindex(groups.index)
    low, high = interval_90(moments["mean"].to_numpy(), moments["variance"].to_numpy())
    sums = parts.groupby("group")[["area_km2", "searched_km2"]].sum()
    strength = inside["hotspot_class"].map({c: n for n, c in enumerate(STRONGEST_FIRST)})
    # Half of the cells are at least as hot as their median class; one hot cell in a wide group
    # is said in words, and does not colour the whole.
    half = strength.groupby(inside["group"]).quantile(0.5, interpolation="lower")
    typical = half.reindex(groups.index)
    hot = inside["hotspot_class"].isin(HOT_CLASSES).groupby(inside["group"]).sum()
    table = pd.DataFrame(
        {
            "group_id": groups["group_id"].astype(str),
            "n_cells": groups["cell_ids"].map(len).astype("int64"),
            "area_km2": sums["area_km2"],
            "searched_km2": sums["searched_km2"],
            "searched_share": (sums["searched_km2"] / sums["area_km2"]).clip(upper=1.0),
            "expected_sites": moments["mean"],
            "expected_low": low,
            "expected_high": high,
            "hotspot_class": [
                STRONGEST_FIRST[int(at)] for at in typical.fillna(STRONGEST_FIRST.index(NOT_TESTED))
            ],
            "n_hot_cells": hot.reindex(groups.index, fill_value=0).astype("int64"),
        }
    )
    return table, moments["variance"].to_numpy()


def _ground_beyond(groups: pd.DataFrame, inside: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """One row a group for its ground outside the survey, as dense as the survey on average."""
    covered = inside.groupby("group")["area_km2"].sum().reindex(groups.index, fill_value=0.0)
    area_km2 = groups["area_km2"] - covered
    # Below a millionth it is the rounding of two ways to measure one area.
    area_km2 = area_km2[area_km2 > 1e-6 * groups["area_km2"]]
    mean = area_km2 * cells["expected_sites"].sum() / cells["area_km2"].sum()
    rows = pd.DataFrame(dict.fromkeys(MOMENT_PARTS, 0.0), index=area_km2.index)
    # Chance, and an sd of the density as large as itself: nothing of this ground was seen.
    rows = rows.assign(area_km2=area_km2, expected_sites=mean, var_own=mean, sd_density=mean)
    return rows.assign(group=area_km2.index, row=-1, col=-1)


def _rates(table: pd.DataFrame, variance: Floats, release: Release | None) -> ReportingRates:
    blank = np.full(len(table), np.nan)
    rates = ReportingRates(
        blank.copy(), blank.copy(), blank.copy(), np.zeros(len(table), dtype=np.bool_), np.nan
    )
    at = np.flatnonzero(_released(table, release))
    if release is None or not len(at):
        return rates
    counts = release.count_noised.loc[table["group_id"].iloc[at]].to_numpy(dtype=np.int64)
    expected = table["expected_sites"].to_numpy()[at]
    found = reporting_rates(counts, release.noise_scale, expected, variance[at])
    searched = table["searched_share"].to_numpy()[at] >= LEAST_SEARCHED_SHARE
    for name in ("rate", "low", "high"):
        getattr(rates, name)[at] = np.where(searched, getattr(found, name), np.nan)
    rates.stands_out[at] = found.stands_out
    return ReportingRates(rates.rate, rates.low, rates.high, rates.stands_out, found.mean)


def _released(table: pd.DataFrame, release: Release | None) -> npt.NDArray[np.bool_]:
    if release is None:
        return np.zeros(len(table), dtype=np.bool_)
    named = table["group_id"].isin(release.count_noised.index)
    return np.asarray(named & ~table["group_id"].isin([REST, OUTSIDE]))


def _evidence_classes(
    table: pd.DataFrame, rates: ReportingRates, release: Release | None
) -> list[str]:
    seen = table["expected_low"].to_numpy() >= 1
    unheard = (table["expected_low"].to_numpy() >= FEWEST_SITES) & (rates.high < rates.mean)
    classes = np.select(
        [
            table["searched_share"].to_numpy() < LEAST_SEARCHED_SHARE,
            ~_released(table, release),
            unheard,
            rates.stands_out & seen,
            rates.stands_out,
        ],
        ["not_searched", "no_release", "unheard", "both", "reports_only"],
        "imagery_only",
    )
    return [str(name) for name in classes]
