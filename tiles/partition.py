"""Groups of cells that each hold enough real sites to hide who reported from which one."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from tiles.cells import Cell, join_cells
from tiles.errors import ConfigError, RegionError, ReleaseError, TableError
from tiles.files import sha256_file
from tiles.tables import Column, TableSchema, read_notes, read_table, write_table

K_SITES = 5  # one reporter among five sites: an attacker who knows the group is right once in five
MAX_SIZE_M = 40000  # three doublings of the 5 km cell: wider groups say nothing about where to go
CONFIDENCE = 0.9  # the 90 % of every interval in the project; one-sided, since only "too few" harms
SMALLEST_K = 2  # a group of one site names the site
MIN_PEOPLE = 1000  # where people are counted: fewer know each other, and who is away
REST = "rest"  # what no square of 40 km can hide; released only if all of it together holds k

PARTITION = TableSchema(
    name="partition",
    version=2,
    columns=(
        Column("group_id", "string", "the square the group lies in, _part where it fills it not"),
        Column(
            "cell_ids", "list[string]", "the group's cells; each cell of the region stands once"
        ),
        Column("k_lower", "int64", "at least so many real sites, by the lower ends p_low"),
        Column("people", "int64", "people living there, where they were counted", nullable=True),
        Column("released", "bool", "counts of the group may be released"),
        Column("area_km2", "float64", "area of the group's cells inside the region"),
    ),
    geometry_doc="the group's whole cells, joined",
)


@dataclass(frozen=True)
class Rule:
    """What a group must hold before a count of it may be released.

    Attributes:
        k: real sites, by the lower 90 % bound; at least 2.
        min_people: people living there, where they are counted.
        max_size_m: width of the widest square, the cell's width times a power of two.
    """

    k: int = K_SITES
    min_people: int = MIN_PEOPLE
    max_size_m: int = MAX_SIZE_M

    def __post_init__(self) -> None:
        if self.k < SMALLEST_K:
            raise ConfigError(
                f"k is {self.k}: a group must hold at least {SMALLEST_K} sites, 5 is usual."
            )


USUAL_RULE = Rule()


@dataclass(frozen=True)
class Ground:
    """What the rule looks at: the region's cells, their areas, sites' chances, and people.

    Attributes:
        area_km2: of each cell's part inside the region, in the order of the cells.
        p_low: lower ends of the chances of the sites in a cell.
        people: living in each cell; None where nobody counted them.
    """

    area_km2: Mapping[Cell, float]
    p_low: Mapping[Cell, Sequence[float]]
    people: Mapping[Cell, float] | None = None

    def k_lower(self, cells: Iterable[Cell]) -> int:
        """Real sites in these cells, at least."""
        return lower_site_count([p for cell in cells for p in self.p_low.get(cell, ())])

    def people_in(self, cells: Iterable[Cell]) -> int | None:
        """People in these cells, None where nobody counted."""
        if self.people is None:
            return None
        return math.floor(math.fsum(self.people[cell] for cell in cells))

    def holds(self, cells: Sequence[Cell], rule: Rule) -> bool:
        """Whether these cells together hold what the rule asks of a group."""
        if sum(len(self.p_low.get(cell, ())) for cell in cells) < rule.k:
            return False  # most squares: spares them the sums
        people = self.people_in(cells)
        enough = people is None or people >= rule.min_people
        return enough and self.k_lower(cells) >= rule.k


@dataclass(frozen=True)
class Group:
    """Cells that are released as one, and the square they lie in (none for the rest)."""

    square: Cell | None
    cells: tuple[Cell, ...]
    whole: bool
    released: bool = True

    @property
    def group_id(self) -> str:
        """The square's name; the suffix tells that the group does not fill it."""
        if self.square is None:
            return REST
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
    ordered = np.sort(np.asarray(chances, dtype=np.float64))
    certain = int((ordered == 1.0).sum())  # a published list can hold thousands: no convolution
    mass = np.ones(1)  # mass[n] = P(n real sites among the uncertain ones)
    for p in ordered[: ordered.size - certain]:
        grown = np.zeros(mass.size + 1)
        grown[:-1] = mass * (1.0 - p)
        grown[1:] += mass * p
        mass = grown
    at_least = np.cumsum(mass[::-1])[::-1]  # at_least[m] = P(N >= m), small terms summed first
    return certain + int(np.flatnonzero(at_least[1:] >= confidence).size)


def build_partition(
    sites: pd.DataFrame, cells: pd.DataFrame, rule: Rule = USUAL_RULE
) -> gpd.GeoDataFrame:
    """Build the groups from sites and people; reports and visits have no say in any border.

    A cell that by itself holds k real sites (lower 90 % bound) stands. What is left of its parent
    square, twice as wide, is joined where it holds k together; what is left then goes to the next
    square, up to 40 km. What never reaches k becomes the group "rest"; it is released like the
    others if all of it together holds what a group must, and never otherwise: a total over the
    region less the groups would give it away.

    Sites count with p_low, the lower end of the 90 % interval of their probability, not with
    p_site. The doubt about the calibration curve is one doubt for all candidates: it does not
    average out over hundreds of weak ones, as the sum of independent draws would have it, and with
    p_site such sums made groups that held fewer than k real sites.

    Args:
        sites: one row a site with cell_id and p_low in [0, 1].
        cells: the region's cells as CellGrid.cells_of gives them: cell_id, area_km2, and people
            where they were counted (`tiles.population`).
        rule: what a group must hold.

    Returns:
        The table PARTITION, sorted by square size, row and column, "rest" last; a cell that lies
        in the region is in exactly one group. Sites in cells outside the region count nowhere.

    Raises:
        ConfigError: the rule's max_size_m does not fit the cells.
        RegionError: there is no cell, one is named twice, or sizes are mixed.
        TableError: a p_low is no probability.
    """
    ground = ground_of(sites, cells)
    groups, left = join_units(ground, [(cell,) for cell in ground.area_km2], rule)
    rest = Group(None, tuple(left), whole=True, released=ground.holds(left, rule))
    return partition_frame(ground, [*groups, rest] if left else groups)


