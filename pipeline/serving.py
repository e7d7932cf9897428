"""A small web server for one folder, on this machine only: a preview of what any host would serve.

It answers GET and HEAD for the files of the folder, and POST where a handler was given. It lists no
folder, follows no way out of it, and talks to nobody who asks under another name than the loopback:
a page of elsewhere that points its name at 127.0.0.1 (DNS rebinding) gets nothing.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tiles.errors import ConfigError, KilnlightError

LOOPBACK = "127.0.0.1"
NAMES = ("127.0.0.1", "localhost")  # what a browser of this machine calls us
START = "index.html"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".geojson": "application/geo+json; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".cff": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".webp": "image/webp",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".svg": "image/svg+xml",
    ".pdf": "application/pdf",
    ".gpx": "application/gpx+xml",
}
OTHER_TYPE = "application/octet-stream"
MOST_SENT_BYTES = 64 << 20  # a review of 100,000 sites is under 20 MiB; more is a mistake
MOST_PATH = 2048
Post = Callable[[bytes], bytes]


class FolderServer(ThreadingHTTPServer):
    """Serves one folder on the loopback.

    Args:
        folder: with the files.
        port: to listen on; 0 takes a free one.
        posts: by path, such as "/decisions": given what was sent, return the answer (JSON).

    Raises:
        ConfigError: there is no such folder, or the port is taken.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(
        self, folder: Path, port: int = 0, posts: Mapping[str, Post] | None = None
    ) -> None:
        if not folder.is_dir():
            raise ConfigError(f"{folder} is no folder: give one that `kilnlight publish` wrote.")
        self.folder = folder.resolve()
        self.posts = dict(posts or {})
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"port {port} cannot be used ({error}): give another --port."
            ) from None

    @property
    def address(self) -> str:
        """Where to open it."""
        return f"http://{LOOPBACK}:{self.server_port}/"

    @contextmanager
    def running(self) -> Iterator[str]:
        """Serve in the background until the block ends; yields the address."""
        thread = threading.Thread(target=self.serve_forever, daemon=True)
        thread.start()
        try:
            yield self.address
        finally:
            self.shutdown()
            self.server_close()
            thread.join()

    def find(self, target: str) -> Path | None:
        """Return the file that a request's path names; None for whatever is not a file in there."""
        path = unquote(urlsplit(target).path, errors="strict")
        if "\0" in path or "\\" in path or len(path) > MOST_PATH or not path.startswith("/"):
            return None
        parts = path.split("/")[1:]
        if any(part in (".", "..") or part.startswith(".") for part in parts):
            return None
        found = self.folder.joinpath(*parts)
        if path.endswith("/"):
            found = found / START
        # resolve() follows links: one that leads out of the folder is none of ours.
        real = found.resolve()
        return real if real.is_relative_to(self.folder) and real.is_file() else None


class _Handler(BaseHTTPRequestHandler):
    """One request; every answer forbids to be kept, so that a new publication is seen at once."""

    server: FolderServer
    server_version = "kilnlight"
    sys_version = ""
    timeout = 30  # seconds that a silent connection is kept

    def do_GET(self) -> None:
        """Send a file."""
        self._answer_file(with_body=True)

    def do_HEAD(self) -> None:
        """Say what a file is."""
        self._answer_file(with_body=False)

    def do_POST(self) -> None:
        """Hand what was sent to whoever takes it."""
        post = self.server.posts.get(urlsplit(self.path).path)
        if not self._from_here():
            return
        if post is None:
            self._answer(HTTPStatus.NOT_FOUND, b"nothing takes this\n", "text/plain")
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MOST_SENT_BYTES:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"too much, or no length\n")
            return
        try:
            answer = post(self.rfile.read(int(length)))
        except KilnlightError as error:
            self._answer(HTTPStatus.BAD_REQUEST, f"{error}\n".encode(), "text/plain; charset=utf-8")
            return
        self._answer(HTTPStatus.OK, answer, TYPES[".json"])

    def _from_here(self) -> bool:
        """Whether the browser calls us by a loopback name, and a page of ours sends."""
        port = self.server.server_port
        hosts = {f"{name}:{port}" for name in NAMES} | (set(NAMES) if port == 80 else set())
        origin = self.headers.get("Origin")
        ours = origin is None or origin in {f"http://{host}" for host in hosts}
        if self.headers.get("Host") in hosts and (ours or self.command in ("GET", "HEAD")):
            return True
        self._answer(HTTPStatus.FORBIDDEN, b"only for this machine\n", "text/plain")
        return False

    def _answer_file(self, *, with_body: bool) -> None:
        if not self._from_here():
            return
        try:
            found = self.server.find(self.path)
            body = None if found is None else found.read_bytes()
        except (OSError, ValueError):
            found, body = None, None
        if found is None or body is None:
            self._answer(HTTPStatus.NOT_FOUND, b"not here\n", "text/plain", with_body=with_body)
            return
        kind = TYPES.get(found.suffix.lower(), OTHER_TYPE)
        self._answer(HTTPStatus.OK, body, kind, with_body=with_body)

    def _answer(
        self, status: HTTPStatus, body: bytes, kind: str = OTHER_TYPE, *, with_body: bool = True
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: what a person looked at is in no log."""
