"""What runs on a worker: the detector is loaded once, every task has a time limit."""

from __future__ import annotations

import faulthandler
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from distributed import WorkerPlugin, get_worker

from models.site_class import SiteClass
from models.weights import load_weights
from pipeline.engine.facts import PACKAGES_ROOT, Facts, check_same, facts_here
from pipeline.engine.results import PackedResult, pack_result
from pipeline.engine.search import DetectorSpec, Searcher
from tiles.blocks import Block
from tiles.errors import KilnlightError, SceneError, WeightsError
from tiles.files import sha256_file
from tiles.handles import use_gdal_settings
from tiles.scene import Scene

if TYPE_CHECKING:
    from distributed import Worker


WEIGHTS_HERE = PACKAGES_ROOT / "models" / "weights"


@dataclass(frozen=True)
class SurveyTask:
    """One block to search, with all that a worker needs beside its plugin."""

    scene: Scene
    block: Block
    site_class: SiteClass
    plugin: str
    limit_s: float


class LoadSearcher(WorkerPlugin):
    """Loads the network once a worker process, also in processes that start later.

    Named after the weights and the client's code, so that two surveys on one scheduler keep their
    own. A worker whose code or libraries differ from the client's refuses: its results could
    differ. On this very machine, where they are the same, `client` is None.
    """

    def __init__(self, spec: DetectorSpec, client: Facts | None) -> None:
        self.spec, self.client = spec, client
        self.name = plugin_name(spec, client.code if client else "")
        self.searcher: Searcher
        self.refusal: KilnlightError | None = None

    def setup(self, worker: Worker) -> None:
        """Settle GDAL and build the detector; tasks find it through the worker's list of plugins.

        Raises:
            ConfigError: this worker runs other code or libraries than the client.
            WeightsError: the weights are not here, or are others.
        """
        use_gdal_settings()
        try:
            if self.client is not None:
                check_same(self.client, facts_here(), f"worker {worker.name} at {worker.address}")
            self.searcher = Searcher.load(found_here(self.spec))
        except KilnlightError as error:
            # of a worker that joins later Dask only logs this, and goes on to give it tasks
            self.refusal = error
            raise


def found_here(spec: DetectorSpec) -> DetectorSpec:
    """The detector with paths of this machine: the client's own, or those of our installation.

    Raises:
        WeightsError: neither holds the same file.
    """
    weights = _same_file(spec.weights, spec.weights_sha256, lambda path: load_weights(path).sha256)
    gate = spec.gate and _same_file(spec.gate, spec.gate_sha256, sha256_file)
    return replace(spec, weights=weights, gate=gate)


def _same_file(path: Path, sha256: str, digest: Callable[[Path], str]) -> Path:
    for candidate in (path, WEIGHTS_HERE / path.name):
        if candidate.is_file() and digest(candidate) == sha256:
            return candidate
    raise WeightsError(
        f"a worker on {platform.node()} does not find the weights {path} (SHA-256 {sha256[:12]}): "
        "put that very file at that path on every worker."
    )


def plugin_name(spec: DetectorSpec, code: str) -> str:
    """Name of the worker plugin that holds this very detector, for a client that runs this code."""
    gate = f"-{spec.gate_sha256[:8]}" if spec.gate_sha256 else ""
    place = "-elsewhere" if spec.elsewhere else ""
    what = f"{spec.weights_sha256[:16]}{gate}-{spec.device}-{spec.precision}{place}"
    return f"kilnlight-{what}-{code}"


def search_task(task: SurveyTask) -> PackedResult:
    """Search a task's block with the worker's own detector.

    Raises:
        SceneError: it cannot be read.
        KilnlightError: this worker joined later, and cannot do what the others do.
    """
    plugin = cast(LoadSearcher, get_worker().plugins[task.plugin])
    if plugin.refusal is not None:
        raise plugin.refusal
    try:
        with time_limit(task.limit_s):
            return pack_result(plugin.searcher.search(task.scene, task.block, task.site_class))
    except SceneError as error:
        unread = str(error)
    raise SceneError(unread)  # anew: the causes that GDAL's errors bring along cannot travel


# When each task that runs in this process must have ended: a process has one alarm only.
_deadlines: dict[int, float] = {}
_lock = threading.Lock()


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """End this process when the body takes longer; its nanny starts another.

    The alarm is set in C and needs no lock of Python: it also ends a task that hangs in a library.
    """
    me = threading.get_ident()
    with _lock:
        _deadlines[me] = time.monotonic() + seconds
        _set_alarm()
    try:
        yield
    finally:
        with _lock:
            del _deadlines[me]
            _set_alarm()


def _set_alarm() -> None:
    faulthandler.cancel_dump_traceback_later()
    if _deadlines:
        left_s = max(min(_deadlines.values()) - time.monotonic(), 0.001)
        faulthandler.dump_traceback_later(left_s, exit=True, file=_nowhere())


def _nowhere() -> int:
    """A file that swallows the traceback; opened once a process."""
    global _nowhere_fd
    if _nowhere_fd is None:
        _nowhere_fd = os.open(os.devnull, os.O_WRONLY)
    return _nowhere_fd


_nowhere_fd: int | None = None
