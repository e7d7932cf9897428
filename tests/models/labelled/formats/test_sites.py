"""A scene with a table of sites, in every kind of table."""

from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
from affine import Affine

from models.labelled.formats.sites import read_scene, rectangle
from tests.made_up import UTM_44N, UTM_ORIGIN, noise, write_raster
from tiles.errors import DatasetError


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write_raster(tmp_path / "scene.tif", noise(60, 80))


def write_csv(folder: Path, rows: list[dict[str, object]]) -> Path:
    pd.DataFrame(rows).to_csv(folder / "kilns.csv", index=False)
    return folder / "kilns.csv"


def corners(x: float, y: float, length: float, width: float) -> dict[str, object]:
    """A box along the columns, clockwise from its upper left."""
    left, top = x - length / 2, y - width / 2
    points = [(left, top), (left + length, top), (left + length, top + width), (left, top + width)]
    return {f"{a}{i}": v for i, p in enumerate(points, 1) for a, v in zip("xy", p, strict=True)}


def test_boxes_doubtful_places_and_bad_boxes(tmp_path: Path, image: Path) -> None:
    table = write_csv(
        tmp_path,
        [
            {"x": 20.0, "y": 30.0, "trusted": True, **corners(20, 30, 12, 6)},
            {"x": 50.0, "y": 10.0, "trusted": True},
            {"x": 60.0, "y": 40.0, "trusted": True, **corners(60, 40, 4, 2)},
            {"x": 70.0, "y": 50.0, "trusted": False},
        ],
    )
    picture = read_scene(image, table, "made up")
    assert picture.pixels.shape == (3, 60, 80)
    assert picture.sites.row.tolist() == [30.0, 10.0, 40.0]
    assert picture.sites.has_box.tolist() == [True, False, False]  # 4 px is a label error
    assert picture.sites.length_px[0] == pytest.approx(12.0)
    assert picture.sites.width_px[0] == pytest.approx(6.0)
    assert picture.doubtful.col.tolist() == [70.0]
    assert picture.area_km2 == pytest.approx(60 * 80 * 1e-4)


def ground_box(col: float, row: float, length_px: float, width_px: float) -> shapely.Polygon:
    """A box along the columns, on the ground of the made-up scene, EPSG:32644."""
    x, y = UTM_ORIGIN @ (col, row)
    half = 5 * length_px, 5 * width_px
    return shapely.box(x - half[0], y - half[1], x + half[0], y + half[1])


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".parquet"])
def test_outlines_on_the_ground_become_boxes(tmp_path: Path, image: Path, suffix: str) -> None:
    shapes = [ground_box(20, 30, 12, 6), shapely.Point(UTM_ORIGIN @ (50.0, 10.0))]
    frame = geopandas.GeoDataFrame({"trusted": [True, True]}, geometry=shapes, crs=UTM_44N).to_crs(
        4326
    )
    table = tmp_path / f"sites{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(table)
    else:
        frame.to_file(table)
    sites = read_scene(image, table, "made up").sites
    assert sites.col == pytest.approx([20, 50], abs=0.05)
    assert sites.row == pytest.approx([30, 10], abs=0.05)
    assert sites.length_px == pytest.approx([12, 0], abs=0.05)
    assert sites.width_px == pytest.approx([6, 0], abs=0.05)
    assert np.sin(sites.angle_rad[0]) == pytest.approx(0, abs=0.05)


def test_a_csv_in_degrees_falls_on_the_same_pixels(tmp_path: Path, image: Path) -> None:
    points = geopandas.GeoSeries([shapely.Point(UTM_ORIGIN @ (50.0, 10.0))], crs=UTM_44N)
    lonlat = points.to_crs(4326)
    table = write_csv(tmp_path, [{"lon": lonlat.x[0], "lat": lonlat.y[0]}])
    sites = read_scene(image, table, "made up").sites
    assert (sites.col[0], sites.row[0]) == (pytest.approx(50), pytest.approx(10))


