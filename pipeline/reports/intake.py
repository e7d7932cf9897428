"""The plain CSV of crowd reports: keeps in memory what a count needs, and never quotes a value.

No message, exception or representation made here holds anything that stood in a row: exceptions
travel to screens and logs. Values are therefore read by functions that answer None, not raise.
"""

import csv
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from tiles.errors import ReportError
from tiles.region import MONTH, Period

if TYPE_CHECKING:
    from _csv import Reader

COLUMNS = ("consent", "reporter", "lat", "lon", "month", "industry")
CONSENT = frozenset({"yes", "true", "1"})  # anything else, an empty field too, is a refusal
# What platforms write when nobody is named, as letters and digits alone ("n.a." is na). Read as one
# reporter, several people would share one draw, and one of them leaving could move another's count:
# sensitivity 2, not 1.
NOBODY = frozenset(
    {"anon", "guest", "na", "nan", "nil", "nobody", "noname", "none", "null", "test", "undefined"}
    | {f"not{word}" for word in ("applicable", "available", "given", "provided")}
)
NOBODY_STARTS = ("anonymous", "unknown")  # whatever follows: "anonymous user", "unknown-2"
# Format marks and controls, invisible and pasted along with a number: bidi marks, joiners, U+00AD.
UNSEEN = frozenset({"Cf", "Cc"})
DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")

# Codes of the list ForcedLabourIndustry of the Human Trafficking Case Data Standard v2 (IOM / UN
# Migration, CC BY 4.0): the sections of ISIC Rev. 4.
HTCDS_INDUSTRIES = (
    "A_AgricultureForestryAndFishing",
    "B_MiningAndQuarrying",
    "C_Manufacturing",
    "D_ElectricityGasSteamAndAirConditioningSupply",
    "E_WaterSupplySewerageWasteManagement",
    "F_Construction",
    "G_WholesaleAndRetailTradeRepairOfMotorVehicles",
    "H_TransportationAndStorage",
    "I_AccommodationAndFoodServiceActivities",
    "J_InformationAndCommunication",
    "K_FinancialAndInsuranceActivities",
    "L_RealEstateActivities",
    "M_ProfessionalScientificAndTechnicalActivities",
    "N_AdministrativeAndSupportServiceActivities",
    "O_PublicAdministrationAndDefence",
    "P_Education",
    "Q_HumanHealthAndSocialWorkActivities",
    "R_ArtsEntertainmentAndRecreation",
    "S_OtherServiceActivities",
    "T_ActivitiesOfHouseholdsAsEmployers",
    "U_ActivitiesOfExtraterritorialOrganizations",
)


class Gate(StrEnum):
    """What a row must pass to be counted, in order; the text is for the operator when none does."""

    CONSENT = "no row says yes, true or 1 in the column consent"
    REPORTER = "no row with consent names its reporter"
    MONTH = "no such row has a month in the period"
    INDUSTRY = "no such row names an industry of this release"
    PLACE = "no such row has coordinates"
    GROUP = "no such row lies in a group of the partition that can be released"


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """One accepted row, in memory only; it has no readable representation on purpose.

    Attributes:
        reporter: the reporter's id, folded so that spellings of one id are one.
        lat: degrees north, WGS 84.
        lon: degrees east, WGS 84.
        industry: HTCDS v2 code.
    """

    reporter: str
    lat: float
    lon: float
    industry: str


@dataclass(frozen=True, repr=False)
class Intake:
    """The accepted rows, and the gates that at least one row passed (screen only, never kept)."""

    reports: list[Report]
    passed: frozenset[Gate]


@dataclass(frozen=True, repr=False)
class _Row:
    """One well-formed row; None where the field is blank."""

    consent: str
    reporter: str
    lat: float | None
    lon: float | None
    month: str
    industry: str


def read_reports(path: Path, period: Period, industries: Iterable[str]) -> Intake:
    """Read a plain CSV in UTF-8 whose header names consent, reporter, lat, lon, month and industry.

    The whole file is checked, rows without consent too, before anything is counted: one
    impossible coordinate usually means that columns have slipped. A row counts when it carries
    consent, a reporter's id, a month of the period, an industry of the list, and coordinates in
    degrees; a row that merely fails one of these is passed over in silence.

    Raises:
        ReportError: no file, no UTF-8, another header, or a row that is no CSV, has impossible
            coordinates or a month that is none. The message names the line and column, no value.
    """
    wanted = frozenset(industries)
    reports: list[Report] = []
    passed: set[Gate] = set()
    for row in _checked_rows(path):
        gates = _gates(row, period, wanted)
        passed.update(gates)
        if Gate.PLACE in gates and row.lat is not None and row.lon is not None:
            reports.append(Report(row.reporter, row.lat, row.lon, row.industry))
    return Intake(reports, frozenset(passed))


