import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyproj import Geod

from tests.made_up import DEGREES, ROTATED, noise, write_raster
from tiles.catalog import find_scenes
from tiles.errors import ConfigError
from tiles.pictures import (
    EMPTY_GREY,
    PictureGrid,
    Place,
    View,
    cut_picture,
    cut_pictures,
    metres_per_degree,
)
from tiles.scene import BandFile, GsdLimits

GEOD = Geod(ellps="WGS84")
LIMITS = GsdLimits()


def scene_with_spot(path, **options):
    """Dark land with one bright square of 8 x 8 pixels, its middle at column 204, row 104."""
    pixels = np.full((3, 300, 400), 40, np.uint8)
    pixels[:, :20] = 250  # so that the stretch reaches the square's brightness
    pixels[:, 100:108, 200:208] = 250
    write_raster(path, pixels, **options)
    return find_scenes([str(path)], LIMITS).scenes[0]


@pytest.mark.parametrize(
    "where", [{}, {"crs": "EPSG:4326", "transform": DEGREES}, {"transform": ROTATED}]
)
def test_a_place_stands_in_the_middle_north_up_whatever_the_projection(tmp_path, where):
    scene = scene_with_spot(tmp_path / "a.tif", **where)
    lon, lat = (float(value) for value in scene.to_lonlat(204, 104))
    picture = cut_picture([scene], Place(lon, lat), View(400.0, 100))
    bright = picture.pixels.min(axis=2) > 127
    rows, cols = np.nonzero(bright)
    assert rows.mean() + 0.5 == pytest.approx(50, abs=1)
    assert cols.mean() + 0.5 == pytest.approx(50, abs=1)
    side_m = np.sqrt(bright.sum()) * picture.grid.m_per_px
    assert side_m == pytest.approx(np.sqrt(80 * 80 * scene.gsd.x_m / 10), rel=0.08)
    north = cut_picture([scene], Place(lon, lat + 0.0005), View(400.0, 100))
    assert np.nonzero(north.pixels.min(axis=2) > 127)[0].mean() > rows.mean() + 10


def test_a_box_comes_in_pixels_and_is_not_drawn(tmp_path):
    scene = scene_with_spot(tmp_path / "a.tif")
    lon, lat = (float(value) for value in scene.to_lonlat(204, 104))
    corners = np.column_stack(scene.to_lonlat([200, 208, 208, 200], [100, 100, 108, 108]))
    view = View(400.0, 100)
    boxed = cut_picture([scene], Place(lon, lat, shapely.Polygon(corners)), view)
    assert boxed.box_px.shape == (4, 2)
    assert np.abs(boxed.box_px - 50).max() == pytest.approx(10, abs=0.5)
    assert np.array_equal(boxed.pixels, cut_picture([scene], Place(lon, lat), view).pixels)


def test_coarse_views_are_averaged_not_sampled(tmp_path):
    pixels = np.zeros((3, 512, 512), np.uint8)
    pixels[:, ::2, ::2] = 200  # a quarter of the pixels: a mean of 50, samples of 0 or 200
    write_raster(tmp_path / "a.tif", pixels)
    scene = find_scenes([str(tmp_path / "a.tif")], LIMITS).scenes[0]
    lon, lat = (float(value) for value in scene.to_lonlat(256, 256))
    picture = cut_picture([scene], Place(lon, lat), View(3200.0, 20))
    assert picture.pixels.astype(float).std() < 12
    assert picture.pixels.mean() == pytest.approx(255 / 4, abs=12)


def test_what_no_scene_shows_has_no_picture_and_ground_beyond_the_edge_is_grey(tmp_path):
    scene = scene_with_spot(tmp_path / "a.tif")
    edge, outside = (Place(*(float(v) for v in scene.to_lonlat(col, 150))) for col in (2.0, -2.0))
    shown, none = cut_pictures([scene], [edge, outside], View(400.0, 40))
    assert none == ()
    assert (shown[0].pixels[:, :16] == EMPTY_GREY).all()
    assert not (shown[0].pixels[:, 24:] == EMPTY_GREY).all()


def test_nodata_at_the_middle_is_no_picture(tmp_path):
    pixels = noise(200, 200)
    pixels[:, 90:110, 90:110] = 0
    write_raster(tmp_path / "a.tif", pixels, nodata=0)
    scene = find_scenes([str(tmp_path / "a.tif")], LIMITS).scenes[0]
    middle = Place(*(float(v) for v in scene.to_lonlat(100, 100)))
    assert cut_picture([scene], middle, View(400.0, 40)) is None


