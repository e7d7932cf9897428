"""GeoPackage for QGIS and QField: points with a style, and fields to fill in on the spot.

QGIS takes style and form from the table `layer_styles`, as it writes it itself.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyogrio
from jinja2 import Environment, PackageLoader, StrictUndefined

from maps.language import Language
from maps.outcomes import OUTCOMES
from maps.packs.facts import PackFacts
from tiles.files import atomic_path

LAYER = "sites"
STYLE_TABLE = """CREATE TABLE layer_styles (
id INTEGER PRIMARY KEY AUTOINCREMENT, f_table_catalog TEXT(256), f_table_schema TEXT(256),
f_table_name TEXT(256), f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT,
styleSLD TEXT, useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
update_time DATETIME)"""
STYLE_ROW = """INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name,
f_geometry_column, styleName, styleQML, styleSLD, useAsDefault, description, owner, ui, update_time)
VALUES ('', '', ?, 'geom', 'Kilnlight', ?, '', 1, ?, '', '', ?)"""


def write_geopackage(rows: pd.DataFrame, path: Path, facts: PackFacts, language: Language) -> None:
    """Write the sites as a layer with its style and empty fields for what the team finds.

    Args:
        rows: what `pack_rows` returns.
        path: file to write.
        facts: the pack; its stamp is the layer's description.
        language: of the choices in the form.
    """
    table = rows.astype({"first_date": "string", "last_date": "string"})
    table = table.assign(**{name: pd.Series(dtype="string") for name in ("outcome", "visited_on")})
    table["remark"] = pd.Series(dtype="string")
    points = gpd.points_from_xy(rows["lon"], rows["lat"], crs="EPSG:4326")
    at = f"{facts.made}T00:00:00.000Z"
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": at})  # else the time of day is in the file
    try:
        with atomic_path(path) as temporary:
            pyogrio.write_dataframe(
                gpd.GeoDataFrame(table, geometry=points),
                temporary,
                layer=LAYER,
                driver="GPKG",
                layer_metadata={"DESCRIPTION": facts.stamp},
                layer_options={"DESCRIPTION": facts.stamp, "GEOMETRY_NAME": "geom"},
                promote_to_multi=False,
            )
            _add_style(temporary, style(language), facts.stamp, at)
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def style(language: Language) -> str:
    """Return the QML: a dot with the rank beside it, and choices instead of free text."""
    templates = Environment(
        loader=PackageLoader("maps", "assets"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    choices = [(language.say(f"pack.{outcome}"), outcome) for outcome in OUTCOMES]
    return templates.get_template("pack_style.qml.j2").render(choices=choices)


def _add_style(path: Path, qml: str, description: str, at: str) -> None:
    with closing(sqlite3.connect(path)) as base, base:
        base.execute(STYLE_TABLE)
        base.execute(STYLE_ROW, (LAYER, qml, description, at))
        base.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, last_change) "
            "VALUES ('layer_styles', 'attributes', 'layer_styles', ?)",
            (at,),
        )
