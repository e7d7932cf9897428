"""What a format of reports is: how it is recognised, and which of its names mean what.

A format is a value, not code: names for each role, and a function where a platform nests things.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pipeline.reports.formats.flat import Flat, flatten, plain
from pipeline.reports.source import Channel, Role
from pipeline.reports.values import DateOrder

# Names that a form may take over from the standard or from this project, in every format. Not
# among them: phonenumber, which XForms fill with the number of the enumerator's device.
# A format with e-mail addresses names these before them: one person is then one id in all sources.
PHONES = ("phone", "phone_number", "prs_MobilePhone", "prs_HomePhone")
COMMON: Mapping[Role, tuple[str, ...]] = {
    "consent": ("consent", "con_Consent"),
    "contact": PHONES,
    "person": ("reporter",),
    "industry": ("industry", "vic_ForcedLabourIndustry"),
    "signs": ("signs", "vic_MethodsOfControl", "vic_Methods_of_Control"),
}


@dataclass(frozen=True)
class Head:
    """The beginning of a file: its header, or its first JSON record and the list that held it."""

    header: frozenset[str] = frozenset()
    container: str = ""
    record: Mapping[str, object] = field(default_factory=dict, repr=False)

    def has(self, *names: str) -> bool:
        """Whether the header has all these columns (written as `plain` writes them)."""
        return self.header.issuperset(names)

    def holds(self, *names: str) -> bool:
        """Whether the first record has all these members."""
        return self.record.keys() >= set(names)


@dataclass(frozen=True)
class Suffixes:
    """How a platform names the columns of one place: a stem that the form chose, and these."""

    lat: str
    lon: str
    accuracy: str

    def stems(self, header: list[str]) -> list[str]:
        """Return the stems of which both latitude and longitude are there."""
        found = [name.removesuffix(self.lat) for name in header if name.endswith(self.lat)]
        return [stem for stem in found if stem and f"{stem}{self.lon}" in header]


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: what `--as` calls it.
        recognises: whether a file begins as this format does.
        columns: names that mean a role, in order of preference.
        suffixes: of the columns of a place in a table.
        containers: names of the list of records in a JSON file; empty for tables.
        flatten: a JSON record to text by name.
        date_order: how 03/04/2026 is meant.
        channel: how such reports come in.
        adapt: changes a row of a table in place before its names are read.
        hxl: whether the second row may hold HXL tags.
        only: column and value of the rows that are reports at all.
    """

    name: str
    recognises: Callable[[Head], bool]
    columns: Mapping[Role, tuple[str, ...]]
    suffixes: Suffixes | None = None
    containers: frozenset[str] = frozenset()
    flatten: Callable[[Mapping[str, object]], Flat] = flatten
    adapt: Callable[[dict[str, str]], None] | None = None
    date_order: DateOrder | None = None
    channel: Channel = "form"
    hxl: bool = False
    only: tuple[str, str] | None = None

    @property
    def is_json(self) -> bool:
        """Whether files are JSON; else they are tables."""
        return bool(self.containers)

    def names(self, role: Role) -> tuple[str, ...]:
        """Return the names that mean a role, the format's own first."""
        return tuple(map(plain, (*self.columns.get(role, ()), *COMMON.get(role, ()))))
