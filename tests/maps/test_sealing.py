import io
import zipfile

import pyrage
import pytest

from maps.sealing import read_recipients, write_sealed, zip_folder
from tiles.errors import ConfigError


@pytest.fixture(scope="module")
def identity():
    return pyrage.x25519.Identity.generate()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "folder"
    (folder / "chips").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "chips" / "b.txt").write_text("b")
    return folder


def test_same_files_same_zip(folder):
    first = zip_folder(folder)
    (folder / "a.txt").touch()
    assert zip_folder(folder) == first
    assert zipfile.ZipFile(io.BytesIO(first)).namelist() == ["a.txt", "chips/b.txt"]


def test_every_recipient_can_open_it_and_nobody_else(folder, identity, tmp_path):
    second = pyrage.x25519.Identity.generate()
    keys = tmp_path / "keys.txt"
    keys.write_text(f"# team\n\n{second.to_public()}\n")
    recipients = read_recipients([str(identity.to_public()), str(keys)])
    write_sealed(folder, tmp_path / "out.age", recipients)
    sealed = (tmp_path / "out.age").read_bytes()
    for known in (identity, second):
        assert pyrage.decrypt(sealed, [known]) == zip_folder(folder)
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(sealed, [pyrage.x25519.Identity.generate()])


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "nobody to encrypt for"),
        (["age1qqqq"], "'age1qqqq', which is no public key"),
        (["ssh-ed25519 AAAA"], "which is no public key"),
        (["no such file"], "neither a public key"),
        (["AGE-SECRET-KEY-1QQQQ"], "holds a secret key: give the public one"),
    ],
)
def test_what_is_no_public_key_is_said_in_a_sentence(texts, message):
    with pytest.raises(ConfigError, match=message) as said:
        read_recipients(texts)
    assert "1QQQQ" not in str(said.value)


def test_an_empty_file_of_keys_is_nobody(tmp_path):
    (tmp_path / "keys.txt").write_text("# none yet\n")
    with pytest.raises(ConfigError, match="nobody to encrypt for"):
        read_recipients([str(tmp_path / "keys.txt")])
