"""Files on servers, kept here in blocks: what was read once is never asked for again.

Each remote file is a sparse file of the same size beside a table with the CRC-32 of every block
that is present. A crash leaves whole blocks; a damaged block is noticed when it is read and fetched
anew. Several processes may share a folder: they write the same bytes to the same places.
"""

import fcntl
import hashlib
import json
import os
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from tiles.access import Access
from tiles.cache_limit import keep_within
from tiles.errors import AccessError
from tiles.files import write_text
from tiles.web import Reply, WebClient

BLOCK_BYTES = 1 << 15  # a compressed tile is cut into a few dozen: little is fetched in vain
HEAD_BYTES = 1 << 17  # the header of a Sentinel-2 COG with its tile index is about 30 KB
LONGEST_RANGE_BYTES = 8 << 20  # longer ones are cut, so that several connections share them
WORTH_A_GAP_BYTES = 1 << 16  # fewer bytes between two ranges cost less than another request
ENTRY = struct.Struct("<I")  # CRC-32 of a block that is present; 0 where it is not
LOOK_AT_LIMIT_EVERY = 256 << 20  # new bytes between two looks at the folder's size


@dataclass(frozen=True)
class RemoteFacts:
    """What the server says of a file; when version or size change, it is another file."""

    href: str
    size: int
    version: str


class RangeStore:
    """The folder of `[access] cache`: one subfolder a remote file."""

    def __init__(self, access: Access) -> None:
        self.access, self.client = access, WebClient(access)
        self.folder = access.cache / "files"
        self._open: WeakValueDictionary[str, StoredFile] = WeakValueDictionary()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(access.connections, thread_name_prefix="fetch")
        self._new_bytes = LOOK_AT_LIMIT_EVERY  # look at the first occasion
        self._refusals: dict[str, tuple[str, ...]] = {}

    def file(self, href: str) -> "StoredFile":
        """The file behind an address; its head is fetched where nothing is known of it.

        Raises:
            AccessError: it cannot be had.
        """
        with self._lock:
            known = self._open.get(href)
        if known is not None:
            return known
        stored = StoredFile.open(self, href)
        with self._lock:
            return self._open.setdefault(href, stored)

    def note_refusal(self, href: str, reason: str) -> None:
        """Keep the reason why bytes of a file could not be had."""
        with self._lock:
            self._refusals[href] = (*self._refusals.get(href, ()), reason)

    def refusals(self, href: str) -> tuple[str, ...]:
        """Every reason so far why bytes of a file could not be had, in their order."""
        with self._lock:
            return self._refusals.get(href, ())

    def forget(self, href: str) -> None:
        """Let go of all that is kept of a file: its bytes are no good, and may be mended there."""
        with self._lock:
            self._open.pop(href, None)
        folder = self.folder_of(href)
        (folder / "facts.json").unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            os.truncate(folder / "have", 0)

    def folder_of(self, href: str) -> Path:
        """Where a file's blocks lie; signers lengthen an address later, so this one stays."""
        key = hashlib.sha256(href.encode()).hexdigest()[:32]
        return self.folder / key[:2] / key

    def submit(self, stored: "StoredFile", first: int, count: int) -> "Future[None]":
        """Fetch blocks of a file in the background."""
        return self._pool.submit(stored.fetch, first, count)

    def grew(self, new_bytes: int) -> None:
        """Count what was written, and now and then hold the folder to its limit."""
        with self._lock:
            self._new_bytes += new_bytes
            due = self._new_bytes >= LOOK_AT_LIMIT_EVERY
            if due:
                self._new_bytes = 0
        if due:
            keep_within(self.folder, self.access.cache_limit_bytes)


