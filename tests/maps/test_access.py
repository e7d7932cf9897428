import numpy as np
import pandas as pd
import pytest
from affine import Affine

from maps.access import read_access
from tests.made_up import write_raster
from tiles.cells import CellGrid, cell_polygons
from tiles.errors import TableError

WEST, SOUTH, EAST, NORTH = 77.0, 28.0, 77.6, 28.5


def cells():
    lon, lat = np.meshgrid(np.linspace(77.1, 77.5, 6), np.linspace(28.1, 28.4, 5))
    return sorted(set(CellGrid().cell_ids_at(lon.ravel(), lat.ravel())))


def raster(path, values, crs="EPSG:4326", bounds=(WEST, SOUTH, EAST, NORTH), nodata=None):
    values = np.asarray(values)
    west, south, east, north = bounds
    width, height = (east - west) / values.shape[-1], (north - south) / values.shape[-2]
    transform = Affine(width, 0, west, 0, -height, north)
    bands = values[None] if values.ndim == 2 else values
    return write_raster(path, bands, crs=crs, transform=transform, nodata=nodata)


def gradient():
    """Rises from 0 in the west to 60 in the east: 100 a degree."""
    return np.tile(np.linspace(0.05, 59.95, 600, dtype="float32"), (500, 1))


def test_cells_take_the_mean_of_their_pixels(tmp_path):
    found = read_access(raster(tmp_path / "a.tif", gradient()), cells())
    middle = cell_polygons(cells()).bounds[["minx", "maxx"]].mean(axis=1).to_numpy()
    np.testing.assert_allclose(found.to_numpy(), 100 * (middle - WEST), atol=0.3)
    assert list(found.index) == cells()


def test_another_reference_system_gives_the_same(tmp_path):
    plain = read_access(raster(tmp_path / "a.tif", gradient()), cells())
    # Web Mercator stretches latitude only, so the same columns lie between the same meridians
    mercator = raster(
        tmp_path / "b.tif", gradient(), "EPSG:3857", (8571600.8, 3248973.8, 8638393.3, 3312125.0)
    )
    pd.testing.assert_series_equal(plain, read_access(mercator, cells()), atol=0.3, rtol=0)


@pytest.mark.parametrize("nodata", [-99999.0, np.nan, None])
def test_pixels_without_a_value_are_left_out(tmp_path, nodata):
    values = np.full((500, 600), 7.0, dtype="float32")
    missing = np.nan if nodata is None else nodata
    values[::2] = missing
    values[:, 300:] = missing
    found = read_access(raster(tmp_path / "a.tif", values, nodata=nodata), cells())
    west = cell_polygons(cells()).bounds["maxx"].to_numpy() < 77.3
    np.testing.assert_allclose(found[west], 7.0)
    assert found[cell_polygons(cells()).bounds["minx"].to_numpy() > 77.3].isna().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crs": None}, "names no coordinate reference system"),
        ({"values": np.full((9, 9), -99999.0)}, "holds the value -99999: .* declare it as nodata"),
        ({"values": np.zeros((9, 9))}, "is 0 in every cell"),
        ({"values": np.ones((2, 9, 9))}, "has 2 bands"),
        ({"bounds": (10.0, 50.0, 11.0, 51.0)}, "has values for 0 of"),
    ],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_what_is_no_such_raster_is_one_sentence(tmp_path, change, message):
    values = {"values": np.ones((9, 9))} | change
    path = raster(tmp_path / "a.tif", **values)
    with pytest.raises(TableError, match=message):
        read_access(path, cells())


def test_no_raster_at_all_is_one_sentence(tmp_path):
    with pytest.raises(TableError, match="is no readable raster"):
        read_access(tmp_path / "none.tif", cells())
    (tmp_path / "text.tif").write_text("people")
    with pytest.raises(TableError, match="is no readable raster"):
        read_access(tmp_path / "text.tif", cells())
