import csv
import io
import subprocess
import sys
import tempfile
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.reports.record import Reason
from pipeline.reports.withdrawal import close_period
from tests.pipeline.reports.desk import PERIOD, Desk
from tests.pipeline.reports.exports import EXPORTS, table
from tiles.errors import ReportError

HEADER = ["report_id", "consent", "reporter", "lat", "lon", "month", "industry"]
ROW = ["1", "yes", "r1", "28.5", "77.25", "2026-02", "C_Manufacturing"]


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def rows(*changes):
    lines = [
        [change.get(name, old) for name, old in zip(HEADER, ROW, strict=True)] for change in changes
    ]
    return table(HEADER, *lines)


def test_an_import_is_kept_and_told(desk):
    summary = desk.bring(desk.file(rows({}, {"report_id": "2", "reporter": ""}, {"consent": "no"})))
    assert (summary.accepted, summary.nameless) == (2, 1)
    assert summary.refused == {Reason.NO_CONSENT: 1}
    assert [record.reporter == "" for record in desk.kept()] == [False, True]
    assert desk.refused() == [(4, "consent is not given")]


def test_the_same_export_again_adds_nothing_and_a_longer_one_only_what_is_new(desk):
    path = desk.file(rows({}, {"report_id": "2", "reporter": "r2"}))
    desk.bring(path)
    again = desk.bring(path)
    assert (again.accepted, again.refused) == (0, {Reason.AGAIN: 2})
    longer = desk.file(rows({}, {"report_id": "2", "reporter": "r2"}, {"report_id": "3"}), "b.csv")
    assert desk.bring(longer).accepted == 1
    assert len(desk.kept()) == 3


def test_rows_without_a_platforms_id_are_known_again_by_what_they_say(desk):
    named, nameless = {"report_id": ""}, {"report_id": "", "reporter": ""}
    path = desk.file(rows(named, named, nameless, nameless, {**nameless, "month": "2026-03"}))
    first = desk.bring(path)
    # Twice the same from one person is once; two people without a name may say the same.
    assert (first.accepted, first.refused) == (4, {Reason.AGAIN: 1})
    assert desk.bring(path).accepted == 0


def test_two_reporters_may_use_one_platform_id_and_neither_loses_a_report(desk):
    summary = desk.bring(desk.file(rows({}, {"reporter": "r2"})))
    assert (summary.accepted, summary.refused) == (2, {})


def test_ids_of_two_sources_have_nothing_to_do_with_each_other(desk):
    path = desk.file(rows({}))
    for name in ("helpline", "form"):
        assert desk.bring(path, source=desk.source(name=name)).accepted == 1
    first, second = desk.kept()
    assert first.report_id != second.report_id
    assert first.reporter != second.reporter


def test_a_region_refuses_what_lies_outside(desk):
    path = desk.file(rows({}, {"lat": "77.25", "lon": "28.5", "report_id": "2"}))
    assert desk.bring(path, region=desk.region()).refused == {Reason.SWAPPED: 1}


def test_several_files_and_formats_are_one_import(desk):
    paths = [
        desk.file(EXPORTS[name].content, f"{number}{EXPORTS[name].suffix}")
        for number, name in enumerate(["KoBo CSV", "KoBo JSON", "ODK CSV"])
    ]
    summary = desk.bring(*paths, source=desk.source('default_country = "IN"'))
    assert summary.formats == ("kobo-csv", "kobo-json", "odk-csv")
    assert (summary.accepted, summary.refused) == (1, {Reason.AGAIN: 2})


@pytest.mark.parametrize("begun", [False, True])
def test_a_bad_line_in_the_last_file_imports_nothing(desk, begun):
    if begun:
        desk.bring(desk.file(rows({"report_id": "9"}), "first.csv"))
    before = desk.store.read_bytes() if begun else None
    good, bad = desk.file(rows({}), "a.csv"), desk.file(rows({}) + b"1,2\n", "b.csv")
    with pytest.raises(ReportError, match=r"b\.csv, line 3: 2 fields"):
        desk.bring(good, bad)
    assert (desk.store.read_bytes() if desk.store.exists() else None) == before
    desk.file(rows({}), "b.csv")
    assert desk.bring(good, bad).accepted == 1  # and the next attempt works


def test_another_period_has_another_key(desk):
    desk.bring(desk.file(rows({})))
    later = desk.bring(desk.file(rows({"month": "2026-07"})), period="2026-07/2026-09", today=None)
    assert later.accepted == 1
    first, second = desk.kept()[0], desk.kept(later.period)[0]
    assert first.reporter != second.reporter
    assert first.report_id != second.report_id


@pytest.mark.parametrize("period", ["2025-11/2026-05", "2026-06/2026-09", "2025-01/2026-12"])
def test_periods_of_one_store_do_not_overlap(desk, period):
    desk.bring(desk.file(rows({})))
    with pytest.raises(ReportError, match="shares months with the store's key period"):
        desk.bring(desk.file(rows({})), period=period)


def test_a_closed_period_takes_nothing_more(desk):
    path = desk.file(rows({}))
    desk.bring(path)
    close_period(desk.store, desk.key_folder, PERIOD)
    with pytest.raises(ReportError, match="is closed and its key destroyed"):
        desk.bring(path)
    assert len(desk.kept()) == 1


