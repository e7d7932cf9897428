"""The steps of a run, in order: look, link, count, test, rank, publish, list."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from models.detection import DETECTIONS
from pipeline.config import RunSettings, to_toml
from pipeline.mapping import check_inputs, make_maps
from pipeline.plan import plan_survey, survey_identity
from pipeline.progress import Screen
from pipeline.run_folder import SURVEY_FILES, RunFolder
from pipeline.summary import RunSummary
from pipeline.survey import Survey, SurveyPlan, survey_region
from tiles.coverage import COVERAGE
from tiles.files import write_text
from tiles.tables import read_table, write_table

RUN_FILE = "run.toml"


@dataclass
class Timings:
    """Seconds that each step took, for the manifest and the summary."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time the body of a `with`."""
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 2)


def run(settings: RunSettings, screen: Screen) -> RunSummary:
    """Survey a region and make everything from it, or take up the survey that the folder holds.

    Raises:
        KilnlightError: an input cannot be used; nothing half-written is left.
    """
    timings = Timings()
    with timings.step("plan"):
        plan, weights = plan_survey(settings)
        check_inputs(settings, plan)
        identity = survey_identity(plan, weights)
        folder = RunFolder.open(settings.out)
    with folder.locked():
        survey = take_survey(folder, identity, plan, settings, screen)
        timings.seconds["survey"] = survey.seconds
        with timings.step("maps"):
            maps = make_maps(folder.path, plan, weights.card, survey, settings)
        write_text(folder.path / RUN_FILE, to_toml(settings))
        parts = {"maps": maps.inputs, "result": survey.facts(), "seconds": timings.seconds}
        folder.write_manifest(identity, parts)
    return RunSummary(folder.path, plan, survey, maps, timings.seconds)


def take_survey(
    folder: RunFolder,
    identity: dict[str, Any],
    plan: SurveyPlan,
    settings: RunSettings,
    screen: Screen,
) -> Survey:
    """Read the survey that the folder holds, or make it and put it there."""
    detections, coverage = (folder.path / name for name in SURVEY_FILES)
    if folder.holds(identity):
        screen.say(f"{folder.path} holds this very survey: it is used as it is.")
        found, seen = read_table(detections, DETECTIONS), read_table(coverage, COVERAGE)
        facts = folder.result()
        if (seen["period"] != plan.period).any():
            # the months are what the user says of the imagery, and may be said after the survey
            seen["period"] = plan.period
            write_table(seen, coverage, COVERAGE)
            folder.write_manifest(identity, {"result": facts})
        return Survey(found, seen, **facts)
    with folder.claimed_for(identity):
        started = time.perf_counter()
        survey = survey_region(plan, settings, screen)
        survey = replace(survey, seconds=round(time.perf_counter() - started, 2))
        write_table(survey.detections, detections, DETECTIONS)
        write_table(survey.coverage, coverage, COVERAGE)
        folder.write_manifest(identity, {"result": survey.facts()})
    return survey
