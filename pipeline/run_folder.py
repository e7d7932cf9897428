"""The run folder: whose it is, what is in it, and the manifest that says how it came to be."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

from pipeline.engine.differences import differences
from pipeline.engine.journal import JOURNAL, JOURNAL_FILES, Journal
from tiles.errors import NothingSearchedError, RunFolderError
from tiles.files import sha256_file, sweep, write_text, writer_of
from tiles.handles import use_gdal_settings

MANIFEST = "manifest.json"
RUN_FILE = "run.toml"
PROBE = ".writable"  # touched to see whether the folder can be written
SURVEY_FILES = ("detections.parquet", "coverage.parquet", "ground.parquet")
# other commands put them there, and keep their own record
NOT_OF_A_RUN = ("packs", "outcomes.csv", "review")
OPERATOR_ONLY = 0o700  # only what a tier holds is meant to leave the folder
SHOWN = 4  # differences in one message
# whose versions change bytes
PACKAGES = (
    *("kilnlight", "torch", "torchvision", "rasterio", "geopandas", "shapely", "pyproj"),
    *("numpy", "pandas", "pyarrow", "dask", "folium", "opendp"),
)


@dataclass(frozen=True)
class RunFolder:
    """A folder that holds one survey and everything made from it."""

    path: Path
    is_new: bool = False

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """Take a folder that is new, empty, or holds a run.

        Raises:
            RunFolderError: it holds other files, or cannot be written.
        """
        if path.exists() and not path.is_dir():
            raise RunFolderError(f"{path} is a file, not a folder: choose another --out.")
        is_new = not path.exists()
        if not is_new and cls(path).manifest() is None and not _killed_early(path):
            raise RunFolderError(f"{path} holds other files: choose an empty --out.")
        try:
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(OPERATOR_ONLY)
            probe = path / PROBE
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise RunFolderError(
                f"{path} cannot be written ({error.strerror}): choose another --out."
            ) from error
        return cls(path, is_new)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out of the folder; the lock ends with the process, however it ends.

        Raises:
            RunFolderError: another run is at work in it.
        """
        handle = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise RunFolderError(
                f"another run is at work in {self.path}: wait for it, or choose another --out."
            ) from error
        finally:
            os.close(handle)

    @contextmanager
    def session(self) -> Iterator[Journal]:
        """Lock the folder and open its journal; a survey that never got anywhere leaves nothing.

        Raises:
            RunFolderError: another run is at work in it, or the journal is damaged.
            SurveyError: the disk is full.
        """
        with self.locked():
            sweep(self.path)
            was_empty = self.manifest() is None
            kept = True
            try:
                with Journal.open(self.path) as journal:
                    try:
                        yield journal
                    except NothingSearchedError:
                        kept = not was_empty  # results that say nothing are no work to keep
                        raise
                    except BaseException:
                        kept = not was_empty or journal.holds_results()
                        raise
            finally:
                if not kept:
                    self._clear()

    def _clear(self) -> None:
        for name in (*SURVEY_FILES, *JOURNAL_FILES, MANIFEST):
            (self.path / name).unlink(missing_ok=True)
        if self.is_new and not any(self.path.iterdir()):
            self.path.rmdir()

    def claim(self, survey: Mapping[str, Any]) -> None:
        """Note whose folder it is before a survey begins; `holds` says no until it has ended."""
        write_text(self.path / MANIFEST, json.dumps({"survey": dict(survey), "files": {}}) + "\n")

    def manifest(self) -> dict[str, Any] | None:
        """The manifest, or None in a folder that is still empty.

        Raises:
            RunFolderError: the manifest cannot be read.
        """
        file = self.path / MANIFEST
        if not file.exists():
            return None
        try:
            loaded = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunFolderError(
                f"{file} is damaged ({error}): run again into an empty --out."
            ) from error
        if not isinstance(loaded, dict) or not {"survey", "files"} <= loaded.keys():
            raise RunFolderError(f"{file} is another program's: choose an empty --out.")
        return loaded

    def belongs_to(self, survey: Mapping[str, Any], *, refresh: bool = False) -> None:
        """Refuse a folder that another survey has begun or ended in, unless it is to be refreshed.

        Args:
            survey: inputs, settings and weights, as `manifest()["survey"]` has them.
            refresh: what differs will be computed anew.

        Raises:
            RunFolderError: it is another survey's; the message shows what differs.
        """
        manifest = self.manifest()
        differ = [] if manifest is None else differences(manifest["survey"], survey)
        if differ and not refresh:
            more = f"; and {len(differ) - SHOWN} more" if len(differ) > SHOWN else ""
            raise RunFolderError(
                f"{self.path} holds another run ({'; '.join(differ[:SHOWN])}{more}): give "
                "--refresh to compute just what changed, or choose another --out."
            )

    def holds(self, survey: Mapping[str, Any]) -> bool:
        """Say whether the folder holds this very survey, whole and unchanged.

        Raises:
            RunFolderError: one of its tables was changed.
        """
        manifest = self.manifest()
        if manifest is None or not manifest["files"] or manifest["survey"] != survey:
            return False  # empty, begun and not ended, or to be refreshed
        for name in SURVEY_FILES:
            file = self.path / name
            if not file.is_file() or sha256_file(file) != manifest["files"].get(name):
                raise RunFolderError(
                    f"{file} is missing or changed: run again with --refresh, which makes it anew "
                    "from the journal, or into an empty --out."
                )
        return True

    @contextmanager
    def looked_into(self) -> Iterator[Journal | None]:
        """The journal of the run in this folder, for a look; None where none was begun.

        Raises:
            RunFolderError: a run is at work here, or the journal is damaged.
        """
        if self.manifest() is None or not (self.path / JOURNAL).exists():
            yield None
            return
        with self.locked(), Journal.open(self.path) as journal:
            yield journal

    def settled(self) -> dict[str, str]:
        """Device and precision of the survey that was begun here; empty where there is none."""
        survey = (self.manifest() or {}).get("survey", {})
        return {name: survey[name] for name in ("device", "precision") if name in survey}

    def result(self) -> dict[str, Any]:
        """What the survey in this folder said beside its tables."""
        return dict((self.manifest() or {})["result"])

    def write_manifest(self, survey: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        """Write the manifest with the SHA-256 of every file in the folder.

        Args:
            survey: inputs, settings and weights that the survey's tables depend on.
            parts: further sections, such as timings; none may hold a figure from raw reports.
        """
        files = sorted(file for file in self.path.rglob("*") if self._is_made(file))
        manifest = {
            "survey": dict(survey),
            "versions": {"python": python_version(), **{name: version(name) for name in PACKAGES}},
            "gdal_settings": use_gdal_settings(),
            **parts,
            "files": {str(file.relative_to(self.path)): sha256_file(file) for file in files},
        }
        write_text(self.path / MANIFEST, json.dumps(manifest, indent=2) + "\n")

    def _is_made(self, file: Path) -> bool:
        """Whether a run made a file, and the same run would make the same bytes again."""
        first = file.relative_to(self.path).parts[0]
        return file.is_file() and first not in (MANIFEST, *JOURNAL_FILES, *NOT_OF_A_RUN)


def _killed_early(folder: Path) -> bool:
    """Whether a folder is empty, or holds just what a run that was killed at its start leaves.

    The journal is there before the manifest: it remembers the digests of imagery, which take long.
    """
    early = (*JOURNAL_FILES, PROBE)
    return all(file.name in early or writer_of(file) is not None for file in folder.iterdir())
