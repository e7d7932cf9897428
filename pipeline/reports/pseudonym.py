"""Turns phones, addresses and ids into HMAC-SHA256 pseudonyms under the key of one period.

One phone is one reporter in every source, however it is written; any other id belongs to the
source (or the scope that sources share) that wrote it. Without the key nobody can try out phone
numbers; with another period's key the same phone is another pseudonym.
"""

import hmac
import re
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

from pipeline.reports.record import RawReport
from pipeline.reports.source import SourceSettings
from pipeline.reports.values import fold, names_somebody, western
from tiles.errors import ReportError

PHONE_LETTERS = frozenset("0123456789+-()./ \t\u00a0\u2010\u2011\u2012\u2013")
NOT_DIGITS = {ord(letter): None for letter in PHONE_LETTERS if not letter.isdigit()}
FEWEST_DIGITS = 7  # national numbers of small countries; shorter ones are ids or short codes
MOST_DIGITS = 17  # 15 of E.164 and an international prefix 00
MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")  # "@name" of a messenger is no address
PHONE_SCHEMES = ("tel:", "whatsapp:", "sms:")
REPORT_ID_DIGITS = 32  # of 64: 128 bits, of which no two reports share any


@dataclass(frozen=True, slots=True, repr=False)
class Person:
    """Who reported, normalised, before the pseudonym: `kind` keeps phones and ids apart."""

    kind: str
    scope: str
    value: str


class NoCountryError(ReportError):
    """A phone number without a country code, in a source that declares no country."""


class Pseudonyms:
    """Pseudonyms of one source under one period's key.

    Raises:
        NoCountryError: from any method, at a phone number that says no country where the source's
            settings say none either: read two ways, one person would count as two.
    """

    def __init__(self, key: bytes, source: SourceSettings) -> None:
        self._key = key
        self._source = source

    def reporter(self, raw: RawReport) -> str:
        """Return the reporter's pseudonym, 64 hexadecimal digits, or "" where nobody is named."""
        person = self.contact(raw.contact) or self.person(raw.person)
        return "" if person is None else self.of(person)

    def contact(self, text: str) -> Person | None:
        """Read a phone number or an e-mail address; other text is an id of the source."""
        plain = fold(text)
        if not names_somebody(plain):
            return None
        found = _mail(plain) or self._phone(plain, certain=True)
        return found or Person("id", self._source.scope, plain)

    def person(self, text: str) -> Person | None:
        """Read an id; one that is plainly a phone number or an address is that everywhere."""
        plain = fold(text)
        if not names_somebody(plain):
            return None
        certain = plain.startswith(("+", *PHONE_SCHEMES))
        found = _mail(plain) or self._phone(plain, certain)
        return found or Person("id", self._source.scope, plain)

    def of(self, person: Person) -> str:
        """Return a person's pseudonym."""
        return self._digest("reporter", person.kind, person.scope, person.value)

    def report_id(self, platform_id: str) -> str:
        """Return the pseudonym of what the platform calls a report."""
        return self._digest("report", self._source.name, fold(platform_id))[:REPORT_ID_DIGITS]

    def content_id(self, *content: str) -> str:
        """Return an id for a report that the platform gave none, from what it says."""
        return self._digest("content", self._source.name, *content)[:REPORT_ID_DIGITS]

    def _digest(self, *parts: str) -> str:
        # Lengths stand before parts, so that no two lists of parts are the same bytes.
        message = "".join(f"{len(part)}:{part}" for part in parts).encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, message, "sha256").hex()

    def _phone(self, plain: str, certain: bool) -> Person | None:
        """Read a phone number; `certain` where the text must be one if it looks like one."""
        scheme = next((s for s in PHONE_SCHEMES if plain.startswith(s)), "")
        text = western(plain.removeprefix(scheme))
        if scheme == "whatsapp:" and not text.startswith("+"):
            text = f"+{text}"  # WhatsApp's ids are E.164 without the plus
        if not PHONE_LETTERS.issuperset(text):
            return None
        if not FEWEST_DIGITS <= len(text.translate(NOT_DIGITS)) <= MOST_DIGITS:
            return None
        international = text.startswith(("+", "00"))
        country = self._source.default_country
        if country is None and not international:
            if certain:
                raise NoCountryError(
                    "a phone number without a country code: set default_country in the source's "
                    'settings, e.g. default_country = "IN".'
                )
            return None
        number = e164(f"+{text[2:]}" if text.startswith("00") else text, country, not certain)
        return None if number is None else Person("tel", "", number)


def _mail(plain: str) -> Person | None:
    address = plain.removeprefix("mailto:").strip()
    return Person("mail", "", address) if MAIL.fullmatch(address) else None


@lru_cache(maxsize=4096)  # people report more than once, and files list them together
def e164(text: str, country: str | None, strict: bool) -> str | None:
    """Return the E.164 form of a phone number (ITU-T E.164), None where it can be none.

    Args:
        text: the number as written.
        country: two letters, for numbers without a country code.
        strict: also ask that the number's range is one that the country has given out.
    """
    try:
        parsed = phonenumbers.parse(text, country)
    except NumberParseException:
        return None
    known = phonenumbers.is_valid_number if strict else phonenumbers.is_possible_number
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164) if known(parsed) else None
