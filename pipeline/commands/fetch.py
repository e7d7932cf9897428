"""`kilnlight fetch`: what a run needs, downloaded before there is no network."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import Quiet


def fetch(
    run_file: Annotated[Path, typer.Argument(help="Run file (TOML), as for `kilnlight run`.")],
    quiet: Quiet = False,
) -> None:
    """Download exactly what a run will read; afterwards `kilnlight run` needs no network."""
    from pipeline.config import RunSettings, read_run_file
    from pipeline.engine.progress import Screen
    from pipeline.fetch import fetch as fetch_run

    settings = RunSettings.of(read_run_file(run_file), str(run_file))
    screen = Screen(quiet=quiet)
    screen.say(fetch_run(settings, screen).text())
