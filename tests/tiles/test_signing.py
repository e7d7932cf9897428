import json
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from tests.loopback import loopback
from tiles.access import Access
from tiles.errors import AccessError
from tiles.signing import RequesterPays, WebRequest, signer_of
from tiles.web import WebClient


def nobody(url):
    raise AssertionError(f"{url} was asked")


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret.txt"
    path.write_text("s3cret\n")
    return path


def test_a_bearer_token_is_for_the_named_hosts_only(secret):
    access = Access(signing="bearer", credentials=secret, signing_hosts=("*.example.org",))
    signer = signer_of(access, nobody)
    signed = signer.sign(
        WebRequest("https://data.example.org/a.tif", headers={"Range": "bytes=0-1"})
    )
    assert signed.headers == {"Range": "bytes=0-1", "Authorization": "Bearer s3cret"}
    for url in ("https://example.org.evil.net/a.tif", "https://elsewhere.net/data.example.org"):
        assert signer.sign(WebRequest(url)) == WebRequest(url)
    assert "s3cret" not in repr(signer)


def test_a_shared_access_signature_follows_the_address(tmp_path):
    path = tmp_path / "sas.txt"
    path.write_text("?sv=2024&sig=abc")
    access = Access(signing="sas", credentials=path, signing_hosts=("store.example.org",))
    signer = signer_of(access, nobody)
    assert signer.sign(WebRequest("https://store.example.org/a")).url.endswith("/a?sv=2024&sig=abc")
    assert signer.sign(WebRequest("https://store.example.org/a?b=c")).url.endswith(
        "?b=c&sv=2024&sig=abc"
    )


def test_tokens_of_a_service_are_kept_until_they_expire(tmp_path):
    with loopback(tmp_path) as server:
        (tmp_path / "a.bin").write_bytes(b"pixels")
        access = Access(
            signing="sas_service",
            signing_url=server.file("token"),
            signing_hosts=("127.0.0.1",),
            retries=0,
        )
        client = WebClient(access)
        for lives, asked in ((timedelta(hours=1), 1), (timedelta(minutes=1), 2)):
            until = (datetime.now(UTC) + lives).isoformat()
            (tmp_path / "token").write_text(json.dumps({"token": "sig=x", "msft:expiry": until}))
            client = WebClient(access)
            for _ in range(2):
                assert client.send(server.file("a.bin")).body == b"pixels"
            paths = [one.path for one in server.took()]
            assert paths.count("/files/token") == asked
            assert paths.count("/files/a.bin?sig=x") == 2
        (tmp_path / "token").write_text("{}")
        with pytest.raises(AccessError, match="gives no token"):
            WebClient(access).send(server.file("a.bin"))


def test_requests_that_the_reader_pays_for_are_signed_as_aws_documents_it():
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "GET Object"
    signer = RequesterPays(
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "us-east-1",
        now=lambda: datetime(2013, 5, 24, tzinfo=UTC),
    )
    request = WebRequest(
        "https://examplebucket.s3.amazonaws.com/test.txt", headers={"Range": "bytes=0-9"}
    )
    signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    assert signer.signed(request).headers["Authorization"].endswith(f"Signature={signature}")
    paying = signer.sign(request).headers
    assert paying["x-amz-request-payer"] == "requester"
    assert "x-amz-request-payer" in paying["Authorization"]
    elsewhere = WebRequest("https://example.org/test.txt")
    assert signer.sign(elsewhere) == elsewhere


def test_requester_pays_reads_its_keys_from_a_file(tmp_path):
    path = tmp_path / "keys.toml"
    path.write_text(
        'access_key_id = "a"\nsecret_access_key = "b"\nregion = "us-west-2"\nsession_token = "t"\n'
    )
    signer = signer_of(Access(signing="requester_pays", credentials=path), nobody)
    headers = signer.sign(WebRequest("https://usgs-landsat.s3.us-west-2.amazonaws.com/x")).headers
    assert headers["x-amz-security-token"] == "t"
    path.write_text('access_key_id = "a"')
    with pytest.raises(AccessError, match="must hold access_key_id, secret_access_key and region"):
        signer_of(Access(signing="requester_pays", credentials=path), nobody)


def test_an_installed_package_brings_a_signer_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "own_signer.py").write_text(
        "from dataclasses import replace\n"
        "class Own:\n"
        "    def sign(self, request):\n"
        "        return replace(request, url=request.url + '?own=1')\n"
        "def make(access):\n"
        "    return Own()\n"
    )
    info = tmp_path / "own_signer-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-signer\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kilnlight.signers]\nown = own_signer:make\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    signer = signer_of(Access(signing="own"), nobody)
    assert signer.sign(WebRequest("https://a.org/b")).url == "https://a.org/b?own=1"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"signing": "magic"}, "'magic' is no signer: use one of none, bearer, sas"),
        ({"signing": "bearer", "signing_hosts": ("a",)}, "needs credentials"),
        ({"signing": "sas_service", "signing_hosts": ("a",)}, "needs signing_url"),
    ],
)
def test_what_a_signer_lacks_is_said(changes, sentence):
    with pytest.raises(AccessError, match=sentence):
        signer_of(Access(**changes), nobody)


def test_a_secret_without_hosts_or_words_is_refused(secret, tmp_path):
    with pytest.raises(AccessError, match="needs signing_hosts"):
        signer_of(Access(signing="bearer", credentials=secret), nobody)
    with pytest.raises(AccessError, match="cannot be read"):
        signer_of(Access(signing="bearer", credentials=tmp_path / "none"), nobody)
    secret.write_text("\n")
    with pytest.raises(AccessError, match="is empty"):
        signer_of(Access(signing="bearer", credentials=secret), nobody)


def test_no_secret_goes_over_a_line_that_others_read(secret):
    access = Access(signing="bearer", credentials=secret, signing_hosts=("data.example.org",))
    signer = signer_of(access, nobody)
    with pytest.raises(AccessError, match=r"data\.example\.org would get the secret .* over http"):
        signer.sign(WebRequest("http://data.example.org/a.tif"))


def test_a_key_in_the_address_of_a_service_is_refused():
    with pytest.raises(ValidationError, match="would be written down"):
        Access(signing="sas_service", signing_url="https://a.org/token?subscription-key=s3cret")
