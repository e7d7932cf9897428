"""Versioned GeoParquet tables: one fixed list of columns, one checked writer, one reader."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tiles.errors import TableError
from tiles.files import atomic_path

ColumnType = Literal["string", "float64", "int64", "bool", "list[string]"]
METADATA_KEY = (
    b"kilnlight"  # file-level parquet metadata: schema name, version and the writer's notes
)
ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "string": pa.string(),
    "float64": pa.float64(),
    "int64": pa.int64(),
    "bool": pa.bool_(),
    "list[string]": pa.list_(pa.string()),
}


@dataclass(frozen=True)
class Column:
    """One column: its name (with the unit), type, meaning, and whether a value may be missing."""

    name: str
    dtype: ColumnType
    doc: str
    nullable: bool = False


@dataclass(frozen=True)
class TableSchema:
    """A record's table: name, version, columns in order; the geometry is in EPSG:4326."""

    name: str
    version: int
    columns: tuple[Column, ...]
    geometry_doc: str

    @property
    def column_names(self) -> list[str]:
        """Names of the columns in the order of the file, without the geometry."""
        return [column.name for column in self.columns]

    def empty(self) -> gpd.GeoDataFrame:
        """Return a table with no rows and the right columns."""
        data = {column.name: pd.Series([], dtype=_pandas_type(column)) for column in self.columns}
        return gpd.GeoDataFrame(data, geometry=gpd.GeoSeries([], crs="EPSG:4326"))


def write_table(
    frame: gpd.GeoDataFrame, path: Path, schema: TableSchema, notes: Mapping[str, str] | None = None
) -> None:
    """Write `frame` as GeoParquet 1.1 with exactly the schema's columns, in its order.

    Args:
        frame: rows with the schema's columns and a geometry in EPSG:4326.
        path: file to write; replaced as a whole.
        schema: the columns.
        notes: short texts kept in the file's metadata; must not hold times, so that bytes repeat.

    Raises:
        TableError: a column is missing, unknown, of another type, or lacks a value it must have.
    """
    table = to_arrow(frame, schema)
    header = {"schema": schema.name, "version": schema.version, **(notes or {})}
    metadata = {
        **(table.schema.metadata or {}),
        METADATA_KEY: json.dumps(header, sort_keys=True).encode(),
    }
    with atomic_path(path) as temporary:
        pq.write_table(table.replace_schema_metadata(metadata), temporary, compression="zstd")


def read_table(path: Path, schema: TableSchema) -> gpd.GeoDataFrame:
    """Read a table that `write_table` wrote with the same schema name and version.

    Raises:
        TableError: no file, no parquet, another record or version, or columns that do not fit.
    """
    header = read_notes(path)
    found = (header.get("schema"), header.get("version"))
    if found != (schema.name, str(schema.version)):
        raise TableError(
            f"{path} holds {found[0] or 'no Kilnlight table'} version {found[1] or '?'}, but "
            f"{schema.name} version {schema.version} is needed: make it again with this version."
        )
    frame = gpd.read_parquet(path)
    missing = [name for name in schema.column_names if name not in frame.columns]
    if missing:
        raise TableError(f"{path} lacks the column {missing[0]}: make the table again.")
    # the file says OGC:CRS84, which is EPSG:4326 with the axis order that GeoPandas uses anyway
    return frame[[*schema.column_names, "geometry"]].set_crs("EPSG:4326", allow_override=True)


def read_notes(path: Path) -> dict[str, str]:
    """Return the schema name, version and the writer's notes of a table file.

    Raises:
        TableError: the file is absent or no parquet.
    """
    if not path.is_file():
        raise TableError(f"{path} is not there: give the path of a Kilnlight table.")
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (pa.ArrowInvalid, OSError) as error:
        raise TableError(f"{path} is no readable parquet file: make it again ({error}).") from error
    header = json.loads(metadata.get(METADATA_KEY, b"{}"))
    return {key: str(value) for key, value in header.items()}


def to_arrow(frame: gpd.GeoDataFrame, schema: TableSchema) -> pa.Table:
    """The table as Arrow, geometry as WKB, with exactly the schema's columns in its order.

    Raises:
        TableError: a column is missing, unknown, of another type, or lacks a value it must have.
    """
    _check_columns(frame, schema)
    arrays = [_arrow_column(frame[column.name], column, schema) for column in schema.columns]
    geometry = pa.array(frame.geometry.to_wkb(), type=pa.binary())
    table = pa.table([*arrays, geometry], names=[*schema.column_names, "geometry"])
    return table.replace_schema_metadata({b"geo": _geo_metadata(frame)})


def from_arrow(table: pa.Table) -> gpd.GeoDataFrame:
    """What `to_arrow` made, as a frame again."""
    frame = table.drop_columns("geometry").to_pandas()
    geometry = gpd.GeoSeries.from_wkb(table["geometry"].to_pandas().to_numpy(), crs="EPSG:4326")
    return gpd.GeoDataFrame(frame, geometry=geometry.to_numpy(), crs="EPSG:4326")


def _check_columns(frame: gpd.GeoDataFrame, schema: TableSchema) -> None:
    found = [str(name) for name in frame.columns if name != frame.geometry.name]
    if set(found) != set(schema.column_names):
        missing = sorted(set(schema.column_names) - set(found))
        unknown = sorted(set(found) - set(schema.column_names))
        raise TableError(
            f"table {schema.name}: missing columns {missing}, unknown columns {unknown}."
        )
    if frame.crs is None or frame.crs.to_epsg() != 4326:
        raise TableError(f"table {schema.name}: geometry must be EPSG:4326, not {frame.crs}.")


def _arrow_column(values: pd.Series, column: Column, schema: TableSchema) -> pa.Array:
    try:
        array = pa.array(values, type=ARROW_TYPES[column.dtype], from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise TableError(f"table {schema.name}, column {column.name}: {error}.") from error
    if array.null_count and not column.nullable:
        raise TableError(
            f"table {schema.name}, column {column.name}: {array.null_count} missing values."
        )
    return array


def _geo_metadata(frame: gpd.GeoDataFrame) -> bytes:
    """The `geo` key of the GeoParquet 1.1 specification; no crs means OGC:CRS84."""
    types = sorted({str(name) for name in frame.geometry.geom_type.dropna().unique()})
    column: dict[str, object] = {"encoding": "WKB", "geometry_types": types}
    if len(frame):
        column["bbox"] = [float(value) for value in frame.total_bounds]
    return json.dumps(
        {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}},
        sort_keys=True,
    ).encode()


def _pandas_type(column: Column) -> str:
    return "object" if column.dtype in ("string", "list[string]") else column.dtype
