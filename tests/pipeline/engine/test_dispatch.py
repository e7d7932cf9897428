"""Tasks that fail, hang, kill their worker or lose their scheduler cost themselves and no more."""

import asyncio
import logging
import os
import time
from dataclasses import dataclass

import dask.config
import pytest
from distributed import Client, KilledWorker, LocalCluster, WorkerPlugin

from pipeline.engine.cluster import QUIET_CONFIG, Workforce
from pipeline.engine.dispatch import Dispatcher, given_up, reason_of
from pipeline.engine.journal import PlannedTask
from pipeline.engine.results import Counts, PackedResult
from pipeline.engine.settings import EngineSettings
from pipeline.engine.worker import SurveyTask
from tests.pipeline.engine import test_dispatch as this
from tiles.blocks import Block
from tiles.errors import ConfigError, SceneError, SurveyError
from tiles.ground import NO_CELLS

SETTINGS = EngineSettings(backoff_s=0.01, retries=2)
PLUGIN = "made-up"
# tcp also within one process: Dask's own transport there asks the outside for its address
QUIET = {
    "host": "127.0.0.1",
    "protocol": "tcp://",
    "dashboard_address": "127.0.0.1:0",
    "silence_logs": logging.CRITICAL,
}


@dataclass(frozen=True)
class MadeUpSearcher:
    """Does what the block's row says, in place of a detector; counts attempts in a folder."""

    folder: str

    def search(self, scene, block, site_class):
        attempt = self._attempts(block.row)
        kind = scene
        if kind == "damaged":
            raise SceneError("scene.tif cannot be read at row 3")
        if kind == "sometimes" and attempt < 3:
            raise SceneError("a time-out")
        if kind == "mistake":
            raise KeyError("a mistake in the program")
        if kind == "kills once" and attempt == 1:
            os.kill(os.getpid(), 9)
        if kind == "hangs once" and attempt == 1:
            time.sleep(60)
        return block.row

    def _attempts(self, row):
        file = os.path.join(self.folder, str(row))
        with open(file, "a") as stream:
            stream.write("x")
        return os.path.getsize(file)


class LoadMadeUp(WorkerPlugin):
    name = PLUGIN

    def __init__(self, folder, refusal=None):
        self.searcher, self.refusal = MadeUpSearcher(folder), refusal


def made_up_result(row):
    return PackedResult(b"", b"", NO_CELLS, Counts(found=row))


def task(number):
    return PlannedTask(f"{number:032x}", number, Block(number, 0, 32, 32, 8))


def dispatch(force, kinds, settings=SETTINGS):
    """What came of tasks of these kinds, by their number."""

    def make(planned):
        return SurveyTask(kinds[planned.scene], planned.block, None, PLUGIN, settings.task_limit_s)

    outcomes = Dispatcher(force, settings, make).run(task(n) for n in range(len(kinds)))
    return {outcome.task.scene: outcome for outcome in outcomes}


@pytest.fixture
def one_thread(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.engine.worker.pack_result", made_up_result)
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, **QUIET) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(LoadMadeUp(str(tmp_path)))
        yield Workforce(client, None, None)


def test_every_task_comes_back_and_few_are_held_at_once(one_thread):
    dispatcher = Dispatcher(
        one_thread, SETTINGS, lambda t: SurveyTask("fine", t.block, None, PLUGIN, 60.0)
    )
    taken = []

    def tasks():
        for number in range(200):
            taken.append(number)
            yield task(number)

    found = []
    for outcome in dispatcher.run(tasks()):
        found.append(outcome.result.counts.found)
        assert len(taken) - len(found) <= 3, "the window is three tasks a thread"
    assert sorted(found) == list(range(200))


