"""What a run would do is said before it does it, and nothing is begun."""

import inspect
import json
import sqlite3
from contextlib import closing

import pytest
import shapely

from pipeline.commands.plan import plan
from pipeline.commands.survey import run
from pipeline.engine.forecast import Probe, forecast
from pipeline.engine.journal import JOURNAL, Journal
from pipeline.engine.results import Counts
from tests.pipeline.engine_runs import engine, settings_for, survey, threads_cluster, write_belt
from tiles.errors import RunFolderError
from tiles.scene import GsdLimits, open_scene


@pytest.fixture(scope="module")
def cluster():
    with threads_cluster() as address:
        yield address


@pytest.fixture
def belt(tmp_path):
    (tmp_path / "in").mkdir()
    return write_belt(tmp_path / "in" / "belt.tif", 1100, 2100)


def test_a_plan_says_what_will_be_read_and_what_not(belt, cluster, tmp_path):
    scene = open_scene(belt, "belt", GsdLimits())
    west = scene.outline(0, 0, 1000, 1000).buffer(-0.001)
    (tmp_path / "west.geojson").write_text(json.dumps(shapely.geometry.mapping(west)))
    (tmp_path / "in" / "broken.tif").write_text("x")
    settings = settings_for(
        tmp_path / "in",
        tmp_path / "run",
        scheduler=cluster,
        region=tmp_path / "west.geojson",
        engine=engine(block_px=1024),
    )
    said = forecast(settings)
    assert not (tmp_path / "run").exists(), "nothing is begun"
    assert (said.tally.planned, said.tally.done) == (1, 0)
    assert said.pixels == said.pixels_left == 1024 * 1024
    text = said.text()
    assert "Imagery: 1 scene, 2.3 megapixels" in text
    assert "1 file left out" in text
    assert "broken.tif is no raster that can be opened" in text
    assert "stored in tiles of 256 x 256 px" in text
    assert "Work: 1 task of 1.0 megapixels; 1.3 lie outside the region and are not read." in text
    assert "fp32 on cpu" in text
    assert "Time: about" in text
    assert "the limit is " in text


def test_a_plan_knows_what_is_done(belt, cluster, tmp_path):
    settings = settings_for(belt, tmp_path / "run", scheduler=cluster)
    survey(settings)
    said = forecast(settings)
    assert said.tally.done == said.tally.planned == 2
    assert said.text().endswith("Time: nothing is left to compute.")
    other = settings.model_copy(update={"prevalence": 9.0})
    with pytest.raises(RunFolderError, match="prevalence"):
        forecast(other)
    assert forecast(other, probe=False, refresh=True).tally.left == 2


def test_what_had_failed_is_left_to_refresh(belt, cluster, tmp_path):
    settings = settings_for(belt, tmp_path / "run", scheduler=cluster)
    survey(settings)
    with closing(sqlite3.connect(settings.out / JOURNAL)) as database:
        database.execute("DELETE FROM results")
        database.commit()
    with Journal.open(settings.out) as journal:
        journal.fail(next(journal.pending()).key, 3, "made up")
    said = forecast(settings, probe=False)
    assert (said.tally.failed, said.tally.left) == (1, 1)
    assert "1 had failed, and are tried again with --refresh." in said.text()
    assert forecast(settings, probe=False, refresh=True).tally.left == 2


def test_a_first_plan_reads_no_file_through(belt, cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "pipeline.engine.identity.sha256_file", lambda path: pytest.fail("was read")
    )
    settings = settings_for(belt, tmp_path / "run", scheduler=cluster)
    assert forecast(settings, probe=False).tally.left == 2


def test_the_limit_is_where_the_time_goes(belt, cluster, tmp_path):
    plan = forecast(settings_for(belt, tmp_path / "run", scheduler=cluster), probe=False).plan
    slow_network = Probe(Counts(read_s=1, network_s=9), 10_000_000, 2, raw_s=0.1)
    assert slow_network.pixels_per_s == 2_000_000
    assert slow_network.limit(plan) == "computing, on the CPU"
    reading = Counts(read_s=9, network_s=1)
    assert Probe(reading, 1, 1, raw_s=0.1).limit(plan) == "decoding the files, on the CPU"
    assert Probe(reading, 1, 1, raw_s=8.0).limit(plan) == "the disk"


def test_plan_takes_every_flag_of_run_that_decides_what_is_searched():
    of_maps = {"districts", "places", "audit", "name", "noised_counts", "partition"}
    of_maps |= {"exclusions", "credit", "quiet"}
    flags = {*inspect.signature(plan).parameters} - {"probe"}
    assert flags == {*inspect.signature(run).parameters} - of_maps
