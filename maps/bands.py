"""Which cells stand together in a test: all within a distance at which enough sites are expected.

A hotspot can be found only where its neighbourhood holds enough sites for a threefold density to
stand out, and its edge is drawn the sharper the smaller the neighbourhood is. So the radius is the
smallest at which an average neighbourhood holds LEAST_SITES, up to LONGEST_M. It follows from the
number of sites, of cells and of nothing else: given the total, which the test takes as given, the
choice cannot favour one arrangement of the sites over another, and p stays exact.
"""

from dataclasses import dataclass
from math import isqrt

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tiles.cells import CELL_SIZE_M

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Chosen on planted discs of seeds other than those of the figures (docs/hotspots.md): fewer leave
# edges of discs undetected, more call cells hot that lie two cells outside.
LEAST_SITES = 25
LONGEST_M = 16_000  # beyond, cells two and three away from a disc of 20 km are called hot with it
LARGEST_SHARE = 0.25  # of all tested cells: what is compared must leave a rest to compare with
TOUCHING = 2  # squared radius, in cells, of a cell and the eight around it


@dataclass(frozen=True)
class Band:
    """All cells whose centres lie within a distance: a fixed distance band, as GIS tools say."""

    squared_cells: int
    """Square of the radius in cells, so that it is a whole number."""
    size_m: int = CELL_SIZE_M

    @property
    def radius_km(self) -> float:
        """Radius in km, between centres of cells."""
        return float(np.sqrt(self.squared_cells)) * self.size_m / 1000

    @property
    def reach(self) -> list[tuple[int, int]]:
        """Each row of the band as (rows down, columns to either side)."""
        down = isqrt(self.squared_cells)
        return [(step, isqrt(self.squared_cells - step**2)) for step in range(-down, down + 1)]

    @property
    def n_cells(self) -> int:
        """Cells of a whole neighbourhood, the one in the middle included."""
        return sum(2 * aside + 1 for _, aside in self.reach)


def choose_band(n_cells: int, n_sites: int, size_m: int = CELL_SIZE_M) -> Band:
    """Return the neighbourhood for a region of so many tested cells and sites on them."""
    longest = max((LONGEST_M / size_m) ** 2, TOUCHING)
    bands = [Band(squared, size_m) for squared in range(TOUCHING, int(longest) + 1)]
    most = max(LARGEST_SHARE * n_cells, bands[0].n_cells)
    allowed = [band for band in bands if band.n_cells <= most]
    widest = next(band for band in allowed if band.n_cells == allowed[-1].n_cells)
    sites_a_cell = n_sites / max(n_cells, 1)
    return next((b for b in allowed if b.n_cells * sites_a_cell >= LEAST_SITES), widest)


@dataclass(frozen=True)
class Neighbourhoods:
    """The neighbourhood of each cell: runs of cells in the grid's order.

    A band crosses each row of the grid in one run, and so does a region's list of cells when it
    is sorted by row and column, whatever is missing: sums are differences of running totals.
    """

    order: npt.NDArray[np.intp]  # (n,) cells by row and column
    first: npt.NDArray[np.integer]  # (rows of the band, n) start of each run in that order
    end: npt.NDArray[np.integer]  # (rows of the band, n) one past its end

    @property
    def size(self) -> Ints:
        """Cells in each neighbourhood, the one in the middle included."""
        size = np.empty(len(self.order), dtype=np.int64)
        size[self.order] = (self.end - self.first).sum(axis=0)
        return size

    def sums(self, values: Floats) -> Floats:
        """Add up a value over each neighbourhood."""
        running = np.concatenate([[0.0], np.cumsum(values[self.order])])
        ordered = np.zeros(len(values))
        for first, end in zip(self.first, self.end, strict=True):
            ordered += running[end] - running[first]
        total = np.empty_like(ordered)
        total[self.order] = ordered
        return total

    def connected(self) -> npt.NDArray[np.int32]:
        """Label the cells by the connected group that their neighbourhoods join them to."""
        if not len(self.order):
            return np.zeros(0, dtype=np.int32)
        runs = zip(self.first.ravel(), self.end.ravel(), strict=True)
        links = [np.arange(first, end) for first, end in runs]
        here = np.tile(np.arange(len(self.order)), len(self.first))
        here = np.repeat(here, [len(link) for link in links])
        there = np.concatenate(links)
        pairs = coo_array((np.ones(len(there)), (here, there)), shape=(len(self.order),) * 2)
        label = np.empty(len(self.order), dtype=np.int32)
        label[self.order] = connected_components(pairs, directed=False)[1]
        return label

    def members(self, cell: int) -> npt.NDArray[np.intp]:
        """Positions of the cells in the neighbourhood of one cell, itself included."""
        at = int(np.flatnonzero(self.order == cell)[0])
        runs = zip(self.first[:, at], self.end[:, at], strict=True)
        return np.concatenate([self.order[first:end] for first, end in runs])


def neighbourhoods(rows: Ints, cols: Ints, band: Band) -> Neighbourhoods:
    """Find the neighbourhood of each cell among these cells, each named once.

    Takes 4 bytes a square of the box that holds all cells: 90 MB were it the whole globe.
    """
    if not len(rows):
        nothing = np.zeros((len(band.reach), 0), dtype=np.intp)
        return Neighbourhoods(nothing[0], nothing, nothing)
    down = isqrt(band.squared_cells)
    width = int(np.ptp(cols)) + 2 * down + 1  # so that no run reaches into the next row
    keys = (rows - rows.min() + down) * width + (cols - cols.min() + down)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    present = np.zeros(keys[-1] + down * (width + 1) + 2, dtype=np.int32)
    present[keys + 1] = 1
    cells_before = np.cumsum(present, dtype=np.int32)
    runs = [(step * width, aside) for step, aside in band.reach]
    first = np.stack([cells_before[keys + start - aside] for start, aside in runs])
    end = np.stack([cells_before[keys + start + aside + 1] for start, aside in runs])
    return Neighbourhoods(order, first, end)