def test_a_lost_key_is_never_replaced_by_a_new_one(desk):
    path = desk.file(rows({}))
    desk.bring(path)
    desk.key_folder.period_file(PERIOD).unlink()
    with pytest.raises(ReportError, match=r"key of period 2025-11/2026-06 is not in .*: restore"):
        desk.bring(path)


def test_a_basis_is_kept_with_its_wording_and_date_once(desk):
    source = desk.source('[consent]\nbasis = "Callers are told so and so."\ndated = 2026-01-01\n')
    content = table(HEADER[:1] + HEADER[2:], ROW[:1] + ROW[2:])
    for _ in range(2):
        desk.bring(desk.file(content), source=source, format="plain-csv")
    bases = [line["basis"] for line in desk.lines() if "basis" in line]
    wording = "Callers are told so and so."
    assert bases == [{"source": "helpline", "wording": wording, "dated": "2026-01-01"}]


def test_a_phone_without_a_country_names_its_line_and_not_the_phone(desk):
    content = table(["phone", *HEADER], ["", *ROW], ["98123 45670", *ROW])
    with pytest.raises(ReportError, match="line 3: a phone number without a country") as caught:
        desk.bring(desk.file(content))
    assert "98123" not in str(caught.value)


def test_an_unknown_format_is_one_sentence(desk):
    with pytest.raises(
        ReportError, match=r"'xlsx' is no format of reports: choose auto, plain-csv"
    ):
        desk.bring(desk.file(rows({})), format="xlsx")


PEOPLE = ["ravi", "asha", "+91 98123 45670", "98123-45670", ""]
made_up_rows = st.lists(
    st.fixed_dictionaries(
        {
            "report_id": st.sampled_from(["", "1", "2"]),
            "consent": st.sampled_from(["yes", "yes", "no"]),
            "reporter": st.sampled_from(PEOPLE),
            "lat": st.sampled_from(["28.5", "28.6", "0", "77.25", "x"]),
            "lon": st.sampled_from(["77.25", "0", "28.5"]),
            "month": st.sampled_from(["2026-02", "2026-03", "2019-01", "2027-01", ""]),
        }
    ),
    max_size=14,
)


@settings(max_examples=40, deadline=None)
@given(made_up_rows)
def test_taking_one_person_out_takes_that_persons_records_out_and_no_other(found):
    """What the release's sensitivity rests on, through the real import with screening."""
    with tempfile.TemporaryDirectory() as folder:
        whole = _records(Path(folder) / "whole", found)
        for number, person in enumerate(({"ravi"}, {"asha"}, {"+91 98123 45670", "98123-45670"})):
            rest = [row for row in found if row["reporter"] not in person]
            left = _records(Path(folder) / str(number), rest)
            gone = whole - left
            assert left - whole == Counter()
            assert len({reporter for reporter, *_ in gone}) <= 1
            assert "" not in {reporter for reporter, *_ in gone}


def _records(folder, found):
    """Import rows under one fixed key and return what is kept, as a bag."""
    desk = Desk(folder)
    desk.keys.mkdir(parents=True, mode=0o700)
    key = desk.key_folder.period_file(PERIOD)
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    source = desk.source('default_country = "IN"\n')
    desk.bring(desk.file(rows(*found)), region=desk.region(), source=source)
    return Counter(
        (one.reporter, one.report_id, one.lat, one.lon, one.month) for one in desk.kept()
    )


def test_memory_grows_by_a_number_a_report_and_not_by_what_it_says(desk):
    peaks = []
    for number in (1_000, 6_000):
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow([*HEADER, "story"])
        writer.writerows([str(i), "yes", f"r{i}", *ROW[3:], "x" * 2000] for i in range(number))
        path = desk.file(text.getvalue().encode(), f"{number}.csv")
        del text, writer
        tracemalloc.start()
        twin = Desk(desk.folder / str(number))
        twin.folder.mkdir()
        assert twin.bring(path).accepted == number
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 250 * 5_000  # a number in a set; a row has over 2,000 letters


def test_a_first_import_that_fails_can_be_done_again_but_not_with_another_stores_keys(desk):
    with pytest.raises(ReportError):
        desk.bring(desk.file(b"consent,reporter,lat,lon,month,industry\n1\n"))
    path = desk.file(rows({}))
    assert desk.bring(path).accepted == 1
    with pytest.raises(ReportError, match="keys of another store"):
        desk.bring(path, store=desk.folder / "elsewhere" / "reports.age")


@pytest.mark.parametrize("begun", [False, True])
def test_an_import_that_is_killed_can_be_done_again_and_leaves_nothing_behind(desk, begun):
    if begun:
        desk.bring(desk.file(rows({"report_id": "9"}), "first.csv"))
    path = desk.file(rows({}))
    code = f"""
import os
from pathlib import Path
from pipeline.reports import importing
from tests.pipeline.reports.desk import Desk
importing._Import._admit = lambda *_: os._exit(9)
Desk(Path({str(desk.folder)!r})).bring(Path({str(path)!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert done.returncode == 9
    assert [one.name for one in desk.store.parent.glob(".*.part.age")]  # half of a store
    # What a kill in the middle of an exchange of identities leaves: keys that should be gone.
    (desk.keys / ".identity.1.part.txt").write_text("AGE-SECRET-KEY-1")
    assert desk.bring(path).accepted == 1
    assert [one.name for one in desk.store.parent.iterdir()] == ["reports.age"]
    assert {one.name for one in desk.keys.iterdir()} == {"identity.txt", "2025-11_2026-06.key"}
