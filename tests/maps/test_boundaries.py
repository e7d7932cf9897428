import geopandas as gpd
import pytest
import shapely

from maps.boundaries import read_districts, read_places
from tiles.errors import RegionError


def squares(path, columns, boxes, crs="EPSG:4326"):
    geometry = [shapely.box(*box) for box in boxes]
    gpd.GeoDataFrame(columns, geometry=geometry, crs=crs).to_file(path)
    return path


def test_districts_by_name_with_parts_joined_and_the_nameless_left_out(tmp_path):
    path = squares(
        tmp_path / "districts.geojson",
        {"ADM2_EN": ["West", "East", "West", None]},
        [(77, 28, 77.2, 28.2), (77.2, 28, 77.4, 28.2), (77, 28.5, 77.1, 28.6), (0, 0, 90, 40)],
    )
    districts = read_districts(path)
    assert districts.names == ("East", "West")
    assert shapely.get_num_geometries(districts.polygons).tolist() == [1, 2]
    assert shapely.area(districts.ground[0]) / 1e6 == pytest.approx(19.6 * 22.15, rel=0.01)


def test_a_name_of_two_states_carries_its_state(tmp_path):
    path = squares(
        tmp_path / "districts.gpkg",
        {"district": ["Bilaspur", "Bilaspur", "Mandi"], "st_nm": ["A", "B", "A"]},
        [(77, 28, 77.2, 28.2), (78, 28, 78.2, 28.2), (79, 28, 79.2, 28.2)],
    )
    assert read_districts(path).names == ("Bilaspur (A)", "Bilaspur (B)", "Mandi")


def test_districts_that_overlap_are_refused_and_borders_drawn_twice_are_not(tmp_path):
    slightly = [(77, 28, 77.2, 28.2), (77.1999, 28, 77.4, 28.2)]
    path = squares(tmp_path / "a.geojson", {"name": ["One", "Two"]}, slightly)
    assert read_districts(path).names == ("One", "Two")
    much = [(77, 28, 77.2, 28.2), (77.1, 28, 77.4, 28.2)]
    path = squares(tmp_path / "b.geojson", {"name": ["One", "Two"]}, much)
    with pytest.raises(RegionError, match=r"One and Two overlap \(50% of the smaller\)"):
        read_districts(path)


def test_files_that_cannot_be_used_are_one_sentence(tmp_path):
    box = [(77, 28, 77.2, 28.2)]
    with pytest.raises(RegionError, match=r"nowhere\.geojson is not there"):
        read_districts(tmp_path / "nowhere.geojson")
    (tmp_path / "text.geojson").write_text("lat,lon\n1,2\n")
    with pytest.raises(RegionError, match="no readable vector file"):
        read_districts(tmp_path / "text.geojson")
    path = squares(tmp_path / "columns.geojson", {"colour": ["red"]}, box)
    with pytest.raises(RegionError, match=r"no column of names \(it has colour\): call the one"):
        read_districts(path)
    path = squares(tmp_path / "nameless.geojson", {"name": [" "]}, box)
    with pytest.raises(RegionError, match="holds no area with a name"):
        read_districts(path)
    with pytest.raises(RegionError, match="holds no point with a name"):
        read_places(squares(tmp_path / "areas.geojson", {"name": ["Town"]}, box))
    bow = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    gpd.GeoDataFrame({"name": ["Bow"]}, geometry=[bow], crs=4326).to_file(tmp_path / "bow.gpkg")
    with pytest.raises(RegionError, match=r"Bow is invalid \(Self-intersection"):
        read_districts(tmp_path / "bow.gpkg")


def test_places_in_another_crs_come_in_degrees(tmp_path):
    points = gpd.GeoSeries([shapely.Point(77.5, 28.5)], crs=4326).to_crs(32643)
    path = tmp_path / "places.gpkg"
    gpd.GeoDataFrame({"Name": ["Town"]}, geometry=points).to_file(path)
    places = read_places(path)
    assert places.names == ("Town",)
    assert (places.lon[0], places.lat[0]) == pytest.approx((77.5, 28.5))
