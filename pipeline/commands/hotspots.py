"""`kilnlight hotspots`."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.options import Quiet


def hotspots(
    positions: Annotated[Path, typer.Argument(help="CSV of published sites (lat, lon).")],
    region: Annotated[Path, typer.Option(help="Polygons of the ground that the list covers.")],
    out: Annotated[Path, typer.Option(help="Folder for the tables.")],
    districts: Annotated[Path | None, typer.Option(help="Named areas to add up.")] = None,
    places: Annotated[Path | None, typer.Option(help="Named points, to name hotspots.")] = None,
    against: Annotated[
        Path | None, typer.Option(help="Another list: do its districts rank alike?")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the region is called.")] = None,
    period: Annotated[
        str, typer.Option(help="Months of the list, as 2025-11/2026-06.")
    ] = "undated",
    site_class: Annotated[str, typer.Option(help="Class of the listed sites.")] = "brick_kiln",
    quiet: Quiet = False,
) -> None:
    """Map a published list of positions as if all ground had been searched, and say so."""
    from pipeline.engine.progress import Screen
    from pipeline.listed_hotspots import ListSettings, map_list

    settings = ListSettings(
        positions=positions,
        region=region,
        out=out,
        districts=districts,
        places=places,
        against=against,
        name=name,
        period=period,
        site_class=site_class,
    )
    Screen(quiet=quiet).say(map_list(settings))
