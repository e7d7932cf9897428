"""`kilnlight plan`: what a run would read, skip and compute, and how long it would take."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands import survey as options


def plan(
    run_file: Annotated[
        Path | None, typer.Argument(help="Run file (TOML); flags go before what it says.")
    ] = None,
    imagery: options.Imagery = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder; it need not exist.")] = None,
    region: options.RegionFile = None,
    period: options.Months = None,
    site_class: options.SiteClass = None,
    country: options.Country = None,
    prevalence: options.Prevalence = None,
    weights: options.Weights = None,
    bands: options.BandNumbers = None,
    device: options.Device = None,
    precision: options.Precision = None,
    gate: options.UseGate = None,
    workers: options.Workers = None,
    scheduler: options.Scheduler = None,
    tls_ca: options.TlsFile = None,
    tls_cert: options.TlsFile = None,
    tls_key: options.TlsFile = None,
    composite: options.CompositeOf = None,
    mosaic: options.MosaicRule = None,
    any_season: options.AnySeason = False,
    sensor: options.Sensor = None,
    strict: options.Strict = False,
    refresh: options.Refresh = False,
    probe: Annotated[
        bool, typer.Option(help="Try a few blocks, to say how long the run would take.")
    ] = True,
) -> None:
    """Say what a run would read, skip and compute, how long it takes, and what limits it."""
    from pipeline.engine.forecast import forecast

    settings = options.settings_of(
        run_file,
        {
            "imagery": tuple(imagery) if imagery else None,
            "out": out,
            "region": region,
            "period": period,
            "site_class": site_class,
            "country": country,
            "prevalence": prevalence,
            "weights": weights,
            "bands": options.numbers(bands),
            "device": device,
            "precision": precision,
            "gate": gate,
            "workers": workers,
            "scheduler": scheduler,
            "strict": strict or None,
        },
        engine={"tls_ca": tls_ca, "tls_cert": tls_cert, "tls_key": tls_key},
        pixels={
            "composite": composite,
            "mosaic": mosaic,
            "sensor": sensor,
            "any_season": any_season or None,
        },
        out=Path("survey"),
    )
    typer.echo(forecast(settings, probe=probe, refresh=refresh).text(), err=True)
