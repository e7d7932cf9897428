import hashlib
import json
import os

import pytest

from pipeline.reports.durable import make_folder
from pipeline.reports.ledger import NO_LINE, LedgerLine, head_file, open_ledger
from tiles.errors import ReleaseError
from tiles.region import Period

PERIODS = ("2025-11/2026-01", "2026-02/2026-04", "2026-05/2026-06")
PARTITION, OTHER = "a" * 64, "c" * 64


def line(period, previous, epsilon=1.0, **change):
    values = {
        "release_id": f"release of {period}",
        "vector": "reporters",
        "partition_sha256": PARTITION,
        "period": period,
        "industries": ("C_Manufacturing",),
        "epsilon": epsilon,
        "scale": 1 / epsilon,
        "sensitivity": 1,
        "output": "noised_counts.parquet",
        "counts_sha256": "b" * 64,
        "previous_sha256": previous,
        "recorded_utc": "2026-07-01T00:00:00+00:00",
    }
    return LedgerLine(**{**values, **change})


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "ledger.jsonl"
    for period in PERIODS:
        with open_ledger(path) as ledger:
            ledger.append(line(period, ledger.head_sha256))
    return path


def test_lines_are_chained_and_read_back(path):
    raw = path.read_bytes().splitlines()
    assert [json.loads(text)["period"] for text in raw] == list(PERIODS)
    previous = [json.loads(text)["previous_sha256"] for text in raw]
    assert previous == [NO_LINE, *(hashlib.sha256(text).hexdigest() for text in raw[:-1])]
    with open_ledger(path) as ledger:
        assert ledger.head_sha256 == hashlib.sha256(raw[-1]).hexdigest()
        assert ledger.epsilon_lifetime == 3.0
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_absent_ledger_is_an_empty_account_and_stays_absent(tmp_path):
    with open_ledger(tmp_path / "new" / "ledger.jsonl") as ledger:
        assert (ledger.lines, ledger.head_sha256) == ([], NO_LINE)
    assert list((tmp_path / "new").iterdir()) == []


TAMPERING = {
    "changed": lambda raw: [raw[0], raw[1].replace(b'"epsilon":1.0', b'"epsilon":0.1'), raw[2]],
    "removed": lambda raw: [raw[0], raw[2]],
    "first removed": lambda raw: raw[1:],
    "reordered": lambda raw: [raw[1], raw[0], raw[2]],
    "repeated": lambda raw: [*raw, raw[2]],
    "inserted": lambda raw: [raw[0], raw[0], raw[1], raw[2]],
    "blank line": lambda raw: [raw[0], b"", raw[1], raw[2]],
    "no json": lambda raw: [raw[0], b"{", raw[2]],
    "unknown key": lambda raw: [raw[0][:-1] + b',"note":"x"}', *raw[1:]],
    "bad period": lambda raw: [*raw[:2], raw[2].replace(b"2026-05/", b"2026-15/")],
    "not finite": lambda raw: [*raw[:2], raw[2].replace(b'"epsilon":1.0', b'"epsilon":NaN')],
    "no utf-8": lambda raw: [*raw[:2], raw[2].replace(b"release of", b"\xff\xfe")],
}


@pytest.mark.parametrize("how", TAMPERING)
def test_a_ledger_that_was_tampered_with_is_refused(path, how):
    path.write_bytes(b"\n".join(TAMPERING[how](path.read_bytes().splitlines())) + b"\n")
    before = path.read_bytes()
    with pytest.raises(ReleaseError, match="restore the ledger"), open_ledger(path):
        pytest.fail("a damaged ledger was opened")
    assert path.read_bytes() == before


@pytest.mark.parametrize("left", [0, 1, 2])
def test_lines_that_were_cut_off_show_against_the_head_file(path, left):
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:left]))
    with pytest.raises(ReleaseError, match=r"(cut off or replaced|tells of)"), open_ledger(path):
        pytest.fail("a ledger that was cut was opened")


