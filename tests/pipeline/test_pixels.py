import pytest
import shapely

from models.site_class import load_site_class
from pipeline.config import RunSettings, read_run_file, to_toml
from pipeline.pixels import PixelSettings, choose_scenes, describe_outside
from tests.made_up import write_raster
from tests.seasons import Cloud, ground, write_date
from tiles.composite import Composite, sources
from tiles.errors import ConfigError, SceneError
from tiles.headers import GsdLimits
from tiles.scene import open_scene

KILNS = load_site_class("brick_kiln")
ANYWHERE = shapely.box(-180, -80, 180, 80)


@pytest.fixture
def scenes(tmp_path):
    """Two dates of winter, one of them cloudy, and one of the monsoon."""
    clear, cloudy = ground(120, 120), (Cloud(20, 20, 60),)
    return [
        write_date(tmp_path, "2026-01-14", clear),
        write_date(tmp_path, "2026-02-18", clear, cloudy),
        write_date(tmp_path, "2025-08-02", clear),
    ]


def chosen(scenes, country=None, **settings):
    return choose_scenes(scenes, PixelSettings(**settings), KILNS, country, scenes[0].footprint)


def test_scenes_out_of_season_are_left_out_unless_they_are_wanted(scenes):
    found = chosen(scenes)
    assert [scene.date for scene in found.scenes] == ["2026-01-14", "2026-02-18"]
    assert [scene.date for scene in found.out_of_season] == ["2025-08-02"]
    kept = chosen(scenes, any_season=True)
    assert len(kept.scenes) == 3
    assert kept.out_of_season == ()


def test_the_season_is_the_countrys(tmp_path):
    june = [write_date(tmp_path, "2026-06-14", ground(64, 64))]
    assert chosen(june, "IN").out_of_season == ()
    with pytest.raises(SceneError, match=r"1 scene is of June, .* in BD: nothing is left .*season"):
        chosen(june, "BD")


def test_months_out_of_season_are_named(scenes):
    said = describe_outside(scenes[2:] * 2, KILNS, "IN")
    assert said == "2 scenes are of August, out of season for brick kilns in IN"


def test_every_way_to_use_the_dates_of_a_season(scenes):
    winter = scenes[:2]
    assert chosen(winter, composite="each").scenes == tuple(winter)
    assert chosen(winter, composite="best").scenes == (winter[0],)
    (median,) = chosen(winter, composite="median").scenes
    assert isinstance(median, Composite)
    assert (median.method, sources(median)) == ("median", tuple(winter))
    (medoid,) = chosen(winter, composite="medoid").scenes
    assert medoid.method == "medoid"


def test_the_rule_of_a_mosaic_orders_the_scenes(scenes):
    newest = chosen(scenes, mosaic="newest").scenes
    assert [len(scene.better) for scene in newest] == [1, 0]
    clearest = chosen(scenes, mosaic="clearest").scenes
    assert [len(scene.better) for scene in clearest] == [0, 1]


def test_numbers_of_an_unknown_sensor_are_refused_with_what_to_do(tmp_path):
    path = write_raster(tmp_path / "field_2026-01-01.tif", ground(64, 64))
    unknown = [open_scene(path, "field", GsdLimits())]
    with pytest.raises(SceneError, match=r"holds uint16 .* --sensor \(landsat-c2-l2, reflectance"):
        choose_scenes(unknown, PixelSettings(), KILNS, None, ANYWHERE)


def test_a_sensor_is_a_name_or_a_file_beside_the_run_file(tmp_path):
    assert PixelSettings(sensor="reflectance-10000").profile.scale == 1e-4
    assert PixelSettings().profile is None
    with pytest.raises(ConfigError, match="There is no sensor 'ikonos'"):
        PixelSettings(sensor="ikonos").profile  # noqa: B018  (a property that raises)
    run_file = tmp_path / "run.toml"
    run_file.write_text('imagery = ["x"]\nout = "o"\n[pixels]\nsensor = "own.toml"\n')
    settings = RunSettings.of(read_run_file(run_file), "run.toml")
    assert settings.pixels.sensor == str(tmp_path / "own.toml")
    assert f'sensor = "{tmp_path / "own.toml"}"' in to_toml(settings)


def test_an_unknown_way_or_key_is_one_sentence(tmp_path):
    for key, value in (("composite", "mean"), ("mosaic", "oldest"), ("blend", True)):
        with pytest.raises(ConfigError, match=rf"run: pixels\.{key}: "):
            RunSettings.of({"imagery": ("x",), "out": tmp_path, "pixels": {key: value}}, "run")
