"""Workers are forked from a process that is warm, and runs no thread."""

import multiprocessing
import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor

import pytest

from pipeline.engine import nursery

pytestmark = pytest.mark.skipif(
    nursery.START_METHOD != "forkserver", reason="here workers start from nothing"
)


def parent_of_this():
    """What a worker says of itself, and of the process it was forked from."""
    heavy = {"torch", "distributed", "pipeline.engine.worker", "models.detector"} & set(sys.modules)
    parent = os.getppid()
    threads = len(os.listdir(f"/proc/{parent}/task"))
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    return parent, threads, heavy, os.environ["OMP_NUM_THREADS"], ignored


def test_what_workers_are_forked_from_is_warm_and_has_one_thread():
    nursery.begin()
    nursery.begin()  # a second time does nothing
    context = multiprocessing.get_context("forkserver")
    told = []
    for _ in range(2):
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            told.append(pool.submit(parent_of_this).result(timeout=120))
    (parent, threads, heavy, omp, ignored), (again, *_) = told
    assert parent == again != os.getpid()
    assert threads == 1
    assert heavy == {"torch", "distributed", "pipeline.engine.worker", "models.detector"}
    assert omp == os.environ.get("OMP_NUM_THREADS", "1")
    assert ignored


def test_what_the_user_has_set_stands(monkeypatch):
    monkeypatch.setenv("KILNLIGHT_A", "mine")
    with nursery._added_to_environment({"KILNLIGHT_A": "1", "KILNLIGHT_B": "2"}):
        assert (os.environ["KILNLIGHT_A"], os.environ["KILNLIGHT_B"]) == ("mine", "2")
    assert os.environ["KILNLIGHT_A"] == "mine"
    assert "KILNLIGHT_B" not in os.environ
