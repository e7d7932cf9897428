import http.client
import json
import socket

import pytest

from pipeline.serving import MOST_SENT_BYTES, FolderServer
from tiles.errors import ConfigError, PublishError


def saved(body: bytes) -> bytes:
    if body == b"bad":
        raise PublishError("that cannot be saved: send something else.")
    return json.dumps({"bytes": len(body)}).encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("serve")
    (root / "secret.txt").write_text("secret")
    folder = root / "public"
    (folder / "deep").mkdir(parents=True)
    (folder / "index.html").write_text("<p>start</p>", encoding="utf-8")
    (folder / "deep" / "index.html").write_text("deep", encoding="utf-8")
    (folder / "sites.csv").write_text("a,b\n", encoding="utf-8")
    (folder / ".hidden").write_text("hidden")
    (folder / "way_out").symlink_to(root)
    (folder / "leak.txt").symlink_to(root / "secret.txt")
    (folder / "empty").mkdir()
    (root / "public_too").mkdir()
    (root / "public_too" / "x.txt").write_text("secret")
    server = FolderServer(folder, posts={"/decisions": saved})
    with server.running():
        yield server


def ask(server, path, method="GET", body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    host = {"Host": f"127.0.0.1:{server.server_port}"}
    connection.request(method, path, body, host | headers)
    answer = connection.getresponse()
    found = answer.status, answer.read(), dict(answer.getheaders())
    connection.close()
    return found


def test_files_are_served_fresh_and_as_what_they_are(server):
    status, body, headers = ask(server, "/")
    assert (status, body) == (200, b"<p>start</p>")
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert ask(server, "/sites.csv?x=1#y")[2]["Content-Type"].startswith("text/csv")
    assert ask(server, "/deep/")[1] == b"deep"
    assert ask(server, "/", "HEAD")[:2] == (200, b"")
    (server.folder / "index.html").write_text("<p>new</p>", encoding="utf-8")
    assert ask(server, "/index.html")[1] == b"<p>new</p>"
    (server.folder / "index.html").write_text("<p>start</p>", encoding="utf-8")


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/deep/../../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/..%5csecret.txt",
        "//secret.txt",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/../public_too/x.txt",
        "/way_out/secret.txt",
        "/leak.txt",
        "/.hidden",
        "/%00",
        "/index.html%00.txt",
        "/%ff%fe",
        "/empty/",
        "/deep",
        "/nothing",
        "/" + "a" * 3000,
        "http://other.example/secret.txt",
    ],
)
def test_no_way_leads_out_of_the_folder_and_nothing_is_listed(server, path):
    status, body, _ = ask(server, path)
    assert status == 404
    assert b"secret" not in body
    assert b"root:" not in body


def test_a_page_of_elsewhere_gets_nothing(server):
    assert ask(server, "/", Host="evil.example")[0] == 403
    assert ask(server, "/", Host="127.0.0.1")[0] == 403
    assert ask(server, "/", Host=f"localhost:{server.server_port}")[0] == 200
    assert ask(server, "/decisions", "POST", b"x", Origin="http://evil.example")[0] == 403
    assert ask(server, "/decisions", "POST", b"x", Origin="null")[0] == 403


def test_posts_reach_whoever_takes_them(server):
    status, body, _ = ask(server, "/decisions", "POST", b"hello")
    assert (status, json.loads(body)) == (200, {"bytes": 5})
    ours = f"http://127.0.0.1:{server.server_port}"
    assert ask(server, "/decisions", "POST", b"hello", Origin=ours)[0] == 200
    status, body, _ = ask(server, "/decisions", "POST", b"bad")
    assert (status, body) == (400, b"that cannot be saved: send something else.\n")
    assert ask(server, "/index.html", "POST", b"x")[0] == 404
    too_much = {"Content-Length": str(MOST_SENT_BYTES + 1)}
    assert ask(server, "/decisions", "POST", b"", **too_much)[0] == 413
    assert ask(server, "/", "PUT", b"x")[0] == 501


def test_only_this_machine_can_ask(server):
    assert server.server_address[0] == "127.0.0.1"
    with socket.socket(socket.AF_INET6) as six, pytest.raises(ConnectionError):
        six.connect(("::1", server.server_port))


def test_a_taken_port_and_a_missing_folder_are_said(server, tmp_path):
    with pytest.raises(ConfigError, match="is no folder"):
        FolderServer(tmp_path / "none")
    with pytest.raises(ConfigError, match=f"port {server.server_port} cannot be used"):
        FolderServer(tmp_path, server.server_port)
