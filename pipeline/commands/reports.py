"""`kilnlight reports`: crowd reports, in as a file, out only as noise."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.reports.release import ReleaseSummary

reports_app = typer.Typer(no_args_is_help=True)


@reports_app.command("release")
def reports_release(
    reports: Annotated[Path, typer.Argument(help="The encrypted store, or a plain CSV.")],
    partition: Annotated[Path, typer.Option(help="What `kilnlight partition build` wrote.")],
    period: Annotated[str, typer.Option(help="Months to release, as 2025-11/2026-06.")],
    ledger: Annotated[Path, typer.Option(help="The region's ledger; begun when not there.")],
    out: Annotated[Path, typer.Option(help="File to write, e.g. noised_counts.parquet.")],
    keys: Annotated[Path | None, typer.Option(help="Folder of the store's keys.")] = None,
    epsilon: Annotated[float, typer.Option(help="Privacy loss for one reporter.")] = 1.0,
    anonymous_cap: Annotated[
        int | None,
        typer.Option(help="Count at most so many reports that name nobody, and nothing else."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only read the file and say what is wrong with it.")
    ] = False,
) -> None:
    """Release noised counts of one period, once; no exact figure is written anywhere."""
    from pipeline.reports.release import check_reports, release_counts
    from pipeline.reports.settings import ReleaseSettings
    from tiles.errors import ReportError
    from tiles.region import Period

    settings = ReleaseSettings(
        reports=reports,
        keys=keys,
        partition=partition,
        period=Period.parse(period),
        ledger=ledger,
        output=out,
        epsilon=epsilon,
        anonymous_cap=anonymous_cap,
    )
    if check:
        if not sys.stderr.isatty():  # what it says is exact: a log or a job's mail would keep it
            raise ReportError("--check says what is exact, so it speaks on a terminal only.")
        typer.echo(check_reports(settings) or f"{reports} can be released.", err=True)
        return
    typer.echo("\n".join(_release_lines(release_counts(settings))), err=True)


@reports_app.command("verify")
def reports_verify(
    ledger: Annotated[Path, typer.Argument(help="The region's ledger.")],
    evidence: Annotated[
        list[Path] | None,
        typer.Argument(help="Released tables, published folders, older copies of the ledger."),
    ] = None,
) -> None:
    """Check that no line of a ledger was changed, cut off or replaced."""
    from pipeline.reports.verify import verify

    found = verify(ledger, evidence or [])
    typer.echo(
        f"The ledger is whole: {found.releases} releases, epsilon {found.epsilon_lifetime:g} in "
        f"all, newest line {found.head_sha256}."
    )
    if found.compared:
        typer.echo(f"It agrees with {', '.join(map(str, found.compared))}.")
    else:
        typer.echo(
            "Compared with its head file alone: give released tables or published folders too, "
            "which somebody who can write here cannot change."
        )


def _release_lines(summary: "ReleaseSummary") -> list[str]:
    begun = " (begun now; give the same one next time)" if summary.ledger_begun else ""
    taken_up = "An interrupted release was completed; nothing was drawn." if summary.resumed else ""
    who = "reporters" if summary.vector == "reporters" else "reports that name nobody"
    lines = [
        f"Released {summary.groups} groups to {summary.output}.",
        f"Epsilon {summary.epsilon:g}, {summary.epsilon_year:g} in twelve months, "
        f"{summary.epsilon_lifetime:g} in all; noise of scale {summary.scale:.3g} {who} in every "
        "count.",
        f"Ledger: {summary.ledger}{begun}. Keep a copy of it and of its head file elsewhere.",
        taken_up,
    ]
    return [line for line in lines if line]
