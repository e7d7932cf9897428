import os
import stat
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest

from pipeline.reports import store as store_module
from pipeline.reports.keys import KeyFolder
from pipeline.reports.record import CanonicalReport
from pipeline.reports.store import (
    PADDED_TO,
    exchange_identity,
    from_line,
    is_store,
    lines,
    period_line,
    read_canonical,
    rewrite,
    to_line,
)
from tests.pipeline.reports.desk import PERIOD
from tiles.errors import ReportError
from tiles.region import Period

REPORT = CanonicalReport(
    "ab" * 16, "helpline", "cd" * 32, 28.51234, 77.25678, None, "2026-02", "C_Manufacturing",
    ("DebtBondage ", "Other"), "column", "sms",
)  # fmt: skip


@pytest.fixture
def keys(tmp_path):
    folder = KeyFolder(tmp_path / "keys")
    folder.begin()
    return folder


@pytest.fixture
def path(tmp_path):
    return tmp_path / "safe" / "reports.age"


def add(*new):
    def change(before):
        yield from before
        yield from new

    return change


def test_a_record_comes_back_as_it_went_in(keys, path):
    rewrite(path, keys, add(period_line(PERIOD), to_line(REPORT, PERIOD)))
    assert list(read_canonical(path, keys.path, PERIOD)) == [REPORT]
    assert from_line(to_line(REPORT, PERIOD)) == REPORT


def test_a_record_is_not_shown():
    assert "28.5" not in repr(REPORT)
    assert "cd" * 4 not in repr(REPORT)


def test_the_file_is_age_that_other_programs_open_and_only_the_owner_reads(keys, path):
    rewrite(path, keys, add(period_line(PERIOD), to_line(REPORT, PERIOD)))
    assert is_store(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    plain = pyrage.decrypt(path.read_bytes(), keys.identities())
    assert plain.startswith(b'{"kilnlight_reports": 1}\n')
    assert plain.count(b"\n") == 4  # with the padding
    assert b"helpline" not in path.read_bytes()


def test_a_plain_table_and_nothing_are_no_store(tmp_path):
    (tmp_path / "x.csv").write_text("consent,reporter\n")
    assert not is_store(tmp_path / "x.csv")
    assert not is_store(tmp_path / "none")


def test_other_keys_open_nothing(keys, path, tmp_path):
    rewrite(path, keys, add(period_line(PERIOD)))
    others = KeyFolder(tmp_path / "others")
    others.begin()
    with pytest.raises(ReportError, match="cannot be opened with the keys"):
        list(lines(path, others))


def test_the_size_of_the_file_does_not_tell_how_many_reports_are_in_it(keys, path):
    sizes = set()
    for number in (0, 1, 900):
        rewrite(path, keys, add(*[to_line(REPORT, PERIOD)] * number))
        sizes.add(len(pyrage.decrypt(path.read_bytes(), keys.identities())))
    assert sizes == {PADDED_TO}
    rewrite(path, keys, add(*[to_line(REPORT, PERIOD)] * 4000))
    assert len(pyrage.decrypt(path.read_bytes(), keys.identities())) == 2 * PADDED_TO
    assert len(list(lines(path, keys))) == 4901  # the padding is no line, and is not kept twice


def test_a_file_that_was_cut_or_changed_anywhere_is_refused(keys, path):
    many = [to_line(REPORT, PERIOD)] * 900  # several chunks of age's 64 KiB
    rewrite(path, keys, add(period_line(PERIOD), *many))
    whole = path.read_bytes()
    for cut in (100, 70_000, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ReportError, match=r"cannot be opened|damaged"):
            list(lines(path, keys))
    for at in (30, 70_000, len(whole) - 5):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ReportError, match=r"cannot be opened|damaged"):
            list(lines(path, keys))


def test_a_reader_may_stop_early(keys, path):
    rewrite(path, keys, add(period_line(PERIOD), *[to_line(REPORT, PERIOD)] * 3000))
    found = lines(path, keys)
    next(found)
    found.close()


