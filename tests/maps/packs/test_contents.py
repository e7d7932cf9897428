"""Every file of a pack, opened by a program that did not write it."""

import csv
import io
import sqlite3
import zipfile
from contextlib import closing
from xml.etree import ElementTree

import gpxpy
import pandas as pd
import pyogrio
import pypdfium2
import pytest
from PIL import Image
from pyxform import create_survey_from_xls

from maps.language import LANGUAGES, load_language
from maps.outcomes import OUTCOMES
from maps.packs.contents import Pack, write_pack
from maps.packs.fonts import choose_fonts
from maps.packs.pictures import cut_chips
from maps.packs.workbook import write_form
from tests.made_up import DEGREES, noise, write_raster
from tests.made_up_packs import AREA, chips_of, facts_of, places_of, rows_of
from tiles.scene import GsdLimits, open_scene

STAMP = ("KP-0TEST0AB", "2027-01-21")
HOSTILE = '=HYPERLINK("http://x") <b>&"\' 🔥' + "x" * 480
FILES = {
    "READ_ME_FIRST.txt",
    "cards.pdf",
    "index.html",
    "outcomes_to_fill.csv",
    "sites.csv",
    "sites.gpkg",
    "sites.gpx",
    "sites.kmz",
    "sites.xlsx",
    "visit_form.xlsx",
}


def write(survey, folder, code="en", names=("Rampur", "दौसा"), **changes):
    language, facts = load_language(code), facts_of(**changes)
    places = places_of(*names)
    rows = rows_of(survey, code, facts, places=places)
    pack = Pack(facts, rows, AREA, places, language, choose_fonts(language), chips_of(rows))
    folder.mkdir(exist_ok=True)
    write_pack(pack, folder)
    return pack


@pytest.fixture(scope="module")
def pack(survey, tmp_path_factory):
    return write(survey, tmp_path_factory.mktemp("pack"))


