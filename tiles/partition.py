"""Groups of cells that each hold enough real sites to hide who reported from which one."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from tiles.cells import Cell, join_cells
from tiles.errors import ConfigError, RegionError, TableError
from tiles.files import sha256_file
from tiles.tables import Column, TableSchema, read_table, write_table

K_SITES = 5  # one reporter among five sites: an attacker who knows the group is right once in five
MAX_SIZE_M = 40000  # three doublings of the 5 km cell: wider groups say nothing about where to go
CONFIDENCE = 0.9  # the 90 % of every interval in the project; one-sided, since only "too few" harms
SMALLEST_K = 2  # a group of one site names the site
REST = "rest"  # what cannot reach k: no release is possible there

PARTITION = TableSchema(
    name="partition",
    version=1,
    columns=(
        Column("group_id", "string", "the square the group fills, _part where only what is left"),
        Column(
            "cell_ids", "list[string]", "the group's cells; each cell of the region stands once"
        ),
        Column("k_lower", "int64", "at least so many real sites, by the lower ends p_low"),
        Column("area_km2", "float64", "area of the group's cells inside the region"),
    ),
    geometry_doc="the group's whole cells, joined",
)


@dataclass(frozen=True)
class _Ground:
    """What the rule looks at: the region's cells, their areas and the chances of their sites."""

    area_km2: Mapping[Cell, float]
    p_low: Mapping[Cell, Sequence[float]]

    def k_lower(self, cells: Iterable[Cell]) -> int:
        return lower_site_count([p for cell in cells for p in self.p_low.get(cell, ())])


@dataclass(frozen=True)
class _Group:
    """Cells that are released as one, and the square they lie in (none for the rest)."""

    square: Cell | None
    cells: tuple[Cell, ...]
    whole: bool

    @property
    def group_id(self) -> str:
        if self.square is None:
            return REST
        # Each square gives at most one group, so its name is the group's; the suffix only tells
        # readers that finer groups have been taken out of the square.
        return self.square.cell_id if self.whole else f"{self.square.cell_id}_part"


def lower_site_count(chances: npt.ArrayLike, confidence: float = CONFIDENCE) -> int:
    """Return the largest m with P(at least m of the sites are real) >= `confidence`.

    The number of real sites among independent candidates is Poisson-binomial; its distribution is
    convolved exactly, one site after the other (Y. Hong, "On computing the distribution function
    for the Poisson binomial distribution", CSDA 59, 2013). Errors that candidates share are outside
    the model: `build_partition` therefore hands in the lower ends of their intervals.

    Args:
        chances: probability of each candidate to be a real site, in [0, 1].
        confidence: one-sided, in (0, 1).
    """
    # Sorted, so that rounding (and with it the bytes of the file) depends on no order of rows.
    mass = np.ones(1)  # mass[n] = P(n real sites)
    for p in np.sort(np.asarray(chances, dtype=np.float64)):
        grown = np.zeros(mass.size + 1)
        grown[:-1] = mass * (1.0 - p)
        grown[1:] += mass * p
        mass = grown
    at_least = np.cumsum(mass[::-1])[::-1]  # at_least[m] = P(N >= m), small terms summed first
    return int(np.flatnonzero(at_least[1:] >= confidence).size)


def build_partition(
    sites: pd.DataFrame, cells: pd.DataFrame, k: int = K_SITES, max_size_m: int = MAX_SIZE_M
) -> gpd.GeoDataFrame:
    """Build the groups from sites alone; reports have no say in where a border runs.

    A cell that by itself holds k real sites (lower 90 % bound) stands. What is left of its parent
    square, twice as wide, is joined where it holds k together; what is left then goes to the next
    square, up to `max_size_m`. What never reaches k becomes the group "rest".

    Sites count with p_low, the lower end of the 90 % interval of their probability, not with
    p_site. The doubt about the calibration curve is one doubt for all candidates: it does not
    average out over hundreds of weak ones, as the sum of independent draws would have it, and with
    p_site such sums made groups that held fewer than k real sites.

    Args:
        sites: one row a site with cell_id and p_low in [0, 1].
        cells: the region's cells as CellGrid.cells_of gives them: cell_id and area_km2.
        k: real sites that a group must hold, at least 2.
        max_size_m: width of the widest square, the cell's width times a power of two.

    Returns:
        The table PARTITION, sorted by square size, row and column, "rest" last; a cell that lies
        in the region is in exactly one group. Sites in cells outside the region count nowhere.

    Raises:
        ConfigError: k or max_size_m is out of range.
        RegionError: there is no cell, one is named twice, or sizes are mixed.
        TableError: a p_low is no probability.
    """
    if k < SMALLEST_K:
        raise ConfigError(f"k is {k}: a group must hold at least {SMALLEST_K} sites, 5 is usual.")
    ground = _ground(sites, cells)
    cell_size_m = next(iter(ground.area_km2)).size_m
    groups = _join(ground, _square_sizes_m(cell_size_m, max_size_m), k)
    return gpd.GeoDataFrame(
        {
            "group_id": pd.Series([group.group_id for group in groups], dtype=object),
            "cell_ids": [[cell.cell_id for cell in group.cells] for group in groups],
            "k_lower": np.array([ground.k_lower(group.cells) for group in groups], dtype=np.int64),
            "area_km2": [
                math.fsum(ground.area_km2[cell] for cell in group.cells) for group in groups
            ],
        },
        geometry=gpd.GeoSeries(
            [join_cells(cell.cell_id for cell in group.cells) for group in groups], crs="EPSG:4326"
        ),
    )