def test_a_task_that_fails_is_tried_again_then_given_up_and_the_rest_goes_on(one_thread):
    found = dispatch(one_thread, ["fine", "damaged", "sometimes", "fine"])
    assert [found[n].attempts for n in range(4)] == [1, 3, 3, 1]
    assert [found[n].result is None for n in range(4)] == [False, True, False, False]
    assert given_up(found[1]) == "scene.tif cannot be read at row 3 (tried 3 times)."


def test_back_off_doubles(one_thread):
    started = time.monotonic()
    dispatch(one_thread, ["damaged"], EngineSettings(backoff_s=0.2, retries=2))
    assert 0.2 + 0.4 <= time.monotonic() - started < 3


def test_a_mistake_in_the_program_stops_the_run(one_thread):
    with pytest.raises(KeyError, match="a mistake"):
        dispatch(one_thread, ["fine", "mistake"])


def test_a_worker_that_refused_stops_the_run_with_its_sentence(one_thread, tmp_path):
    refusal = ConfigError("worker w does not run what this client runs")
    one_thread.client.register_plugin(LoadMadeUp(str(tmp_path), refusal))
    with pytest.raises(ConfigError, match="worker w does not run what this client runs"):
        dispatch(one_thread, ["fine"])


def test_no_worker_for_too_long_is_one_sentence(monkeypatch):
    monkeypatch.setattr("pipeline.engine.dispatch.HEALTH_S", 0.1)
    with LocalCluster(n_workers=0, processes=False, **QUIET) as cluster, Client(cluster) as client:
        force = Workforce(client, None, None)
        with pytest.raises(SurveyError, match=r"no worker has been there for 0\.3 s.*to go on"):
            dispatch(force, ["fine"], EngineSettings(worker_wait_s=0.3))


def test_a_scheduler_that_hangs_is_not_waited_for_without_end(one_thread, monkeypatch):
    async def hanging(**_):
        await asyncio.sleep(60)

    monkeypatch.setattr("pipeline.engine.dispatch.HEALTH_S", 0.0)
    monkeypatch.setattr("pipeline.engine.cluster.SILENCE_S", 0.2)
    monkeypatch.setattr(one_thread.client.scheduler, "identity", hanging, raising=False)
    started = time.monotonic()
    with pytest.raises(SurveyError, match=r"own scheduler is gone.*what was done is kept"):
        dispatch(one_thread, ["fine"])
    assert time.monotonic() - started < 10


@pytest.fixture(scope="module")
def processes():
    with (
        dask.config.set(QUIET_CONFIG),
        LocalCluster(n_workers=2, threads_per_worker=1, **QUIET) as cluster,
        Client(cluster) as client,
    ):
        yield Workforce(client, None, None)


def test_a_worker_that_dies_or_hangs_costs_its_tasks_only(processes, tmp_path):
    processes.client.register_plugin(this.LoadMadeUpInProcess(str(tmp_path)))
    kinds = ["fine"] * 12
    kinds[3], kinds[5] = "hangs once", "kills once"
    found = dispatch(processes, kinds, EngineSettings(backoff_s=0.05, retries=1, task_limit_s=1.5))
    assert sorted(one.result.counts.found for one in found.values()) == list(range(12))
    assert {n for n, one in found.items() if one.attempts > 1} == {3, 5}, "and no other is blamed"
    processes.client.wait_for_workers(2, timeout=60)  # a cluster that is whole stops at once


def test_reasons_are_for_people():
    settings = EngineSettings(task_limit_s=90)
    assert reason_of(KilledWorker("task", None, 0), settings) == (
        "the worker was ended at this block, for want of memory or because it took longer than 90 s"
    )
    assert reason_of(MemoryError(), settings) == "MemoryError: MemoryError"
    assert reason_of(SceneError("x.tif  is\ncut"), settings) == "x.tif is cut"


class LoadMadeUpInProcess(LoadMadeUp):
    """The same in a process of its own, where nothing is monkeypatched."""

    def setup(self, worker):
        import pipeline.engine.worker

        pipeline.engine.worker.pack_result = made_up_result
