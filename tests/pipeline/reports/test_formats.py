import json
import zipfile
from dataclasses import asdict, replace

import pytest

from pipeline.reports.formats import FORMATS
from pipeline.reports.formats.flat import Point, short_names, split_point
from pipeline.reports.formats.reading import detect, read
from pipeline.reports.keys import KEY_BYTES, write_private
from pipeline.reports.record import Reason
from pipeline.reports.source import SourceSettings
from pipeline.reports.textfile import TextFile
from tests.pipeline.reports.desk import PERIOD, Desk
from tests.pipeline.reports.exports import EVENT_ID, EXPORTS, LAT, LON, NAME, PHONE, STORY, table
from tiles.errors import ReportError

BY_NAME = {form.name: form for form in FORMATS}
COUNTRY = 'default_country = "IN"\nchannel = "form"\n'


def settings_of(export):
    common = COUNTRY if "channel" not in export.settings else 'default_country = "IN"\n'
    return common + export.settings


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def bring(desk, export):
    path = desk.file(export.content, f"export{export.suffix}")
    auto = export.more.get("auto", True)
    form = "auto" if auto else export.format
    return desk.bring(path, source=desk.source(settings_of(export)), format=form)


def test_every_format_of_the_program_is_tested():
    assert {export.format for export in EXPORTS.values()} == set(BY_NAME)


def test_one_event_gives_the_same_record_in_every_format(tmp_path):
    records = {}
    for number, (name, export) in enumerate(EXPORTS.items()):
        desk = Desk(tmp_path / str(number))
        desk.keys.mkdir(mode=0o700, parents=True)
        # The same secret key each time, so that pseudonyms can be compared.
        write_private(desk.key_folder.period_file(PERIOD), b"k" * KEY_BYTES)
        summary = bring(desk, export)
        assert summary.formats == (export.format,), name
        assert (summary.accepted, dict(summary.refused)) == (1, {}), name
        (records[name],) = desk.kept()
    wanted = asdict(records["plain CSV"])
    assert wanted["lat"] == float(LAT)
    assert wanted["lon"] == float(LON)
    assert wanted["month"] == "2026-02"
    assert wanted["industry"] == "C_Manufacturing"
    assert wanted["signs"] == ("DebtBondage ",)  # as the standard has it
    assert (wanted["source"], wanted["consent"]) == ("helpline", "column")
    assert len(wanted["reporter"]) == 64
    for name, record in records.items():
        export = EXPORTS[name]
        expected = {
            **wanted,
            "consent": export.more.get("consent", "column"),
            "signs": export.more.get("signs", wanted["signs"]),
        }
        if not export.names_phone:
            expected["reporter"] = record.reporter
            assert record.reporter != wanted["reporter"]
        assert asdict(record) == expected, name


def test_what_is_kept_is_the_record_and_nothing_else(tmp_path):
    for number, export in enumerate(EXPORTS.values()):
        desk = Desk(tmp_path / str(number))
        desk.folder.mkdir()
        bring(desk, export)
        kept = json.dumps(desk.lines())
        for secret in (
            PHONE,
            "9812345670",
            STORY,
            NAME,
            "enumerator",
            "device",
            "2026-02-11",
            "jpg",
        ):
            assert secret not in kept
        assert f'"{EVENT_ID}"' not in kept


def test_safecity_user_0_and_kobo_enumerators_name_nobody(desk):
    assert bring(desk, EXPORTS["Safecity, Lattitude"]).nameless == 1
    without_phone = EXPORTS["KoBo JSON"].content.replace(PHONE.encode(), b"")
    path = desk.file(without_phone.replace(EVENT_ID.encode(), b"418"), "kobo.json")
    assert desk.bring(path, source=desk.source(COUNTRY)).nameless == 1


def test_auto_refuses_what_fits_several_formats_and_what_fits_none(desk):
    both = ["_id", "_uuid", "_submission_time", "vic_a", "hte_b", "con_Consent"]
    with pytest.raises(ReportError, match=r"several formats fit: .* htcds-csv, kobo-csv\.$"):
        detect(FORMATS, TextFile(desk.file(table(both))))
    for content in (b"", b"\n\n", b"a,b\n1,2\n", b"[]", b'{"results": []}', b'[{"a": 1}]'):
        with pytest.raises(ReportError, match="no known format fits"):
            detect(FORMATS, TextFile(desk.file(content)))


def test_auto_quotes_nothing_of_a_file_without_a_header(desk):
    path = desk.file(f"{NAME},{PHONE},{LAT}\n".encode())
    with pytest.raises(ReportError) as caught:
        detect(FORMATS, TextFile(path))
    assert not any(secret in str(caught.value) for secret in (NAME, PHONE, LAT))


def first_of(desk, form, content, settings="", suffix=".csv"):
    source = SourceSettings.model_validate({"name": "s", **(settings or {})})
    file = TextFile(desk.file(content, f"x{suffix}"))
    return next(iter(read(BY_NAME[form], file, source)))


def test_accuracy_is_read_where_a_platform_has_it(desk):
    kobo = EXPORTS["KoBo CSV"].content.replace(b";210;;", b";210;35.5;")
    odk = EXPORTS["ODK CSV"].content.replace(b",210,,", b",210,35.5,")
    odata = EXPORTS["ODK OData"].content.replace(b'"accuracy": null', b'"accuracy": 35.5')
    assert first_of(desk, "kobo-csv", kobo).accuracy == "35.5"
    assert first_of(desk, "odk-csv", odk).accuracy == "35.5"
    assert first_of(desk, "odk-odata", odata).accuracy == "35.5"
    text = {"columns": {"point": "Site"}}
    kobo = kobo.replace(b" 210 0;", b" 210 12.5;")
    assert first_of(desk, "kobo-csv", kobo, text).accuracy == "12.5"


