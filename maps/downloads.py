"""The files beside the pages: tables, their dictionary, the citation and the manifest."""

import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from maps.citation import citation
from maps.dictionary import GROUP_COLUMNS, HEADER, dictionary, site_columns
from maps.facts import Publication, Tier
from maps.page import geometry_json
from maps.sheets import write_csv
from maps.wording import TOO_FEW
from tiles.files import sha256_file, write_text
from tiles.noised_counts import HEAD_NOTE

GROUPS_CSV, GROUPS_JSON = "groups.csv", "groups.geojson"
SITES_CSV, SITES_JSON = "sites.csv", "sites.geojson"
DICTIONARY, CITATION, MANIFEST = "data_dictionary.csv", "CITATION.cff", "manifest.json"
GROUP_NAMES = tuple(column.name for column in GROUP_COLUMNS)
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
# Five decimals of a degree are a metre, a fiftieth of a kiln; a tenth of a metre is no pixel's.
SITE_DECIMALS = {
    "lon": 5,
    "lat": 5,
    "length_m": 0,
    "width_m": 0,
    "azimuth_deg": 0,
    "p_site": 2,
    "p_low": 2,
    "p_high": 2,
}


def downloads_of(tier: Tier) -> tuple[str, ...]:
    """Names of a tier's files beside the pages, as they are listed."""
    sites = (SITES_CSV, SITES_JSON) if tier == "partner" else ()
    return (GROUPS_CSV, GROUPS_JSON, *sites, DICTIONARY, CITATION, MANIFEST)


def write_downloads(
    folder: Path, groups: gpd.GeoDataFrame, points: gpd.GeoDataFrame | None, facts: Publication
) -> None:
    """Write everything beside the pages; the manifest, which names all other files, comes last.

    Args:
        folder: holds the pages already.
        groups: a GROUPS table.
        points: the partner tier's sites; None in the public tier.
        facts: what the files say beside.
    """
    table = group_table(groups)
    write_csv(folder / GROUPS_CSV, GROUP_NAMES, table.itertuples(index=False, name=None))
    shapes = [geometry_json(shape) for shape in groups.geometry]
    _write_collection(folder / GROUPS_JSON, shapes, table, facts)
    if points is not None:
        sites = site_table(points)
        write_csv(folder / SITES_CSV, list(sites.columns), sites.itertuples(index=False, name=None))
        at = zip(sites["lon"], sites["lat"], strict=True)
        shapes = [{"type": "Point", "coordinates": [lon, lat]} for lon, lat in at]
        _write_collection(folder / SITES_JSON, shapes, sites, facts)
    write_csv(folder / DICTIONARY, HEADER, [entry.row() for entry in dictionary(facts.tier)])
    write_text(folder / CITATION, citation(facts))
    write_text(folder / MANIFEST, json.dumps(manifest(folder, facts), ensure_ascii=False, indent=2))


def group_table(groups: gpd.GeoDataFrame) -> pd.DataFrame:
    """Return the columns of the groups' downloads, rounded, with a note where a rate is missing."""
    table = groups.drop(columns="geometry").round(DECIMALS)
    missing = table["report_rate"].isna()
    no_release = table["evidence_class"] == "no_release"
    table["report_note"] = ""
    table.loc[missing, "report_note"] = TOO_FEW
    table.loc[missing & no_release, "report_note"] = "not released"
    return _plain(table[list(GROUP_NAMES)])


def site_table(points: gpd.GeoDataFrame) -> pd.DataFrame:
    """Return the columns of the sites' downloads, rounded, in the order of their names."""
    names = [column.name for column in site_columns()]
    table = points.drop(columns="geometry").sort_values("site_id", ignore_index=True)
    whole = [name for name, decimals in SITE_DECIMALS.items() if decimals == 0]
    table = table.round(SITE_DECIMALS).astype(dict.fromkeys(whole, np.int64))
    return _plain(table[names])


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Python's own values; None where something is missing."""
    return pd.DataFrame(table.astype(object).where(table.notna(), None))


def _write_collection(
    path: Path, shapes: list[dict[str, object]], table: pd.DataFrame, facts: Publication
) -> None:
    features = [
        {"type": "Feature", "geometry": shape, "properties": properties}
        for shape, properties in zip(shapes, table.to_dict("records"), strict=True)
    ]
    collection = {
        "type": "FeatureCollection",
        "disclaimer": facts.disclaimer,
        "imagery": facts.imagery,
        "cautions": list(facts.cautions),
        "simulated": facts.simulated,
        "features": features,
    }
    write_text(path, json.dumps(collection, ensure_ascii=False) + "\n")


def manifest(folder: Path, facts: Publication) -> dict[str, Any]:
    """Return what the manifest says; see `kilnlight reports verify` for the ledger's line."""
    release = facts.release
    return {
        "disclaimer": facts.disclaimer,
        "tier": facts.tier,
        "preview": facts.preview,
        "region": facts.region_name,
        "period": facts.period,
        "not_before": facts.not_before,
        "publisher": facts.publisher,
        "contact": facts.contact,
        "software": facts.software,
        "simulated": facts.simulated,
        "k": facts.k,
        "release_id": None if release is None else release.release_id,
        "epsilon": None if release is None else release.epsilon,
        "epsilon_lifetime": None if release is None else release.epsilon_lifetime,
        HEAD_NOTE: None if release is None else release.ledger_head_sha256,
        "sha256": {
            path.name: sha256_file(path) for path in sorted(folder.iterdir()) if path.is_file()
        },
    }
