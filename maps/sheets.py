"""CSV that a spreadsheet opens right: UTF-8 with its mark, and no cell that runs as a formula."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from tiles.files import atomic_path

# Spreadsheets run cells that begin so (OWASP, "CSV injection"), in Japanese settings the full-width
# signs too, and trim what nobody sees before them; an apostrophe makes them text.
FORMULA_START = re.compile(r"[\t\r\n]|[\s\x00-\x1f\u00ad\u200b-\u200f\u2060\ufeff]*[=+\-@＝＋－＠]")
# Numbers, and "lat, lon" pairs for pasting into a map search, begin with a minus harmlessly.
NUMBERS = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?(, -?\d+(\.\d+)?)?")
# Excel reads a CSV as UTF-8 only with the mark, without it Bengali and Hindi names are broken;
# LibreOffice and pandas (encoding="utf-8-sig") read both.
ENCODING = "utf-8-sig"


def safe_cell(value: object) -> str:
    """Return a cell's text; what a spreadsheet would run gets a leading apostrophe."""
    text = "" if value is None else str(value)
    if FORMULA_START.match(text) and not NUMBERS.fullmatch(text):
        return f"'{text}"
    return text


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table with Unix line ends; lines inside a cell stay inside their quotes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([safe_cell(name) for name in header])
    writer.writerows([safe_cell(value) for value in row] for row in rows)
    with atomic_path(path) as temporary:
        temporary.write_bytes(text.getvalue().encode(ENCODING))
