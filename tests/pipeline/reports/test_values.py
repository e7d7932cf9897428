from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.reports.values import Moment, fold, moment, names_somebody, number, western

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


@given(text=st.text(alphabet=st.characters(max_codepoint=127), max_size=20))
def test_the_short_way_for_plain_text_folds_like_the_long_one(text):
    assert fold(text) == fold(f"{text}\u200b")


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


@pytest.mark.parametrize("digits", ["२८.५१", "২৮.৫১", "٢٨٫٥١", "۲۸٫۵۱", "28.51", " +28.51 "])
def test_numbers_in_every_script(digits):
    assert number(digits) == 28.51


@pytest.mark.parametrize("minus", ["-1.5", "\u22121.5", "\u200e-1.5"])
def test_minus_signs(minus):
    assert number(minus) == -1.5


@pytest.mark.parametrize(
    "text", ["", "28,5", "nan", "inf", "1e999", "2_8.5", "28.5N", "=1+1", "½", "٢٨٫٥٫١", "0x1F"]
)
def test_what_is_no_number(text):
    assert number(text) is None


def test_digits_of_scripts_become_western_and_the_rest_stays():
    assert western("৯১-৯৮১") == "91-981"
    assert western("²") == "²"  # a superscript is no decimal digit


@pytest.mark.parametrize(
    ("text", "order", "month", "day"),
    [
        ("2026-02", None, "2026-02", None),
        ("2026-2-3", None, "2026-02", date(2026, 2, 3)),
        ("2026-02-11", "dmy", "2026-02", date(2026, 2, 11)),
        ("2026-02-28T23:59:59.000-12:00", None, "2026-02", date(2026, 2, 28)),
        ("2026-02-11 07:07:04", None, "2026-02", date(2026, 2, 11)),
        ("2026/02/11", None, "2026-02", date(2026, 2, 11)),
        ("11/02/2026", "dmy", "2026-02", date(2026, 2, 11)),
        ("11/02/2026 14:30", "dmy", "2026-02", date(2026, 2, 11)),
        ("02/11/26", "mdy", "2026-02", date(2026, 2, 11)),
        ("11.02.2026", "dmy", "2026-02", date(2026, 2, 11)),
        ("२०२६-०२-११", None, "2026-02", date(2026, 2, 11)),
        ("২০২৬-০২", None, "2026-02", None),
        ("١١/٠٢/٢٠٢٦", "dmy", "2026-02", date(2026, 2, 11)),
    ],
)
def test_dates(text, order, month, day):
    assert moment(text, order) == Moment(month, day)


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("11/02/2026", None),  # February or November: nobody is asked to guess
        ("13/02/2026", "mdy"),
        ("2026-13", None),
        ("2026-02-30", None),
        ("0000-00-00", None),
        ("February 2026", None),
        ("2026", None),
        ("=TODAY()", "dmy"),
        ("", None),
    ],
)
def test_what_is_no_date(text, order):
    assert moment(text, order) is None
