"""Servers on loopback for tests: files by range requests, faults on demand, and a real STAC API."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

START_S = 20  # for a STAC server to come up on a busy machine


@dataclass
class Fault:
    """What goes wrong with requests whose path matches: `times` of them, from the first on."""

    pattern: str
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    drop_half: bool = False
    trickle_s: float = 0.0  # seconds between two pieces of the body
    times: int = 10**9
    only_range: bool = False  # spare the head of the file


@dataclass(frozen=True)
class Asked:
    """One request as the server saw it."""

    method: str
    path: str
    range: str
    authorization: str


class LoopbackServer:
    """Serves a folder under `/files/` and forwards the rest to a STAC API; keeps what was asked."""

    def __init__(self, folder: Path, latency_s: float = 0.0) -> None:
        self.folder, self.latency_s, self.api = folder, latency_s, ""
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def file(self, name: str) -> str:
        return f"{self.url}/files/{name}"

    def fault_of(self, path: str, is_head_of_file: bool) -> Fault | None:
        with self._lock:
            for fault in self.faults:
                if fault.only_range and is_head_of_file:
                    continue
                if fault.times > 0 and re.search(fault.pattern, path):
                    fault.times -= 1
                    return fault
        return None

    def took(self) -> list[Asked]:
        """What was asked since the last call."""
        with self._lock:
            asked, self.asked = self.asked, []
        return asked


class _Server(ThreadingHTTPServer):
    def __init__(self, loopback: LoopbackServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.loopback = loopback


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self._answer(None)

    def do_POST(self):
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body):
        wanted = self.headers.get("Range", "")
        token = self.headers.get("Authorization", "")
        server = self.server.loopback
        server.asked.append(Asked(self.command, self.path, wanted, token))
        time.sleep(server.latency_s)
        fault = server.fault_of(self.path, wanted.startswith("bytes=0-"))
        if fault and fault.status:
            self._send(fault.status, fault.headers, b"")
        elif not self.path.startswith("/files/"):
            self._send(*_forwarded(server, self.path, self.command, body), fault=fault)
        else:
            self._send_file(wanted, fault)

    def _send_file(self, wanted, fault):
        path = self.server.loopback.folder / self.path.partition("?")[0].removeprefix("/files/")
        if not path.is_file():
            return self._send(404, {}, b"")
        stat = path.stat()
        headers = {"ETag": f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'}
        span = re.fullmatch(r"bytes=(\d+)-(\d+)", wanted)
        if not span:
            return self._send(200, headers, path.read_bytes(), fault)
        first, last = int(span[1]), min(int(span[2]), stat.st_size - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{stat.st_size}"
        with path.open("rb") as stream:
            stream.seek(first)
            return self._send(206, headers, stream.read(last - first + 1), fault)

    def _send(self, status, headers, body, fault=None):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault and fault.drop_half:
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif fault and fault.trickle_s:
            for start in range(0, len(body), 1000):
                self.wfile.write(body[start : start + 1000])
                time.sleep(fault.trickle_s)
        else:
            self.wfile.write(body)

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):  # the client gave up, as the test wants it to
            self.close_connection = True


def _forwarded(server, path, method, body):
    request = urllib.request.Request(
        f"{server.api}{path}",
        data=body,
        method=method,
        headers={"Content-Type": "application/json"} if body else {},
    )
    try:
        with urllib.request.urlopen(request, timeout=START_S) as answer:
            return answer.status, {"Content-Type": "application/json"}, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {"Content-Type": "application/json"}, error.read()


@contextmanager
def loopback(folder: Path, latency_s: float = 0.0):
    """A server for a folder, while the body of a `with` runs."""
    server = LoopbackServer(folder, latency_s)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def stac_api(server: LoopbackServer, documents: list[dict]):
    """`rustac serve` with collections and items, reached through the loopback server."""
    paths = []
    for number, document in enumerate(documents):
        path = server.folder / f"stac-{number}.json"
        path.write_text(json.dumps(document))
        paths.append(str(path))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server.api = f"http://127.0.0.1:{port}"
    rustac = Path(sys.executable).with_name("rustac")
    process = subprocess.Popen(
        [rustac, "-q", "serve", "-a", server.url, "-b", f"127.0.0.1:{port}", *paths],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "NO_PROXY": "*"},
    )
    try:
        _wait_for(server.api, process)
        yield server.url
    finally:
        process.terminate()
        process.communicate(timeout=START_S)


def _wait_for(url: str, process: subprocess.Popen) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None, process.stderr.read().decode()
            time.sleep(0.05)
    raise AssertionError(f"no STAC server at {url}")


def collection(name: str) -> dict:
    """A collection as a catalogue describes it."""
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": name,
        "description": "made-up scenes",
        "license": "proprietary",
        "extent": {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [["2015-06-27T00:00:00Z", None]]},
        },
        "links": [],
    }


def item(scene, assets: dict[str, str], collection_id: str, day: str, **properties) -> dict:
    """An item for a scene (`tiles.scene.Scene`) with addresses of its assets."""
    footprint = scene.footprint
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": scene.scene_id,
        "collection": collection_id,
        "geometry": footprint.__geo_interface__,
        "bbox": list(footprint.bounds),
        "properties": {"datetime": f"{day}T05:30:00Z", **properties},
        "links": [],
        "assets": {name: {"href": href} for name, href in assets.items()},
    }


@contextmanager
def loopback_process(folder: Path, latency_s: float):
    """The address of a server for a folder in a process of its own, for timings."""
    command = [sys.executable, "-m", "tests.loopback", str(folder), str(latency_s)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate(timeout=START_S)


if __name__ == "__main__":
    print(LoopbackServer(Path(sys.argv[1]), float(sys.argv[2])).url, flush=True)
    signal.pause()