class StoredFile:
    """One remote file, present in part; safe to use from several threads."""

    def __init__(self, store: RangeStore, facts: RemoteFacts, folder: Path) -> None:
        self._store, self.facts, self._folder = store, facts, folder
        self._data = os.open(folder / "data", os.O_RDWR | os.O_CREAT, 0o600)
        self._have = os.open(folder / "have", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._have, fcntl.LOCK_SH)  # while it is open, the limit spares it
        os.utime(self._have)
        os.truncate(self._data, facts.size)
        os.truncate(self._have, self._blocks * ENTRY.size)
        self._pending: dict[int, Future[None]] = {}
        self._lock = threading.Lock()

    def __del__(self) -> None:
        for handle in ("_data", "_have"):
            if hasattr(self, handle):
                os.close(getattr(self, handle))

    @classmethod
    def open(cls, store: RangeStore, href: str) -> "StoredFile":
        """Open what is known of a file, or ask the server for its head."""
        folder = store.folder_of(href)
        facts = _read_facts(folder / "facts.json")
        if facts is not None:
            with suppress(FileNotFoundError):  # another process has just made room
                return cls(store, facts, folder)
        reply = store.client.send(href, headers={"Range": f"bytes=0-{HEAD_BYTES - 1}"})
        facts = RemoteFacts(href, _whole_size(href, reply), _version(reply))
        folder.mkdir(parents=True, exist_ok=True)
        stored = cls(store, facts, folder)
        stored.keep(0, reply.body)
        write_text(folder / "facts.json", json.dumps(vars(facts), indent=1) + "\n")
        return stored

    @property
    def _blocks(self) -> int:
        return -(-self.facts.size // BLOCK_BYTES)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the file, from the folder or from the server.

        Raises:
            AccessError: they cannot be had.
        """
        return self.read_many([offset], [length])[0]

    def read_many(self, offsets: Sequence[int], lengths: Sequence[int]) -> list[bytes]:
        """Several stretches of the file; what is missing of all of them is fetched at once.

        Raises:
            AccessError: one cannot be had.
        """
        ends = [min(o + n, self.facts.size) for o, n in zip(offsets, lengths, strict=True)]
        spans = [
            range(start // BLOCK_BYTES, -(-end // BLOCK_BYTES)) if end > start else range(0)
            for start, end in zip(offsets, ends, strict=True)
        ]
        self.ensure(sorted({block for span in spans for block in span}))
        return [
            self._present(start, end, span)
            for start, end, span in zip(offsets, ends, spans, strict=True)
        ]

    def ensure(self, blocks: Sequence[int]) -> None:
        """Have these blocks in the folder.

        Raises:
            AccessError: one cannot be had; those that came are kept.
        """
        with self._lock:
            missing = [block for block in blocks if not self._crc(block)]
            mine = [block for block in missing if block not in self._pending]
            futures = {self._pending[block] for block in missing if block in self._pending}
            for first, count in _runs(mine):
                future = self._store.submit(self, first, count)
                futures.add(future)
                self._pending |= dict.fromkeys(range(first, first + count), future)
        if not futures:
            return
        wait(futures)
        with self._lock:
            for block in mine:
                self._pending.pop(block, None)
        for future in futures:
            future.result()

    def fetch(self, first: int, count: int) -> None:
        """Ask the server for blocks and keep them.

        Raises:
            AccessError: they cannot be had, or the file there has changed.
        """
        start = first * BLOCK_BYTES
        end = min(start + count * BLOCK_BYTES, self.facts.size)
        href = self.facts.href
        reply = self._store.client.send(href, headers={"Range": f"bytes={start}-{end - 1}"})
        if (_version(reply), _whole_size(href, reply)) != (self.facts.version, self.facts.size):
            (self._folder / "facts.json").unlink(missing_ok=True)
            os.truncate(self._have, 0)
            raise AccessError(f"{href} was changed on its server while it was read: run again.")
        whole = reply.status != 206
        body = reply.body[start:end] if whole else reply.body
        if len(body) != end - start:
            raise AccessError(f"{href} sends {len(body)} bytes of {end - start}: run again later.")
        self.keep(first, body)

    def keep(self, first: int, body: bytes) -> None:
        """Write whole blocks that begin with block `first`, and note that they are there."""
        view = memoryview(body)
        entries = bytearray()
        for start in range(0, len(view), BLOCK_BYTES):
            block = view[start : start + BLOCK_BYTES]
            is_last = first * BLOCK_BYTES + start + len(block) == self.facts.size
            if len(block) == BLOCK_BYTES or is_last:
                os.pwrite(self._data, block, first * BLOCK_BYTES + start)
                entries += ENTRY.pack(zlib.crc32(block) or 1)
        os.pwrite(self._have, entries, first * ENTRY.size)  # after the bytes that it speaks of
        self._store.grew(len(body))

    def _crc(self, block: int) -> int:
        entry = os.pread(self._have, ENTRY.size, block * ENTRY.size)
        return int(ENTRY.unpack(entry)[0]) if len(entry) == ENTRY.size else 0

    def _present(self, start: int, end: int, span: range) -> bytes:
        """Bytes of blocks that are there; a damaged block is fetched anew, once."""
        if end <= start:
            return b""
        origin = span.start * BLOCK_BYTES
        for last_try in (False, True):
            data = os.pread(
                self._data, min(span.stop * BLOCK_BYTES, self.facts.size) - origin, origin
            )
            bad = [block for block in span if not self._holds(block, data, origin)]
            if not bad:
                return data[start - origin : end - origin]
            if last_try:
                break
            for block in bad:
                os.pwrite(self._have, ENTRY.pack(0), block * ENTRY.size)
            self.ensure(bad)
        raise AccessError(f"{self._folder} is damaged and does not mend: delete it, and run again.")

    def _holds(self, block: int, data: bytes, origin: int) -> bool:
        at = block * BLOCK_BYTES - origin
        return (zlib.crc32(memoryview(data)[at : at + BLOCK_BYTES]) or 1) == self._crc(block)


def _runs(blocks: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Neighbouring blocks as (first, count): small gaps are bridged, long runs cut."""
    longest, gap = LONGEST_RANGE_BYTES // BLOCK_BYTES, WORTH_A_GAP_BYTES // BLOCK_BYTES
    start = previous = None
    for block in blocks:
        if start is None or previous is None:
            start = block
        elif block - previous > gap + 1 or block - start >= longest:
            yield start, previous - start + 1
            start = block
        previous = block
    if start is not None and previous is not None:
        yield start, previous - start + 1


def _read_facts(path: Path) -> RemoteFacts | None:
    try:
        return RemoteFacts(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _version(reply: Reply) -> str:
    """What tells one state of a file from the next: its ETag, else the day it was changed."""
    return reply.headers.get("etag") or reply.headers.get("last-modified", "")


def _whole_size(href: str, reply: Reply) -> int:
    if reply.status != 206:
        return len(reply.body)
    try:
        return int(reply.headers["content-range"].rpartition("/")[2])
    except (KeyError, ValueError):
        raise AccessError(
            f"{href} does not say how long it is: its server cannot send parts of files."
        ) from None
