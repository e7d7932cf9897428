import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from maps.boundaries import Places
from maps.packs.coordinates import (
    PLUS_DIGITS,
    decimal_degrees,
    degrees_minutes_seconds,
    geo_uri,
    nearest,
    plus_code,
)

LON = st.floats(-180, 180)
LAT = st.floats(-90, 90)


@pytest.mark.parametrize(
    ("lat", "lon", "code"),
    [  # of the specification's own test data (Open Location Code, encoding.csv)
        (20.3700625, 2.7821875, "7FG49QCJ+2V"),
        (47.0000625, 8.0000625, "8FVC2222+22"),
        (-41.2730625, 174.7859375, "4VCPPQGP+Q9"),
        (-89.9999375, -179.9999375, "22222222+22"),
        (90.0, 1.0, "CFX3X2X2+X2"),
        (1.0, 180.0, "62H22222+22"),
    ],
)
def test_plus_codes_are_those_of_the_specification(lat, lon, code):
    assert plus_code(lon, lat) == code


@given(LON, LAT)
def test_a_plus_code_names_the_cell_that_holds_the_place(lon, lat):
    digits = [PLUS_DIGITS.index(c) for c in plus_code(lon, lat).replace("+", "")]
    south, west, side = -90.0, -180.0, 20.0
    for down, across in zip(digits[::2], digits[1::2], strict=True):
        south, west = south + down * side, west + across * side
        side /= 20
    side *= 20
    assert south - 1e-6 <= min(lat, 90 - 1 / 8000) <= south + side + 1e-6
    assert min(abs(lon - west), abs(lon - 360 - west)) <= side + 1e-6


@pytest.mark.parametrize(
    ("lon", "lat", "text"),
    [
        (77.62397, 26.78677, "26°47'12.4\"N 77°37'26.3\"E"),
        (-0.00001, -33.5, "33°30'00.0\"S 0°00'00.0\"W"),
        (77.2, 28.9999999, "29°00'00.0\"N 77°12'00.0\"E"),
    ],
)
def test_minutes_and_seconds_never_show_sixty(lon, lat, text):
    assert degrees_minutes_seconds(lon, lat) == text


@given(LON, LAT)
def test_seconds_are_right_to_two_metres(lon, lat):
    north, east = degrees_minutes_seconds(lon, lat).split(" ")
    for text, value in ((north, lat), (east, lon)):
        degrees, rest = text[:-1].split("°")
        minutes, seconds = rest.rstrip('"').split("'")
        read = int(degrees) + int(minutes) / 60 + float(seconds) / 3600
        assert int(minutes) < 60
        assert float(seconds) < 60
        assert read == pytest.approx(abs(value), abs=0.05001 / 3600)


def test_a_phone_opens_the_place():
    assert geo_uri(77.62397, -26.78677) == "geo:-26.78677,77.62397"
    assert decimal_degrees(77.62397, -26.78677) == "-26.78677, 77.62397"


@pytest.mark.parametrize(
    ("azimuth", "point"),
    [(0, "N"), (22, "N"), (23, "NE"), (90, "E"), (200, "S"), (250, "W"), (337, "NW"), (338, "N")],
)
def test_the_nearest_place_is_told_as_seen_from_it(azimuth, point):
    lon, lat, _ = Geod(ellps="WGS84").fwd(77.0, 28.0, azimuth, 4200.0)
    places = Places(("Far", "Near"), np.array([76.0, 77.0]), np.array([28.0, 28.0]))
    seen = nearest(lon, lat, places)
    assert seen is not None
    assert (seen.name, seen.point) == ("Near", point)
    assert seen.distance_km == pytest.approx(4.2, abs=1e-6)
    assert nearest(lon, lat, None) is None
