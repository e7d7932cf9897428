import numpy as np
import pyproj
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from tests.made_up import DEGREES, ROTATED, UTM_44N, UTM_ORIGIN, noise, write_raster
from tiles.errors import SceneError
from tiles.scene import Bands, GsdLimits, open_scene

GRIDS = {
    "utm": (UTM_44N, UTM_ORIGIN),
    "degrees": ("EPSG:4326", DEGREES),
    "rotated": (UTM_44N, ROTATED),
}


@pytest.fixture(params=GRIDS)
def scene(request, tmp_path):
    crs, transform = GRIDS[request.param]
    return open_scene(
        write_raster(tmp_path / "s.tif", noise(300, 400), crs, transform), "s", GsdLimits()
    )


def test_positions_agree_with_gdal_to_a_thousandth_of_a_pixel(scene):
    col, row = np.array([0.0, 0.5, 17.5, 399.5]), np.array([0.0, 0.5, 250.5, 299.5])
    lon, lat = scene.to_lonlat(col, row)
    with rasterio.open(scene.path) as dataset:
        x, y = rasterio.transform.xy(dataset.transform, row, col, offset="ul")
        expected = pyproj.Transformer.from_crs(dataset.crs, 4326, always_xy=True).transform(x, y)
    metres = pyproj.Geod(ellps="WGS84").inv(lon, lat, *expected)[2]
    assert np.max(metres) < 0.01
    back_col, back_row = scene.to_pixel(lon, lat)
    assert np.allclose(back_col, col, atol=1e-3)
    assert np.allclose(back_row, row, atol=1e-3)


def test_pixel_sizes_are_metres_on_the_ground(scene):
    lon, lat = scene.to_lonlat([200, 201, 200], [150, 150, 151])
    across, down = pyproj.Geod(ellps="WGS84").inv(lon[[0, 0]], lat[[0, 0]], lon[1:], lat[1:])[2]
    assert scene.gsd.x_m == pytest.approx(across, rel=0.005)
    assert scene.gsd.y_m == pytest.approx(down, rel=0.005)


def test_the_footprint_holds_the_pixels(scene):
    lon, lat = scene.to_lonlat([1, 399, 200], [1, 1, 299])
    assert all(scene.footprint.buffer(1e-6).contains_properly(p) for p in _points(lon, lat))
    outside_lon, outside_lat = scene.to_lonlat([-1, 401], [10, 10])
    assert not any(scene.footprint.contains(p) for p in _points(outside_lon, outside_lat))


def _points(lon, lat):
    import shapely

    return shapely.points(np.column_stack([lon, lat]))


def test_fine_pixels_are_averaged_to_ten_metres(tmp_path):
    fine = UTM_ORIGIN @ Affine.scale(0.5)
    scene = open_scene(
        write_raster(tmp_path / "s.tif", noise(101, 200), transform=fine), "s", GsdLimits()
    )
    assert scene.resampled
    assert (scene.rows, scene.cols) == (51, 100)
    assert scene.gsd.x_m == pytest.approx(10.0, rel=0.001)
    assert scene.transform.a == 10.0


@given(st.dates(min_value=__import__("datetime").date(2000, 1, 1)))
def test_dates_in_names(day):
    from tiles.headers import DATE_IN_NAME

    for name in (f"S2A_MSIL2A_{day:%Y%m%d}T053000", f"rgb_{day:%Y-%m-%d}_x"):
        found = DATE_IN_NAME.search(name)
        expected = f"{day:%Y-%m-%d}".split("-") if 2000 <= day.year <= 2099 else None
        assert (list(found.groups()) if found else None) == expected


def test_the_date_comes_from_the_name_before_the_tag(tmp_path):
    named = write_raster(tmp_path / "S2_20240105.tif", noise(64, 64))
    unnamed = write_raster(tmp_path / "scene.tif", noise(64, 64))
    assert open_scene(unnamed, "s", GsdLimits()).date is None
    for path in (named, unnamed):
        with rasterio.open(path, "r+") as dataset:
            dataset.update_tags(TIFFTAG_DATETIME="2026:02:14 05:30:00")
    assert open_scene(named, "s", GsdLimits()).date == "2024-01-05"
    assert open_scene(unnamed, "s", GsdLimits()).date == "2026-02-14"


def test_sentinel_bands_are_found_by_name(tmp_path):
    path = write_raster(tmp_path / "s.tif", np.zeros((5, 64, 64), np.uint16))
    with pytest.raises(SceneError, match="5 unnamed bands"):
        open_scene(path, "s", GsdLimits())
    assert open_scene(path, "s", GsdLimits(), Bands(3, 2, 1)).bands == Bands(3, 2, 1)
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = ("B01", "B02", "B03", "B04", "B08")
    assert open_scene(path, "s", GsdLimits()).bands == Bands(4, 3, 2)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_what_cannot_be_used_is_refused_in_one_sentence(tmp_path):
    text = tmp_path / "text.tif"
    text.write_text("no raster")
    wrong = {
        "no raster that can be opened": text,
        "no coordinate system": write_raster(tmp_path / "nocrs.tif", noise(64, 64), crs=None),
        "1 band": write_raster(tmp_path / "grey.tif", noise(64, 64)[:1]),
        "30 m, too coarse": write_raster(
            tmp_path / "coarse.tif", noise(64, 64), transform=UTM_ORIGIN @ Affine.scale(3)
        ),
    }
    for message, path in wrong.items():
        with pytest.raises(SceneError, match=message) as caught:
            open_scene(path, "s", GsdLimits())
        assert path.name in str(caught.value)
    with pytest.raises(SceneError, match="has 3 bands, not 9"):
        open_scene(
            write_raster(tmp_path / "s.tif", noise(64, 64)), "s", GsdLimits(), Bands(1, 2, 9)
        )


def test_places_that_the_grid_cannot_hold_are_refused(tmp_path):
    across = Affine(10.0, 0.0, 832_000.0, 0.0, -10.0, 10_000.0)  # UTM 60 ends at 833,979 m east
    polar = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 9_500_000.0)
    wrong = {
        "crosses the antimeridian": ("EPSG:32660", across),
        "beyond 84 degrees": ("EPSG:32644", polar),
        "nowhere on the globe": ("EPSG:32644", Affine(10.0, 0.0, 1e12, 0.0, -10.0, 1e12)),
        "cannot be brought to": ('LOCAL_CS["site grid",UNIT["metre",1]]', UTM_ORIGIN),
    }
    for message, (crs, transform) in wrong.items():
        path = write_raster(tmp_path / "s.tif", noise(600, 600), crs, transform)
        with pytest.raises(SceneError, match=message):
            open_scene(path, "s", GsdLimits())


def test_web_mercator_pixels_are_measured_on_the_ground(tmp_path):
    north = Affine(10.0, 0.0, 8_600_000.0, 0.0, -10.0, 8_400_000.0)  # 60 degrees north
    scene = open_scene(
        write_raster(tmp_path / "s.tif", noise(64, 64), "EPSG:3857", north), "s", GsdLimits()
    )
    assert scene.resampled, "10 m of Web Mercator are 5 m on the ground there"
