import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from maps.exclusions import Exclusion, Exclusions, read_exclusions, write_exclusions
from tiles.errors import TableError

HEAD = "lon,lat,radius_m,reason,added\n"


def sites_at(*places):
    return pd.DataFrame(places, columns=["site_id", "lon", "lat"]).astype({"site_id": object})


def test_sites_within_the_radius_are_hidden_and_no_others():
    east_m = Geod(ellps="WGS84").fwd(77.0, 28.0, 90, 299.0)[0]
    beyond = Geod(ellps="WGS84").fwd(77.0, 28.0, 90, 301.0)[0]
    sites = sites_at(("a", 77.0, 28.0), ("b", east_m, 28.0), ("c", beyond, 28.0), ("d", 76.0, 28.0))
    excluded = Exclusions((Exclusion(lon=77.0, lat=28.0, radius_m=300),))
    assert excluded.hides(sites).tolist() == [True, True, False, False]
    assert list(excluded.without(sites)["site_id"]) == ["c", "d"]
    assert list(excluded.without(sites).index) == [0, 1]


def test_a_site_is_hidden_by_its_name_wherever_it_was_moved():
    excluded = Exclusions((Exclusion(lon=10, lat=10, radius_m=1, site_id="KL-1"),))
    assert excluded.hides(sites_at(("KL-1", 77, 28), ("", 77, 28))).tolist() == [True, False]


def test_two_sites_of_one_square_go_together():
    """KL-...-2 alone would tell that there is a first."""
    sites = sites_at(
        ("KL-0123456789", 77, 28), ("KL-123456789-2", 77.0002, 28), ("KL-123456789", 77, 28)
    )
    excluded = Exclusions((Exclusion(lon=77, lat=28, radius_m=1, site_id="KL-123456789"),))
    assert excluded.hides(sites).tolist() == [True, True, True]
    by_name = Exclusions((Exclusion(lon=0, lat=0, radius_m=1, site_id="KL-123456789"),))
    assert by_name.hides(sites).tolist() == [False, True, True]


def test_across_the_antimeridian_distance_is_what_it_is_on_the_ground():
    excluded = Exclusions((Exclusion(lon=179.999, lat=0, radius_m=300),))
    assert excluded.hides(sites_at(("a", -179.999, 0.0), ("b", -179.99, 0.0))).tolist() == [
        True,
        False,
    ]


def test_no_sites_and_no_list():
    assert Exclusions().without(sites_at(("a", 1, 2))).shape == (1, 3)
    assert len(Exclusions((Exclusion(lon=1, lat=2, radius_m=9),)).without(sites_at())) == 0
    assert read_exclusions(None) == Exclusions()


places = st.builds(
    Exclusion,
    lon=st.floats(-180, 180),
    lat=st.floats(-90, 90),
    radius_m=st.floats(1, 2000),
    reason=st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=500).map(
        lambda text: text.lstrip("'")
    ),
    added=st.sampled_from(["", "2026-10", "2026-10-05"]),
    site_id=st.sampled_from(["", "KL-0123456789"]),
)


@given(found=st.lists(places, max_size=5))
def test_what_was_written_is_read(tmp_path_factory, found):
    path = tmp_path_factory.mktemp("list") / "exclusions.csv"
    write_exclusions(path, found)
    assert read_exclusions(path).places == tuple(found)


def test_the_same_place_stands_once():
    first = Exclusion(lon=1, lat=2, radius_m=100)
    wider = Exclusion(lon=1, lat=2, radius_m=300, reason="family lives there")
    assert Exclusions((first,)).with_place(wider).places == (wider,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lon,lat\n1,2\n", "has no column radius_m"),
        (f"{HEAD}77.1,28.2,3000,,\n", "line 2: radius_m is '3000'"),
        (f"{HEAD}77.1,28.2,300,,\n77.1,,300,,\n", "line 3: lat is ''"),
        (f"{HEAD}77.1,128.2,300,,\n", "line 2: lat is '128.2'"),
        (f"{HEAD}nan,28.2,300,,\n", "line 2: lon is 'nan'"),
        (f"{HEAD}77.1,28.2,300,,May\n", "line 2: added is 'May'"),
        (f"{HEAD}77.1,28.2,300\n", "line 2: it has more or fewer cells"),
        (f"{HEAD}77.1,28.2,300,a,2026-10,7,8\n", "line 2: it has more or fewer cells"),
        ("lon,lat,radius_m,who\n", "a column 'who' that nothing reads"),
        ("", "has no column lon"),
    ],
)
def test_a_list_that_is_read_in_part_stops_everything(tmp_path, text, message):
    path = tmp_path / "exclusions.csv"
    path.write_text(text)
    with pytest.raises(TableError, match=message):
        read_exclusions(path)


def test_a_missing_list_or_bytes_are_said(tmp_path):
    with pytest.raises(TableError, match="is not there"):
        read_exclusions(tmp_path / "none.csv")
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TableError, match="save it as UTF-8 CSV"):
        read_exclusions(tmp_path / "x.csv")
