"""Where sites are denser than chance: Gi* to show it, an exact test, false finds controlled."""

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import betainc

from maps.bands import (
    TOUCHING,
    Band,
    Floats,
    Ints,
    Neighbourhoods,
    choose_band,
    neighbourhoods,
)
from maps.expected import whole_cell_km2
from tiles.cells import CELL_SIZE_M, Cell, cell_polygons
from tiles.errors import TableError
from tiles.tables import Column, TableSchema

LEAST_SEARCHED_SHARE = 0.2  # of the whole cell: less ground cannot speak for 5 km
HOT_CLASSES = {"hot_99": 0.01, "hot_95": 0.05, "hot_90": 0.10}  # class: false discovery rate
NOT_SIGNIFICANT, NOT_TESTED = "not_significant", "not_tested"
STRONGEST_FIRST = (*HOT_CLASSES, NOT_SIGNIFICANT, NOT_TESTED)

HOTSPOTS = TableSchema(
    name="hotspots",
    version=2,
    columns=(
        Column("cell_id", "string", "square of the 5 km equal-area grid"),
        Column("site_class", "string", "name of the site class"),
        Column("period", "string", "first and last month, as 2025-11/2026-06"),
        Column("n_sites", "int64", "sites with p_site of 0.5 or more: what is tested"),
        Column("expected_sites", "float64", "sites expected, found or not"),
        Column("expected_low", "float64", "lower end of its 90 % interval"),
        Column("expected_high", "float64", "upper end of its 90 % interval"),
        Column("area_km2", "float64", "area of the cell inside the region"),
        Column("searched_km2", "float64", "searched + searched_gate + water"),
        Column("rate_per_1000km2", "float64", "n_sites per 1,000 km2 searched", nullable=True),
        Column("gi_z", "float64", "Getis-Ord Gi* of that rate", nullable=True),
        Column("p_value", "float64", "exact, one-sided, conditional on the total", nullable=True),
        Column("q_value", "float64", "Benjamini-Hochberg over the tested cells", nullable=True),
        Column("hotspot_class", "string", "one of " + ", ".join(STRONGEST_FIRST)),
        Column("n_neighbours", "int64", "other tested cells of its neighbourhood"),
        Column(
            "stability",
            "float64",
            "share of the shifted and rescaled grids in which its ground is hot",
            nullable=True,
        ),
        Column("cluster_id", "string", "hot cells that touch share one", nullable=True),
    ),
    geometry_doc="the whole cell",
)


@dataclass(frozen=True)
class CellTest:
    """What the test says of each tested cell; arrays of one length."""

    gi_z: Floats
    p_value: Floats
    q_value: Floats
    n_neighbours: Ints


def find_hotspots(cells: pd.DataFrame, period: str, site_class_name: str) -> gpd.GeoDataFrame:
    """Test every cell of which a fifth was searched; reports never enter.

    Cells that are not tested belong to no neighbourhood either. Neighbourhoods are all tested cells
    within the distance that `band_of` gives, with weight 1. A cell whose neighbourhood is all that
    was tested has nothing to be compared with and is not tested.

    Args:
        cells: what `expected_by_cell` returns.
        period: months the survey speaks for.
        site_class_name: name of the site class.

    Returns:
        A HOTSPOTS table in the order of the cells; `maps.stability` fills the column `stability`.

    Raises:
        TableError: a number of sites is missing, negative or no whole number.
    """
    table = cells[[name for name in HOTSPOTS.column_names if name in cells.columns]].copy()
    table["site_class"], table["period"], table["stability"] = site_class_name, period, np.nan
    searched = table["searched_km2"].to_numpy()
    counts = whole_counts(cells)
    rate = np.divide(counts, searched, out=np.full(len(table), np.nan), where=searched > 0)
    table["rate_per_1000km2"] = 1000 * rate
    tested = np.flatnonzero(enough_searched(cells))
    rows, cols = (cells[name].to_numpy()[tested] for name in ("row", "col"))
    result = check_cells(rows, cols, counts[tested], searched[tested], band_of(cells))
    for name in ("gi_z", "p_value", "q_value"):
        table[name] = _spread(getattr(result, name), tested, len(table), np.nan)
    table["n_neighbours"] = _spread(result.n_neighbours, tested, len(table), 0)
    table["hotspot_class"] = hotspot_classes(table["q_value"].to_numpy())
    table["cluster_id"] = _cluster_ids(cells["row"], cells["col"], table["hotspot_class"])
    return gpd.GeoDataFrame(table, geometry=cell_polygons(list(cells["cell_id"])), crs="EPSG:4326")


def whole_counts(cells: pd.DataFrame) -> Ints:
    """Return n_sites as whole numbers.

    Raises:
        TableError: one is missing, negative or no whole number.
    """
    counts = pd.to_numeric(cells["n_sites"], errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~(np.isfinite(counts) & (counts >= 0) & (counts == np.floor(counts))))
    if len(bad):
        cell_id, seen = (cells[name].iloc[bad[0]] for name in ("cell_id", "n_sites"))
        raise TableError(
            f"cell {cell_id} has n_sites {seen}: sites are counted in whole numbers from 0 on; "
            "leave out a cell whose count is not known."
        )
    return counts.astype(np.int64)


