import geopandas as gpd
import pandas as pd
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiles.errors import TableError
from tiles.tables import Column, TableSchema, read_notes, read_table, write_table

SCHEMA = TableSchema(
    "things",
    3,
    (
        Column("name", "string", "a name"),
        Column("size_m", "float64", "metres", nullable=True),
        Column("count", "int64", "how many"),
        Column("good", "bool", "or not"),
        Column("parts", "list[string]", "names"),
    ),
    "where it is",
)


def things(rows: list[tuple[str, float | None, int, bool, list[str]]]) -> gpd.GeoDataFrame:
    frame = pd.DataFrame(rows, columns=["name", "size_m", "count", "good", "parts"])
    points = shapely.points([(77.0 + i, 28.0) for i in range(len(rows))])
    return gpd.GeoDataFrame(frame, geometry=list(points), crs="EPSG:4326")


ROWS = st.lists(
    st.tuples(
        st.text(max_size=8),
        st.none() | st.floats(-1e6, 1e6),
        st.integers(-(2**40), 2**40),
        st.booleans(),
        st.lists(st.text(max_size=3), max_size=3),
    ),
    min_size=1,
    max_size=5,
)


@given(rows=ROWS)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_written_is_read_back(tmp_path, rows):
    path = tmp_path / "things.parquet"
    write_table(things(rows), path, SCHEMA)
    back = read_table(path, SCHEMA)
    assert list(back.columns) == ["name", "size_m", "count", "good", "parts", "geometry"]
    assert list(back["name"]) == [row[0] for row in rows]
    assert [None if pd.isna(v) else v for v in back["size_m"]] == [row[1] for row in rows]
    assert list(back["count"]) == [row[2] for row in rows]
    assert [list(p) for p in back["parts"]] == [row[4] for row in rows]
    assert back.crs.to_epsg() == 4326


def test_the_same_rows_give_the_same_bytes_in_any_column_order(tmp_path):
    frame = things([("a", 1.0, 2, True, [])])
    write_table(frame, tmp_path / "a.parquet", SCHEMA, {"note": "x"})
    write_table(frame[frame.columns[::-1]], tmp_path / "b.parquet", SCHEMA, {"note": "x"})
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert read_notes(tmp_path / "a.parquet")["note"] == "x"


def test_the_file_is_geoparquet_1_1(tmp_path):
    write_table(things([("a", 1.0, 2, True, [])]), tmp_path / "a.parquet", SCHEMA)
    geo = pq.read_schema(tmp_path / "a.parquet").metadata[b"geo"].decode()
    assert '"version": "1.1.0"' in geo
    assert '"geometry_types": ["Point"]' in geo


def test_an_empty_table_is_written_and_read(tmp_path):
    write_table(SCHEMA.empty(), tmp_path / "a.parquet", SCHEMA)
    assert len(read_table(tmp_path / "a.parquet", SCHEMA)) == 0


def test_wrong_frames_are_refused(tmp_path):
    good = things([("a", 1.0, 2, True, [])])
    wrong = {
        "missing columns": good.drop(columns="count"),
        "unknown columns": good.assign(extra=1),
        "missing values": good.assign(name=[None]),
        "column count": good.assign(count=["two"]),
        "EPSG:4326": good.to_crs(32644),
    }
    for message, frame in wrong.items():
        with pytest.raises(TableError, match=message):
            write_table(frame, tmp_path / "a.parquet", SCHEMA)
    assert not list(tmp_path.iterdir())


def test_wrong_files_are_refused(tmp_path):
    path = tmp_path / "a.parquet"
    with pytest.raises(TableError, match="is not there"):
        read_table(path, SCHEMA)
    path.write_text("no parquet")
    with pytest.raises(TableError, match="no readable parquet"):
        read_table(path, SCHEMA)
    write_table(things([("a", 1.0, 2, True, [])]), path, SCHEMA)
    newer = TableSchema("things", 4, SCHEMA.columns, "")
    with pytest.raises(TableError, match="things version 3, but things version 4"):
        read_table(path, newer)
