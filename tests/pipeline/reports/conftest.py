"""A made-up region, its partition, and report files, for every test of the reports."""

import csv
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest

from pipeline.reports.counting import Layout
from pipeline.reports.settings import ReleaseSettings
from tiles.cells import Cell, unproject
from tiles.partition import build_partition, write_partition

HEADER = ["consent", "reporter", "lat", "lon", "month", "industry"]
KILNS = "C_Manufacturing"
ROW, COL = 800, 4800  # corner of a 40 km square of the grid


@dataclass(frozen=True)
class MadeUp:
    """Four lone cells that can be released, and one far cell that cannot."""

    folder: Path
    partition: Path

    def place(self, name: str) -> tuple[str, str]:
        """Latitude and longitude, as text, of the middle of cell A, B, C, D or the rest R."""
        middle = unproject([_cell(name).square.centroid])[0]
        return f"{middle.y:.6f}", f"{middle.x:.6f}"

    def row(self, reporter: str, cell: str, /, **change: str) -> dict[str, str]:
        lat, lon = self.place(cell)
        fields = {"consent": "yes", "reporter": reporter, "lat": lat, "lon": lon}
        return {**fields, "month": "2026-02", "industry": KILNS, **change}

    def write(self, rows: list[dict[str, str]], name: str = "reports.csv") -> Path:
        path = self.folder / name
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, HEADER)
            writer.writeheader()
            writer.writerows(rows)
        return path

    def settings(self, rows: list[dict[str, str]] | None = None, **change: object):
        if rows is not None:
            self.write(rows)
        values = {
            "reports": self.folder / "reports.csv",
            "partition": self.partition,
            "period": "2025-11/2026-06",
            "ledger": self.folder / "ledger.jsonl",
            "output": self.folder / "out" / "noised_counts.parquet",
            **change,
        }
        return ReleaseSettings.model_validate(values)

    def layout(self, industries: tuple[str, ...] = (KILNS,)) -> Layout:
        return Layout.of(made_up_partition(), industries)

    def group(self, name: str) -> str:
        return _cell(name).cell_id


def _cell(name: str) -> Cell:
    row, col = {"A": (0, 0), "B": (0, 4), "C": (4, 0), "D": (4, 4), "R": (0, 8)}[name]
    return Cell(5000, ROW + row, COL + col)


def made_up_partition(sites_in_a: int = 5) -> gpd.GeoDataFrame:
    cells = [_cell(name).cell_id for name in "ABCDR"]
    sites = pd.DataFrame({"cell_id": np.repeat(cells, [sites_in_a, 6, 7, 8, 2]), "p_low": 1.0})
    return build_partition(sites, pd.DataFrame({"cell_id": cells, "area_km2": 25.0}))


@pytest.fixture
def made_up(tmp_path: Path) -> MadeUp:
    partition = tmp_path / "partition.parquet"
    write_partition(made_up_partition(), partition)
    return MadeUp(tmp_path, partition)


@pytest.fixture(scope="session")
def shared_made_up(tmp_path_factory: pytest.TempPathFactory) -> MadeUp:
    """The same, for tests that draw many examples in one folder."""
    folder = tmp_path_factory.mktemp("made_up")
    write_partition(made_up_partition(), folder / "partition.parquet")
    return MadeUp(folder, folder / "partition.parquet")
