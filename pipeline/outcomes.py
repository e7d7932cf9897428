"""Reads what teams bring back, from any of the forms it comes in, into one outcomes.csv.

A form's export carries more than the answers: accounts, devices, the point where the phone was.
Only the columns of the answers are read; site_id says where, and the position is the survey's.
"""

import csv
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from xml.etree.ElementTree import ParseError

import pandas as pd
import pyogrio
import pyogrio.errors
from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from maps.language import LANGUAGES, load_language
from maps.linking import SITE_ID_PATTERN, SITES
from maps.outcomes import DONE, OUTCOME_COLUMNS, OUTCOMES, Precision, precision
from maps.packs.geopackage import LAYER
from maps.packs.register import PackRegister
from maps.review.decisions import decode
from maps.sheets import write_csv
from pipeline.run_folder import RunFolder
from tiles.errors import RunFolderError, TableError
from tiles.region import MONTH
from tiles.tables import read_table

OUTCOMES_FILE = "outcomes.csv"
FOR_OWNER = 0o600
# Forms put questions in groups: visit/outcome in KoBo, visit-outcome in ODK Central.
GROUPS = re.compile(r"^.*[/:]|^(?:[a-z0-9_]+-)+(?=[a-z_]+$)")
WHEN = ("visited_on", "month", "visit_date", "today", "end", "submissiondate", "_submission_time")
TEAM = ("team", "pack_team")
NOTE = ("remark", "note")  # a pack's GeoPackage has the disclaimer in its `note`
NAMED_MONTH = re.compile(r"(?P<name>[A-Za-z]{3,9})\.?[- /](?P<year>(?:20)?\d\d)", re.ASCII)
ENGLISH = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
MONTHS = {name: number for number, name in enumerate(ENGLISH, 1)}
SITE_ID = re.compile(SITE_ID_PATTERN)
LONGEST_NOTE = 1000  # a remark, not a report
# What openpyxl throws at files that are none, or are broken inside.
NO_WORKBOOK = (
    OSError,
    InvalidFileException,
    zipfile.BadZipFile,
    KeyError,
    ParseError,
    TypeError,
    ValueError,
)
Record = Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """One row of a form."""

    site_id: str
    outcome: str
    visited_on: str
    team: str
    note: str
    where: str


def import_outcomes(
    files: Sequence[Path], run_folder: Path, out: Path | None, team: str | None
) -> str:
    """Read forms, add them to the outcomes of a run, and say what they show.

    A site that is told of again takes the later month; of one month, the later row.

    Args:
        files: CSV, XLSX or GeoPackage, as teams, KoBoToolbox, ODK Central or QField give them.
        run_folder: the run whose sites they are.
        out: the outcomes' own file; in the run folder when absent.
        team: who went, for rows that do not say.

    Raises:
        TableError: a file cannot be read, or a row names no site of the run or no outcome.
        RunFolderError: there is no run.
    """
    places = places_of(run_folder)
    path = out or run_folder / OUTCOMES_FILE
    known = read_outcomes(path) if path.exists() else pd.DataFrame(columns=list(OUTCOME_COLUMNS))
    answers = [answer for file in files for answer in read_answers(file, team)]
    for answer in answers:
        if answer.site_id not in places.index:
            raise TableError(
                f"{answer.where}: {answer.site_id} is no site of {run_folder} nor of its packs: "
                "give the run that the pack was made from."
            )
    merged = merge(known, answers, places)
    records = merged.astype(object).where(merged.notna(), None)
    write_csv(path, OUTCOME_COLUMNS, records.itertuples(index=False, name=None))
    path.chmod(FOR_OWNER)
    found = precision(merged, PackRegister(run_folder).sites())
    return "\n".join([_took(answers, known, merged, path), *words(found)])


def places_of(run_folder: Path) -> pd.DataFrame:
    """Return lon and lat of every site that the run or one of its packs knows, by site_id.

    Raises:
        RunFolderError: there is no run.
    """
    if not run_folder.is_dir() or RunFolder(run_folder).manifest() is None:
        raise RunFolderError(f"{run_folder} holds no run: give the folder of `kilnlight run`.")
    sites = read_table(run_folder / "sites.parquet", SITES)[["site_id", "lon", "lat"]]
    packed = PackRegister(run_folder).sites()[["site_id", "lon", "lat"]]
    both = pd.concat([pd.DataFrame(sites), packed], ignore_index=True)
    return both.drop_duplicates("site_id").set_index("site_id")


