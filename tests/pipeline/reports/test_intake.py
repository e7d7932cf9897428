import csv
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.reports.intake import Gate, Report, closed_gate, fold, names_somebody, read_reports
from tiles.errors import ReportError
from tiles.region import Period

PERIOD = Period("2025-11", "2026-06")
KILNS = "C_Manufacturing"
HEADER = "consent,reporter,lat,lon,month,industry"
GOOD = f"yes,r1,28.5,77.25,2026-02,{KILNS}"


def read(path, industries=(KILNS,)):
    return read_reports(path, PERIOD, industries)


def write(tmp_path, *lines, header=HEADER, encoding="utf-8", end="\n"):
    path = tmp_path / "reports.csv"
    path.write_bytes(end.join([header, *lines, ""]).encode(encoding))
    return path


def test_a_good_row_is_kept_as_it_is(tmp_path):
    (report,) = read(write(tmp_path, GOOD)).reports
    assert (report.reporter, report.lat, report.lon, report.industry) == ("r1", 28.5, 77.25, KILNS)


@pytest.mark.parametrize(
    ("line", "closed"),
    [
        (GOOD.replace("yes", "YES"), Gate.GROUP),
        (GOOD.replace("yes", " True "), Gate.GROUP),
        (GOOD.replace("yes", "1"), Gate.GROUP),
        (GOOD.replace("yes", ""), Gate.CONSENT),
        (GOOD.replace("yes", "no"), Gate.CONSENT),
        (GOOD.replace("yes", "y"), Gate.CONSENT),
        (GOOD.replace("yes", "yes, but"), None),  # a field too many
        (GOOD.replace("r1", ""), Gate.REPORTER),
        (GOOD.replace("r1", " Anonymous "), Gate.REPORTER),
        (GOOD.replace("r1", "not given"), Gate.REPORTER),
        (GOOD.replace("r1", "\u200e--\u200f"), Gate.REPORTER),
        (GOOD.replace("r1", "\u200er1"), Gate.GROUP),
        (GOOD.replace("2026-02", "2026-07"), Gate.MONTH),
        (GOOD.replace("2026-02", ""), Gate.MONTH),
        (GOOD.replace("2026-02", "2026-06"), Gate.GROUP),
        (GOOD.replace("2026-02", "2025-11"), Gate.GROUP),
        (GOOD.replace(KILNS, "F_Construction"), Gate.INDUSTRY),
        (GOOD.replace("28.5,77.25", ","), Gate.PLACE),
    ],
)
def test_each_gate_stops_its_rows(tmp_path, line, closed):
    path = write(tmp_path, line)
    if closed is None:
        with pytest.raises(ReportError, match="7 fields where 6"):
            read(path)
        return
    intake = read(path)
    assert closed_gate(intake.passed) == closed
    assert len(intake.reports) == (closed == Gate.GROUP)


def test_a_header_alone_is_a_file_without_reports(tmp_path):
    intake = read(write(tmp_path))
    assert intake.reports == []
    assert closed_gate(intake.passed) == Gate.CONSENT


def test_bom_windows_ends_blank_lines_and_another_order_are_read(tmp_path):
    header = "Month, industry,reporter,LON,lat,consent"
    line = f'2026-02,{KILNS},"r,1",77.25,२८.५,yes'  # Devanagari digits
    path = write(tmp_path, "", line, "", header=header, encoding="utf-8-sig", end="\r\n")
    (report,) = read(path).reports
    assert (report.reporter, report.lat, report.lon) == ("r,1", 28.5, 77.25)


SPELLINGS = {
    "as it is": "r 1",
    "case": "R 1",
    "blanks": " r  1",
    "no-break space": "r 1\u00a0",
    "wide forms": "\uff52 \uff11",
    "tab": "R\t1",
    "line end": "r\r\n1\n",
    "bidi marks of a pasted number": "\u202ar 1\u202c",
    "left-to-right mark": "\u200er 1",
    "zero-width joiner": "r\u200d 1",
    "zero-width space": "r\u200b 1",
    "byte-order mark": "\ufeffr 1",
    "soft hyphen": "r\u00ad 1",
    "control": "r 1\x00\x07",
    "all at once": "\u2066\ufeffR\u200d\t\u00a0\uff11\x7f\u2069",
}


@pytest.mark.parametrize("how", SPELLINGS)
def test_spellings_of_one_id_are_one_reporter(how):
    assert fold(SPELLINGS[how]) == "r 1"


@given(text=st.text(max_size=12), mark=st.characters(categories=["Cf"]), place=st.integers(0, 12))
def test_folding_is_final_and_sees_no_format_mark(text, mark, place):
    assert fold(fold(text)) == fold(text)
    assert fold(text[:place] + mark + text[place:]) == fold(text)