def closed_gate(passed: Iterable[Gate]) -> Gate | None:
    """Return the first gate that no row passed, or None when at least one row was counted."""
    open_gates = set(passed)
    return next((gate for gate in Gate if gate not in open_gates), None)


def fold(text: str) -> str:
    """Bring spellings of one id together: unseen characters, compatibility forms, case, blanks.

    Controls that are blanks (tab, line end) count as blanks. The rest is Unicode's NFKC and case
    folding, and NFKC again, since case folding can leave its form.
    """
    seen = "".join(c for c in text if c.isspace() or unicodedata.category(c) not in UNSEEN)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())
    return " ".join(folded.split())


def names_somebody(reporter: str) -> bool:
    """Whether a folded id is more than a placeholder: it has a letter or a digit other than 0."""
    plain = "".join(c for c in reporter if c.isalnum())
    return bool(plain.strip("0")) and plain not in NOBODY and not plain.startswith(NOBODY_STARTS)


def _gates(row: _Row, period: Period, industries: frozenset[str]) -> list[Gate]:
    tests = (
        (Gate.CONSENT, row.consent in CONSENT),
        (Gate.REPORTER, names_somebody(row.reporter)),
        (Gate.MONTH, period.holds(row.month)),
        (Gate.INDUSTRY, row.industry in industries),
        (Gate.PLACE, row.lat is not None and row.lon is not None),
    )
    gates: list[Gate] = []
    for gate, passes in tests:
        if not passes:
            break
        gates.append(gate)
    return gates


def _checked_rows(path: Path) -> Iterator[_Row]:
    rows = _csv_rows(path)
    header = next(rows, None)
    if header is None:
        raise ReportError(f"{path} is empty: its first line must be {','.join(COLUMNS)}.")
    names = [name.strip().casefold() for name in header[1]]
    if sorted(names) != sorted(COLUMNS):
        # The header is not quoted: in a file without one it is somebody's report.
        raise ReportError(
            f"{path}, line 1: the header must name exactly {','.join(COLUMNS)}: "
            "rename or remove columns."
        )
    for number, fields in rows:
        if len(fields) != len(COLUMNS):
            raise ReportError(
                f"{path}, line {number}: {len(fields)} fields where {len(COLUMNS)} are needed: "
                "put quotes round fields that hold a comma."
            )
        yield _row(dict(zip(names, fields, strict=True)), f"{path}, line {number}")


def _row(fields: dict[str, str], where: str) -> _Row:
    lat, lon = fields["lat"].strip(), fields["lon"].strip()
    row = _Row(
        consent=fold(fields["consent"]),
        reporter=fold(fields["reporter"]),
        lat=_degrees(lat, 90.0),
        lon=_degrees(lon, 180.0),
        month=fields["month"].strip(),
        industry=fields["industry"].strip(),
    )
    # Both blank is a report without a place, which is common and is not counted.
    for name, value, limit in (("lat", row.lat, 90), ("lon", row.lon, 180)):
        if value is None and (lat or lon):
            raise ReportError(
                f"{where}, column {name}: an impossible coordinate: write degrees between "
                f"-{limit} and {limit}, with a point."
            )
    if row.month and not (row.month.isascii() and MONTH.fullmatch(row.month)):
        raise ReportError(f"{where}, column month: this is no month: write it as 2026-02.")
    return row


def _degrees(text: str, limit: float) -> float | None:
    if not DECIMAL.fullmatch(text):
        return None
    value = float(text)
    return value if math.isfinite(value) and abs(value) <= limit else None


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of each row that is not blank, the header first."""
    if not path.is_file():
        raise ReportError(f"report file {path} is not there: check the path.")
    try:
        with path.open("rb") as stream:
            reader = csv.reader(_text_lines(stream, path), strict=True)
            while (fields := _next_row(reader, path)) is not None:
                if fields:
                    yield reader.line_num, fields
    except OSError as error:
        raise ReportError(
            f"report file {path} cannot be read ({error.strerror}): check its permissions."
        ) from None


def _next_row(reader: "Reader", path: Path) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error:
        broken = reader.line_num
    raise ReportError(
        f"{path}, line {broken}: this is no CSV row (an open quote, a stray line end or a field "
        f"of over {csv.field_size_limit():,} letters): repair the line."
    )


def _text_lines(stream: Iterable[bytes], path: Path) -> Iterator[str]:
    for number, raw in enumerate(stream, start=1):
        text = _utf8(raw)
        if text is None:
            raise ReportError(f"{path}, line {number}: not UTF-8: save the file as CSV UTF-8.")
        yield text.removeprefix("\ufeff") if number == 1 else text


def _utf8(raw: bytes) -> str | None:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:  # holds the bytes of the line, so it must not travel on
        return None
