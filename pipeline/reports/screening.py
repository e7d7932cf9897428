"""Judges reports one by one, or among the same reporter's: nobody's row depends on another's.

That is what keeps the count private: taking away all that one person sent takes away that person's
records and changes no other. Rows that resemble other people's (bursts, copies) are shown by
`review` and never dropped, since dropping them would let one person delete another's report.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from pipeline.reports.formats.base import Format
from pipeline.reports.htcds import INDUSTRIES, SIGNS, CodeBook
from pipeline.reports.pseudonym import Pseudonyms
from pipeline.reports.record import RawReport, Reason
from pipeline.reports.source import SourceSettings
from pipeline.reports.values import Degrees, Moment, fold, moment, number
from tiles.cells import CELL_SIZE_M
from tiles.region import Period

CONSENT = frozenset({"yes", "true", "1"})  # anything else, an empty field too, is a refusal
LONGEST = 256  # letters of an id, date or number; e-mail addresses have 254 at most (RFC 5321)
LONGEST_CHOICES = 4096  # letters of a list of choices
DEGREES_DIGITS = 5  # one metre, finer than any phone knows where it is
COLUMN, BASIS = "column", "basis"


@dataclass(slots=True, repr=False)  # not frozen, as raw reports
class Draft:
    """A row as far as it could be read, and the first reason to refuse it; in memory only."""

    number: int
    platform_id: str
    consent: str
    reporter: str
    place: Degrees | None
    accuracy_m: float | None
    month: str
    industry: str | None
    signs: tuple[str, ...]
    problem: Reason | None

    def refused(self, reason: Reason) -> "Draft":
        """Return the draft with a reason to refuse it."""
        return replace(self, problem=reason)


class Reader:
    """Reads the rows of one source: values, consent, pseudonym.

    Args:
        form: the format, which knows orders of dates.
        source: the settings.
        pseudonyms: of the period's key.
        period: months that are taken; all when None.
        today: later dates are refused; none when None.
    """

    def __init__(
        self,
        form: Format,
        source: SourceSettings,
        pseudonyms: Pseudonyms,
        period: Period | None = None,
        today: date | None = None,
    ) -> None:
        self._source = source
        self._order = source.date_order or form.date_order
        self._pseudonyms = pseudonyms
        self._period = period
        # One day of grace: it is tomorrow already in the sender's time zone.
        self._last_day = None if today is None else today + timedelta(days=1)
        self._yes = CONSENT | {fold(word) for word in source.consent.yes}
        self._industries = CodeBook(INDUSTRIES, source.values.industry)
        self._signs = CodeBook(SIGNS, source.values.signs)

    def draft(self, raw: RawReport) -> Draft:
        """Read one row.

        Raises:
            NoCountryError: a phone number that says no country, nor does the source.
        """
        if _too_long(raw):
            return Draft(raw.number, "", "", "", None, None, "", None, (), Reason.TOO_LONG)
        when = moment(raw.when, self._order) if raw.when else None
        accuracy_m = number(raw.accuracy)
        draft = Draft(
            number=raw.number,
            platform_id=raw.platform_id,
            consent=self._consent(raw),
            reporter=self._pseudonyms.reporter(raw),
            place=_place(raw),
            accuracy_m=accuracy_m if accuracy_m is not None and accuracy_m >= 0 else None,
            month=when.month if when else (self._source.month or "") * (not raw.when),
            industry=self._industry(raw.industry) or self._source.industry,
            signs=self._signs.codes(raw.signs) if raw.signs else (),
            problem=None,
        )
        problem = (
            self._consent_problem(draft)
            or _place_problem(raw, draft)
            or self._date_problem(raw, draft, when)
            or (Reason.NO_INDUSTRY if draft.industry is None else None)
        )
        return draft if problem is None else draft.refused(problem)

    def _industry(self, text: str) -> str | None:
        if not text:
            return None
        code = self._industries.code(text)
        if code is not None:
            return code
        several = self._industries.codes(text)  # a platform's categories or labels
        return several[0] if len(several) == 1 else None

    def _consent(self, raw: RawReport) -> str:
        if raw.consent is not None:  # a row's own answer goes before any basis
            return COLUMN if fold(raw.consent) in self._yes else ""
        return BASIS if self._source.consent.basis is not None else ""

    def _consent_problem(self, draft: Draft) -> Reason | None:
        if not draft.consent:
            return Reason.NO_CONSENT
        dated = self._source.consent.dated
        if draft.consent == BASIS and dated is not None and draft.month:
            return Reason.BEFORE_BASIS if draft.month < f"{dated:%Y-%m}" else None
        return None

    def _date_problem(self, raw: RawReport, draft: Draft, when: Moment | None) -> Reason | None:
        if not draft.month:
            return Reason.BAD_DATE if raw.when else Reason.NO_DATE
        if self._last_day is not None and (
            draft.month > f"{self._last_day:%Y-%m}"
            or (when is not None and when.day is not None and when.day > self._last_day)
        ):
            return Reason.FUTURE
        if self._period is not None and not self._period.holds(draft.month):
            return Reason.OTHER_PERIOD
        return None


@dataclass(frozen=True)
class Ground:
    """The region that reports may come from; everywhere where there is none."""

    polygon: BaseGeometry | None

    def judge(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Refuse places outside; say where swapping latitude and longitude would bring them in."""
        if self.polygon is None:
            return list(drafts)
        lat = np.array([draft.place.lat if draft.place else np.nan for draft in drafts])
        lon = np.array([draft.place.lon if draft.place else np.nan for draft in drafts])
        inside, swapped = self._holds(lon, lat), self._holds(lat, lon)
        return [
            draft
            if draft.problem is not None or within
            else draft.refused(Reason.SWAPPED if turned else Reason.OUTSIDE)
            for draft, within, turned in zip(drafts, inside, swapped, strict=True)
        ]

    def _holds(
        self, lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.bool_]:
        shapely.prepare(self.polygon)
        return np.asarray(shapely.intersects_xy(self.polygon, lon, lat), dtype=bool)


def _too_long(raw: RawReport) -> bool:
    fields = (raw.platform_id, raw.contact, raw.person, raw.lat, raw.lon, raw.accuracy, raw.when)
    choices = (raw.industry, raw.signs)
    return max(map(len, fields)) > LONGEST or max(map(len, choices)) > LONGEST_CHOICES


def _place(raw: RawReport) -> Degrees | None:
    lat, lon = number(raw.lat), number(raw.lon)
    if lat is None or lon is None or abs(lat) > 90 or abs(lon) > 180:
        return None
    return Degrees(round(lat, DEGREES_DIGITS), round(lon, DEGREES_DIGITS))


def _place_problem(raw: RawReport, draft: Draft) -> Reason | None:
    place = draft.place
    if place is None:
        if not (raw.lat or raw.lon):
            return Reason.NO_PLACE
        lat, lon = number(raw.lat), number(raw.lon)
        turned = lat is not None and lon is not None and abs(lon) <= 90 < abs(lat) <= 180
        return Reason.SWAPPED if turned else Reason.BAD_PLACE
    if place.lat == 0 and place.lon == 0:
        return Reason.NULL_ISLAND
    if draft.accuracy_m is not None and draft.accuracy_m > CELL_SIZE_M:
        return Reason.INACCURATE
    return None
