"""The hidden place of a release's file until the ledger records it."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd

from pipeline.reports.durable import make_folder, sync_folder
from tiles.errors import ReleaseError, TableError
from tiles.noised_counts import HEAD_NOTE, NOISED_COUNTS, counts_sha256
from tiles.tables import read_notes, read_table, write_table


@dataclass(frozen=True)
class Waiting:
    """What a file in the hidden place says of itself."""

    counts_sha256: str
    head_sha256: str


@dataclass(frozen=True)
class Staged:
    """The hidden place of a file that is not released yet; the same command finds it again.

    Its name depends on the ledger too: two ledgers that are told to write the same output never
    touch each other's unrecorded file.
    """

    output: Path
    ledger: Path

    @property
    def folder(self) -> Path:
        """A folder beside the output, mode 0700."""
        account = hashlib.sha256(os.fsencode(self.ledger.resolve())).hexdigest()[:8]
        return self.output.with_name(f".{self.output.name}.unreleased-{account}")

    @property
    def file(self) -> Path:
        """The file in it."""
        return self.folder / self.output.name

    def waiting(self) -> Waiting | None:
        """Read the file that a crash left here; None where there is none, or none that is whole."""
        if not self.file.is_file():
            return None
        try:
            table = read_table(self.file, NOISED_COUNTS)
            return Waiting(counts_sha256(table), read_notes(self.file).get(HEAD_NOTE, ""))
        except TableError:
            return None

    def write(self, frame: gpd.GeoDataFrame, notes: Mapping[str, str]) -> None:
        """Write the table here, durably.

        Raises:
            ReleaseError: it cannot be written.
        """
        try:
            self.clear()
            make_folder(self.output.parent)
            self.folder.mkdir(mode=0o700)
            write_table(frame, self.file, NOISED_COUNTS, notes)
            self.file.chmod(0o600)
            with self.file.open("rb") as stream:
                os.fsync(stream.fileno())
            sync_folder(self.folder)
            sync_folder(self.folder.parent)  # the hidden folder's own name
        except OSError as error:
            raise ReleaseError(
                f"{self.output} cannot be written ({error.strerror}): nothing was released; "
                "choose a folder that can be written."
            ) from None

    def make_visible(self) -> None:
        """Give the file its name.

        Raises:
            ReleaseError: it cannot be given; the release is recorded and the file waits.
        """
        try:
            self.file.rename(self.output)
            sync_folder(self.output.parent)
        except OSError as error:
            raise ReleaseError(
                f"the release is recorded but {self.output} could not be put in its place "
                f"({error.strerror}): run the same command again, nothing is drawn anew."
            ) from None
        self.clear()

    def clear(self) -> None:
        """Throw away what waits here; only ever called for a file that no ledger line records."""
        shutil.rmtree(self.folder, ignore_errors=True)
