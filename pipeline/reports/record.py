"""A report as it comes in, as it is kept, and why it may be refused."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(slots=True, repr=False)  # not frozen: that doubles the time of an import's busiest line
class RawReport:
    """One row of a file, in memory only, as text; it has no readable representation on purpose.

    Attributes:
        number: line of a table or place in a list, counted from one, for messages.
        platform_id: what the platform calls the report.
        contact: a phone number or e-mail address of the reporter.
        person: another id of the reporter, of the platform that wrote it.
        lat: degrees north.
        lon: degrees east.
        accuracy: radius of the place, metres.
        when: the date.
        industry: code, label or a partner's word.
        signs: the same, several.
        consent: None where the file has no such column.
    """

    number: int
    platform_id: str
    contact: str
    person: str
    lat: str
    lon: str
    accuracy: str
    when: str
    industry: str
    signs: str
    consent: str | None


@dataclass(frozen=True, slots=True, repr=False)
class CanonicalReport:
    """One report as it is kept: no text, name, phone, device or day.

    Attributes:
        report_id: keyed pseudonym of the platform's id.
        source: name that the source's settings give it.
        reporter: keyed pseudonym, the same in all sources for one phone; "" where nobody is named.
        lat: degrees north, WGS 84.
        lon: degrees east, WGS 84.
        accuracy_m: radius of the place in metres, None where not stated.
        month: as 2026-02.
        industry: HTCDS v2 code.
        signs: HTCDS v2 codes of methods of control, sorted.
        consent: "column" (given in the row) or "basis" (declared for the source).
        channel: how it came: one of `source.CHANNELS`.
    """

    report_id: str
    source: str
    reporter: str
    lat: float
    lon: float
    accuracy_m: float | None
    month: str
    industry: str
    signs: tuple[str, ...]
    consent: str
    channel: str


class Reason(StrEnum):
    """Why a row is refused; the text is for the operator's screen and the encrypted store."""

    NO_CONSENT = "consent is not given"
    BEFORE_BASIS = "older than the source's declared basis of consent"
    TOO_LONG = "a field is longer than any id, date or number"
    NO_PLACE = "no place is given"
    BAD_PLACE = "the coordinates are no degrees"
    NULL_ISLAND = "the place is 0/0, which stands for none"
    SWAPPED = "latitude and longitude look swapped (nothing was changed): correct the source"
    OUTSIDE = "the place lies outside the region"
    INACCURATE = "the place is less accurate than a cell"
    NO_DATE = "no date is given"
    BAD_DATE = "the date cannot be read; 03/04/2026 needs date_order in the source's settings"
    FUTURE = "the date lies in the future"
    OTHER_PERIOD = "the date lies outside the period"
    NO_INDUSTRY = "the industry is no HTCDS code, label or declared word"
    AGAIN = "this reporter's report of this id is there already"
    PURGED = "the month was purged"
    WITHDRAWN = "the report or its reporter was withdrawn"
