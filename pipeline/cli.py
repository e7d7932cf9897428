"""The command line: reads what a person typed, calls one function, says what came of it."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from tiles.errors import ConfigError, KilnlightError

if TYPE_CHECKING:
    from pipeline.reports.release import ReleaseSummary

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
partition_app = typer.Typer(no_args_is_help=True)
reports_app = typer.Typer(no_args_is_help=True)
app.add_typer(
    partition_app, name="partition", help="Groups of cells that figures are published on."
)
app.add_typer(reports_app, name="reports", help="Crowd reports: in as a file, out only as noise.")

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130  # what typer and shells give a program that Ctrl-C ended
SPREAD = "--imagery"  # the option that takes several values, as shells expand globs

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]


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
            _complain("stopped; run the same command again.")
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


Imagery = Annotated[
    list[str] | None, typer.Option(help="GeoTIFFs, folders or globs; several may follow.")
]
Out = Annotated[Path | None, typer.Option(help="Folder for everything that is made.")]
RegionFile = Annotated[Path | None, typer.Option(help="Polygons; else the imagery's footprint.")]
Name = Annotated[str | None, typer.Option(help="What pages call the region.")]
Months = Annotated[str | None, typer.Option(help="As 2025-11/2026-06; else by scenes' dates.")]
Counts = Annotated[Path | None, typer.Option(help="What `kilnlight reports release` wrote.")]
PartitionFile = Annotated[Path | None, typer.Option(help="What `kilnlight partition build` wrote.")]
SiteClass = Annotated[str | None, typer.Option(help="Built-in class, or a TOML file.")]
Prevalence = Annotated[
    float | None, typer.Option(help="Sites per 1,000 km2 to presume; else the class's own.")
]
Weights = Annotated[Path | None, typer.Option(help="Weights; else the built-in ones.")]
BandNumbers = Annotated[str | None, typer.Option(help="Red, green, blue, as 4,3,2; else by name.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")]
Precision = Annotated[str | None, typer.Option(help="auto, fp32 or bf16.")]
Workers = Annotated[int | None, typer.Option(help="Worker processes; else one a core.")]
Scheduler = Annotated[str | None, typer.Option(help="A Dask scheduler; else this machine.")]
Credit = Annotated[str | None, typer.Option(help="Sentence of credit for the imagery.")]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first broken scene.")]


@app.command()
def run(
    run_file: Annotated[
        Path | None, typer.Argument(help="Run file (TOML); flags go before what it says.")
    ] = None,
    imagery: Imagery = None,
    out: Out = None,
    region: RegionFile = None,
    name: Name = None,
    period: Months = None,
    noised_counts: Counts = None,
    partition: PartitionFile = None,
    site_class: SiteClass = None,
    prevalence: Prevalence = None,
    weights: Weights = None,
    bands: BandNumbers = None,
    device: Device = None,
    precision: Precision = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    credit: Credit = None,
    strict: Strict = False,
    quiet: Quiet = False,
) -> None:
    """Survey a region: imagery in, detections, coverage, hotspots, a map and a ranked list out."""
    from pipeline.config import RunSettings, read_run_file
    from pipeline.progress import Screen
    from pipeline.run import run as run_survey

    flags: dict[str, Any] = {
        "imagery": tuple(imagery) if imagery else None,
        "out": out,
        "region": region,
        "name": name,
        "period": period,
        "noised_counts": noised_counts,
        "partition": partition,
        "site_class": site_class,
        "prevalence": prevalence,
        "weights": weights,
        "bands": _numbers(bands),
        "device": device,
        "precision": precision,
        "workers": workers,
        "scheduler": scheduler,
        "imagery_credit": credit,
        "strict": strict or None,
    }
    values = read_run_file(run_file) if run_file else {}
    values |= {key: value for key, value in flags.items() if value is not None}
    settings = RunSettings.of(values, str(run_file) if run_file else "command line")
    screen = Screen(quiet=quiet)
    screen.say(run_survey(settings, screen).text())


def _numbers(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--bands {text}: write three band numbers, as 4,3,2.") from None


@app.command()
def demo(
    out: Annotated[
        Path, typer.Option(help="Folder: new, empty, or an earlier demo, which is replaced.")
    ] = Path("demo"),
    side_km: Annotated[float, typer.Option(help="Side of the made-up region.")] = 100.0,
    seed: Annotated[int, typer.Option(help="Same seed, same belt.")] = 2026,
    quiet: Quiet = False,
) -> None:
    """Simulate a brick belt and reports, run everything on it, and compare with the known truth."""
    from pipeline.demo import run_demo
    from pipeline.progress import Screen

    screen = Screen(quiet=quiet)
    screen.say(run_demo(out, side_km, seed, screen))


@partition_app.command("build")
def partition_build(
    run_folder: Annotated[Path, typer.Argument(help="A run folder with sites and coverage.")],
    out: Annotated[Path, typer.Option(help="File to write, e.g. partition.parquet.")],
    k: Annotated[int, typer.Option(help="Real sites (lower 90 % bound) a group must hold.")] = 5,
) -> None:
    """Fix the groups of cells from a survey's sites: once per region, before any report is read."""
    from pipeline.mapping import partition_from_run

    typer.echo(partition_from_run(run_folder, out, k), err=True)


