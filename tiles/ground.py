"""The ground pixels behind the coverage table: what was looked at, at any single point."""

import base64
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import numpy.typing as npt

from tiles.cells import CellGrid, cell_polygons
from tiles.coverage import (
    ALL_NOT_IMAGED,
    GROUND_PIXEL_M,
    GROUND_PIXELS_PER_CELL,
    NO_FIRST,
    NO_LAST,
    NOT_IMAGED,
    STATUSES,
    GroundStatus,
)
from tiles.tables import Column, TableSchema, read_table

PACKING_LEVEL = 6  # zlib's own default; fixed, because the level changes the bytes
HEADER_BYTES = 16  # four 32-bit numbers before a packed rectangle: row, column, rows, columns
_SIDE = GROUND_PIXELS_PER_CELL

GROUND = TableSchema(
    name="ground",
    version=1,
    columns=(
        Column("cell_id", "string", "square of the 5 km equal-area grid"),
        Column(
            "codes",
            "string",
            f"{_SIDE} x {_SIDE} bytes from the north-west, row by row, zlib, base64; each is the "
            f"status of {GROUND_PIXEL_M} m: "
            + ", ".join(f"{i} {s}" for i, s in enumerate(STATUSES)),
        ),
    ),
    geometry_doc="the whole cell",
)

CellRaster = npt.NDArray[np.uint8]
DayRaster = npt.NDArray[np.int32]
Slices = tuple[slice, slice]


def ground_table(rasters: Iterable[tuple[str, CellRaster]]) -> gpd.GeoDataFrame:
    """Return the GROUND table of cells.

    Args:
        rasters: cell_id, and its statuses as (50, 50) indexes into STATUSES, or NOT_IMAGED.
    """
    ids: list[str] = []
    codes: list[str] = []
    for cell_id, raster in rasters:
        ids.append(cell_id)
        codes.append(base64.b64encode(zlib.compress(raster.tobytes(), PACKING_LEVEL)).decode())
    data = {"cell_id": ids, "codes": codes}
    return gpd.GeoDataFrame(data, geometry=cell_polygons(ids).values, crs="EPSG:4326")


