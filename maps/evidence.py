"""What is known of each group of cells: expected sites, hotspots, reporting rate, and from what."""

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from maps.expected import expected_over, moments_over, whole_cell_km2
from maps.hotspots import (
    HOT_CLASSES,
    LEAST_SEARCHED_SHARE,
    NOT_TESTED,
    STRONGEST_FIRST,
)
from maps.reporting import FEWEST_SITES, Release, ReportingRates, reporting_rates
from maps.squares import join_cells
from tiles.cells import Cell
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
SQUARE_FACTOR = 4  # groups without a partition: squares of 20 km, as coarse as groups usually are

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
        Column("hotspot_class", "string", "strongest class among its cells"),
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
    members = _members(cells, partition)
    joined = cells.merge(hotspots[["cell_id", "hotspot_class"]], on="cell_id", how="left")
    by_id = joined.set_index("cell_id")
    summaries = [_summary(group, by_id) for group in members]
    table = pd.DataFrame([summary.columns for summary in summaries])
    table.insert(1, "period", period)
    variance = np.array([summary.variance for summary in summaries])
    rates = _rates(table, variance, release)
    table["report_rate"], table["report_rate_low"], table["report_rate_high"] = (
        rates.rate,
        rates.low,
        rates.high,
    )
    table["evidence_class"] = _evidence_classes(table, rates, release)
    squares = gpd.GeoSeries([join_cells(group.cell_ids) for group in members], crs="EPSG:4326")
    return gpd.GeoDataFrame(table[GROUPS.column_names], geometry=squares)


def square_groups(cells: pd.DataFrame) -> pd.DataFrame:
    """Group cells by the 20 km square above them, for a survey that has no partition yet."""
    squares = [Cell.parse(str(c)).parent(SQUARE_FACTOR).cell_id for c in cells["cell_id"]]
    grouped = cells.assign(group_id=squares).groupby("group_id", sort=True)
    return pd.DataFrame(
        {"cell_ids": grouped["cell_id"].apply(list), "area_km2": grouped["area_km2"].sum()}
    ).reset_index()


def groups_of_cells(partition: pd.DataFrame) -> dict[str, str]:
    """Return the group_id of every cell of a partition."""
    pairs = zip(partition["group_id"], partition["cell_ids"], strict=True)
    return {str(cell_id): str(group_id) for group_id, cell_ids in pairs for cell_id in cell_ids}


@dataclass(frozen=True)
class _Group:
    group_id: str
    cell_ids: list[str]
    area_km2: float


@dataclass(frozen=True)
class _Summary:
    columns: dict[str, object]
    variance: float  # of the number of sites


def _members(cells: pd.DataFrame, partition: pd.DataFrame) -> list[_Group]:
    columns = (partition[name] for name in ("group_id", "cell_ids", "area_km2"))
    groups = [
        _Group(str(group_id), [str(cell_id) for cell_id in cell_ids], float(area_km2))
        for group_id, cell_ids, area_km2 in zip(*columns, strict=True)
    ]
    known = groups_of_cells(partition)
    others = cells[~cells["cell_id"].isin(known)]
    if len(others):
        area_km2 = float(others["area_km2"].sum())
        groups.append(_Group(OUTSIDE, list(others["cell_id"]), area_km2))
    return groups


def _summary(group: _Group, by_id: pd.DataFrame) -> _Summary:
    inside = by_id.loc[[cell_id for cell_id in group.cell_ids if cell_id in by_id.index]]
    beyond = _ground_beyond(group, inside, by_id)
    parts = pd.concat([inside, beyond])
    estimate = expected_over(parts)
    area_km2 = float(parts["area_km2"].sum())
    searched_km2 = float(inside["searched_km2"].sum())
    classes = set(inside["hotspot_class"])
    columns: dict[str, object] = {
        "group_id": group.group_id,
        "n_cells": len(group.cell_ids),
        "area_km2": area_km2,
        "searched_km2": searched_km2,
        "searched_share": min(searched_km2 / area_km2, 1.0) if area_km2 else 0.0,
        "expected_sites": estimate.mean,
        "expected_low": estimate.low,
        "expected_high": estimate.high,
        "hotspot_class": next((c for c in STRONGEST_FIRST if c in classes), NOT_TESTED),
        "n_hot_cells": int(inside["hotspot_class"].isin(HOT_CLASSES).sum()),
    }
    return _Summary(columns, moments_over(parts)[1])


def _ground_beyond(group: _Group, inside: pd.DataFrame, by_id: pd.DataFrame) -> pd.DataFrame:
    """One row for the group's ground outside the survey, as dense as the survey on average."""
    area_km2 = max(group.area_km2 - float(inside["area_km2"].sum()), 0.0)
    whole_km2 = whole_cell_km2(group.cell_ids[0])
    if area_km2 < 1e-6 * whole_km2 or by_id.empty:  # rounding of two ways to measure one area
        return by_id.iloc[:0]
    density = by_id["expected_sites"].sum() / by_id["area_km2"].sum()
    row = {name: 0.0 for name in by_id.columns if by_id[name].dtype.kind == "f"}
    mean = density * area_km2
    # Chance and an sd of the density as large as itself: nothing of this ground was seen.
    row |= {"area_km2": area_km2, "expected_sites": mean, "var_own": mean, "sd_density": mean}
    row |= {"row": -1, "col": -1}  # a block of its own, see `moments_over`
    return pd.DataFrame([row], index=["beyond"])


def _rates(
    table: pd.DataFrame, variance: npt.NDArray[np.float64], release: Release | None
) -> ReportingRates:
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
