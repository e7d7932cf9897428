"""`kilnlight run`, `demo` and `partition build`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.options import Quiet
from pipeline.engine import nursery
from tiles.errors import ConfigError, KilnlightError

if TYPE_CHECKING:
    from pipeline.config import RunSettings

partition_app = typer.Typer(no_args_is_help=True)

Imagery = Annotated[
    list[str] | None,
    typer.Option(help="Images, folders, products, addresses or stac:URL#COLLECTION, one or more."),
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
ExclusionsFile = Annotated[Path | None, typer.Option(help="CSV of places never to be shown.")]
SiteClass = Annotated[str | None, typer.Option(help="Built-in class, or a TOML file.")]
Country = Annotated[str | None, typer.Option(help="Two letters, as IN: whose season applies.")]
Prevalence = Annotated[
    float | None, typer.Option(help="Sites per 1,000 km2 to presume; else the class's own.")
]
Weights = Annotated[
    Path | None,
    typer.Option(help="Weights: a file or a name, e.g. brick_kiln_free; else those of the class."),
]
BandNumbers = Annotated[str | None, typer.Option(help="Red, green, blue, as 4,3,2; else by name.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")]
Precision = Annotated[str | None, typer.Option(help="auto, fp32 or bf16.")]
UseGate = Annotated[
    bool | None,
    typer.Option("--gate/--no-gate", help="Let a small network shut out empty land first."),
]
Workers = Annotated[int | None, typer.Option(help="Worker processes; else one a core.")]
Scheduler = Annotated[str | None, typer.Option(help="A Dask scheduler; else this machine.")]
Credit = Annotated[str | None, typer.Option(help="Sentence of credit for the imagery.")]
TlsFile = Annotated[Path | None, typer.Option(help="PEM file, for a scheduler at tls://.")]
Refresh = Annotated[
    bool,
    typer.Option("--refresh", help="Compute what changed, and what had failed; keep the rest."),
]
CompositeOf = Annotated[
    str | None,
    typer.Option("--composite", help="median or medoid of a season's dates, best date, or each."),
]
MosaicRule = Annotated[
    str | None,
    typer.Option("--mosaic", help="Where scenes overlap: search all, the newest or the clearest."),
]
AnySeason = Annotated[
    bool, typer.Option("--any-season", help="Search scenes of months without work, too.")
]
Sensor = Annotated[
    str | None, typer.Option(help="Sensor profile: a name or a TOML file; else by scenes' names.")
]
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
    exclusions: ExclusionsFile = None,
    site_class: SiteClass = None,
    country: Country = None,
    prevalence: Prevalence = None,
    weights: Weights = None,
    bands: BandNumbers = None,
    device: Device = None,
    precision: Precision = None,
    gate: UseGate = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    tls_ca: TlsFile = None,
    tls_cert: TlsFile = None,
    tls_key: TlsFile = None,
    composite: CompositeOf = None,
    mosaic: MosaicRule = None,
    any_season: AnySeason = False,
    sensor: Sensor = None,
    credit: Credit = None,
    strict: Strict = False,
    refresh: Refresh = False,
    quiet: Quiet = False,
) -> None:
    """Survey a region: imagery in, detections, coverage, hotspots, a map and a ranked list out."""
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
        "exclusions": exclusions,
        "site_class": site_class,
        "country": country,
        "prevalence": prevalence,
        "weights": weights,
        "bands": numbers(bands),
        "device": device,
        "precision": precision,
        "gate": gate,
        "workers": workers,
        "scheduler": scheduler,
        "imagery_credit": credit,
        "strict": strict or None,
    }
    settings = settings_of(
        run_file,
        flags,
        engine={"tls_ca": tls_ca, "tls_cert": tls_cert, "tls_key": tls_key},
        pixels={
            "composite": composite,
            "mosaic": mosaic,
            "sensor": sensor,
            "any_season": any_season or None,
        },
    )
    if settings.scheduler is None:
        nursery.begin()  # it imports what workers need while this process imports what it needs
    from pipeline.engine.progress import Screen
    from pipeline.run import run as run_survey

    screen = Screen(quiet=quiet)
    try:
        screen.say(run_survey(settings, screen, refresh=refresh).text())
    except KilnlightError:
        nursery.end()
        raise


def settings_of(
    run_file: Path | None,
    flags: Mapping[str, object],
    *,
    engine: Mapping[str, object],
    pixels: Mapping[str, object],
    out: Path | None = None,
) -> "RunSettings":
    """A run file with flags before what it says; a flag that is None was not given.

    Args:
        run_file: the file, if any.
        flags: by the settings' names.
        engine: those of the section `engine`.
        pixels: those of the section `pixels`.
        out: the run folder where neither names one.

    Raises:
        ConfigError: the settings do not fit.
    """
    from pipeline.config import RunSettings, add_to_section, read_run_file

    values = read_run_file(run_file) if run_file else {}
    values |= {key: value for key, value in flags.items() if value is not None}
    if out is not None:
        values.setdefault("out", out)
    add_to_section(values, "engine", engine)
    add_to_section(values, "pixels", pixels)
    return RunSettings.of(values, str(run_file) if run_file else "command line")


def numbers(text: str | None) -> tuple[int, ...] | None:
    """Three numbers of bands, as people write them.

    Raises:
        ConfigError: they are no numbers.
    """
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
    from pipeline.engine.progress import Screen

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
