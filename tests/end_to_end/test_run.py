"""The real command's path on a small made-up belt: a Dask cluster of processes, real files."""

import json

import geopandas as gpd
import gpxpy
import numpy as np
import pandas as pd
import pytest
import rasterio

from maps.evidence import GROUPS
from maps.hotspots import HOTSPOTS
from maps.language import load_language
from maps.linking import SITES
from models.detection import DETECTIONS
from pipeline.config import RunSettings
from pipeline.demo import compare
from pipeline.engine.progress import Screen
from pipeline.partitions import PartitionSettings, make_partition
from pipeline.reports.release import release_counts
from pipeline.reports.settings import ReleaseSettings
from pipeline.reports.verify import verify
from pipeline.run import run
from tests.made_up import noise, write_raster
from tiles.cells import project
from tiles.coverage import COVERAGE
from tiles.errors import KilnlightError, RunFolderError
from tiles.region import Period
from tiles.simulate import BeltSettings, simulate_belt
from tiles.tables import read_notes, read_table

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
    utm = kilns.estimate_utm_crs()
    sites = first.maps.sites.to_crs(utm)
    centres = gpd.GeoSeries(gpd.points_from_xy(kilns["lon"], kilns["lat"], crs=4326)).to_crs(utm)
    near = [sites.distance(centre) < 50 for centre in centres]
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
    pages = list(public.glob("*.html"))
    assert len(pages) > 10
    for page in pages:
        parts = page.name.split(".")
        words = load_language(parts[1] if len(parts) > 2 else "en").say("known.disclaimer")
        assert words.lower() in page.read_text().lower()
    assert first.maps.sites["site_id"].iloc[0] not in (public / "map.html").read_text()


def test_the_manifest_says_how_it_came_to_be(first, belt):
    manifest = json.loads((first.folder / "manifest.json").read_text())
    scenes = {scene["scene_id"] for scene in manifest["survey"]["imagery"]}
    assert scenes == {scene.stem for scene in belt.scenes}
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
    make_partition(PartitionSettings(run_folder=first.folder, out=folder / "partition.parquet"))
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
    kept = [first.folder / "sites.parquet", *(first.folder / "restricted").iterdir()]
    bytes_before = [file.read_bytes() for file in kept]
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
    assert [file.read_bytes() for file in kept] == bytes_before, "no report moves a rank"
    assert "October 2026" in (first.folder / "public" / "index.html").read_text(), (
        "a quarter's delay"
    )
    assert set(with_counts.maps.groups["evidence_class"]) != {"no_release"}
    assert any("cluster of reports" in line for line in compare(with_counts, belt))
    published = [first.folder / "public", first.folder / "manifest.json"]
    found = verify(released / "ledger.jsonl", [*published, released / "noised_counts.parquet"])
    assert found.head_sha256 in (first.folder / "public" / "method.html").read_text()


def everything_in(file):
    """A file's content as text, tables with all their columns and notes."""
    if file.suffix == ".parquet":
        return pd.read_parquet(file).to_csv() + str(read_notes(file))
    return file.read_text(encoding="utf-8", errors="replace")


def test_nothing_of_the_reports_is_in_any_file(belt, first, released):
    rows = pd.read_csv(belt.reports, dtype=str)
    names = {name for name in rows["reporter"].dropna() if len(name) > 4}
    places = {*zip(rows["lat"], rows["lon"], strict=True)}
    assert min(len(names), len(places)) > 50
    files = [file for folder in (first.folder, released) for file in folder.rglob("*")]
    files = [file for file in files if file.is_file()]
    assert {".parquet", ".jsonl", ".html", ".gpx", ".toml"} <= {file.suffix for file in files}
    for file in files:
        text = everything_in(file)
        assert not [name for name in names if name in text], file.name
        assert not [place for place in places if all(x in text for x in place)], file.name


