import stat

import pytest

from pipeline.reports.keys import KeyFolder, check_apart
from tiles.errors import ReportError
from tiles.region import Period

PERIOD = Period("2025-11", "2026-06")


@pytest.fixture
def keys(tmp_path):
    folder = KeyFolder(tmp_path / "keys")
    folder.begin()
    return folder


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_reads_keys(keys):
    keys.begin_period(PERIOD)
    assert mode(keys.path) == 0o700
    assert mode(keys.identity_file) == mode(keys.period_file(PERIOD)) == 0o600


@pytest.mark.parametrize("which", ["identity", "period"])
def test_keys_that_others_can_read_are_refused(keys, which):
    keys.begin_period(PERIOD)
    path = keys.identity_file if which == "identity" else keys.period_file(PERIOD)
    path.chmod(0o640)
    with pytest.raises(ReportError, match="can be read by others: chmod 600 it"):
        keys.identities() if which == "identity" else keys.period_key(PERIOD)


def test_keys_of_periods_are_random_and_their_own(keys):
    drawn = [keys.begin_period(Period.parse(f"2026-0{n}")) for n in (1, 2, 3)]
    assert {len(key) for key in drawn} == {32}
    assert len(set(drawn)) == 3
    assert keys.period_key(Period.parse("2026-02")) == drawn[1]


def test_a_destroyed_key_is_overwritten_and_gone(keys, tmp_path):
    key = keys.begin_period(PERIOD)
    other_name = tmp_path / "hard-link"
    other_name.hardlink_to(keys.period_file(PERIOD))
    keys.destroy_period(PERIOD)
    keys.destroy_period(PERIOD)
    assert not keys.has_period(PERIOD)
    assert key not in other_name.read_bytes()  # the bytes on the disk, not only the name


def test_a_damaged_key_or_identity_is_one_sentence(keys):
    keys.begin_period(PERIOD)
    keys.period_file(PERIOD).write_bytes(b"short")
    with pytest.raises(ReportError, match="is damaged"):
        keys.period_key(PERIOD)
    keys.identity_file.write_text("AGE-SECRET-KEY-1QQQ\n")
    with pytest.raises(ReportError, match="holds no age identity"):
        keys.identities()


def test_a_second_store_gets_keys_of_its_own(keys):
    first = keys.identity_file.read_bytes()
    keys.begin()  # no store is there yet: an import that was killed is done again
    assert keys.identity_file.read_bytes() == first
    keys.end_beginning()
    assert keys.identity_file.read_bytes() in first  # the same identity, without the note
    with pytest.raises(ReportError, match="keys of another store"):
        keys.begin()


def test_two_commands_do_not_change_one_store_at_once(keys):
    with keys.locked(), pytest.raises(ReportError, match="another command"), keys.locked():
        pass
    with keys.locked():
        pass


@pytest.mark.parametrize("run_file", ["run.toml", "manifest.json"])
@pytest.mark.parametrize("which", ["store", "keys"])
def test_neither_store_nor_keys_lie_in_a_run_folder(tmp_path, which, run_file):
    run = tmp_path / "run"
    (run / "deep").mkdir(parents=True)
    (run / run_file).touch()
    places = {"store": tmp_path / "safe" / "r.age", "keys": tmp_path / "keys"}
    check_apart(**places)
    places[which] = run / "deep" / places[which].name
    with pytest.raises(ReportError, match="lies in the run folder"):
        check_apart(**places)


def test_keys_lie_apart_from_the_store(tmp_path):
    for keys in (tmp_path, tmp_path / "safe"):
        with pytest.raises(ReportError, match="keep them apart"):
            check_apart(tmp_path / "safe" / "r.age", keys)
