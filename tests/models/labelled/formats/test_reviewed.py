"""What people decided as pictures: what they saw teaches, what lies around it does not."""

import json
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely

from models.labelled.formats.reviewed import SIDE_PX, read_reviewed
from tests.made_up import UTM_44N, UTM_ORIGIN, noise, write_raster
from tiles.errors import DatasetError


def square(col: float, row: float, side_px: float) -> shapely.Polygon:
    x, y = UTM_ORIGIN @ (col, row)
    return shapely.box(x - 5 * side_px, y - 5 * side_px, x + 5 * side_px, y + 5 * side_px)


def box(col: float, row: float) -> shapely.Polygon:
    x, y = UTM_ORIGIN @ (col, row)
    return shapely.box(x - 60, y - 30, x + 60, y + 30)


def write(folder: Path, rows: list[dict[str, Any]], ground: list[dict[str, Any]]) -> Path:
    folder.mkdir(exist_ok=True)
    scene = write_raster(folder / "scene.tif", noise(300, 400))
    for name, table in (("labels", rows), ("ground", ground)):
        frame = geopandas.GeoDataFrame(
            table, columns=["geometry", *_columns(name)], geometry="geometry", crs=UTM_44N
        )
        frame.to_crs(4326).to_parquet(folder / f"{name}.parquet")
    imagery = {"scenes": [{"scene_id": "scene", "path": str(scene)}]}
    (folder / "imagery.json").write_text(json.dumps(imagery))
    return folder


def _columns(name: str) -> list[str]:
    return ["label", "audit"] if name == "labels" else ["sites", "audit"]


def label(geometry: shapely.Geometry, said: str, audit: bool = False) -> dict[str, Any]:
    return {"geometry": geometry, "label": said, "audit": audit}


def seen(geometry: shapely.Geometry, sites: int = 0, audit: bool = False) -> dict[str, Any]:
    return {"geometry": geometry, "sites": sites, "audit": audit}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [
        label(box(150, 150), "site"),
        label(box(200, 150), "doubtful"),
        label(shapely.Point(UTM_ORIGIN @ (300.0, 100.0)), "not_site"),
    ]
    return write(tmp_path / "labels", rows, [seen(square(300, 100, 20))])


def test_every_decided_place_and_empty_square_is_a_picture(folder: Path) -> None:
    site, nothing, empty = read_reviewed(folder)
    assert site.pixels.shape == (3, SIDE_PX, SIDE_PX)
    assert site.place == "reviewed/scene"
    assert (site.first_row, site.first_col) == (54, 54)
    assert site.sites.row == pytest.approx([96], abs=0.1)
    assert site.sites.col == pytest.approx([96], abs=0.1)
    assert site.sites.length_px == pytest.approx([12], abs=0.1)
    assert site.doubtful.col == pytest.approx([146], abs=0.1)
    assert len(nothing.sites) == len(empty.sites) == 0
    assert site.region == nothing.region == "reviewed"


def test_only_ground_that_somebody_looked_at_is_taught(folder: Path) -> None:
    site, nothing, _ = read_reviewed(folder)
    assert site.taught is not None
    assert nothing.taught is not None
    assert site.taught[86:106, 86:106].all()
    assert site.taught.sum() == pytest.approx(20 * 20, abs=45)  # 200 m around it, and no more
    row, col = 100 - nothing.first_row, 300 - nothing.first_col
    assert nothing.taught[row - 9 : row + 9, col - 9 : col + 9].all()
    assert not nothing.taught[row, col - 30]


def test_a_square_where_sites_were_seen_and_an_audit_sample_teach_nothing(tmp_path: Path) -> None:
    rows = [label(box(150, 150), "site"), label(box(250, 150), "site", audit=True)]
    ground = [seen(square(60, 60, 50), sites=2), seen(square(200, 250, 50), audit=True)]
    (picture,) = read_reviewed(write(tmp_path / "labels", rows, ground))
    assert len(picture.sites) == 1


def test_an_audit_place_beside_another_is_not_taught_as_empty_ground(tmp_path: Path) -> None:
    rows = [label(box(150, 150), "site"), label(box(158, 150), "site", audit=True)]
    (picture,) = read_reviewed(write(tmp_path / "labels", rows, []))
    assert (len(picture.sites), len(picture.doubtful)) == (1, 1)


def test_places_beside_the_imagery_are_left_out_and_nothing_left_is_refused(tmp_path: Path) -> None:
    away = [label(box(-900, 20), "site")]
    with pytest.raises(DatasetError, match="lies on its imagery"):
        read_reviewed(write(tmp_path / "labels", away, [seen(square(-900, 20, 20))]))


def test_pixels_are_its_own(folder: Path) -> None:
    first, *_ = read_reviewed(folder)
    assert first.pixels.base is None
    assert np.array_equal(first.pixels, noise(300, 400)[:, 54:246, 54:246])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("imagery.json", None, "holds no imagery.json"),
        ("imagery.json", b"{", "cannot be read"),
        ("imagery.json", b'{"scenes": []}', "cannot be read"),
        ("labels.parquet", None, "There is no .*labels.parquet"),
        ("ground.parquet", b"no table", "cannot be read"),
    ],
)
def test_a_broken_folder_gets_a_sentence(
    folder: Path, name: str, content: bytes | None, words: str
) -> None:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(DatasetError, match=words):
        read_reviewed(folder)


def test_an_unknown_label_gets_a_sentence(tmp_path: Path) -> None:
    folder = write(tmp_path / "labels", [label(box(150, 150), "kiln")], [seen(square(60, 60, 9))])
    with pytest.raises(DatasetError, match="site, not_site or doubtful"):
        read_reviewed(folder)