def test_a_ledger_that_was_begun_anew_shows_against_the_head_file(path):
    path.unlink()
    with pytest.raises(ReleaseError, match="cut off or replaced"), open_ledger(path):
        pytest.fail("another account was begun")


def test_a_ledger_without_its_head_file_is_refused(path):
    head_file(path).unlink()
    with pytest.raises(ReleaseError, match="is missing"), open_ledger(path):
        pytest.fail("nobody can say whether it is whole")
    head_file(path).write_text("{}")
    with pytest.raises(ReleaseError, match="damaged"), open_ledger(path):
        pytest.fail("nobody can say whether it is whole")


def test_a_crash_before_the_head_file_is_made_good_by_the_next_release(path):
    before = head_file(path).read_bytes()
    with open_ledger(path) as ledger:
        ledger.append(line("2026-07", ledger.head_sha256))
    after = head_file(path).read_bytes()
    head_file(path).write_bytes(before)  # the line is on the disk, its head is not
    with open_ledger(path):
        pass
    assert head_file(path).read_bytes() == after


def test_a_line_has_one_spelling(path):
    raw = path.read_bytes().splitlines()
    raw[2] = raw[2].replace(b'"epsilon":1.0', b'"epsilon": 1.0')
    path.write_bytes(b"\n".join(raw) + b"\n")
    with pytest.raises(ReleaseError, match="line 3"), open_ledger(path):
        pass


def test_a_year_is_any_twelve_months_in_a_row(tmp_path):
    path = tmp_path / "ledger.jsonl"
    with open_ledger(path) as ledger:
        for quarter in ("2026-01/2026-03", "2026-04/2026-06", "2026-07/2026-09"):
            ledger.append(line(quarter, ledger.head_sha256))
        ask = {"vector": "reporters", "partitions": {PARTITION}, "limit": 4.0}
        ledger.check_allows(Period.parse("2026-10/2026-12"), epsilon=1.0, **ask)
        with pytest.raises(ReleaseError, match="in twelve months"):
            ledger.check_allows(Period.parse("2026-10/2026-12"), epsilon=1.1, **ask)
        # earlier months, released late, meet the same year
        with pytest.raises(ReleaseError, match="in twelve months"):
            ledger.check_allows(Period.parse("2025-10/2025-12"), epsilon=2.1, **ask)
        ledger.check_allows(Period.parse("2027-07/2027-09"), epsilon=4.0, **ask)
        assert ledger.epsilon_year(Period.parse("2027-02")) == 3.0
        assert ledger.epsilon_year(Period.parse("2027-03")) == 2.0
        assert ledger.epsilon_lifetime == 3.0


def test_reports_that_name_nobody_are_released_once_too(path):
    period = Period.parse(PERIODS[0])
    with open_ledger(path) as ledger:
        ledger.check_allows(period, "anonymous", {PARTITION}, 0.5, 4.0)
        ledger.append(line(PERIODS[0], ledger.head_sha256, vector="anonymous"))
        with pytest.raises(ReleaseError, match="averaged away"):
            ledger.check_allows(period, "anonymous", {PARTITION}, 0.5, 10.0)


def test_a_changed_last_line_breaks_the_next_one(path):
    # The chain alone cannot see this one: it shows when the next line was made from the original.
    raw = path.read_bytes()
    with open_ledger(path) as ledger:
        ledger.append(line("2026-07", ledger.head_sha256))
    last = path.read_bytes()[len(raw) :]
    path.write_bytes(raw.replace(b"2026-06", b"2026-05") + last)
    with pytest.raises(ReleaseError, match="line 4"), open_ledger(path):
        pass


def test_a_line_cut_short_by_a_crash_is_refused(path):
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ReleaseError, match="remove the fragment"), open_ledger(path):
        pass


