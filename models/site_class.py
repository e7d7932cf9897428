"""A site class: what is looked for, its sizes, season, prevalence, as configuration not code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tiles.errors import ConfigError
from tiles.settings_file import read_settings

Month = Annotated[int, Field(ge=1, le=12)]
Months = Annotated[tuple[Month, ...], Field(min_length=1)]
# ISO 3166-1 alpha-2, as in the names of countries' web domains.
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
SensorName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]


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


class Seasons(_Frozen):
    """When the sites can be seen at work.

    Attributes:
        default: Months (1 to 12) wherever no country says otherwise.
        countries: Months by country (ISO 3166-1 alpha-2).
    """

    default: Months
    countries: dict[Country, Months] = {}

    def months(self, country: str | None = None) -> tuple[int, ...]:
        """The months in a country; the default where it is unknown or not listed."""
        return self.countries.get(country or "", self.default)


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
        sensors: Ground sample distances by sensor, within `gsd_m`: imagery that the class was
            made for. Other imagery is surveyed too, and the run says so.
        merge_radius_m: Centres of several detections within this are one site.
        match_tolerance_m: A detection this near a known site counts as having found it.
        seasons: When the sites can be seen at work, by country.
        prevalence_per_1000km2: Sites per 1,000 km2 that a survey expects; calibration's prior.
        workers_per_site: People employed at one site.
        weights: Weights that find it: a name of built-in ones, or a file relative to the class's
            own. Its place is no part of what the class is, so `model_dump` leaves it out.
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
    seasons: Seasons
    prevalence_per_1000km2: float = Field(gt=0)
    workers_per_site: WorkersPerSite
    sensors: dict[SensorName, Limits] = Field(min_length=1)
    weights: str | None = Field(default=None, min_length=1, exclude=True)

    @model_validator(mode="after")
    def _sensors_fit(self) -> Self:
        for name, gsd in self.sensors.items():
            if not (self.gsd_m.contains(gsd.low) and self.gsd_m.contains(gsd.high)):
                raise ValueError(
                    f"the sensor {name} with {gsd.low:g} to {gsd.high:g} m lies outside gsd_m, "
                    f"{self.gsd_m.low:g} to {self.gsd_m.high:g} m"
                )
        return self

    def sensors_at(self, gsd_m: float) -> tuple[str, ...]:
        """Sensors of the class that have this ground sample distance, by name."""
        return tuple(sorted(name for name, gsd in self.sensors.items() if gsd.contains(gsd_m)))


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
    site_class = read_settings(
        path, SiteClass, "site class file", "models/brick_kiln.toml", ConfigError
    )
    if site_class.weights is None or not site_class.weights.endswith(".safetensors"):
        return site_class
    return site_class.model_copy(update={"weights": str(path.parent / site_class.weights)})
