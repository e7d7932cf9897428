"""Products as archives hand them out: Sentinel-2 `.SAFE` folders, and zip files of any of it."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element
from zipfile import BadZipFile, ZipFile

from tiles.errors import SceneError
from tiles.headers import SceneSource
from tiles.radiometry import MaskSource

SUFFIXES = {".tif", ".tiff", ".vrt", ".jp2"}  # what a folder or archive is searched for
SAFE = ".SAFE"  # Standard Archive Format for Europe: how ESA names a product's folder
# names of a band's file, best first: Level-2A by resolution, then Level-1C, which has only one
COLOUR_FILES = tuple(
    re.compile(rf"(^|/)IMG_DATA/(R10m/)?[^/]*_{band}(_10m)?\.jp2$")
    for band in ("B04", "B03", "B02")
)
CLASSES_FILE = re.compile(r"(^|/)IMG_DATA/(R20m/)?[^/]*_SCL_20m\.jp2$")
METADATA_FILE = re.compile(r"^MTD_MSIL(1C|2A)\.xml$")
RED_BAND_ID = "3"  # band_id of B04 in the product's metadata (PSD 15.0): B01 is 0, B02 is 1
OFFSET_FIELDS = ("BOA_ADD_OFFSET", "RADIO_ADD_OFFSET")  # of Level-2A and Level-1C


@dataclass(frozen=True)
class _Tree:
    """The files of a product: their names within it, and how GDAL calls them."""

    name: str
    prefix: str
    files: tuple[str, ...]
    archive: Path | None = None

    def href(self, file: str) -> str:
        return f"{self.prefix}/{file}"

    def text(self, file: str) -> bytes:
        if self.archive is None:
            return Path(self.href(file)).read_bytes()
        inside = self.href(file).removeprefix(f"/vsizip/{self.archive}/")
        with ZipFile(self.archive) as archive:
            return archive.read(inside)


def is_product(path: Path) -> bool:
    """Say whether a path is a `.SAFE` folder or a zip file."""
    return (path.is_dir() and path.suffix.upper() == SAFE) or path.suffix.lower() == ".zip"


def product_sources(path: Path) -> Iterator[SceneSource]:
    """Yield the scenes of a `.SAFE` folder or a zip file, by name.

    Raises:
        SceneError: there is none, or the archive is damaged.
    """
    if path.is_dir():
        files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*.*"))
        yield _safe_source(_Tree(path.stem, str(path), tuple(files)))
        return
    try:
        with ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if not name.endswith("/"))
    except (BadZipFile, OSError) as error:
        raise SceneError(f"{path} is no zip file that can be opened: fetch it again.") from error
    yield from _zip_sources(path, names)


def _zip_sources(path: Path, names: list[str]) -> Iterator[SceneSource]:
    products = sorted({_safe_root(name) for name in names if _safe_root(name)})
    for root in products:
        inside = tuple(name[len(root) + 1 :] for name in names if name.startswith(f"{root}/"))
        stem = PurePosixPath(root).stem
        yield _safe_source(_Tree(stem, f"/vsizip/{path}/{root}", inside, path))
    images = [
        name
        for name in names
        if PurePosixPath(name).suffix.lower() in SUFFIXES and not _safe_root(name)
    ]
    for name in images:
        href = f"/vsizip/{path}/{name}"
        yield SceneSource(PurePosixPath(name).stem, (href,), href)
    if not products and not images:
        raise SceneError(f"{path} holds no image: a zip must hold GeoTIFFs or a .SAFE product.")


def _safe_root(name: str) -> str:
    """The path of the product's folder within an archive; empty outside of one."""
    parts = PurePosixPath(name).parts[:-1]
    for count, part in enumerate(parts, start=1):
        if part.upper().endswith(SAFE):
            return "/".join(parts[:count])
    return ""


def _safe_source(tree: _Tree) -> SceneSource:
    """A product's colours, classes and metadata.

    Raises:
        SceneError: a band is missing, or the metadata cannot be read.
    """
    colours = []
    for band, pattern in zip(("B04", "B03", "B02"), COLOUR_FILES, strict=True):
        found = [file for file in tree.files if pattern.search(file)]
        if len(found) != 1:
            raise SceneError(
                f"{tree.prefix} has {len(found)} files of band {band} at 10 m, not one: fetch the "
                "product again."
            )
        colours.append(tree.href(found[0]))
    classes = next((file for file in tree.files if CLASSES_FILE.search(file)), None)
    metadata = _metadata(tree)
    offset = {name: metadata[name] for name in OFFSET_FIELDS if name in metadata}
    return SceneSource(
        scene_id=tree.name,
        files=tuple(colours),
        name=tree.prefix,
        text=tree.name,
        mask=MaskSource(href=tree.href(classes), kind="scl") if classes else None,
        date=metadata["PRODUCT_START_TIME"][:10],
        platform=metadata.get("SPACECRAFT_NAME", "").lower() or None,
        cloud_percent=_number(metadata.get("Cloud_Coverage_Assessment")),
        baseline=metadata.get("PROCESSING_BASELINE"),
        tags=offset,
    )


def _metadata(tree: _Tree) -> dict[str, str]:
    """Fields of the product's own metadata, by the last part of their names."""
    name = next((file for file in tree.files if METADATA_FILE.match(file)), None)
    if name is None:
        raise SceneError(f"{tree.prefix} has no MTD_MSIL2A.xml or MTD_MSIL1C.xml: fetch it again.")
    try:
        root = ElementTree.fromstring(tree.text(name))
    except ElementTree.ParseError as error:
        raise SceneError(f"{tree.href(name)} is damaged ({error}): fetch it again.") from error
    fields = {_tag(node): (node.text or "").strip() for node in root.iter() if _counts(node)}
    if "PRODUCT_START_TIME" not in fields:
        raise SceneError(f"{tree.href(name)} says no PRODUCT_START_TIME: fetch the product again.")
    return fields


def _counts(node: Element) -> bool:
    """Offsets stand there once a band; the red one speaks for the three colours."""
    return _tag(node) not in OFFSET_FIELDS or node.get("band_id") == RED_BAND_ID


def _tag(node: Element) -> str:
    return str(node.tag).rpartition("}")[2]


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