@dataclass(frozen=True)
class GroundMap:
    """Statuses of ground pixels of GROUND_PIXEL_M, by cell_id."""

    codes: dict[str, str]

    def raster(self, cell_id: str) -> CellRaster | None:
        """The (50, 50) statuses of a cell, or None where no scene reached it."""
        packed = self.codes.get(cell_id)
        if packed is None:
            return None
        raw = zlib.decompress(base64.b64decode(packed))
        return np.frombuffer(raw, np.uint8).reshape(_SIDE, _SIDE)

    def status_at(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> npt.NDArray[np.str_]:
        """The status at points (degrees, WGS 84); `nodata` where no scene reached."""
        rows, cols = CellGrid(GROUND_PIXEL_M).cells_at(lon, lat)
        ids, which = np.unique(CellGrid().cell_ids_at(lon, lat), return_inverse=True)
        found = np.full(len(which), ALL_NOT_IMAGED, np.uint8)
        members = np.split(np.argsort(which, kind="stable"), np.cumsum(np.bincount(which))[:-1])
        for cell_id, here in zip(ids, members, strict=True):
            raster = self.raster(str(cell_id))
            if raster is not None:
                found[here] = raster[rows[here] % _SIDE, cols[here] % _SIDE]
        found[found == NOT_IMAGED] = ALL_NOT_IMAGED
        return np.asarray(STATUSES)[found]


def read_ground(path: Path) -> GroundMap:
    """Read a GROUND table.

    Raises:
        TableError: the file is absent or no such table.
    """
    frame = read_table(path, GROUND)
    return GroundMap(dict(zip(frame["cell_id"], frame["codes"], strict=True)))


@dataclass(frozen=True)
class GroundWindow:
    """A rectangle of ground pixels: its first row and column, and (y, x) statuses and days.

    Outside what a block saw, `status` is NOT_IMAGED.
    """

    row0: int
    col0: int
    status: CellRaster
    first_day: DayRaster
    last_day: DayRaster


def window_of(seen: GroundStatus) -> GroundWindow:
    """The smallest rectangle that holds what a block saw."""
    if not len(seen.row):
        return GroundWindow(0, 0, *_blank(0, 0))
    row0, col0 = int(seen.row.min()), int(seen.col.min())
    planes = _blank(int(seen.row.max()) - row0 + 1, int(seen.col.max()) - col0 + 1)
    at = seen.row - row0, seen.col - col0
    planes[0][at], planes[1][at], planes[2][at] = seen.status, seen.first_day, seen.last_day
    return GroundWindow(row0, col0, *planes)


def _blank(rows: int, cols: int) -> tuple[CellRaster, DayRaster, DayRaster]:
    return (
        np.full((rows, cols), NOT_IMAGED, np.uint8),
        np.full((rows, cols), NO_FIRST, np.int32),
        np.full((rows, cols), NO_LAST, np.int32),
    )


def pack_ground(window: GroundWindow) -> bytes:
    """Pack a window into a few hundred bytes."""
    header = np.array([window.row0, window.col0, *window.status.shape], "<i4").tobytes()
    planes = window.status, window.first_day.astype("<i4"), window.last_day.astype("<i4")
    return header + zlib.compress(b"".join(p.tobytes() for p in planes), PACKING_LEVEL)


def unpack_ground(packed: bytes) -> GroundWindow:
    """What `pack_ground` packed."""
    header = np.frombuffer(packed[:HEADER_BYTES], "<i4")
    row0, col0, rows, cols = (int(value) for value in header)
    raw, size = zlib.decompress(packed[HEADER_BYTES:]), rows * cols
    days = (
        np.frombuffer(raw, "<i4", offset=size).reshape(2, rows, cols)
        if size
        else np.zeros((2, rows, cols), "<i4")
    )
    status = np.frombuffer(raw, np.uint8, count=size).reshape(rows, cols)
    return GroundWindow(row0, col0, status, days[0], days[1])


@dataclass(frozen=True)
class CellSpan:
    """First and last row and column of cells, all included."""

    first_row: int
    last_row: int
    first_col: int
    last_col: int

    def meets(self, other: "CellSpan") -> bool:
        """Whether the two share a cell."""
        return (
            self.first_row <= other.last_row
            and other.first_row <= self.last_row
            and self.first_col <= other.last_col
            and other.first_col <= self.last_col
        )


NO_CELLS = CellSpan(2**31 - 1, -(2**31), 2**31 - 1, -(2**31))  # meets no other


def cells_of_window(window: GroundWindow) -> CellSpan:
    """The rectangle of 5 km cells that a window lies in; empty for an empty window."""
    rows, cols = window.status.shape
    if not rows:
        return NO_CELLS
    last_row, last_col = window.row0 + rows - 1, window.col0 + cols - 1
    return CellSpan(
        window.row0 // _SIDE, last_row // _SIDE, window.col0 // _SIDE, last_col // _SIDE
    )


class GroundSquare:
    """The ground pixels of a rectangle of cells; the best status of each wins, in any order."""

    def __init__(self, span: CellSpan) -> None:
        self.span = span
        rows = (span.last_row - span.first_row + 1) * _SIDE
        cols = (span.last_col - span.first_col + 1) * _SIDE
        self.status, self.first_day, self.last_day = _blank(rows, cols)

    def add(self, seen: GroundWindow) -> None:
        """Take in what one block saw, as far as it lies in the rectangle."""
        ours, theirs = self._overlap(seen)
        better, equal = (
            seen.status[theirs] < self.status[ours],
            (seen.status[theirs] == self.status[ours]),
        )
        for kept, new, extend in (
            (self.first_day, seen.first_day, np.minimum),
            (self.last_day, seen.last_day, np.maximum),
        ):
            extended = np.where(equal, extend(kept[ours], new[theirs]), kept[ours])
            kept[ours] = np.where(better, new[theirs], extended)
        self.status[ours] = np.minimum(self.status[ours], seen.status[theirs])

    def _overlap(self, seen: GroundWindow) -> tuple[Slices, Slices]:
        """Where a window and the rectangle overlap, in the arrays of the one and of the other."""
        row, col = seen.row0 - self.span.first_row * _SIDE, seen.col0 - self.span.first_col * _SIDE
        rows = max(row, 0), max(min(row + seen.status.shape[0], self.status.shape[0]), 0)
        cols = max(col, 0), max(min(col + seen.status.shape[1], self.status.shape[1]), 0)
        ours = slice(*rows), slice(*cols)
        theirs = (
            slice(rows[0] - row, max(rows[1] - row, 0)),
            slice(cols[0] - col, max(cols[1] - col, 0)),
        )
        return ours, theirs

    def cell(self, row: int, col: int) -> GroundWindow:
        """The (50, 50) ground pixels of one cell."""
        y, x = (row - self.span.first_row) * _SIDE, (col - self.span.first_col) * _SIDE
        here = np.s_[y : y + _SIDE, x : x + _SIDE]
        return GroundWindow(
            row * _SIDE, col * _SIDE, self.status[here], self.first_day[here], self.last_day[here]
        )


def spans_of(rows: Iterable[int], cols: Iterable[int], side: int) -> Iterator[CellSpan]:
    """Squares of `side` cells, in order, that together hold all the cells given."""
    squares = sorted({(row // side, col // side) for row, col in zip(rows, cols, strict=True)})
    for row, col in squares:
        yield CellSpan(row * side, (row + 1) * side - 1, col * side, (col + 1) * side - 1)
