import json

import pytest
import shapely

from tiles.errors import RegionError
from tiles.region import Period, read_region, region_of

SQUARE = shapely.box(77.0, 28.0, 77.5, 28.5)


def write_geojson(path, *geometries):
    features = [
        {"type": "Feature", "properties": {}, "geometry": json.loads(shapely.to_geojson(g))}
        for g in geometries
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_all_polygons_of_a_file_are_one_region(tmp_path):
    far = shapely.box(80.0, 28.0, 80.5, 28.5)
    region = read_region(write_geojson(tmp_path / "belt.geojson", SQUARE, far))
    assert region.name == "belt"
    assert region.polygon.equals(shapely.union(SQUARE, far))


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        (shapely.Point(77, 28), "other than polygons"),
        (shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]), "is invalid"),
        (shapely.box(170, 0, 190, 10), "beyond the globe"),
        (shapely.Polygon(), "no area"),
    ],
)
def test_what_is_no_region_is_refused(tmp_path, geometry, message):
    with pytest.raises(RegionError, match=message):
        read_region(write_geojson(tmp_path / "r.geojson", geometry))


def test_what_is_no_file_of_polygons_is_refused(tmp_path):
    with pytest.raises(RegionError, match="is not there"):
        read_region(tmp_path / "none.geojson")
    (tmp_path / "bad.geojson").write_text("{")
    with pytest.raises(RegionError, match="no readable vector file"):
        read_region(tmp_path / "bad.geojson")
    with pytest.raises(RegionError, match="holds nothing on the ground"):
        read_region(write_geojson(tmp_path / "empty.geojson"))


def test_a_region_is_made_of_footprints():
    assert region_of("r", [SQUARE, SQUARE]).polygon.equals(SQUARE)


def test_periods():
    period = Period.parse("2025-11/2026-06")
    assert str(period) == "2025-11/2026-06"
    assert period.holds("2025-12")
    assert not period.holds("2026-07")
    assert period.a_quarter_later == "2026-10"  # July, August and September lie between
    assert Period.parse("2025-09").a_quarter_later == "2026-01"
    assert Period.parse("2025-12").a_quarter_later == "2026-04"
    assert str(Period.parse("2026-02")) == "2026-02/2026-02"
    for wrong in ("2026", "2026-13", "2026-06/2025-11", "Feb 2026", ""):
        with pytest.raises(RegionError, match="period"):
            Period.parse(wrong)
