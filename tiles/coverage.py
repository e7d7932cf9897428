"""What was looked at: every ground pixel of the region has one status, the best over all scenes."""

from dataclasses import dataclass
from datetime import date as day
from datetime import timedelta
from typing import Protocol, cast

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from tiles.blocks import Block
from tiles.cells import (
    CELL_SIZE_M,
    EQUAL_AREA,
    GRID_NORTH_M,
    GRID_WEST_M,
    CellGrid,
    cell_polygons,
    project,
)
from tiles.scene import Scene
from tiles.tables import Column, TableSchema

STATUSES = (
    "searched",
    "searched_gate",
    "water",
    "cloud",
    "snow",
    "nodata",
    "out_of_season",
    "failed",
)
SEARCHED = ("searched", "searched_gate", "water")  # the denominator of every rate
NOT_IMAGED = len(STATUSES)  # no scene reached the ground pixel yet; worse than every status
ALL_NOT_IMAGED = STATUSES.index("nodata")  # what such a pixel becomes in the table
GROUND_PIXEL_M = 100  # sampling step of coverage: 2,500 ground pixels a 5 km cell
GROUND_PIXELS_PER_CELL = CELL_SIZE_M // GROUND_PIXEL_M  # along one side
FULL_CELL_KM2 = CELL_SIZE_M**2 / 1e6
EPOCH = day(1970, 1, 1)
NO_FIRST, NO_LAST = 2**31 - 1, -1  # neither wins when the earliest and the latest are sought

COVERAGE = TableSchema(
    name="coverage",
    version=2,
    columns=(
        Column("cell_id", "string", "square of the 5 km equal-area grid"),
        Column("period", "string", "first and last month, as 2025-11/2026-06"),
        Column("status", "string", "one of " + ", ".join(STATUSES)),
        Column("area_km2", "float64", "area of the cell inside the region that has this status"),
        Column("first_date", "string", "earliest scene that gave this status here", nullable=True),
        Column("last_date", "string", "latest scene that gave this status here", nullable=True),
    ),
    geometry_doc="the whole cell",
)


class DaySpan(Protocol):
    """First and last day of the looks that decided each pixel; days since 1970, (y, x)."""

    @property
    def first_day(self) -> npt.NDArray[np.int32]:
        """The first day; NO_FIRST where it is not known."""

    @property
    def last_day(self) -> npt.NDArray[np.int32]:
        """The last day; NO_LAST where it is not known."""


@dataclass(frozen=True)
class GroundStatus:
    """Statuses of the ground pixels that one block saw: arrays of equal length.

    `row` and `col` count squares of GROUND_PIXEL_M on the equal-area grid; `status` indexes
    STATUSES; the days count from 1970, NO_FIRST and NO_LAST where no date is known.
    """

    row: npt.NDArray[np.int32]
    col: npt.NDArray[np.int32]
    status: npt.NDArray[np.uint8]
    first_day: npt.NDArray[np.int32]
    last_day: npt.NDArray[np.int32]


def sample_ground(
    scene: Scene, block: Block, status: npt.NDArray[np.uint8] | int, days: DaySpan | None = None
) -> GroundStatus:
    """Give each ground pixel with its centre in the block's core the status of the pixel there.

    Args:
        scene: the scene the block belongs to.
        block: its core says which ground pixels it answers for.
        status: (y, x) of the core's pixels inside the scene, or one status for all of them.
        days: when each of the core's pixels was looked at; the scene's own date when absent.
    """
    rows, cols = min(block.rows, scene.rows - block.row), min(block.cols, scene.cols - block.col)
    west, south, east, north = project(scene.outline(block.row, block.col, rows, cols)).bounds
    ground = CellGrid(GROUND_PIXEL_M)
    row_range = np.arange(int(ground.rows_of(north)), int(ground.rows_of(south)) + 1)
    col_range = np.arange(int(ground.cols_of(west)), int(ground.cols_of(east)) + 1)
    ground_row, ground_col = (a.ravel() for a in np.meshgrid(row_range, col_range, indexing="ij"))
    x_m = GRID_WEST_M + (ground_col + 0.5) * GROUND_PIXEL_M
    y_m = GRID_NORTH_M - (ground_row + 0.5) * GROUND_PIXEL_M
    px_col, px_row = scene.from_crs(f"EPSG:{EQUAL_AREA}", x_m, y_m)
    col = np.floor(px_col).astype(np.int64) - block.col
    row = np.floor(px_row).astype(np.int64) - block.row
    inside = (row >= 0) & (row < rows) & (col >= 0) & (col < cols)
    row, col = row[inside], col[inside]
    seen = np.full(row.shape, status) if isinstance(status, int) else status[row, col]
    first, last = day_number(scene.date, NO_FIRST), day_number(scene.date, NO_LAST)
    return GroundStatus(
        ground_row[inside].astype(np.int32),
        ground_col[inside].astype(np.int32),
        seen.astype(np.uint8),
        np.full(row.shape, first, np.int32) if days is None else days.first_day[row, col],
        np.full(row.shape, last, np.int32) if days is None else days.last_day[row, col],
    )


def day_number(date: str | None, unknown: int) -> int:
    """Days from 1970-01-01 to a date (ISO 8601); `unknown` where there is none."""
    return unknown if date is None else (day.fromisoformat(date[:10]) - EPOCH).days


def day_text(number: int) -> str | None:
    """The date (ISO 8601) of a number of days since 1970-01-01; None where it is not known."""
    known = NO_LAST < number < NO_FIRST
    return (EPOCH + timedelta(days=number)).isoformat() if known else None


def coverage_table(rows: pd.DataFrame, period: str) -> gpd.GeoDataFrame:
    """The COVERAGE table from rows of cell_id, status, area_km2, first_date and last_date."""
    squares = cell_polygons(list(rows["cell_id"])).values
    return gpd.GeoDataFrame(rows.assign(period=period), geometry=squares, crs="EPSG:4326")


def searched_km2(coverage: pd.DataFrame) -> "pd.Series[float]":
    """Return the searched area per cell_id: the denominator of every rate, in km2."""
    seen = coverage[coverage["status"].isin(SEARCHED)]
    return cast("pd.Series[float]", seen.groupby("cell_id")["area_km2"].sum())
