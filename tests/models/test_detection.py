"""Detections: positions, lengths and azimuths in every kind of grid, and the table's columns."""

from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyproj
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from models.detection import (
    DETECTIONS,
    Floats,
    PixelBoxes,
    SiteProbabilities,
    georeference,
)
from tiles.tables import read_table, write_table

UTM = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 3_100_000.0)
DEGREES = Affine(9e-5, 0.0, 77.0, 0.0, -9e-5, 28.5)
# +col points 30 degrees north of east.
COS, SIN = 10 * np.cos(np.radians(30)), 10 * np.sin(np.radians(30))
ROTATED = Affine(COS, SIN, 500_000.0, SIN, -COS, 3_100_000.0)


def apply(transform: Affine, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    t = transform
    return t.a * x + t.b * y + t.c, t.d * x + t.e * y + t.f


@dataclass(frozen=True)
class Grid:
    """A scene's grid, as far as positions need one."""

    crs: str
    transform: Affine
    scene_id: str = "made_up"
    date: str | None = "2024-01-15"

    def to_lonlat(self, col: Floats, row: Floats) -> tuple[Floats, Floats]:
        x, y = apply(self.transform, np.asarray(col, float), np.asarray(row, float))
        lon, lat = pyproj.Transformer.from_crs(self.crs, 4326, always_xy=True).transform(x, y)
        return np.asarray(lon), np.asarray(lat)

    def to_pixel(self, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
        x, y = pyproj.Transformer.from_crs(4326, self.crs, always_xy=True).transform(lon, lat)
        return apply(~self.transform, np.asarray(x), np.asarray(y))


GRIDS = {
    "utm": Grid("EPSG:32644", UTM),
    "degrees": Grid("EPSG:4326", DEGREES),
    "rotated": Grid("EPSG:32644", ROTATED),
}


def one_box(
    row: float, col: float, angle_rad: float, length_px: float = 10.0, width_px: float = 5.0
) -> PixelBoxes:
    whole = np.array([int(row)]), np.array([int(col)])
    return PixelBoxes(
        np.array([row]),
        np.array([col]),
        *whole,
        np.array([length_px]),
        np.array([width_px]),
        np.array([angle_rad]),
        np.array([0.87654321]),
    )


def table(boxes: PixelBoxes, grid: Grid) -> gpd.GeoDataFrame:
    p = np.full(len(boxes), 0.5)
    return georeference(
        boxes, grid, "brick_kiln", SiteProbabilities(p, p - 0.1, p + 0.1), np.zeros(len(p), bool)
    )


@pytest.mark.parametrize("name", GRIDS)
@given(row=st.floats(0, 10_000), col=st.floats(0, 10_000), angle=st.floats(0, np.pi))
@settings(max_examples=25, deadline=None)
def test_centres_are_right_to_a_hundredth_of_a_pixel(
    name: str, row: float, col: float, angle: float
) -> None:
    grid = GRIDS[name]
    frame = table(one_box(row, col, angle), grid)
    back_col, back_row = grid.to_pixel(frame["lon"].to_numpy(), frame["lat"].to_numpy())
    assert back_col[0] == pytest.approx(col, abs=0.01)
    assert back_row[0] == pytest.approx(row, abs=0.01)
    centre = frame.geometry.iloc[0].centroid
    assert centre.x == pytest.approx(frame["lon"].iloc[0], abs=1e-6)
    assert centre.y == pytest.approx(frame["lat"].iloc[0], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "angle_deg", "azimuth_deg", "length_m", "width_m"),
    [
        # UTM zone 44N at its central meridian's scale 0.9996: 100 m on the map, 100.04 on land.
        ("utm", 0.0, 90.0, 100.04, 50.02),
        ("utm", 90.0, 0.0, 100.04, 50.02),
        ("utm", 45.0, 135.0, 100.04, 50.02),
        # +col points 30 degrees north of east: the long side along it has azimuth 60.
        ("rotated", 0.0, 60.0, 100.04, 50.02),
        ("rotated", 90.0, 150.0, 100.04, 50.02),
        # 9e-5 degrees: 9.974 m north to south, 8.813 m east to west at 28.5 north.
        ("degrees", 0.0, 90.0, 88.1, 49.9),
        ("degrees", 90.0, 0.0, 99.7, 44.1),
    ],
)
def test_lengths_and_azimuths_are_geodesics(
    name: str, angle_deg: float, azimuth_deg: float, length_m: float, width_m: float
) -> None:
    row = table(one_box(100.0, 50.0, np.radians(angle_deg)), GRIDS[name]).iloc[0]
    turn = (row["azimuth_deg"] - azimuth_deg + 90) % 180 - 90
    assert turn == pytest.approx(0, abs=0.15)
    assert 0 <= row["azimuth_deg"] < 180
    assert row["length_m"] == pytest.approx(length_m, abs=0.15)
    assert row["width_m"] == pytest.approx(width_m, abs=0.15)


def test_a_box_longer_across_in_metres_is_turned() -> None:
    box = one_box(100.0, 50.0, 0.0, length_px=10.0, width_px=9.5)
    row = table(box, GRIDS["degrees"]).iloc[0]
    assert row["length_m"] > row["width_m"]
    assert min(row["azimuth_deg"], 180 - row["azimuth_deg"]) == pytest.approx(0.0, abs=0.01)


def test_footprints_are_rectangles_of_the_stated_size() -> None:
    frame = table(one_box(100.0, 50.0, 0.7), GRIDS["utm"])
    footprint = frame.to_crs("EPSG:32644").geometry.iloc[0]
    assert footprint.area == pytest.approx(100 * 50, rel=1e-3)
    assert footprint.minimum_rotated_rectangle.area == pytest.approx(footprint.area, rel=1e-3)


def test_the_table_passes_its_own_writer_and_reader(tmp_path: Path) -> None:
    boxes = PixelBoxes.concatenate([one_box(9.5, 3.5, 0.2), one_box(4.5, 8.5, 0.3)])
    frame = table(boxes, GRIDS["utm"])
    path = tmp_path / "detections.parquet"
    write_table(frame, path, DETECTIONS)
    back = read_table(path, DETECTIONS)
    assert back["detection_id"].tolist() == ["made_up_4_8", "made_up_9_3"]
    assert back["score"].tolist() == [0.8765, 0.8765]  # kept to four decimals
    assert back["date"].tolist() == ["2024-01-15"] * 2


def test_no_boxes_make_an_empty_table_with_all_columns(tmp_path: Path) -> None:
    frame = table(PixelBoxes.empty(), GRIDS["utm"])
    write_table(frame, tmp_path / "none.parquet", DETECTIONS)
    assert len(read_table(tmp_path / "none.parquet", DETECTIONS)) == 0


def test_the_order_of_parts_does_not_matter() -> None:
    parts = [one_box(9.5, 3.5, 0.2), PixelBoxes.empty(), one_box(4.5, 8.5, 0.3)]
    first, second = PixelBoxes.concatenate(parts), PixelBoxes.concatenate(parts[::-1])
    assert first.peak_row.tolist() == second.peak_row.tolist() == [4, 9]


def test_arrays_of_different_length_are_refused() -> None:
    box = one_box(1, 1, 0)
    with pytest.raises(ValueError, match="differ in length"):
        PixelBoxes(
            box.row[:0],
            box.col,
            box.peak_row,
            box.peak_col,
            box.length_px,
            box.width_px,
            box.angle_rad,
            box.score,
        )
