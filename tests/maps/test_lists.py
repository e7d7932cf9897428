import csv
import json
import stat
import unicodedata

import gpxpy
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maps.lists import FORMATS, LIST_COLUMNS, list_rows, write_lists
from maps.sheets import NUMBERS, safe_cell, write_csv

DISCLAIMER = "worksite detected, labour conditions not assessed"


@pytest.fixture(scope="module")
def folder(survey, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "restricted"
    paths = write_lists(survey.sites, folder, "Brick kilns: দিনাজপুর <&>", DISCLAIMER)
    assert [path.name for path in paths] == ["sites.csv", "sites.geojson", "sites.gpx"]
    return folder


def test_csv_opens_with_ranks_in_order_and_positions_to_a_metre(folder, survey):
    table = pd.read_csv(folder / "sites.csv", encoding="utf-8-sig")
    assert list(table.columns) == LIST_COLUMNS
    assert list(table["rank"]) == list(range(1, len(survey.sites) + 1))
    np.testing.assert_allclose(table["lat"], survey.sites["lat"], atol=5.1e-6)
    lat, lon = map(float, table["lat_lon"].iloc[0].split(", "))
    assert (lat, lon) == (table["lat"].iloc[0], table["lon"].iloc[0])
    assert set(table["note"]) == {DISCLAIMER}


def test_geojson_is_rfc_7946(folder, survey):
    data = json.loads((folder / "sites.geojson").read_text(encoding="utf-8"))
    assert data["disclaimer"] == DISCLAIMER
    assert "crs" not in data
    first = data["features"][0]
    assert first["geometry"]["type"] == "Point"
    lon, lat = first["geometry"]["coordinates"]
    assert (lon, lat) == (
        pytest.approx(survey.sites["lon"].iloc[0], abs=5.1e-6),
        pytest.approx(survey.sites["lat"].iloc[0], abs=5.1e-6),
    )
    assert len(data["features"]) == len(survey.sites)


def test_gpx_is_read_by_another_reader(folder, survey):
    gpx = gpxpy.parse((folder / "sites.gpx").read_text(encoding="utf-8"))
    assert gpx.name == "Brick kilns: দিনাজপুর <&>"
    assert gpx.description == DISCLAIMER
    assert len(gpx.waypoints) == len(survey.sites)
    first = gpx.waypoints[0]
    assert first.name == f"1 {survey.sites['site_id'].iloc[0]}"
    assert first.symbol == "Flag, Blue"
    assert "Worksite detected, labour conditions not assessed." in first.description
    assert first.latitude == pytest.approx(survey.sites["lat"].iloc[0], abs=5.1e-6)


def test_no_file_says_or_implies_that_there_are_reports(folder):
    for path in folder.iterdir():
        text = path.read_text(encoding="utf-8-sig").lower()
        for word in ("report", "heard", "priority", "noise", "epsilon", "group"):
            assert word not in text, (path.name, word)


def test_same_sites_same_bytes(folder, survey, tmp_path):
    shuffled = survey.sites.sample(frac=1, random_state=3)
    for path in write_lists(shuffled, tmp_path, "Brick kilns: দিনাজপুর <&>", DISCLAIMER):
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_lists_are_the_same_bytes_whatever_the_reports(folder, more_heard, tmp_path):
    for path in write_lists(more_heard.sites, tmp_path, "Brick kilns: দিনাজপুর <&>", DISCLAIMER):
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name


def test_nobody_else_may_read_the_folder_and_its_files(survey, tmp_path):
    folder = tmp_path / "restricted"
    folder.mkdir(mode=0o755)
    paths = write_lists(survey.sites, folder, "t", DISCLAIMER)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}


def test_lists_of_an_earlier_run_do_not_stay(survey, tmp_path):
    write_lists(survey.sites, tmp_path, "t", DISCLAIMER)
    (tmp_path / "notes.txt").write_text("the team's own")
    write_lists(survey.sites, tmp_path, "t", DISCLAIMER, formats=("csv",))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "sites.csv"]


def test_nothing_in_the_list_is_certain(survey):
    sites = survey.sites.assign(p_site=0.996, p_low=0.994, p_high=1.0)
    rows = list_rows(sites, DISCLAIMER)
    assert set(rows[["p_site", "p_low", "p_high"]].to_numpy().ravel()) == {0.99}


def test_no_sites_make_files_that_still_open(survey, tmp_path):
    write_lists(survey.sites.iloc[:0], tmp_path, "none", DISCLAIMER)
    assert len(pd.read_csv(tmp_path / "sites.csv", encoding="utf-8-sig")) == 0
    assert json.loads((tmp_path / "sites.geojson").read_text())["features"] == []
    assert gpxpy.parse((tmp_path / "sites.gpx").read_text()).waypoints == []


def test_another_format_is_one_more_entry(survey, tmp_path, monkeypatch):
    monkeypatch.setitem(
        FORMATS, "txt", lambda rows, path, title, disclaimer: path.write_text(disclaimer)
    )
    (path,) = write_lists(survey.sites, tmp_path, "t", DISCLAIMER, formats=("txt",))
    assert path.read_text() == DISCLAIMER


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\n=1", "'\n=1"),
        ("\nplain", "'\nplain"),
        ("  =1+1", "'  =1+1"),
        ("\u00a0-2+3", "'\u00a0-2+3"),
        ("\u200b\ufeff@SUM(A1)", "'\u200b\ufeff@SUM(A1)"),
        ("\x81\u061c=1+1", "'\x81\u061c=1+1"),
        ("＝1+1", "'＝1+1"),
        ("＋1+1", "'＋1+1"),
        ("－1+1", "'－1+1"),
        ("＠SUM(A1)", "'＠SUM(A1)"),
        ("+880 1711", "'+880 1711"),
        ("+12", "+12"),
        ("Kiln - 3", "Kiln - 3"),
        (-12.5, "-12.5"),
        ("-12.34567, 45.60000", "-12.34567, 45.60000"),
        ("-12.3, =1", "'-12.3, =1"),
        (-1e-7, "-1e-07"),
        (None, ""),
        ("দিনাজপুর", "দিনাজপুর"),
    ],
)
def test_cells_that_would_run_are_text(value, text):
    assert safe_cell(value) == text


SIGNS = st.sampled_from("=+-@＝＋－＠")
BLANKS = st.text(" \t\r\n\u00a0\u2003\u200b\ufeff", max_size=3)


@given(st.one_of(st.text(max_size=40), st.tuples(BLANKS, SIGNS, st.text(max_size=9)).map("".join)))
def test_no_text_starts_a_formula(text):
    cell = safe_cell(text)
    assert cell in (text, f"'{text}")
    seen = "".join(c for c in cell if unicodedata.category(c) not in ("Cf", "Cc", "Zs", "Zl", "Zp"))
    if unicodedata.normalize("NFKC", seen[:1]) in set("=+-@"):
        assert NUMBERS.fullmatch(cell)


def test_bengali_names_and_line_breaks_survive_a_spreadsheet(tmp_path):
    path = tmp_path / "places.csv"
    write_csv(path, ["name"], [["দিনাজপুর, বাংলাদেশ"], ['two\nlines "quoted"']])
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows == [["name"], ["দিনাজপুর, বাংলাদেশ"], ['two\nlines "quoted"']]
