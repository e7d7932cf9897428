"""`kilnlight reports import` and its companions: what happens to reports before a release.

What these commands know is exact, so that they say it on a terminal only: whatever else takes in
the output of a program (a log, a job's mail, a pipe) keeps it.
"""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.reports.importing import ImportSummary
    from pipeline.reports.review import Resemblance, Review
    from pipeline.reports.source import SourceSettings

MOST_SHOWN = 20  # lines of each kind that fit a screen

Store = Annotated[Path, typer.Option(help="The encrypted store of reports.")]
Keys = Annotated[Path, typer.Option(help="Folder of the store's keys, kept apart from it.")]
Source = Annotated[Path | None, typer.Option(help="The source's settings (TOML).")]


def import_(
    files: Annotated[list[Path], typer.Argument(help="Exports of one source.")],
    store: Annotated[Path, typer.Option(help="The encrypted store; begun when not there.")],
    keys: Annotated[Path, typer.Option(help="Folder of its keys; made with the store.")],
    period: Annotated[str, typer.Option(help="Months to take, as 2025-11/2026-06.")],
    form: Annotated[str, typer.Option("--as", help="Format of the files.")] = "auto",
    source: Source = None,
    region: Annotated[Path | None, typer.Option(help="Where reports may come from.")] = None,
) -> None:
    """Take reports into the encrypted store, without names, phones, texts or days."""
    from datetime import date

    from pipeline.reports.importing import ImportSettings, import_reports

    settings = ImportSettings.model_validate(
        {
            "files": files,
            "format": form,
            "store": store,
            "keys": keys,
            "period": period,
            "source": source,
            "region": region,
            "today": date.today(),
        }
    )
    summary = import_reports(settings)
    _say(f"Imported into {store} ({', '.join(summary.formats)}).")
    if source is None:
        _say(
            "Without --source all files of one format count as one source: a second platform of "
            "the same format needs settings of its own, or one person there is not hidden as said."
        )
    if sys.stderr.isatty():
        _say(*_import_lines(summary))
    else:
        _say("How many rows were taken and refused is shown on a terminal only: see `review`.")


def review(
    store: Store,
    keys: Keys,
    period: Annotated[str, typer.Option(help="The period of the imports.")],
    recorded: Annotated[
        bool, typer.Option("--recorded", help="Print although the output may be kept.")
    ] = False,
) -> None:
    """Show what was refused and why, and reports that resemble other people's."""
    from pipeline.reports.review import review as look
    from tiles.errors import ReportError
    from tiles.region import Period

    if not (recorded or sys.stdout.isatty()):
        raise ReportError(
            "this shows exact figures, for a terminal only: add --recorded if nobody else will "
            "ever read what becomes of this output."
        )
    typer.echo("\n".join(_review_lines(look(store, keys, Period.parse(period)))))


def withdraw(
    store: Store,
    keys: Keys,
    by: Annotated[str, typer.Option(help="phone, email, id (of a person) or report (its id).")],
    source: Source = None,
) -> None:
    """Take a person's reports out and keep them out; the number or id is asked for."""
    from pipeline.reports.keys import KeyFolder
    from pipeline.reports.withdrawal import Who
    from pipeline.reports.withdrawal import withdraw as take_out

    settings = _source(source)
    who = Who.of(by, _asked(f"The {by}"), settings)
    done = take_out(store, KeyFolder(keys), who)
    if not done.periods:
        _say("No period is open: their keys are destroyed, and nobody can find a person again.")
        return
    _say(
        f"Whatever was there in {', '.join(map(str, done.periods))} is taken out and kept out of "
        "every later import. A count that is published already cannot be recalled.",
    )
    if sys.stderr.isatty():
        _say(f"Reports taken out: {done.removed}.")


def close(
    store: Store,
    keys: Keys,
    period: Annotated[str, typer.Option(help="The period of the imports.")],
) -> None:
    """Close a period for good and destroy its key, after its release."""
    from pipeline.reports.keys import KeyFolder
    from pipeline.reports.withdrawal import close_period
    from tiles.region import Period

    close_period(store, KeyFolder(keys), Period.parse(period))
    _say(
        f"Period {period} is closed and its key destroyed. Remove copies of the key from backups "
        "too; `purge` takes out the reports."
    )


def purge(
    store: Store,
    keys: Keys,
    older_than: Annotated[str, typer.Option(help="First month to keep, as 2026-02.")],
) -> None:
    """Take out everything of earlier months, and destroy the keys of periods that lie before."""
    from pipeline.reports.keys import KeyFolder
    from pipeline.reports.withdrawal import purge as take_out

    take_out(store, KeyFolder(keys), older_than)
    _say(f"Nothing of the months before {older_than} is left in {store}.")


INTAKE_COMMANDS: dict[str, Callable[..., None]] = {
    "import": import_,
    "review": review,
    "withdraw": withdraw,
    "close": close,
    "purge": purge,
}


def _source(path: Path | None) -> "SourceSettings | None":
    from pipeline.reports.source import read_source

    return None if path is None else read_source(path)


def _asked(what: str) -> str:
    """Ask for a value; it is no argument, since shells write arguments into their history."""
    if sys.stdin.isatty():
        return str(typer.prompt(what, hide_input=True, err=True))
    return sys.stdin.readline().strip()


def _say(*lines: str) -> None:
    typer.echo("\n".join(lines), err=True)


def _import_lines(summary: "ImportSummary") -> Iterable[str]:
    yield f"Taken: {summary.accepted}, of which {summary.nameless} name nobody."
    for reason, rows in sorted(summary.refused.items(), key=lambda item: -item[1]):
        yield f"Refused: {rows}, {reason}."
    yield "Reports that resemble other people's are kept; `kilnlight reports review` shows them."


def _review_lines(found: "Review") -> Iterable[str]:
    yield f"Reports kept: {found.reports}."
    for (source, reason), rows in found.refused.most_common():
        yield f"Refused of {source}: {rows}, {reason}."
    yield from _resemblance_lines("Copies (same place, month, industry and signs)", found.copies)
    yield from _resemblance_lines("Bursts (many more than in other months)", found.bursts)
    yield "None of these is dropped: ask the source before you act on one."


def _resemblance_lines(title: str, found: tuple["Resemblance", ...]) -> Iterable[str]:
    if not found:
        yield f"{title}: none."
        return
    yield f"{title}:"
    for one in found[:MOST_SHOWN]:
        usual = "" if one.usual is None else f", usually {one.usual:.1f}"
        yield f"  cell {one.cell_id}, {one.month}: {one.reporters} reporters{usual}"
    if len(found) > MOST_SHOWN:
        yield f"  and {len(found) - MOST_SHOWN} more"