def test_whatever_stops_a_change_leaves_the_store_as_it_was(keys, path):
    rewrite(path, keys, add(period_line(PERIOD)))
    before = path.read_bytes()

    def fails(_):
        yield to_line(REPORT, PERIOD)
        raise KeyboardInterrupt

    def refuses(_):
        raise ReportError("line 3: no.")
        yield

    for change, error in ((fails, KeyboardInterrupt), (refuses, ReportError)):
        with pytest.raises(error):
            rewrite(path, keys, change)
        assert path.read_bytes() == before
        assert [one.name for one in path.parent.iterdir()] == ["reports.age"]


def test_a_full_disk_is_one_sentence_and_changes_nothing(keys, path, monkeypatch):
    rewrite(path, keys, add(period_line(PERIOD)))
    before = path.read_bytes()
    monkeypatch.setattr(store_module, "open_private", lambda _: os.open("/dev/full", os.O_WRONLY))
    with pytest.raises(ReportError, match="cannot be written"):
        rewrite(path, keys, add(*[to_line(REPORT, PERIOD)] * 3000))
    assert path.read_bytes() == before


def test_old_copies_cannot_be_read_after_the_identity_was_exchanged(keys, path):
    rewrite(path, keys, add(period_line(PERIOD), to_line(REPORT, PERIOD)))
    backup = path.with_name("backup.age")
    backup.write_bytes(path.read_bytes())
    exchange_identity(path, keys, lambda before: (one for one in before if "report" not in one))
    assert list(read_canonical(path, keys.path, PERIOD)) == []
    with pytest.raises(ReportError, match="cannot be opened"):
        list(lines(backup, keys))


def test_an_exchange_that_is_cut_short_leaves_a_store_that_opens(keys, path):
    rewrite(path, keys, add(period_line(PERIOD), to_line(REPORT, PERIOD)))

    def fails(_):
        raise ReportError("no.")
        yield

    with pytest.raises(ReportError):
        exchange_identity(path, keys, fails)
    assert len(keys.identities()) == 2  # the new one and the one that still opens it
    assert list(read_canonical(path, keys.path, PERIOD)) == [REPORT]
    exchange_identity(path, keys, lambda before: before)
    assert len(keys.identities()) == 1
    assert list(read_canonical(path, keys.path, PERIOD)) == [REPORT]


def test_only_exactly_a_key_period_is_read(keys, path):
    rewrite(path, keys, add(period_line(PERIOD), to_line(REPORT, PERIOD)))
    for other in ("2025-11/2026-05", "2026-02", "2025-10/2026-06"):
        with pytest.raises(
            ReportError, match=r"has no key period .*exactly one of 2025-11/2026-06"
        ):
            list(read_canonical(path, keys.path, Period.parse(other)))


def test_a_store_of_another_version_and_one_damaged_inside_are_refused(keys, path, tmp_path):
    recipient = keys.identities()[0].to_public()
    path.parent.mkdir()
    for plain, what in (
        (b'{"kilnlight_reports": 2}\n', "another version"),
        (b'{"kilnlight_reports": 1}\nAsha-9812345670\n', "damaged inside"),
    ):
        path.write_bytes(pyrage.encrypt(plain, [recipient]))
        with pytest.raises(ReportError, match=what) as caught:
            list(lines(path, keys))
        error = caught.value
        while error is not None:
            assert "9812345670" not in f"{error} {error.args}"
            error = error.__cause__ or error.__context__


def test_no_plaintext_is_ever_on_the_disk(keys, path, tmp_path):
    """Every file that the process opens for writing while it writes a store, as the kernel sees."""
    code = f"""
import builtins, os, sys
from pathlib import Path
from pipeline.reports.keys import KeyFolder
from pipeline.reports.store import rewrite, period_line
from tiles.region import Period
opened = []
sys.addaudithook(lambda name, a: opened.append((str(a[0]), a[2])) if name == "open" else None)
rewrite(Path({str(path)!r}), KeyFolder(Path({str(keys.path)!r})),
        lambda _: iter([period_line(Period("2026-01", "2026-02"))]))
written = [p for p, flags in opened if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)]
print("\\n".join(p for p in written if p.startswith("/")))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    written = [Path(one) for one in done.stdout.split()]
    assert written
    assert {one.parent for one in written} == {path.parent}
