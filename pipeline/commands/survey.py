"""`kilnlight run`, `demo` and `partition build`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.commands.options import Quiet
from tiles.errors import ConfigError

partition_app = typer.Typer(no_args_is_help=True)

Imagery = Annotated[
    list[str] | None, typer.Option(help="GeoTIFFs, folders or globs; several may follow.")
]
Out = Annotated[Path | None, typer.Option(help="Folder for everything that is made.")]
RegionFile = Annotated[Path | None, typer.Option(help="Polygons; else the imagery's footprint.")]
DistrictsFile = Annotated[Path | None, typer.Option(help="Named areas, to add up sites in.")]
PlacesFile = Annotated[Path | None, typer.Option(help="Named points, to name hotspots after.")]
AuditFolder = Annotated[
    Path | None, typer.Option(help="A marked audit sample; it corrects the districts.")
]
Name = Annotated[str | None, typer.Option(help="What pages call the region.")]
Months = Annotated[str | None, typer.Option(help="As 2025-11/2026-06; else by scenes' dates.")]
Counts = Annotated[Path | None, typer.Option(help="What `kilnlight reports release` wrote.")]
PartitionFile = Annotated[Path | None, typer.Option(help="What `kilnlight partition build` wrote.")]
SiteClass = Annotated[str | None, typer.Option(help="Built-in class, or a TOML file.")]
Country = Annotated[str | None, typer.Option(help="Two letters, as IN: whose season applies.")]
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


def run(
    run_file: Annotated[
        Path | None, typer.Argument(help="Run file (TOML); flags go before what it says.")
    ] = None,
    imagery: Imagery = None,
    out: Out = None,
    region: RegionFile = None,
    districts: DistrictsFile = None,
    places: PlacesFile = None,
    audit: AuditFolder = None,
    name: Name = None,
    period: Months = None,
    noised_counts: Counts = None,
    partition: PartitionFile = None,
    site_class: SiteClass = None,
    country: Country = None,
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
        "districts": districts,
        "places": places,
        "audit": audit,
        "name": name,
        "period": period,
        "noised_counts": noised_counts,
        "partition": partition,
        "site_class": site_class,
        "country": country,
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
    out: Annotated[Path, typer.Option(help="File to write, e.g. partition.parquet.")],
    run_folder: Annotated[
        Path | None, typer.Argument(help="A run folder with sites and coverage.")
    ] = None,
    positions: Annotated[
        Path | None, typer.Option(help="CSV of published sites (lat, lon), not the run's.")
    ] = None,
    region: Annotated[Path | None, typer.Option(help="Polygons, where there is no run.")] = None,
    share_real: Annotated[
        float | None, typer.Option(help="Share of listed positions that are real, at least.")
    ] = None,
    site_class: Annotated[str, typer.Option(help="Class of the listed sites.")] = "brick_kiln",
    population: Annotated[
        Path | None, typer.Option(help="Raster of people per pixel, e.g. WorldPop.")
    ] = None,
    previous: Annotated[
        list[Path] | None, typer.Option(help="Earlier version; repeat it for each, oldest first.")
    ] = None,
    k: Annotated[int, typer.Option(help="Real sites (lower 90 % bound) a group must hold.")] = 5,
) -> None:
    """Fix the groups of cells from known sites: once per region, before any report is read."""
    from pipeline.partitions import PartitionSettings, make_partition

    settings = PartitionSettings(
        out=out,
        run_folder=run_folder,
        positions=positions,
        region=region,
        share_real=share_real,
        site_class=site_class,
        population=population,
        previous=tuple(previous or ()),
        k=k,
    )
    typer.echo(make_partition(settings), err=True)
