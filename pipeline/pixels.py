"""Which scenes a survey looks at, and how they are put together; which are left out."""

from __future__ import annotations

from calendar import month_name
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import shapely
from pydantic import BaseModel, ConfigDict

from tiles.errors import SceneError
from tiles.sensors import SensorProfile, check_known, load_sensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.site_class import SiteClass
    from tiles.scene import Scene


class PixelSettings(BaseModel):
    """The section `pixels` of a run file.

    Attributes:
        composite: `median` or `medoid` of the clear looks at each pixel, `best` for the one
            clearest scene of each ground, `each` to search every scene and link what is found.
        mosaic: in which of several overlapping scenes a place is searched: `all`, the `newest` that
            shows it without cloud, or the `clearest`.
        any_season: search scenes of months in which the sites are idle, too.
        sensor: sensor profile of the imagery: a built-in name or a TOML file; by the scenes' own
            names and metadata when absent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    composite: Literal["median", "medoid", "best", "each"] = "each"
    mosaic: Literal["all", "newest", "clearest"] = "all"
    any_season: bool = False
    sensor: str | None = None

    @property
    def profile(self) -> SensorProfile | None:
        """The sensor profile that is named.

        Raises:
            ConfigError: there is none of that name, or the file holds none.
        """
        return None if self.sensor is None else load_sensor(self.sensor)


@dataclass(frozen=True)
class ChosenScenes:
    """What a survey searches, and the scenes that were left out for their season."""

    scenes: tuple[Scene, ...]
    out_of_season: tuple[Scene, ...]


def choose_scenes(
    scenes: Sequence[Scene],
    settings: PixelSettings,
    site_class: SiteClass,
    country: str | None,
    ground: shapely.Geometry,
) -> ChosenScenes:
    """Leave out scenes out of season, put the dates of each ground together, and order overlaps.

    Args:
        scenes: as they were found.
        settings: the section `pixels` of the run.
        site_class: gives the season.
        country: two letters; the class's default season where None.
        ground: the region, EPSG:4326; clearness is measured there.

    Raises:
        SceneError: numbers of an unknown sensor, nothing in season, or a file cannot be read.
    """
    from tiles.mosaic import order
    from tiles.season import split_by_season

    for scene in scenes:
        check_known(str(scene.path), scene.dtype, scene.radiometry)
    months = tuple(range(1, 13)) if settings.any_season else site_class.seasons.months(country)
    split = split_by_season(scenes, months)
    if not split.within:
        raise SceneError(
            f"{describe_outside(split.outside, site_class, country)}: nothing is left to search; "
            "give --any-season to search them all the same."
        )
    put_together = _put_together(split.within, settings, ground)
    return ChosenScenes(order(put_together, settings.mosaic, ground), split.outside)


def _put_together(
    scenes: tuple[Scene, ...], settings: PixelSettings, ground: shapely.Geometry
) -> tuple[Scene, ...]:
    from tiles.composite import compose, group_by_ground
    from tiles.mosaic import order_by_clearness

    if settings.composite == "each":
        return scenes
    if settings.composite == "best":
        return tuple(order_by_clearness(g.scenes, ground)[0] for g in group_by_ground(scenes))
    return compose(scenes, settings.composite)


def describe_outside(scenes: Sequence[Scene], site_class: SiteClass, country: str | None) -> str:
    """Say of which months scenes out of season are, and for whom: a sentence without its end."""
    outside = sorted({int(scene.date[5:7]) for scene in scenes if scene.date})
    names = ", ".join(month_name[month] for month in outside)
    where = f" in {country}" if country else ""
    return (
        f"{len(scenes)} scene{'s are' if len(scenes) > 1 else ' is'} of {names}, out of season for "
        f"{site_class.title.lower()}s{where}"
    )
