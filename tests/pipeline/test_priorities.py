from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import shapely

from maps.boundaries import Districts
from maps.priority import Base
from models.site_class import load_site_class
from pipeline.config import RunSettings, read_run_file, to_toml
from pipeline.mapping import check_inputs
from pipeline.priorities import PrioritySettings, areas_of, make_lists, write_operator_list
from tests.maps.conftest import make_survey
from tests.maps.test_access import raster
from tiles.cells import project
from tiles.errors import ConfigError, TableError
from tiles.partition import write_partition
from tiles.region import Region

KILNS = load_site_class("brick_kiln")


@pytest.fixture(scope="module")
def survey():
    return make_survey()


def lists(survey, **settings):
    sites = survey.sites.drop(columns=["size_fit", "hotspot_class", "rank", "priority", "reason"])
    return make_lists(
        sites,
        survey.hotspots,
        survey.groups,
        survey.partition,
        KILNS,
        PrioritySettings(**settings),
    )


def test_by_default_a_team_gets_every_site_in_order_of_rank(survey):
    made = lists(survey)
    pd.testing.assert_frame_equal(pd.DataFrame(made.team), pd.DataFrame(made.ranked))


def test_a_short_list_is_numbered_anew_and_marks_no_row(survey):
    made = lists(survey, list_size=40)
    assert list(made.team["rank"]) == list(range(1, 41))
    assert list(made.team.columns) == list(made.ranked.columns)
    operator = made.operator.set_index("site_id").loc[made.team["site_id"]]
    assert list(operator["team_place"]) == list(range(1, 41))
    drawn = operator[operator["team_selection"] == "random"]
    assert len(drawn) == 6
    assert drawn["random_probability"].between(0, 1, inclusive="neither").all()
    assert made.operator["random_probability"].sum() == pytest.approx(6)
    text = " ".join(made.team.astype(str).to_numpy().ravel()).lower()
    assert "random" not in text
    assert "floor" not in text


def test_every_area_keeps_its_floor(survey):
    areas = set(areas_of(survey.sites, None))
    made = lists(survey, list_size=60, area_floor=1)
    assert set(areas_of(made.team, None)) == areas


def test_districts_name_the_areas(survey):
    west, east = shapely.box(77.0, 28.0, 77.5, 29.0), shapely.box(77.5, 28.0, 77.9, 29.0)
    polygons = np.array([west, east], dtype=object)
    ground = np.array([project(polygon) for polygon in polygons], dtype=object)
    named = areas_of(survey.sites, Districts(("West", "East"), polygons, ground))
    lon = survey.sites["lon"]
    assert (named[lon < 77.5] == "West").all()
    assert (named[(lon > 77.5) & (lon < 77.9)] == "East").all()
    assert named[lon > 77.9].str.startswith("40000_").all()


def test_the_operators_table_is_for_its_owner(survey, tmp_path):
    write_operator_list(lists(survey).operator, tmp_path)
    assert (tmp_path / "priorities.parquet").stat().st_mode & 0o777 == 0o600


def test_weights_stand_in_the_run_file_and_replay(tmp_path):
    (tmp_path / "run.toml").write_text(
        'imagery = ["a.tif"]\nout = "run"\n[priority]\nlist_size = 50\naccess = "people.tif"\n'
        "base = { lon = 77.5, lat = 28.5 }\n[priority.operator]\nreport_rate_ratio = 0.0\n"
        "[priority.team]\nhotspot = 0.5\n"
    )
    settings = RunSettings.of(read_run_file(tmp_path / "run.toml"), "run.toml")
    assert settings.priority.base == Base(lon=77.5, lat=28.5)
    assert settings.priority.access == tmp_path / "people.tif"
    assert settings.priority.operator.report_rate_ratio == 0
    assert settings.priority.team.hotspot == 0.5
    (tmp_path / "again.toml").write_text(to_toml(settings))
    again = RunSettings.of(read_run_file(tmp_path / "again.toml"), "again.toml")
    assert again.priority == settings.priority


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"team": {"report_rate_ratio": 0.2}}, "priority.team.report_rate_ratio: extra inputs"),
        ({"random_share": 0.0}, "priority.random_share: input should be greater"),
        ({"random_share": 0.5}, "priority.random_share: input should be less"),
        ({"base": {"lon": 200, "lat": 0}}, "priority.base.lon"),
        ({"operator": {"p_site": 0}}, "priority.operator.p_site"),
        ({"operator": {"travel": float("inf")}}, "priority.operator.travel: .* finite"),
        ({"team": {"hotspot": float("inf")}}, "priority.team.hotspot: .* finite"),
        ({"list_size": 0}, "priority.list_size"),
    ],
)
def test_what_does_not_fit_is_one_sentence(section, message):
    with pytest.raises(ConfigError, match=message):
        RunSettings.of({"imagery": ["a"], "out": "x", "priority": section}, "run.toml")


def test_a_raster_that_misses_the_partition_is_refused_before_the_survey(survey, tmp_path):
    corner = shapely.box(77.05, 28.05, 77.2, 28.2)  # the region; the partition is larger
    people = raster(tmp_path / "people.tif", np.ones((40, 40)), bounds=(77.0, 28.0, 77.25, 28.25))
    write_partition(survey.partition, tmp_path / "partition.parquet")
    settings = RunSettings.of(
        {
            "imagery": ["a"],
            "out": tmp_path / "run",
            "partition": tmp_path / "partition.parquet",
            "priority": {"access": people},
        },
        "run.toml",
    )
    plan = SimpleNamespace(region=Region(polygon=corner, name="corner"))
    with pytest.raises(TableError, match=r"people.tif has values for \d+ of 441 cells"):
        check_inputs(settings, plan)