def outcomes_of(run_folder: Path, *more: Path | None) -> pd.DataFrame | None:
    """Return the outcomes that a list leaves out: the run folder's and those given, or None.

    Together, since a survey that names an earlier one's outcomes soon gets its own.

    Raises:
        TableError: a file is none, or one that was named is not there.
    """
    named = [path for path in more if path is not None]
    if (run_folder / OUTCOMES_FILE).exists():
        named.append(run_folder / OUTCOMES_FILE)
    tables = [read_outcomes(path) for path in dict.fromkeys(named)]
    return pd.concat(tables, ignore_index=True) if tables else None


def read_outcomes(path: Path) -> pd.DataFrame:
    """Read an outcomes.csv.

    Raises:
        TableError: it is none, or a value does not fit.
    """
    rows = list(_records(path))
    if rows and not set(OUTCOME_COLUMNS) <= set(rows[0]):
        lacks = ", ".join(name for name in OUTCOME_COLUMNS if name not in rows[0])
        raise TableError(f"{path} lacks {lacks}: give what `kilnlight outcomes import` wrote.")
    table = pd.DataFrame(rows, columns=list(OUTCOME_COLUMNS)).astype(object)
    bad = table[~table["outcome"].isin(OUTCOMES)]
    if len(bad):
        raise TableError(
            f"{path}: {bad['outcome'].iloc[0]!r} at {bad['site_id'].iloc[0]} is no outcome: use "
            f"{', '.join(OUTCOMES)}."
        )
    try:
        placed = table.astype({"lon": float, "lat": float})
    except ValueError as error:
        raise TableError(f"{path}: a position is no number ({error}): import it again.") from error
    if not (placed["lon"].between(-180, 180) & placed["lat"].between(-90, 90)).all():
        raise TableError(f"{path}: a position is not on the earth: import it again.")
    placed["visited_on"] = placed["visited_on"].map(_month)
    if placed["visited_on"].isna().any():
        at = placed.loc[placed["visited_on"].isna(), "site_id"].iloc[0]
        raise TableError(f"{path}: visited_on at {at} names no month: write it as 2027-02.")
    return placed


def read_answers(path: Path, team: str | None) -> Iterator[Answer]:
    """Yield the filled rows of a form; rows without an outcome were not visited yet.

    Raises:
        TableError: the file cannot be read, lacks a column, or a row cannot be understood.
    """
    any_row = False
    for number, record in enumerate(_records(path), 2):
        row = {_plain(name): value for name, value in record.items()}
        if not any_row and not {"site_id", "outcome"} <= set(row):
            raise TableError(
                f"{path} lacks the columns site_id and outcome (it has "
                f"{', '.join(sorted(row)[:8])}): export the form with names, not labels, as header."
            )
        any_row = True
        if row["outcome"]:
            yield _answer(row, f"{path.name}, row {number}", team)
    if not any_row:
        raise TableError(f"{path} holds no rows: give the file that was filled in.")


def merge(known: pd.DataFrame, answers: Iterable[Answer], places: pd.DataFrame) -> pd.DataFrame:
    """Return OUTCOME_COLUMNS, one row a site, by site_id; a place that was seen beats a later miss.

    Args:
        known: earlier outcomes.
        answers: new ones.
        places: lon and lat by site_id.
    """
    lon, lat = places["lon"].round(6).to_dict(), places["lat"].round(6).to_dict()
    rows = [
        (
            answer.site_id,
            lon[answer.site_id],
            lat[answer.site_id],
            answer.outcome,
            answer.visited_on,
            answer.team,
            answer.note,
        )
        for answer in answers
    ]
    new = pd.DataFrame(rows, columns=list(OUTCOME_COLUMNS)).astype(object)
    table = pd.concat([known.astype(object), new], ignore_index=True)
    table["done"] = table["outcome"].isin(DONE)
    table = table.sort_values(["done", "visited_on"], kind="stable")
    latest = table.drop_duplicates("site_id", keep="last")
    return latest.sort_values("site_id", ignore_index=True)[list(OUTCOME_COLUMNS)]


def words(found: Precision) -> list[str]:
    """Say what outcomes show of the list, in lines for a person."""
    if found.of_told is None or found.if_untold is None:
        return ["No site was told of yet, so nothing can be said of the list."]
    told, (least, most) = found.of_told, found.if_untold
    lines = [
        f"Of {found.n_told} sites that teams told of, {found.n_real} are real: {told.mean:.0%} "
        f"({told.low:.0%} to {told.high:.0%}). {found.n_untold} were not reached or not safe; were "
        f"all of them none, it would be {least:.0%}, were all real, {most:.0%}."
    ]
    if found.of_all is None:
        return [
            *lines,
            "No site drawn by lot was told of: of the rest of the list nothing is known.",
        ]
    share = found.of_all
    lines.append(
        f"Of all sites that the packs were drawn from: {share.mean:.0%} ({share.low:.0%} to "
        f"{share.high:.0%}), by inverse chances, worth {found.effective:.0f} sites drawn alike."
    )
    return [*lines, "Intervals of 90 %. Closed sites count as real: a kiln stands there."]