def test_notes_by_file_name_make_places_doubtful(tmp_path: Path, image: Path) -> None:
    table = write_csv(tmp_path, [{"x": 20.0, "y": 30.0}, {"x": 50.0, "y": 10.0}])
    notes = tmp_path / "notes.csv"
    notes.write_text(
        "tile,x_px,y_px,verdict,note\nscene.tif,21,30,wrong label,\nscene,5,6,unlabelled kiln,\n"
        "scene,50,10,faint label,\nother,50,10,wrong label,\n"
    )
    picture = read_scene(image, table, "made up", notes)
    assert picture.sites.col.tolist() == [50.0]
    assert picture.doubtful.col.tolist() == [21.0, 5.0]


@pytest.mark.parametrize("where", ["left", ""])
def test_a_note_without_a_position_is_refused(tmp_path: Path, image: Path, where: str) -> None:
    notes = tmp_path / "notes.csv"
    notes.write_text(f"tile,x_px,y_px,verdict\nscene,{where},30,wrong label\n")
    with pytest.raises(DatasetError, match=r"line 2, has .* in the column 'x_px'"):
        read_scene(image, write_csv(tmp_path, [{"x": 1.0, "y": 2.0}]), "made up", notes)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"x": 81.0, "y": 30.0}], r"x 81\.0, y 30\.0, outside the image of 80 x 60"),
        ([{"x": np.nan, "y": 30.0}], "outside the image"),
        ([{"east": 1.0, "north": 2.0}], "no column 'x' and 'y'"),
        ([{"x": 1.0, "y": 2.0, "trusted": "maybe"}], "says 'maybe' in the column trusted"),
        ([{"x": "left", "y": 2.0}], "line 2, has 'left' in the column 'x'"),
        ([{"x": 1.0, "y": 2.0, "x1": "corner"}], "has 'corner' in the column 'x1'"),
        ([{"lon": 200.0, "lat": 95.0}], "there is no such place"),
    ],
)
def test_a_wrong_table_is_said_in_one_sentence(
    tmp_path: Path, image: Path, rows: list[dict[str, object]], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        read_scene(image, write_csv(tmp_path, rows), "made up")


def test_wrong_vector_tables_are_said_in_one_sentence(tmp_path: Path, image: Path) -> None:
    bad = tmp_path / "sites.geojson"
    bad.write_text("{}")
    with pytest.raises(DatasetError, match="holds no sites that can be read"):
        read_scene(image, bad, "made up")
    nowhere = tmp_path / "nowhere.parquet"
    geopandas.GeoDataFrame(geometry=[shapely.Point(0, 0)]).to_parquet(nowhere)
    with pytest.raises(DatasetError, match="names no coordinate system"):
        read_scene(image, nowhere, "made up")
    gaps = tmp_path / "gaps.parquet"
    geopandas.GeoDataFrame(geometry=[None, shapely.Point(0, 0)], crs=4326).to_parquet(gaps)
    with pytest.raises(DatasetError, match="1 of 2 rows without a geometry"):
        read_scene(image, gaps, "made up")


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_outlines_need_an_image_with_a_place(tmp_path: Path) -> None:
    image = write_raster(
        tmp_path / "flat.tif", noise(60, 80), crs=None, transform=Affine.identity()
    )
    table = tmp_path / "sites.parquet"
    geopandas.GeoDataFrame(geometry=[shapely.Point(0, 0)], crs=4326).to_parquet(table)
    with pytest.raises(DatasetError, match="does not say where it lies"):
        read_scene(image, table, "made up")


@pytest.mark.parametrize("name", ["image", "table"])
def test_missing_files_are_named(tmp_path: Path, image: Path, name: str) -> None:
    table = write_csv(tmp_path, [{"x": 1.0, "y": 2.0}])
    {"image": image, "table": table}[name].unlink()
    with pytest.raises(DatasetError, match="There is no"):
        read_scene(image, table, "made up")


def test_the_rectangle_of_a_point_or_line_is_unknown() -> None:
    assert np.isnan(rectangle(shapely.Point(1, 2))).all()
    assert np.isnan(rectangle(shapely.LineString([(0, 0), (3, 3)]))).all()
