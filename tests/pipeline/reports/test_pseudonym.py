import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.reports.pseudonym import NoCountryError, Person, Pseudonyms, e164
from pipeline.reports.source import SourceSettings

KEY = b"k" * 32
HELPLINE = SourceSettings(name="helpline", default_country="IN")
FORM = SourceSettings(name="form", default_country="IN")
ABROAD = SourceSettings(name="abroad")


def of(source=HELPLINE, key=KEY):
    return Pseudonyms(key, source)


SAME_PHONE = [
    "+919812345670",
    "+91 98123 45670",
    "+91 (0)98123-45670",
    "0091 98123 45670",
    "919812345670",
    "098123 45670",
    "98123-45670",
    "98123.45670",
    "tel:+919812345670",
    "whatsapp:919812345670",
    "९८१२३ ४५६७०",
    "৯৮১২৩৪৫৬৭০",
    "٩٨١٢٣٤٥٦٧٠",
    "\u202a+91 98123 45670\u202c",
    "＋９１９８１２３４５６７０",
]


@pytest.mark.parametrize("written", SAME_PHONE)
def test_one_phone_is_one_person_however_it_is_written(written):
    assert of().contact(written) == Person("tel", "", "+919812345670")


def test_one_phone_is_one_reporter_in_every_source_and_any_id_belongs_to_its_own():
    for read in (
        lambda source: of(source).contact("98123 45670"),
        lambda s: of(s).person("98123 45670"),
    ):
        assert of(HELPLINE).of(read(HELPLINE)) == of(FORM).of(read(FORM))
    assert of(HELPLINE).person("user 7") == Person("id", "helpline", "user 7")
    assert of(FORM).person("USER  7") == Person("id", "form", "user 7")
    shared = SourceSettings(name="form2", reporter_scope="form")
    assert of(shared).person("user 7") == of(FORM).person("user 7")


def test_addresses_are_the_same_person_everywhere():
    assert of().contact(" Asha@Example.ORG") == of(FORM).contact("mailto:asha@example.org")
    assert of().person("Asha@example.org") == of(FORM).contact("asha@example.org")
    assert of().contact("asha@example.org").kind == "mail"
    assert of().contact("@asha").kind == "id"  # a name on a messenger


@pytest.mark.parametrize("text", ["0", "n/a", "", "anonymous", "0000000000", "-"])
def test_placeholders_are_nobody(text):
    assert of().contact(text) is None
    assert of().person(text) is None


@pytest.mark.parametrize("text", ["12345", "123456", "call me", "98123 45670 or 98123 45671"])
def test_what_is_no_phone_is_an_id_of_its_source(text):
    assert of().contact(text).kind == "id"


def test_numbers_that_are_no_phone_of_the_country_stay_ids():
    assert of().person("10000001").kind == "id"  # a platform's number of a user
    assert of(ABROAD).person("9812345670").kind == "id"
    assert of(ABROAD).person("+91 98123 45670") == of().contact("98123 45670")


def test_a_phone_without_a_country_stops_the_import_and_is_not_quoted():
    with pytest.raises(NoCountryError, match="set default_country") as caught:
        of(ABROAD).contact("98123 45670")
    assert "98123" not in str(caught.value)
    assert of(ABROAD).contact("0091 98123 45670") == of().contact("98123 45670")


def test_the_pseudonym_is_hmac_sha256_over_lengths_and_parts():
    # RFC 2104, by another implementation than the one that is used.
    message = b"8:reporter3:tel0:13:+919812345670"
    expected = hmac.new(KEY, message, hashlib.sha256).hexdigest()
    assert of().of(of().contact("98123 45670")) == expected


def test_another_key_gives_another_pseudonym():
    person = of().contact("98123 45670")
    assert of().of(person) != of(key=b"l" * 32).of(person)


def test_no_two_lists_of_parts_are_the_same_bytes():
    assert of().of(Person("id", "a", "1:b")) != of().of(Person("id", "a1:", "b"))
    assert of().of(Person("id", "1", "")) != of().of(Person("id", "", "1"))


def test_ids_of_reports_belong_to_their_source_and_are_folded():
    assert of().report_id(" A-1") == of().report_id("a-1")
    assert of().report_id("a-1") != of(FORM).report_id("a-1")
    assert len(of().report_id("a-1")) == 32


def test_a_person_is_not_shown():
    assert "9812345670" not in repr(of().contact("98123 45670"))


@given(st.text(max_size=30))
def test_any_text_is_read_without_an_exception_that_could_carry_it(text):
    of().contact(text)
    of().person(text)
    of().report_id(text)


@given(st.integers(6_000_000_000, 9_999_999_999))
def test_e164_is_final(number):
    once = e164(str(number), "IN", strict=False)
    assert once == f"+91{number}"
    assert e164(once, None, strict=False) == once
