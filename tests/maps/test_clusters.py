import numpy as np
import pytest
import shapely

from maps.boundaries import Places
from maps.clusters import CLUSTERS, Names, describe_clusters
from maps.districts import district_ground
from maps.expected import expected_over
from maps.stability import stability
from tests.maps.test_districts import HALVES, districts_of
from tiles.tables import read_table, write_table


@pytest.fixture(scope="module")
def hotspots(survey):
    share = stability(survey.cells, survey.sites, survey.hotspots["hotspot_class"])
    return survey.hotspots.assign(stability=share)


def near(lon, lat):
    """Places round the two clusters of the made-up survey."""
    return Places(("Northtown", "Southtown"), np.array(lon), np.array(lat))


def test_each_cluster_has_its_cells_and_its_figures(survey, hotspots, tmp_path):
    clusters = describe_clusters(hotspots, survey.cells, Names())
    assert list(clusters["cluster_id"]) == sorted(hotspots["cluster_id"].dropna().unique())
    assert list(clusters["name"]) == list(clusters["cluster_id"])
    for row in clusters.itertuples():
        own = survey.cells[(hotspots["cluster_id"] == row.cluster_id).to_numpy()]
        total = expected_over(own)
        assert (row.n_cells, row.n_sites) == (len(own), own["n_sites"].sum())
        assert row.expected_sites == pytest.approx(total.mean)
        assert (row.expected_low, row.expected_high) == (total.low, total.high)
        assert row.area_km2 == pytest.approx(own["area_km2"].sum())
        assert row.rate_per_1000km2 == pytest.approx(
            1000 * own["n_sites"].sum() / own["searched_km2"].sum()
        )
        assert row.rate_ratio > 1
        assert 0 <= row.stability <= 1
    strongest = clusters.loc[clusters["n_cells"].idxmax()]
    assert strongest["hotspot_class"] == "hot_99"
    write_table(clusters, tmp_path / "clusters.parquet", CLUSTERS)
    assert len(read_table(tmp_path / "clusters.parquet", CLUSTERS)) == len(clusters)


def test_clusters_are_called_after_the_nearest_place_and_its_direction(survey, hotspots):
    """The larger clusters lie round 77.35, 28.7 and 77.75, 28.3."""
    names = Names(places=near([77.35, 77.75], [28.7, 28.1]))
    clusters = describe_clusters(hotspots, survey.cells, names)
    largest = clusters.sort_values("n_cells", ascending=False).head(2)
    assert largest["name"].str.contains(r"^Northtown$").any()
    assert largest["name"].str.contains(r"^2\d km north(?:-east)? of Southtown$").any()


def test_one_name_is_given_once_and_the_district_stands_beside_it(survey, hotspots):
    districts = districts_of(HALVES)
    ground = district_ground(survey.cells, survey.sites, districts, survey.region.polygon)
    everywhere = Names(districts=districts, ground=ground)
    clusters = describe_clusters(hotspots, survey.cells, everywhere)
    assert clusters["name"].is_unique
    assert set(clusters["name"].str.partition(",")[0]) <= {"East", "West"}
    both = Names(near([77.35, 77.75], [28.7, 28.3]), districts, ground)
    names = describe_clusters(hotspots, survey.cells, both)["name"]
    assert names.str.contains(r"Northtown \(West\)").any()


def test_no_hot_cell_no_cluster(survey, hotspots):
    cold = hotspots.assign(cluster_id=None)
    clusters = describe_clusters(cold, survey.cells, Names())
    assert len(clusters) == 0
    assert list(clusters.columns) == [*CLUSTERS.column_names, "geometry"]


def test_geometry_is_the_cells_joined(survey, hotspots):
    clusters = describe_clusters(hotspots, survey.cells, Names())
    joined = shapely.union_all(hotspots.geometry[hotspots["cluster_id"].notna()])
    ours = shapely.union_all(clusters.geometry)
    assert shapely.area(shapely.symmetric_difference(joined, ours)) < 1e-6
