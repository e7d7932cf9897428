import geopandas as gpd
import pandas as pd
import pytest
import shapely

from maps.districts import DISTRICTS
from maps.hotspots import HOTSPOTS
from pipeline.config import RunSettings, read_run_file, to_toml
from pipeline.engine.progress import Screen
from pipeline.hotspot_tables import Boundaries
from pipeline.run import run
from tests.made_up import noise, write_raster
from tiles.errors import ConfigError, RegionError
from tiles.tables import read_table

QUIET = Screen(quiet=True)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """An image in which nothing is found, and districts that it lies in."""
    folder = tmp_path_factory.mktemp("given")
    image = write_raster(folder / "image.tif", noise(600, 600))
    halves = [shapely.box(80, 26, 81.03, 28), shapely.box(81.03, 26, 82, 28)]
    frame = gpd.GeoDataFrame({"name": ["West", "East"]}, geometry=halves, crs=4326)
    frame.to_file(folder / "districts.geojson")
    return image, folder / "districts.geojson"


def test_a_run_with_districts_has_their_figures_and_keeps_its_survey(given, tmp_path):
    image, districts = given
    settings = RunSettings(imagery=(str(image),), out=tmp_path / "run", workers=1)
    run(settings, QUIET)
    before = (tmp_path / "run/detections.parquet").read_bytes()
    assert not (tmp_path / "run/districts.csv").exists()
    named = settings.model_copy(update={"districts": districts})
    again = RunSettings.of(read_run_file_text(tmp_path, to_toml(named)), "again")
    assert again.access.cache.is_absolute()
    assert again == named.model_copy(update={"access": again.access})
    run(named, QUIET)
    table = read_table(tmp_path / "run/districts.parquet", DISTRICTS)
    assert list(table["district"]) == ["East", "West"]
    assert (table["method"] == "model").all()
    assert table["expected_high"].between(1, 100).all()
    assert (tmp_path / "run/detections.parquet").read_bytes() == before
    hotspots = read_table(tmp_path / "run/hotspots.parquet", HOTSPOTS)
    assert not hotspots["hotspot_class"].str.startswith("hot_").any()
    log = (tmp_path / "run/decisions.md").read_text()
    method = (tmp_path / "run/public/method.html").read_text()
    assert "What a neighbourhood is" in log
    assert "What a neighbourhood is" in method
    assert "West" not in method
    sheet = pd.read_csv(tmp_path / "run/districts.csv", encoding="utf-8-sig")
    assert list(sheet["district"]) == ["East", "West"]


def read_run_file_text(folder, text):
    (folder / "again.toml").write_text(text)
    return read_run_file(folder / "again.toml")


def test_an_audit_sample_needs_districts_to_correct(tmp_path):
    with pytest.raises(ConfigError, match="corrects districts: give them with --districts"):
        Boundaries.read(None, None, tmp_path)


def test_districts_are_read_before_the_survey_starts(given, tmp_path):
    image, _ = given
    settings = RunSettings(
        imagery=(str(image),), out=tmp_path / "run", districts=tmp_path / "none.geojson"
    )
    with pytest.raises(RegionError, match=r"districts file .* is not there"):
        run(settings, QUIET)
    assert not (tmp_path / "run").exists()
