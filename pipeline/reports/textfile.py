"""Reads files of unknown origin as text and as tables, one row at a time.

Whatever a file holds, memory stays bounded, nothing is unpacked, nothing is written beside it, and
no message quotes it. Decoding never raises, since Python's own errors carry the bytes they failed
on: what cannot be decoded becomes a mark, and the line that holds a mark is refused by number.
"""

import codecs
import csv
import io
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tiles.errors import ReportError

if TYPE_CHECKING:
    from _csv import Reader

MARK = "\ufdd0"  # a noncharacter: Unicode promises that no text ever holds it
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!",
            b"\x28\xb5\x2f\xfd", b"\xd0\xcf\x11\xe0")  # fmt: skip
# Reports hold long stories; more than this in one field or record is an attack or another file.
LARGEST_FIELD = 16 * 2**20
DELIMITERS = ",;\t|"


def _mark(error: UnicodeError) -> tuple[str, int]:
    end = error.end if isinstance(error, UnicodeDecodeError) else 0
    return MARK, end


codecs.register_error("kilnlight-mark", _mark)


@dataclass(frozen=True)
class TextFile:
    """A file to read, and the encoding that its source declares for text that is not Unicode."""

    path: Path
    declared: str | None = None

    @property
    def shown(self) -> str:
        """The path as it may stand on a screen: without control characters."""
        return "".join(c if c.isprintable() else "?" for c in str(self.path))

    def error(self, what: str, number: int | None = None, unit: str = "line") -> ReportError:
        """Build the one sentence for this file."""
        where = "" if number is None else f", {unit} {number}"
        return ReportError(f"{self.shown}{where}: {what}")

    @contextmanager
    def text(self) -> Iterator[io.TextIOWrapper]:
        """Open the file as text that never fails to decode.

        Raises:
            ReportError: there is no such file, it cannot be read, or it is an archive.
        """
        if not self.path.is_file():
            raise ReportError(f"report file {self.shown} is not there: check the path.")
        try:
            with self.path.open("rb") as stream:
                head = stream.read(4)
                stream.seek(0)
                if head.startswith(ARCHIVES):
                    raise self.error(
                        "this is an archive or an Excel workbook, which is never unpacked: save "
                        "the table as CSV (UTF-8)."
                    )
                with io.TextIOWrapper(
                    stream, self._encoding(head), errors="kilnlight-mark", newline=""
                ) as text:
                    yield text
        except OSError as error:
            raise ReportError(
                f"report file {self.shown} cannot be read ({error.strerror}): check its "
                "permissions."
            ) from None

    def _encoding(self, head: bytes) -> str:
        for bom, encoding in BOMS:
            if head.startswith(bom):
                return encoding
        return self.declared or "utf-8"


@dataclass(frozen=True, slots=True, repr=False)
class Row:
    """One row of a table and the line it ends on."""

    line: int
    fields: list[str]


def csv_rows(file: TextFile) -> Iterator[Row]:
    """Yield the rows of a table that are not blank, the header first.

    The delimiter is the comma, semicolon, tab or bar that splits the header into most fields.

    Raises:
        ReportError: no such file, bytes of another encoding, a row that is no CSV, or one with
            another number of fields than the header. The message names the line.
    """
    with file.text() as text, _long_fields():
        lines = _sound_lines(text, file)
        lead: list[str] = []
        for line in lines:
            lead.append(line)
            if line.strip():
                between = max(DELIMITERS, key=line.count)
                everything = itertools.chain(lead, lines)  # blank lines too: the reader counts them
                yield from _rows(csv.reader(everything, strict=True, delimiter=between), file)
                return


def _rows(reader: "Reader", file: TextFile) -> Iterator[Row]:
    width = 0
    while (fields := _next_row(reader, file)) is not None:
        if not fields:
            continue
        width = width or len(fields)
        if len(fields) != width:
            raise file.error(
                f"{len(fields)} fields where the header has {width}: put quotes round fields that "
                "hold the delimiter.",
                reader.line_num,
            )
        yield Row(reader.line_num, fields)


def _next_row(reader: "Reader", file: TextFile) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error:
        broken = reader.line_num
    raise file.error(
        "this is no CSV row (an open quote, a stray line end or a field of over "
        f"{LARGEST_FIELD:,} letters): repair the line.",
        broken,
    )


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let long stories pass: they are dropped anyway, and must not stop other people's reports."""
    before = csv.field_size_limit(LARGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _sound_lines(text: io.TextIOWrapper, file: TextFile) -> Iterator[str]:
    longest = 2 * LARGEST_FIELD
    for number in itertools.count(1):
        line = text.readline(longest)
        if not line:
            return
        if MARK in line:
            raise undecodable(file, number)
        if len(line) == longest:
            raise file.error(f"the line has over {longest:,} letters: this is no table.", number)
        yield line


def undecodable(file: TextFile, line: int) -> ReportError:
    """Build the sentence for a line that holds a mark."""
    return file.error(
        "bytes that are not of the file's encoding: save the file as UTF-8, or put "
        'encoding = "cp1252" into the source\'s settings if an old Windows program wrote it.',
        line,
    )
