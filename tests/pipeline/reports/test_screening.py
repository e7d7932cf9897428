from datetime import date

import pytest
import shapely

from pipeline.reports.formats.plain import PLAIN_CSV
from pipeline.reports.pseudonym import Pseudonyms
from pipeline.reports.record import RawReport, Reason
from pipeline.reports.screening import Ground, Reader
from pipeline.reports.source import SourceSettings
from pipeline.reports.values import Degrees
from tests.pipeline.reports.desk import PERIOD

GOOD = {
    "number": 2,
    "platform_id": "1",
    "contact": "",
    "person": "r1",
    "lat": "28.5",
    "lon": "77.25",
    "accuracy": "",
    "when": "2026-02-11",
    "industry": "C_Manufacturing",
    "signs": "",
    "consent": "yes",
}
BASIS = {"basis": "Callers are told so and so.", "dated": "2026-02-10"}


def draft(settings=None, today=date(2026, 6, 15), **change):
    source = SourceSettings.model_validate({"name": "s", **(settings or {})})
    reader = Reader(PLAIN_CSV, source, Pseudonyms(b"k" * 32, source), PERIOD, today)
    return reader.draft(RawReport(**{**GOOD, **change}))


def test_a_good_row_has_no_problem():
    found = draft()
    assert found.problem is None
    assert found.place == Degrees(28.5, 77.25)
    assert (found.month, found.industry, found.consent) == ("2026-02", "C_Manufacturing", "column")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"consent": "no"}, Reason.NO_CONSENT),
        ({"consent": ""}, Reason.NO_CONSENT),
        ({"consent": "y"}, Reason.NO_CONSENT),
        ({"consent": None}, Reason.NO_CONSENT),
        ({"lat": "", "lon": ""}, Reason.NO_PLACE),
        ({"lat": "28,5"}, Reason.BAD_PLACE),
        ({"lon": ""}, Reason.BAD_PLACE),
        ({"lon": "180.5"}, Reason.BAD_PLACE),
        ({"lat": "nan"}, Reason.BAD_PLACE),
        ({"lat": "0", "lon": "0.000"}, Reason.NULL_ISLAND),
        ({"lat": "0.000001", "lon": "-0.000001"}, Reason.NULL_ISLAND),
        ({"lat": "120.5", "lon": "28.5"}, Reason.SWAPPED),
        ({"accuracy": "5000.1"}, Reason.INACCURATE),
        ({"when": ""}, Reason.NO_DATE),
        ({"when": "soon"}, Reason.BAD_DATE),
        ({"when": "03/04/2026"}, Reason.BAD_DATE),
        ({"when": "2026-06-17"}, Reason.FUTURE),
        ({"when": "2026-07"}, Reason.FUTURE),
        ({"when": "2025-10-31"}, Reason.OTHER_PERIOD),
        ({"industry": ""}, Reason.NO_INDUSTRY),
        ({"industry": "bricks"}, Reason.NO_INDUSTRY),
        ({"platform_id": "9" * 257}, Reason.TOO_LONG),
        ({"lat": "2" * 1000}, Reason.TOO_LONG),
        ({"signs": "x" * 5000}, Reason.TOO_LONG),
    ],
)
def test_each_reason(change, reason):
    assert draft(**change).problem == reason


@pytest.mark.parametrize(
    "change",
    [
        {"accuracy": "5000"},
        {"accuracy": "unknown"},
        {"accuracy": "-1"},
        {"when": "2026-06-16"},  # it is tomorrow already in the sender's time zone
        {"when": "2026-06"},
        {"consent": " TRUE "},
        {"consent": "1"},
    ],
)
def test_what_is_no_reason(change):
    assert draft(**change).problem is None


def test_the_first_reason_is_the_one_that_matters_most_to_the_person():
    assert draft(consent="no", lat="99", when="soon").problem == Reason.NO_CONSENT


def test_the_words_of_a_source_are_read():
    words = {
        "consent": {"column": "c", "yes": ["हाँ"]},
        "values": {"industry": {"ईंट भट्ठा": "C_Manufacturing"}},
        "date_order": "dmy",
    }
    found = draft(words, consent="हाँ", industry="ईंट  भट्ठा", when="११/०२/२०२६", lat="२८.५")
    assert found.problem is None
    assert (found.place.lat, found.month) == (28.5, "2026-02")


def test_what_a_source_says_of_all_its_reports_fills_what_is_missing_only():
    whole = {"industry": "B_MiningAndQuarrying", "month": "2026-01"}
    found = draft(whole, industry="", when="")
    assert (found.industry, found.month) == ("B_MiningAndQuarrying", "2026-01")
    assert draft(whole).industry == "C_Manufacturing"
    assert draft(whole, when="soon").problem == Reason.BAD_DATE


def test_a_basis_counts_from_its_date_and_never_against_a_row_that_says_no():
    assert draft({"consent": BASIS}, consent=None).consent == "basis"
    assert draft({"consent": BASIS}, consent=None).problem is None
    early = draft({"consent": BASIS}, consent=None, when="2026-01-31")
    assert early.problem == Reason.BEFORE_BASIS
    assert draft({"consent": BASIS}, consent="no").problem == Reason.NO_CONSENT


def test_places_outside_are_refused_and_swapping_is_suggested_but_never_done():
    ground = Ground(shapely.box(76, 27, 80, 30))
    places = [("28.5", "77.25"), ("77.25", "28.5"), ("10", "10"), ("30", "80"), ("0", "0")]
    drafts = [draft(lat=lat, lon=lon) for lat, lon in places]
    judged = ground.judge(drafts)
    reasons = [None, Reason.SWAPPED, Reason.OUTSIDE, None, Reason.NULL_ISLAND]
    assert [one.problem for one in judged] == reasons
    assert judged[1].place == Degrees(77.25, 28.5)
    assert Ground(None).judge(drafts) == drafts


def test_places_are_kept_to_a_metre():
    assert draft(lat="28.123456789").place.lat == 28.12346


def test_a_draft_is_not_shown():
    assert "28.5" not in repr(draft())
    assert "28.5" not in repr(RawReport(**GOOD))
