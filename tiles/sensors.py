"""Sensor profiles: what the numbers of a product mean, as TOML, and which product a file is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from tiles.errors import ConfigError, SceneError
from tiles.radiometry import PLAIN_8_BIT, MaskKind, Radiometry
from tiles.settings_file import read_settings

PROFILES = Path(__file__).parent / "profiles"
BASELINE_IN_NAME = re.compile(r"_N(\d{2})(\d{2})_")  # of a Sentinel-2 product: N0510 is 05.10
BASELINE_TAGS = ("PROCESSING_BASELINE", "processing_baseline")  # GDAL's Sentinel-2 driver's
OFFSET_TAGS = ("BOA_ADD_OFFSET", "RADIO_ADD_OFFSET")  # in counts, where a converter kept them


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SensorBands(_Frozen):
    """Names of the red, green and blue band, as files and catalogues of the sensor write them."""

    red: str = Field(min_length=1)
    green: str = Field(min_length=1)
    blue: str = Field(min_length=1)


class DatedOffset(_Frozen):
    """An offset in reflectance, and since which processing baseline or acquisition it holds."""

    from_baseline: str = Field(pattern=r"^\d\d\.\d\d$")
    from_date: str = Field(pattern=r"^\d{4}-\d\d-\d\d$")
    offset: float


class SensorProfile(_Frozen):
    """What the stored numbers of one kind of product mean.

    Attributes:
        name: how it is called with --sensor.
        title: for people.
        source: the document that the numbers are from.
        dtypes: number types it comes in.
        bands: names of red, green and blue.
        gsd_m: ground sample distance of those bands, metres.
        scale: reflectance of one count.
        offset: reflectance of count 0, where it never changed.
        offsets: where it did: by processing baseline, else by date, oldest first.
        nodata: the number that stands for no data.
        saturated: the lowest number that stands for a saturated pixel.
        mask: which classification of pixels comes with it.
        product_names: patterns (regular expressions) by which a product's name is known.
        collections: STAC collections of it.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str = Field(min_length=1)
    source: str = Field(min_length=1)
    dtypes: tuple[str, ...] = Field(min_length=1)
    bands: SensorBands
    gsd_m: float = Field(gt=0)
    scale: float = Field(gt=0)
    offset: float = 0.0
    offsets: tuple[DatedOffset, ...] = ()
    nodata: float | None = None
    saturated: float | None = None
    mask: MaskKind | None = None
    product_names: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceFacts:
    """What a file or catalogue says of a scene, as far as it bears on its numbers.

    Attributes:
        where: how to call the scene in messages.
        dtype: number type of the bands.
        text: path or product id; searched for a product's name and its baseline.
        tags: metadata of the file.
        date: day of acquisition, ISO 8601.
        scales: of red, green and blue, where file or catalogue say them.
        offsets: likewise, in reflectance.
        collection: STAC collection it is from.
        baseline: Sentinel-2 processing baseline, such as 05.10.
        offset_applied: whether the catalogue says that the offset is already in the numbers.
    """

    where: str
    dtype: str
    text: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    date: str | None = None
    scales: tuple[float, float, float] | None = None
    offsets: tuple[float, float, float] | None = None
    collection: str = ""
    baseline: str | None = None
    offset_applied: bool | None = None


@cache
def known_sensors() -> tuple[str, ...]:
    """Names of the profiles that come with the program."""
    return tuple(sorted(path.stem for path in PROFILES.glob("*.toml")))


def load_sensor(name_or_toml_path: str | Path) -> SensorProfile:
    """The profile of a built-in name, or of a TOML file.

    Raises:
        ConfigError: no such profile or file, or the file describes none.
    """
    path = Path(name_or_toml_path)
    if path.suffix != ".toml":
        path = PROFILES / f"{name_or_toml_path}.toml"
        if path.stem not in known_sensors():
            raise ConfigError(
                f"There is no sensor {str(name_or_toml_path)!r}: use one of "
                f"{', '.join(known_sensors())}, or the path of a .toml file."
            )
    return read_settings(
        path, SensorProfile, "sensor profile", "tiles/profiles/sentinel-2-l2a.toml", ConfigError
    )


@cache
def _built_in() -> tuple[SensorProfile, ...]:
    return tuple(load_sensor(name) for name in known_sensors())


