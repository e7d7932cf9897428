"""Whether a ledger is the one that the published files tell of: changes, cuts, replacements."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.reports.ledger import Ledger, LedgerLine, read_ledger, read_lines
from tiles.errors import ReleaseError
from tiles.noised_counts import HEAD_NOTE, NOISED_COUNTS, counts_sha256
from tiles.tables import read_notes, read_table

MANIFEST = "manifest.json"
COPY_SUFFIX = ".jsonl"


@dataclass(frozen=True)
class Verified:
    """What held; a finding is a ReleaseError.

    Attributes:
        releases: lines of the ledger.
        head_sha256: its newest line.
        epsilon_lifetime: loss of somebody present in every source of every release.
        compared: files that agree with the ledger.
    """

    releases: int
    head_sha256: str
    epsilon_lifetime: float
    compared: tuple[Path, ...]


def verify(ledger_file: Path, evidence: Sequence[Path]) -> Verified:
    """Check a ledger against itself, its head file, and files that were published from it.

    Args:
        ledger_file: the ledger.
        evidence: released tables (parquet), published folders or their manifest.json, older
            copies of the ledger (jsonl).

    Raises:
        ReleaseError: a line was changed, cut off, reordered or replaced, or a published file is
            not the one that was recorded; or a file tells nothing of any ledger.
        TableError: a table cannot be read.
    """
    if not ledger_file.is_file():
        raise ReleaseError(f"ledger {ledger_file} is not there: restore it from your copy.")
    ledger = read_ledger(ledger_file)
    for path in evidence:
        _compare(ledger, path)
    return Verified(len(ledger.lines), ledger.head_sha256, ledger.epsilon_lifetime, tuple(evidence))


def _compare(ledger: Ledger, path: Path) -> None:
    if path.is_dir():
        path = path / MANIFEST
    if not path.is_file():
        raise ReleaseError(f"{path} is not there: give a released table, a folder or a copy.")
    if path.suffix == COPY_SUFFIX:
        _compare_copy(ledger, path, read_lines(path))
    elif path.suffix == ".json":
        _find(ledger, path, _head_of_manifest(path))
    else:
        _compare_table(ledger, path)


def _compare_table(ledger: Ledger, path: Path) -> None:
    """The table's counts must be those of the line that its note names."""
    table = read_table(path, NOISED_COUNTS)
    line = _find(ledger, path, read_notes(path).get(HEAD_NOTE, ""))
    if line.counts_sha256 != counts_sha256(table):
        raise ReleaseError(
            f"{path} was changed after its release {line.release_id}: restore the released file."
        )


def _compare_copy(ledger: Ledger, path: Path, copy: Sequence[LedgerLine]) -> None:
    """An older copy must be the beginning of the ledger."""
    if list(copy) != ledger.lines[: len(copy)]:
        raise ReleaseError(
            f"ledger {ledger.path} does not go on from its copy {path}: lines were cut off or "
            "replaced since; restore it from the copy and add nothing."
        )


def _find(ledger: Ledger, path: Path, head_sha256: str) -> LedgerLine:
    for line in ledger.lines:
        if line.sha256 == head_sha256:
            return line
    raise ReleaseError(
        f"{path} was published when the ledger's newest line had SHA-256 "
        f"{head_sha256[:12] or 'unknown'}, which {ledger.path} does not hold: lines were cut off "
        "or replaced; restore the ledger from your copy."
    )


def _head_of_manifest(path: Path) -> str:
    """The head that a published manifest, or that of a run folder, names."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = content.get(HEAD_NOTE) or content.get("maps", {}).get(HEAD_NOTE)
    except (OSError, ValueError, AttributeError):
        found = None
    if not isinstance(found, str):
        raise ReleaseError(f"{path} names no ledger: give the manifest of a map with reports.")
    return found