@pytest.fixture(scope="module")
def folder(survey, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pack") / "written"
    write(survey, folder)
    return folder


@pytest.fixture(scope="module")
def hostile(survey, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pack") / "hostile"
    write(survey, folder, names=(HOSTILE, "'; DROP TABLE sites"), team=HOSTILE[:500])
    return folder


def text_of(path):
    """All text that a file holds, archives and PDF opened."""
    if path.suffix in (".kmz", ".xlsx"):
        with zipfile.ZipFile(path) as archive:
            return "".join(archive.read(n).decode("utf-8", "replace") for n in archive.namelist())
    if path.suffix == ".pdf":
        with pypdfium2.PdfDocument(path) as pdf:
            return "\n".join(page.get_textpage().get_text_bounded() for page in pdf)
    return path.read_bytes().decode("utf-8", "replace")


def test_a_pack_holds_these_files_and_no_other(folder):
    assert {path.name for path in folder.iterdir()} == FILES


@pytest.mark.parametrize("name", sorted(FILES))
def test_pack_and_last_day_stand_in_every_file(folder, name):
    text = text_of(folder / name)
    assert all(part in text for part in STAMP), name


@pytest.mark.parametrize("name", sorted(FILES))
def test_no_file_says_that_there_are_reports(folder, name):
    text = text_of(folder / name).lower()
    for word in ("report", "heard", "epsilon", "noised", "priority", "group_id", "evidence"):
        assert word not in text, word


@pytest.mark.parametrize("name", sorted(FILES - {"visit_form.xlsx", "outcomes_to_fill.csv"}))
def test_every_file_for_people_says_what_was_not_assessed(folder, name):
    assert "labour conditions not assessed" in text_of(folder / name).lower()


def test_phones_show_name_description_and_symbol_of_gpx(folder, pack):
    gpx = gpxpy.parse((folder / "sites.gpx").read_text(encoding="utf-8"))
    assert len(gpx.waypoints) == len(pack.rows)
    first, row = gpx.waypoints[0], pack.rows.iloc[0]
    assert first.name == f"1 {row['site_id']}"
    assert first.symbol == "Flag, Blue"
    assert first.description.startswith(row["reason"])
    assert "KP-0TEST0AB" in first.description
    assert (first.latitude, first.longitude) == pytest.approx((row["lat"], row["lon"]), abs=1e-9)


def test_kmz_opens_in_gdal_and_fetches_nothing(folder, pack):
    frame = pyogrio.read_dataframe(f"/vsizip/{folder / 'sites.kmz'}/doc.kml")
    assert list(frame["Name"]) == [f"{n} {s}" for n, s in pack.rows[["rank", "site_id"]].to_numpy()]
    assert frame.geometry.x.to_numpy() == pytest.approx(pack.rows["lon"].to_numpy(), abs=1e-5)
    with zipfile.ZipFile(folder / "sites.kmz") as archive:
        names = archive.namelist()
        kml = archive.read("doc.kml").decode("utf-8")
        icon = Image.open(io.BytesIO(archive.read("icon.png")))
    assert icon.size == (64, 64)
    assert sum(name.startswith("chips/") for name in names) == len(pack.rows) - 1
    assert "http" not in kml.replace('xmlns="http://www.opengis.net/kml/2.2"', "")
    root = ElementTree.fromstring(kml)
    shown = [e.text for e in root.iter("{http://www.opengis.net/kml/2.2}description")]
    assert f'src="chips/{pack.rows["site_id"].iloc[0]}.jpg"' in shown[1]


def test_geopackage_has_points_a_style_and_fields_to_fill(folder, pack):
    path = folder / "sites.gpkg"
    assert pyogrio.list_layers(path)[0, 0] == "sites"
    frame = pyogrio.read_dataframe(path, layer="sites")
    assert list(frame["site_id"]) == list(pack.rows["site_id"])
    assert frame.crs.to_epsg() == 4326
    assert frame.geometry.y.to_numpy() == pytest.approx(pack.rows["lat"].to_numpy(), abs=1e-9)
    assert frame[["outcome", "visited_on", "remark"]].isna().all().all()
    with closing(sqlite3.connect(path)) as base:
        (name, geometry, qml, used), *rest = base.execute(
            "SELECT f_table_name, f_geometry_column, styleQML, useAsDefault FROM layer_styles"
        ).fetchall()
        described = base.execute(
            "SELECT description FROM gpkg_contents WHERE table_name = 'sites'"
        ).fetchone()
    assert (name, geometry, used, rest) == ("sites", "geom", 1, [])
    assert "KP-0TEST0AB" in described[0]
    style = ElementTree.fromstring(qml.split("\n", 1)[1])
    options = style.findall(".//field[@name='outcome']//Option[@value]")
    assert [option.get("value") for option in options] == list(OUTCOMES)


def test_spreadsheet_is_read_by_another_reader(folder, pack):
    table = pd.read_excel(folder / "sites.xlsx", sheet_name="sites", engine="calamine")
    assert list(table.columns) == list(pack.rows.columns)
    assert list(table["site_id"]) == list(pack.rows["site_id"])
    assert table["lat"].to_numpy() == pytest.approx(pack.rows["lat"].to_numpy())
    about = pd.read_excel(folder / "sites.xlsx", sheet_name="about", engine="calamine")
    assert dict(about.to_numpy())["valid until"] == "2027-01-21"


def test_csv_has_the_same_rows(folder, pack):
    table = pd.read_csv(folder / "sites.csv", encoding="utf-8-sig")
    assert list(table["site_id"]) == list(pack.rows["site_id"])
    assert list(table["plus_code"]) == list(pack.rows["plus_code"])
    to_fill = pd.read_csv(folder / "outcomes_to_fill.csv", encoding="utf-8-sig")
    assert list(to_fill["site_id"]) == list(pack.rows["site_id"])
    assert to_fill["outcome"].isna().all()


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_form_is_an_xlsform(survey, code, tmp_path):
    facts = facts_of(team="Team O'Hara ${nobody}")
    rows = rows_of(survey, code, facts)
    path = tmp_path / "form.xlsx"
    write_form(rows, path, facts, load_language(code))
    form = create_survey_from_xls(str(path))
    xml = form.to_xml(validate=False, pretty_print=False)
    root = ElementTree.fromstring(xml)
    values = [element.text for element in root.iter("{http://www.w3.org/2002/xforms}value")]
    names = {child.name for child in form.children}
    assert {"site_id", "outcome", "visited_on", "note", "pack_id", "team"} <= names
    assert "kilnlight_kp_0test0ab" in xml
    assert set(OUTCOMES) <= {*values, *(e.text for e in root.iter() if e.text)}
    assert rows["site_id"].iloc[0] in xml
    assert str(rows["lat"].iloc[0]) not in xml, "a form goes to a server: no positions in it"


def test_names_that_are_code_stay_names(hostile):
    for name in ("sites.xlsx", "visit_form.xlsx"):
        with zipfile.ZipFile(hostile / name) as archive:
            sheets = [n for n in archive.namelist() if n.startswith("xl/worksheets/")]
            assert sheets
            for sheet in sheets:
                assert b"<f>" not in archive.read(sheet)
    with (hostile / "outcomes_to_fill.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert all(row["team"].startswith("'=HYPERLINK") for row in rows)
    page = (hostile / "index.html").read_text(encoding="utf-8")
    assert "<b>&" not in page
    frame = pyogrio.read_dataframe(hostile / "sites.gpkg", layer="sites")
    assert frame["nearest_place"].str.contains("🔥|DROP TABLE").all()
    gpxpy.parse((hostile / "sites.gpx").read_text(encoding="utf-8"))
    pyogrio.read_dataframe(f"/vsizip/{hostile / 'sites.kmz'}/doc.kml")


def test_the_same_pack_is_the_same_bytes(survey, folder, tmp_path):
    write(survey, tmp_path / "again")
    for name in sorted(FILES):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes(), name


def test_pictures_carry_the_pack_too(survey, tmp_path):
    scene = write_raster(tmp_path / "scene.tif", noise(400, 400), "EPSG:4326", DEGREES, tiled=True)
    rows = rows_of(survey).assign(lon=[77.018, 77.5, *[78.0] * 10], lat=28.482)
    chips = cut_chips([open_scene(scene, "a", GsdLimits(0.3, 12))], rows, facts_of())
    assert list(chips.near) == [rows["site_id"].iloc[0]], "only the first lies in the scene"
    assert list(chips.around) == list(chips.near)
    picture = Image.open(io.BytesIO(next(iter(chips.near.values())).jpeg))
    assert (picture.format, picture.size) == ("JPEG", (192, 192))
    assert picture.info["comment"].decode() == facts_of().stamp
