"""What a catalogue is asked for: region, months, clouds, satellites; and which of it is wanted."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import shapely
from pydantic import BaseModel, ConfigDict, Field
from shapely.geometry.base import BaseGeometry

from tiles.access import Access, is_url
from tiles.presets import AssetNames
from tiles.region import Period

PREFIX = "stac:"  # what names a catalogue among paths


class SearchSettings(BaseModel):
    """Settings of the section `[search]`; unknown keys are refused.

    Attributes:
        max_cloud_percent: scenes that their catalogue says are cloudier are left out.
        platforms: satellites, as the catalogue writes them (`sentinel-2b`); all when empty.
        assets: which assets are the colours, for collections without a preset.
        alternate: take the asset's other address of this name, where it has one (`s3`).
        limit_s: seconds after which a search that is not over is given up.
        max_items: more items than this are refused: the region or the months are too wide.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_cloud_percent: float | None = Field(default=None, ge=0, le=100)
    platforms: tuple[str, ...] = ()
    assets: AssetNames | None = None
    alternate: str | None = None
    limit_s: float = Field(default=300.0, gt=0)
    max_items: int = Field(default=5000, ge=1)


@dataclass(frozen=True)
class Query:
    """A search: its settings, and the ground and months of the survey.

    `region` is in EPSG:4326; None where the user named none, which only lists of items allow.
    """

    region: BaseGeometry | None = None
    period: Period | None = None
    search: SearchSettings = field(default_factory=SearchSettings)
    access: Access = field(default_factory=Access)

    def wants(self, item: Mapping[str, Any]) -> bool:
        """Say whether an item (STAC, as a dictionary) is one of those sought."""
        return not self.why_not(item)

    def why_not(self, item: Mapping[str, Any]) -> str:
        """Why an item is not sought, in a word or two; empty where it is."""
        properties = item.get("properties") or {}
        day = day_of(item)
        if self.period and not (day and self.period.holds(day[:7])):
            return "of other months"
        cloud = properties.get("eo:cloud_cover")
        limit = self.search.max_cloud_percent
        if limit is not None and cloud is not None and float(cloud) > limit:
            return "too cloudy"
        wanted = [name.lower() for name in self.search.platforms]
        if wanted and str(properties.get("platform", "")).lower() not in wanted:
            return "of other satellites"
        ground = ground_of(item)
        if self.region is not None and ground is not None and not ground.intersects(self.region):
            return "elsewhere"
        return ""


def located(source: str, folder: Path) -> str:
    """An imagery source as it is called from anywhere: paths are whole, addresses as they are."""
    prefix = PREFIX if source.startswith(PREFIX) else ""
    where = source.removeprefix(PREFIX)
    return source if is_url(where) else prefix + os.path.abspath(folder / where)


def day_of(item: Mapping[str, Any]) -> str | None:
    """Day of acquisition of an item, ISO 8601; the first one where it spans several."""
    properties = item.get("properties") or {}
    moment = properties.get("datetime") or properties.get("start_datetime")
    return str(moment)[:10] if moment else None


def ground_of(item: Mapping[str, Any]) -> shapely.Polygon | None:
    """Where an item says it lies: its bounding box in EPSG:4326, or its geometry's."""
    geometry = item.get("geometry")
    bounds = item.get("bbox") or (shapely.geometry.shape(geometry).bounds if geometry else None)
    if bounds is None or len(bounds) not in (4, 6):
        return None
    half = len(bounds) // 2  # three numbers a corner where heights are given
    return shapely.box(bounds[0], bounds[1], bounds[half], bounds[half + 1])
