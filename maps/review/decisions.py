"""The decisions file: one row a decision of one person about one place; nothing is dropped."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from maps.sheets import safe_cell, write_csv
from tiles.errors import TableError

CONFIRMED, REJECTED, UNSURE, WRONG_CLASS = "confirmed", "rejected", "unsure", "wrong_class"
VERDICTS = (CONFIRMED, REJECTED, UNSURE, WRONG_CLASS)  # of a place
COUNTED, NOT_IMAGED = "counted", "not_imaged"  # of a square of ground in an audit sample
DECISIONS = (*VERDICTS, COUNTED, NOT_IMAGED)
REVIEW, ADJUDICATION = "review", "adjudication"
# What people write by hand into a table for the same thing.
SYNONYMS = {
    **{"yes": CONFIRMED, "y": CONFIRMED, "confirm": CONFIRMED, "1": CONFIRMED, "true": CONFIRMED},
    **{"no": REJECTED, "n": REJECTED, "reject": REJECTED, "0": REJECTED, "false": REJECTED},
    **{"u": UNSURE, "?": UNSURE, "maybe": UNSURE, "could_not_tell": UNSURE, "w": WRONG_CLASS},
}
TEXT, NUMBER = "text", "number"


@dataclass(frozen=True)
class DecisionColumn:
    """A column of the file: text or number, its limits, and whether every row needs it."""

    name: str
    kind: str
    doc: str
    needed: bool = False
    low: float = -np.inf
    high: float = np.inf


COLUMNS = (
    DecisionColumn("site_id", TEXT, "the place's name in the run; empty for one that was added"),
    DecisionColumn("lon", NUMBER, "longitude asked about, degrees, WGS 84", True, -180, 180),
    DecisionColumn("lat", NUMBER, "latitude asked about, degrees, WGS 84", True, -90, 90),
    DecisionColumn("decision", TEXT, "one of " + ", ".join(DECISIONS), True),
    DecisionColumn("reviewer", TEXT, "who decided; a name they chose", True),
    DecisionColumn("decided_at", TEXT, "when, ISO 8601, UTC"),
    DecisionColumn("seconds", NUMBER, "time the place was looked at before", low=0),
    DecisionColumn("stage", TEXT, "review, or adjudication of a disagreement"),
    DecisionColumn(
        "queue", TEXT, "why it was asked: useful, ranked, audit, compared, points, disputed, added"
    ),
    DecisionColumn("chip_id", TEXT, "of an audit sample, where the place was drawn for it"),
    DecisionColumn("count", NUMBER, "sites in a square of ground, where that was asked", low=0),
    DecisionColumn("moved_lon", NUMBER, "middle of a corrected box, degrees", low=-180, high=180),
    DecisionColumn("moved_lat", NUMBER, "middle of a corrected box, degrees", low=-90, high=90),
    DecisionColumn("length_m", NUMBER, "long side of a corrected box, metres", low=1, high=5000),
    DecisionColumn("width_m", NUMBER, "short side of a corrected box, metres", low=1, high=5000),
    DecisionColumn(
        "azimuth_deg", NUMBER, "its long side, clockwise from north", low=-360, high=360
    ),
    DecisionColumn(
        "exclude_m", NUMBER, "radius to leave out of every output, metres", low=1, high=2000
    ),
    DecisionColumn("exclude_reason", TEXT, "why it is to be left out"),
    DecisionColumn("note", TEXT, "what the reviewer wrote"),
    DecisionColumn("seen", TEXT, "days of the pictures that were shown"),
    DecisionColumn("survey", TEXT, "the run that the page was made from"),
)
NAMES = [column.name for column in COLUMNS]
BOX = ("moved_lon", "moved_lat", "length_m", "width_m", "azimuth_deg")
# Latin letters as Excel on Windows saves them, where it does not say UTF-8; every byte is a letter.
LAST_RESORT = ("cp1252", "latin-1")
SEPARATORS = ",;\t"
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")


def no_decisions() -> pd.DataFrame:
    """A table without rows."""
    return _frame([])


def read_decisions(path: Path) -> pd.DataFrame:
    """Read decisions that the page exported, or that somebody saved again from a spreadsheet.

    UTF-8 with and without its mark, UTF-16 and Windows' own letters are read; commas, semicolons
    (then decimal commas too) and tabs; columns in any order, unknown ones are left out.

    Returns:
        The columns NAMES, in the order of the file: text "" and numbers NaN where there is none.

    Raises:
        TableError: it is no such table, or a row holds what cannot be a decision.
    """
    try:
        text = decode(path.read_bytes())
    except OSError as error:
        raise TableError(f"{path} cannot be read: check the path.") from error
    return parse_decisions(text, str(path))


def parse_decisions(text: str, where: str) -> pd.DataFrame:
    """Read the text of a decisions file; `where` names it in messages. See `read_decisions`."""
    lines = text.lstrip("\ufeff")
    if lines[:4].lower() == "sep=":  # how Excel notes the separator
        lines = lines.partition("\n")[2]
    first = lines.partition("\n")[0]
    separator = max(SEPARATORS, key=first.count)
    try:
        rows = list(csv.reader(StringIO(lines, newline=""), delimiter=separator))
    except csv.Error as error:
        raise TableError(f"{where} is no CSV ({error}): export the decisions again.") from error
    header = [name.strip().lower().replace(" ", "_") for name in rows[0]] if rows else []
    missing = [column.name for column in COLUMNS if column.needed and column.name not in header]
    if missing:
        raise TableError(
            f"{where} lacks the column {missing[0]}, so it holds no decisions: import what the "
            "review page exported."
        )
    return _frame(
        [
            _read_row(dict(zip(header, cells, strict=False)), f"{where}, line {number}", separator)
            for number, cells in enumerate(rows[1:], start=2)
            if any(cell.strip() for cell in cells)
        ]
    )


def decode(content: bytes) -> str:
    """Read text whatever program saved it."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    if b"\x00" in content[:64]:  # UTF-16 without its mark: every other byte of Latin text is 0
        return content.decode("utf-16-be" if content[0] == 0 else "utf-16-le", errors="replace")
    for encoding in ("utf-8-sig", *LAST_RESORT):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise AssertionError("latin-1 reads every byte")


