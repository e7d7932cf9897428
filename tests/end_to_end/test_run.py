"""The real command's path on a small made-up belt: a Dask cluster of processes, real files."""

import json

import geopandas as gpd
import gpxpy
import pandas as pd
import pytest
import rasterio
import shapely

from maps.evidence import GROUPS
from maps.hotspots import HOTSPOTS
from maps.linking import SITES
from models.detection import DETECTIONS
from pipeline.config import RunSettings
from pipeline.demo import compare
from pipeline.mapping import partition_from_run
from pipeline.progress import Screen
from pipeline.reports.release import ReleaseSettings, release_counts
from pipeline.run import run
from tiles.cells import project
from tiles.coverage import COVERAGE
from tiles.errors import KilnlightError, RunFolderError
from tiles.region import Period
from tiles.simulate import BeltSettings, simulate_belt
from tiles.tables import read_table

PERIOD = "2025-11/2026-06"
QUIET = Screen(quiet=True)


@pytest.fixture(scope="module")
def belt(tmp_path_factory):
    settings = BeltSettings(side_km=12, n_kilns=24, n_reporters=300)
    return simulate_belt(settings, tmp_path_factory.mktemp("belt"), processes=1)


def settings_for(belt, out, **changes):
    return RunSettings(
        imagery=tuple(str(scene) for scene in belt.scenes),
        region=belt.region,
        period=PERIOD,
        out=out,
        precision="fp32",
        simulated=True,
        **changes,
    )


@pytest.fixture(scope="module")
def first(belt, tmp_path_factory):
    """The belt surveyed once."""
    return run(settings_for(belt, tmp_path_factory.mktemp("a") / "run"), QUIET)


def test_tables_open_as_they_are(first):
    for schema in (DETECTIONS, COVERAGE, SITES, HOTSPOTS, GROUPS):
        path = first.folder / f"{schema.name}.parquet"
        assert len(read_table(path, schema)) > 0
        assert list(gpd.read_parquet(path).columns) == [*schema.column_names, "geometry"]
        assert set(pd.read_parquet(path).columns) == {*schema.column_names, "geometry"}


def test_kilns_are_found_once_although_two_scenes_show_them(belt, first):
    kilns = gpd.read_file(belt.truth_kilns)
    likely = first.maps.sites[first.maps.sites["p_site"] >= 0.5]
    utm = kilns.estimate_utm_crs()
    centres = gpd.GeoSeries(gpd.points_from_xy(kilns["lon"], kilns["lat"], crs=4326)).to_crs(utm)
    near = [likely.to_crs(utm).distance(centre) < 50 for centre in centres]
    assert max(hits.sum() for hits in near) == 1
    assert sum(hits.any() for hits in near) >= 0.7 * kilns["observable"].sum()
    assert (first.maps.sites["n_scenes"] == 2).any(), "the overlap of the scenes holds some"


def test_coverage_sums_to_the_region(first):
    whole = project(first.plan.region.polygon).area / 1e6
    assert first.survey.coverage["area_km2"].sum() == pytest.approx(whole, rel=1e-3)
    assert {"searched", "cloud"} <= set(first.survey.coverage["status"])


def test_the_list_and_the_map_say_what_they_must(first):
    restricted, public = first.folder / "restricted", first.folder / "public"
    waypoints = gpxpy.parse((restricted / "sites.gpx").read_text()).waypoints
    rows = pd.read_csv(restricted / "sites.csv")
    points = gpd.read_file(restricted / "sites.geojson")
    assert len(waypoints) == len(rows) == len(points) == len(first.maps.sites)
    assert list(rows["rank"]) == list(range(1, len(rows) + 1))
    assert rows["reason"].str.len().min() > 20
    assert not rows["reason"].str.contains("report", case=False).any()
    for page in public.glob("*.html"):
        assert "labour conditions not assessed" in page.read_text().lower()
    assert first.maps.sites["site_id"].iloc[0] not in (public / "map.html").read_text()


