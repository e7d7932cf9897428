"""The process that workers are forked from: it imports what is heavy once, and runs no thread.

Importing torch, GDAL and Dask takes a process five seconds. A worker that is forked from one which
has done so begins at once, and so does the one that takes its place when it dies. Forking is safe
from a process with a single thread that has computed nothing, which is all that this one is.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import forkserver
from typing import TypeVar

Answer = TypeVar("Answer")

# Elsewhere a worker starts from nothing: macOS' own libraries do not stand forking.
START_METHOD = "forkserver" if sys.platform == "linux" else "spawn"
HEAVY = ["distributed.nanny", "pipeline.engine.worker", "models.detector"]
ENVIRON = {
    # One thread a process: fp32 convolutions differ in the last bits between thread counts, and
    # torch would otherwise start as many as there are cores.
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # a thread that would be there at the fork
    # Freed memory stays with the process, for the next tile takes as much again: handing it back,
    # and getting it empty once more, slows down every convolution (glibc's own settings).
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
}


def begin() -> None:
    """Start the process, if it does not run yet, and come back while it still imports."""
    if START_METHOD == "forkserver":
        multiprocessing.set_forkserver_preload(HEAVY)
        with _added_to_environment(ENVIRON), interrupts_ignored():
            forkserver.ensure_running()


def ask(function: Callable[..., Answer], *arguments: object) -> Answer:
    """What a function says in a process of its own, forked from this one: torch is there already.

    Raises:
        Whatever the function raises.
    """
    begin()
    with ProcessPoolExecutor(1, multiprocessing.get_context(START_METHOD)) as one:
        return one.submit(function, *arguments).result()


def end() -> None:
    """Stop the process where nothing will come of the command: it may be importing still."""
    pid = getattr(forkserver._forkserver, "_forkserver_pid", None)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


@contextmanager
def _added_to_environment(values: Mapping[str, str]) -> Iterator[None]:
    """What the user has set stands."""
    added = [name for name in values if name not in os.environ]
    os.environ.update({name: values[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


@contextmanager
def interrupts_ignored() -> Iterator[None]:
    """Ignore Ctrl-C for a moment; processes started meanwhile ignore it for good."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers, and only it is interrupted
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
