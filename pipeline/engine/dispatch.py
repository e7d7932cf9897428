"""Tasks to workers and results back: a bounded window, retries with back-off, and giving up."""

import heapq
import queue
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count

from distributed import Future, KilledWorker

from pipeline.engine.cluster import Workforce
from pipeline.engine.journal import PlannedTask
from pipeline.engine.results import PackedResult
from pipeline.engine.settings import EngineSettings
from pipeline.engine.worker import SurveyTask, search_task
from tiles.errors import SceneError, SurveyError

TASKS_PER_SLOT = 3  # futures in flight a worker thread: it never waits, and results never pile up
MOST_IN_FLIGHT = 3000  # on any cluster: the client's memory stays flat
POLL_S = 0.5  # how long a due retry may be late
HEALTH_S = 5.0  # between looks at the cluster: a lost one is noticed by then
RESULT_SLACK_S = 60.0  # for a result to travel, beyond the task's own limit
# What imagery, disks, networks, memory and devices do; anything else is a mistake in the program
# and stops the run. RuntimeError is what torch raises when a device fails or is full.
RETRIED = (SceneError, OSError, MemoryError, RuntimeError, KilledWorker)
GO_ON = "run the same command again to go on; what was done is kept."


@dataclass(frozen=True)
class Outcome:
    """A task with its result, or the reason why it was given up after so many attempts."""

    task: PlannedTask
    result: PackedResult | None
    attempts: int
    reason: str = ""


@dataclass(order=True)
class _Waiting:
    """A task that failed and is tried again when it is due."""

    due_s: float
    order: int
    task: PlannedTask = field(compare=False)
    attempts: int = field(compare=False)


class Dispatcher:
    """Gives tasks to a cluster, a few at a time, and brings back what came of them."""

    def __init__(
        self,
        force: Workforce,
        settings: EngineSettings,
        make: Callable[[PlannedTask], SurveyTask],
    ) -> None:
        self.force, self.settings, self.make = force, settings, make
        self._running: dict[Future[PackedResult], tuple[PlannedTask, int]] = {}
        self._finished: queue.SimpleQueue[Future[PackedResult]] = queue.SimpleQueue()
        self._waiting: list[_Waiting] = []
        self._order = count()
        self._health = _Health(force, settings.worker_wait_s)

    def run(self, tasks: Iterable[PlannedTask]) -> Iterator[Outcome]:
        """Yield what came of each task, in any order.

        Raises:
            SurveyError: the scheduler is gone, or no worker comes.
        """
        fresh = iter(tasks)
        while True:
            self._fill(fresh)
            if not self._running and not self._waiting:
                return
            try:
                future = self._finished.get(timeout=POLL_S)
            except queue.Empty:
                self._health.check()
                continue
            self._health.check()
            outcome = self._take(future)
            if outcome is not None:
                yield outcome

    def _fill(self, fresh: Iterator[PlannedTask]) -> None:
        now = time.monotonic()
        while len(self._running) < self._health.window:
            if self._waiting and self._waiting[0].due_s <= now:
                again = heapq.heappop(self._waiting)
                self._submit(again.task, again.attempts)
            elif (task := next(fresh, None)) is not None:
                self._submit(task, 0)
            else:
                return

    def _submit(self, task: PlannedTask, attempts: int) -> None:
        try:
            # pure=False: the same block in two surveys on one scheduler is two tasks
            future = self.force.client.submit(
                search_task, self.make(task), pure=False, resources=self.force.resources
            )
        except RuntimeError as error:  # a client that is closed
            raise _lost(self.force) from error
        self._running[future] = task, attempts + 1
        future.add_done_callback(self._finished.put)

    def _take(self, future: Future[PackedResult]) -> Outcome | None:
        """The outcome of a finished future; None when the task is to be tried again."""
        task, attempts = self._running.pop(future)
        if future.status in ("cancelled", "lost"):
            raise _lost(self.force)
        try:
            result = future.result(timeout=self.settings.task_limit_s + RESULT_SLACK_S)
        except RETRIED as error:
            if attempts > self.settings.retries:
                return Outcome(task, None, attempts, reason_of(error, self.settings))
            self._wait(task, attempts)
            return None
        finally:
            future.release()
        return Outcome(task, result, attempts)

    def _wait(self, task: PlannedTask, attempts: int) -> None:
        # spread by the key, so that tasks which failed together do not come back together
        spread = 1 + int(task.key[:4], 16) / 0xFFFF
        delay_s = self.settings.backoff_s * 2 ** (attempts - 1) * spread
        heapq.heappush(
            self._waiting, _Waiting(time.monotonic() + delay_s, next(self._order), task, attempts)
        )


def reason_of(error: BaseException, settings: EngineSettings) -> str:
    """Why a task failed, in a few words."""
    if isinstance(error, KilledWorker):
        return (
            "the worker was ended at this block, for want of memory or because it took longer than "
            f"{settings.task_limit_s:g} s"
        )
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, SceneError) else f"{type(error).__name__}: {text}"


class _Health:
    """Looks at the cluster now and then: is it there, and how much can it do at once."""

    def __init__(self, force: Workforce, worker_wait_s: float) -> None:
        self.force, self.worker_wait_s = force, worker_wait_s
        self.window = TASKS_PER_SLOT
        self._last_s = self._last_worker_s = time.monotonic()
        self._look()

    def check(self) -> None:
        """Look, if the last time is long enough ago.

        Raises:
            SurveyError: the scheduler is gone, or has been without workers for too long.
        """
        if time.monotonic() - self._last_s >= HEALTH_S:
            self._look()

    def _look(self) -> None:
        now = self._last_s = time.monotonic()
        if self.force.client.status != "running":
            raise _lost(self.force)
        try:
            slots = self.force.slots()
        except OSError as error:
            raise _lost(self.force) from error
        self.window = min(max(slots, 1) * TASKS_PER_SLOT, MOST_IN_FLIGHT)
        if slots:
            self._last_worker_s = now
        elif now - self._last_worker_s > self.worker_wait_s:
            raise SurveyError(
                f"no worker has been there for {self.worker_wait_s:g} s: start workers, and {GO_ON}"
            )


def _lost(force: Workforce) -> SurveyError:
    where = f"the scheduler at {force.address}" if force.address else "this machine's own scheduler"
    return SurveyError(f"{where} is gone: start it again, and {GO_ON}")


def given_up(outcome: Outcome) -> str:
    """Why a task was given up, as a sentence for people."""
    tries = f" (tried {outcome.attempts} times)" if outcome.attempts > 1 else ""
    return f"{outcome.reason.rstrip('.')}{tries}."
