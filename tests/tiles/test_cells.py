import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from tiles.cells import Cell, CellGrid, cell_polygons, project, unproject
from tiles.errors import RegionError

LON = st.floats(-179, 179)
LAT = st.floats(-80, 80)


@given(lon=LON, lat=LAT)
def test_a_point_lies_in_its_cell(lon, lat):
    cell = Cell.parse(CellGrid().cell_ids_at([lon], [lat])[0])
    assert cell.square.distance(project(shapely.box(lon, lat, lon + 1e-9, lat + 1e-9))) < 1e-3


def test_golden_cell():
    # Snyder (1987), eq. 10-13 to 10-15 by hand: x = 7448740.8 m, y = 3502538.7 m
    assert CellGrid().cell_ids_at([77.2], [28.6]) == ["5000_762_4963"]
    assert Cell(5000, 764, 4963).parent() == Cell(10000, 382, 2481)
    assert Cell(5000, 764, 4963).parent(8) == Cell(40000, 95, 620)


def test_a_parent_holds_its_four_children():
    parent = Cell(10000, 382, 2481)
    children = [Cell(5000, 764 + i, 4962 + j) for i in (0, 1) for j in (0, 1)]
    assert {child.parent() for child in children} == {parent}
    assert shapely.union_all([child.square for child in children]).equals(parent.square)


@given(west=st.floats(60, 90), south=st.floats(5, 35), side=st.floats(0.01, 0.6))
def test_areas_of_cells_sum_to_the_region(west, south, side):
    region = shapely.box(west, south, west + side, south + side)
    cells = CellGrid().cells_of(region)
    assert cells["area_km2"].sum() == pytest.approx(project(region).area / 1e6, rel=1e-9)
    assert cells["area_km2"].max() <= 25.0 + 1e-9
    assert cells["cell_id"].is_unique


def test_equal_area_is_the_area_on_the_ellipsoid():
    # one degree square at 28 N, 77 E: 10,861.2 km2 on WGS 84 (pyproj.Geod)
    import pyproj

    region = shapely.box(77, 28, 78, 29)
    area_m2, _ = pyproj.Geod(ellps="WGS84").geometry_area_perimeter(
        shapely.segmentize(region, 0.01)
    )
    assert CellGrid().cells_of(region)["area_km2"].sum() == pytest.approx(area_m2 / 1e6, rel=2e-5)


def test_squares_come_back_from_degrees():
    cell = Cell(5000, 762, 4963)
    again = project(cell_polygons([cell.cell_id]).iloc[0])
    assert np.allclose(again.bounds, cell.square.bounds, atol=0.01)
    assert unproject([cell.square]).iloc[0].contains(shapely.Point(77.2, 28.6))


def test_wrong_names_and_poles_are_refused():
    for wrong in ("5000_1", "a_b_c", "5000_-1_2", ""):
        with pytest.raises(RegionError, match="is no cell id"):
            Cell.parse(wrong)
    with pytest.raises(RegionError, match="latitude"):
        project(shapely.box(0, 80, 10, 90.5))