def enough_searched(cells: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Say of each cell whether enough of its whole square was searched to test it."""
    whole_km2 = whole_cell_km2(str(cells["cell_id"].iloc[0])) if len(cells) else 1.0
    return np.asarray(cells["searched_km2"] >= LEAST_SEARCHED_SHARE * whole_km2)


def band_of(cells: pd.DataFrame) -> Band:
    """Return the neighbourhood that these cells are tested with."""
    tested = cells[enough_searched(cells)]
    size_m = Cell.parse(str(cells["cell_id"].iloc[0])).size_m if len(cells) else CELL_SIZE_M
    return choose_band(len(tested), int(whole_counts(tested).sum()), size_m)


def check_cells(rows: Ints, cols: Ints, counts: Ints, searched_km2: Floats, band: Band) -> CellTest:
    """Gi*, p and q of cells that are all to be tested; arrays of one length."""
    near = neighbourhoods(rows, cols, band)
    size = near.size
    p_value = conditional_p(counts, searched_km2, near)
    return CellTest(
        gi_z=getis_ord_star(counts / searched_km2, near),
        p_value=p_value,
        q_value=benjamini_hochberg(p_value),
        n_neighbours=size - 1,
    )


def getis_ord_star(values: Floats, near: Neighbourhoods) -> Floats:
    """Return z of Gi* with binary weights, the cell itself included.

    Ord and Getis, Geographical Analysis 27 (1995) 286-306, equation 14. NaN where it is undefined:
    all values equal, or the neighbourhood is the whole region.
    """
    n = len(values)
    if n < 2:
        return np.full(n, np.nan)
    size = near.size
    mean, sd = values.mean(), values.std()
    spread = sd * np.sqrt(size * (n - size) / (n - 1))
    # A spread of the size of rounding errors is none: all values are equal.
    defined = spread > 1e-12 * max(float(np.abs(values).max()), 1e-300)
    excess = near.sums(values - mean)
    z: Floats = np.divide(excess, spread, out=np.full(n, np.nan), where=defined)
    return z


def conditional_p(counts: Ints, searched_km2: Floats, near: Neighbourhoods) -> Floats:
    """Return P(as many sites in the neighbourhood, or more) if density were the same everywhere.

    Given the total, a neighbourhood's sum is binomial with the neighbourhood's share of the
    searched area (Przyborowski and Wilenski, Biometrika 31 (1940) 313-323), so p is exact at any
    number of sites and any coverage, where the normal approximation of Gi* is not. NaN where the
    neighbourhood is all there is: then its sum says nothing.
    """
    inside = near.sums(counts.astype(np.float64))
    share = np.minimum(near.sums(searched_km2) / max(searched_km2.sum(), 1e-300), 1.0)
    others = float(counts.sum()) - inside
    # P(X >= k) of a binomial is a regularised incomplete beta function.
    tail = np.where(inside > 0, betainc(np.maximum(inside, 1), others + 1, share), 1.0)
    return np.asarray(np.where(near.size < len(counts), tail, np.nan))


def benjamini_hochberg(p_value: Floats) -> Floats:
    """Return q-values (Benjamini and Hochberg, J. R. Stat. Soc. B 57 (1995) 289-300).

    A missing p is no test: it has no q, and does not count among the tests.
    """
    q_value = np.full(len(p_value), np.nan)
    at = np.flatnonzero(np.isfinite(p_value))
    order = at[np.argsort(p_value[at], kind="stable")]
    scaled = p_value[order] * len(at) / np.arange(1, len(at) + 1)
    q_value[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q_value


def hotspot_classes(q_value: Floats) -> list[str]:
    """Return the strongest class that each q-value reaches; not tested where it is missing."""
    place = np.searchsorted([*HOT_CLASSES.values()], q_value)  # NaN comes after all
    names = np.array([*HOT_CLASSES, NOT_SIGNIFICANT], dtype=object)[place]
    return list(np.where(np.isnan(q_value), NOT_TESTED, names))


def _spread(
    values: npt.NDArray[np.generic], at: npt.NDArray[np.intp], size: int, absent: float
) -> npt.NDArray[np.generic]:
    filled = np.full(size, absent, dtype=values.dtype)
    filled[at] = values
    return filled


def _cluster_ids(rows: pd.Series, cols: pd.Series, classes: pd.Series) -> list[str | None]:
    """Number touching hot cells from the north-west."""
    hot = np.flatnonzero(classes.isin(HOT_CLASSES))
    names: list[str | None] = [None] * len(rows)
    touching = neighbourhoods(rows.to_numpy()[hot], cols.to_numpy()[hot], Band(TOUCHING))
    first_seen: dict[int, int] = {}
    for cell, label in zip(hot, touching.connected(), strict=True):
        number = first_seen.setdefault(int(label), len(first_seen) + 1)
        names[int(cell)] = f"cluster_{number:03d}"
    return names
