"""The journal of a survey: which tasks there are, and what those that are done gave, in SQLite."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from pipeline.engine.results import Counts, PackedResult
from tiles.blocks import Block
from tiles.errors import RunFolderError, SurveyError
from tiles.ground import CellSpan

JOURNAL = "journal.sqlite"
JOURNAL_FILES = (JOURNAL, f"{JOURNAL}-wal", f"{JOURNAL}-shm")
VERSION = 1  # of the tables below; another one is refused
PAGE = 500  # tasks or results fetched at once: the client holds no more
TABLES = """
CREATE TABLE tasks (
  seq INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, scene INTEGER NOT NULL,
  row INTEGER NOT NULL, col INTEGER NOT NULL, rows INTEGER NOT NULL, cols INTEGER NOT NULL,
  halo INTEGER NOT NULL);
CREATE TABLE results (
  key TEXT PRIMARY KEY, detections BLOB NOT NULL, ground BLOB NOT NULL, counts TEXT NOT NULL,
  first_row INTEGER NOT NULL, last_row INTEGER NOT NULL,
  first_col INTEGER NOT NULL, last_col INTEGER NOT NULL);
CREATE TABLE failures (key TEXT PRIMARY KEY, attempts INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE TABLE files (
  path TEXT PRIMARY KEY, bytes INTEGER NOT NULL, changed_ns INTEGER NOT NULL, sha256 TEXT NOT NULL);
"""


@dataclass(frozen=True)
class PlannedTask:
    """One block of one scene of the catalogue, by its number there, under its key.

    The key is a digest of all that the result depends on: the scene's content and name, the
    window, the weights and the settings. So a result is used again exactly where it holds.
    """

    key: str
    scene: int
    block: Block


@dataclass(frozen=True)
class Tally:
    """How many of the planned tasks there are, are done, and have failed for good."""

    planned: int
    done: int
    failed: int

    @property
    def left(self) -> int:
        """Tasks that are still to do."""
        return self.planned - self.done - self.failed


@dataclass(frozen=True)
class Failure:
    """A task that was given up, after how many attempts, and why."""

    task: PlannedTask
    attempts: int
    reason: str


class Journal:
    """The journal of one run folder; one process has it open at a time.

    Every result lands in one transaction, in WAL mode: a kill at any moment leaves all results
    that were written before, whole.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self._db = path, connection

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator[Self]:
        """Open the journal of a run folder, or begin one.

        Raises:
            RunFolderError: the file is no journal, or of another version.
            SurveyError: the disk is full or cannot be written.
        """
        path = folder / JOURNAL
        with _said(path):
            connection = sqlite3.connect(path, isolation_level=None)
        journal = cls(path, connection)
        try:
            with _said(path):
                journal._begin()
            yield journal
        finally:
            connection.close()

    def _begin(self) -> None:
        # EXCLUSIVE: no shared memory, so that WAL works on network drives; one run has the folder
        self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode=WAL")
        # NORMAL: a loss of power may cost the last results, which are then computed again
        self._db.execute("PRAGMA synchronous=NORMAL")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version not in (0, VERSION):
            raise RunFolderError(
                f"{self.path} was written by another version of Kilnlight: use an empty --out."
            )
        if version == 0:
            with self._transaction():
                for statement in TABLES.split(";\n"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={VERSION}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _said(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._db.in_transaction:  # a full disk may have rolled back by itself
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def plan(self, tasks: Iterable[PlannedTask], *, same_cut: bool = False) -> None:
        """Note which tasks make up the survey; results of earlier ones stay.

        Args:
            tasks: all of them, in their order.
            same_cut: the survey goes on, so that each result must be one of theirs.

        Raises:
            RunFolderError: it is not, as blocks are of another size now; the plan stays as it was.
        """
        rows = ((t.key, t.scene, *_window(t.block)) for t in tasks)
        with self._transaction():
            done = self.tally().done
            self._db.execute("DELETE FROM tasks")
            self._db.executemany(
                "INSERT INTO tasks (key, scene, row, col, rows, cols, halo) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            if same_cut and (lost := done - self.tally().done) > 0:
                raise RunFolderError(
                    f"{self.path} holds {lost} results of blocks of another size: put block_px in "
                    "[engine] back as it was, or give --refresh to compute them anew."
                )

    def forget_failures(self) -> None:
        """Try again what had failed."""
        with self._transaction():
            self._db.execute("DELETE FROM failures")

    def pending(self) -> Iterator[PlannedTask]:
        """Tasks without a result that have not failed, in their order; fetched a page at a time."""
        after = 0
        while rows := self._fetch(
            "SELECT * FROM tasks WHERE seq > ? AND key NOT IN (SELECT key FROM results) "
            f"AND key NOT IN (SELECT key FROM failures) ORDER BY seq LIMIT {PAGE}",
            after,
        ):
            after = int(rows[-1][0])
            yield from (_task(row) for row in rows)

    def add(self, key: str, result: PackedResult) -> None:
        """Keep the result of a task.

        Raises:
            SurveyError: the disk is full; everything kept before is intact.
        """
        span = result.cells
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(key, result.detections, result.ground, json.dumps(asdict(result.counts))),
                    *(span.first_row, span.last_row, span.first_col, span.last_col),
                ),
            )

    def fail(self, key: str, attempts: int, reason: str) -> None:
        """Give a task up for this survey."""
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO failures VALUES (?, ?, ?)", (key, attempts, reason)
            )

    def tally(self) -> Tally:
        """Count tasks."""
        counts = self._fetch(
            "SELECT count(*), count(results.key), count(failures.key) FROM tasks "
            "LEFT JOIN results USING (key) LEFT JOIN failures USING (key)"
        )
        return Tally(*counts[0])

    def done_keys(self) -> set[str]:
        """Keys of all tasks that were ever done."""
        return {str(row[0]) for row in self._fetch("SELECT key FROM results")}

    def failed_keys(self) -> set[str]:
        """Keys of all tasks that were given up."""
        return {str(row[0]) for row in self._fetch("SELECT key FROM failures")}

    def holds_results(self) -> bool:
        """Whether any task was ever done."""
        return bool(self._fetch("SELECT 1 FROM results LIMIT 1"))

    def counts(self) -> Counts:
        """The sums over all tasks that are done."""
        sums = ", ".join(f"total(json_extract(counts, '$.{name}'))" for name in asdict(Counts()))
        values = self._fetch(f"SELECT {sums} FROM tasks JOIN results USING (key)")[0]
        kinds = [type(value) for value in asdict(Counts()).values()]
        return Counts(*(kind(value) for kind, value in zip(kinds, values, strict=True)))

    def detections(self) -> list[bytes]:
        """What tasks found, as they packed it; tasks that found nothing are left out."""
        rows = self._fetch(
            "SELECT detections FROM tasks JOIN results USING (key) "
            "WHERE length(detections) > 0 ORDER BY seq"
        )
        return [row[0] for row in rows]

    def grounds(self, span: CellSpan) -> Iterator[bytes]:
        """What tasks saw in a rectangle of cells, as they packed it; a page at a time."""
        after = 0
        while rows := self._fetch(
            "SELECT seq, ground FROM tasks JOIN results USING (key) WHERE seq > ? "
            "AND last_row >= ? AND first_row <= ? AND last_col >= ? AND first_col <= ? "
            f"ORDER BY seq LIMIT {PAGE}",
            *(after, span.first_row, span.last_row, span.first_col, span.last_col),
        ):
            after = int(rows[-1][0])
            yield from (row[1] for row in rows)

    def failures(self) -> list[Failure]:
        """Tasks of this survey that were given up, in their order."""
        rows = self._fetch("SELECT * FROM tasks JOIN failures USING (key) ORDER BY seq")
        return [Failure(_task(row), int(row[-2]), str(row[-1])) for row in rows]

    def prune(self) -> None:
        """Drop the results of tasks that the survey no longer has."""
        with self._transaction():
            for table in ("results", "failures"):
                self._db.execute(f"DELETE FROM {table} WHERE key NOT IN (SELECT key FROM tasks)")

    def known_sha256(self, file: Path) -> str | None:
        """The digest of a file that was read before and has the same size and time since."""
        stat = file.stat()
        rows = self._fetch(
            "SELECT sha256 FROM files WHERE path = ? AND bytes = ? AND changed_ns = ?",
            *(str(file), stat.st_size, stat.st_mtime_ns),
        )
        return str(rows[0][0]) if rows else None

    def note_sha256(self, file: Path, sha256: str) -> None:
        """Remember the digest of a file as it is now."""
        stat = file.stat()
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)",
                (str(file), stat.st_size, stat.st_mtime_ns, sha256),
            )

    def _fetch(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with _said(self.path):
            return self._db.execute(query, values).fetchall()


def _window(block: Block) -> tuple[int, ...]:
    return block.row, block.col, block.rows, block.cols, block.halo


def _task(row: tuple[Any, ...]) -> PlannedTask:
    return PlannedTask(row[1], row[2], Block(*row[3:8]))


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """Turn what SQLite says into a sentence."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest says which system call
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise RunFolderError(
                f"{path} is damaged ({error}): delete it and run again, or use an empty --out."
            ) from error
        reason = "the disk is full" if code == sqlite3.SQLITE_FULL else str(error)
        raise SurveyError(
            f"{path} cannot be written ({reason}): make room, and run the same command again; "
            "what it holds is kept."
        ) from error
