"""What lands in the journal stays there, whole, whatever happens next."""

import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from pipeline.engine.journal import JOURNAL, PAGE, Journal, PlannedTask
from pipeline.engine.results import Counts, PackedResult
from tiles.blocks import Block
from tiles.errors import RunFolderError, SurveyError
from tiles.ground import NO_CELLS, CellSpan

SPAN = CellSpan(10, 12, 20, 21)


def task(number, scene=0):
    return PlannedTask(f"key{number}", scene, Block(number, 0, 32, 32, 8))


def result(detections=b"", ground=b"g", span=SPAN, **counts):
    return PackedResult(detections, ground, span, Counts(**counts))


@pytest.fixture
def journal(tmp_path):
    with Journal.open(tmp_path) as opened:
        yield opened


def test_what_is_done_is_not_pending_again(journal):
    journal.plan(task(n) for n in range(5))
    journal.add("key1", result(b"one", found=1, area_km2=0.5, read_s=0.25))
    journal.add("key3", result(b"three", found=2, area_km2=0.5, network_s=1.5))
    journal.fail("key4", 3, "the file is cut off")
    assert [one.key for one in journal.pending()] == ["key0", "key2"]
    tally = journal.tally()
    assert (tally.planned, tally.done, tally.failed, tally.left) == (5, 2, 1, 2)
    assert journal.counts() == Counts(found=3, area_km2=1.0, read_s=0.25, network_s=1.5)
    assert journal.detections() == [b"one", b"three"]
    (failure,) = journal.failures()
    assert (failure.task, failure.attempts, failure.reason) == (task(4), 3, "the file is cut off")
    journal.forget_failures()
    assert [one.key for one in journal.pending()] == ["key0", "key2", "key4"]


def test_pending_goes_on_while_results_land_and_holds_one_page(journal):
    journal.plan(task(n) for n in range(2 * PAGE + 7))
    seen = []
    for one in journal.pending():
        seen.append(one)
        journal.add(one.key, result())
    assert seen == [task(n) for n in range(2 * PAGE + 7)]
    assert journal.tally().left == 0
    assert list(journal.pending()) == []


def test_results_that_another_plan_left_count_only_where_it_has_them(journal):
    journal.plan([task(0), task(1)])
    journal.add("key0", result(b"old", found=1))
    journal.add("key1", result(b"kept", found=1))
    journal.plan([task(1), task(2)])
    assert journal.detections() == [b"kept"]
    assert [one.key for one in journal.pending()] == ["key2"]
    assert journal.done_keys() == {"key0", "key1"}
    journal.prune()
    assert journal.done_keys() == {"key1"}


def test_ground_is_found_by_the_cells_it_lies_in(journal):
    journal.plan(task(n) for n in range(3))
    journal.add("key0", result(ground=b"a", span=CellSpan(0, 1, 0, 1)))
    journal.add("key1", result(ground=b"b", span=CellSpan(1, 2, 1, 2)))
    journal.add("key2", result(ground=b"c", span=NO_CELLS))
    assert list(journal.grounds(CellSpan(0, 0, 0, 0))) == [b"a"]
    assert list(journal.grounds(CellSpan(1, 5, 1, 1))) == [b"a", b"b"]
    assert list(journal.grounds(CellSpan(3, 9, 0, 9))) == []


def test_digests_are_known_until_the_file_changes(journal, tmp_path):
    file = tmp_path / "scene.tif"
    file.write_bytes(b"1234")
    assert journal.known_sha256(file) is None
    journal.note_sha256(file, "abcd")
    assert journal.known_sha256(file) == "abcd"
    os.utime(file, ns=(1, 1))
    assert journal.known_sha256(file) is None


def test_a_kill_leaves_all_that_was_written(tmp_path):
    program = (
        "import os, signal; from pathlib import Path\n"
        "from tests.pipeline.engine.test_journal import *\n"
        f"with Journal.open(Path({str(tmp_path)!r})) as journal:\n"
        "    journal.plan(task(n) for n in range(50))\n"
        "    for n in range(50):\n"
        "        journal.add(f'key{n}', result(b'x' * 100_000, found=n))\n"
        "        if n == 30: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    with Journal.open(tmp_path) as journal:
        assert journal.tally().done == 31
        assert all(blob == b"x" * 100_000 for blob in journal.detections())
        assert next(journal.pending()).key == "key31"


def test_a_full_disk_is_one_sentence_and_what_was_kept_is_kept(tmp_path):
    with Journal.open(tmp_path) as journal:
        journal.plan(task(n) for n in range(3))
        journal.add("key0", result(b"first"))
        pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
        journal._db.execute(f"PRAGMA max_page_count={pages + 2}")  # SQLite's own full disk
        with pytest.raises(SurveyError, match=r"the disk is full.*run the same command again"):
            journal.add("key1", result(os.urandom(1_000_000)))
        assert journal.tally().done == 1
        journal.add("key2", result(b"small"))
    with Journal.open(tmp_path) as journal:
        assert journal.detections() == [b"first", b"small"]


def test_what_is_no_journal_is_refused(tmp_path):
    (tmp_path / JOURNAL).write_bytes(b"not a database" * 100)
    with pytest.raises(RunFolderError, match="is damaged"), Journal.open(tmp_path):
        pass
    (tmp_path / JOURNAL).unlink()
    connection = sqlite3.connect(tmp_path / JOURNAL)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(RunFolderError, match="another version of Kilnlight"):
        Journal.open(tmp_path).__enter__()
