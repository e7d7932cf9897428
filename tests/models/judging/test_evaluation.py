"""Matching and its figures against numbers worked out by hand."""

import numpy as np
import pytest
from pyproj import Geod

from models.judging.evaluation import (
    Places,
    average_precision,
    best_threshold,
    evaluate_detections,
    match,
    places_from_lonlat,
)
from tiles.errors import DatasetError


def places(*east_m: float, block: int = 0) -> Places:
    """Points on one line, by their metres east."""
    return Places(
        np.array([[x, 0.0] for x in east_m]).reshape(-1, 2), np.full(len(east_m), block, np.int64)
    )


def test_the_best_detection_takes_the_nearest_free_site() -> None:
    # 0.9 at 40 m takes the site at 0; 0.8 at -30 m finds it taken and the other too far.
    m = match(places(40, -30), np.array([0.9, 0.8]), places(0, 130), places(), 100)
    assert m.hit.tolist() == [True, False]
    assert m.site.tolist() == [0, -1]


def test_two_detections_of_one_site_are_one_hit_and_one_false_alarm() -> None:
    m = match(places(5, -5), np.array([0.7, 0.9]), places(0), places(), 50)
    assert m.order.tolist() == [1, 0]
    assert m.hit.tolist() == [True, False]


def test_a_detection_at_a_doubtful_place_counts_neither_way() -> None:
    m = match(places(0, 500), np.array([0.9, 0.8]), places(2000), places(20), 100)
    assert m.order.tolist() == [1]


def test_a_hit_near_a_doubtful_place_stays_a_hit() -> None:
    m = match(places(0), np.array([0.9]), places(30), places(10), 100)
    assert m.hit.tolist() == [True]


def test_ties_do_not_depend_on_the_order_of_the_input() -> None:
    scores = np.array([0.5, 0.5, 0.5])
    first = match(places(0, 60, 20), scores, places(10), places(), 100)
    second = match(places(60, 20, 0), scores, places(10), places(), 100)
    assert first.hit.tolist() == second.hit.tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("hit", "n_sites", "expected"),
    [
        ([1, 0, 1], 2, (1 + 2 / 3) / 2),
        ([1, 1], 4, 0.5),
        ([0, 0], 3, 0.0),
        ([0, 1, 1, 0, 1], 3, (1 / 2 + 2 / 3 + 3 / 5) / 3),
    ],
)
def test_average_precision_by_hand(hit: list[int], n_sites: int, expected: float) -> None:
    assert average_precision(np.array(hit, bool), n_sites) == pytest.approx(expected)


def test_an_evaluation_by_hand() -> None:
    sites = places(0, 1000, 2000, 3000)
    found = places(30, 1060, 2150, 5000, 6000, 7000)
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.35, 0.2])
    e = evaluate_detections(found, scores, sites, 50.0, 0.3, doubtful=places(6010))
    at50, at100, at200 = e.tolerances
    assert (at50.hits, at100.hits, at200.hits) == (1, 2, 3)
    # The detection at 6,000 m is ignored: 0.9, 0.8, 0.7, 0.6 count at the threshold of 0.3.
    assert at100.false_alarms == 2
    assert at100.precision.value == pytest.approx(0.5)
    assert at100.recall.value == pytest.approx(0.5)
    assert at100.f1.value == pytest.approx(0.5)
    assert at100.false_alarms_per_1000km2 == pytest.approx(40.0)
    assert at100.average_precision.value == pytest.approx(0.5)
    assert at200.average_precision.value == pytest.approx(0.75)
    assert at200.false_alarms_per_1000km2_at_recall_090 is None
    assert e.at(100) == at100
    assert "2 found, 2 false" in e.summary()


def test_intervals_come_from_resampling_whole_blocks() -> None:
    def two_blocks(east_m: list[float]) -> Places:
        points = np.array([[x, 0.0] for x in east_m])
        return Places(points, (points[:, 0] > 50_000).astype(np.int64))

    sites = two_blocks([0, 1000, 100_000, 101_000])
    found = two_blocks([0, 1000])  # one block found whole, the other not at all
    e = evaluate_detections(found, np.array([0.9, 0.8]), sites, 100.0, 0.5)
    recall = e.at(100).recall
    assert (recall.value, recall.low, recall.high) == (0.5, 0.0, 1.0)
    assert e.n_blocks == 2


def test_no_sites_are_refused() -> None:
    with pytest.raises(DatasetError, match="at least one site"):
        evaluate_detections(places(1), np.array([0.5]), places(), 10.0, 0.5)


def test_places_from_degrees_keep_distances() -> None:
    lon, lat = np.array([77.0, 77.001]), np.array([28.5, 28.5005])
    p = places_from_lonlat(lon, lat)
    _, _, geodesic_m = Geod(ellps="WGS84").inv(lon[0], lat[0], lon[1], lat[1])
    assert np.linalg.norm(p.xyz_m[0] - p.xyz_m[1]) == pytest.approx(geodesic_m, abs=1e-3)
    assert p.block[0] == p.block[1]


def test_points_a_block_apart_have_other_blocks() -> None:
    p = places_from_lonlat(np.array([77.0, 77.2]), np.array([28.5, 28.5]))
    assert p.block[0] != p.block[1]


def test_the_best_threshold_maximises_f1() -> None:
    scores = np.array([0.95, 0.9, 0.6, 0.55, 0.3, 0.2])
    hit = np.array([1, 1, 1, 0, 0, 0], bool)
    assert best_threshold(scores, hit, 3) == pytest.approx(0.55)
