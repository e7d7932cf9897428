"""CITATION.cff of a published folder: how to cite it, in the Citation File Format 1.2.0.

Druskat and others, Citation File Format, version 1.2.0, doi:10.5281/zenodo.5171937. The values are
JSON strings, which YAML reads as double-quoted ones: no name can end its line or begin another key.
"""

import json
import re

from maps.facts import Publication

CFF_VERSION = "1.2.0"
REQUIRED = ("cff-version", "message", "title", "type", "version", "authors")
UNKNOWN_PUBLISHER = "the operator of this survey"
FIRST_PLANE = 0x10000
LINE = re.compile(r'(?P<key>[a-z-]+): (?P<value>".*")')
AUTHOR = re.compile(r'  - name: (?P<value>".*")')


def citation(facts: Publication) -> str:
    """Return the file's text; the version is the period, since dates come from it alone."""
    values = {
        "cff-version": CFF_VERSION,
        "message": f"If you use these figures, cite them, and say: {facts.disclaimer}.",
        "title": f"{facts.site_title} survey: {facts.region_name}, {facts.period}",
        "type": "dataset",
        "version": facts.period,
        "abstract": f"{facts.tier} edition, made with {facts.software}. {facts.disclaimer}.",
    }
    lines = [f"{key}: {_quoted(value)}" for key, value in values.items()]
    author = _quoted(facts.publisher or UNKNOWN_PUBLISHER)
    return "\n".join([*lines, "authors:", f"  - name: {author}"]) + "\n"


def read_citation(text: str) -> dict[str, str]:
    """Return the keys of a file as `citation` writes it, the author's name under `authors`.

    Raises:
        ValueError: a line is something else, or a key that the format requires is missing.
    """
    found: dict[str, str] = {}
    for line in text.split("\n")[:-1]:
        if author := AUTHOR.fullmatch(line):
            found["authors"] = json.loads(author["value"])
        elif other := LINE.fullmatch(line):
            found[other["key"]] = json.loads(other["value"])
        elif line != "authors:":
            raise ValueError(f"a line that is no citation: {line[:40]!r}")
    if missing := [key for key in REQUIRED if not found.get(key)]:
        raise ValueError(f"no {missing[0]}")
    return found


def _quoted(text: str) -> str:
    """One line of YAML: characters that it does not print, or reads as a line's end, are escaped.

    Beyond the first plane JSON would escape in pairs, which YAML does not know; there nothing ends
    a line.
    """
    return "".join(
        f"\\u{ord(c):04x}" if not c.isprintable() and ord(c) < FIRST_PLANE else c
        for c in json.dumps(text, ensure_ascii=False)
    )