def test_several_dates_come_latest_first_and_no_more_than_asked(tmp_path):
    for day in ("20251201", "20260315", "20260110"):
        scene_with_spot(tmp_path / f"s_{day}.tif")
    scenes = find_scenes([str(tmp_path)], LIMITS).scenes
    place = Place(*(float(v) for v in scenes[0].to_lonlat(204, 104)))
    pictures = cut_pictures(scenes, [place], View(400.0, 40), dates=2)[0]
    assert [picture.date for picture in pictures] == ["2026-03-15", "2026-01-10"]


def test_pictures_come_in_the_order_of_the_places_and_the_same_twice(tmp_path):
    scene = scene_with_spot(tmp_path / "a.tif", tiled=True, blockxsize=128, blockysize=128)
    at = [(350, 250), (204, 104), (30, 20), (204, 250)]
    places = [Place(*(float(v) for v in scene.to_lonlat(*one))) for one in at]
    together = cut_pictures([scene], places, View(300.0, 30))
    for place, pictures in zip(places, together, strict=True):
        alone = cut_picture([scene], place, View(300.0, 30))
        assert pictures[0].webp() == alone.webp()
        assert (pictures[0].grid.lon, pictures[0].grid.lat) == (place.lon, place.lat)


def test_a_damaged_scene_has_no_pictures_and_stops_nobody(tmp_path):
    path = tmp_path / "a.tif"
    scene = scene_with_spot(path, compress="deflate")
    path.write_bytes(path.read_bytes()[:2000])
    place = Place(*(float(v) for v in scene.to_lonlat(204, 104)))
    assert cut_pictures([scene], [place], View(300.0, 30)) == [()]


def test_png_is_without_loss_and_webp_near_it(tmp_path):
    scene = scene_with_spot(tmp_path / "a.tif")
    place = Place(*(float(v) for v in scene.to_lonlat(204, 104)))
    picture = cut_picture([scene], place, View(640.0, 192))
    assert picture.pixels.std() > 10
    png = np.asarray(Image.open(io.BytesIO(picture.png())))
    webp = np.asarray(Image.open(io.BytesIO(picture.webp())).convert("RGB"))
    assert np.array_equal(png, picture.pixels)
    assert np.abs(webp.astype(int) - picture.pixels).mean() < 6


@given(lat=st.floats(-80, 80))
def test_metres_a_degree_are_the_ellipsoids(lat):
    scale = metres_per_degree(lat)
    step = 1e-3
    east_m = GEOD.inv(0.0, lat, step, lat)[2]
    north_m = GEOD.inv(0.0, lat - step / 2, 0.0, lat + step / 2)[2]
    assert scale.lon * step == pytest.approx(east_m, rel=1e-5)
    assert scale.lat * step == pytest.approx(north_m, rel=1e-5)


@given(x=st.floats(0, 200), y=st.floats(0, 200), lat=st.floats(-70, 70))
def test_pixels_and_degrees_go_both_ways(x, y, lat):
    grid = PictureGrid(77.0, lat, View(2000.0, 200))
    back = grid.to_px(*grid.to_lonlat(x, y))
    assert np.allclose(back, (x, y), atol=1e-6)


@pytest.mark.parametrize(("side_m", "side_px"), [(0.0, 10), (float("nan"), 10), (100.0, 0)])
def test_a_view_of_nothing_is_refused(side_m, side_px):
    with pytest.raises(ConfigError, match="cannot be cut"):
        View(side_m, side_px)


def test_colours_in_three_files_give_the_picture_of_one(tmp_path):
    pixels = np.stack([noise(200, 200, seed)[0] for seed in range(3)])
    write_raster(tmp_path / "whole.tif", pixels)
    whole = find_scenes([str(tmp_path / "whole.tif")], LIMITS).scenes[0]
    files = []
    for number, name in enumerate(("red", "green", "blue")):
        path = write_raster(tmp_path / f"{name}.tif", pixels[number : number + 1])
        files.append(BandFile(str(path), 1))
    apart = replace(whole, path=Path(files[0].href), files=tuple(files))
    place = Place(*(float(v) for v in whole.to_lonlat(100, 100)))
    view = View(640.0, 64)
    assert np.array_equal(
        cut_picture([apart], place, view).pixels, cut_picture([whole], place, view).pixels
    )
