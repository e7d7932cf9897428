import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.loopback import Fault, loopback
from tiles.access import Access
from tiles.cache_limit import keep_within, size_of
from tiles.errors import AccessError
from tiles.range_store import BLOCK_BYTES, HEAD_BYTES, RangeStore

SIZE = 40 * BLOCK_BYTES + 123
CONTENT = np.random.default_rng(5).integers(0, 256, SIZE, dtype=np.uint8).tobytes()


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "a.bin").write_bytes(CONTENT)
    with loopback(folder) as server:
        yield server


def store(tmp_path, **changes):
    return RangeStore(Access(**{"cache": tmp_path / "cache", "retries": 1, **changes}))


def bytes_asked(server):
    spans = [one.range.removeprefix("bytes=").split("-") for one in server.took()]
    return sum(min(int(last), SIZE - 1) - int(first) + 1 for first, last in spans)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, SIZE + 10), st.integers(0, 300_000)), max_size=5))
def test_any_stretches_are_the_file_s_own(tmp_path, server, stretches):
    stored = store(tmp_path).file(server.file("a.bin"))
    offsets, lengths = [o for o, _ in stretches], [n for _, n in stretches]
    pieces = stored.read_many(offsets, lengths)
    assert pieces == [CONTENT[o : o + n] for o, n in stretches]


def test_nothing_is_asked_for_twice_not_even_by_another_run(tmp_path, server):
    first = store(tmp_path).file(server.file("a.bin"))
    assert first.read(300_000, 200_000) == CONTENT[300_000:500_000]
    assert bytes_asked(server) < HEAD_BYTES + 200_000 + 2 * BLOCK_BYTES
    again = store(tmp_path, offline=True).file(server.file("a.bin"))
    assert again.read(300_000, 200_000) == CONTENT[300_000:500_000]
    assert again.read(0, 100) == CONTENT[:100]
    assert server.took() == []
    with pytest.raises(AccessError, match="offline = true"):
        again.read(SIZE - 10, 10)


def test_threads_that_want_the_same_ask_once(tmp_path, server):
    server.latency_s = 0.05
    stored = store(tmp_path).file(server.file("a.bin"))
    server.took()
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda _: stored.read(HEAD_BYTES, 100_000), range(8)))
    assert set(read) == {CONTENT[HEAD_BYTES : HEAD_BYTES + 100_000]}
    assert len(server.took()) == 1


def test_a_download_that_fails_goes_on_where_it_was(tmp_path, server):
    url = server.file("a.bin")
    stored = store(tmp_path).file(url)
    stored.read(HEAD_BYTES, 3 * BLOCK_BYTES)
    server.faults = [Fault("a.bin", status=500)]
    server.took()
    with pytest.raises(AccessError, match=r"HTTP 500, 2 tries"):
        stored.read(0, SIZE)
    server.faults = []
    server.took()
    assert store(tmp_path).file(url).read(0, SIZE) == CONTENT
    assert bytes_asked(server) == SIZE - HEAD_BYTES - 3 * BLOCK_BYTES


def test_a_damaged_block_is_noticed_and_fetched_anew(tmp_path, server):
    stored = store(tmp_path).file(server.file("a.bin"))
    stored.read(0, SIZE)
    server.took()
    data = stored._folder / "data"
    with data.open("r+b") as stream:
        stream.seek(5 * BLOCK_BYTES + 7)
        stream.write(b"\0\0\0\0")
    assert stored.read(0, SIZE) == CONTENT
    assert [one.range for one in server.took()] == [
        f"bytes={5 * BLOCK_BYTES}-{6 * BLOCK_BYTES - 1}"
    ]


def test_a_file_that_changes_while_it_is_read_is_no_mixture(tmp_path, server):
    url = server.file("a.bin")
    stored = store(tmp_path).file(url)
    stored.read(0, 10)
    (server.folder / "a.bin").write_bytes(CONTENT[::-1])
    with pytest.raises(AccessError, match="was changed on its server"):
        stored.read(SIZE - 100, 100)
    del stored
    assert store(tmp_path).file(url).read(0, SIZE) == CONTENT[::-1]


def test_a_server_without_ranges_gives_the_whole_file(tmp_path, server):
    own = store(tmp_path)
    send = own.client.send
    own.client.send = lambda href, **options: send(href)
    assert own.file(server.file("a.bin")).read(0, SIZE) == CONTENT
    assert len(server.took()) == 1


def test_the_folder_is_held_to_its_limit_and_spares_what_is_in_use(tmp_path, server):
    own = store(tmp_path)
    for number in range(4):
        (server.folder / f"{number}.bin").write_bytes(CONTENT)
        own.file(server.file(f"{number}.bin")).read(0, SIZE)
    used = own.file(server.file("0.bin"))
    for number in range(4):
        os.utime(own.folder_of(server.file(f"{number}.bin")) / "have", (number, number))
    assert size_of(own.folder) >= 4 * SIZE
    keep_within(own.folder, int(2.5 * SIZE))
    left = [n for n in range(4) if own.folder_of(server.file(f"{n}.bin")).exists()]
    assert left == [0, 3], "1 and 2 were used longest ago; 0 still is"
    server.took()
    assert used.read(0, SIZE) == CONTENT
    assert server.took() == []
    assert own.file(server.file("1.bin")).read(0, SIZE) == CONTENT


def test_an_empty_or_missing_file_is_one_sentence(tmp_path, server):
    with pytest.raises(AccessError, match="is not there"):
        store(tmp_path).file(server.file("b.bin"))
