import pytest
from hypothesis import given
from hypothesis import strategies as st

from maps.positions import position_in


@pytest.mark.parametrize(
    "text",
    [
        "26.8103",
        "N26.81035",
        "lat26.81035",
        "_26.8103",
        "#85.1234",
        "at..26.8103",
        "v1.26.81035",
        "26,8103",
        "২৬.৮১০৩",
        "26.810, 85.123",
        "26.81 85.12",
        "26.81,85.12",
        "26,81; 85,12",
        "26,81, 85,12",
        "N26.81 E85.12",
        "26.81N, 85.12E",
        "26.81°N 85.12°E",
        "26.81° / 85.12°",
        "(26.81;85.12)",
        "lat=26.81&lon=85.12",
        "lat 26.81 and lon 85.12",
        "latitude: 26.81, longitude: 85.12",
        "26.81 degrees north, 85.12 degrees east",
        "-26.81, -85.12",
        "0.31, 32.58",
        "26°48'37\"",
        "26° 48.6'",
    ],
)
def test_a_position_is_found(text):
    assert position_in(f"Kilns near {text} in winter") is not None
    assert position_in(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "0.25 per site (0.10 to 0.45)",
        "1,234 (1,000 to 1,500) of 12,345 km²",
        "scale 1.25, epsilon 0.75 for each reporter",
        "recall 0.82 (0.74, 0.88)",
        "০.৭৭ (০.১১ থেকে ২.১)",
        "Kilnlight 0.1.0, torch 2.10.0",
        "doi 10.5281/zenodo.1234567 and 10.1038/abc.5678",
        "2025-11/2026-06",
        "26.8, 85.1",
        "26.810 and elsewhere",
        "5000_760_4965",
        "sha256-9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "M12.3 45.6L78.9 10.1Z",
        "at 25 °C, 3'500 kilns",
    ],
)
def test_what_is_no_position_may_stand(text):
    assert position_in(text) is None


@given(
    st.floats(-89, 89).filter(lambda d: abs(d) >= 1),
    st.floats(-179, 179),
    st.sampled_from([2, 3, 4, 5, 6]),
    st.sampled_from([", ", " ", ",", "; ", "/", " N ", "°N, "]),
    st.sampled_from(["", "N", "lat ", "x=", "#"]),
)
def test_pairs_are_found_however_they_are_rounded(lat, lon, decimals, between, before):
    text = f"{before}{lat:.{decimals}f}{between}{lon:.{decimals}f}"
    assert position_in(text) is not None
