import sys

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from affine import Affine

from pipeline.cli import main
from pipeline.partitions import PartitionSettings, make_partition
from pipeline.reports.release import release_counts
from pipeline.reports.settings import ReleaseSettings
from tests.made_up import write_raster
from tiles.cells import Cell, unproject
from tiles.errors import ConfigError, ReleaseError, TableError
from tiles.partition import REST, partition_sha256, read_partition
from tiles.tables import read_notes

ROW, COL = 800, 4800


@pytest.fixture
def place(tmp_path):
    """A region of 4 x 4 cells as a file, and a way to write a list of kilns a cell."""
    cells = [Cell(5000, ROW + row, COL + col) for row in range(4) for col in range(4)]
    whole = shapely.union_all([cell.square.buffer(-10) for cell in cells])
    outline = unproject([shapely.box(*whole.bounds)])
    gpd.GeoDataFrame(geometry=list(outline), crs=4326).to_file(tmp_path / "region.geojson")

    def kilns(name, counts):
        rows = []
        for (row, col), n in counts.items():
            west, south, _, _ = Cell(5000, ROW + row, COL + col).square.bounds
            spots = [shapely.Point(west + 400 + 600 * at, south + 2000) for at in range(n)]
            rows += [(point.y, point.x) for point in unproject(spots)]
        path = tmp_path / f"{name}.csv"
        pd.DataFrame(rows, columns=["lat", "lon"]).to_csv(path, index=False)
        return path

    return tmp_path, kilns


def settings(folder, positions, **change):
    values = {"out": folder / f"{positions.stem}.parquet", "positions": positions}
    return PartitionSettings(
        **{**values, "region": folder / "region.geojson", "share_real": 1.0, **change}
    )


FIRST = {(0, 0): 5, (0, 1): 3, (1, 0): 2, (3, 3): 4}
LATER = {(0, 0): 3, (0, 1): 5, (1, 0): 2, (3, 3): 6}


def test_a_published_list_makes_a_partition_that_says_where_it_comes_from(place):
    folder, kilns = place
    said = make_partition(settings(folder, kilns("first", FIRST)))
    assert "2 groups of at least 5 sites" in said
    assert "no release is possible" in said
    path = folder / "first.parquet"
    notes = read_notes(path)
    assert (notes["k"], notes["sites"][:10], "earlier" in notes) == ("5", "positions ", False)
    groups = read_partition(path).set_index("group_id")
    assert list(groups["k_lower"]) == [5, 5, 4]
    make_partition(settings(folder, folder / "first.csv", out=folder / "again.parquet"))
    assert (folder / "again.parquet").read_bytes() == path.read_bytes()
    with pytest.raises(ReleaseError, match="is there already"):
        make_partition(settings(folder, folder / "first.csv"))


def test_doubtful_lists_make_larger_groups(place):
    folder, kilns = place
    make_partition(settings(folder, kilns("first", FIRST), share_real=0.8))
    groups = read_partition(folder / "first.parquet")
    assert list(groups["k_lower"]) == [6, 2]  # ten listed in the 10 km square; four elsewhere
    assert list(groups["released"]) == [True, False]


def test_people_count_where_a_raster_is_given(place):
    folder, kilns = place
    west, _, _, north = Cell(5000, ROW, COL).square.bounds
    people = np.full((1, 20, 20), 30, np.float32)  # 750 people a cell
    transform = Affine(1000, 0, west, 0, -1000, north)
    raster = write_raster(folder / "people.tif", people, "EPSG:6933", transform)
    make_partition(settings(folder, kilns("first", FIRST), population=raster))
    groups = read_partition(folder / "first.parquet").set_index("group_id")
    assert groups["people"].to_dict() == {"10000_400_2400": 3000, REST: 9000}
    assert read_notes(folder / "first.parquet")["people"] == "1000"


def release(folder, partition, months):
    return release_counts(
        ReleaseSettings(
            reports=folder / "reports.csv",
            partition=partition,
            period=months,
            ledger=folder / "ledger.jsonl",
            output=folder / f"{months[:7]}.parquet",
        )
    )


def test_a_later_version_follows_the_first_and_a_fresh_one_is_refused(place):
    folder, kilns = place
    (folder / "reports.csv").write_text("consent,reporter,lat,lon,month,industry\n")
    first, later = kilns("first", FIRST), kilns("later", LATER)
    make_partition(settings(folder, first))
    release(folder, folder / "first.parquet", "2026-01/2026-03")
    make_partition(settings(folder, later, out=folder / "fresh.parquet"))
    with pytest.raises(ReleaseError, match="neither is nor follows"):
        release(folder, folder / "fresh.parquet", "2026-04/2026-06")
    make_partition(settings(folder, later, previous=(folder / "first.parquet",)))
    notes = read_notes(folder / "later.parquet")
    assert notes["earlier"] == partition_sha256(folder / "first.parquet")
    assert release(folder, folder / "later.parquet", "2026-04/2026-06").epsilon_lifetime == 2.0
    with pytest.raises(ReleaseError, match="neither is nor follows"):  # and there is no way back
        release(folder, folder / "first.parquet", "2026-07/2026-09")


def test_all_earlier_versions_must_be_given(place):
    folder, kilns = place
    positions = kilns("list", LATER)
    make_partition(settings(folder, positions, out=folder / "1.parquet"))
    one, two = folder / "1.parquet", folder / "2.parquet"
    make_partition(settings(folder, positions, out=two, previous=(one,)))
    three = settings(folder, positions, out=folder / "3.parquet", previous=(two,))
    with pytest.raises(ReleaseError, match="follows the version with SHA-256"):
        make_partition(three)
    make_partition(three.model_copy(update={"previous": (one, two)}))


def test_sources_that_do_not_fit_are_one_sentence(place):
    folder, kilns = place
    positions = kilns("first", FIRST)
    with pytest.raises(ConfigError, match="--share-real"):
        make_partition(settings(folder, positions, share_real=None))
    with pytest.raises(ConfigError, match="needs a run folder"):
        PartitionSettings(out=folder / "p.parquet", positions=positions)
    with pytest.raises(ConfigError, match="leave out --region"):
        settings(folder, positions, run_folder=folder)
    with pytest.raises(TableError, match="is not there"):
        make_partition(settings(folder, positions, previous=(folder / "none.parquet",)))
    assert not (folder / "first.parquet").exists()


def test_the_command_line_builds_from_a_list(place, monkeypatch, capsys):
    folder, kilns = place
    command = ["kilnlight", "partition", "build", "--positions", str(kilns("first", FIRST))]
    command += ["--region", str(folder / "region.geojson"), "--share-real", "0.95"]
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(folder / "p.parquet"), "--k", "6"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    assert "groups of at least 6 sites" in capsys.readouterr().err
