"""`kilnlight reports`: crowd reports, in as a file, out only as noise."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.reports.release import ReleaseSummary

reports_app = typer.Typer(no_args_is_help=True)


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
