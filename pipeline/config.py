"""The run file: every setting of a survey, read once, checked, and passed down."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator

from pipeline.engine.settings import ENGINE_PATHS, EngineSettings
from pipeline.map_settings import MapSettings
from pipeline.pixels import PixelSettings
from pipeline.priorities import PrioritySettings
from tiles.access import DEFAULT_CACHE, Access, holds_secret
from tiles.errors import ConfigError
from tiles.region import Period, Region
from tiles.scene import Bands
from tiles.search import PREFIX, Query, SearchSettings, located

PATH_FIELDS = (
    "out",
    "region",
    "districts",
    "places",
    "audit",
    "weights",
    "partition",
    "noised_counts",
    "exclusions",
    "outcomes",
)
# paths inside sections, likewise relative to the run file's folder
SECTION_PATHS = {
    "priority": ("access",),
    "engine": ENGINE_PATHS,
    "access": ("cache", "credentials"),
}
DeviceName = Literal["auto", "cpu", "cuda", "mps"]
PrecisionName = Literal["auto", "fp32", "bf16"]


class RunSettings(BaseModel):
    """What `kilnlight run` is told; unknown keys are refused.

    Attributes:
        imagery: files, folders, products, addresses, or catalogues as `stac:URL#COLLECTION`.
        out: the run folder.
        region: polygons of the ground to survey; the imagery's footprint when absent.
        name: what pages call the region; the region file's name when absent.
        districts: named areas; sites are added up in each.
        places: named points; hotspots are called after the nearest.
        audit: folder of a marked audit sample of this survey; it corrects the districts.
        period: months the survey speaks for, as 2025-11/2026-06; else from scenes' dates.
        country: two-letter code (ISO 3166-1) of the country whose season of the class applies; the
            class's default when absent.
        site_class: name of a built-in class, or the path of a TOML file that describes one.
        prevalence: sites per 1,000 km2 that probabilities presume; the class's own when absent.
        weights: file of weights, or the name of some that come with the program; those of the
            class when absent.
        bands: numbers of the red, green and blue band; found by name when absent.
        partition: groups of cells on which figures are published; built from this survey's own
            sites when absent.
        noised_counts: a release of noised report counts on the groups of `partition`.
        exclusions: list of places that are never to be shown; their sites are left out before
            anything is counted.
        outcomes: what teams found (`kilnlight outcomes import`): places that were visited leave the
            team's list, as do those of the run folder's own `outcomes.csv`.
        priority: which sites come first, and for whom; a section of its own.
        engine: how the work is cut, spread and given up; a section of its own.
        pixels: which scenes are searched, and how they are put together; a section of its own.
        search: what catalogues are asked for; a section of its own.
        access: how imagery on a network is got at and kept; a section of its own.
        map: language and background of the map; a section of its own.
        device: where the network runs.
        precision: number format of the network; bf16 where the hardware multiplies it when auto.
        gate: whether a small network first shuts out land where there is nothing to look for; the
            gate's own figures decide when absent.
        workers: worker processes; as many as cores when absent.
        scheduler: address of a running Dask scheduler; a local cluster when absent.
        strict: stop at the first scene or block that cannot be read.
        imagery_credit: one sentence for the pages: which imagery, with the credit its licence asks.
        simulated: the imagery is made up, and every page says so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    imagery: tuple[str, ...] = Field(min_length=1)
    out: Path
    region: Path | None = None
    name: str | None = None
    districts: Path | None = None
    places: Path | None = None
    audit: Path | None = None
    period: str | None = None
    country: str | None = Field(default=None, pattern=r"^[A-Z]{2}$")
    site_class: str = "brick_kiln"
    prevalence: float | None = Field(default=None, gt=0)
    weights: Path | None = None
    bands: tuple[PositiveInt, PositiveInt, PositiveInt] | None = None
    partition: Path | None = None
    noised_counts: Path | None = None
    exclusions: Path | None = None
    outcomes: Path | None = None
    priority: PrioritySettings = PrioritySettings()
    engine: EngineSettings = EngineSettings()
    pixels: PixelSettings = PixelSettings()
    search: SearchSettings = SearchSettings()
    access: Access = Access()
    map: MapSettings = MapSettings()
    device: DeviceName = "auto"
    precision: PrecisionName = "auto"
    gate: bool | None = None
    workers: int | None = Field(default=None, ge=1)
    scheduler: str | None = None
    strict: bool = False
    imagery_credit: str = "Imagery supplied by the operator of this survey."
    simulated: bool = False

    @field_validator("imagery")
    @classmethod
    def _are_open(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        if any(holds_secret(source.removeprefix(PREFIX)) for source in sources):
            raise ValueError(
                "an address holds a password or signature, which would be written down with the "
                "run: leave it out, and name its file in [access] credentials"
            )
        return sources

    @field_validator("weights")
    @classmethod
    def _found(cls, value: Path | None) -> Path | None:
        from models.weights import find_weights  # not needed for `--help`

        return None if value is None else find_weights(value)

    @field_validator("period")
    @classmethod
    def _months(cls, value: str | None) -> str | None:
        return None if value is None else str(Period.parse(value))

    @classmethod
    def of(cls, values: Mapping[str, object], where: str) -> Self:
        """Check settings; `where` names their origin in messages.

        Raises:
            ConfigError: a key is unknown or missing, or a value does not fit.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"]) or "settings"
            raise ConfigError(f"{where}: {key}: {first['msg'].lower()}.") from error

    @property
    def band_numbers(self) -> Bands | None:
        """The bands as a value, or None when they are to be found by name."""
        return None if self.bands is None else Bands(*self.bands)

    def query(self, region: Region | None) -> Query:
        """What catalogues are asked for, on the ground of the region and in the period."""
        months = None if self.period is None else Period.parse(self.period)
        return Query(region.polygon if region else None, months, self.search, self.access)


def read_run_file(path: Path) -> dict[str, object]:
    """Read a run file (TOML); relative paths in it are relative to its folder.

    Raises:
        ConfigError: the file is absent or is no TOML.
    """
    try:
        values: dict[str, object] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"run file {path} cannot be read: check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"run file {path} is no valid TOML: {error}.") from error
    folder = path.absolute().parent
    for key in PATH_FIELDS:
        if isinstance(text := values.get(key), str) and not _is_name(key, text, folder):
            values[key] = folder / text
    for section, keys in SECTION_PATHS.items():
        inner = values.get(section)
        if isinstance(inner, dict):
            found = {key: folder / inner[key] for key in keys if isinstance(inner.get(key), str)}
            values[section] = inner | found
    if isinstance(access := values.get("access", {}), dict):
        values["access"] = {"cache": folder / DEFAULT_CACHE} | access
    values |= _files_among(values, "site_class", folder)
    if isinstance(pixels := values.get("pixels"), dict):
        values["pixels"] = pixels | _files_among(pixels, "sensor", folder)
    imagery = values.get("imagery", [])
    sources = [imagery] if isinstance(imagery, str) else imagery
    if isinstance(sources, list):
        values["imagery"] = tuple(located(str(source), folder) for source in sources)
    return values


def _is_name(key: str, text: str, folder: Path) -> bool:
    """Whether weights are given by their name, and not by a file beside the run's."""
    bare = Path(text).name == text and not Path(text).suffix
    return key == "weights" and bare and not (folder / text).exists()


def _files_among(values: Mapping[str, object], key: str, folder: Path) -> dict[str, object]:
    """A key that may name a built-in thing or a TOML file, if it names a file beside the run's."""
    text = str(values.get(key, ""))
    return {key: str(folder / text)} if text.endswith(".toml") else {}


def add_to_section(values: dict[str, object], section: str, flags: Mapping[str, object]) -> None:
    """Let flags go before what a run file says in one of its sections; None is no flag."""
    given = {key: value for key, value in flags.items() if value is not None}
    inner = values.get(section, {})
    if given and isinstance(inner, dict):
        values[section] = inner | given


def to_toml(settings: RunSettings) -> str:
    """Write settings as a run file that gives the same run again, from wherever it is read."""
    values = _without_none(settings.model_dump(mode="json"))
    for key in PATH_FIELDS:
        if key in values:
            values[key] = os.path.abspath(values[key])
    for section, keys in SECTION_PATHS.items():
        for key in keys:
            if key in values[section]:
                values[section][key] = os.path.abspath(values[section][key])
    if str(settings.pixels.sensor).endswith(".toml"):
        values["pixels"]["sensor"] = os.path.abspath(str(settings.pixels.sensor))
    if settings.site_class.endswith(".toml"):
        values["site_class"] = os.path.abspath(settings.site_class)
    values["imagery"] = [located(source, Path.cwd()) for source in settings.imagery]
    return "".join(f"{key} = {_toml(value)}\n" for key, value in values.items())


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    """TOML has no word for nothing: a key that is absent says it."""
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None
    }


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