def _took(answers: Sequence[Answer], known: pd.DataFrame, merged: pd.DataFrame, path: Path) -> str:
    counts = merged["outcome"].value_counts()
    of = ", ".join(f"{counts[name]} {name}" for name in OUTCOMES if name in counts)
    again = len(known) + len(answers) - len(merged)
    return (
        f"Took {len(answers)} rows ({again} of sites told of before or twice); {path} holds "
        f"{len(merged)} sites: {of or 'none'}."
    )


def _answer(row: Record, where: str, team: str | None) -> Answer:
    site_id = row["site_id"].strip().upper()
    if not SITE_ID.fullmatch(site_id):
        raise TableError(f"{where}: {row['site_id']!r} is no site_id: write it as on the card.")
    outcome = _outcomes().get(_folded(row["outcome"]))
    if outcome is None:
        raise TableError(f"{where}: {row['outcome']!r} is no outcome: use {', '.join(OUTCOMES)}.")
    when = _first(row, WHEN)
    month = _month(when)
    if month is None:
        raise TableError(
            f"{where}: visited_on ({when or 'empty'}) names no month: write it as 2027-02."
        )
    who = _first(row, TEAM) or team or ""
    return Answer(site_id, outcome, month, who, _first(row, NOTE)[:LONGEST_NOTE], where)


def _month(text: str) -> str | None:
    """The month in a date, also as spreadsheets rewrite 2027-02: Feb-27."""
    if MONTH.fullmatch(text[:7]):
        return text[:7]
    named = NAMED_MONTH.fullmatch(text)
    month = named and MONTHS.get(named["name"][:3].lower())
    return f"20{named['year'][-2:]}-{month:02d}" if named and month else None


def _first(row: Record, names: Iterable[str]) -> str:
    return next((row[name].strip() for name in names if row.get(name, "").strip()), "")


def _outcomes() -> dict[str, str]:
    """What forms hold for each outcome: its name, or its label in any language."""
    labels = {_folded(outcome): outcome for outcome in OUTCOMES}
    for code in LANGUAGES:
        language = load_language(code)
        labels |= {_folded(language.say(f"pack.{outcome}")): outcome for outcome in OUTCOMES}
    return labels


def _folded(text: str) -> str:
    return " ".join(text.replace("_", " ").casefold().split())


def _plain(name: str) -> str:
    """A column's name without the groups that it stands in."""
    return GROUPS.sub("", name.strip().lower())


def _records(path: Path) -> Iterator[Record]:
    """Rows of a CSV, an XLSX, or a GeoPackage as QField brings it back."""
    readers: dict[str, Callable[[Path], Iterator[Record]]] = {
        ".xlsx": _sheet_records,
        ".gpkg": _layer_records,
    }
    return readers.get(path.suffix.lower(), _csv_records)(path)


def _layer_records(path: Path) -> Iterator[Record]:
    try:
        layer = pyogrio.read_dataframe(path, layer=LAYER, read_geometry=False)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise TableError(
            f"{path} holds no layer {LAYER!r} that can be read: give the pack's own GeoPackage."
        ) from error
    for row in layer.astype(object).where(layer.notna(), "").to_dict("records"):
        yield {str(name): str(value) for name, value in row.items()}


def _csv_records(path: Path) -> Iterator[Record]:
    try:
        text = decode(path.read_bytes()).lstrip("\ufeff")
        if text[:4].lower() == "sep=":  # how Excel notes the separator
            text = text.partition("\n")[2]
        first = text.partition("\n")[0]
        delimiter = max(",;\t", key=first.count)
        rows = list(csv.DictReader(StringIO(text, newline=None), delimiter=delimiter))
    except (OSError, csv.Error) as error:
        raise TableError(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or error}): check its name, "
            "and save it as CSV or XLSX."
        ) from error
    for row in rows:
        # a cell that a spreadsheet would have run was written with an apostrophe before it
        yield {name: (row[name] or "").removeprefix("'") for name in row if name is not None}


def _sheet_records(path: Path) -> Iterator[Record]:
    try:
        with closing(load_workbook(path, read_only=True, data_only=True)) as book:
            rows = book.worksheets[0].iter_rows(values_only=True)
            header = [str(name or "") for name in next(rows, ())]
            for row in rows:
                cells = ("" if cell is None else str(cell) for cell in row)
                yield dict(zip(header, cells, strict=False))
    except NO_WORKBOOK as error:
        raise TableError(f"{path} is no XLSX that can be read: save it again as CSV.") from error
