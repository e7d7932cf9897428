import subprocess
import sys

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from maps.clusters import CLUSTERS
from maps.districts import DISTRICTS
from maps.hotspots import HOTSPOTS
from pipeline.listed_hotspots import Agreement, ListSettings, map_list
from tiles.errors import ConfigError, RegionError
from tiles.tables import read_table

BOX = (77.0, 28.0, 78.0, 29.0)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A list with a dense town in the west, another list, a region, two districts and a town."""
    folder = tmp_path_factory.mktemp("given")
    rng = np.random.default_rng(12)
    even = rng.uniform(BOX[:2], BOX[2:], (300, 2))
    town = rng.normal((77.25, 28.5), 0.06, (160, 2))
    beyond = rng.uniform((80, 28), (81, 29), (40, 2))
    places = np.vstack([even, town, beyond, town[:20] + 1e-4])
    for name, rows in (("list", places), ("other", places[::2])):
        frame = pd.DataFrame({"lat": rows[:, 1], "lon": rows[:, 0]})
        frame.to_csv(folder / f"{name}.csv", index=False)
    box = shapely.box(*BOX)
    gpd.GeoDataFrame(geometry=[box], crs=4326).to_file(folder / "region.geojson")
    halves = [shapely.box(77, 28, 77.5, 29), shapely.box(77.5, 28, 78, 29)]
    named = {"name": ["West", "East"]}
    gpd.GeoDataFrame(named, geometry=halves, crs=4326).to_file(folder / "districts.geojson")
    town_at = gpd.points_from_xy([77.25], [28.5], crs=4326)
    gpd.GeoDataFrame({"name": ["Kilntown"]}, geometry=town_at).to_file(folder / "places.geojson")
    return folder


def settings(given, out, **changes):
    files = {"districts": given / "districts.geojson", "places": given / "places.geojson"}
    return ListSettings(
        **{
            "positions": given / "list.csv",
            "region": given / "region.geojson",
            "out": out,
            "against": given / "other.csv",
            **files,
            **changes,
        }
    )


def test_a_list_is_mapped_and_says_what_it_presumes(given, tmp_path):
    said = map_list(settings(given, tmp_path / "out"))
    hotspots = read_table(tmp_path / "out/hotspots.parquet", HOTSPOTS)
    clusters = read_table(tmp_path / "out/clusters.parquet", CLUSTERS)
    districts = read_table(tmp_path / "out/districts.parquet", DISTRICTS)
    assert (
        hotspots["n_sites"].sum() == 459
    )  # none from beyond; twins 15 m apart are one, and two that chance put so
    assert (hotspots["searched_km2"] == hotspots["area_km2"]).all()
    assert list(clusters["name"]) == ["Kilntown (West)"]
    assert dict(zip(districts["district"], districts["n_sites"], strict=True))["West"] > 290
    assert clusters["expected_low"].isna().all()
    assert districts["expected_low"].isna().all()
    log = (tmp_path / "out/decisions.md").read_text()
    assert "as if all ground had been searched and every position were real" in log
    assert "459 places in the region, positions within 60 m of each other taken as one" in log
    assert "As if all ground had been searched" in said
    assert "over 2 districts" in said
    sheet = pd.read_csv(tmp_path / "out/districts.csv", encoding="utf-8-sig")
    assert list(sheet["method"]) == ["list", "list"]
    assert sheet["disclaimer"].eq("worksite detected, labour conditions not assessed").all()


def test_the_same_list_gives_the_same_bytes(given, tmp_path):
    for name in ("one", "two"):
        map_list(settings(given, tmp_path / name))
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_districts_of_an_earlier_run_do_not_stay(given, tmp_path):
    map_list(settings(given, tmp_path))
    map_list(settings(given, tmp_path, districts=None, against=None))
    assert not list(tmp_path.glob("districts.*"))
    assert len(list(tmp_path.glob("clusters.*"))) == 2


def test_a_region_without_positions_or_of_one_cell_is_refused(given, tmp_path):
    elsewhere = shapely.box(10, 10, 11, 11)
    gpd.GeoDataFrame(geometry=[elsewhere], crs=4326).to_file(tmp_path / "far.geojson")
    with pytest.raises(RegionError, match=r"none of the 499 places of .* lies in region far"):
        map_list(settings(given, tmp_path / "out", region=tmp_path / "far.geojson"))
    tiny = shapely.box(77.25, 28.5, 77.251, 28.501)
    gpd.GeoDataFrame(geometry=[tiny], crs=4326).to_file(tmp_path / "tiny.geojson")
    with pytest.raises(RegionError, match="region tiny lies in 1 cell of 5 km"):
        map_list(settings(given, tmp_path / "out", region=tmp_path / "tiny.geojson"))
    assert not (tmp_path / "out").exists()


def test_another_list_needs_districts(given, tmp_path):
    with pytest.raises(ConfigError, match="--against compares districts"):
        map_list(settings(given, tmp_path, districts=None))


def test_a_survey_is_not_written_over(given, tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ConfigError, match="holds a survey: give the list a folder of its own"):
        map_list(settings(given, tmp_path))


def test_no_correlation_is_said_as_such():
    assert str(Agreement(1, np.nan, np.nan, np.nan)) == (
        "no rank correlation: too few districts (1), or all alike"
    )


def kilnlight(*arguments):
    code = "from pipeline.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stderr


def test_the_command(given, tmp_path):
    region = ["--region", given / "region.geojson"]
    code, said = kilnlight("hotspots", given / "list.csv", *region, "--out", tmp_path / "out")
    assert code == 0
    assert "459 places on" in said
    boxes = [shapely.box(77, 28, 78, 29), shapely.box(77, 28, 77.9, 29)]
    named = {"name": ["New", "Old"]}
    gpd.GeoDataFrame(named, geometry=boxes, crs=4326).to_file(tmp_path / "both.geojson")
    code, said = kilnlight(
        *("hotspots", given / "list.csv", *region, "--out", tmp_path / "no"),
        *("--districts", tmp_path / "both.geojson"),
    )
    assert code == 2
    assert "New and Old overlap (100% of the smaller)" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "no").exists()
