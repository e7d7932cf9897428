"""`kilnlight publish`: a tier's folder, or encrypted file, that may leave the operator's hands."""

from pathlib import Path
from typing import Annotated

import typer

from tiles.errors import ConfigError


def publish(
    run_folder: Annotated[Path, typer.Argument(help="A finished run folder.")],
    tier: Annotated[str, typer.Option(help="public or partner.")],
    out: Annotated[Path, typer.Option(help="Folder to write; the encrypted tier is one file.")],
    publisher: Annotated[str, typer.Option(help="Who publishes, for citations and complaints.")],
    contact: Annotated[str, typer.Option(help="Where to write to contest an entry.")],
    ledger: Annotated[
        Path | None, typer.Option(help="Ledger of releases, where the run has reports in it.")
    ] = None,
    exclusions: Annotated[
        Path | None, typer.Option(help="CSV of places never to be shown, beside the run's own.")
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(help="Public key (age1...) of a partner, or a file of them; repeat it."),
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Do not encrypt the partner tier.")
    ] = False,
    unreviewed: Annotated[
        bool, typer.Option("--unreviewed", help="List sites that no reviewer confirmed, too.")
    ] = False,
    delay_months: Annotated[
        int, typer.Option(min=0, help="Whole months that the public tier waits.")
    ] = 3,
    today: Annotated[
        str | None, typer.Option(help="As 2026-10-01; else the system's date.")
    ] = None,
    earlier: Annotated[
        list[Path] | None, typer.Option(help="Run of an earlier period on the same groups.")
    ] = None,
    language: Annotated[str, typer.Option(help="Of the first page: en, hi, bn, ur or ne.")] = "en",
) -> None:
    """Write what one tier may hold, or refuse and write nothing.

    The public tier is a folder that any host or a double click can serve: groups of cells, never a
    single site. The partner tier has finer groups and single sites without rank, and is one file
    encrypted for --to.
    """
    from pydantic import ValidationError

    from pipeline.publishing import PublishSettings, publish_run

    values = {
        "run_folder": run_folder,
        "tier": tier,
        "out": out,
        "publisher": publisher,
        "contact": contact,
        "ledger": ledger,
        "exclusions": exclusions,
        "to": tuple(to or ()),
        "plain": plain,
        "unreviewed": unreviewed,
        "delay_months": delay_months,
        "today": today,
        "earlier": tuple(earlier or ()),
        "language": language,
    }
    try:
        settings = PublishSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise ConfigError(f"--{option} {first['input']}: {first['msg'].lower()}.") from error
    typer.echo(publish_run(settings), err=True)