def recognise(facts: SourceFacts) -> SensorProfile | None:
    """The built-in profile whose product a scene is, by collection or name; None where unknown."""
    for profile in _built_in():
        if facts.dtype not in profile.dtypes:
            continue
        named = any(re.search(pattern, facts.text) for pattern in profile.product_names)
        if named or (facts.collection and facts.collection in profile.collections):
            return profile
    return None


def radiometry_of(facts: SourceFacts, sensor: SensorProfile | None = None) -> Radiometry | None:
    """How a scene's numbers become reflectance.

    The profile that the user named goes first, then the one that the scene's name or collection
    speaks for, then scale and offset that the file itself says; 8-bit pictures need none.

    Returns:
        None where nothing is known, and where 8-bit true colour needs nothing.

    Raises:
        SceneError: the profile does not hold numbers of this type, or has several offsets and
            nothing says which.
    """
    profile = sensor or recognise(facts)
    if profile is None:
        return _of_file(facts)
    if facts.dtype not in profile.dtypes:
        raise SceneError(
            f"{facts.where} holds {facts.dtype}, and the sensor profile {profile.name} is of "
            f"{', '.join(profile.dtypes)}: name another with --sensor."
        )
    if facts.dtype == PLAIN_8_BIT and sensor is None:
        return None
    offset, basis = _offset(facts, profile)
    return Radiometry(
        profile.name,
        (profile.scale,) * 3,
        (offset,) * 3,
        profile.nodata,
        profile.saturated,
        basis,
    )


def check_known(where: str, dtype: str, radiometry: Radiometry | None) -> None:
    """Refuse numbers whose meaning nobody said.

    Raises:
        SceneError: they are not 8-bit, and there is no profile.
    """
    if radiometry is None and dtype != PLAIN_8_BIT:
        raise SceneError(
            f"{where} holds {dtype} numbers and nothing says of which sensor they are: name a "
            f"profile with --sensor ({', '.join(known_sensors())}, or a .toml file of your own)."
        )


def _of_file(facts: SourceFacts) -> Radiometry | None:
    """Scale and offset as the file or catalogue itself says them."""
    if facts.scales is None and facts.offsets is None:
        return None
    return Radiometry(
        "file", facts.scales or (1.0,) * 3, facts.offsets or (0.0,) * 3, basis="said by the file"
    )


def _offset(facts: SourceFacts, profile: SensorProfile) -> tuple[float, str]:
    """The offset in reflectance, and what it was taken from."""
    if not profile.offsets:
        return profile.offset, "the profile"
    if facts.offset_applied:
        return 0.0, "the catalogue: already applied"
    for tag in OFFSET_TAGS:
        if tag in facts.tags:
            return float(facts.tags[tag].split()[0]) * profile.scale, f"the file's {tag}"
    if len(profile.offsets) == 1:
        return profile.offsets[0].offset, "the profile"
    baseline = facts.baseline or _baseline(facts)
    if baseline is not None:
        held = [known for known in profile.offsets if known.from_baseline <= baseline]
        return (held or profile.offsets)[-1 if held else 0].offset, f"baseline {baseline}"
    if facts.date is not None:
        held = [known for known in profile.offsets if known.from_date <= facts.date]
        return (held or profile.offsets)[-1 if held else 0].offset, "the date: no baseline is said"
    raise SceneError(
        f"{facts.where} says neither its processing baseline nor its date, so which offset "
        f"{profile.name} had is unknown: put the date into the file's name, or name the sensor "
        "reflectance-10000 if no offset is left in it."
    )


def _baseline(facts: SourceFacts) -> str | None:
    named = BASELINE_IN_NAME.search(facts.text)
    if named:
        return f"{named[1]}.{named[2]}"
    tagged = next((facts.tags[tag] for tag in BASELINE_TAGS if tag in facts.tags), None)
    return tagged if tagged and re.fullmatch(r"\d\d\.\d\d", tagged) else None


@cache
def true_colour() -> Radiometry:
    """How 8-bit true colour becomes reflectance, where it meets scenes of another scale."""
    profile = load_sensor("true-colour")
    return Radiometry(
        profile.name, (profile.scale,) * 3, (profile.offset,) * 3, basis=profile.source
    )
