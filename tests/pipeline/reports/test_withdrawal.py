import pytest

from pipeline.reports.keys import KeyFolder
from pipeline.reports.record import Reason
from pipeline.reports.review import review
from pipeline.reports.source import read_source
from pipeline.reports.store import lines
from pipeline.reports.withdrawal import Who, close_period, purge, withdraw
from tests.pipeline.reports.desk import PERIOD, Desk
from tests.pipeline.reports.exports import table
from tiles.errors import ReportError
from tiles.region import Period

HEADER = ["id", "consent", "phone", "reporter", "lat", "lon", "month", "industry"]
PEOPLE = [
    ["1", "yes", "98123 45670", "", "28.5", "77.25", "2025-12", "C_Manufacturing"],
    ["2", "yes", "+91-98123-45670", "", "28.6", "77.25", "2026-03", "C_Manufacturing"],
    ["3", "yes", "", "user 7", "28.5", "77.25", "2026-03", "C_Manufacturing"],
    ["4", "yes", "", "user 7", "28.6", "77.25", "2026-02", "C_Manufacturing"],
    ["5", "yes", "asha@example.org", "", "28.5", "77.25", "2026-03", "C_Manufacturing"],
    ["6", "no", "98123 45670", "", "28.5", "77.25", "2026-03", "C_Manufacturing"],
]
COUNTRY = 'default_country = "IN"\n'


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    desk.bring(desk.file(table(HEADER, *PEOPLE)), source=desk.source(COUNTRY))
    return desk


def again(desk):
    return desk.bring(desk.file(table(HEADER, *PEOPLE)), source=desk.source(COUNTRY))


@pytest.mark.parametrize(
    ("by", "value", "taken"),
    [
        ("phone", "0091 98123 45670", 2),
        ("phone", "98123-45670", 2),
        ("email", "Asha@example.org", 1),
        ("id", "USER 7", 2),
        ("report", "4", 1),
        ("phone", "+91 98123 45679", 0),
    ],
)
def test_what_a_person_sent_is_taken_out_and_kept_out(desk, by, value, taken):
    who = Who.of(by, value, read_source(desk.source(COUNTRY)))
    done = withdraw(desk.store, desk.key_folder, who)
    assert (done.removed, done.periods) == (taken, (PERIOD,))
    assert len(desk.kept()) == 5 - taken
    summary = again(desk)
    assert summary.accepted == 0
    assert summary.refused.get(Reason.WITHDRAWN, 0) == taken
    assert withdraw(desk.store, desk.key_folder, who).removed == 0


def test_a_phone_needs_no_source_where_it_says_its_country(desk):
    assert withdraw(desk.store, desk.key_folder, Who.of("phone", "+91 98123 45670")).removed == 2


@pytest.mark.parametrize(
    ("by", "value", "what"),
    [
        ("name", "Asha", "no way to name a person: use phone, email, id, report"),
        ("id", "user 7", "an id belongs to a source"),
        ("report", "1", "an id belongs to a source"),
        ("phone", "98123 45670", "without a country code"),
        ("phone", "Asha-Kumari", "this is no phone that can be read"),
        ("phone", "n/a", "this is no phone that can be read"),
    ],
)
def test_who_cannot_be_found_is_one_sentence_without_the_value(desk, by, value, what):
    before = desk.store.read_bytes()
    with pytest.raises(ReportError, match=what) as caught:
        withdraw(desk.store, desk.key_folder, Who.of(by, value))
    assert value not in str(caught.value)
    assert desk.store.read_bytes() == before


def test_a_number_typed_in_the_place_of_the_kind_is_not_quoted():
    with pytest.raises(ReportError, match="no way to name a person") as caught:
        Who.of("+91 98123 45670", "")
    assert "98123" not in str(caught.value)


def test_who_is_not_shown():
    assert "98123" not in repr(Who.of("phone", "+91 98123 45670"))


def test_a_withdrawal_reaches_every_open_period_and_no_closed_one(desk):
    later = Period("2026-07", "2026-09")
    row = ["9", "yes", "98123 45670", "", "28.5", "77.25", "2026-07", "C_Manufacturing"]
    path = desk.file(table(HEADER, row))
    desk.bring(path, source=desk.source(COUNTRY), period=later, today=None)
    who = Who.of("phone", "+91 98123 45670")
    close_period(desk.store, desk.key_folder, later)
    done = withdraw(desk.store, desk.key_folder, who)
    assert (done.periods, done.removed) == ((PERIOD,), 2)
    assert len(desk.kept(later)) == 1


