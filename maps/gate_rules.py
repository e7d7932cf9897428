"""What every file of a published folder is held against, whatever its kind."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import geopandas as gpd
import pandas as pd

from maps.accusations import accusation_in
from maps.downloads import SITES_CSV, SITES_JSON
from maps.facts import Publication
from maps.linking import SITE_ID_PATTERN
from maps.page import SealedPage
from maps.positions import position_in
from tiles.errors import PublishError

SITE_FILES = (SITES_CSV, SITES_JSON)  # the partner tier's: the only ones that may name a site
NEVER_OF_SITES = {"rank", "priority", "reason", "size_fit", "hotspot_class"}


@dataclass(frozen=True)
class Expected:
    """What a folder is to be held against.

    Attributes:
        facts: what its pages were given.
        partition: the tier's groups, what `tier_partition` returns.
        groups: the GROUPS table on them.
        points: the partner tier's sites; None in the public tier.
        sites: every site of the survey: but for the points none of their names may be found.
        pages: what each page was made of, by file name.
        files: names that the folder must hold, and no others.
    """

    facts: Publication
    partition: gpd.GeoDataFrame
    groups: gpd.GeoDataFrame
    points: gpd.GeoDataFrame | None
    sites: pd.DataFrame
    pages: Mapping[str, SealedPage]
    files: frozenset[str]

    @cached_property
    def shown(self) -> frozenset[str]:
        """Names of the sites that may be found."""
        return frozenset() if self.points is None else frozenset(self.points["site_id"])

    @cached_property
    def named(self) -> frozenset[str]:
        """Names of all sites of the survey."""
        return frozenset(self.sites["site_id"])


def refused(name: str, what: str) -> PublishError:
    """Return the error for a file that holds what it must not."""
    return PublishError(
        f"{name} holds {what}, so nothing was published: change the name or credit it comes from, "
        "or report a fault of the program."
    )


def check_names(name: str, text: str, expected: Expected) -> None:
    """Refuse the name of a site, but for those shown, in the files that list them."""
    may = expected.shown if name in SITE_FILES else frozenset()
    words = set(re.findall(r"[\w-]+", text))
    found = (expected.named & words) | set(re.findall(SITE_ID_PATTERN, text))
    if hidden := found - may:
        raise refused(name, f"the site id {min(hidden)}")


def check_words(name: str, words: Iterator[str], *, positions: bool = True) -> None:
    """Refuse texts that could place a site, or that accuse.

    Args:
        name: of the file.
        words: its texts.
        positions: a position may not stand in them.
    """
    for text in words:
        if positions and (place := position_in(text)):
            raise refused(name, f"{place!r}, fine enough to place a site")
        if accusation := accusation_in(text):
            raise refused(name, f"{accusation!r}, a word that accuses")
