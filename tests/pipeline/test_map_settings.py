import io

import geopandas as gpd
import numpy as np
import pytest
import shapely
from PIL import Image

from pipeline.config import RunSettings
from pipeline.map_pictures import LEAST_M_PER_PX, survey_pictures
from pipeline.map_settings import MapSettings, map_names
from tests.made_up import write_raster
from tiles.catalog import find_scenes
from tiles.errors import ConfigError
from tiles.scene import GsdLimits


@pytest.fixture
def scene(tmp_path):
    """10 x 5 km at 10 m; its western half is dark, its eastern half bright."""
    pixels = np.full((3, 500, 1000), 30, np.uint8)
    pixels[:, :, 500:] = 220
    write_raster(tmp_path / "a.tif", pixels)
    return find_scenes([str(tmp_path / "a.tif")], GsdLimits()).scenes[0]


def test_a_picture_of_the_survey_is_too_coarse_for_a_site_and_lies_where_the_scene_does(scene):
    (picture,) = survey_pictures([scene])
    image = Image.open(io.BytesIO(picture.webp))
    assert image.format == "WEBP"
    west, south, east, north = scene.footprint.bounds
    pixel = (picture.east - picture.west) / image.width
    assert pixel * 111_320 * np.cos(np.radians(south)) >= LEAST_M_PER_PX * 0.99
    assert (picture.west, picture.east) == pytest.approx((west, east), abs=pixel)
    assert (picture.south, picture.north) == pytest.approx((south, north), abs=pixel)
    grey = np.asarray(image.convert("L"))
    rows, cols = grey.shape
    assert grey[rows // 2, cols // 4] < 60
    assert grey[rows // 2, 3 * cols // 4] > 190
    assert all(isinstance(end, int) for corner in picture.ends_mdeg for end in corner)


def test_scenes_are_opened_only_where_imagery_is_asked_for(scene):
    def never():
        raise AssertionError

    assert MapSettings().look(never).pictures == ()
    assert len(MapSettings(imagery=True).look(lambda: [scene]).pictures) == 1


@pytest.mark.parametrize(
    ("setting", "value"),
    [("online_tiles", "http://host/{z}"), ("language", "fr"), ("colour", "red")],
)
def test_a_setting_that_does_not_fit_is_one_sentence(setting, value):
    with pytest.raises(ConfigError, match=rf"run.toml: map\.{setting}: "):
        RunSettings.of({"imagery": ["a"], "out": "b", "map": {setting: value}}, "run.toml")


def test_names_are_read_from_the_users_files(tmp_path):
    path = tmp_path / "places.geojson"
    point = gpd.GeoDataFrame({"name": ["Brickton"]}, geometry=[shapely.Point(77, 28)], crs=4326)
    point.to_file(path)
    names = map_names(None, path)
    assert names.districts is None
    assert names.places.names == ("Brickton",)
