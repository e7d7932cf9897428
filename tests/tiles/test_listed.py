import gzip

import pandas as pd
import pytest

from tiles.cells import CellGrid
from tiles.errors import ConfigError, TableError
from tiles.listed import read_listed
from tiles.partition import Rule, ground_of, join_units

METRE = 1 / 111_195  # degrees of latitude on the sphere


def write(path, rows, header="lat,lon"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_close_positions_of_several_lists_are_one_site(tmp_path):
    rows = [f"{28 + n * 90 * METRE},77.0" for n in range(3)]  # a chain: 90 m from each to the next
    rows += [f"{28 + 500 * METRE},77.0", f"{28 + 500 * METRE},77.0"]
    sites = read_listed(write(tmp_path / "list.csv", rows), 0.9, 100.0)
    assert len(sites) == 2
    assert list(sites["p_low"]) == [0.9, 0.9]
    assert list(sites["lat"]) == pytest.approx([28.0, 28 + 500 * METRE])
    assert list(sites["cell_id"]) == CellGrid().cell_ids_at(sites["lon"], sites["lat"])


def test_a_column_of_chances_goes_before_the_share(tmp_path):
    path = tmp_path / "list.csv.gz"
    path.write_bytes(gzip.compress(b"lat,lon,p_low,name\n28,77,0.5,x\n28,77,0.8,y\n29,77,0,z\n"))
    assert list(read_listed(path, None, 100.0)["p_low"]) == [0.8, 0.0]


@pytest.mark.parametrize("share", [None, 0, 1.1, float("nan")])
def test_how_sure_a_list_is_must_be_said(tmp_path, share):
    with pytest.raises(ConfigError, match="--share-real"):
        read_listed(write(tmp_path / "list.csv", ["28,77"]), share, 100.0)


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("lat,lng", "28,77", "columns lat and lon"),
        ("lat,lon", "91,77", "line 2, column lat: 91"),
        ("lat,lon", "28,", "line 2, column lon"),
        ("lat,lon", "x,77", "column lat: x"),
        ("lat,lon,p_low", "28,77,1.5", "column p_low"),
    ],
)
def test_bad_lists_are_one_sentence(tmp_path, header, row, message):
    with pytest.raises(TableError, match=message):
        read_listed(write(tmp_path / "list.csv", [row], header), 1.0, 100.0)
    with pytest.raises(TableError, match="no readable CSV"):
        read_listed(tmp_path / "none.csv", 1.0, 100.0)


@pytest.mark.real_data
def test_published_kilns_mostly_stand_in_small_groups(shared_data):
    """Every published position, those of several lists within 100 m joined to one kiln."""
    points = read_listed(shared_data / "locations" / "kiln_points.csv.gz", 1.0, 100.0)
    assert 70_000 < len(points) < 76_000  # of 119,188 positions
    cells = pd.DataFrame({"cell_id": points["cell_id"].unique(), "area_km2": 25.0})
    ground = ground_of(points, cells)
    groups, _ = join_units(ground, [(cell,) for cell in ground.area_km2], Rule())
    held = pd.Series([ground.k_lower(group.cells) for group in groups])
    size_m = pd.Series([group.square.size_m for group in groups])
    share = held.groupby(size_m).sum().cumsum() / len(points)
    assert share[5000] >= 0.60  # measured 0.625
    assert share[20000] >= 0.90  # measured 0.952
    assert held.min() >= 5
    assert size_m.max() <= 40_000
