"""Finds positions in text, however people write them, down to about a kilometre."""

import re
from collections.abc import Iterator

# Decimals after a point or, as most of Europe writes them, a comma; \d is any script's digit.
FINE_NUMBER = re.compile(r"(?<!\d)(?!10\.\d{4,9}/[A-Za-z])\d+[.,٫]\d{4,}")  # but a DOI may stand
# Two decimals are a kilometre. Three after a comma are thousands.
DEGREES = r"(?<!\d)(\d{1,3}(?:[.٫]\d{2,}|,(?:\d{2}|\d{4,})(?!\d)))"
BETWEEN = (
    r"(?:[\s,;:/|=&()\[\]°º'\"′″]|[NSEWO](?![a-z])|deg(?:rees?)?|(?:nor|sou)th|(?:ea|we)st|and|by"
    r"|lat(?:itude)?|lon(?:g(?:itude)?)?|lng|[xy](?![a-z]))+"
)
PAIR = re.compile(rf"{DEGREES}{BETWEEN}[-+−]?{DEGREES}", re.IGNORECASE)
SEXAGESIMAL = re.compile(r"\d\s*[°º]\s*\d{1,2}(?:\s*['’′]\s*\d|[.,]\d)")  # seconds are 30 m


def position_in(text: str) -> str | None:
    """Return what in a text could place a site: a number, pair, or degrees with minutes; or None.

    A number alone may stand up to three decimals: it is a line across a country. Pairs need two
    decimals each, 1 km, to be a position. Pairs under 1 are shares ("0.74, 0.88"): as a position
    they lie in the Gulf of Guinea.
    """
    found = FINE_NUMBER.search(text) or SEXAGESIMAL.search(text) or next(_pairs(text), None)
    return found.group() if found else None


def _pairs(text: str) -> Iterator[re.Match[str]]:
    for pair in PAIR.finditer(text):
        if not all(int(re.split(r"\D", number)[0]) == 0 for number in pair.groups()):
            yield pair