@reports_app.command("release")
def reports_release(
    reports: Annotated[Path, typer.Argument(help="CSV: consent,reporter,lat,lon,month,industry.")],
    partition: Annotated[Path, typer.Option(help="What `kilnlight partition build` wrote.")],
    period: Annotated[str, typer.Option(help="Months to release, as 2025-11/2026-06.")],
    ledger: Annotated[Path, typer.Option(help="The region's ledger; begun when not there.")],
    out: Annotated[Path, typer.Option(help="File to write, e.g. noised_counts.parquet.")],
    epsilon: Annotated[float, typer.Option(help="Privacy loss for one reporter.")] = 1.0,
    check: Annotated[
        bool, typer.Option("--check", help="Only read the file and say what is wrong with it.")
    ] = False,
) -> None:
    """Release noised counts of one period, once; no exact figure is written anywhere."""
    from pipeline.reports.release import ReleaseSettings, check_reports, release_counts
    from tiles.region import Period

    settings = ReleaseSettings(
        reports=reports,
        partition=partition,
        period=Period.parse(period),
        ledger=ledger,
        output=out,
        epsilon=epsilon,
    )
    if check:
        typer.echo(check_reports(settings) or f"{reports} can be released.", err=True)
        return
    typer.echo("\n".join(_release_lines(release_counts(settings))), err=True)


def _release_lines(summary: "ReleaseSummary") -> list[str]:
    begun = " (begun now; give the same one next time)" if summary.ledger_begun else ""
    taken_up = "An interrupted release was completed; nothing was drawn." if summary.resumed else ""
    lines = [
        f"Released {summary.groups} groups to {summary.output}.",
        f"Epsilon {summary.epsilon:g}, {summary.epsilon_spent:g} spent in all; noise of scale "
        f"{summary.scale:.3g} reporters in every count.",
        f"Ledger: {summary.ledger}{begun}.",
        taken_up,
    ]
    return [line for line in lines if line]


@app.command()
def train(
    dataset: Annotated[Path, typer.Argument(help="Dataset file, as in models/datasets.")],
    out: Annotated[Path, typer.Option(help="Weights to write, e.g. own.safetensors.")],
    data: Annotated[Path, typer.Option(help="Folder that the dataset's paths start from.")] = Path(
        "../shared/data"
    ),
    steps: Annotated[int | None, typer.Option(help="Instead of the dataset's own.")] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the dataset's own.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
    quiet: Quiet = False,
) -> None:
    """Train a detector on labelled imagery; what the dataset holds out is never trained on."""
    from models.training import TrainSettings
    from models.training import train as train_weights
    from pipeline.progress import Screen

    screen = Screen(quiet=quiet)
    settings = TrainSettings(
        dataset=dataset, out=out, data_root=data, steps=steps, seed=seed, threads=threads
    )
    screen.say(f"Wrote {train_weights(settings, screen.training)}.")


@app.command()
def evaluate(
    truth: Annotated[Path, typer.Argument(help="Dataset file, or known places (with --run).")],
    run_folder: Annotated[
        Path | None, typer.Option("--run", help="Score this run against known places.")
    ] = None,
    bounds: Annotated[
        str | None, typer.Option(help="With --run: west,south,east,north of the part to score.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Score these weights on the dataset's test part.")
    ] = None,
    data: Annotated[Path, typer.Option(help="Folder that the dataset's paths start from.")] = Path(
        "../shared/data"
    ),
) -> None:
    """Compare with what is known: precision, recall, F1 and false alarms, with intervals."""
    if run_folder is not None:
        from pipeline.scoring import Bounds, evaluate_run

        found = evaluate_run(run_folder, truth, Bounds.parse(bounds) if bounds else None)
        typer.echo(found.summary())
        return
    from models.training import evaluate_weights
    from models.weights import default_weights

    for one in evaluate_weights(truth, weights or default_weights(), data):
        typer.echo(one.summary())
