"""A folder for named recipients only: one zip with fixed times, encrypted with age.

The zip of a folder is the same bytes each time; what age makes of it never is, on purpose.
"""

import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyrage

from tiles.errors import ConfigError
from tiles.files import atomic_path

FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say: when it was made is nobody's
SUFFIX = ".zip.age"
OWNER_READS = 0o644 << 16  # the permission bits of a plain file, where a zip keeps them
AGE, SSH = "age1", "ssh-"
SECRET = "AGE-SECRET-KEY-"


@dataclass(frozen=True)
class Recipients:
    """Who can open what is encrypted: public keys, checked."""

    keys: tuple[pyrage.x25519.Recipient | pyrage.ssh.Recipient, ...]
    texts: tuple[str, ...] = ()
    """The same keys as they are written: public, so a log may hold them."""

    def encrypt(self, plain: bytes) -> bytes:
        """Return the bytes of an age file that each of the recipients can open."""
        return bytes(pyrage.encrypt(plain, list(self.keys)))


def read_recipients(texts: Iterable[str]) -> Recipients:
    """Read public keys: `age1...`, `ssh-ed25519 ...`, or a file that holds one a line.

    Raises:
        ConfigError: there is none, one is a secret key, or one is no key.
    """
    written = [line for text in texts for line in _lines(text)]
    if not written:
        raise ConfigError("nobody to encrypt for: give a public key with --to (age1...).")
    keys = tuple(_key(line, where) for line, where in written)
    # behind an SSH key stands whose it is
    return Recipients(keys, tuple(" ".join(line.split()[:2]) for line, _ in written))


def _lines(text: str) -> list[tuple[str, str]]:
    """Keys as they are written, each with where it stands."""
    if text.startswith((AGE, SSH, SECRET)):
        return [(text, "--to")]
    try:
        lines = Path(text).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            f"--to {text[:40]!r} is neither a public key (age1...) nor a readable file of them."
        ) from None
    stripped = [line.strip() for line in lines]
    return [(line, text) for line in stripped if line and not line.startswith("#")]


def _key(text: str, where: str) -> pyrage.x25519.Recipient | pyrage.ssh.Recipient:
    if text.startswith(SECRET):  # never repeat it: messages end up in logs
        raise ConfigError(f"{where} holds a secret key: give the public one, which begins age1.")
    try:
        if text.startswith(SSH):
            return pyrage.ssh.Recipient.from_str(text)
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        raise ConfigError(
            f"{where} holds {text[:24]!r}, which is no public key of age: copy the whole line that "
            "begins age1, without spaces."
        ) from None


def zip_folder(folder: Path) -> bytes:
    """Return a zip of a folder's files; same files, same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(str(path.relative_to(folder)), FIXED_TIME)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, OWNER_READS
            archive.writestr(entry, path.read_bytes())
    return buffer.getvalue()


def write_sealed(folder: Path, out: Path, recipients: Recipients) -> None:
    """Write a folder as one encrypted file, whole or not at all."""
    with atomic_path(out) as temporary:
        temporary.write_bytes(recipients.encrypt(zip_folder(folder)))
