"""Zip files with fixed times, so that the same sites give the same archive."""

import io
import zipfile
from collections.abc import Mapping

from maps.sealing import FIXED_TIME


def zipped(members: Mapping[str, bytes]) -> bytes:
    """Return a zip archive of named contents, in the order given."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name, FIXED_TIME)
            # pictures are compressed already: trying again costs time and saves nothing
            stored = name.endswith((".jpg", ".png", ".pdf"))
            entry.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            entry.external_attr = 0o600 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


def unzipped(archive: bytes) -> dict[str, bytes]:
    """Return the members of a zip archive, in its order."""
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        return {name: source.read(name) for name in source.namelist()}
