"""Spreadsheets of a pack: the list as XLSX, and the form that teams fill in on their phones.

The form is an XLSForm (https://xlsform.org/en/, sheets survey, choices and settings), which
KoBoToolbox, ODK Central and others read. No cell of either runs as a formula.
"""

import io
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet._write_only import WriteOnlyWorksheet

from maps.language import Language
from maps.lists import NOT_IN_XML
from maps.outcomes import OUTCOMES
from maps.packs.archive import unzipped, zipped
from maps.packs.facts import PackFacts
from maps.sheets import safe_cell
from tiles.files import atomic_path

WIDE = {"reason": 60, "note": 40, "nearest_place": 28, "degrees_minutes": 28, "site_id": 15}
USUAL_WIDTH = 12
PROPERTIES = "docProps/core.xml"
MODIFIED = re.compile(rb"(<dcterms:modified[^>]*>)[^<]*(<)")
LONGEST_CELL = 32_767  # Excel refuses a file with more in a cell
Row = Sequence[object]


def write_list(rows: pd.DataFrame, path: Path, facts: PackFacts, title: str) -> None:
    """Write the rows as a sheet with a fixed first row, and a second sheet that says what it is.

    Args:
        rows: what `pack_rows` returns.
        path: file to write.
        facts: the pack.
        title: what the list is of.
    """
    book = Workbook(write_only=True)
    sheet = book.create_sheet("sites")
    sheet.freeze_panes = "C2"
    for number, name in enumerate(rows.columns, 1):
        sheet.column_dimensions[get_column_letter(number)].width = WIDE.get(name, USUAL_WIDTH)
    records = rows.astype(object).where(rows.notna(), None)
    _fill(sheet, list(rows.columns), records.itertuples(index=False, name=None))
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(rows.columns))}{len(rows) + 1}"
    about = [("pack", facts.pack_id), ("valid until", facts.expires), ("team", facts.team)]
    about += [("list", title), ("imagery", facts.imagery), ("note", facts.site_class.disclaimer)]
    _fill(book.create_sheet("about"), ("what", "says"), about)
    _save(book, path, facts)


def write_form(rows: pd.DataFrame, path: Path, facts: PackFacts, language: Language) -> None:
    """Write the XLSForm: which site, what was found, which month, a remark; no positions.

    Args:
        rows: what `pack_rows` returns; its sites are the choices.
        path: file to write.
        facts: the pack; its id and team stand in every record.
        language: of questions and choices.
    """
    say = language.say
    label = f"label::{language.name} ({language.code})"
    hint = f"hint::{language.name} ({language.code})"
    questions = [
        ("note", "keep", say("pack.form_hint"), "", "", "", "", ""),
        ("select_one sites", "site_id", say("pack.form_site"), "", "yes", "minimal autocomplete",
         "", ""),
        ("select_one outcomes", "outcome", say("pack.form_found"), "", "yes", "", "", ""),
        ("date", "visited_on", say("pack.form_month"), "", "yes", "month-year", "", ""),
        ("text", "note", say("pack.remark"), say("pack.form_hint"), "", "multiline", "", ""),
        ("calculate", "pack_id", "", "", "", "", f"'{facts.pack_id}'", ""),
        ("calculate", "team", "", "", "", "", f"'{_quoted(facts.team)}'", ""),
    ]  # fmt: skip
    sites = [
        ("sites", site_id, f"{rank} {site_id}")
        for rank, site_id in zip(rows["rank"], rows["site_id"], strict=True)
    ]
    found = [("outcomes", outcome, say(f"pack.{outcome}")) for outcome in OUTCOMES]
    book = Workbook(write_only=True)
    columns = ("type", "name", label, hint, "required", "appearance", "calculation", "relevant")
    _fill(book.create_sheet("survey"), columns, questions)
    _fill(book.create_sheet("choices"), ("list_name", "name", label), [*sites, *found])
    about = (
        f"{say('pack.form_title')}, {facts.stamp}",
        f"kilnlight_{facts.pack_id.replace('-', '_').lower()}",
        facts.made.replace("-", ""),
        f"{language.name} ({language.code})",
    )
    head = ("form_title", "form_id", "version", "default_language")
    _fill(book.create_sheet("settings"), head, [about])
    _save(book, path, facts)


def _quoted(text: str) -> str:
    """Text inside an XPath string, which cannot hold its own quote, nor XLSForm's ${name}."""
    return text.replace("'", "\u2019").replace("${", "$ {")


def _fill(sheet: WriteOnlyWorksheet, header: Sequence[str], rows: Iterable[Row]) -> None:
    head = [WriteOnlyCell(sheet, name) for name in header]
    for cell in head:
        cell.font, cell.alignment = Font(bold=True), Alignment(vertical="top")
    sheet.append(head)
    for row in rows:
        sheet.append([_cell(sheet, value) for value in row])


def _cell(sheet: WriteOnlyWorksheet, value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    text = NOT_IN_XML.sub("", safe_cell(value))[:LONGEST_CELL]
    cell = WriteOnlyCell(sheet, text)
    cell.data_type = "s"  # whatever it begins with, it is text
    return cell


def _save(book: Workbook, path: Path, facts: PackFacts) -> None:
    day = datetime.fromisoformat(facts.made)
    book.properties.creator, book.properties.title = "Kilnlight", facts.stamp
    book.properties.created = book.properties.modified = day
    buffer = io.BytesIO()
    book.save(buffer)
    members = unzipped(buffer.getvalue())
    # openpyxl writes the time of saving over the one that it was told
    told = MODIFIED.sub(rb"\g<1>%b\g<2>" % day.isoformat().encode(), members[PROPERTIES])
    with atomic_path(path) as temporary:
        temporary.write_bytes(zipped(members | {PROPERTIES: told}))
