"""What a survey can bring at its worst: nothing at all, one cell, the date line, long names."""

import json

import numpy as np
import pytest
import shapely

from maps.downloads import downloads_of
from maps.editions import SurveyTables, contents_of, points_of
from maps.expected import Recall, expected_by_cell, expected_over
from maps.hotspots import find_hotspots
from maps.linking import link_sites
from maps.priority import rank_sites
from maps.publish import publish
from maps.record import SurveyRecord
from models.site_class import load_site_class
from tests.maps.conftest import PERIOD, coverage_of, detections_at
from tiles.partition import REST, build_partition
from tiles.region import Region

KILNS = load_site_class("brick_kiln")
RECALL = Recall(0.82, 0.74, 0.88)


def folder_of(survey, tier, ground, lon, lat, out, **facts):
    """Publish a survey of this ground with a site at each place; return files by name."""
    region = Region("Edge", ground)
    sites = link_sites(detections_at(np.array(lon, float), np.array(lat, float)), KILNS)
    return publish_sites(survey, tier, region, sites, out, **facts)


def publish_sites(survey, tier, region, sites, out, **facts):
    coverage = coverage_of(region, lambda cells: np.ones(len(cells)))
    cells = expected_by_cell(sites, coverage, RECALL, KILNS)
    hotspots = find_hotspots(cells, PERIOD, KILNS.name)
    ranked = rank_sites(sites, hotspots, KILNS)
    said = survey.facts.model_copy(
        update={"tier": tier, "release": None, "expected_total": expected_over(cells), **facts}
    )
    record = SurveyRecord(facts=said, site_class=KILNS)
    partition = build_partition(ranked, cells)
    tables = SurveyTables(ranked, coverage, hotspots, partition, None, record)
    contents = contents_of(tables, said, points_of(tier, ranked, unreviewed=True))
    paths = publish(contents, ranked, out, languages=("en",))
    return {path.name: path.read_text(encoding="utf-8") for path in paths}


@pytest.mark.parametrize("tier", ["public", "partner"])
def test_no_detection_at_all_is_said_and_is_no_error(survey, tier, tmp_path):
    ground = shapely.box(77.0, 28.0, 77.4, 28.3)
    files = folder_of(survey, tier, ground, [], [], tmp_path / "out")
    assert set(files) > set(downloads_of(tier))
    rows = files["groups.csv"].splitlines()
    assert len(rows) == 2
    assert rows[1].startswith(REST)
    assert json.loads(files["groups.geojson"])["features"][0]["properties"]["evidence_class"] == (
        "no_release"
    )
    if tier == "partner":
        assert len(files["sites.csv"].splitlines()) == 1
        assert json.loads(files["sites.geojson"])["features"] == []
    assert "Nothing found is not nothing there" in files["index.html"]


@pytest.mark.parametrize("tier", ["public", "partner"])
def test_one_cell_with_one_site(survey, tier, tmp_path):
    ground = shapely.box(77.05, 28.05, 77.06, 28.06)
    files = folder_of(survey, tier, ground, [77.055], [28.055], tmp_path / "out")
    assert len(files["groups.csv"].splitlines()) == 2
    assert ("KL-" in files["sites.csv"]) if tier == "partner" else ("sites.csv" not in files)


@pytest.mark.parametrize("tier", ["public", "partner"])
def test_a_region_across_the_date_line(survey, tier, tmp_path):
    """Two polygons, as RFC 7946 wants a region cut that crosses it."""
    ground = shapely.MultiPolygon(
        [shapely.box(179.5, -17.3, 180, -16.9), shapely.box(-180, -17.3, -179.6, -16.9)]
    )
    rng = np.random.default_rng(8)
    lon = np.concatenate([rng.uniform(179.55, 179.95, 30), rng.uniform(-179.95, -179.65, 30)])
    lat = rng.uniform(-17.25, -16.95, 60)
    files = folder_of(survey, tier, ground, lon, lat, tmp_path / "out")
    shapes = json.loads(files["groups.geojson"])["features"]
    spans = [
        max(x for x, _ in ring) - min(x for x, _ in ring)
        for feature in shapes
        for part in shapely.get_parts(shapely.from_geojson(json.dumps(feature["geometry"])))
        for ring in [part.exterior.coords]
    ]
    assert max(spans) < 1, "no area reaches round the globe"
    if tier == "partner":
        assert len(files["sites.csv"].splitlines()) == 61


def test_names_with_quotes_emoji_and_500_characters(survey, tmp_path):
    name = "Ward \"7\" 'north' 🧱 " + "ก" * 500
    ground = shapely.box(77.0, 28.0, 77.2, 28.2)
    files = folder_of(
        survey, "public", ground, [77.1], [28.1], tmp_path / "out", region_name=name, publisher=name
    )
    assert json.loads(files["manifest.json"])["region"] == name
    assert name in json.loads(files["CITATION.cff"].split("\n")[2].removeprefix("title: "))
