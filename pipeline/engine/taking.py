"""A folder's survey: taken up as it is, gone on with, made anew where something differs."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.weights import LoadedWeights
from pipeline.config import RunSettings
from pipeline.engine.dispatch import GO_ON
from pipeline.engine.identity import plan_tasks, survey_identity
from pipeline.engine.journal import Journal
from pipeline.engine.progress import Screen
from pipeline.run_folder import RunFolder
from pipeline.survey import Survey, SurveyPlan, make_survey
from tiles.coverage import COVERAGE
from tiles.errors import SurveyError
from tiles.tables import read_table, write_table

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no room, a quota, a limit on a file's size


@dataclass(frozen=True)
class SurveyWork:
    """A survey to take up or to make: what, how, and by what it is known."""

    plan: SurveyPlan
    settings: RunSettings
    journal: Journal
    identity: dict[str, Any]
    refresh: bool


def survey_work(
    folder: RunFolder,
    plan: SurveyPlan,
    weights: LoadedWeights,
    settings: RunSettings,
    journal: Journal,
    *,
    refresh: bool = False,
) -> SurveyWork:
    """What is to be done in a folder, which must be free, this survey's own, or to be refreshed.

    Raises:
        RunFolderError: the folder holds another survey.
    """
    identity = survey_identity(plan, weights, journal)
    folder.belongs_to(identity, refresh=refresh)
    return SurveyWork(plan, settings, journal, identity, refresh)


def take_survey(folder: RunFolder, work: SurveyWork, screen: Screen) -> Survey:
    """Read the survey that the folder holds, or make it and put it there.

    Raises:
        RunFolderError: what is done of it lies in blocks of another size.
        KilnlightError: it cannot be made; see `make_survey`.
    """
    if not work.refresh and folder.holds(work.identity):
        screen.say(f"{folder.path} holds this very survey: it is used as it is.")
        _set_months(folder, work)
        return Survey.read(folder.path, folder.result())
    if work.refresh:
        work.journal.forget_failures()
    work.journal.plan(plan_tasks(work.plan, work.identity), same_cut=not work.refresh)
    folder.claim(work.identity)
    facts = make_survey(work.plan, work.settings, work.journal, folder.path, screen)
    folder.write_manifest(work.identity, {"result": facts})
    return Survey.read(folder.path, facts)


def _set_months(folder: RunFolder, work: SurveyWork) -> None:
    """The months are what the user says of the imagery, and may be said after the survey."""
    coverage = folder.path / "coverage.parquet"
    seen = read_table(coverage, COVERAGE)
    if (seen["period"] != work.plan.period).any():
        seen["period"] = work.plan.period
        write_table(seen, coverage, COVERAGE)
        folder.write_manifest(work.identity, {"result": folder.result()})


@contextmanager
def said_when_full(folder: Path) -> Iterator[None]:
    """Say in one sentence that a disk is full, whichever file it was that did not fit.

    Raises:
        SurveyError: it is; what the journal holds is kept.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise SurveyError(f"the disk of {folder} is full: make room, and {GO_ON}") from error