def test_withdrawn_reports_are_not_in_older_copies_that_anyone_can_open(desk):
    copy = desk.folder / "copy.age"
    copy.write_bytes(desk.store.read_bytes())
    withdraw(desk.store, desk.key_folder, Who.of("phone", "+91 98123 45670"))
    with pytest.raises(ReportError, match="cannot be opened"):
        list(lines(copy, desk.key_folder))


def test_closing_destroys_the_key_and_keeps_the_reports(desk):
    withdraw(desk.store, desk.key_folder, Who.of("report", "4", read_source(desk.source(COUNTRY))))
    close_period(desk.store, desk.key_folder, PERIOD)
    close_period(desk.store, desk.key_folder, PERIOD)  # after a crash between its two steps
    assert not desk.key_folder.has_period(PERIOD)
    assert len(desk.kept()) == 4
    assert not any("withdrawn" in line for line in desk.lines())
    assert withdraw(desk.store, desk.key_folder, Who.of("phone", "+91 98123 45670")).periods == ()
    with pytest.raises(ReportError, match="has no key period"):
        close_period(desk.store, desk.key_folder, Period.parse("2026-01"))


def test_purging_takes_out_earlier_months(desk):
    purge(desk.store, desk.key_folder, "2026-03")
    assert {record.month for record in desk.kept()} == {"2026-03"}
    assert len(desk.kept()) == 3
    assert desk.refused()  # refused rows say no month; they go with their period
    assert desk.key_folder.has_period(PERIOD)
    summary = again(desk)  # the same export does not bring them back
    assert (summary.accepted, summary.refused[Reason.PURGED]) == (0, 2)
    purge(desk.store, desk.key_folder, "2026-01")  # an earlier month brings nothing back either
    assert again(desk).refused[Reason.PURGED] == 2


def test_purging_past_a_period_closes_it(desk):
    purge(desk.store, desk.key_folder, "2026-07")
    assert desk.kept() == []
    assert desk.refused() == []
    assert not desk.key_folder.has_period(PERIOD)
    with pytest.raises(ReportError, match="is closed"):
        again(desk)


@pytest.mark.parametrize("month", ["2026", "2026-13", "last year", ""])
def test_a_month_that_is_none_purges_nothing(desk, month):
    with pytest.raises(ReportError, match="the month is none"):
        purge(desk.store, desk.key_folder, month)
    assert len(desk.kept()) == 5


def test_commands_on_a_store_that_is_not_there_are_one_sentence(tmp_path):
    keys = KeyFolder(tmp_path / "keys")
    with pytest.raises(ReportError, match="cannot be used"):
        purge(tmp_path / "x.age", keys, "2026-03")
    keys.begin()
    with pytest.raises(ReportError, match="is not there"):
        purge(tmp_path / "x.age", keys, "2026-03")


def test_a_review_shows_copies_and_bursts_of_different_people_and_drops_none(tmp_path):
    desk = Desk(tmp_path)
    crowd = [
        [str(n), "yes", "", f"user {n}", "28.5", "77.25", "2026-03", "C_Manufacturing"]
        for n in range(12)
    ]
    alone = [
        [str(n), "yes", "", "user 99", "29.5", "77.25", "2026-03", "C_Manufacturing"]
        for n in range(20, 40)  # one person's copies are one person's affair
    ]
    spread = [
        [
            str(n),
            "yes",
            "",
            f"user {n}",
            f"28.9{n}",
            "78.5",
            f"2026-0{n % 6 + 1}",
            "C_Manufacturing",
        ]
        for n in range(40, 70)
    ]
    refused = ["70", "no", *spread[0][2:]]
    summary = desk.bring(desk.file(table(HEADER, *crowd, *alone, *spread, refused)))
    assert summary.accepted == 62
    found = review(desk.store, desk.keys, PERIOD)
    assert found.reports == 62
    assert dict(found.refused) == {("plain-csv", "consent is not given"): 1}
    (copies,) = found.copies
    (burst,) = found.bursts
    assert (copies.reporters, copies.month, copies.usual) == (12, "2026-03", None)
    assert (burst.reporters, burst.month, burst.usual) == (12, "2026-03", 0.0)
    assert burst.cell_id == copies.cell_id
    assert "28.5" not in repr(found)
