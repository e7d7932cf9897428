"""The settings file of a source of reports: its name, its basis of consent, its columns."""

import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

import phonenumbers
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from pipeline.reports.htcds import INDUSTRIES, SIGNS, CodeBook
from pipeline.reports.values import DateOrder
from tiles.errors import ReportError
from tiles.region import MONTH

Channel = Literal["sms", "voice", "messaging", "web", "app", "form", "paper", "file", "other"]
Role = Literal[
    "id", "contact", "person", "lat", "lon", "accuracy", "point", "when", "industry", "signs",
    "consent",
]  # fmt: skip
# Letters that name a file or a person are no use in a name that ends up beside every report.
NAME = r"^[a-z0-9][a-z0-9_-]{0,39}$"
SETTINGS_BYTES = 1 << 20  # a settings file is typed by hand; anything larger is another file


class Consent(BaseModel):
    """How people agreed: in a column of the file, or by a basis that holds for the whole source.

    Attributes:
        column: header of the column.
        yes: further words of that column that mean yes.
        basis: the wording that every reporter of this source was given.
        dated: since when; older reports are refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str | None = None
    yes: tuple[str, ...] = ()
    basis: str | None = Field(default=None, min_length=20)  # "yes" is no wording
    dated: date | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.basis is None) != (self.dated is None):
            raise ValueError("a basis needs both its wording (basis) and its date (dated)")
        if self.column is not None and self.basis is not None:
            raise ValueError("name a column or a basis, not both")
        return self


def _known_industry(value: object) -> object:
    if isinstance(value, str) and CodeBook(INDUSTRIES, {}).code(value) is None:
        raise ValueError("this is no HTCDS v2 code, such as C_Manufacturing")
    return CodeBook(INDUSTRIES, {}).code(value) if isinstance(value, str) else value


def _known_country(value: object) -> object:
    if isinstance(value, str) and value not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError("this is no country code of two capital letters, such as IN")
    return value


class Values(BaseModel):
    """A partner's own words for HTCDS codes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    industry: Mapping[str, str] = Field(default_factory=dict)
    signs: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known(self) -> Self:
        for book, words in ((INDUSTRIES, self.industry), (SIGNS, self.signs)):
            known = CodeBook(book, {})
            wrong = next((code for code in words.values() if known.code(code) is None), None)
            if wrong is not None:
                raise ValueError(f"{wrong!r} is no HTCDS v2 code")
        return self


class SourceSettings(BaseModel):
    """One source; the same file for everything it ever sends.

    Attributes:
        name: the source's lasting name; report ids belong to it.
        reporter_scope: sources with the same scope share the ids of people; the name when absent.
            Phones and e-mail addresses are the same person everywhere.
        default_country: of phone numbers written without a country code, two letters.
        industry: of reports that name none that is known.
        month: of reports that carry no date.
        channel: how reports come in; the format's own when absent.
        date_order: how 03/04/2026 is meant; the format's own when absent.
        encoding: of files that are not Unicode.
        consent: how people agreed.
        columns: header of the column for a role, where the format's own is not meant.
        values: a partner's own words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=NAME)
    reporter_scope: str | None = Field(default=None, pattern=NAME)
    default_country: Annotated[str | None, BeforeValidator(_known_country)] = None
    industry: Annotated[str | None, BeforeValidator(_known_industry)] = None
    month: str | None = Field(default=None, pattern=f"^{MONTH.pattern}$")
    channel: Channel | None = None
    date_order: DateOrder | None = None
    encoding: Literal["cp1252"] | None = None
    consent: Consent = Consent()
    columns: Mapping[Role, str] = Field(default_factory=dict)
    values: Values = Values()

    @property
    def scope(self) -> str:
        """The name under which this source's ids of people are kept apart from others."""
        return self.reporter_scope or self.name


def read_source(path: Path) -> SourceSettings:
    """Read a source's settings (TOML).

    Raises:
        ReportError: no such file, no TOML, or a key that is unknown or impossible.
    """
    try:
        if path.stat().st_size > SETTINGS_BYTES:
            raise ReportError(f"source settings {path} are no settings file: it is too large.")
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        return SourceSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "settings"
        message = first["msg"].removeprefix("Value error, ")
        raise ReportError(f"source settings {path}: {key}: {message}.") from None
    except OSError as error:
        raise ReportError(f"source settings {path} cannot be read ({error.strerror}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise ReportError(
            f"source settings {path} are no TOML in UTF-8: check the quotes."
        ) from None
