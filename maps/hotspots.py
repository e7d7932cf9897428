"""Where sites are denser than chance: Gi* to show it, an exact test, false finds controlled."""

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import betainc

from maps.expected import whole_cell_km2
from tiles.cells import cell_polygons
from tiles.tables import Column, TableSchema

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEAST_SEARCHED_SHARE = 0.2  # of the whole cell: less ground cannot speak for 5 km
HOT_CLASSES = {"hot_99": 0.01, "hot_95": 0.05, "hot_90": 0.10}  # class: false discovery rate
NOT_SIGNIFICANT, NOT_TESTED = "not_significant", "not_tested"
STRONGEST_FIRST = (*HOT_CLASSES, NOT_SIGNIFICANT, NOT_TESTED)
COLUMN_BITS = 32  # row and column in one 64-bit key; columns of 5 km cells stay under 7,000

HOTSPOTS = TableSchema(
    name="hotspots",
    version=1,
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
        Column("n_neighbours", "int64", "tested cells among the eight around it"),
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

    Cells that are not tested belong to no neighbourhood either. Neighbourhoods are the cell and the
    tested ones of the eight around it, all with weight 1.

    Args:
        cells: what `expected_by_cell` returns.
        period: months the survey speaks for.
        site_class_name: name of the site class.

    Returns:
        A HOTSPOTS table in the order of the cells.
    """
    table = cells[[name for name in HOTSPOTS.column_names if name in cells.columns]].copy()
    table["site_class"], table["period"] = site_class_name, period
    searched = table["searched_km2"].to_numpy()
    counts = table["n_sites"].to_numpy()
    rate = np.divide(counts, searched, out=np.full(len(table), np.nan), where=searched > 0)
    table["rate_per_1000km2"] = 1000 * rate
    whole_km2 = whole_cell_km2(str(cells["cell_id"].iloc[0])) if len(cells) else 1.0
    tested = np.flatnonzero(searched >= LEAST_SEARCHED_SHARE * whole_km2)
    rows, cols = (cells[name].to_numpy()[tested] for name in ("row", "col"))
    result = check_cells(rows, cols, counts[tested], searched[tested])
    for name in ("gi_z", "p_value", "q_value"):
        table[name] = _spread(getattr(result, name), tested, len(table), np.nan)
    table["n_neighbours"] = _spread(result.n_neighbours, tested, len(table), 0)
    table["hotspot_class"] = _classes(table["q_value"].to_numpy())
    table["cluster_id"] = _cluster_ids(cells["row"], cells["col"], table["hotspot_class"])
    return gpd.GeoDataFrame(table, geometry=cell_polygons(list(cells["cell_id"])), crs="EPSG:4326")


def check_cells(rows: Ints, cols: Ints, counts: Ints, searched_km2: Floats) -> CellTest:
    """Gi*, p and q of cells that are all to be tested; arrays of one length."""
    around = neighbour_index(rows, cols)
    size = (around < len(rows)).sum(axis=0)
    p_value = conditional_p(counts, searched_km2, around)
    return CellTest(
        gi_z=getis_ord_star(counts / searched_km2, around),
        p_value=p_value,
        q_value=benjamini_hochberg(p_value),
        n_neighbours=size - 1,
    )


def neighbour_index(rows: Ints, cols: Ints) -> Ints:
    """Return positions (9, n) of each cell and the eight around it; n where there is none."""
    keys = (rows << COLUMN_BITS) + cols
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    steps = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    found = np.full((len(steps), len(keys)), len(keys), dtype=np.int64)
    for place, (down, right) in enumerate(steps):
        wanted = keys + (down << COLUMN_BITS) + right
        at = np.minimum(np.searchsorted(ordered, wanted), max(len(keys) - 1, 0))
        hit = ordered[at] == wanted
        found[place, hit] = order[at[hit]]
    return found


def getis_ord_star(values: Floats, around: Ints) -> Floats:
    """Return z of Gi* with binary weights, the cell itself included.

    Ord and Getis, Geographical Analysis 27 (1995) 286-306, equation 14. NaN where it is undefined:
    all values equal, or the neighbourhood is the whole region.
    """
    n = len(values)
    if n < 2:
        return np.full(n, np.nan)
    size = (around < n).sum(axis=0)
    mean, sd = values.mean(), values.std()
    spread = sd * np.sqrt(size * (n - size) / (n - 1))
    # A spread of the size of rounding errors is none: all values are equal.
    defined = spread > 1e-12 * max(float(np.abs(values).max()), 1e-300)
    excess = _sums(values, around) - mean * size
    z: Floats = np.divide(excess, spread, out=np.full(n, np.nan), where=defined)
    return z


def conditional_p(counts: Ints, searched_km2: Floats, around: Ints) -> Floats:
    """Return P(as many sites in the neighbourhood, or more) if density were the same everywhere.

    Given the total, a neighbourhood's sum is binomial with the neighbourhood's share of the
    searched area (Przyborowski and Wilenski, Biometrika 31 (1940) 313-323), so p is exact at any
    number of sites and any coverage, where the normal approximation of Gi* is not.
    """
    near = _sums(counts.astype(np.float64), around)
    share = np.minimum(_sums(searched_km2, around) / max(searched_km2.sum(), 1e-300), 1.0)
    others = float(counts.sum()) - near
    # P(X >= k) of a binomial is a regularised incomplete beta function.
    tail = betainc(np.maximum(near, 1), others + 1, share)
    return np.asarray(np.where(near > 0, tail, 1.0))


def benjamini_hochberg(p_value: Floats) -> Floats:
    """Return q-values (Benjamini and Hochberg, J. R. Stat. Soc. B 57 (1995) 289-300)."""
    order = np.argsort(p_value, kind="stable")
    scaled = p_value[order] * len(p_value) / np.arange(1, len(p_value) + 1)
    q_value = np.empty_like(p_value)
    q_value[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return q_value


def _sums(values: Floats, around: Ints) -> Floats:
    padded = np.append(values, 0.0)
    total = np.zeros(len(values))
    for places in around:
        total += padded[places]
    return total


def _spread(
    values: npt.NDArray[np.generic], at: npt.NDArray[np.intp], size: int, absent: float
) -> npt.NDArray[np.generic]:
    filled = np.full(size, absent, dtype=values.dtype)
    filled[at] = values
    return filled


def _classes(q_value: Floats) -> list[str]:
    hot = [q_value <= rate for rate in HOT_CLASSES.values()]
    names = np.select([*hot, np.isfinite(q_value)], [*HOT_CLASSES, NOT_SIGNIFICANT], NOT_TESTED)
    return [str(name) for name in names]


def _cluster_ids(rows: pd.Series, cols: pd.Series, classes: pd.Series) -> list[str | None]:
    """Number touching hot cells from the north-west."""
    hot = np.flatnonzero(classes.isin(HOT_CLASSES))
    names: list[str | None] = [None] * len(rows)
    around = neighbour_index(rows.to_numpy()[hot], cols.to_numpy()[hot])
    here = np.broadcast_to(np.arange(len(hot)), around.shape)
    touch = around < len(hot)
    links = coo_array((np.ones(touch.sum()), (here[touch], around[touch])), shape=(len(hot),) * 2)
    labels = connected_components(links, directed=False)[1] if len(hot) else []
    first_seen: dict[int, int] = {}
    for cell, label in zip(hot, labels, strict=True):
        number = first_seen.setdefault(int(label), len(first_seen) + 1)
        names[int(cell)] = f"cluster_{number:03d}"
    return names
