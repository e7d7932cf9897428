"""The folder of a tier: written aside, checked as written, and only then put in place."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import pandas as pd
from shapely.geometry.base import BaseGeometry

from maps.basemap import MapNames
from maps.downloads import downloads_of, write_downloads
from maps.facts import Publication
from maps.gate import check_folder
from maps.gate_rules import Expected
from maps.hotspots import LEAST_SEARCHED_SHARE
from maps.language import LANGUAGES, load_language, page_name
from maps.map_data import MapSurvey
from maps.map_page import MapLook, map_page
from maps.page import SealedPage
from maps.text_pages import Edition, index_page, method_page, table_page
from tiles.cells import join_cells
from tiles.errors import PublishError
from tiles.files import write_text

TEXT_PAGES = ("index", "table", "method")
MAP = "map.html"


@dataclass(frozen=True)
class Contents:
    """Everything that a tier's folder is made of.

    Attributes:
        groups: a GROUPS table on the tier's groups.
        cells: what `expected_by_cell` returns; what was surveyed and not searched is drawn.
        partition: the tier's groups, what `tier_partition` returns for the same tier.
        facts: what the pages say beside.
        points: the partner tier's sites; None in the public tier.
        earlier: groups and cells of earlier periods, oldest first, for the map's slider.
        names: districts and places to search and label, where the user gave some.
        look: what the run file says of the map.
    """

    groups: gpd.GeoDataFrame
    cells: pd.DataFrame
    partition: gpd.GeoDataFrame
    facts: Publication
    points: gpd.GeoDataFrame | None = None
    earlier: tuple[MapSurvey, ...] = ()
    names: MapNames | None = None
    look: MapLook | None = None


def publish(
    contents: Contents,
    sites: pd.DataFrame,
    folder: Path,
    language: str = "en",
    languages: Sequence[str] = LANGUAGES,
) -> list[Path]:
    """Write a tier's folder, or leave what was there untouched.

    Args:
        contents: what it is made of.
        sites: every site of the survey, used by the gate alone: none but the points may be found.
        folder: replaced as a whole.
        language: of the files without a code in their names.
        languages: all languages of the folder, that one included.

    Returns:
        Paths of the files, sorted.

    Raises:
        PublishError: there is no area to publish, or the gate found what the tier never holds.
    """
    if contents.groups.empty:
        raise PublishError("no area to publish: the survey covers no cell; check its region.")
    with replaced(folder) as aside:
        write_checked(contents, sites, aside, language, languages)
        names = sorted(path.name for path in aside.iterdir())
    return [folder / name for name in names]


def write_checked(
    contents: Contents,
    sites: pd.DataFrame,
    folder: Path,
    language: str = "en",
    languages: Sequence[str] = LANGUAGES,
) -> None:
    """Write a tier's files into an empty folder and check them as written; see `publish`."""
    pages = make_pages(contents, language, languages)
    for name, page in pages.items():
        write_text(folder / name, page.html)
    write_downloads(folder, contents.groups, contents.points, contents.facts)
    check_folder(folder, expectation(contents, sites, pages))


def expectation(
    contents: Contents, sites: pd.DataFrame, pages: Mapping[str, SealedPage]
) -> Expected:
    """Return what the gate holds a folder against."""
    return Expected(
        facts=contents.facts,
        partition=contents.partition,
        groups=contents.groups,
        points=contents.points,
        sites=sites,
        pages=pages,
        files=frozenset({*pages, *downloads_of(contents.facts.tier)}),
    )


def make_pages(
    contents: Contents, language: str = "en", languages: Sequence[str] = LANGUAGES
) -> dict[str, SealedPage]:
    """Return the pages by file name; see `publish`."""
    groups, facts = contents.groups, contents.facts
    gaps, surveyed = search_gaps(contents.cells), join_cells(contents.cells["cell_id"])
    surveys = (*contents.earlier, MapSurvey(groups, contents.cells))
    pages = {
        MAP: map_page(
            surveys,
            facts,
            language,
            sites=contents.points,
            names=contents.names,
            look=contents.look,
        )
    }
    for code in languages:
        edition = Edition(load_language(code), language)
        made = (
            index_page(
                groups,
                gaps,
                surveyed,
                facts,
                downloads_of(facts.tier),
                edition,
                any_site=bool(facts.expected_total.mean),
            ),
            table_page(groups, facts, edition),
            method_page(facts, edition),
        )
        pages |= {
            page_name(page, code, language): html
            for page, html in zip(TEXT_PAGES, made, strict=True)
        }
    return pages


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `folder` if the block ends without an error."""
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        _swap(aside, folder, old)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _swap(aside: Path, folder: Path, old: Path) -> None:
    """Put `aside` in the place of `folder`; where that fails, what was there stays there."""
    was_there = folder.exists()
    if was_there:
        folder.rename(old)
    try:
        aside.rename(folder)
    except OSError:
        if was_there:
            old.rename(folder)
        raise
    if was_there:
        shutil.rmtree(old, ignore_errors=True)


def search_gaps(cells: pd.DataFrame) -> BaseGeometry:
    """Return the cells of which under a fifth of the region's ground was searched, joined."""
    hardly = cells["searched_km2"] < LEAST_SEARCHED_SHARE * cells["area_km2"]
    return join_cells(cells.loc[hardly, "cell_id"])
