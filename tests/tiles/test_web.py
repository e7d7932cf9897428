from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tests.loopback import Fault, loopback
from tiles.access import Access
from tiles.errors import AccessError
from tiles.web import WebClient

BODY = bytes(range(256)) * 2000


@pytest.fixture
def server(tmp_path):
    (tmp_path / "a.bin").write_bytes(BODY)
    with loopback(tmp_path) as server:
        yield server


@pytest.fixture
def pauses():
    return []


def client(pauses, **changes):
    return WebClient(Access(**{"retries": 4, "timeout_s": 2.0, **changes}), pause=pauses.append)


def test_pauses_grow_and_the_answer_comes_in_the_end(server, pauses):
    server.faults = [Fault("a.bin", status=500, times=3)]
    reply = client(pauses).send(server.file("a.bin"))
    assert (reply.status, reply.body) == (200, BODY)
    assert pauses == [0.5, 1.0, 2.0]


def test_a_server_says_how_long_to_wait(server, pauses):
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    server.faults = [
        Fault("a.bin", status=429, headers={"Retry-After": "7"}, times=1),
        Fault("a.bin", status=503, headers={"Retry-After": later}, times=1),
        Fault("a.bin", status=429, headers={"Retry-After": "soon"}, times=1),
    ]
    assert client(pauses).send(server.file("a.bin")).body == BODY
    assert pauses[0] == 7.0
    assert 36 < pauses[1] <= 40
    assert pauses[2] == 2.0, "a nonsensical wish is no wish"


def test_nobody_waits_an_hour(server, pauses):
    server.faults = [Fault("a.bin", status=429, headers={"Retry-After": "3600"})]
    with pytest.raises(AccessError, match=r"left alone for 3600 s \(HTTP 429\)"):
        client(pauses).send(server.file("a.bin"))
    assert pauses == []


def test_a_dropped_connection_is_tried_again(server, pauses):
    server.faults = [Fault("a.bin", drop_half=True, times=2)]
    assert client(pauses).send(server.file("a.bin")).body == BODY
    assert len(pauses) == 2


def test_a_connection_that_always_drops_is_one_sentence(server, pauses):
    server.faults = [Fault("a.bin", drop_half=True)]
    with pytest.raises(AccessError, match=r"connection broke off, 5 tries\).* what was fetched is"):
        client(pauses).send(server.file("a.bin"))
    assert len(server.took()) == 5


def test_an_answer_that_trickles_is_given_up(server, pauses):
    server.faults = [Fault("a.bin", trickle_s=0.2)]
    with pytest.raises(AccessError, match=r"no answer in time|too slow"):
        client(pauses, timeout_s=0.1, retries=0).send(server.file("a.bin"))


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (404, r"is not there \(HTTP 404\)"),
        (403, r"is refused \(HTTP 403\): the store wants a signed request"),
        (401, r"is refused \(HTTP 401\): the store wants a signed request"),
        (410, r"is refused \(HTTP 410\): check the address"),
    ],
)
def test_what_no_further_try_mends_is_said_at_once(server, pauses, status, sentence):
    server.faults = [Fault("a.bin", status=status)]
    with pytest.raises(AccessError, match=sentence):
        client(pauses).send(server.file("a.bin"))
    assert len(server.took()) == 1


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://127.0.0.1:9/a", "no server answers there, 1 tries"),
        ("http:///a", "is no address that can be asked"),
    ],
)
def test_nobody_there_is_one_sentence(pauses, url, sentence):
    with pytest.raises(AccessError, match=sentence):
        client(pauses, retries=0).send(url)


def test_offline_asks_nobody(server, pauses):
    with pytest.raises(AccessError, match=r"not in the cache .*offline = true"):
        client(pauses, offline=True).send(server.file("a.bin"))
    assert server.took() == []


def moved(server, location, times=1):
    server.faults = [Fault("old.bin", status=302, headers={"Location": location}, times=times)]
    return server.file("old.bin")


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "token.txt"
    path.write_text("s3cret")
    return {"signing": "bearer", "credentials": path, "signing_hosts": ("127.0.0.1",)}


def test_a_server_may_send_us_on_to_itself(server, pauses, secret):
    reply = client(pauses, **secret).send(moved(server, "/files/a.bin"), headers={"Range": "x"})
    assert reply.body == BODY
    assert [one.authorization for one in server.took()] == ["Bearer s3cret"] * 2


def test_nobody_is_sent_on_to_a_host_that_was_not_named(server, pauses, secret):
    elsewhere = server.file("a.bin?key=hidden").replace("127.0.0.1", "localhost")
    with pytest.raises(AccessError, match="sends us on to localhost, which nobody named") as said:
        client(pauses, **secret).send(moved(server, elsewhere))
    assert "hidden" not in str(said.value)
    assert [one.path for one in server.took()] == ["/files/old.bin"]
    with pytest.raises(AccessError, match="nobody named"):
        client(pauses).send(moved(server, elsewhere), "POST", json_body={"bbox": [76, 28, 77, 29]})
    assert len(server.took()) == 1


def test_a_token_stays_behind_when_another_host_takes_over(server, pauses, secret):
    elsewhere = server.file("a.bin").replace("127.0.0.1", "localhost")
    named = client(pauses, **secret, redirect_hosts=("localhost",))
    assert named.send(moved(server, elsewhere)).body == BODY
    assert [one.authorization for one in server.took()] == ["Bearer s3cret", ""]


def test_a_server_that_sends_us_in_circles_is_one_sentence(server, pauses):
    with pytest.raises(AccessError, match="in circles"):
        client(pauses).send(moved(server, "/files/old.bin", times=99))
    assert len(server.took()) < 10


def test_a_password_of_netrc_goes_nowhere(server, pauses, secret, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password hidden\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    client(pauses).send(server.file("a.bin"))
    client(pauses, **secret).send(server.file("a.bin"))
    assert [one.authorization for one in server.took()] == ["", "Bearer s3cret"]


def test_no_message_holds_a_signed_address(server, pauses, tmp_path):
    path = tmp_path / "sas.txt"
    path.write_text("sv=1&sig=s3cret")
    signing = {"signing": "sas", "credentials": path, "signing_hosts": ("*",), "retries": 0}
    server.faults = [Fault("a.bin", status=403)]
    hosts = ("http://127.0.0.1:9", "https://exa mple", server.url)
    for url in [*(f"{host}/a" for host in hosts), server.file("none"), server.file("a.bin")]:
        with pytest.raises(AccessError) as said:
            client(pauses, **signing).send(url)
        assert "s3cret" not in str(said.value)
        assert "s3cret" not in repr(said.value.__cause__)
