"""Two surveys of a made-up belt, a season apart: built, torn down, or hidden by cloud."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from maps.comparison import COMPARISON
from pipeline.comparing import CompareSettings, compare
from pipeline.config import RunSettings
from pipeline.engine.progress import Screen
from pipeline.run import run
from tests.made_up_seasons import TwoSeasons, write_two_seasons
from tiles.errors import ConfigError, KilnlightError, RunFolderError, TableError
from tiles.ground import read_ground
from tiles.matching import match_places
from tiles.simulate import BeltSettings
from tiles.tables import read_table


@pytest.fixture(scope="module")
def seasons(tmp_path_factory) -> TwoSeasons:
    settings = BeltSettings(side_km=14, n_kilns=60, cloud_share=0.2, overlap_share=0.5, haze=0.1)
    return write_two_seasons(tmp_path_factory.mktemp("seasons"), settings, changing=0.4)


@pytest.fixture(scope="module")
def runs(seasons, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, scene in (("before", seasons.before), ("after", seasons.after)):
        settings = RunSettings(
            imagery=(str(scene),), out=folder / name, precision="fp32", prevalence=200, workers=1
        )
        run(settings, Screen(quiet=True))
    return folder


def status_at(table: pd.DataFrame, kilns: pd.DataFrame) -> pd.Series:
    """The status of the compared place at each kiln; none where there is none."""
    pairs = match_places(kilns, table, 100)
    status = pd.Series("none", index=kilns.index)
    status.iloc[pairs.first] = table["status"].to_numpy()[pairs.second]
    return status


def test_coverage_decides_between_gone_and_not_seen(seasons, runs, tmp_path):
    summary = compare(
        CompareSettings(run_folder=runs / "before", later=runs / "after", out=tmp_path / "out")
    )
    table = read_table(tmp_path / "out" / "comparison.parquet", COMPARISON)
    kilns = seasons.kilns
    status = status_at(table, kilns)
    stays = kilns["there_before"] & kilns["there_after"]
    both_shown = kilns["shown_before"] & kilns["shown_after"]
    torn_down = kilns["there_before"] & ~kilns["there_after"]
    built = ~kilns["there_before"] & kilns["there_after"]
    assert (status[stays & both_shown] == "unchanged").mean() > 0.5
    # what was found at all in its season is told from what stays
    changed = [("gone", torn_down), ("new", built)]
    told = [(status[of & both_shown & (status != "none")] == said) for said, of in changed]
    assert pd.concat(told).sum() >= 4
    assert pd.concat(told).mean() > 0.7
    # thin clouds pass the mask and make kilns look gone; under those that it sees nothing is said
    hidden_after = kilns["shown_before"] & ~kilns["shown_after"]
    assert hidden_after.sum() > 2
    found_before = status[hidden_after & (status != "none")]
    assert (found_before == "not_seen_after").mean() > 0.5
    masked = read_ground(runs / "after" / "ground.parquet").status_at(kilns["lon"], kilns["lat"])
    assert "gone" not in set(status[masked == "cloud"])
    assert f"{(table['status'] == 'gone').sum()} gone" in summary


def test_what_is_written_opens_and_says_what_it_is(runs, tmp_path):
    out = tmp_path / "out"
    compare(CompareSettings(run_folder=runs / "before", later=runs / "after", out=out))
    table = pd.read_csv(out / "comparison.csv", encoding="utf-8-sig")
    layer = json.loads((out / "comparison.geojson").read_text())
    assert len(table) == len(layer["features"]) > 10
    assert "labour conditions not assessed" in layer["disclaimer"]
    page = (out / "index.html").read_text()
    assert "labour conditions not assessed" in page.lower()
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert out.stat().st_mode & 0o077 == 0
    again = tmp_path / "again"
    compare(CompareSettings(run_folder=runs / "before", later=runs / "after", out=again))
    for file in out.iterdir():
        assert (again / file.name).read_bytes() == file.read_bytes()


def test_a_displaced_list_is_moved_and_counted_against(seasons, runs, tmp_path):
    kilns = seasons.kilns[seasons.kilns["there_before"]]
    listed = kilns.assign(lon=kilns["lon"] + 0.0009, source="a friend's list")
    listed[["lat", "lon", "source"]].to_csv(tmp_path / "list.csv", index=False)
    settings = CompareSettings(
        run_folder=runs / "before",
        positions=tmp_path / "list.csv",
        out=tmp_path / "out",
    )
    said = compare(settings)
    table = read_table(tmp_path / "out" / "comparison.parquet", COMPARISON)
    matched = table[table["status"] == "matched"]
    assert len(matched) > 10
    assert matched["distance_m"].median() < 40
    seen = table["status"].isin(["matched", "missed"]).sum()
    assert np.isclose(seen, kilns["shown_before"].sum(), atol=2)
    assert re.search(r"lies \d\d m off", said)
    counted = settings.model_copy(update={"independent": "made up", "out": tmp_path / "count"})
    with pytest.raises(ConfigError, match="squares of 10 km: at least"):
        compare(counted)  # a belt of 14 km is too small to say how sure a count is
    assert not (tmp_path / "count").exists()


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({}, ConfigError, "either a second run folder or --points"),
        ({"later": "before", "positions": "list.csv"}, ConfigError, "either a second run folder"),
        ({"later": "nowhere"}, RunFolderError, "no finished run"),
        ({"later": "after", "independent": "me"}, ConfigError, "speaks of a list"),
        ({"positions": "nowhere.csv"}, TableError, "no readable CSV"),
        ({"positions": "far.csv"}, ConfigError, "no place of .* lies in the region"),
    ],
)
def test_bad_input_gets_one_sentence_and_nothing_is_written(runs, tmp_path, changes, error, words):
    (tmp_path / "far.csv").write_text("lat,lon\n0,0\n")
    paths = {"later": runs, "positions": tmp_path}
    given = {key: paths[key] / value if key in paths else value for key, value in changes.items()}
    with pytest.raises(error, match=words) as raised:
        compare(CompareSettings(run_folder=runs / "before", out=tmp_path / "out", **given))
    assert isinstance(raised.value, KilnlightError)
    assert not (tmp_path / "out").exists()
