import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from pyproj import Geod

from tiles.matching import Offset, estimate_offset, match_places

GEOD = Geod(ellps="WGS84")


def at_metres(*east_north: tuple[float, float]) -> pd.DataFrame:
    """Places some metres east and north of 77 E, 28 N."""
    offsets = np.array(east_north, float).reshape(-1, 2)
    bearing = np.degrees(np.arctan2(offsets[:, 0], offsets[:, 1]))
    lon, lat, _ = GEOD.fwd(
        np.full(len(offsets), 77.0), np.full(len(offsets), 28.0), bearing, np.hypot(*offsets.T)
    )
    return pd.DataFrame({"lon": lon, "lat": lat})


def scattered(n: int, seed: int, side_m: float = 60_000) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, side_m, (n, 2))


def test_nearest_pairs_go_first_and_every_place_is_used_once():
    first = at_metres((0, 0), (60, 0))
    second = at_metres((50, 0), (500, 0))
    pairs = match_places(first, second, 100)
    assert pairs.first.tolist() == [1]  # 10 m beats 50 m
    assert pairs.second.tolist() == [0]
    assert pairs.distance_m[0] == pytest.approx(10, abs=0.1)


def test_nothing_matches_beyond_the_distance_or_an_empty_list():
    one = at_metres((0, 0))
    assert len(match_places(one, at_metres((101, 0)), 100).first) == 0
    assert len(match_places(one, at_metres((99, 0)), 100).first) == 1
    assert len(match_places(one, one.iloc[:0], 100).first) == 0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 40), st.integers(0, 40))
def test_pairs_are_one_to_one_and_do_not_depend_on_which_list_is_first(seed, n, m):
    rng = np.random.default_rng(seed)
    first = at_metres(*rng.uniform(0, 800, (n, 2))) if n else at_metres((0, 0)).iloc[:0]
    second = at_metres(*rng.uniform(0, 800, (m, 2))) if m else at_metres((0, 0)).iloc[:0]
    pairs = match_places(first, second, 100)
    assert len(set(pairs.first)) == len(pairs.first) == len(set(pairs.second))
    turned = match_places(second, first, 100)
    assert sorted(zip(pairs.first, pairs.second, strict=True)) == sorted(
        zip(turned.second, turned.first, strict=True)
    )


def test_a_displaced_list_is_found_and_moved_back():
    truth = scattered(300, 1)
    noise = np.random.default_rng(2).normal(0, 12, truth.shape)
    found = at_metres(*truth)
    listed = at_metres(*(truth + noise + [-82.0, 83.0]))
    offset = estimate_offset(listed, found)
    assert offset.east_m == pytest.approx(82, abs=3)
    assert offset.north_m == pytest.approx(-83, abs=3)
    assert 100 < offset.low_m <= offset.length_m
    assert len(match_places(listed, found, 100).first) < 120
    assert len(match_places(offset.moved(listed), found, 100).first) > 295


def test_a_list_in_its_place_and_a_list_of_other_places_are_left_alone():
    truth = scattered(300, 3)
    found = at_metres(*truth)
    near = at_metres(*(truth + np.random.default_rng(4).normal(0, 12, truth.shape)))
    assert estimate_offset(near, found).length_m == 0
    assert estimate_offset(at_metres(*scattered(300, 5)), found).length_m == 0
    assert estimate_offset(near.iloc[:10], found).length_m == 0


def test_nothing_is_moved_by_no_offset():
    places = at_metres((0, 0), (1000, 0))
    assert Offset().moved(places) is places
    assert len(Offset(50, 0).moved(places.iloc[:0])) == 0


@pytest.mark.real_data
def test_the_list_known_to_be_displaced_is_found_out(shared_data):
    points = pd.read_csv(shared_data / "locations" / "kiln_points.csv.gz")
    kilns = pd.read_csv(shared_data / "delhi_s2" / "kilns.csv")
    trusted = kilns[kilns["trusted"]]
    around = points[
        points["lon"].between(trusted["lon"].min(), trusted["lon"].max())
        & points["lat"].between(trusted["lat"].min(), trusted["lat"].max())
    ]
    displaced = around[around["source"] == "mprakhar-DelhiNCR"].reset_index(drop=True)
    offset = estimate_offset(displaced, trusted.reset_index(drop=True))
    # the data's notes say 82 m east and 83 m south
    assert (offset.east_m, offset.north_m) == pytest.approx((82, -83), abs=15)
