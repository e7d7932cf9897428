"""Which code and libraries a process runs: client and workers must run the same."""

import hashlib
import platform
from dataclasses import dataclass, fields
from functools import cache
from importlib.metadata import version
from pathlib import Path

import rasterio

from tiles.errors import ConfigError

PACKAGES_ROOT = Path(__file__).resolve().parents[2]
OURS = ("tiles", "models", "maps", "pipeline")
# whose versions change bytes, or what travels between client and workers
COMPARED = (
    *("kilnlight", "torch", "rasterio", "pyproj", "shapely", "geopandas", "numpy", "scipy"),
    *("pyarrow", "dask", "distributed"),
)


@dataclass(frozen=True)
class Facts:
    """What a process runs.

    Attributes:
        python: major and minor version; objects that travel need the same.
        gdal: version of the library that decodes imagery.
        versions: of the packages that matter, by name.
        commit: of the checkout that the code lies in, or `no checkout`.
        code: digest of our own source files, which also tells of edits that were not committed.
    """

    python: str
    gdal: str
    versions: tuple[tuple[str, str], ...]
    commit: str
    code: str

    def shown(self) -> dict[str, str]:
        """Everything by its name, as sentences call it."""
        return {
            **{one.name: getattr(self, one.name) for one in fields(self) if one.name != "versions"},
            **dict(self.versions),
        }


@cache
def facts_here() -> Facts:
    """What this process runs."""
    return Facts(
        python=".".join(platform.python_version_tuple()[:2]),
        gdal=rasterio.__gdal_version__,
        versions=tuple((name, version(name)) for name in COMPARED),
        commit=commit_of(PACKAGES_ROOT),
        code=code_digest(),
    )


def check_same(client: Facts, worker: Facts, where: str) -> None:
    """Refuse a worker that runs something else than the client.

    Raises:
        ConfigError: it does; the message names everything that differs.
    """
    here, there = client.shown(), worker.shown()
    differ = [name for name in here if here[name] != there.get(name)]
    if differ:
        shown = ", ".join(
            f"{name} {here[name]} here and {there.get(name)} there" for name in differ
        )
        raise ConfigError(
            f"{where} does not run what this client runs ({shown}), so results could differ: "
            "install the same version of Kilnlight and its requirements.txt on both."
        )


def code_digest() -> str:
    """The first 12 digits of the SHA-256 over the names and bytes of our source files."""
    digest = hashlib.sha256()
    files = (file for name in OURS for file in (PACKAGES_ROOT / name).rglob("*.py"))
    for file in sorted(files):
        digest.update(str(file.relative_to(PACKAGES_ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def commit_of(folder: Path) -> str:
    """The commit that a checkout is at, read from its files; `no checkout` where it is none."""
    git = folder / ".git"
    try:
        head = (git / "HEAD").read_text(encoding="ascii").strip()
        if not head.startswith("ref: "):
            return head[:12]
        name = head.removeprefix("ref: ")
        if (git / name).is_file():
            return (git / name).read_text(encoding="ascii").strip()[:12]
        packed = (git / "packed-refs").read_text(encoding="ascii").splitlines()
        return next(line[:12] for line in packed if line.endswith(f" {name}"))
    except (OSError, StopIteration):
        return "no checkout"
