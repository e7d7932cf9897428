"""The steps of a run, in order: look, link, count, test, rank, publish, list."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipeline.config import RunSettings, to_toml
from pipeline.engine.progress import Screen
from pipeline.engine.taking import said_when_full, survey_work, take_survey
from pipeline.mapping import check_inputs, make_maps
from pipeline.plan import plan_survey
from pipeline.run_folder import RUN_FILE, RunFolder
from pipeline.summary import RunSummary
from tiles.files import write_text


@dataclass
class Timings:
    """Seconds that each step took, for the manifest and the summary."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time the body of a `with`; of several with one name the sum."""
        started = time.perf_counter()
        yield
        before = self.seconds.get(name, 0.0)
        self.seconds[name] = round(before + time.perf_counter() - started, 2)


def run(settings: RunSettings, screen: Screen, *, refresh: bool = False) -> RunSummary:
    """Survey a region and make everything from it, or take up the survey that the folder holds.

    Args:
        settings: what to do.
        screen: shows progress.
        refresh: the folder may hold another survey: compute what differs, and what had failed.

    Raises:
        KilnlightError: an input cannot be used, or the work was cut short; what the journal holds
            is kept, and nothing half-written is left.
    """
    timings = Timings()
    with timings.step("plan"):
        plan, weights = plan_survey(settings, RunFolder(settings.out).settled())
        check_inputs(settings, plan)
        folder = RunFolder.open(settings.out)
    card = weights.card
    screen.say(f"Weights {card.name} {card.version}, {card.licence}.")
    with folder.session() as journal, said_when_full(folder.path):
        with timings.step("plan"):
            work = survey_work(folder, plan, weights, settings, journal, refresh=refresh)
        survey = take_survey(folder, work, screen)
        timings.seconds["survey"] = survey.seconds
        with timings.step("maps"):
            maps = make_maps(folder.path, plan, weights.card, survey, settings)
        write_text(folder.path / RUN_FILE, to_toml(settings))
        parts = {"maps": maps.inputs, "result": survey.facts(), "seconds": timings.seconds}
        folder.write_manifest(work.identity, parts)
    return RunSummary(folder.path, plan, survey, maps, timings.seconds)
