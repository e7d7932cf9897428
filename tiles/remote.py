"""GDAL reads a file on a server through the range store, as if it were a file here.

Not through GDAL's own /vsicurl, whose cache ends with the process: here GDAL says which bytes it
wants, all tiles of a window at once, and the store knows which of them are already on disk.
"""

import atexit
import hashlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from functools import lru_cache
from weakref import WeakSet

import rasterio
from rasterio.abc import MultiByteRangeResourceContainer
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from tiles.access import Access, is_url
from tiles.errors import AccessError
from tiles.range_store import HEAD_BYTES, RangeStore, StoredFile

# GDAL settings for files on servers; sources: GDAL's documentation of configuration options
REMOTE_SETTINGS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no search for .aux.xml, .ovr and .msk beside it
    "GDAL_INGESTED_BYTES_AT_OPEN": str(HEAD_BYTES),  # the header in one go, as the store fetches it
}


class _RemoteReader(io.RawIOBase):
    """A stored file as the object that GDAL seeks and reads in."""

    def __init__(self, files: "_RemoteFiles", stored: StoredFile) -> None:
        self._files, self._stored, self._at = files, stored, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._stored.facts.size}
        self._at = origin[whence] + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        length = self._stored.facts.size - self._at if size < 0 else size
        try:
            piece = self._stored.read(self._at, length)
        except AccessError as error:
            self._files.store.note_refusal(self._stored.facts.href, str(error))
            return b""  # GDAL takes it for the end of the file, and fails
        self._at += len(piece)
        return piece

    def get_byte_ranges(self, offsets: list[int], sizes: list[int]) -> list[bytes]:
        """All that GDAL needs for one window, fetched side by side.

        An exception would be lost between Python and GDAL, so what cannot be had comes as zeros and
        is noted; `complete` turns the note into an error before anybody uses the pixels.
        """
        href = self._stored.facts.href
        try:
            pieces = self._stored.read_many(offsets, sizes)
        except AccessError as error:
            self._files.store.note_refusal(href, str(error))
            return [bytes(size) for size in sizes]
        if any(len(piece) < size for piece, size in zip(pieces, sizes, strict=True)):
            self._files.store.note_refusal(href, f"{href} is shorter than its header says.")
        return [piece.ljust(size, b"\0") for piece, size in zip(pieces, sizes, strict=True)]


class _RemoteFiles:
    """What rasterio calls an opener: files by their address, and nothing beside them."""

    def __init__(self, access: Access) -> None:
        self.store = RangeStore(access)

    def open(self, path: str, mode: str = "rb", **options: object) -> _RemoteReader:
        return _RemoteReader(self, self.store.file(path))

    def isfile(self, path: str) -> bool:
        return True

    def isdir(self, path: str) -> bool:
        return False

    def ls(self, path: str) -> list[str]:
        return []

    def mtime(self, path: str) -> int:
        return 0

    def size(self, path: str) -> int:
        return self.store.file(path).facts.size

    def rm(self, path: str) -> None:
        raise OSError("files on servers are only read")


MultiByteRangeResourceContainer.register(_RemoteFiles)

_OPEN: WeakSet[DatasetReader] = WeakSet()


@atexit.register
def _close_all() -> None:
    """Close what is still open: when Python is gone, GDAL could no longer ask it for bytes."""
    for dataset in list(_OPEN):
        dataset.close()


@lru_cache(maxsize=8)  # a process works by one set of settings; tests by a few
def _files_of(access: Access) -> _RemoteFiles:
    return _RemoteFiles(access)


def store_of(access: Access) -> RangeStore:
    """The one store of this process for these settings."""
    return _files_of(access).store


@contextmanager
def open_raster(href: str, access: Access | None = None) -> Iterator[DatasetReader]:
    """Open a raster by path or address for the body of a `with`.

    Args:
        href: a path, a GDAL path such as `/vsizip/a.zip/b.tif`, or an http(s) address, unsigned.
        access: how to get at an address; the defaults when None.

    Raises:
        AccessError: a file on a server, or bytes that were read of it, cannot be had.
        RasterioIOError: no raster that GDAL reads.
    """
    with complete(href, access), open_dataset(href, access) as dataset:
        yield dataset


def open_dataset(href: str, access: Access | None = None) -> DatasetReader:
    """Open a raster by path or address, to be kept open; the caller closes it.

    Every read of it belongs into `with complete(href, access)`; after an error there the dataset
    must be closed and not used again, because GDAL may hold blocks that never came.
    """
    if not is_url(href):
        return rasterio.open(href)
    files = _files_of(access or Access())
    files.store.file(href)  # what is wrong with the address is said here, in a sentence
    with rasterio.Env(**REMOTE_SETTINGS):
        dataset = rasterio.open(href, opener=files)
    _OPEN.add(dataset)
    return dataset


@contextmanager
def complete(href: str, access: Access | None = None) -> Iterator[None]:
    """Vouch that every byte read of a file in the body of a `with` was had.

    A file whose bytes came but do not decode is forgotten, so that they are asked for anew.

    Raises:
        AccessError: some were not; with the reason, which GDAL does not pass on.
    """
    if not is_url(href):
        yield
        return
    store = store_of(access or Access())
    before = store.refusals(href)
    try:
        yield
    except RasterioError as error:
        if store.refusals(href) != before:
            raise AccessError(store.refusals(href)[-1]) from error
        store.forget(href)
        raise
    if store.refusals(href) != before:
        raise AccessError(store.refusals(href)[-1])


def fingerprint_of(hrefs: Sequence[str], access: Access | None) -> str | None:
    """What changes when one of the files on servers does; None where all of them are here.

    SHA-256 over address, size and version (ETag or date of change) of each.

    Raises:
        AccessError: nothing can be known of one of them.
    """
    remote = sorted({href for href in hrefs if is_url(href)})
    if not remote:
        return None
    store = store_of(access or Access())
    facts = [astuple(store.file(href).facts) for href in remote]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
