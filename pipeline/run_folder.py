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

from tiles.errors import RunFolderError
from tiles.files import sha256_file, write_text

MANIFEST = "manifest.json"
SURVEY_FILES = ("detections.parquet", "coverage.parquet")
OPERATOR_ONLY = 0o700  # only what a tier holds is meant to leave the folder
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
        if not is_new and any(path.iterdir()) and cls(path).manifest() is None:
            raise RunFolderError(f"{path} holds other files: choose an empty --out.")
        try:
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(OPERATOR_ONLY)
            probe = path / ".writable"
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
    def claimed_for(self, survey: Mapping[str, Any]) -> Iterator[None]:
        """Note in an empty folder whose it is while a survey runs; take that back if it fails.

        A survey that is killed leaves the note, and the same run may start again in the folder.
        """
        write_text(self.path / MANIFEST, json.dumps({"survey": dict(survey), "files": {}}) + "\n")
        try:
            yield
        except BaseException:
            for name in (*SURVEY_FILES, MANIFEST):
                (self.path / name).unlink(missing_ok=True)
            if self.is_new and not any(self.path.iterdir()):
                self.path.rmdir()
            raise

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

    def holds(self, survey: Mapping[str, Any]) -> bool:
        """Say whether the folder holds this very survey, whole and unchanged.

        Args:
            survey: inputs, settings and weights, as `manifest()["survey"]` has them.

        Raises:
            RunFolderError: it holds another survey, or one of those tables was changed.
        """
        manifest = self.manifest()
        if manifest is None:
            return False
        for key in sorted({*survey, *manifest["survey"]}):
            if manifest["survey"].get(key) != survey.get(key):
                raise RunFolderError(
                    f"{self.path} holds another run (its {key} differs): choose another --out."
                )
        if not manifest["files"]:
            return False  # a survey that was begun and not ended
        for name in SURVEY_FILES:
            file = self.path / name
            if not file.is_file() or sha256_file(file) != manifest["files"].get(name):
                raise RunFolderError(
                    f"{file} is missing or changed: run again into an empty --out."
                )
        return True

    def result(self) -> dict[str, Any]:
        """What the survey in this folder said beside its tables."""
        return dict((self.manifest() or {})["result"])

    def write_manifest(self, survey: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        """Write the manifest with the SHA-256 of every file in the folder.

        Args:
            survey: inputs, settings and weights that the survey's tables depend on.
            parts: further sections, such as timings; none may hold a figure from raw reports.
        """
        files = sorted(
            file for file in self.path.rglob("*") if file.is_file() and file != self.path / MANIFEST
        )
        manifest = {
            "survey": dict(survey),
            "versions": {"python": python_version(), **{name: version(name) for name in PACKAGES}},
            **parts,
            "files": {str(file.relative_to(self.path)): sha256_file(file) for file in files},
        }
        write_text(self.path / MANIFEST, json.dumps(manifest, indent=2) + "\n")
