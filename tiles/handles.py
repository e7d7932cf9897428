"""Rasters that stay open: one handle a thread and file, under settings fixed before the first."""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from tiles.access import Access, is_url
from tiles.errors import SceneError
from tiles.remote import complete, open_dataset

# GDAL's own, kept in the manifest; what the user has set in the environment stands.
GDAL_SETTINGS = {
    "GDAL_NUM_THREADS": "1",  # as many processes as cores work already
    "GDAL_CACHEMAX": "64",  # MB a process: two rows of blocks of a Sentinel-2 tile, all bands
}
KEPT_OPEN = 96  # files a thread: three bands and a mask of each of a composite's two dozen dates


def use_gdal_settings() -> dict[str, str]:
    """Settle GDAL's settings for this process, before it opens anything; returns those in force."""
    return {name: os.environ.setdefault(name, value) for name, value in GDAL_SETTINGS.items()}


@dataclass(frozen=True)
class _Key:
    """A file as it was when it was opened; `version` tells when another took its place."""

    href: str
    access: Access | None
    version: tuple[int, ...]


class _Kept(threading.local):
    """Open datasets of one thread, the latest used last."""

    def __init__(self) -> None:
        self.open: OrderedDict[_Key, DatasetReader] = OrderedDict()


_KEPT = _Kept()


@contextmanager
def kept_open(href: str, access: Access | None = None) -> Iterator[DatasetReader]:
    """A dataset that this thread keeps open for its next block; not to be closed.

    After an error it is closed and forgotten, for GDAL may hold blocks that never came.

    Args:
        href: a path, a GDAL path such as `/vsizip/a.zip/b.tif`, or an http(s) address.
        access: how to get at an address.

    Raises:
        SceneError: bytes of a file on a server cannot be had.
        RasterioError: the file cannot be read.
    """
    key = _Key(href, access, _version(href))
    with complete(href, access):
        dataset = _KEPT.open.pop(key, None) or open_dataset(href, access)
    try:
        with complete(href, access):
            yield dataset
    except (RasterioError, SceneError):
        dataset.close()
        raise
    _KEPT.open[key] = dataset
    while len(_KEPT.open) > KEPT_OPEN:
        _KEPT.open.popitem(last=False)[1].close()


def close_all() -> None:
    """Close what this thread keeps open."""
    while _KEPT.open:
        _KEPT.open.popitem()[1].close()


def _version(href: str) -> tuple[int, ...]:
    """Inode, size and time of change of a file here; nothing of one elsewhere or in an archive."""
    if is_url(href) or not os.path.exists(href):
        return ()
    facts = os.stat(href)
    return facts.st_ino, facts.st_size, facts.st_mtime_ns
