"""Processes that die: whatever is killed, and whenever, the bytes at the end are the same."""

import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing, contextmanager

import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

from pipeline.engine.journal import JOURNAL
from tests.pipeline.engine_runs import (
    engine,
    settings_for,
    survey,
    table_bytes,
    threads_cluster,
    write_belt,
)
from tiles.errors import ConfigError, SurveyError

QUICK = engine(block_px=1024)
PATIENCE_S = 300  # a loaded machine takes a minute to start Python with everything in it


def landed(out):
    """Results that are in the journal of a run folder, seen from outside while it is written."""
    with tempfile.TemporaryDirectory() as copy:
        try:
            for name in (JOURNAL, f"{JOURNAL}-wal"):
                if (out / name).exists():
                    shutil.copy(out / name, copy)
            with closing(sqlite3.connect(f"{copy}/{JOURNAL}")) as connection:
                return connection.execute("SELECT count(*) FROM results").fetchone()[0]
        except (sqlite3.Error, OSError):  # caught in the middle of a write: look again
            return 0


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.05)


def begin(imagery, out, **changes):
    """A survey in a process of its own, at the head of its own group."""
    program = "import runpy; runpy.run_module('tests.pipeline.engine_runs', run_name='__main__')"
    changes = {"engine": QUICK, "workers": 1, **changes}
    command = [sys.executable, "-c", program, str(imagery), str(out), json.dumps(changes)]
    # a group of its own, but not a session: Linux shares out the processor by sessions
    return subprocess.Popen(command, process_group=0, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def belt(tmp_path_factory):
    return write_belt(tmp_path_factory.mktemp("belt") / "belt.tif", 2000, 4000)  # 8 blocks


@pytest.fixture(scope="module")
def long_belt(tmp_path_factory):
    """So many blocks that a run is still at work when somebody has seen the first results."""
    return write_belt(tmp_path_factory.mktemp("long") / "belt.tif", 4096, 6144)  # 24 blocks


@pytest.fixture(scope="module")
def expected(belt, tmp_path_factory):
    return undisturbed(belt, tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture(scope="module")
def long_expected(long_belt, tmp_path_factory):
    return undisturbed(long_belt, tmp_path_factory.mktemp("whole_long") / "run")


def undisturbed(belt, out):
    """The tables of a run that nothing disturbed."""
    with threads_cluster() as address:
        survey(settings_for(belt, out, scheduler=address, engine=QUICK))
    return table_bytes(out)


def test_two_workers_or_four_change_no_byte(belt, expected, tmp_path):
    for workers in (2, 4):
        out = tmp_path / str(workers)
        survey(settings_for(belt, out, workers=workers, engine=QUICK))
        assert table_bytes(out) == expected


def killed_and_resumed(belt, out, moments):
    """Kill -9 the run each time so many results have landed, then let it end."""
    for results in moments:
        process = begin(belt, out)
        wait_for(lambda: landed(out) >= results or process.poll() is not None, "a result")  # noqa: B023
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    process = begin(belt, out)
    assert process.wait(timeout=PATIENCE_S) == 0
    return table_bytes(out)


def test_killed_with_kill_9_and_resumed(long_belt, long_expected, tmp_path):
    moments = sorted(random.Random(5).sample(range(1, 20), 2))
    assert killed_and_resumed(long_belt, tmp_path / "run", moments) == long_expected


def test_interrupted_it_says_how_to_go_on_and_goes_on(long_belt, long_expected, tmp_path):
    out, belt, expected = tmp_path / "run", long_belt, long_expected
    process = begin(belt, out)
    wait_for(lambda: landed(out) >= 1, "a result")
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=PATIENCE_S) != 0
    kept = landed(out)
    assert 1 <= kept < 24
    assert not list(out.glob(".*part*")), "nothing half-written"
    with threads_cluster() as address:
        survey(settings_for(belt, out, scheduler=address, engine=QUICK))
    assert table_bytes(out) == expected


@contextmanager
def process_of(*arguments):
    command = [sys.executable, "-m", *map(str, arguments)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def scheduler(port):
    options = ("--host", "127.0.0.1", "--port", port, "--no-dashboard", "--no-show")
    with process_of("distributed.cli.dask_scheduler", *options) as process:
        wait_for(lambda: listening(port), "the scheduler")
        yield process


def listening(port):
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def worker(port):
    options = ("--nthreads", 1, "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")
    return process_of("distributed.cli.dask_worker", f"tcp://127.0.0.1:{port}", *options)


def when_landed(out, results, action):
    """Do something, in a thread, as soon as so many results are in the journal."""

    def watch():
        wait_for(lambda: landed(out) >= results, "a result")
        action()

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_a_worker_dies_then_the_scheduler_and_the_run_goes_on(long_belt, long_expected, tmp_path):
    """A real scheduler and two worker processes on loopback."""
    out, port = tmp_path / "run", free_port()
    settings = settings_for(long_belt, out, scheduler=f"tcp://127.0.0.1:{port}", engine=QUICK)
    with scheduler(port) as one, worker(port) as first, worker(port):
        killers = [when_landed(out, 1, first.kill), when_landed(out, 4, one.kill)]
        with pytest.raises(SurveyError) as said:
            survey(settings)
        for killer in killers:
            killer.join()
    assert str(said.value) == (
        f"the scheduler at tcp://127.0.0.1:{port} is gone: start it again, and run the same "
        "command again to go on; what was done is kept."
    )
    kept = landed(out)
    assert 4 <= kept < 24, "more than had landed when the worker died, and not all"
    with scheduler(port), worker(port):
        survey(settings)
    assert table_bytes(out) == long_expected


def test_no_scheduler_is_one_sentence(belt, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.engine.cluster.CONNECT_TIMEOUT_S", 0.5)
    settings = settings_for(belt, tmp_path / "run", scheduler=f"tcp://127.0.0.1:{free_port()}")
    with pytest.raises(ConfigError, match=r"no Dask scheduler answers at tcp://127.*leave"):
        survey(settings)
    assert not (tmp_path / "run").exists()


@contextmanager
def small_disk(folder, megabytes):
    """A file system of its own, where this user may mount one."""
    folder.mkdir()
    options = f"size={megabytes}m"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_fills_is_one_sentence_and_the_journal_is_whole(belt, expected, tmp_path):
    with small_disk(tmp_path / "disk", 1) as disk, threads_cluster() as address:
        settings = settings_for(belt, disk / "run", scheduler=address, engine=QUICK)
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * (1 << 20 - 1))  # half the disk
        hog = when_landed(disk / "run", 2, lambda: fill(disk / "hog"))
        with pytest.raises(SurveyError, match=r"full.*make room.*run the same command again"):
            survey(settings)
        hog.join()
        kept = landed(disk / "run")
        assert 2 <= kept < 8
        (disk / "hog").unlink()
        ballast.unlink()
        survey(settings)
        assert table_bytes(disk / "run") == expected


def fill(path):
    with path.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(b"x" * 4096)
        except OSError:
            pass


@pytest.mark.real_data
def test_a_real_scene_killed_and_resumed(shared_data, tmp_path):
    """A cut of the scene of Delhi: 1,900 x 1,900 px, WebP, EPSG:4326."""
    with rasterio.open(shared_data / "delhi_s2" / "scene.tif") as dataset:
        window = Window(4000, 2000, 1900, 1900)
        profile = {**dataset.profile, "width": 1900, "height": 1900, "driver": "GTiff"}
        moved = dataset.transform @ Affine.translation(window.col_off, window.row_off)
        profile |= {"compress": "deflate", "transform": moved}
        with rasterio.open(tmp_path / "delhi.tif", "w", **profile) as cut:
            cut.write(dataset.read(window=window))
    with threads_cluster() as address:
        whole = survey(settings_for(tmp_path / "delhi.tif", tmp_path / "whole", scheduler=address))
    assert len(whole.detections) > 10
    found = killed_and_resumed(tmp_path / "delhi.tif", tmp_path / "run", [2])
    assert found == table_bytes(tmp_path / "whole")
