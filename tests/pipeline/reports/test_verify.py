import json

import pytest

from pipeline.reports.ledger import head_file
from pipeline.reports.release import release_counts
from pipeline.reports.settings import ReleaseSettings
from pipeline.reports.verify import verify
from tests.pipeline.reports.desk import PERIOD, Desk
from tests.pipeline.reports.exports import EXPORTS
from tiles.errors import KilnlightError, ReleaseError
from tiles.noised_counts import NOISED_COUNTS
from tiles.tables import read_notes, read_table, write_table

QUARTERS = ("2026-01/2026-03", "2026-04/2026-06")


@pytest.fixture
def account(made_up):
    """Two releases: their ledger, tables, and the manifest of a map of each."""
    rows = [made_up.row(f"r{n}", "A") for n in range(9)]
    tables, manifests = [], []
    for number, quarter in enumerate(QUARTERS):
        settings = made_up.settings(
            rows, period=quarter, output=made_up.folder / f"{number}.parquet"
        )
        release_counts(settings)
        tables.append(settings.output)
        folder = made_up.folder / f"public-{number}"
        folder.mkdir()
        head = read_notes(settings.output)["ledger_head_sha256"]
        (folder / "manifest.json").write_text(json.dumps({"ledger_head_sha256": head}))
        manifests.append(folder)
    return settings.ledger, tables, manifests


def test_a_whole_ledger_agrees_with_everything_that_was_published(account):
    ledger, tables, manifests = account
    copy = ledger.with_name("copy.jsonl")
    copy.write_bytes(ledger.read_bytes().splitlines(keepends=True)[0])
    found = verify(ledger, [*tables, *manifests, manifests[0] / "manifest.json", copy])
    assert (found.releases, found.epsilon_lifetime, len(found.compared)) == (2, 2.0, 6)
    assert found.head_sha256 == read_notes(tables[1])["ledger_head_sha256"]


def cut(ledger, lines):
    """The newest lines and the head file rewritten by somebody who knows how both are made."""
    kept = ledger.read_bytes().splitlines(keepends=True)[:lines]
    ledger.write_bytes(b"".join(kept))
    head = json.loads(kept[-1])["previous_sha256"] if kept else "0" * 64
    head_file(ledger).write_text(json.dumps({"lines": max(0, lines - 1), "head_sha256": head}))


@pytest.mark.parametrize("lines", [0, 1])
def test_a_clever_cut_shows_against_what_was_published(account, lines):
    ledger, tables, manifests = account
    copy = ledger.with_name("copy.jsonl")
    copy.write_bytes(ledger.read_bytes())
    cut(ledger, lines)
    assert verify(ledger, []).releases == lines  # by itself it looks whole
    for evidence in (tables[1], manifests[1], copy):
        with pytest.raises(ReleaseError, match="cut off or replaced"):
            verify(ledger, [evidence])


def test_a_ledger_begun_anew_shows_against_what_was_published(account, made_up):
    ledger, tables, manifests = account
    ledger.unlink()
    head_file(ledger).unlink()
    release_counts(made_up.settings(period=QUARTERS[0], output=made_up.folder / "again.parquet"))
    for evidence in (*tables, *manifests):
        with pytest.raises(ReleaseError, match="cut off or replaced"):
            verify(ledger, [evidence])


def test_a_changed_line_shows(account):
    ledger, tables, _ = account
    ledger.write_bytes(ledger.read_bytes().replace(b'"epsilon":1.0', b'"epsilon":0.1', 1))
    with pytest.raises(ReleaseError, match=r"line 2: the line is damaged or does not follow"):
        verify(ledger, tables)


def test_a_changed_table_shows(account):
    ledger, tables, _ = account
    frame = read_table(tables[0], NOISED_COUNTS)
    frame.loc[0, "count_noised"] += 1
    notes = read_notes(tables[0])
    del notes["schema"], notes["version"]
    write_table(frame, tables[0], NOISED_COUNTS, notes)
    with pytest.raises(ReleaseError, match="was changed after its release"):
        verify(ledger, tables)


@pytest.mark.parametrize("content", ["{}", "[]", "no json", '{"ledger_head_sha256": 3}'])
def test_a_file_that_tells_of_no_ledger_is_no_evidence(account, content):
    ledger, _, manifests = account
    (manifests[0] / "manifest.json").write_text(content)
    with pytest.raises(ReleaseError, match="names no ledger"):
        verify(ledger, manifests)


def test_what_is_not_there_is_one_sentence(account, tmp_path):
    ledger = account[0]
    for arguments in ((tmp_path / "none", []), (ledger, [tmp_path / "none.parquet"])):
        with pytest.raises(KilnlightError, match="is not there"):
            verify(*arguments)


def test_a_key_period_is_released_once_whichever_ledger_is_given(made_up):
    """Two draws over the same people would let the noise be averaged away."""
    desk = Desk(made_up.folder)
    desk.bring(desk.file(EXPORTS["plain CSV"].content))
    told = {
        "reports": desk.store,
        "keys": desk.keys,
        "partition": made_up.partition,
        "period": PERIOD,
        "ledger": made_up.folder / "ledger.jsonl",
        "output": made_up.folder / "first.parquet",
    }
    first = release_counts(ReleaseSettings.model_validate(told))
    release_counts(
        ReleaseSettings.model_validate(
            told | {"output": made_up.folder / "nobody.parquet", "anonymous_cap": 2}
        )
    )
    other = told | {"ledger": made_up.folder / "other.jsonl", "output": made_up.folder / "again"}
    cut(told["ledger"], 0)  # or an old copy of the ledger was put back
    for again in (other, other | {"ledger": told["ledger"]}, other | {"anonymous_cap": 2}):
        with pytest.raises(ReleaseError, match="was released before"):
            release_counts(ReleaseSettings.model_validate(again))
        assert not other["output"].exists()
        assert not (made_up.folder / "other.jsonl").exists()
    with pytest.raises(ReleaseError, match=first.release_id):
        release_counts(ReleaseSettings.model_validate(other))