def test_the_manifest_says_how_it_came_to_be(first, belt):
    manifest = json.loads((first.folder / "manifest.json").read_text())
    assert [scene["scene_id"] for scene in manifest["survey"]["imagery"]] == [
        scene.stem for scene in belt.scenes
    ]
    assert manifest["survey"]["precision"] == "fp32"
    assert manifest["survey"]["weights"]["licence"]
    assert set(manifest["seconds"]) == {"plan", "survey", "maps"}
    assert {"detections.parquet", "public/map.html", "restricted/sites.csv"} <= set(
        manifest["files"]
    )


def test_the_same_run_twice_gives_the_same_bytes(belt, first, tmp_path):
    again = run(settings_for(belt, tmp_path / "run", workers=1), QUIET)
    hashes = [json.loads((r.folder / "manifest.json").read_text())["files"] for r in (first, again)]
    for files in hashes:
        del files["run.toml"]  # names its own folder
    assert hashes[0] == hashes[1]
    assert len(hashes[0]) > 10


@pytest.fixture(scope="module")
def released(belt, first, tmp_path_factory):
    """Partition, ledger and noised counts of the belt's reports."""
    folder = tmp_path_factory.mktemp("release")
    partition_from_run(first.folder, folder / "partition.parquet", 5)
    release_counts(
        ReleaseSettings(
            reports=belt.reports,
            partition=folder / "partition.parquet",
            period=Period.parse(PERIOD),
            ledger=folder / "ledger.jsonl",
            output=folder / "noised_counts.parquet",
        )
    )
    return folder


def test_noised_counts_are_added_to_a_finished_survey(belt, first, released):
    before = (first.folder / "detections.parquet").stat().st_mtime_ns
    with_counts = run(
        settings_for(
            belt,
            first.folder,
            partition=released / "partition.parquet",
            noised_counts=released / "noised_counts.parquet",
        ),
        QUIET,
    )
    assert (first.folder / "detections.parquet").stat().st_mtime_ns == before, "it is not redone"
    assert with_counts.maps.groups["report_rate"].notna().any()
    assert any("cluster of reports" in line for line in compare(with_counts, belt))


def test_nothing_of_the_reports_is_in_any_file(belt, released, first):
    rows = pd.read_csv(belt.reports, dtype=str)
    secrets = {*rows["reporter"].dropna(), *(rows["lat"] + "," + rows["lon"]), str(len(rows))}
    secrets -= {secret for secret in secrets if len(secret) < 4}
    for file in [*first.folder.rglob("*"), *released.rglob("*")]:
        if file.is_file() and file.suffix in {".json", ".jsonl", ".csv", ".html", ".geojson"}:
            text = file.read_text()
            assert not [secret for secret in secrets if secret in text]


def test_another_run_or_a_changed_partition_is_refused(belt, first, tmp_path):
    with pytest.raises(RunFolderError, match="another run"):
        run(settings_for(belt, first.folder).model_copy(update={"region": None}), QUIET)
    other = tmp_path / "other.parquet"
    partition_from_run(first.folder, other, 3)
    with pytest.raises(KilnlightError, match="already: a partition is made once"):
        partition_from_run(first.folder, other, 3)


def test_one_broken_scene_is_reported_unless_strict(belt, tmp_path):
    broken = tmp_path / "broken.tif"
    broken.write_text("x")
    settings = settings_for(belt, tmp_path / "run", weights=None)
    settings = settings.model_copy(update={"imagery": (str(belt.scenes[0]), str(broken))})
    summary = run(settings, QUIET)
    assert "broken.tif is no raster that can be opened" in summary.text()
    strict = settings.model_copy(update={"strict": True, "out": tmp_path / "strict"})
    with pytest.raises(KilnlightError, match=r"broken\.tif"):
        run(strict, QUIET)
    assert not (tmp_path / "strict").exists()


def test_imagery_alone_is_enough(belt, tmp_path):
    summary = run(RunSettings(imagery=(str(belt.scenes[0]),), out=tmp_path / "run"), QUIET)
    with rasterio.open(belt.scenes[0]) as scene:
        whole = shapely.box(*scene.bounds).area / 1e6
    assert summary.region_km2 == pytest.approx(whole, rel=0.002)
    assert summary.plan.period == "2026-02/2026-02"
