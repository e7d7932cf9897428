"""What is known of each group of cells: expected sites, hotspots, reporting rate, and from what."""

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from maps.expected import (
    SHARED,
    Floats,
    Ints,
    ends_90,
    moments_by,
    whole_cell_km2,
    whole_cells,
)
from maps.hotspots import (
    HOT_CLASSES,
    LEAST_SEARCHED_SHARE,
    NOT_TESTED,
    STRONGEST_FIRST,
)
from maps.reporting import FEWEST_SITES, Places, Release, ReportingRates, reporting_rates
from tiles.cells import Cell, join_cells
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
UNRELEASED = ("no_release", "not_searched")  # what may be said of a group without a count
OUTSIDE = "outside_partition"  # cells of the survey that the partition does not know
FEWEST_RATES = 5  # a median of fewer rates is moved by one or two groups
UNHEARD_SHARE = 0.5  # of the median rate or usual access: clearly fewer, not just below the middle
LEAST_KNOWN = 0.5  # of a group's cells must have a value of access, or the group has none
LEAST_ACCESS = 0.02  # of the usual: a place that a map calls unreached has some phones

GROUPS = TableSchema(
    name="groups",
    version=2,
    columns=(
        Column("group_id", "string", "group of cells of the partition"),
        Column("period", "string", "first and last month, as 2025-11/2026-06"),
        Column("n_cells", "int64", "cells of the group"),
        Column(
            "area_km2",
            "float64",
            "ground of the group's cells inside the region that the groups were made for",
        ),
        Column("searched_km2", "float64", "of that: searched + searched_gate + water"),
        Column("searched_share", "float64", "searched_km2 / area_km2"),
        Column("expected_sites", "float64", "sites on area_km2, found or not, searched or not"),
        Column("expected_low", "float64", "lower end of its 90 % interval"),
        Column("expected_high", "float64", "upper end of its 90 % interval"),
        Column("hotspot_class", "string", "strongest class that half of all its cells reach"),
        Column("n_hot_cells", "int64", "cells of any hot class"),
        Column(
            "hot_stability",
            "float64",
            "share of shifted and rescaled grids in which its hot cells are hot, on average",
            nullable=True,
        ),
        Column(
            "report_rate",
            "float64",
            "reporters per period and site expected on the whole cells, in the region or not",
            nullable=True,
        ),
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
    access: "pd.Series[float] | None" = None,
) -> gpd.GeoDataFrame:
    """Return the GROUPS table: one row a group of the partition, in its order.

    Ground of a group that lies in the partition's region and that the survey's region does not
    reach counts as not searched. Cells that no group holds come last, as one group
    `outside_partition`.

    Reports are counted on whole cells, beyond the region's edge too, so rates are over the sites
    expected on whole cells: the part of a cell outside the survey is as dense as the cell, cells
    outside it are as dense as the survey on average. Where under a fifth of the whole cells was
    searched there is no rate.

    The evidence class is, in this order: `not_searched` (under a fifth searched); `no_release` (no
    noised count; always for `rest`); `unheard` (at least five sites, and little chance to report:
    at least five groups have a rate and this one's whole interval lies below half of their median,
    which neither a cluster nor false reporters in a few groups move; or access is under half of the
    usual and the count does not stand out); `both` and `reports_only` (the count stands out of the
    noise, with and without sites seen); else `imagery_only`: the imagery is all there is.

    Args:
        cells: what `expected_by_cell` returns.
        hotspots: what `find_hotspots` returns for the same cells.
        partition: group_id, cell_ids and area_km2.
        period: months the survey speaks for.
        release: what `select_release` returns, if reports were released.
        access: by cell_id, what `read_access` returns.
    """
    members = _with_outside(partition, cells)
    every = members["cell_ids"].explode().rename("cell_id").rename_axis("group").reset_index()
    inside = every.merge(cells, on="cell_id")
    table = _imagery(members, inside, cells)
    table["hotspot_class"], table["n_hot_cells"] = _hotspot_classes(every, hotspots)
    table["hot_stability"] = _hot_stability(every, hotspots)
    table["period"] = period
    exposure = _exposure(every, inside, cells)
    exposure["access"] = _access(every, exposure["mean"], access)
    rates = _rates(table, exposure, _places(every), release)
    table["report_rate"], table["report_rate_low"], table["report_rate_high"] = (
        rates.rate,
        rates.low,
        rates.high,
    )
    hindered = (exposure["access"] < UNHEARD_SHARE).to_numpy()
    table["evidence_class"] = _evidence_classes(table, rates, hindered, release)
    squares = gpd.GeoSeries([join_cells(ids) for ids in members["cell_ids"]], crs="EPSG:4326")
    return gpd.GeoDataFrame(table[GROUPS.column_names], geometry=squares)


def _with_outside(partition: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The partition's groups, and one more of the survey's cells that are in none."""
    groups = pd.DataFrame(partition[["group_id", "cell_ids", "area_km2"]])
    others = cells[~cells["cell_id"].isin(partition["cell_ids"].explode())]
    if others.empty:
        return groups.reset_index(drop=True)
    area_km2 = float(others["area_km2"].sum())
    outside = pd.DataFrame(
        {"group_id": [OUTSIDE], "cell_ids": [list(others["cell_id"])], "area_km2": [area_km2]}
    )
    return pd.concat([groups, outside], ignore_index=True)


def _imagery(groups: pd.DataFrame, inside: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """What imagery says of the ground inside the region; `inside`: the survey's cells by group."""
    covered = inside.groupby("group")["area_km2"].sum().reindex(groups.index, fill_value=0.0)
    beyond_km2 = groups["area_km2"] - covered
    # Below a millionth it is the rounding of two ways to measure one area.
    beyond = _unseen(beyond_km2[beyond_km2 > 1e-6 * groups["area_km2"]], cells)
    parts = pd.concat([inside, beyond], ignore_index=True)
    moments = moments_by(parts, parts["group"].to_numpy(np.int64)).reindex(groups.index)
    low, high = ends_90(moments)
    sums = parts.groupby("group")[["area_km2", "searched_km2"]].sum()
    return pd.DataFrame(
        {
            "group_id": groups["group_id"].astype(str),
            "n_cells": groups["cell_ids"].map(len).astype("int64"),
            "area_km2": sums["area_km2"],
            "searched_km2": sums["searched_km2"],
            "searched_share": (sums["searched_km2"] / sums["area_km2"]).clip(upper=1.0),
            "expected_sites": moments["mean"],
            "expected_low": low,
            "expected_high": high,
        }
    )


def _hotspot_classes(every: pd.DataFrame, hotspots: pd.DataFrame) -> tuple[list[str], Ints]:
    """The class that half of each group's cells reach, and how many are hot.

    One hot cell in a wide group is said in words, and does not colour the whole; so is a hot cell
    of a group whose other cells the survey does not hold: those are not tested.
    """
    known = hotspots.set_index("cell_id")["hotspot_class"]
    classes = every["cell_id"].map(known).fillna(NOT_TESTED)
    strength = classes.map({name: n for n, name in enumerate(STRONGEST_FIRST)})
    typical = strength.groupby(every["group"]).quantile(0.5, interpolation="lower")
    hot = classes.isin(HOT_CLASSES).groupby(every["group"]).sum()
    return [STRONGEST_FIRST[int(at)] for at in typical], np.asarray(hot, dtype=np.int64)


def _hot_stability(every: pd.DataFrame, hotspots: pd.DataFrame) -> "pd.Series[float]":
    """Mean stability of each group's hot cells; missing where none is hot."""
    hot = hotspots[hotspots["hotspot_class"].isin(HOT_CLASSES)].set_index("cell_id")["stability"]
    return every["cell_id"].map(hot).groupby(every["group"]).mean()


def _exposure(every: pd.DataFrame, inside: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Mean and variance of the sites on each group's whole cells, and the share searched of them.

    Reports come from whole cells, so the sites they are held against must too.
    """
    whole_km2 = every["cell_id"].map(lambda cell_id: whole_cell_km2(str(cell_id)))
    all_km2 = whole_km2.groupby(every["group"]).sum()
    missing = ~every["cell_id"].isin(inside["cell_id"])
    beyond = _unseen(whole_km2[missing].groupby(every["group"][missing]).sum(), cells)
    parts = pd.concat([whole_cells(inside), beyond], ignore_index=True)
    exposure = moments_by(parts, parts["group"].to_numpy(np.int64))[["mean", "variance"]]
    return exposure.assign(searched_share=parts.groupby("group")["searched_km2"].sum() / all_km2)


def _unseen(area_km2: pd.Series, cells: pd.DataFrame) -> pd.DataFrame:
    """One row a group for ground outside the survey, as dense as the survey on average."""
    mean = area_km2 * cells["expected_sites"].sum() / cells["area_km2"].sum()
    rows = pd.DataFrame(dict.fromkeys(["searched_km2", *SHARED], 0.0), index=area_km2.index)
    # Chance, and an sd of the density as large as itself: nothing of this ground was seen.
    rows = rows.assign(area_km2=area_km2, expected_sites=mean, var_own=mean, sd_density=mean)
    return rows.assign(group=area_km2.index, row=-1, col=-1)


def _access(
    every: pd.DataFrame, sites: pd.Series, access: "pd.Series[float] | None"
) -> "pd.Series[float]":
    """Mean access of each group's cells as a share of that of all sites; 1 where none is given."""
    if access is None:
        return pd.Series(1.0, index=sites.index)
    values = every["cell_id"].map(access)
    known = values.notna().groupby(every["group"]).mean() >= LEAST_KNOWN
    of_group = values.groupby(every["group"]).mean().where(known)
    weight = sites[known]
    usual = float((of_group[known] * weight).sum() / weight.sum())
    return (of_group / usual).clip(lower=LEAST_ACCESS)


def _places(every: pd.DataFrame) -> Places:
    """The middle of each group's cells."""
    cells = [Cell.parse(str(cell_id)) for cell_id in every["cell_id"]]
    km = pd.DataFrame(
        [(cell.col * cell.size_m / 1000, -cell.row * cell.size_m / 1000) for cell in cells],
        columns=["x", "y"],
    )
    middle = km.groupby(every["group"].to_numpy()).mean()
    return Places(middle["x"].to_numpy(), middle["y"].to_numpy())


def _rates(
    table: pd.DataFrame, exposure: pd.DataFrame, places: Places, release: Release | None
) -> ReportingRates:
    blank = np.full(len(table), np.nan)
    rates = ReportingRates(blank, blank.copy(), blank.copy(), np.zeros(len(table), dtype=np.bool_))
    at = np.flatnonzero(_released(table, release))
    if release is None or not len(at):
        return rates
    names_at = table["group_id"].iloc[at]
    counts = release.count_noised.loc[names_at].to_numpy(dtype=np.int64)
    names = ("mean", "variance", "searched_share", "access")
    mean, variance, share, access = (exposure[name].to_numpy()[at] for name in names)
    reached = np.nan_to_num(access, nan=1.0)
    found = reporting_rates(
        counts,
        release.noise_scale,
        mean * reached,
        variance * reached**2,
        Places(places.x_km[at], places.y_km[at]),
        None if release.draws is None else release.draws.loc[names_at].to_numpy(dtype=np.int64),
    )
    sayable = (share >= LEAST_SEARCHED_SHARE) & np.isfinite(access)
    for name in ("rate", "low", "high"):
        known = np.where(sayable, getattr(found, name), np.nan)
        getattr(rates, name)[at] = known
    rates.stands_out[at] = found.stands_out
    return rates


def _released(table: pd.DataFrame, release: Release | None) -> npt.NDArray[np.bool_]:
    if release is None:
        return np.zeros(len(table), dtype=np.bool_)
    named = table["group_id"].isin(release.count_noised.index)
    return np.asarray(named & ~table["group_id"].isin([REST, OUTSIDE]))


def _evidence_classes(
    table: pd.DataFrame,
    rates: ReportingRates,
    hindered: npt.NDArray[np.bool_],
    release: Release | None,
) -> list[str]:
    seen = table["expected_low"].to_numpy() >= 1
    quiet = rates.high < UNHEARD_SHARE * _median_rate(rates.rate)
    silent = hindered & ~rates.stands_out
    unheard = (table["expected_low"].to_numpy() >= FEWEST_SITES) & (quiet | silent)
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


def _median_rate(rate: Floats) -> float:
    """Median of the rates that are given; NaN, which nothing is below, where they are too few."""
    given = rate[np.isfinite(rate)]
    return float(np.median(given)) if len(given) >= FEWEST_RATES else np.nan
