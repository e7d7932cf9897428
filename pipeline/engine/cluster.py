"""The Dask client: a local cluster of processes by default, any scheduler by its address."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import dask.config
from distributed import Client, LocalCluster
from distributed.security import Security
from distributed.system import MEMORY_LIMIT

from pipeline.config import RunSettings
from pipeline.engine import nursery
from tiles.errors import ConfigError, SurveyError
from tiles.handles import GDAL_SETTINGS

Answer = TypeVar("Answer")

CONNECT_TIMEOUT_S = 20  # a scheduler that does not answer by then is not there
SILENCE_S = 60.0  # a scheduler that hangs for so long is as good as gone; a busy one answers
# A worker with a block in work holds 1.2 GB (`bench_engine.py -k memory`): of more processes than
# memory holds, the system would end one after the other.
WORKER_BYTES = 1_300_000_000
GPU = "GPU"  # the resource by which workers with a graphics card announce themselves
# Tasks at once on a local worker with a graphics card: one computes, the others read ahead. Each
# holds one block: what waits in memory is bounded by three blocks.
GPU_THREADS = 4

QUIET_CONFIG = {
    "distributed.worker.multiprocessing-method": nursery.START_METHOD,
    "distributed.nanny.pre-spawn-environ": {**nursery.ENVIRON, **GDAL_SETTINGS},
    "distributed.admin.tick.limit": "60s",
    "distributed.diagnostics.nvml": False,
    # a task whose worker died comes back at once: the survey itself tries again, and counts
    "distributed.scheduler.allowed-failures": 0,
    # no more tasks on a worker than it runs, so that its death is held against no other
    "distributed.scheduler.worker-saturation": 1.0,
}


@dataclass(frozen=True)
class Workforce:
    """A cluster to give tasks to.

    Attributes:
        client: the connection.
        address: of the scheduler, where it is not this run's own.
        resources: what a task asks of a worker.
    """

    client: Client
    address: str | None
    resources: dict[str, float] | None

    def slots(self) -> int:
        """How many tasks the workers that are there now can run at once.

        Raises:
            OSError: the scheduler is gone, or says nothing for SILENCE_S.
        """
        scheduler = self.client.scheduler
        if scheduler is None:
            raise OSError("the client is closed")
        silence_s = f"{SILENCE_S:g}s"
        told = self.client.sync(scheduler.identity, n_workers=-1, callback_timeout=silence_s)
        # one that is short of memory is paused, and may stay so for good
        able = [w for w in told["workers"].values() if w["status"] == "running"]
        fit = [w for w in able if all(w["resources"].get(r) for r in self.resources or ())]
        return sum(int(worker["nthreads"]) for worker in fit)


def worker_count(settings: RunSettings, device: str = "cpu") -> int:
    """Processes to start: what the user says, or one a core as far as memory holds them.

    One process drives a graphics card.
    """
    if settings.workers:
        return settings.workers
    if device != "cpu":
        return 1
    # macOS knows no affinity
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(cores or 1, MEMORY_LIMIT // WORKER_BYTES))


@contextmanager
def connect(settings: RunSettings, tasks: int, device: str) -> Iterator[Workforce]:
    """Yield a cluster; a local one is stopped afterwards, a given scheduler is left alone.

    Args:
        settings: names the scheduler, or the number of local processes.
        tasks: how many tasks there are; no more processes than that are started.
        device: where the network runs.

    Raises:
        ConfigError: the scheduler does not answer.
    """
    resources = {GPU: 1.0} if device == "cuda" else None
    with dask.config.set(QUIET_CONFIG):
        if settings.scheduler is not None:
            with scheduler_client(settings) as client:
                yield Workforce(client, settings.scheduler, _offered(client, resources))
            return
        processes = max(1, min(worker_count(settings, device), tasks))
        with _local_cluster(processes, resources) as cluster, Client(cluster) as client:
            yield Workforce(client, None, resources)


@contextmanager
def scheduler_client(settings: RunSettings) -> Iterator[Client]:
    """Yield a client of the scheduler that the settings name.

    Raises:
        ConfigError: it does not answer, or the TLS files do not serve.
    """
    address = str(settings.scheduler)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # errors come as exceptions
    try:
        client = Client(address, timeout=CONNECT_TIMEOUT_S, security=_security(settings))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"no Dask scheduler answers at {address} ({_first_line(error)}): start it, check the "
            "address and the TLS files, or leave --scheduler out to use this machine."
        ) from error
    with client:
        yield client


def on_one_worker(
    settings: RunSettings, function: Callable[..., Answer], *arguments: object
) -> Answer:
    """Ask one worker of the scheduler that the settings name; one with a graphics card if any has.

    Raises:
        ConfigError: the scheduler does not answer, or its workers do not have Kilnlight.
        SurveyError: it has no worker.
    """
    with scheduler_client(settings) as client:
        wait_s = settings.engine.worker_wait_s
        try:
            client.wait_for_workers(1, timeout=wait_s)
        except TimeoutError as error:
            raise SurveyError(
                f"no worker came to {settings.scheduler} within {wait_s:g} s: start workers, and "
                "run the same command again."
            ) from error
        with said_when_unable(settings.scheduler):
            resources = _offered(client, {GPU: 1.0})
            future = client.submit(function, *arguments, pure=False, resources=resources)
            answer: Answer = future.result()
    return answer


@contextmanager
def said_when_unable(address: str | None) -> Iterator[None]:
    """Say in one sentence that the workers of a scheduler cannot run our code at all.

    On this very machine (`address` is None) the code is the same, and an error is an error.

    Raises:
        ConfigError: they cannot.
    """
    try:
        yield
    except (ImportError, AttributeError, TypeError, RuntimeError) as error:
        if address is None:
            raise
        raise ConfigError(
            f"the workers of {address} cannot run this Kilnlight ({_first_line(error)}): install "
            "the same version and its requirements.txt on all of them."
        ) from error


def _first_line(error: BaseException) -> str:
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    return (str(root).splitlines() or [type(root).__name__])[0][:120]


def _security(settings: RunSettings) -> Security | None:
    engine = settings.engine
    if engine.tls_ca is None:
        return None
    for file in (engine.tls_ca, engine.tls_cert, engine.tls_key):
        if file is None or not file.is_file():
            raise ConfigError(f"TLS file {file} is not there: check [engine] in the run file.")
    return Security(
        tls_ca_file=str(engine.tls_ca),
        tls_client_cert=str(engine.tls_cert),
        tls_client_key=str(engine.tls_key),
        require_encryption=True,
    )


def _offered(client: Client, wanted: dict[str, float] | None) -> dict[str, float] | None:
    """The resources wanted, if any worker announces them: a cluster of GPU boxes need not."""
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return wanted if any(worker["resources"].get(GPU) for worker in workers) else None


def _local_cluster(processes: int, resources: dict[str, float] | None) -> LocalCluster:
    """Start worker processes that leave Ctrl-C to this one, which stops them in good order."""
    threads = GPU_THREADS if resources else 1
    nursery.begin()
    with nursery.interrupts_ignored():
        return LocalCluster(
            n_workers=processes,
            threads_per_worker=threads,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # any free port: several surveys may run
            silence_logs=logging.CRITICAL,  # what matters comes back as an exception
            # Dask's own, memory / processes, would pause a worker at four fifths of it for good
            memory_limit=None,
            env=dict(os.environ),  # as it is now: workers are forked from an earlier one
            resources=resources and {name: each * threads for name, each in resources.items()},
        )
