"""`kilnlight pack` and `outcomes import`: what a team carries out, and what it brings back."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from tiles.errors import ConfigError

outcomes_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@outcomes_app.callback()
def _outcomes() -> None:
    """What teams found at the sites they went to."""


Run = Annotated[Path, typer.Argument(help="A finished run folder.")]
Team = Annotated[str, typer.Option(help="Who carries it.")]
Area = Annotated[Path, typer.Option(help="Polygons of the team's area, 2,500 km2 at most.")]
To = Annotated[
    list[str] | None,
    typer.Option(help="Public key (age1...) of who may open it, or a file of them; repeat it."),
]
Plain = Annotated[
    bool, typer.Option("--plain", help="Do not encrypt: whoever finds it can read it.")
]
Out = Annotated[Path | None, typer.Option(help="Folder; else the run's own packs.")]
Expires = Annotated[str | None, typer.Option(help="Last day, as 2027-01-31; else in 60 days.")]
LanguageName = Annotated[str, typer.Option(help="en, hi, bn, ur or ne.")]
Font = Annotated[Path | None, typer.Option(help="A .ttf with the language's letters.")]
Contacts = Annotated[Path | None, typer.Option(help="Referral contacts by country (TOML).")]
Country = Annotated[str | None, typer.Option(help="Two letters, as IN: whose contacts.")]
Places = Annotated[
    Path | None, typer.Option(help="Named points, to say what is near; else the run's.")
]
Exclusions = Annotated[
    Path | None, typer.Option(help="CSV of places never to be shown, beside the run's own.")
]
Outcomes = Annotated[
    Path | None, typer.Option(help="What teams found; else the run's outcomes.csv.")
]
Unreviewed = Annotated[
    bool, typer.Option("--unreviewed", help="Take sites that no reviewer confirmed, too.")
]
Imagery = Annotated[
    list[str] | None, typer.Option(help="Where the imagery lies now, if it was moved.")
]


def pack(
    run_folder: Run,
    team: Team,
    area: Area,
    to: To = None,
    plain: Plain = False,
    out: Out = None,
    expires: Expires = None,
    language: LanguageName = "en",
    font: Font = None,
    contacts: Contacts = None,
    country: Country = None,
    places: Places = None,
    exclusions: Exclusions = None,
    outcomes: Outcomes = None,
    unreviewed: Unreviewed = False,
    imagery: Imagery = None,
) -> None:
    """Make one team's pack of its area: lists, cards to print, a page and a form, encrypted.

    It holds the team's ranked sites with pictures and never says that there are reports anywhere.
    Its number and last day stand in every file, and a line in the run's packs/log.jsonl.
    """
    from pydantic import ValidationError

    from pipeline.packing import PackSettings, make_pack

    values: dict[str, Any] = {
        "run_folder": run_folder,
        "team": team,
        "area": area,
        "to": tuple(to or ()),
        "plain": plain,
        "out": out,
        "expires": expires,
        "language": language,
        "font": font,
        "contacts": contacts,
        "country": country,
        "places": places,
        "exclusions": exclusions,
        "outcomes": outcomes,
        "unreviewed": unreviewed,
        "imagery": tuple(imagery or ()),
        "today": date.today(),
    }
    try:
        settings = PackSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        shown = str(first["input"])[:40]
        raise ConfigError(f"--{option} {shown!r}: {first['msg'].lower()}.") from error
    typer.echo(make_pack(settings))


@outcomes_app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="Filled forms: CSV, XLSX or GeoPackage.")],
    run_folder: Annotated[Path, typer.Option("--run", help="The run whose sites they are.")],
    out: Annotated[
        Path | None, typer.Option(help="Table to add them to; else the run's outcomes.csv.")
    ] = None,
    team: Annotated[str | None, typer.Option(help="Who went, where a form does not say.")] = None,
) -> None:
    """Take in what teams found, from KoBoToolbox, ODK Central, QField or a table filled in.

    Says how often the list was right, with intervals. Places that were visited leave the next list.
    """
    from pipeline.outcomes import import_outcomes

    typer.echo(import_outcomes(files, run_folder, out, team))
