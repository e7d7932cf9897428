"""`kilnlight audit`: how good a survey is, from a sample that a person looks at."""

from pathlib import Path
from typing import Annotated

import typer

audit_app = typer.Typer(no_args_is_help=True)


@audit_app.command("sample")
def audit_sample(
    run_folder: Annotated[Path, typer.Argument(help="A finished run folder.")],
    n: Annotated[int, typer.Option("--n", help="Chips to draw; 200 is usual.")],
    out: Annotated[Path, typer.Option(help="Folder for the sheet to mark; not to publish.")],
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same chips.")] = 1,
) -> None:
    """Draw places and ground with known probabilities, and write a sheet to mark by eye."""
    from pipeline.auditing import sample_run

    typer.echo(sample_run(run_folder, n, out, seed))


@audit_app.command("estimate")
def audit_estimate(
    folder: Annotated[Path, typer.Argument(help="What `kilnlight audit sample` wrote, marked.")],
) -> None:
    """Turn marks into recall, precision and counts, with intervals."""
    from pipeline.auditing import estimate_audit

    typer.echo(estimate_audit(folder))