def write_decisions(decisions: pd.DataFrame, path: Path) -> None:
    """Write decisions for spreadsheets and `read_decisions`; the file is its owner's alone."""
    records = decisions[NAMES].astype(object).where(decisions[NAMES].notna(), None)
    write_csv(path, NAMES, records.itertuples(index=False, name=None))
    path.chmod(0o600)


def merge_decisions(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join decisions of several files; rows that are alike in everything are one.

    Nothing else is dropped: who decided twice has two rows, and the later one counts.
    """
    kept = [table for table in tables if len(table)]
    if not kept:
        return no_decisions()
    return pd.concat(kept, ignore_index=True).drop_duplicates(ignore_index=True)


def latest(decisions: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """The last decision of each group of `by`: by its time, then by its place in the file."""
    when = decisions["decided_at"].map(_instant)
    order = decisions.assign(_when=when).sort_values("_when", kind="stable")
    return order.drop_duplicates(list(by), keep="last").drop(columns="_when").sort_index()


def _instant(text: str) -> float:
    """Seconds since 1970; what is no ISO time comes before all that is."""
    try:
        read = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return -np.inf
    return read.replace(tzinfo=read.tzinfo or UTC).timestamp()


def _frame(rows: Sequence[dict[str, object]]) -> pd.DataFrame:
    kinds = {column.name: "float64" if column.kind == NUMBER else "object" for column in COLUMNS}
    return pd.DataFrame(rows, columns=NAMES).astype(kinds)


def _read_row(cells: dict[str, str], where: str, separator: str) -> dict[str, object]:
    row: dict[str, object] = {}
    for column in COLUMNS:
        text = _plain(cells.get(column.name) or "")
        if column.needed and not text:
            raise TableError(f"{where}: the column {column.name} is empty: fill it in.")
        row[column.name] = (
            _number(text, column, where, separator) if column.kind == NUMBER else text
        )
    row["decision"] = _decision(str(row["decision"]), where)
    row["stage"] = row["stage"] or REVIEW
    if row["decision"] == COUNTED and np.isnan(float(str(row["count"]))):
        raise TableError(f"{where}: counted, and the column count is empty: fill it in.")
    return row


def _plain(text: str) -> str:
    """A cell without what `safe_cell` puts before a formula."""
    text = text.strip()
    return text[1:] if text[:1] == "'" and safe_cell(text[1:]) == text else text


def _decision(text: str, where: str) -> str:
    word = "_".join(text.lower().split())
    word = SYNONYMS.get(word, word)
    if word not in DECISIONS:
        raise TableError(
            f"{where}, column decision: {text!r} is none of {', '.join(DECISIONS)}: correct it."
        )
    return word


def _number(text: str, column: DecisionColumn, where: str, separator: str) -> float:
    if not text:
        return np.nan
    if separator != "," and DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not column.low <= value <= column.high:
        raise TableError(
            f"{where}, column {column.name}: {text!r} is no number that it can hold: correct it."
        )
    return value
