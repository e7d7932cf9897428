import traceback

import pytest

from pipeline.reports.intake import Gate, Report, closed_gate, read_reports
from tests.pipeline.reports.desk import Desk
from tiles.errors import ReportError
from tiles.region import Period

PERIOD = Period("2025-11", "2026-06")
KILNS = "C_Manufacturing"
HEADER = "consent,reporter,lat,lon,month,industry"
GOOD = f"yes,r1,28.5,77.25,2026-02,{KILNS}"


def read(path, industries=(KILNS,), **change):
    return read_reports(path, PERIOD, industries, **change)


def write(tmp_path, *lines, header=HEADER, encoding="utf-8", end="\n"):
    path = tmp_path / "reports.csv"
    path.write_bytes(end.join([header, *lines, ""]).encode(encoding))
    return path


def test_a_good_row_is_kept_under_a_pseudonym_that_is_forgotten(tmp_path):
    path = write(tmp_path, GOOD, GOOD.replace("r1", " R1"), GOOD.replace("r1", "r2"))
    first, same, other = read(path).reports
    assert (first.lat, first.lon, first.industry) == (28.5, 77.25, KILNS)
    assert first.reporter == same.reporter != other.reporter
    assert len(first.reporter) == 64
    assert read(path).reports[0].reporter != first.reporter  # another key the next time


@pytest.mark.parametrize(
    ("line", "closed"),
    [
        (GOOD.replace("yes", "YES"), Gate.GROUP),
        (GOOD.replace("yes", " True "), Gate.GROUP),
        (GOOD.replace("yes", "1"), Gate.GROUP),
        (GOOD.replace("yes", ""), Gate.CONSENT),
        (GOOD.replace("yes", "no"), Gate.CONSENT),
        (GOOD.replace("yes", "y"), Gate.CONSENT),
        (GOOD.replace("r1", ""), Gate.REPORTER),
        (GOOD.replace("r1", " Anonymous "), Gate.REPORTER),
        (GOOD.replace("r1", "not given"), Gate.REPORTER),
        (GOOD.replace("r1", "\u200e--\u200f"), Gate.REPORTER),
        (GOOD.replace("r1", "\u200er1"), Gate.GROUP),
        (GOOD.replace("2026-02", "2026-07"), Gate.MONTH),
        (GOOD.replace("2026-02", ""), Gate.MONTH),
        (GOOD.replace("2026-02", "2026-06"), Gate.GROUP),
        (GOOD.replace("2026-02", "2025-11"), Gate.GROUP),
        (GOOD.replace("2026-02", "२०२६-०२"), Gate.GROUP),
        (GOOD.replace(KILNS, "F_Construction"), Gate.INDUSTRY),
        (GOOD.replace(KILNS, "bricks"), Gate.INDUSTRY),
        (GOOD.replace(KILNS, "manufacturing"), Gate.GROUP),
        (GOOD.replace("28.5,77.25", ","), Gate.PLACE),
        (GOOD.replace("28.5,77.25", "0,0"), Gate.PLACE),
    ],
)
def test_each_gate_stops_its_rows(tmp_path, line, closed):
    intake = read(write(tmp_path, line))
    assert closed_gate(intake.passed) == closed
    assert len(intake.reports) == (closed == Gate.GROUP)
    assert len(intake.anonymous) == (closed == Gate.REPORTER)


def test_a_header_alone_is_a_file_without_reports(tmp_path):
    intake = read(write(tmp_path))
    assert intake.reports == intake.anonymous == []
    assert closed_gate(intake.passed) == Gate.CONSENT


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_marks_windows_ends_blank_lines_and_another_order_are_read(tmp_path, encoding):
    header = "Month, industry,reporter,LON,lat,consent"
    line = f'2026-02,{KILNS},"r,1",77.25,२८.५,yes'  # Devanagari digits
    path = write(tmp_path, "", line, "", header=header, encoding=encoding, end="\r\n")
    (report,) = read(path).reports
    assert (report.lat, report.lon) == (28.5, 77.25)


SECRETS = ("Asha", "9812345678", "28.51234", "77.25678", "r\xe9")


