"""`kilnlight review`: people look at places; their decisions go back into the run."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.core import TyperGroup


class _PageByDefault(TyperGroup):
    """`kilnlight review RUN` is `kilnlight review page RUN`: what is no command is a run."""

    def parse_args(  # type: ignore[override]  # typer keeps the type of its own base private
        self, ctx: typer.Context, args: list[str]
    ) -> list[str]:
        """Put the command in where the first word is none."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["page", *args]
        return super().parse_args(ctx, args)


review_app = typer.Typer(no_args_is_help=True, cls=_PageByDefault)
RunFolder = Annotated[Path, typer.Argument(help="A finished run folder.")]


@review_app.command("page")
def review_page(
    run_folder: RunFolder,
    out: Annotated[Path | None, typer.Option(help="Folder of the pages; RUN/review.")] = None,
    points: Annotated[
        Path | None, typer.Option(help="CSV of positions (lon, lat) to look at instead of sites.")
    ] = None,
    n: Annotated[int | None, typer.Option("--n", min=1, help="At most so many places.")] = None,
    queue: Annotated[
        Literal["mixed", "useful", "ranked", "audit", "disputed"],
        typer.Option(help="Which places: mixed deals from the next three; disputed settles."),
    ] = "mixed",
    other: Annotated[
        Path | None, typer.Option(help="A second run of this ground: ask where they disagree.")
    ] = None,
    imagery: Annotated[
        list[str] | None, typer.Option(help="Where the run's imagery lies now, if it was moved.")
    ] = None,
    audit: Annotated[
        int,
        typer.Option(min=0, help="Draw an audit sample of so many chips, once, and ask it too."),
    ] = 0,
    reviewer: Annotated[str, typer.Option(help="Name to begin with.")] = "",
    second: Annotated[
        bool, typer.Option("--second", help="Ask what others decided and --reviewer did not.")
    ] = False,
    per_page: Annotated[int, typer.Option(min=1, help="Places on a page.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the audit sample.")] = 1,
) -> None:
    """Write an offline page on which a person decides place after place, by keyboard."""
    from pipeline.review_questions import ReviewRequest, make_review

    request = ReviewRequest(
        run=run_folder,
        out=out,
        points=points,
        n=n,
        queue=queue,
        other=other,
        audit=audit,
        imagery=tuple(imagery or ()),
        reviewer=reviewer,
        second=second,
        per_page=per_page,
        seed=seed,
    )
    typer.echo(make_review(request))


@review_app.command("import")
def review_import(
    run_folder: RunFolder,
    files: Annotated[list[Path], typer.Argument(help="What the page exported, of any reviewers.")],
) -> None:
    """Merge decisions into the run, and renew review_status in its sites."""
    from pipeline.reviewing import import_decisions

    typer.echo(import_decisions(run_folder, files))


@review_app.command("agree")
def review_agree(run_folder: RunFolder) -> None:
    """Say how far reviewers agree (Cohen's kappa), and list what they dispute."""
    from pipeline.reviewing import say_agreement

    typer.echo(say_agreement(run_folder))


@review_app.command("labels")
def review_labels(
    run_folder: RunFolder,
    out: Annotated[Path, typer.Option(help="Folder of the labels; not to publish.")],
) -> None:
    """Write the decisions as labels and reviewed ground, to train on."""
    from pipeline.reviewing import export_labels

    typer.echo(export_labels(run_folder, out))


@review_app.command("recalibrate")
def review_recalibrate(run_folder: RunFolder) -> None:
    """Fit the run's own curve from score to probability, from 50 decisions on; no training."""
    from pipeline.recalibrating import RECALIBRATION_FILE, recalibrate_run
    from pipeline.reviewing import read_decided

    curve = recalibrate_run(run_folder, read_decided(run_folder))
    typer.echo(
        f"Calibrated {curve}. Wrote {run_folder / RECALIBRATION_FILE}; run `kilnlight run "
        f"{run_folder / 'run.toml'}` to use it."
    )
