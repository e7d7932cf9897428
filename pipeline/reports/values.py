"""Reads the values of a report: digits of any script, degrees, dates, ids. Never quotes one.

Each function answers None for what it cannot read and raises nothing, because an exception carries
the text that caused it to screens and logs.
"""

import math
import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Literal

from tiles.region import MONTH

DateOrder = Literal["dmy", "mdy"]

# What platforms write when nobody is named, as letters and digits alone ("n.a." is na). Read as one
# reporter, several people would share one draw, and one of them leaving could move another's count:
# sensitivity 2, not 1.
NOBODY = frozenset(
    {"anon", "guest", "na", "nan", "nil", "nobody", "noname", "none", "null", "test", "undefined"}
    | {f"not{word}" for word in ("applicable", "available", "given", "provided")}
)
NOBODY_STARTS = ("anonymous", "unknown")  # whatever follows: "anonymous user", "unknown-2"
# Format marks and controls, invisible and pasted along with a number: bidi marks, joiners, U+00AD.
UNSEEN = frozenset({"Cf", "Cc"})
DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
ISO_DAY = re.compile(r"(\d{4})[-/](\d{1,2})(?:[-/](\d{1,2})(?:[T ].*)?)?", re.ASCII)
LOCAL_DAY = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4}|\d{2})(?:[T ,].*)?", re.ASCII)
CENTURY = 2000  # years of two digits; no platform read here is older
SIGNS_AND_POINTS = {"\u066b": ".", "\u2212": "-"}  # the Arabic decimal point, the typographic minus


@dataclass(frozen=True, slots=True, repr=False)
class Degrees:
    """A place, in degrees of WGS 84, not yet checked against the globe."""

    lat: float
    lon: float


@dataclass(frozen=True, slots=True, repr=False)
class Moment:
    """A month such as 2026-02, and the day where the text gave one; the day is never kept."""

    month: str
    day: date | None


def fold(text: str) -> str:
    """Bring spellings of one id together: unseen characters, compatibility forms, case, blanks.

    Controls that are blanks (tab, line end) count as blanks. The rest is Unicode's NFKC and case
    folding, and NFKC again, since case folding can leave its form.
    """
    if text.isascii() and text.isprintable():  # the common case, at a twentieth of the time
        return " ".join(text.lower().split())
    seen = "".join(c for c in text if c.isspace() or unicodedata.category(c) not in UNSEEN)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())
    return " ".join(folded.split())


def names_somebody(reporter: str) -> bool:
    """Whether a folded id is more than a placeholder: it has a letter or a digit other than 0."""
    plain = reporter if reporter.isalnum() else "".join(filter(str.isalnum, reporter))
    return bool(plain.strip("0")) and plain not in NOBODY and not plain.startswith(NOBODY_STARTS)


def western(text: str) -> str:
    """Write decimal digits of every script (Devanagari, Bengali, Arabic-Indic ...) as 0 to 9.

    Invisible marks are dropped, the Arabic decimal point becomes a point.
    """
    if text.isascii():
        return text.strip()
    return "".join(_western(c) for c in text).strip()


def _western(character: str) -> str:
    value = unicodedata.decimal(character, None)
    if value is not None:
        return str(value)
    if unicodedata.category(character) in UNSEEN:
        return ""
    return SIGNS_AND_POINTS.get(character, character)


def number(text: str) -> float | None:
    """Read a finite decimal number with a point, in digits of any script."""
    plain = western(text)
    if not DECIMAL.fullmatch(plain):
        return None
    value = float(plain)
    return value if math.isfinite(value) else None


@lru_cache(maxsize=1024)  # files list the same days over and over
def moment(text: str, order: DateOrder | None) -> Moment | None:
    """Read 2026-02, 2026-02-11 with or without a time, 2026/02/11, or 11/02/2026 by `order`.

    The date is taken as it is written, in the sender's own time zone. A date that could be read in
    two ways is not read unless `order` says how.
    """
    plain = western(text)
    iso = ISO_DAY.fullmatch(plain)
    if iso:
        year, month, day = iso.groups()
        return _moment(year, month, day)
    local = LOCAL_DAY.fullmatch(plain)
    if local is None:
        return None
    first, second, year = local.groups()
    if order is None:
        return None
    day, month = (first, second) if order == "dmy" else (second, first)
    return _moment(year if len(year) == 4 else str(CENTURY + int(year)), month, day)


def _moment(year: str, month: str, day: str | None) -> Moment | None:
    name = f"{year}-{int(month):02d}"
    if not MONTH.fullmatch(name):
        return None
    if day is None:
        return Moment(name, None)
    try:
        return Moment(name, date(int(year), int(month), int(day)))
    except ValueError:
        return None
