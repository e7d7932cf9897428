"""What a person sees while a survey runs: tasks done, speed, found so far, time left."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from models.fitting.loop import Progress as TrainingProgress

TRAINING_LINE_STEPS = 50  # about one line in ten seconds


class Screen:
    """Lines and a progress bar on standard error; nothing at all when quiet."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Show one line."""
        self.console.print(text, markup=False)

    @contextmanager
    def survey(self, tasks: int, done: int = 0) -> Iterator["SurveyBar"]:
        """Show a bar for a survey of so many tasks, some done before, while the context lasts."""
        columns = (
            TextColumn("surveying"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("tasks, {task.fields[speed]}, {task.fields[found]} found,"),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task("survey", total=tasks, speed="0 km2/s", found=0)
            bar = SurveyBar(progress, task, done)
            yield bar
        if not self.console.is_terminal:
            self.say(bar.text())

    def training(self, progress: "TrainingProgress") -> None:
        """Show a line now and then while a network is trained."""
        ap = progress.held_out_ap
        due = progress.step % TRAINING_LINE_STEPS == 0 or progress.step == progress.steps
        if due or ap is not None:
            seen = "" if ap is None else f", average precision held out {ap:.3f}"
            self.say(f"step {progress.step} of {progress.steps}, loss {progress.loss:.3f}{seen}")


class SurveyBar:
    """Counts what a survey has done so far."""

    def __init__(self, progress: Progress, task: TaskID, done: int = 0) -> None:
        self.progress, self.task = progress, task
        self.started = time.monotonic()
        self.done, self.area_km2, self.found = done, 0.0, 0

    def advance(self, tasks: int, area_km2: float, found: int) -> None:
        """Count finished tasks, the ground in them (km2), and the detections."""
        self.done += tasks
        self.area_km2 += area_km2
        self.found += found
        self.progress.update(
            self.task,
            completed=self.done,
            speed=self.speed(),
            found=self.found,
        )

    def speed(self) -> str:
        """Ground covered per second since the start."""
        return f"{self.area_km2 / max(time.monotonic() - self.started, 1e-3):.0f} km2/s"

    def text(self) -> str:
        """One line for logs, where no bar can be drawn."""
        return f"surveyed {self.done} tasks, {self.speed()}, {self.found} detections"
