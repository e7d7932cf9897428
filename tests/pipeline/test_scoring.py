import geopandas as gpd
import pandas as pd
import pytest
import shapely

from maps.linking import SITES
from pipeline.run_folder import RunFolder
from pipeline.scoring import Bounds, evaluate_run, read_truth
from tiles.coverage import COVERAGE
from tiles.coverage_map import CoverageMap
from tiles.errors import DatasetError
from tiles.region import Region
from tiles.tables import write_table

STEP = 0.01  # about a kilometre: no two places are within a tolerance of each other


@pytest.fixture
def run_folder(tmp_path):
    """A run whose sites stand at 0, 1, 2 ... steps east, each a little less likely."""
    lon = [77.0 + STEP * (0.5 + n) for n in range(8)]
    row = {column.name: None for column in SITES.columns}
    rows = [
        row | {"site_id": f"KL-{n}", "lon": x, "lat": 28.05, "p_site": 0.95 - 0.1 * n}
        for n, x in enumerate(lon)
    ]
    frame = pd.DataFrame(rows)
    for column in SITES.columns:
        fill = {"string": "x", "float64": 0.5, "int64": 1, "bool": False}[column.dtype]
        frame[column.name] = frame[column.name].where(frame[column.name].notna(), fill)
        frame[column.name] = frame[column.name].astype(
            {"string": object}.get(column.dtype, column.dtype)
        )
    points = shapely.points(frame["lon"].astype(float), frame["lat"].astype(float))
    write_table(
        gpd.GeoDataFrame(frame, geometry=points, crs=4326), tmp_path / "sites.parquet", SITES
    )
    region = Region("r", shapely.box(77.0, 28.0, 77.1, 28.1))
    seen = CoverageMap()
    seen.add_polygon(region.polygon, "searched")
    write_table(seen.table(region, "p"), tmp_path / "coverage.parquet", COVERAGE)
    wkb = shapely.to_wkb(region.polygon, hex=True)
    RunFolder(tmp_path).write_manifest({"region": {"wkb": wkb}}, {})
    return tmp_path


def truth_csv(folder, places):
    path = folder / "truth.csv"
    pd.DataFrame(places, columns=["lon", "lat", "trusted"]).to_csv(path, index=False)
    return path


def at(n):
    return 77.0 + STEP * (0.5 + n)


def test_hits_misses_and_false_alarms_are_counted(run_folder):
    # p_site is 0.95, 0.85, 0.75, 0.65, 0.55 and then under a half: five count as found.
    # 0 and 1 are kilns, 2 is doubtful, 3 and 4 match nothing; one kiln was missed; one lies outside
    places = [(at(0), 28.05, True), (at(1), 28.05, True), (at(2), 28.05, False)]
    places += [(at(0), 28.01, True), (79.0, 28.0, True)]
    scores = evaluate_run(run_folder, truth_csv(run_folder, places), None).at(100)
    assert (scores.hits, scores.false_alarms) == (2, 2)
    assert scores.precision.value == pytest.approx(2 / 4)
    assert scores.recall.value == pytest.approx(2 / 3, abs=1e-4)


def test_bounds_leave_out_what_lies_beyond(run_folder):
    truth = truth_csv(run_folder, [(at(0), 28.05, True), (at(4), 28.05, True)])
    east = Bounds.parse("77.03,28,77.1,28.1")
    found = evaluate_run(run_folder, truth, east)
    assert found.n_sites == 1
    assert (found.at(100).hits, found.at(100).false_alarms) == (1, 1)
    whole = evaluate_run(run_folder, truth, None)
    assert found.area_km2 == pytest.approx(whole.area_km2 * 0.7, rel=0.02)


def test_a_vector_file_of_polygons_counts_by_its_centres(run_folder):
    boxes = [shapely.Point(at(n), 28.05).buffer(0.0005) for n in (0, 1)]
    path = run_folder / "truth.geojson"
    gpd.GeoSeries(boxes, crs=4326).to_file(path)
    assert evaluate_run(run_folder, path, None).at(50).hits == 2


def test_bad_truth_is_one_sentence(run_folder, tmp_path):
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DatasetError, match="no columns lat and lon"):
        read_truth(tmp_path / "bad.csv")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_truth(tmp_path / "none.csv")
    nowhere = truth_csv(run_folder, [(10.0, 10.0, True)])
    with pytest.raises(DatasetError, match="knows 0 sites"):
        evaluate_run(run_folder, nowhere, None)
    for wrong in ("1,2,3", "a,b,c,d", "2,0,1,1"):
        with pytest.raises(DatasetError, match="write west,south,east,north"):
            Bounds.parse(wrong)


@pytest.mark.real_data
def test_labelled_tiles_give_the_published_positions(shared_data):
    truth = read_truth(shared_data / "kilns_s2")
    # 57 boxes, two of them noted as wrong, and some within 5 px of an edge that count neither way
    assert 45 <= truth["trusted"].sum() <= 55
    points = pd.read_csv(shared_data / "locations" / "kiln_points.csv.gz")
    from models.judging.evaluation import match, places_from_lonlat

    trusted = truth[truth["trusted"]]
    tiles, published = (
        places_from_lonlat(table["lon"].to_numpy(), table["lat"].to_numpy())
        for table in (trusted, points)
    )
    none = published[published.block == -1]
    hits = match(tiles, trusted["lon"].to_numpy(), published, none, 150.0).hit
    assert hits.mean() > 0.8