def partition_frame(ground: Ground, groups: Sequence[Group]) -> gpd.GeoDataFrame:
    """Return the table PARTITION of these groups, in their order."""
    people = [ground.people_in(group.cells) for group in groups]
    return gpd.GeoDataFrame(
        {
            "group_id": pd.Series(_names(groups), dtype=object),
            "cell_ids": [[cell.cell_id for cell in group.cells] for group in groups],
            "k_lower": np.array([ground.k_lower(group.cells) for group in groups], dtype=np.int64),
            "people": pd.array(people, dtype="Int64"),
            "released": np.array([group.released for group in groups], dtype=np.bool_),
            "area_km2": [
                math.fsum(ground.area_km2[cell] for cell in group.cells) for group in groups
            ],
        },
        geometry=gpd.GeoSeries(
            [join_cells(cell.cell_id for cell in group.cells) for group in groups], crs="EPSG:4326"
        ),
    )


def _names(groups: Sequence[Group]) -> list[str]:
    """Names of groups; in a later version a square can hold several parts, which get numbers."""
    seen: dict[str, int] = defaultdict(int)
    names: list[str] = []
    for group in groups:
        seen[group.group_id] += 1
        number = seen[group.group_id]
        names.append(group.group_id if number == 1 else f"{group.group_id}{number}")
    return names


def write_partition(
    frame: gpd.GeoDataFrame, path: Path, notes: Mapping[str, str] | None = None
) -> None:
    """Write a partition; the same partition and notes give the same bytes.

    Raises:
        TableError: the frame is no partition.
    """
    _check(frame, str(path))
    write_table(frame, path, PARTITION, notes)


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


def version_notes(previous: Sequence[Path]) -> dict[str, str]:
    """Return the notes of a version that follows others: the SHA-256 of each of them.

    Raises:
        TableError: a file is absent.
        ReleaseError: one of them follows a version that is not given.
    """
    hashes = [partition_sha256(path) for path in previous]
    for path in previous:
        missing = [sha256 for sha256 in earlier_versions(path) if sha256 not in hashes]
        if missing:
            raise ReleaseError(
                f"{path} follows the version with SHA-256 {missing[0][:12]}...: give that one "
                "with --previous too, since the new version must be safe beside all of them."
            )
    return {"earlier": " ".join(hashes)} if hashes else {}


def earlier_versions(path: Path) -> list[str]:
    """Return the SHA-256 of every version that this one was found safe beside."""
    return read_notes(path).get("earlier", "").split()


def ground_of(sites: pd.DataFrame, cells: pd.DataFrame) -> Ground:
    """Check and index sites and cells as `build_partition` takes them.

    Raises:
        RegionError: there is no cell, one is named twice, or sizes are mixed.
        TableError: a p_low is no probability.
    """
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
    people = None
    if "people" in cells:
        counted = zip(cells["cell_id"], cells["people"], strict=True)
        people = {Cell.parse(str(cell_id)): float(number) for cell_id, number in counted}
    return Ground(dict(sorted(area_km2.items())), p_low, people)


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


def join_units(
    ground: Ground, units: Iterable[tuple[Cell, ...]], rule: Rule
) -> tuple[list[Group], list[Cell]]:
    """Join units of cells, none of which is ever cut, to groups; return these and cells left over.

    Units are single cells, or the groups of an earlier version. A unit waits until the square is
    wide enough to hold it whole.

    Raises:
        ConfigError: the rule's max_size_m does not fit the cells.
    """
    left = sorted(tuple(sorted(unit)) for unit in units)
    cell_size_m = next(iter(ground.area_km2)).size_m
    groups: list[Group] = []
    for size_m in _square_sizes_m(cell_size_m, rule.max_size_m):
        full = Counter(cell.parent(size_m // cell_size_m) for cell in ground.area_km2)
        squares, waiting = _squares(left, size_m)
        for square, members in sorted(squares.items()):
            cells = tuple(sorted(cell for unit in members for cell in unit))
            if ground.holds(cells, rule):
                groups.append(Group(square, cells, len(cells) == full[square]))
            else:
                waiting.extend(members)
        left = sorted(waiting)
    return groups, sorted(cell for unit in left for cell in unit)


def _squares(
    units: Iterable[tuple[Cell, ...]], size_m: int
) -> tuple[dict[Cell, list[tuple[Cell, ...]]], list[tuple[Cell, ...]]]:
    """Sort units by the square of this width that holds them whole; also those that none does."""
    squares: dict[Cell, list[tuple[Cell, ...]]] = defaultdict(list)
    too_wide: list[tuple[Cell, ...]] = []
    for unit in units:
        parents = {cell.parent(size_m // cell.size_m) for cell in unit}
        (squares[parents.pop()] if len(parents) == 1 else too_wide).append(unit)
    return squares, too_wide


def _check(frame: gpd.GeoDataFrame, where: str) -> None:
    cell_ids = [cell_id for ids in frame["cell_ids"] for cell_id in ids]
    for name, values in (("group", list(frame["group_id"])), ("cell", cell_ids)):
        repeated = pd.Series(values, dtype=object).duplicated()
        if repeated.any():
            first = values[int(np.argmax(repeated.to_numpy()))]
            raise TableError(f"{where}: {name} {first} stands twice: build the partition again.")
    if not all(len(ids) for ids in frame["cell_ids"]):
        raise TableError(f"{where}: a group has no cell: build the partition again.")
