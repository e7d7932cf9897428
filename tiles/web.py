"""One polite web client: time-outs, retries with growing pauses, Retry-After, one sentence of why.

Everything that ever goes over a network for imagery, catalogue or pixels, goes through here.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter

from tiles.access import Access
from tiles.errors import AccessError
from tiles.signing import NoSigner, Signer, WebRequest, is_one_of, signer_of

FIRST_PAUSE_S = 0.5  # doubled after each try: 0.5, 1, 2, 4, 8 s
LONGEST_PAUSE_S = 60.0  # a server that asks for more is busy for good: better say so and end
SLOWEST_BYTES_S = 20_000  # a transfer slower than this for long is as good as broken off
MOST_REDIRECTS = 5  # a file moved that often goes in circles
CHUNK_BYTES = 1 << 18  # read in pieces, so that the deadline is looked at while bytes trickle
TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})  # RFC 9110, 6585: may pass by itself
NEED_SIGNING = frozenset({401, 403})
BROKEN_TRANSFER = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.HTTPError,  # what a broken stream raises while its body is read
)


@dataclass(frozen=True)
class Reply:
    """A successful answer: status, headers (names in lower case), and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class _Failure:
    """Why a try failed, and how long the server asked to wait, in seconds."""

    reason: str
    wait_s: float | None = None


@dataclass(frozen=True)
class _Moved:
    """A server sends us on to another address."""

    location: str


class WebClient:
    """Sends requests by the `[access]` settings; safe to use from several threads."""

    def __init__(self, access: Access, pause: Callable[[float], None] = time.sleep) -> None:
        self._access, self._pause = access, pause
        self._session = requests.Session()
        self._session.auth = _as_signed
        adapter = HTTPAdapter(pool_maxsize=access.connections, max_retries=0)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self._signer: Signer = signer_of(access, self._fetch_token)

    def send(
        self,
        url: str,
        method: str = "GET",
        headers: Mapping[str, str] = MappingProxyType({}),
        json_body: Mapping[str, Any] | None = None,
        signed: bool = True,
    ) -> Reply:
        """Send a request until it is answered, the tries are used up, or the answer is final.

        Args:
            url: unsigned address; only this one is ever named in messages.
            method: GET or POST.
            headers: further headers.
            json_body: what a POST carries.
            signed: whether the signer may add to the request.

        Raises:
            AccessError: no try succeeded, or the settings forbid to ask.
        """
        if self._access.offline:
            raise AccessError(
                f"{url} is not in the cache {self._access.cache}, and [access] offline = true "
                "forbids to ask for it: fetch it while there is a network."
            )
        signer = self._signer if signed else NoSigner()
        failure = _Failure("")
        for tries in range(self._access.retries + 1):
            if tries:
                self._pause(_pause_s(tries, failure.wait_s))
            outcome = self._try(signer, WebRequest(url, method, dict(headers)), json_body)
            if isinstance(outcome, Reply):
                return outcome
            failure = outcome
            if failure.wait_s is not None and failure.wait_s > LONGEST_PAUSE_S:
                raise AccessError(
                    f"{url} asks to be left alone for {failure.wait_s:.0f} s "
                    f"({failure.reason}): run again after that."
                )
        raise AccessError(
            f"{url} cannot be had ({failure.reason}, {self._access.retries + 1} tries): check the "
            "network, or run again later; what was fetched is kept."
        )

    def _try(
        self, signer: Signer, wanted: WebRequest, json_body: Mapping[str, Any] | None
    ) -> Reply | _Failure:
        """Ask once, and go on to where the server sends us; each request is signed for itself."""
        going = wanted
        for _ in range(MOST_REDIRECTS + 1):
            outcome = self._ask(wanted.url, signer.sign(going), json_body)
            if not isinstance(outcome, _Moved):
                return outcome
            going = replace(going, url=self._followed(wanted.url, going.url, outcome.location))
        raise AccessError(f"{wanted.url} is sent on in circles by its server: check the address.")

    def _followed(self, url: str, asked: str, location: str) -> str:
        """The address that an answer sends us on to, if it may.

        Raises:
            AccessError: it is of a host that nobody named, or no longer encrypted.
        """
        target = urljoin(asked, location)
        before, after = urlsplit(asked), urlsplit(target)
        host = after.hostname or ""
        if host != before.hostname and not is_one_of(host, self._access.redirect_hosts):
            raise AccessError(
                f"{url} sends us on to {host or 'nowhere'}, which nobody named: add it to [access] "
                "redirect_hosts if you trust it."
            )
        if after.scheme != "https" and after.scheme != before.scheme:
            raise AccessError(f"{url} sends us on to an address that is not encrypted: refused.")
        return target

    def _ask(
        self, url: str, request: WebRequest, json_body: Mapping[str, Any] | None
    ) -> Reply | _Failure | _Moved:
        try:
            with self._session.request(
                request.method,
                request.url,
                headers={"Accept-Encoding": "identity", **request.headers},
                json=json_body,
                timeout=self._access.timeout_s,
                stream=True,
                allow_redirects=False,
            ) as answer:
                if answer.is_redirect:
                    return _Moved(answer.headers["Location"])
                if answer.status_code in TRY_AGAIN:
                    return _Failure(f"HTTP {answer.status_code}", _retry_after_s(answer.headers))
                _check(url, answer)
                return self._read(answer)
        except BROKEN_TRANSFER as error:
            return _Failure(_in_words(error))
        except requests.exceptions.RequestException:  # its words may hold the signed address
            raise AccessError(f"{url} is no address that can be asked: correct it.") from None

    def _read(self, answer: requests.Response) -> Reply | _Failure:
        expected = int(answer.headers.get("Content-Length", 0))
        until = time.monotonic() + self._access.timeout_s + expected / SLOWEST_BYTES_S
        body = bytearray()
        while piece := answer.raw.read(CHUNK_BYTES, decode_content=True):
            body += piece
            if time.monotonic() > until:
                return _Failure("too slow")
        if len(body) < expected:
            return _Failure("the connection broke off")
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Reply(answer.status_code, headers, bytes(body))

    def _fetch_token(self, url: str) -> bytes:
        return self.send(url, signed=False).body


def _as_signed(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave a request as our signer made it: requests would add a password from ~/.netrc."""
    return request


def _check(url: str, answer: requests.Response) -> None:
    """Refuse an answer that no further try will mend.

    Raises:
        AccessError: not there, not allowed, or nonsense.
    """
    status = answer.status_code
    if status in NEED_SIGNING:
        raise AccessError(
            f"{url} is refused (HTTP {status}): the store wants a signed request or a valid "
            "credential; see [access] signing."
        )
    if status == 404:
        raise AccessError(f"{url} is not there (HTTP 404): check the address.")
    if status >= 400:
        raise AccessError(f"{url} is refused (HTTP {status}): check the address and the settings.")


def _pause_s(tries: int, asked_s: float | None) -> float:
    own = min(FIRST_PAUSE_S * 2.0 ** (tries - 1), LONGEST_PAUSE_S)
    return own if asked_s is None else max(own, asked_s)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: a number, or a date (RFC 9110, 10.2.3)."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isdigit():
        return float(text)
    try:
        seconds: float = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        return max(0.0, seconds)
    except (ValueError, TypeError):
        return None


def _in_words(error: Exception) -> str:
    text = str(error)
    if "imed out" in text:
        return "no answer in time"
    if "resolve" in text or "getaddrinfo" in text:
        return "the server's name is not known here: no network, or a misspelt address"
    if "refused" in text:
        return "no server answers there"
    return "the connection broke off"
