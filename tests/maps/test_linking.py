import re
import time

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from geopandas.testing import assert_geodataframe_equal
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from maps.linking import SITE_ID_PATTERN, link_sites
from models.site_class import load_site_class
from tiles.cells import to_equal_area

GEOD = Geod(ellps="WGS84")
KILNS = load_site_class("brick_kiln")


def at(metres_east: float, metres_north: float, lon: float = 77.2, lat: float = 28.6):
    distance, azimuth = (
        np.hypot(metres_east, metres_north),
        np.degrees(np.arctan2(metres_east, metres_north)),
    )
    there = GEOD.fwd(lon, lat, azimuth, distance)
    return there[0], there[1]


def together(*frames):
    return gpd.GeoDataFrame(pd.concat(frames, ignore_index=True), crs="EPSG:4326")


@pytest.fixture
def place(detect):
    def _place(scene, *east_north, lat=28.6, **more):
        lon_lat = np.array([at(e, n, lat=lat) for e, n in east_north])
        return detect(lon_lat[:, 0], lon_lat[:, 1], scene, **more)

    return _place


def test_one_kiln_in_two_scenes_is_one_site_with_the_better_position(place):
    sites = link_sites(
        together(
            place("A", (0, 0), p_site=0.6, date="2026-01-10"),
            place("B", (20, 30), p_site=0.9, date="2025-12-30"),
        ),
        KILNS,
    )
    assert len(sites) == 1
    site = sites.iloc[0]
    assert (site["lon"], site["lat"]) == at(20, 30)
    assert (site["p_site"], site["p_low"]) == (0.9, pytest.approx(0.82))
    assert (site["n_detections"], site["n_scenes"]) == (2, 2)
    assert (site["first_date"], site["last_date"]) == ("2025-12-30", "2026-01-10")


@pytest.mark.parametrize("lat", [0.0, 28.6, 55.0])
@pytest.mark.parametrize(("distance_m", "expected"), [(59.0, 1), (61.0, 2)])
def test_radius_is_metres_on_the_ground_at_any_latitude(place, lat, distance_m, expected):
    for step in [(distance_m, 0), (0, distance_m)]:
        both = together(place("A", (0, 0), lat=lat), place("B", step, lat=lat))
        assert len(link_sites(both, KILNS)) == expected


def test_touching_kilns_of_one_scene_stay_two_and_find_their_partners(place):
    """Two kilns side by side, 46 m apart, in two scenes that lie 15 m off each other."""
    sites = link_sites(together(place("A", (0, 0), (46, 0)), place("B", (15, 0), (61, 0))), KILNS)
    assert len(sites) == 2
    assert list(sites["n_scenes"]) == [2, 2]


def test_boxes_of_one_scene_that_share_half_their_ground_are_one_kiln(place):
    assert len(link_sites(place("A", (0, 0), (15, 10)), KILNS)) == 1
    assert len(link_sites(place("A", (0, 0), (30, 10)), KILNS)) == 2


def test_a_chain_of_kilns_does_not_become_one_site(place):
    chain = [place(name, (50.0 * n, 0)) for n, name in enumerate("ABCDEFGH")]
    sites = link_sites(together(*chain), KILNS)
    assert len(sites) in (4, 5)  # which pairs come first hangs on micrometres
    assert sites["n_detections"].max() == 2


def test_other_classes_are_not_merged(place):
    both = together(place("A", (0, 0)), place("B", (5, 0), site_class="mine"))
    assert len(link_sites(both, KILNS)) == 2


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_order_of_rows_changes_nothing(detect, seed):
    rng = np.random.default_rng(seed)
    places = [at(*rng.uniform(-150, 150, 2)) for _ in range(24)]
    frames = [
        detect([lon], [lat], "ABC"[n % 3], rng.uniform(0.2, 1)).assign(detection_id=f"d{n}")
        for n, (lon, lat) in enumerate(places)
    ]
    rows = together(*frames)
    shuffled = rows.sample(frac=1, random_state=seed)
    assert_geodataframe_equal(link_sites(rows, KILNS), link_sites(shuffled, KILNS))


def test_ids_are_stable_and_unique_even_in_one_square(place):
    sites = link_sites(place("A", (0, 0), (1000, 0)), KILNS)
    again = link_sites(place("Z", (1000, 0), (0, 0), (5000, 0)), KILNS)
    assert set(sites["site_id"]) < set(again["site_id"])
    square = together(place("A", (0, 0), p_site=0.5), place("A", (0, 0), site_class="mine"))
    twins = link_sites(square, KILNS).set_index("site_class")["site_id"]
    assert twins["brick_kiln"] == f"{twins['mine']}-2"  # the surer one keeps the plain name
    assert all(re.fullmatch(SITE_ID_PATTERN, name) for name in twins)


def test_known_id(detect):
    """The name decodes to the 25 m square of EPSG:6933 that holds the place."""
    site_id = link_sites(detect([73.5], [28.5]), KILNS)["site_id"].iloc[0]
    number = 0
    for digit in site_id.removeprefix("KL-"):
        number = number * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(digit)
    row, col = number >> 21, number & (2**21 - 1)
    west_m, north_m = -17367530.45 + 25 * col, 7314540.83 - 25 * row
    x_m, y_m = to_equal_area().transform(73.5, 28.5)
    assert 0 <= x_m - west_m < 25
    assert 0 < north_m - y_m <= 25


def test_no_detections_give_an_empty_table(detect):
    sites = link_sites(detect([], []), KILNS)
    assert len(sites) == 0
    assert "cell_id" in sites


def test_dates_may_be_missing(place):
    sites = link_sites(
        together(place("A", (0, 0), date=None), place("B", (9, 0), date=None)), KILNS
    )
    assert sites["first_date"].isna().all()


def test_a_hundred_thousand_detections_take_seconds(detect):
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(76, 80, 50_000), rng.uniform(26, 30, 50_000)
    rows = together(detect(lon, lat, "A"), detect(lon + 5e-5, lat, "B"))
    start = time.perf_counter()
    sites = link_sites(rows, KILNS)
    assert time.perf_counter() - start < 15  # about 3 s on two free cores
    assert 49_000 < len(sites) <= 50_000
