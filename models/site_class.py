"""A site class: what is looked for, its sizes, season, prevalence, as configuration not code."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tiles.errors import ConfigError

Month = Annotated[int, Field(ge=1, le=12)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Limits(_Frozen):
    """A closed range of positive lengths in metres."""

    low: float = Field(gt=0)
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.high < self.low:
            raise ValueError(f"high {self.high} lies under low {self.low}")
        return self

    def contains(self, value: float) -> bool:
        """Whether `value` (metres) lies within the range, ends included."""
        return self.low <= value <= self.high


class WorkersPerSite(_Frozen):
    """How many people one site employs: an order of magnitude, never a count."""

    low: int = Field(ge=0)
    mid: int = Field(ge=0)
    high: int = Field(ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= self.mid <= self.high:
            raise ValueError(f"{self.low}, {self.mid}, {self.high} do not rise")
        return self


class SiteClass(_Frozen):
    """One kind of work site.

    Attributes:
        name: Key used in tables and file names: lower-case letters, digits, underscores.
        title: Name for people.
        industry: Code of the list ForcedLabourIndustry of HTCDS v2 (IOM / UN Migration).
        harm_level: How grave forced labour in this industry usually is; orders lists, no more.
        disclaimer: The sentence that stands on every output for people.
        length_m: Plausible lengths of a site's long side.
        width_m: Plausible lengths of its short side.
        gsd_m: Ground sample distances of imagery in which the class can be found.
        merge_radius_m: Centres of several detections within this are one site.
        match_tolerance_m: A detection this near a known site counts as having found it.
        season_months: Months (1 to 12) in which the sites can be seen at work.
        prevalence_per_1000km2: Sites per 1,000 km2 that a survey expects; calibration's prior.
        workers_per_site: People employed at one site.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: str = Field(min_length=1)
    industry: str = Field(min_length=1)
    harm_level: Literal["low", "medium", "high"]
    disclaimer: str = Field(min_length=1)
    length_m: Limits
    width_m: Limits
    gsd_m: Limits
    merge_radius_m: float = Field(gt=0)
    match_tolerance_m: float = Field(gt=0)
    season_months: tuple[Month, ...] = Field(min_length=1)
    prevalence_per_1000km2: float = Field(gt=0)
    workers_per_site: WorkersPerSite


def known_site_classes() -> tuple[str, ...]:
    """Names of the classes that come with the program."""
    return tuple(sorted(path.stem for path in Path(__file__).parent.glob("*.toml")))


def load_site_class(name_or_toml_path: str | Path) -> SiteClass:
    """The class of a built-in name, or of a TOML file.

    Raises:
        ConfigError: No such class or file, or the file does not describe a site class.
    """
    path = Path(name_or_toml_path)
    if path.suffix != ".toml":
        path = Path(__file__).parent / f"{name_or_toml_path}.toml"
        if path.stem not in known_site_classes():
            raise ConfigError(
                f"There is no site class {str(name_or_toml_path)!r}: use one of "
                f"{', '.join(known_site_classes())}, or the path of a .toml file."
            )
    return _read_site_class(path)


def _read_site_class(path: Path) -> SiteClass:
    try:
        return SiteClass.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(
            f"The site class file {path} cannot be read ({error.strerror}): check the path."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file as a whole"
        raise ConfigError(
            f"The site class file {path} is wrong at {where}: {first['msg']}; "
            f"see models/brick_kiln.toml for a complete one."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The site class file {path} is not TOML ({error}): correct the syntax."
        ) from error
