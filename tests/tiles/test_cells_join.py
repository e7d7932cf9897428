import numpy as np
import shapely

from tiles.cells import Cell, cell_polygons, join_cells, project


def test_neighbours_share_corners_to_the_last_bit():
    left = join_cells(["5000_760_4965", "5000_761_4965"])
    right = join_cells(["5000_760_4966"])
    shared = set(map(tuple, shapely.get_coordinates(left))) & set(
        map(tuple, shapely.get_coordinates(right))
    )
    assert len(shared) == 1  # the corner that is no straight edge of the taller one is simplified
    assert shapely.intersection(left, right).area == 0


def test_union_has_the_area_of_its_cells_and_no_slivers():
    cells = [Cell(5000, row, col).cell_id for row in range(740, 760) for col in range(4950, 4990)]
    union = join_cells(reversed(cells))
    assert union.geom_type == "Polygon"
    assert len(shapely.get_coordinates(union)) == 5
    assert abs(project(union).area - 800 * 25e6) < 100  # square metres of 20 billion


def test_one_cell_is_the_cell_and_runs_counter_clockwise():
    union = join_cells(["5000_812_4512"])
    assert union.exterior.is_ccw
    assert np.allclose(union.bounds, cell_polygons(["5000_812_4512"]).iloc[0].bounds, atol=1e-9)


def test_cells_that_touch_at_a_corner_make_two_parts():
    union = join_cells(["5000_760_4965", "5000_761_4966"])
    assert union.geom_type == "MultiPolygon"
    assert union.is_valid


def test_no_cell_is_an_empty_area():
    assert join_cells([]).is_empty
