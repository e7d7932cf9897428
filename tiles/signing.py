"""Who may read a store: signers put a token, a signature or a payer's consent on a request.

This is the plug point for stores that are not open. A signer is named in `[access] signing`; a
package brings its own by declaring, in the entry point group `kilnlight.signers`, a function that
takes the `Access` settings and returns a `Signer`.
"""

import hashlib
import hmac
import json
import threading
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit

from tiles.access import Access
from tiles.errors import AccessError

ENTRY_POINTS = "kilnlight.signers"
EXPIRES_EARLY = timedelta(minutes=5)  # a token is fetched anew before a download can outlive it
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()  # of the body of a GET
AWS_HOSTS = ("*.amazonaws.com",)
THIS_MACHINE = ("127.0.0.1", "::1", "localhost")  # nobody listens on the way to oneself


@dataclass(frozen=True)
class WebRequest:
    """What is about to be sent: a signer returns it with a longer address or more headers."""

    url: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The server's name, without the port."""
        return urlsplit(self.url).hostname or ""


class Signer(Protocol):
    """Makes a request one that its store accepts."""

    def sign(self, request: WebRequest) -> WebRequest:
        """Return the request, signed."""
        ...


@dataclass(frozen=True)
class NoSigner:
    """For open stores."""

    def sign(self, request: WebRequest) -> WebRequest:
        """Return the request as it is."""
        return request


@dataclass(frozen=True)
class Bearer:
    """A token in the `Authorization` header (RFC 6750), for the named hosts only."""

    token: str = field(repr=False)
    hosts: tuple[str, ...]

    def sign(self, request: WebRequest) -> WebRequest:
        """Add the header where the host is one of ours."""
        if not _may_see(request, self.hosts):
            return request
        return _with_headers(request, {"Authorization": f"Bearer {self.token}"})


@dataclass(frozen=True)
class SharedAccess:
    """A shared access signature (SAS) of Azure: a query string behind the address."""

    query: Callable[[], str] = field(repr=False)
    hosts: tuple[str, ...]

    def sign(self, request: WebRequest) -> WebRequest:
        """Add the query string where the host is one of ours."""
        if not _may_see(request, self.hosts):
            return request
        joint = "&" if "?" in request.url else "?"
        return replace(request, url=f"{request.url}{joint}{self.query().lstrip('?')}")


class SasService:
    """Fetches short-lived SAS tokens and keeps one until shortly before it expires.

    The service answers `{"token": "...", "msft:expiry": "2026-01-01T00:00:00Z"}`, as the token
    endpoint of Microsoft's Planetary Computer does.
    """

    def __init__(self, url: str, fetch: Callable[[str], bytes]) -> None:
        self._url, self._fetch = url, fetch
        self._token, self._until = "", datetime.min.replace(tzinfo=UTC)
        self._lock = threading.Lock()

    def token(self) -> str:
        """The token, fetched anew when the one in hand is about to expire.

        Raises:
            AccessError: the service gives none.
        """
        with self._lock:
            if datetime.now(UTC) + EXPIRES_EARLY >= self._until:
                try:
                    answer = json.loads(self._fetch(self._url))
                    self._token = str(answer["token"])
                    self._until = datetime.fromisoformat(str(answer["msft:expiry"])).astimezone(UTC)
                except (ValueError, KeyError, TypeError) as error:
                    raise AccessError(
                        f"{self._url} gives no token ({error!r}): check [access] signing_url."
                    ) from error
            return self._token


@dataclass(frozen=True)
class RequesterPays:
    """AWS Signature Version 4 with the reader's consent to pay (`x-amz-request-payer`).

    Source: AWS, "Authenticating Requests: Using the Authorization Header", and "Using Requester
    Pays buckets"; the tests hold the documentation's own example.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    region: str
    session_token: str | None = field(default=None, repr=False)
    hosts: tuple[str, ...] = AWS_HOSTS
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC), repr=False)

    def sign(self, request: WebRequest) -> WebRequest:
        """Add the signature where the host is AWS's."""
        if not _may_see(request, self.hosts):
            return request
        extra = {"x-amz-request-payer": "requester"}
        if self.session_token:
            extra["x-amz-security-token"] = self.session_token
        return self.signed(_with_headers(request, extra))

    def signed(self, request: WebRequest) -> WebRequest:
        """Sign a request for S3 with the headers it has."""
        stamp = self.now().strftime("%Y%m%dT%H%M%SZ")
        parts = urlsplit(request.url)
        headers = request.headers | {
            "Host": parts.netloc,
            "x-amz-content-sha256": EMPTY_SHA256,
            "x-amz-date": stamp,
        }
        names = sorted(headers, key=str.lower)
        lines = "".join(f"{name.lower()}:{headers[name].strip()}\n" for name in names)
        signed_names = ";".join(name.lower() for name in names)
        query = "&".join(sorted(parts.query.split("&"))) if parts.query else ""
        canonical = (
            request.method,
            quote(unquote(parts.path)),
            query,
            lines,
            signed_names,
            EMPTY_SHA256,
        )
        scope = f"{stamp[:8]}/{self.region}/s3/aws4_request"
        digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        signature = hmac.new(self._key(scope), to_sign.encode(), hashlib.sha256).hexdigest()
        authorization = (
            f"AWS4-HMAC-SHA256 Credential={self.access_key_id}/{scope},"
            f"SignedHeaders={signed_names},Signature={signature}"
        )
        return replace(request, headers=headers | {"Authorization": authorization})

    def _key(self, scope: str) -> bytes:
        key = f"AWS4{self.secret_access_key}".encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return key