@pytest.mark.parametrize(
    ("raw", "where", "what"),
    [
        (b"", "", "is empty"),
        (b"\n\n", "", "is empty"),
        (b"consent,reporter,lat,month\n", "", "no column of a place"),
        (b"consent,reporter,lat,lat,lon,month,industry\n", "line 1", "same header"),
        (b"yes,Asha-9812345678,28.51234,77.25678,2026-02,x\n", "", "no column of a place"),
        (f"{HEADER}\n{GOOD}\nyes,r\xe9,1,1,2026-02,x\n".encode("cp1252"), "line 3", "UTF-8"),
        (f"{HEADER}\n{GOOD}\n\nyes,Asha-9812345678,28.51234\n".encode(), "line 4", "3 fields"),
        (f'{HEADER}\nyes,"Asha-9812345678,28.51234\n'.encode(), "line 2", "no CSV"),
        (f'{HEADER}\nyes,"Asha"-9812345678,1,1,2026-02,x\n'.encode(), "line 2", "no CSV"),
        (f"{HEADER}\nyes,{'Asha' * 90},1,1,2026-02,x\n".encode(), "line 2", "longer than any id"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path, raw, where, what):
    path = tmp_path / "reports.csv"
    path.write_bytes(raw)
    with pytest.raises(ReportError) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message
    assert where in message
    assert what in message
    assert_silent(caught.value, *SECRETS)


@pytest.mark.parametrize(
    ("lat", "lon"),
    [
        ("95.51234", "77.2"),
        ("-90.001", "77.2"),
        ("28.5", "180.5"),
        ("nan", "77.2"),
        ("28.5", "inf"),
        ("28,5", "77.2"),
        ("1e999", "77.2"),
        ("2_8.5", "77.2"),
        ("28.5N", "77.2"),
        ("", "77.2"),
        ("28.5", ""),
    ],
)
def test_columns_that_have_slipped_stop_a_plain_file(tmp_path, lat, lon):
    path = write(tmp_path, GOOD, f'yes,Asha-9812345678,"{lat}","{lon}",2026-02,{KILNS}')
    with pytest.raises(ReportError, match=r"line 3: (the coordinates|latitude and long)") as caught:
        read(path)
    assert_silent(caught.value, "Asha", "9812345678", *(text for text in (lat, lon) if text))


@pytest.mark.parametrize("month", ["2026-13", "02/2026", "February", "11/02/2026"])
def test_a_month_that_is_none_names_its_line_only(tmp_path, month):
    with pytest.raises(ReportError, match="line 2: the date cannot be read") as caught:
        read(write(tmp_path, GOOD.replace("2026-02", month)))
    assert_silent(caught.value, month + ",", "28.5", "77.25")


def test_no_such_file_and_a_folder_are_one_sentence(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(ReportError, match="is not there"):
            read(path)


def test_a_store_gives_what_its_import_kept(tmp_path):
    desk = Desk(tmp_path)
    lines = [GOOD, GOOD.replace("r1", ""), GOOD.replace("yes", "no"), GOOD.replace("C_M", "X_M")]
    desk.bring(write(tmp_path, *lines, GOOD.replace(KILNS, "F_Construction")))
    intake = read(desk.store, keys=desk.keys)
    (report,), (nameless,) = intake.reports, intake.anonymous
    assert (report.lat, report.lon, report.industry) == (28.5, 77.25, KILNS)
    assert report.reporter == desk.kept()[0].reporter
    assert nameless.reporter == ""
    assert closed_gate(intake.passed) == Gate.GROUP
    assert len(read(desk.store, (KILNS, "F_Construction"), keys=desk.keys).reports) == 2


def test_a_store_without_its_keys_and_another_period_are_refused(tmp_path):
    desk = Desk(tmp_path)
    desk.bring(write(tmp_path, GOOD))
    with pytest.raises(ReportError, match="give the folder of its keys with --keys"):
        read(desk.store)
    with pytest.raises(ReportError, match="has no key period 2026-02/2026-02"):
        read_reports(desk.store, Period.parse("2026-02"), (KILNS,), desk.keys)


def test_an_import_of_nothing_can_be_released_too(tmp_path):
    desk = Desk(tmp_path)
    desk.bring(write(tmp_path, GOOD.replace("yes", "no")))
    assert read(desk.store, keys=desk.keys).reports == []


def test_a_report_has_no_readable_representation():
    shown = repr(Report("Asha-9812345678", 28.51234, 77.25678, KILNS))
    assert "Asha" not in shown
    assert "28.5" not in shown


def assert_silent(error, *secrets):
    """Nothing of a row is in an exception, its causes and contexts, or their arguments."""
    path = str(error).split(",")[0]
    told = "".join(traceback.format_exception(error)).replace(path, "")
    seen = error
    while seen is not None:
        told += f"{seen} {seen.args!r}".replace(path, "")
        seen = seen.__cause__ or seen.__context__
    for secret in secrets:
        assert secret not in told
