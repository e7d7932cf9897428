import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from pyproj import Geod

from maps.review.consensus import place_decisions
from maps.review.decisions import parse_decisions
from maps.review.labels import (
    REVIEW_LABELS,
    REVIEWED_GROUND,
    box_outline,
    labels_of,
    reviewed_ground,
)
from tiles.tables import read_table, write_table

SITES = pd.DataFrame(
    {
        "site_id": [f"KL-{n}" for n in range(5)],
        "lon": 77.0 + 0.01 * np.arange(5),
        "lat": 28.0,
        "length_m": 100.0,
        "width_m": 50.0,
        "azimuth_deg": 30.0,
    }
)
COLUMNS = "site_id,lon,lat,decision,reviewer,chip_id,count"
BOX = "moved_lon,moved_lat,length_m,width_m,azimuth_deg"
DECISIONS = f"""{COLUMNS},{BOX}
KL-0,77.00,28,yes,A,,,77.0005,28.0003,120,60,10
KL-0,77.00,28,yes,B,,,,,,,
KL-1,77.01,28,no,A,chip-9,,,,,,
KL-2,77.02,28,yes,A,,,,,,,
KL-2,77.02,28,no,B,,,,,,,
KL-3,77.03,28,wrong_class,A,,,,,,,
,77.06,28,yes,A,,,77.06,28,80,40,0
,77.09,28,counted,A,chip-1,0,,,,,
,77.10,28,counted,A,chip-2,3,,,,,
"""


@pytest.fixture
def labels():
    placed = place_decisions(parse_decisions(DECISIONS, "made up"), SITES)
    return labels_of(placed, SITES)


def test_every_place_has_one_label_and_undecided_sites_teach_nothing(labels):
    by_place = labels.set_index("place")["label"]
    assert by_place["KL-0"] == "site"
    assert by_place["KL-1"] == "not_site"
    assert (by_place[["KL-2", "KL-3", "KL-4"]] == "doubtful").all()
    added = labels[labels["place"].str.startswith("added at")]
    assert list(added["label"]) == ["site"]
    assert labels.set_index("place")["trusted"].sum() == 2
    assert len(labels) == 6
    assert "chip-1" not in set(labels["place"])


def test_boxes_are_as_moved_and_weights_by_who_agreed(labels):
    rows = labels.set_index("place")
    moved = rows.loc["KL-0"]
    assert (moved["lon"], moved["lat"], moved["length_m"]) == (77.0005, 28.0003, 120.0)
    assert moved["moved"]
    assert (moved["reviewers"], moved["agreed"]) == (2, 1.0)
    assert moved["weight"] == pytest.approx(2 / 3)
    assert rows.loc["KL-1", "weight"] == pytest.approx(1 / 2)
    assert rows.loc["KL-1", "audit"]
    assert not rows.loc["KL-2", "audit"]
    assert rows.loc["KL-4", "weight"] == 0.0


def test_an_outline_has_the_sides_and_direction_that_it_was_given():
    box = box_outline(77.0, 28.0, 120.0, 60.0, 30.0)
    lon, lat = (np.array(axis) for axis in box.exterior.xy)
    azimuth, _, side_m = Geod(ellps="WGS84").inv(lon[:-1], lat[:-1], lon[1:], lat[1:])
    assert sorted(np.round(side_m)) == [60, 60, 120, 120]
    assert np.round(azimuth[np.argmax(side_m)] % 180) == 30
    assert box.centroid.x == pytest.approx(77.0, abs=1e-6)


def test_ground_is_what_was_counted_and_what_was_rejected(labels):
    placed = place_decisions(parse_decisions(DECISIONS, "made up"), SITES)
    ground = reviewed_ground(placed, labels, 500.0).set_index("place")
    assert ground["sites"].to_dict() == {"chip-1": 0, "chip-2": 3, "KL-1": 0}
    assert ground["side_m"].to_dict() == {"chip-1": 500.0, "chip-2": 500.0, "KL-1": 200.0}
    assert ground["audit"].all()
    area_m2 = gpd.GeoSeries(ground.geometry, crs=4326).to_crs(6933).area
    assert area_m2["chip-1"] == pytest.approx(250_000, rel=0.02)


def test_tables_read_back(labels, tmp_path):
    placed = place_decisions(parse_decisions(DECISIONS, "made up"), SITES)
    ground = reviewed_ground(placed, labels, 500.0)
    write_table(labels, tmp_path / "labels.parquet", REVIEW_LABELS)
    write_table(ground, tmp_path / "ground.parquet", REVIEWED_GROUND)
    assert len(read_table(tmp_path / "labels.parquet", REVIEW_LABELS)) == len(labels)
    assert len(read_table(tmp_path / "ground.parquet", REVIEWED_GROUND)) == 3
