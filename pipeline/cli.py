"""The command line: reads what a person typed, calls one function, says what came of it."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import typer

from pipeline.commands.audit import audit_app
from pipeline.commands.compare import compare
from pipeline.commands.detector import adapt, evaluate, labels_app, train, train_gate
from pipeline.commands.fetch import fetch
from pipeline.commands.hotspots import hotspots
from pipeline.commands.intake import INTAKE_COMMANDS
from pipeline.commands.packs import outcomes_app, pack
from pipeline.commands.plan import plan
from pipeline.commands.publish import publish
from pipeline.commands.reports import reports_app
from pipeline.commands.review import review_app
from pipeline.commands.serve import serve
from pipeline.commands.survey import demo, partition_app, run
from tiles.errors import ConfigError, KilnlightError

# Everything heavy (torch, distributed, geopandas) is imported inside the commands, so that --help
# answers in under half a second.

app = typer.Typer(
    name="kilnlight",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Find brick kilns and similar worksites in satellite imagery of a whole region, and map "
    "where to look first. A worksite is not proof of a crime: labour conditions are not assessed.",
)
PLAIN = (plan, fetch, run, demo, hotspots, compare, publish, pack, serve, train, evaluate, adapt)
for command in PLAIN:
    app.command()(command)
app.command("train-gate")(train_gate)
app.add_typer(
    partition_app, name="partition", help="Groups of cells that figures are published on."
)
for name, report_command in INTAKE_COMMANDS.items():
    reports_app.command(name)(report_command)
app.add_typer(audit_app, name="audit", help="A sample to mark by eye: how good a survey is.")
app.add_typer(
    review_app, name="review", help="People look at places: pages to decide on, decisions, labels."
)
app.add_typer(labels_app, name="labels", help="Labels of a dataset: which of them look wrong.")
app.add_typer(outcomes_app, name="outcomes", help="What teams found at the sites they went to.")
app.add_typer(reports_app, name="reports", help="Crowd reports: in as a file, out only as noise.")

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130  # what typer and shells give a program that Ctrl-C ended
SPREAD = "--imagery"  # the option that takes several values, as shells expand globs


def main() -> NoReturn:
    """Run the command line; an expected failure is one sentence and exit code 2."""
    try:
        check_packages()
        app(args=spread(sys.argv[1:]))
    except KilnlightError as error:
        _complain(str(error))
        sys.exit(EXIT_BAD_INPUT)
    except OSError as error:
        _complain(f"{error.filename or 'a file'}: {error.strerror or error}.")
        sys.exit(EXIT_BAD_INPUT)
    except SystemExit as end:
        if end.code == EXIT_INTERRUPTED:
            _complain("stopped; run the same command again to go on.")
        raise
    sys.exit(0)


def _complain(sentence: str) -> None:
    sys.stderr.write(f"kilnlight: {' '.join(sentence.split())}\n")


def check_packages() -> None:
    """Refuse to start beside packages of other projects that bear our generic names.

    Raises:
        ConfigError: `tiles`, `models` or `maps` is not the one beside this package.
    """
    ours = Path(__file__).resolve().parent.parent
    for name in ("tiles", "models", "maps"):
        spec = find_spec(name)
        if spec is None or spec.origin is None or Path(spec.origin).resolve().parent.parent != ours:
            where = spec.origin if spec else "nowhere"
            raise ConfigError(
                f"the package {name!r} at {where} is not Kilnlight's: install Kilnlight into an "
                "environment of its own."
            )


def spread(arguments: Sequence[str]) -> list[str]:
    """Repeat --imagery before each of the values that follow it: `--imagery a b` has two."""
    result: list[str] = []
    spreading = False
    for argument in arguments:
        if argument.startswith("-"):
            spreading = argument.partition("=")[0] == SPREAD
            if argument != SPREAD:
                result.append(argument)
        else:
            result += [SPREAD, argument] if spreading else [argument]
    return result