PLACEHOLDERS = """- ? ... — 0 000 📞 🙂🙂 n/a N.A. na NaN nil Nil. none null NULL [null] <none> anon
test Test guest (guest) nobody undefined anonymous Anonymous1 anonymous-7 ＡＮＯＮＹＭＯＵＳ unknown
Unknown! unknown_2 no_name No-Name not_given Not-available. not.provided not/applicable n\u200b/a
\u200e \u202a-\u202c"""


@pytest.mark.parametrize("placeholder", ["", " ", "N / A", "no name", *PLACEHOLDERS.split()])
def test_a_placeholder_names_nobody(placeholder):
    assert not names_somebody(fold(placeholder))


@pytest.mark.parametrize(
    "reporter",
    ["+91 98123 45670", "r1", "Nadia", "Nilima", "Testa", "07", "आशा", "আশা", "عائشة", "an unknown"],
)
def test_an_id_names_somebody(reporter):
    assert names_somebody(fold(reporter))


@pytest.mark.parametrize(
    ("raw", "where", "what"),
    [
        (b"", "", "is empty"),
        (b"\n\n", "", "is empty"),
        (b"consent,reporter,lat,lon,month\n", "line 1", "header"),
        (b"consent,reporter,lat,lon,month,industry,name\n", "line 1", "header"),
        (b"consent,reporter,lat,lat,month,industry\n", "line 1", "header"),
        (b"yes,Asha-9812345678,28.51234,77.25678,2026-02,x\n", "line 1", "header"),
        (HEADER.encode("utf-16"), "line 1", "UTF-8"),
        (f"{HEADER}\n{GOOD}\nyes,r\xe9,1,1,2026-02,x\n".encode("cp1252"), "line 3", "UTF-8"),
        (f"{HEADER}\n{GOOD}\n\nyes,Asha-9812345678,28.51234\n".encode(), "line 4", "3 fields"),
        (f'{HEADER}\nyes,"Asha-9812345678,28.51234\n'.encode(), "line 2", "no CSV"),
        (f'{HEADER}\nyes,"Asha"-9812345678,1,1,2026-02,x\n'.encode(), "line 2", "no CSV"),
        (f"{HEADER}\nyes,{'Asha' * 40000},1,1,2026-02,x\n".encode(), "line 2", "no CSV"),
        (f"{HEADER}\ryes,Asha-9812345678,1,1,2026-02,x\r".encode(), "line 1", "no CSV"),
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
    assert_silent(caught.value, "Asha", "9812345678", "28.51234", "77.25678", "r\xe9")


@pytest.mark.parametrize(
    ("lat", "lon", "column"),
    [
        ("95.51234", "77.2", "lat"),
        ("-90.001", "77.2", "lat"),
        ("28.5", "180.5", "lon"),
        ("nan", "77.2", "lat"),
        ("28.5", "inf", "lon"),
        ("28,5", "77.2", "lat"),
        ("1e999", "77.2", "lat"),
        ("2_8.5", "77.2", "lat"),
        ("28.5N", "77.2", "lat"),
        ("", "77.2", "lat"),
        ("28.5", "", "lon"),
    ],
)
@pytest.mark.parametrize("consent", ["yes", "no"])
def test_an_impossible_coordinate_names_line_and_column_only(tmp_path, consent, lat, lon, column):
    path = write(tmp_path, GOOD, f'{consent},Asha-9812345678,"{lat}","{lon}",2026-02,{KILNS}')
    with pytest.raises(ReportError, match=f"line 3, column {column}: an impossible") as caught:
        read(path)
    assert_silent(caught.value, "Asha", "9812345678", *(text for text in (lat, lon) if text))


@pytest.mark.parametrize("month", ["2026-13", "02/2026", "2026-2", "February", "२०२६-02"])
def test_a_month_that_is_none_names_line_and_column_only(tmp_path, month):
    path = write(tmp_path, GOOD.replace("2026-02", month))
    with pytest.raises(ReportError, match="line 2, column month") as caught:
        read(path)
    assert_silent(caught.value, month, "28.5", "77.25")


def test_the_longest_field_is_the_one_that_the_message_states(tmp_path):
    limit = csv.field_size_limit()
    assert len(read(write(tmp_path, GOOD.replace("r1", "a" * limit))).reports) == 1
    path = write(tmp_path, GOOD.replace("r1", "a" * (limit + 1)))
    with pytest.raises(ReportError, match=r"line 2: .* of over 131,072 letters"):
        read(path)


def test_no_such_file_and_a_folder_are_one_sentence(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(ReportError, match="is not there"):
            read(path)


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
