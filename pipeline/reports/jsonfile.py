"""Reads the records of a JSON list one by one, however long the list is."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.reports.textfile import LARGEST_FIELD, MARK, TextFile, undecodable
from tiles.errors import ReportError

CHUNK = 1 << 16  # characters read at a time
DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True, repr=False)
class Record:
    """One record, its place in the list (from one) and the name of the list ("" for a bare one)."""

    number: int
    container: str
    values: dict[str, object]


def is_json(file: TextFile) -> bool:
    """Say whether a file begins as a JSON list or object."""
    with file.text() as text:
        return text.read(CHUNK).lstrip()[:1] in ("[", "{")


def json_records(file: TextFile, containers: frozenset[str]) -> Iterator[Record]:
    """Yield the records of a JSON list, or of the list under one of these names of an object.

    Raises:
        ReportError: the file is no such JSON; the message names the record and no value.
    """
    with file.text() as text:
        yield from _Records(text, file, containers).all()


class _Records:
    """A cursor in the text; at most one record, of at most LARGEST_FIELD letters, is in memory."""

    def __init__(self, text: io.TextIOWrapper, file: TextFile, containers: frozenset[str]) -> None:
        self._text = text
        self._file = file
        self._containers = containers
        self._buffer = ""
        self._at = 0
        self._lines = 1
        self._ended = False
        self._number = 0

    def all(self) -> Iterator[Record]:
        if self._peek() == "[":
            yield from self._list("")
        elif self._peek() == "{":
            yield from self._object()
        else:
            raise self._error("this is no JSON list of records")
        if self._peek():
            raise self._error("there is more text after the end of the JSON")

    def _object(self) -> Iterator[Record]:
        self._take("{")
        while self._peek() != "}":
            name = self._value()
            self._take(":")
            if isinstance(name, str) and name in self._containers and self._peek() == "[":
                yield from self._list(name)
            else:
                self._value()
            self._next("}")
        self._take("}")

    def _list(self, container: str) -> Iterator[Record]:
        self._take("[")
        while self._peek() != "]":
            record = self._value()
            if not isinstance(record, dict):
                raise self._error("this is no record")
            self._number += 1
            yield Record(self._number, container, record)
            self._next("]")
        self._take("]")

    def _peek(self) -> str:
        while True:
            while self._at < len(self._buffer) and self._buffer[self._at] in " \t\r\n":
                self._at += 1
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if self._ended:
                return ""
            self._fill(CHUNK)

    def _next(self, end: str) -> None:
        if self._peek() != end:
            self._take(",")

    def _take(self, character: str) -> None:
        if self._peek() != character:
            raise self._error("this is no JSON")
        self._at += 1

    def _value(self) -> object:
        self._peek()
        wanted = CHUNK
        while True:
            found = _decode(self._buffer, self._at)
            # A number that touches the end of the buffer may go on after it.
            if found is not None and (found.end < len(self._buffer) or self._ended):
                self._at = found.end
                return found.value
            if self._ended or len(self._buffer) - self._at > LARGEST_FIELD:
                raise self._error(f"this is no JSON, or has over {LARGEST_FIELD:,} letters")
            self._fill(wanted)
            wanted *= 2  # so that a long record is tried a few times only

    def _fill(self, size: int) -> None:
        more = self._text.read(size)
        if MARK in more:
            raise undecodable(self._file, self._lines + more.count("\n", 0, more.index(MARK)))
        self._lines += more.count("\n")
        self._ended = not more
        self._buffer = self._buffer[self._at :] + more
        self._at = 0

    def _error(self, what: str) -> ReportError:
        return self._file.error(f"{what}: export the file again.", self._number + 1, "record")


@dataclass(frozen=True, slots=True, repr=False)
class _Decoded:
    value: object
    end: int


def _decode(text: str, at: int) -> _Decoded | None:
    try:
        return _Decoded(*DECODER.raw_decode(text, at))
    except (ValueError, RecursionError):  # the first one holds the whole text
        return None
