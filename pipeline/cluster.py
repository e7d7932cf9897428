"""The Dask client: a local cluster of processes by default, any scheduler by its address."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dask.config
from distributed import Client, LocalCluster

from pipeline.config import RunSettings
from tiles.errors import ConfigError

CONNECT_TIMEOUT_S = 20  # a scheduler that does not answer by then is not there

# One thread a process: fp32 convolutions differ in the last bits between thread counts, and GDAL
# and torch would otherwise each start as many threads as there are cores.
QUIET_CONFIG = {
    "distributed.worker.multiprocessing-method": "spawn",
    "distributed.nanny.pre-spawn-environ": {
        "OMP_NUM_THREADS": 1,
        "MKL_NUM_THREADS": 1,
        "OPENBLAS_NUM_THREADS": 1,
        "GDAL_NUM_THREADS": 1,
        "GDAL_CACHEMAX": 256,
    },
    "distributed.admin.tick.limit": "60s",
    "distributed.diagnostics.nvml": False,
}


def worker_count(settings: RunSettings) -> int:
    """Processes to start: what the user says, or one a core."""
    if settings.workers:
        return settings.workers
    # macOS knows no affinity
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def connect(settings: RunSettings, tasks: int) -> Iterator[Client]:
    """Yield a client; a local cluster is stopped afterwards, a given scheduler is left alone.

    Args:
        settings: names the scheduler, or the number of local processes.
        tasks: how many tasks there are; no more processes than that are started.

    Raises:
        ConfigError: the scheduler does not answer.
    """
    with dask.config.set(QUIET_CONFIG):
        if settings.scheduler is not None:
            try:
                client = Client(settings.scheduler, timeout=CONNECT_TIMEOUT_S)
            except (OSError, ValueError) as error:
                raise ConfigError(
                    f"no Dask scheduler answers at {settings.scheduler}: start it, or leave "
                    "--scheduler out to use this machine."
                ) from error
            with client:
                yield client
            return
        processes = max(1, min(worker_count(settings), tasks))
        with _local_cluster(processes) as cluster, Client(cluster) as client:
            yield client


def _local_cluster(processes: int) -> LocalCluster:
    """Start worker processes that leave Ctrl-C to this one, which stops them in good order."""
    with _interrupts_ignored():
        return LocalCluster(
            n_workers=processes,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # any free port: several surveys may run
            silence_logs=logging.CRITICAL,  # what matters comes back as an exception
        )


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Ignore Ctrl-C for a moment; processes started meanwhile ignore it for good."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers, and only it is interrupted
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
