"""CSV that a spreadsheet opens right: UTF-8 with its mark, and no cell that runs as a formula."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from tiles.files import atomic_path

# Spreadsheets run cells that begin so (OWASP, "CSV injection"), full-width signs and what nobody
# sees before them included; an apostrophe makes them text.
FORMULA_SIGNS = frozenset("=+-@")  # after Unicode's NFKC, which makes ＝ an =
LINE_STARTS = ("\t", "\r", "\n")
UNSEEN = frozenset({"Cc", "Cf"})  # controls and format marks: no-break marks, U+FEFF
# Numbers, and "lat, lon" pairs for pasting into a map search, begin with a minus harmlessly.
NUMBERS = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?(, -?\d+(\.\d+)?)?")
# Excel reads a CSV as UTF-8 only with the mark, without it Bengali and Hindi names are broken;
# LibreOffice and pandas (encoding="utf-8-sig") read both.
ENCODING = "utf-8-sig"


def safe_cell(value: object) -> str:
    """Return a cell's text; what a spreadsheet would run gets a leading apostrophe."""
    text = "" if value is None else str(value)
    if isinstance(value, int | float) or text[:1].isalnum():
        return text  # no letter or digit becomes a sign, in any script
    if _runs(text) and not NUMBERS.fullmatch(text):
        return f"'{text}"
    return text


def _runs(text: str) -> bool:
    seen = (c for c in text if not c.isspace() and unicodedata.category(c) not in UNSEEN)
    first = unicodedata.normalize("NFKC", next(seen, ""))
    return text.startswith(LINE_STARTS) or first in FORMULA_SIGNS


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table with Unix line ends; lines inside a cell stay inside their quotes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([safe_cell(name) for name in header])
    writer.writerows([safe_cell(value) for value in row] for row in rows)
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.getvalue().encode(ENCODING))
