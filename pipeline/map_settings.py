"""The [map] section of a run file: what lies under the map, and the language it opens in."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from maps.basemap import MapNames
from maps.boundaries import read_districts, read_places
from maps.language import LanguageCode
from maps.map_page import TILES, MapLook
from pipeline.map_pictures import survey_pictures
from tiles.scene import Scene


class MapSettings(BaseModel):
    """How the map of a run looks.

    Attributes:
        language: of the pages without a code in their names, and of the map when it opens.
        online_tiles: address of a background on the network, as https://host/{z}/{x}/{y}.png. None
            is asked for unless a reader agrees on the page: the host then sees where they look.
        online_tiles_credit: whose background it is, as its terms want it said.
        imagery: the pages hold a coarse picture of the survey's scenes (100 m a pixel), to be shown
            under the areas.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: LanguageCode = "en"
    online_tiles: str | None = None
    online_tiles_credit: str = Field(default="", max_length=200)
    imagery: bool = False

    @field_validator("online_tiles")
    @classmethod
    def _one_host(cls, value: str | None) -> str | None:
        if value is not None and not TILES.fullmatch(value):
            raise ValueError("write it as https://host/{z}/{x}/{y}.png")
        return value

    def look(self, scenes: Callable[[], Sequence[Scene]]) -> MapLook:
        """Return what lies under the map beside borders.

        Args:
            scenes: finds the survey's scenes; called only where imagery is asked for.
        """
        pictures = survey_pictures(scenes()) if self.imagery else ()
        return MapLook(self.online_tiles, self.online_tiles_credit, pictures)


def map_names(districts: Path | None, places: Path | None) -> MapNames:
    """Read the districts and places that the map shows and finds.

    Raises:
        RegionError: a file cannot be used.
    """
    return MapNames(
        None if districts is None else read_districts(districts),
        None if places is None else read_places(places),
    )
