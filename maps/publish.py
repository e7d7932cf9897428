"""The public folder: written aside, checked as written, and only then put in place."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import geopandas as gpd
import pandas as pd
from shapely.geometry.base import BaseGeometry

from maps.evidence import GROUPS
from maps.facts import Publication
from maps.gate import check_public
from maps.hotspots import LEAST_SEARCHED_SHARE
from maps.page import (
    MORE_COLUMNS,
    SealedPage,
    geometry_json,
    index_page,
    map_page,
    method_page,
)
from maps.sheets import write_csv
from maps.wording import TOO_FEW
from tiles.cells import join_cells
from tiles.errors import PublishError
from tiles.files import sha256_file, write_text
from tiles.noised_counts import HEAD_NOTE

PAGES = ("index.html", "map.html", "method.html")
TABLES = ("groups.csv", "groups.geojson")
MANIFEST = "manifest.json"
PUBLIC_COLUMNS = (*GROUPS.column_names, *MORE_COLUMNS)
# Published figures say no more than they know: a tenth of a site, a thousandth of a rate.
DECIMALS = {
    "area_km2": 1,
    "searched_km2": 1,
    "searched_share": 3,
    "expected_sites": 1,
    "hot_stability": 2,
    "report_rate": 3,
    "report_rate_low": 3,
    "report_rate_high": 3,
}


def publish(
    groups: gpd.GeoDataFrame,
    cells: pd.DataFrame,
    sites: pd.DataFrame,
    facts: Publication,
    folder: Path,
) -> list[Path]:
    """Write the public folder, or leave what was there untouched.

    Args:
        groups: a GROUPS table.
        cells: what `expected_by_cell` returns; what was surveyed and not searched is drawn.
        sites: the survey's sites, used by the gate alone: none of them may be found in any file.
        facts: what the pages say beside.
        folder: replaced as a whole.

    Returns:
        Paths of the files, sorted.

    Raises:
        PublishError: there is no area to publish, or the gate found what the tier never holds.
    """
    if groups.empty:
        raise PublishError("no area to publish: the survey covers no cell; check its region.")
    with _replaced(folder) as aside:
        pages = make_pages(groups, cells, facts)
        for name, page in pages.items():
            write_text(aside / name, page.html)
        _write_tables(aside, groups, facts)
        _write_manifest(aside, facts)
        check_public(aside, {*PAGES, *TABLES, MANIFEST}, set(PUBLIC_COLUMNS), sites, pages)
    return sorted(folder / name for name in (*PAGES, *TABLES, MANIFEST))


def make_pages(
    groups: gpd.GeoDataFrame, cells: pd.DataFrame, facts: Publication
) -> dict[str, SealedPage]:
    """Return the pages by file name; see `publish`."""
    gaps, surveyed = search_gaps(cells), join_cells(cells["cell_id"])
    return {
        "index.html": index_page(groups, gaps, surveyed, facts),
        "map.html": map_page(groups, gaps, surveyed, facts),
        "method.html": method_page(facts),
    }


@contextmanager
def _replaced(folder: Path) -> Iterator[Path]:
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


def public_table(groups: gpd.GeoDataFrame) -> pd.DataFrame:
    """Return the columns of the downloads, rounded, with a note where a rate is missing."""
    table = groups.drop(columns="geometry").round(DECIMALS)
    missing = table["report_rate"].isna()
    no_release = table["evidence_class"] == "no_release"
    table["report_note"] = ""
    table.loc[missing, "report_note"] = TOO_FEW
    table.loc[missing & no_release, "report_note"] = "not released"
    public = pd.DataFrame(table[list(PUBLIC_COLUMNS)])
    return public.astype(object).where(public.notna(), None)


def _write_tables(folder: Path, groups: gpd.GeoDataFrame, facts: Publication) -> None:
    table = public_table(groups)
    write_csv(folder / "groups.csv", PUBLIC_COLUMNS, table.itertuples(index=False, name=None))
    features = [
        {"type": "Feature", "geometry": geometry_json(shape), "properties": properties}
        for shape, properties in zip(groups.geometry, table.to_dict("records"), strict=True)
    ]
    collection = {
        "type": "FeatureCollection",
        "disclaimer": facts.disclaimer,
        "imagery": facts.imagery,
        "cautions": list(facts.cautions),
        "simulated": facts.simulated,
        "features": features,
    }
    write_text(folder / "groups.geojson", json.dumps(collection, ensure_ascii=False) + "\n")


def _write_manifest(folder: Path, facts: Publication) -> None:
    hashes = {path.name: sha256_file(path) for path in sorted(folder.iterdir())}
    content = {
        "disclaimer": facts.disclaimer,
        "region": facts.region_name,
        "period": facts.period,
        "not_before": facts.not_before,
        "software": facts.software,
        "simulated": facts.simulated,
        HEAD_NOTE: None if facts.release is None else facts.release.ledger_head_sha256,
        "sha256": hashes,
    }
    write_text(folder / MANIFEST, json.dumps(content, ensure_ascii=False, indent=2) + "\n")