@pytest.mark.parametrize(
    "period", ["2026-02/2026-04", "2026-03", "2026-04/2026-05", "2025-01/2027-12"]
)
def test_a_month_is_released_once(path, period):
    with open_ledger(path) as ledger, pytest.raises(ReleaseError, match="averaged away"):
        ledger.check_allows(Period.parse(period), "reporters", {OTHER}, 0.5, 100.0)


def test_the_budget_is_kept_to_the_last_bit_of_rounding(tmp_path):
    path = tmp_path / "ledger.jsonl"
    with open_ledger(path) as ledger:
        for month in range(1, 10):
            ledger.append(line(f"2026-0{month}", ledger.head_sha256, epsilon=0.1))
        ledger.check_allows(Period.parse("2026-10"), "reporters", {PARTITION}, 0.1, 1.0)
        with pytest.raises(ReleaseError, match=r"epsilon 1\.01 of at most 1"):
            ledger.check_allows(Period.parse("2026-10"), "reporters", {PARTITION}, 0.11, 1.0)


def test_what_a_refusal_over_the_budget_advises_can_be_done(path):
    july = Period.parse("2026-07")
    with open_ledger(path) as ledger:  # 3 spent
        with pytest.raises(
            ReleaseError, match=r"at most 3\.5 in twelve months: release with a smaller epsilon"
        ):
            ledger.check_allows(july, "reporters", {PARTITION}, 1.0, 3.5)
        ledger.check_allows(july, "reporters", {PARTITION}, 0.5, 3.5)
        with pytest.raises(
            ReleaseError, match="at most 3 in twelve months: it is spent, release no more"
        ):
            ledger.check_allows(july, "reporters", {PARTITION}, 0.001, 3.0)


def test_a_ledger_keeps_to_one_partition(path):
    july = Period.parse("2026-07")
    with open_ledger(path) as ledger:
        ledger.check_allows(july, "reporters", {PARTITION}, 1.0, 4.0)
        with pytest.raises(ReleaseError, match=r"SHA-256 aaaaaaaaaaaa\.\.\., .* nor follows"):
            ledger.check_allows(july, "reporters", {OTHER}, 1.0, 4.0)
        ledger.check_allows(july, "reporters", {OTHER, PARTITION}, 1.0, 4.0)  # found safe beside


def test_a_made_folder_has_its_name_and_those_above_it_on_the_disk(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("pipeline.reports.durable.sync_folder", synced.append)
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    assert set(synced) == {tmp_path, tmp_path / "a"}
    synced.clear()
    make_folder(tmp_path / "a" / "b")
    assert synced == []


def test_only_one_release_at_a_time(path, tmp_path):
    alias = tmp_path / "alias"
    alias.symlink_to(path.parent, target_is_directory=True)
    with open_ledger(path):
        for name in (path, alias / path.name):
            with pytest.raises(ReleaseError, match="another release"), open_ledger(name):
                pass
    with open_ledger(path):
        pass  # given back


def test_a_stale_head_is_refused(path):
    with open_ledger(path) as ledger, pytest.raises(ReleaseError, match="does not follow"):
        ledger.append(line("2026-07", NO_LINE))


def no_space(*_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("failing", ["fsync", "write"])
def test_a_line_that_cannot_be_made_durable_is_taken_back(
    path, tmp_path, begun, failing, monkeypatch
):
    target = path if begun else tmp_path / "new.jsonl"
    before = target.read_bytes() if begun else None
    real_write = os.write
    failures = {"fsync": no_space, "write": lambda fd, raw: real_write(fd, raw[:-1])}
    with open_ledger(target) as ledger:
        monkeypatch.setattr(os, failing, failures[failing])
        with pytest.raises(ReleaseError, match="nothing was released"):
            ledger.append(line("2026-07", ledger.head_sha256))
        monkeypatch.undo()
    assert (target.read_bytes() if target.exists() else None) == before


def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ReleaseError, match="cannot be used"), open_ledger(tmp_path / "file" / "l"):
        pass