def signer_of(access: Access, fetch: Callable[[str], bytes]) -> Signer:
    """Build the signer that the settings name.

    Args:
        access: the settings.
        fetch: gets an address without signing, for tokens handed out by a service.

    Raises:
        AccessError: no such signer, or what it needs is missing.
    """
    builtin: dict[str, Callable[[], Signer]] = {
        "none": NoSigner,
        "bearer": lambda: Bearer(_secret(access), _hosts(access)),
        "sas": lambda: SharedAccess(_constant(_secret(access)), _hosts(access)),
        "sas_service": lambda: SharedAccess(_service(access, fetch).token, _hosts(access)),
        "requester_pays": lambda: _requester_pays(access),
    }
    if access.signing in builtin:
        return builtin[access.signing]()
    for entry in entry_points(group=ENTRY_POINTS, name=access.signing):
        brought: Signer = entry.load()(access)
        return brought
    raise AccessError(
        f"[access] signing = {access.signing!r} is no signer: use one of {', '.join(builtin)}, or "
        f"install the package that declares it in {ENTRY_POINTS}."
    )


def _service(access: Access, fetch: Callable[[str], bytes]) -> SasService:
    if access.signing_url is None:
        raise AccessError("[access] signing = 'sas_service' needs signing_url: who gives tokens?")
    return SasService(access.signing_url, fetch)


def _requester_pays(access: Access) -> RequesterPays:
    names = ("access_key_id", "secret_access_key", "region")
    try:
        values = tomllib.loads(_secret(access))
        key, secret, region = (str(values[name]) for name in names)
        token = str(values["session_token"]) if "session_token" in values else None
        return RequesterPays(key, secret, region, token, access.signing_hosts or AWS_HOSTS)
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise AccessError(
            f"{access.credentials} must hold access_key_id, secret_access_key and region as TOML "
            "for [access] signing = 'requester_pays'."
        ) from error


def _constant(text: str) -> Callable[[], str]:
    return lambda: text


def _secret(access: Access) -> str:
    where = f"[access] signing = {access.signing!r}"
    if access.credentials is None:
        raise AccessError(f"{where} needs credentials: name the file that holds the secret.")
    try:
        secret = Path(access.credentials).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise AccessError(
            f"{where}: {access.credentials} cannot be read: check the path."
        ) from error
    if not secret:
        raise AccessError(f"{where}: {access.credentials} is empty: put the secret there.")
    return secret


def _hosts(access: Access) -> tuple[str, ...]:
    if not access.signing_hosts:
        raise AccessError(
            f"[access] signing = {access.signing!r} needs signing_hosts: name the hosts that may "
            "see the secret, so that no other one does."
        )
    return access.signing_hosts


def _may_see(request: WebRequest, hosts: tuple[str, ...]) -> bool:
    """Whether a request goes to one of the hosts that the secret is for.

    Raises:
        AccessError: it does, but anybody on the way could read the secret.
    """
    if not is_one_of(request.host, hosts):
        return False
    if not request.url.startswith("https://") and request.host not in THIS_MACHINE:
        raise AccessError(
            f"{request.host} would get the secret of [access] signing over http, where others can "
            "read it: use its https address."
        )
    return True


def is_one_of(host: str, patterns: tuple[str, ...]) -> bool:
    """Say whether a host is one of those named; `*.example.org` is all below it."""
    return any(fnmatch(host.lower(), pattern.lower()) for pattern in patterns)


def _with_headers(request: WebRequest, headers: dict[str, str]) -> WebRequest:
    return replace(request, headers=request.headers | headers)
