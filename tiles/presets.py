"""Which assets of a catalogue's item are red, green, blue and the mask: presets, and one's own."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tiles.radiometry import MaskKind

PRESETS = Path(__file__).with_name("presets.toml")


class AssetNames(BaseModel):
    """Names of assets, the first that an item has is taken.

    Attributes:
        red: names under which the red band may stand; likewise `green` and `blue`.
        image: instead of them, names of one asset with all three colours.
        mask: names of the classification of pixels.
        mask_kind: what its numbers mean.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    red: tuple[str, ...] = ()
    green: tuple[str, ...] = ()
    blue: tuple[str, ...] = ()
    image: tuple[str, ...] = ()
    mask: tuple[str, ...] = ()
    mask_kind: MaskKind | None = None

    @model_validator(mode="after")
    def _says_where_the_colours_are(self) -> Self:
        if bool(self.image) == bool(self.red and self.green and self.blue):
            raise ValueError("name either red, green and blue, or image")
        if bool(self.mask) != (self.mask_kind is not None):
            raise ValueError("mask and mask_kind belong together")
        return self


class Preset(AssetNames):
    """Assets of public collections that are known by name.

    Attributes:
        name: how the preset is called.
        collections: ids of STAC collections that it fits.
    """

    name: str
    collections: tuple[str, ...] = Field(min_length=1)


@cache
def presets() -> tuple[Preset, ...]:
    """The presets that come with the program."""
    values = tomllib.loads(PRESETS.read_text(encoding="utf-8"))
    return tuple(Preset.model_validate(value) for value in values["preset"])


def preset_of(collection: str) -> Preset | None:
    """The preset of a collection, or None where it is not a known one."""
    return next((one for one in presets() if collection in one.collections), None)