def write_partition(frame: gpd.GeoDataFrame, path: Path) -> None:
    """Write a partition; the same partition gives the same bytes.

    Raises:
        TableError: the frame is no partition.
    """
    _check(frame, str(path))
    write_table(frame, path, PARTITION)


def read_partition(path: Path) -> gpd.GeoDataFrame:
    """Read a partition whose groups are named once and share no cell.

    Raises:
        TableError: the file is absent, no partition, or its groups overlap.
    """
    frame = read_table(path, PARTITION)
    frame["cell_ids"] = [[str(cell_id) for cell_id in ids] for ids in frame["cell_ids"]]
    _check(frame, str(path))
    return frame


def partition_sha256(path: Path) -> str:
    """Return the SHA-256 of a partition file: the name by which releases refer to it.

    Raises:
        TableError: the file is absent.
    """
    if not path.is_file():
        raise TableError(f"{path} is not there: build it with `kilnlight partition build`.")
    return sha256_file(path)


def _ground(sites: pd.DataFrame, cells: pd.DataFrame) -> _Ground:
    area_km2 = {
        Cell.parse(str(cell_id)): float(area)
        for cell_id, area in zip(cells["cell_id"], cells["area_km2"], strict=True)
    }
    if not area_km2:
        raise RegionError("the region has no cell: draw a polygon with an inside.")
    if len(area_km2) != len(cells):
        raise RegionError(
            "a cell of the region is named twice: take the cells of CellGrid.cells_of."
        )
    if len({cell.size_m for cell in area_km2}) > 1:
        raise RegionError("the region's cells are of several sizes: take those of one grid.")
    p_low: dict[Cell, list[float]] = defaultdict(list)
    for cell_id, p in zip(sites["cell_id"], sites["p_low"], strict=True):
        if not 0.0 <= p <= 1.0:  # also true for a missing value
            raise TableError(f"p_low of a site in cell {cell_id} is {p}: it must lie in 0 to 1.")
        p_low[Cell.parse(str(cell_id))].append(float(p))
    return _Ground(dict(sorted(area_km2.items())), p_low)


def _square_sizes_m(cell_size_m: int, max_size_m: int) -> list[int]:
    sizes_m = [cell_size_m]
    while sizes_m[-1] < max_size_m:
        sizes_m.append(sizes_m[-1] * 2)
    if sizes_m[-1] != max_size_m:
        raise ConfigError(
            f"max_size_m is {max_size_m}: it must be {cell_size_m} times a power of two, "
            f"such as {cell_size_m * 8}."
        )
    return sizes_m


def _join(ground: _Ground, sizes_m: Sequence[int], k: int) -> list[_Group]:
    left = list(ground.area_km2)
    groups: list[_Group] = []
    for size_m in sizes_m:
        full = _squares(ground.area_km2, size_m)
        waiting: list[Cell] = []
        for square, members in sorted(_squares(left, size_m).items()):
            if ground.k_lower(members) >= k:
                groups.append(_Group(square, tuple(members), members == full[square]))
            else:
                waiting.extend(members)
        left = sorted(waiting)
    if left:
        groups.append(_Group(None, tuple(left), whole=True))
    return groups


def _squares(cells: Iterable[Cell], size_m: int) -> dict[Cell, list[Cell]]:
    squares: dict[Cell, list[Cell]] = defaultdict(list)
    for cell in cells:
        squares[cell.parent(size_m // cell.size_m)].append(cell)
    return squares


def _check(frame: gpd.GeoDataFrame, where: str) -> None:
    cell_ids = [cell_id for ids in frame["cell_ids"] for cell_id in ids]
    for name, values in (("group", list(frame["group_id"])), ("cell", cell_ids)):
        repeated = pd.Series(values, dtype=object).duplicated()
        if repeated.any():
            first = values[int(np.argmax(repeated.to_numpy()))]
            raise TableError(f"{where}: {name} {first} stands twice: build the partition again.")
    if not all(len(ids) for ids in frame["cell_ids"]):
        raise TableError(f"{where}: a group has no cell: build the partition again.")