def test_kobo_without_a_place_is_a_report_without_a_place(desk):
    content = EXPORTS["KoBo JSON"].content
    record = json.loads(content)["results"][0] | {"_geolocation": [None, None]}
    path = desk.file(json.dumps([record]).encode(), "kobo.json")
    summary = desk.bring(path, source=desk.source(COUNTRY))
    assert dict(summary.refused) == {Reason.NO_PLACE: 1}


@pytest.mark.parametrize("form", ["kobo-csv", "odk-csv", "ushahidi-csv"])
def test_two_places_are_never_guessed_between(desk, form):
    export = next(export for export in EXPORTS.values() if export.format == form)
    header, *rest = export.content.decode().splitlines()
    between = ";" if ";" in header else ","
    suffixes = BY_NAME[form].suffixes
    second = between.join(["Home" + suffixes.lat, "Home" + suffixes.lon])
    text = "\n".join([header + between + second, *[line + between * 2 for line in rest]])
    with pytest.raises(ReportError, match="several places: name one as point"):
        first_of(desk, form, text.encode())
    stem = {"kobo-csv": "_site", "odk-csv": "site", "ushahidi-csv": "Site"}[form]
    raw = first_of(desk, form, text.encode(), {"columns": {"point": stem}})
    assert (raw.lat, raw.lon) == (LAT, LON)


def test_two_places_in_a_json_record_are_never_guessed_between(desk):
    record = json.loads(EXPORTS["ODK OData"].content)["value"][0]
    record["home"] = {"type": "Point", "coordinates": [1, 2]}
    content = json.dumps({"value": [record]}).encode()
    with pytest.raises(ReportError, match="record 1: the record has several places"):
        first_of(desk, "odk-odata", content)
    raw = first_of(desk, "odk-odata", content, {"columns": {"point": "location"}})
    assert (raw.lat, raw.lon) == (LAT, LON)


def test_a_number_of_another_messenger_is_no_phone(desk):
    telegram = EXPORTS["RapidPro"].content.replace(
        b"whatsapp,919812345670", b"Telegram,919812345670"
    )
    raw = first_of(desk, "rapidpro-csv", telegram, {"consent": {"column": "Status"}})
    assert raw.contact == "telegram:919812345670"


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("28.5 77.2", Point("28.5", "77.2")),
        ("28.5 77.2 210 8", Point("28.5", "77.2", "8")),
        ("28.5, 77.2", Point("28.5", "77.2")),
        ("geo:28.5,77.2;u=35", Point("28.5", "77.2")),
        ("image/png:a, geo:28.5,77.2", Point("28.5", "77.2")),
        ("by the river", Point("by", "the")),  # no degrees, which screening says
        ("somewhere", Point("somewhere", "somewhere")),
        ("", Point()),
    ],
)
def test_points_as_text(text, point):
    assert split_point(text) == point


def test_a_question_in_two_groups_has_no_short_name():
    assert short_names(["a/consent", "b/consent", "a/phone"]) == {"phone": "a/phone"}


@pytest.mark.parametrize(
    ("header", "what"),
    [
        (["consent", "lat", "month"], "no column of a place"),
        (["consent", "lat", "lon"], "no column of a date"),
        (["lat", "lon", "month"], "no column says consent and the source declares no basis"),
        (["consent", "lat", "lat", "lon", "month"], "have the same header"),
    ],
)
def test_a_missing_column_is_one_sentence(desk, header, what):
    with pytest.raises(ReportError, match=what):
        first_of(desk, "plain-csv", table(header, ["x"] * len(header)))


def test_a_column_that_the_source_names_must_be_there(desk):
    for settings in ({"columns": {"id": "Nr"}}, {"consent": {"column": "Nr"}}):
        with pytest.raises(ReportError, match="no column 'Nr', which the source names for"):
            first_of(desk, "plain-csv", EXPORTS["plain CSV"].content, settings)


def test_workbooks_and_archives_are_never_unpacked(desk):
    path = desk.folder / "reports.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/sheet.xml", b"0" * 10_000_000)
    for content in (path.read_bytes(), b"\x1f\x8b\x08\x00", b"\xd0\xcf\x11\xe0\xa1"):
        with pytest.raises(ReportError, match="never unpacked: save the table as CSV"):
            detect(FORMATS, TextFile(desk.file(content)))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("HTCDS, names of the field list", (b"cco_CaseComment", STORY.encode()), b"prs_Email"),
        ("HTCDS, labels", (b"First Name", NAME.encode()), b"Email"),
        ("Ushahidi 5 JSON", (b"author_realname", NAME.encode()), b"author_email"),
        ("Ushahidi 2 CSV", (b"FIRST NAME", NAME.encode()), b"EMAIL"),
    ],
)
def test_who_gives_a_phone_and_an_address_is_known_by_the_phone(desk, name, old, new):
    """Other sources may know the phone alone; by the address one person would be two."""
    export = EXPORTS[name]
    content = export.content.replace(b",EMAIL", b",Other") if new == b"EMAIL" else export.content
    content = content.replace(old[0], new).replace(old[1], b"asha@example.org")
    assert b"asha@example.org" in content
    bring(desk, export)
    bring(desk, replace(export, content=content.replace(EVENT_ID.encode(), b"418")))
    first, second = desk.kept()
    assert first.reporter == second.reporter
