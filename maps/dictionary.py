"""The data dictionary: what every column of the published tables means, from their schemas."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from maps.evidence import GROUPS
from maps.facts import Tier
from maps.linking import SITES
from tiles.tables import Column, TableSchema

NOTE = Column("report_note", "string", "why there is no reporting rate, where there is none", True)
GROUP_COLUMNS: tuple[Column, ...] = (*GROUPS.columns, NOTE)
# What the partner tier holds of a site: never rank, priority or reason, nor what they are made of.
SITE_NAMES = (
    *("site_id", "site_class", "kind", "lon", "lat", "length_m", "width_m", "azimuth_deg"),
    *("p_site", "p_low", "p_high", "n_scenes", "first_date", "last_date", "cell_id"),
    *("unfamiliar", "review_status"),
)
TYPES = {"string": "text", "float64": "number", "int64": "whole number", "bool": "True or False"}
UNITS = {"_km2": "km2", "_m": "m", "_deg": "degrees", "lon": "degrees", "lat": "degrees"}
FILES = {"groups": ("groups.csv", "groups.geojson"), "sites": ("sites.csv", "sites.geojson")}
HEADER = ("file", "column", "type", "unit", "may_be_missing", "meaning")


@dataclass(frozen=True)
class Entry:
    """One column of one file."""

    files: str
    column: str
    type: str
    unit: str
    may_be_missing: str
    meaning: str

    def row(self) -> tuple[str, ...]:
        """Its cells under HEADER."""
        return (
            self.files,
            self.column,
            self.type,
            self.unit,
            self.may_be_missing,
            self.meaning,
        )


def site_columns() -> tuple[Column, ...]:
    """The columns of the partner tier's sites, in their order."""
    known = {column.name: column for column in SITES.columns}
    return tuple(known[name] for name in SITE_NAMES)


def dictionary(tier: Tier) -> list[Entry]:
    """Return every column that the tables of a tier hold."""
    tables: list[tuple[TableSchema, Sequence[Column]]] = [(GROUPS, GROUP_COLUMNS)]
    if tier == "partner":
        tables.append((SITES, site_columns()))
    return [entry for schema, columns in tables for entry in _entries(schema.name, columns)]


def _entries(table: str, columns: Iterable[Column]) -> list[Entry]:
    return [
        Entry(
            files=" and ".join(FILES[table]),
            column=column.name,
            type=TYPES[column.dtype],
            unit=next((unit for end, unit in UNITS.items() if column.name.endswith(end)), ""),
            may_be_missing="yes" if column.nullable else "no",
            meaning=column.doc,
        )
        for column in columns
    ]
