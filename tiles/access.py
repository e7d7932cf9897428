"""How imagery on a network is got at: where its bytes are kept, how long to wait, who signs."""

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

DEFAULT_CACHE = Path(
    "imagery_cache"
)  # in the working folder: seen, and deleted, by whoever owns it
# what stores call a signature or key in an address (SAS, S3, Google and common habits), lower case
SECRET_FIELDS = frozenset(
    {"sig", "signature", "x-amz-signature", "x-amz-security-token", "x-goog-signature", "token"}
    | {"access_token", "api_key", "apikey", "api-key", "subscription-key", "password"}
)


class Access(BaseModel):
    """Settings of the section `[access]`; unknown keys are refused.

    It travels with every scene to the workers: it names the file of a secret and never holds one.

    Attributes:
        cache: folder where what was fetched is kept, for runs that come after, without a network.
        cache_limit_gb: what the folder may hold, in 10^9 bytes; what was not used for longest goes.
        timeout_s: seconds without an answer, or without further bytes, after which a try is over.
        retries: tries after the first one, with growing pauses.
        connections: requests in flight at once, a process.
        offline: never ask a server; what is not in the cache is missing, and said so.
        refresh: ask the catalogue again although the answer of an earlier run is kept.
        signing: who signs requests: `none`, `bearer`, `sas`, `sas_service`, `requester_pays`, or a
            signer that an installed package declares.
        redirect_hosts: hosts to which a server may send us on; its own, always; nobody else.
        signing_hosts: hosts that get the signature (`*.example.org` is all below it); nobody else.
        credentials: file with the secret that the signer needs.
        signing_url: where `sas_service` fetches its short-lived tokens.
        s3_endpoint: what `s3://bucket/key` stands for: the address before the key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cache: Path = DEFAULT_CACHE
    cache_limit_gb: float = Field(default=50.0, gt=0)
    timeout_s: float = Field(default=30.0, gt=0)
    retries: int = Field(default=5, ge=0)
    connections: int = Field(default=16, ge=1, le=64)
    offline: bool = False
    refresh: bool = False
    redirect_hosts: tuple[str, ...] = ()
    signing: str = "none"
    signing_hosts: tuple[str, ...] = ()
    credentials: Path | None = None
    signing_url: str | None = None
    s3_endpoint: str = "https://{bucket}.s3.amazonaws.com"

    @field_validator("signing_url")
    @classmethod
    def _is_open(cls, value: str | None) -> str | None:
        if value is not None and holds_secret(value):
            raise ValueError("it holds a key, which would be written down with the settings")
        return value

    @property
    def cache_limit_bytes(self) -> int:
        """The limit of the cache in bytes."""
        return int(self.cache_limit_gb * 1e9)

    def web_address(self, href: str) -> str:
        """An address that can be asked: `s3://` becomes that of the store's own web server."""
        if not href.startswith("s3://"):
            return href
        bucket, _, key = href.removeprefix("s3://").partition("/")
        return f"{self.s3_endpoint.format(bucket=bucket)}/{key}"


def is_url(href: str) -> bool:
    """Say whether a reference is an address on a network, not a path."""
    return href.startswith(("http://", "https://", "s3://"))


def holds_secret(href: str) -> bool:
    """Say whether an address carries a password, key or signature: such are never written down."""
    if not is_url(href):
        return False
    parts = urlsplit(href)
    named = {name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    return "@" in parts.netloc or bool(named & SECRET_FIELDS)
