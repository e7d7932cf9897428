"""The ranked list for a team: CSV, GeoJSON and GPX, of imagery and area only."""

import json
import re
from pathlib import Path
from typing import Protocol
from xml.sax.saxutils import escape

import geopandas as gpd
import pandas as pd

from maps.sheets import write_csv
from tiles.files import write_text

COORDINATE_DECIMALS = 5  # about a metre, finer than any detection
SUREST = 0.99  # 0.996 rounds to 1.00, and nothing here is certain
# The list's own columns, all from imagery: nothing in this folder may say that there are reports at
# or near a site, or let anybody work it out, the order of the rows included (`rank_sites`). The
# priority is not among them: teams take it for a probability.
LIST_COLUMNS = [
    "rank",
    "site_id",
    "kind",
    "p_site",
    "p_low",
    "p_high",
    "lat_lon",
    "lat",
    "lon",
    "length_m",
    "width_m",
    "azimuth_deg",
    "n_scenes",
    "first_date",
    "last_date",
    "hotspot_class",
    "unfamiliar",
    "reason",
    "note",
]
NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2


class ListWriter(Protocol):
    """Writes rows of `list_rows` in one format; the disclaimer must stand in the file."""

    def __call__(self, rows: pd.DataFrame, path: Path, title: str, disclaimer: str) -> None:
        """Write the file whole or not at all."""


def write_lists(
    sites: gpd.GeoDataFrame,
    folder: Path,
    title: str,
    disclaimer: str,
    formats: tuple[str, ...] = ("csv", "geojson", "gpx"),
) -> list[Path]:
    """Write the ranked sites as `sites.<format>` into a folder and return the paths.

    Folder and files are for their owner alone. Formats that are not asked for are removed: a list
    of an earlier run beside this one would be taken for this one's.

    Args:
        sites: a SITES table, ranked.
        folder: the restricted folder; made if absent.
        title: what the list is of, e.g. the region and period.
        disclaimer: the site class's sentence; it stands in every file.
        formats: names out of FORMATS.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # mkdir's own mode bows to the umask, and to a folder that is there
    rows = list_rows(sites, disclaimer)
    paths = [folder / f"sites.{name}" for name in formats]
    for name, path in zip(formats, paths, strict=True):
        FORMATS[name](rows, path, title, disclaimer)
        path.chmod(0o600)
    for stale in sorted(set(folder.glob("sites.*")) - set(paths)):
        stale.unlink()
    return paths


def list_rows(sites: pd.DataFrame, disclaimer: str) -> pd.DataFrame:
    """Return the rows of the list with rounded figures, first rank first."""
    rows = sites.sort_values("rank", kind="stable", ignore_index=True).drop(columns="geometry")
    rows["lat"], rows["lon"] = (rows[at].round(COORDINATE_DECIMALS) for at in ("lat", "lon"))
    rows["lat_lon"] = [
        f"{lat:.5f}, {lon:.5f}" for lat, lon in zip(rows["lat"], rows["lon"], strict=True)
    ]
    chances = ["p_site", "p_low", "p_high"]
    rows[chances] = rows[chances].round(2).clip(upper=SUREST)
    rows[["length_m", "width_m", "azimuth_deg"]] = rows[
        ["length_m", "width_m", "azimuth_deg"]
    ].round(0)
    rows["note"] = disclaimer
    return rows[LIST_COLUMNS]


def write_sheet(rows: pd.DataFrame, path: Path, title: str, disclaimer: str) -> None:
    """Write CSV; the disclaimer stands in the column `note` of every row."""
    records = rows.astype(object).where(rows.notna(), None)
    write_csv(path, list(rows.columns), records.itertuples(index=False, name=None))


def write_geojson(rows: pd.DataFrame, path: Path, title: str, disclaimer: str) -> None:
    """Write GeoJSON (RFC 7946): points in longitude, latitude, WGS 84."""
    properties = rows.drop(columns=["lat_lon", "note"])
    records = properties.astype(object).where(properties.notna(), None).to_dict("records")
    features = [
        {
            "type": "Feature",
            "id": record["site_id"],
            "geometry": {"type": "Point", "coordinates": [record["lon"], record["lat"]]},
            "properties": record,
        }
        for record in records
    ]
    collection = {
        "type": "FeatureCollection",
        "title": title,
        "disclaimer": disclaimer,
        "features": features,
    }
    write_text(path, json.dumps(collection, ensure_ascii=False, indent=1) + "\n")


def write_gpx(rows: pd.DataFrame, path: Path, title: str, disclaimer: str) -> None:
    """Write GPX 1.1 waypoints (https://www.topografix.com/GPX/1/1/), named as phones show them."""
    waypoints = [
        f'<wpt lat="{row.lat:.5f}" lon="{row.lon:.5f}">'
        f"<name>{xml_text(f'{row.rank} {row.site_id}')}</name>"
        f"<desc>{xml_text(f'{row.reason} {disclaimer[:1].upper()}{disclaimer[1:]}.')}</desc>"
        "<sym>Flag, Blue</sym></wpt>"
        for row in rows.itertuples(index=False)
    ]
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<gpx version="1.1" creator="Kilnlight" xmlns="http://www.topografix.com/GPX/1/1">\n'
        f"<metadata><name>{xml_text(title)}</name><desc>{xml_text(disclaimer)}</desc></metadata>"
    )
    write_text(path, "\n".join([head, *waypoints, "</gpx>"]) + "\n")


def xml_text(text: str) -> str:
    """Return text for XML 1.0, without the characters that it cannot hold."""
    return escape(NOT_IN_XML.sub("", text))


FORMATS: dict[str, ListWriter] = {"csv": write_sheet, "geojson": write_geojson, "gpx": write_gpx}
