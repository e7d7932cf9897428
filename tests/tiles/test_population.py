import numpy as np
import pandas as pd
import pytest
from affine import Affine

from tests.made_up import write_raster
from tiles.cells import Cell, unproject
from tiles.errors import TableError
from tiles.partition import REST, build_partition
from tiles.population import with_people

CELLS = [Cell(5000, 800 + row, 4800 + col) for row in range(2) for col in range(3)]
GRID_WEST_M, GRID_NORTH_M = -17367530.45, 7314540.83


def table():
    return pd.DataFrame({"cell_id": [cell.cell_id for cell in CELLS], "area_km2": 25.0})


def raster(path, people, size_m=1000.0, **options):
    """People per pixel on the cells' own grid, from the north-west corner of the first cell."""
    corner = Affine(size_m, 0, GRID_WEST_M + 4800 * 5000, 0, -size_m, GRID_NORTH_M - 800 * 5000)
    return write_raster(path, people[None], "EPSG:6933", corner, **options)


def test_people_are_summed_by_cell(tmp_path):
    people = np.ones((10, 15), dtype=np.float32)
    people[:5, :5] = 7.5
    people[0, 0] = -99999  # no data
    people[9, 14] = np.nan
    path = raster(tmp_path / "people.tif", people, nodata=-99999)
    assert list(with_people(table(), path)["people"]) == [180.0, 25.0, 25.0, 25.0, 25.0, 24.0]


def test_a_raster_in_degrees_gives_every_person_to_one_cell(tmp_path):
    # 3 arc seconds, a bit more ground than the cells on all sides
    west, south, east, north = unproject([cell.square for cell in CELLS])[0].bounds
    for other in unproject([cell.square for cell in CELLS]):
        west, south = min(west, other.bounds[0]), min(south, other.bounds[1])
        east, north = max(east, other.bounds[2]), max(north, other.bounds[3])
    step = 3 / 3600
    shape = (int((north - south) / step) + 40, int((east - west) / step) + 40)
    transform = Affine(step, 0, west - 20 * step, 0, -step, north + 20 * step)
    path = write_raster(
        tmp_path / "p.tif", np.ones((1, *shape), np.float32), "EPSG:4326", transform
    )
    people = with_people(table(), path)["people"]
    pixels_a_cell = (north - south) / step / 2 * (east - west) / step / 3
    assert people.to_numpy() == pytest.approx(pixels_a_cell, rel=0.05)
    assert people.sum() == pytest.approx(6 * pixels_a_cell, rel=0.01)


def test_a_raster_of_a_part_leaves_the_others_empty(tmp_path):
    path = raster(tmp_path / "people.tif", np.full((5, 5), 50, np.float32))
    assert list(with_people(table(), path)["people"]) == [1250.0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b"x"), "no readable raster"),
        (lambda path: raster(path, np.ones((3, 3), np.float32), 2500.0), "pixels of over 1250 m"),
        (
            lambda path: write_raster(path, np.ones((1, 9, 9), np.float32)),
            "does not reach the region",
        ),
        (
            lambda path: write_raster(path, np.ones((1, 9, 9), np.float32), None),
            "turned or has no coordinate system",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_raster_of_no_use_is_one_sentence(tmp_path, make, message):
    make(tmp_path / "people.tif")
    with pytest.raises(TableError, match=message):
        with_people(table(), tmp_path / "people.tif")


def test_a_group_needs_a_thousand_people_where_they_are_counted():
    sites = pd.DataFrame({"cell_id": [CELLS[0].cell_id] * 5 + [CELLS[1].cell_id] * 5, "p_low": 1.0})
    few = table().assign(people=[999.9, 500.0, 0, 0, 0, 0])
    frame = build_partition(sites, few)
    # neither cell stands, together they do
    assert list(frame["group_id"]) == ["10000_400_2400", REST]
    assert list(frame["people"]) == [1499, 0]
    assert list(frame["released"]) == [True, False]
    nobody = build_partition(sites, few.assign(people=1.0))
    assert list(nobody["group_id"]) == [REST]
    assert not nobody["released"].any()
    assert build_partition(sites, table())["people"].isna().all()