def test_another_run_is_refused(belt, first):
    with pytest.raises(RunFolderError, match="another run"):
        run(settings_for(belt, first.folder).model_copy(update={"region": None}), QUIET)


def test_a_partition_is_made_once_and_fits_one_region(first, tmp_path):
    partition = tmp_path / "partition.parquet"
    make_partition(PartitionSettings(run_folder=first.folder, out=partition, k=3))
    with pytest.raises(KilnlightError, match="already: a partition is made once"):
        make_partition(PartitionSettings(run_folder=first.folder, out=partition, k=3))
    elsewhere = write_raster(tmp_path / "elsewhere.tif", noise(128, 128))
    settings = RunSettings(imagery=(str(elsewhere),), out=tmp_path / "run", partition=partition)
    with pytest.raises(KilnlightError, match="holds 0 of this region's"):
        run(settings, QUIET)
    counts = settings.model_copy(update={"partition": None, "noised_counts": partition})
    with pytest.raises(KilnlightError, match="belongs to a partition"):
        run(counts, QUIET)
    assert not (tmp_path / "run").exists()


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


def test_imagery_alone_is_enough_and_the_rest_may_follow(tmp_path):
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False):
        path = write_raster(tmp_path / "scene.tif", noise(128, 128))
        with rasterio.open(path, "r+") as scene:
            scene.write_mask(np.repeat(np.uint8([[0], [255]]), 64, axis=0).repeat(128, axis=1))
    settings = RunSettings(imagery=(str(path),), out=tmp_path / "run", workers=1)
    summary = run(settings, QUIET)
    areas = summary.survey.coverage.groupby("status")["area_km2"].sum()
    assert areas["nodata"] == pytest.approx(areas["searched"], rel=0.2), "a worker reads the .msk"
    assert summary.region_km2 == pytest.approx(1.28**2, rel=0.01)
    assert summary.plan.period == "undated"
    named = settings.model_copy(update={"period": "2026-02/2026-02", "name": "Upper belt"})
    again = run(named, Screen(quiet=False))
    assert set(read_table(again.folder / "coverage.parquet", COVERAGE)["period"]) == {
        "2026-02/2026-02"
    }
    assert "Upper belt" in (again.folder / "public" / "index.html").read_text()
    assert run(named, QUIET).folder == again.folder


def test_a_built_partition_is_the_one_that_the_run_used(belt, tmp_path):
    settings = settings_for(belt, tmp_path / "run")
    run(settings, QUIET)
    make_partition(PartitionSettings(run_folder=settings.out, out=tmp_path / "partition.parquet"))
    used = settings.out / "partition.parquet"
    assert (tmp_path / "partition.parquet").read_bytes() == used.read_bytes()


def hashes_of(folder):
    """SHA-256 of every file but the run file, which names its own folder, and the manifest."""
    files = json.loads((folder / "manifest.json").read_text())["files"]
    return {name: sha for name, sha in files.items() if name != "run.toml"}


def test_with_the_noised_counts_fixed_raw_reports_change_no_byte(belt, first, released):
    """The one rule above all: added, changed, deleted, or the whole file gone."""
    settings = settings_for(
        belt,
        first.folder,
        partition=released / "partition.parquet",
        noised_counts=released / "noised_counts.parquet",
    )
    before = hashes_of(run(settings, QUIET).folder)
    assert "priorities.parquet" in before
    raw = belt.reports.read_text()
    header, *rows = raw.splitlines()
    changes = {
        "deleted": [header, *rows[: len(rows) // 2]],
        "added": [header, *rows, *(row.replace(",2026", "x,2026") for row in rows)],
        "changed": [header, *(row[::-1] for row in rows)],
    }
    try:
        for name, lines in changes.items():
            belt.reports.write_text("\n".join(lines) + "\n")
            assert hashes_of(run(settings, QUIET).folder) == before, name
        belt.reports.unlink()
        assert hashes_of(run(settings, QUIET).folder) == before, "the file is gone"
    finally:
        belt.reports.write_text(raw)
