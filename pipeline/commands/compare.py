"""`kilnlight compare`: two surveys of the same ground, or a survey and a list of known places."""

from pathlib import Path
from typing import Annotated

import typer


def compare(
    run_folder: Annotated[Path, typer.Argument(help="A finished run; the earlier one of two.")],
    out: Annotated[Path, typer.Option(help="Folder for tables, a layer and a page.")],
    later: Annotated[
        Path | None, typer.Argument(help="The later run; or give a list with --points.")
    ] = None,
    points: Annotated[
        Path | None, typer.Option(help="CSV of known places: lat, lon and perhaps source.")
    ] = None,
    independent: Annotated[
        str | None,
        typer.Option(help="With --points: who made the list and from what; asks for counts."),
    ] = None,
    share_real: Annotated[
        float, typer.Option(help="With --independent: share of the list that is real.")
    ] = 1.0,
) -> None:
    """Say what is new, gone, unchanged or not seen; or matched, missed and extra against a list.

    "Gone" needs ground that the later survey searched. A list's own displacement is found first.
    """
    from pipeline.comparing import CompareSettings
    from pipeline.comparing import compare as compare_surveys

    settings = CompareSettings(
        run_folder=run_folder,
        later=later,
        positions=points,
        out=out,
        independent=independent,
        share_real=share_real,
    )
    typer.echo(compare_surveys(settings))
