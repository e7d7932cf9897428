"""Reads a file in a known format into raw reports, and tells the format of an unknown one."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from pipeline.reports.formats.base import Format, Head
from pipeline.reports.formats.flat import Flat, Point, plain, short_names, split_point
from pipeline.reports.jsonfile import is_json, json_records
from pipeline.reports.record import RawReport
from pipeline.reports.source import Role, SourceSettings
from pipeline.reports.textfile import TextFile, csv_rows
from tiles.errors import ReportError

ROLES: tuple[Role, ...] = get_args(Role)
HXL = "#"  # every tag of the Humanitarian Exchange Language begins with it
Names = Mapping[Role, Sequence[str]]


def read(form: Format, file: TextFile, source: SourceSettings) -> Iterator[RawReport]:
    """Yield the reports of a file, in order.

    Raises:
        ReportError: the file cannot be read, or has no column that it must have; in one sentence
            without any value of the file.
    """
    return _read_json(form, file, source) if form.is_json else _read_table(form, file, source)


def detect(formats: Sequence[Format], file: TextFile) -> Format:
    """Return the one format that a file begins as.

    Raises:
        ReportError: it begins as none of them, or as several.
    """
    head = _head(formats, file)
    found = [form for form in formats if form.recognises(head)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(form.name for form in found or formats)
    what = "several formats fit" if found else "no known format fits"
    raise file.error(f"{what}: say which it is with --as: {names}.")


def _head(formats: Sequence[Format], file: TextFile) -> Head:
    if not is_json(file):
        header = next(csv_rows(file), None)
        names = [] if header is None else [plain(name) for name in header.fields]
        return Head(header=frozenset(names))
    containers = frozenset(itertools.chain.from_iterable(form.containers for form in formats))
    first = next(json_records(file, containers), None)
    return Head() if first is None else Head(container=first.container, record=first.values)


def _read_table(form: Format, file: TextFile, source: SourceSettings) -> Iterator[RawReport]:
    rows = csv_rows(file)
    first = next(rows, None)
    if first is None:
        raise file.error("the file is empty: its first line must be the header.")
    header = [plain(name) for name in first.fields]
    picker = _table_picker(form, file, source, header)
    if form.only is not None and form.only[0] not in header:
        raise file.error(f"there is no column {form.only[0]!r}, which {form.name} has.")
    second = next(rows, None)
    if second is not None and not (form.hxl and _is_hxl(second.fields)):
        rows = itertools.chain([second], rows)
    for row in rows:
        values = dict(zip(header, row.fields, strict=True))
        if form.only is None or plain(values[form.only[0]]) == form.only[1]:
            if form.adapt is not None:
                form.adapt(values)
            yield picker.raw(row.line, Flat(values))


def _is_hxl(fields: Sequence[str]) -> bool:
    return all(one.startswith(HXL) for one in fields if one)


def _read_json(form: Format, file: TextFile, source: SourceSettings) -> Iterator[RawReport]:
    names: dict[Role, Sequence[str]] = {role: _wanted(form, source, role) for role in ROLES}
    picker = _Picker(names)
    for record in json_records(file, form.containers):
        flat = form.flatten(record.values)
        if not any(name in flat.values for name in names["point"]) and len(flat.points) > 1:
            raise file.error(
                "the record has several places: name one as point in [columns] of the source's "
                "settings.",
                record.number,
                "record",
            )
        yield picker.raw(record.number, flat)


def _wanted(form: Format, source: SourceSettings, role: Role) -> tuple[str, ...]:
    if role == "consent" and source.consent.column is not None:
        return (plain(source.consent.column),)
    named = source.columns.get(role)
    return form.names(role) if named is None else (plain(named),)


@dataclass(frozen=True)
class _Picker:
    """Takes the roles out of a flat record, by the first name of each that has a value."""

    names: Names

    def raw(self, number: int, flat: Flat) -> RawReport:
        values = flat.values

        def get(role: Role) -> str:
            for name in self.names[role]:
                if name in values and (text := values[name]) and not text.isspace():
                    return text
            return ""

        point = self._point(get, flat)
        return RawReport(
            number=number,
            platform_id=get("id"),
            contact=get("contact"),
            person=get("person"),
            lat=point.lat,
            lon=point.lon,
            accuracy=point.accuracy or get("accuracy"),
            when=get("when"),
            industry=get("industry"),
            signs=get("signs"),
            consent=get("consent") if self._asks(values) else None,
        )

    def _asks(self, values: Mapping[str, str]) -> bool:
        return any(name in values for name in self.names["consent"])

    def _point(self, get: Callable[[Role], str], flat: Flat) -> Point:
        text = get("point") or (flat.values[flat.points[0]] if len(flat.points) == 1 else "")
        return split_point(text) if text else Point(get("lat"), get("lon"))


def _table_picker(
    form: Format, file: TextFile, source: SourceSettings, header: list[str]
) -> _Picker:
    """Find the columns of every role, and say in one sentence which one is missing.

    The header is never quoted: in a file without one it is somebody's report.
    """
    full = {**short_names(header), **{name: name for name in header}}
    names: dict[Role, Sequence[str]] = {
        role: [full[name] for name in _wanted(form, source, role) if name in full] for role in ROLES
    }
    names |= _place_columns(form, file, source, header, names)
    _check_named(file, source, names)
    if not (names["point"] or (names["lat"] and names["lon"])):
        raise _lacks(file, form, "place", "lat and lon, or point")
    if not (names["when"] or source.month):
        raise _lacks(file, form, "date", "when")
    if not names["consent"] and source.consent.basis is None:
        raise file.error(
            "no column says consent and the source declares no basis for it: nothing is taken; "
            "see [consent] in the source's settings."
        )
    used = set(itertools.chain.from_iterable(names.values()))
    if any(header.count(name) > 1 for name in used):
        raise file.error("two columns that are needed have the same header: rename one.", 1)
    return _Picker(names)


def _lacks(file: TextFile, form: Format, what: str, roles: str) -> ReportError:
    return file.error(
        f"there is no column of a {what} as {form.name} names it: write its header into [columns] "
        f"of the source's settings, as {roles}."
    )


def _check_named(file: TextFile, source: SourceSettings, names: Names) -> None:
    named: dict[Role, str] = dict(source.columns)
    if source.consent.column is not None:
        named["consent"] = source.consent.column
    for role, name in named.items():
        found = names["lat"] if role == "point" and not names["point"] else names[role]
        if not found:
            raise file.error(f"there is no column {name!r}, which the source names for {role}.")


def _place_columns(
    form: Format, file: TextFile, source: SourceSettings, header: list[str], names: Names
) -> dict[Role, Sequence[str]]:
    """The columns of a place that a form named itself, where none was found by its whole name."""
    if form.suffixes is None or names["point"] or (names["lat"] and names["lon"]):
        return {}
    stems = form.suffixes.stems(header)
    if "point" in source.columns:
        wanted = plain(source.columns["point"])
        stems = [stem for stem in stems if stem == wanted or stem.endswith(f"/{wanted}")]
    if len(stems) > 1:
        raise file.error(
            "the table has several places: name one as point in [columns] of the source's settings."
        )
    if not stems:
        return {}
    accuracy = f"{stems[0]}{form.suffixes.accuracy}"
    return {
        "lat": [f"{stems[0]}{form.suffixes.lat}"],
        "lon": [f"{stems[0]}{form.suffixes.lon}"],
        "accuracy": [accuracy] if accuracy in header else [],
    }
