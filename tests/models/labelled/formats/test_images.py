"""Image files: bands, nodata, scale, and where on the ground they lie."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning

from models.labelled.formats.images import check_inside, numbers, read_image
from tests.made_up import DEGREES, UTM_44N, noise, write_raster
from tiles.errors import DatasetError


def test_bands_are_chosen_by_their_number(tmp_path: Path) -> None:
    pixels = np.stack([np.full((8, 9), v, np.uint8) for v in (10, 20, 30, 40)])
    image = read_image(write_raster(tmp_path / "a.tif", pixels), bands=(4, 3, 2))
    assert image.pixels[:, 0, 0].tolist() == [40, 30, 20]
    assert image.usable.shape == (8, 9)
    with pytest.raises(DatasetError, match=r"has 4 band\(s\).*bands 5, 3, 2"):
        read_image(tmp_path / "a.tif", bands=(5, 3, 2))


def test_nodata_is_not_usable_and_may_be_nan(tmp_path: Path) -> None:
    pixels = noise(8, 9).astype(np.float32)
    pixels[:, 2, 3] = np.nan
    image = read_image(write_raster(tmp_path / "a.tif", pixels, nodata=np.nan))
    assert np.argwhere(~image.usable).tolist() == [[2, 3]]
    with pytest.raises(DatasetError, match="1 pixels that are NaN or infinite"):
        read_image(write_raster(tmp_path / "b.tif", pixels))


def test_degrees_become_metres_at_the_pictures_latitude(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "d.tif", noise(60, 80), crs="EPSG:4326", transform=DEGREES)
    image = read_image(path)
    assert image.ground.row_m == pytest.approx(9e-5 * 111_320)
    assert image.ground.col_m == pytest.approx(9e-5 * 111_320 * np.cos(np.radians(28.5)), rel=1e-3)
    assert image.middle is not None
    assert image.middle.lon == pytest.approx(77.0 + 40 * 9e-5)
    assert image.middle.lat == pytest.approx(28.5 - 30 * 9e-5)


def test_positions_in_degrees_fall_on_their_pixel(tmp_path: Path) -> None:
    image = read_image(write_raster(tmp_path / "u.tif", noise(60, 80)))
    assert image.middle is not None
    col, row = image.to_pixels(np.array([image.middle.lon]), np.array([image.middle.lat]))
    assert (col[0], row[0]) == (pytest.approx(40, abs=1e-6), pytest.approx(30, abs=1e-6))


def test_an_image_without_a_place_has_the_detectors_scale(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with pytest.warns(NotGeoreferencedWarning):
        write_raster(path, noise(40, 50), crs=None, transform=Affine.identity(), driver="PNG")
    ground = read_image(path).ground  # and no warning, which would be an error here
    assert (ground.col_m, ground.row_m) == (10.0, 10.0)


def test_cells_that_are_no_numbers_are_named() -> None:
    frame = pd.DataFrame({"x": ["1", "2.5", None], "y": [1, 2, 3]})
    found = numbers(frame, ("x", "y"), Path("a.csv"))
    assert found[:2].tolist() == [[1, 1], [2.5, 2]]
    assert np.isnan(found[2, 0])
    with pytest.raises(DatasetError, match=r"a\.csv, line 4, has nothing in the column 'x'"):
        numbers(frame, ("y", "x"), Path("a.csv"), blank=False)
    with pytest.raises(DatasetError, match=r"a\.csv, line 2, has 'two'"):
        numbers(frame.assign(x="two"), ("x",), Path("a.csv"))


def test_degrees_that_are_nowhere_are_refused(tmp_path: Path) -> None:
    image = read_image(write_raster(tmp_path / "u.tif", noise(60, 80)))
    with pytest.raises(DatasetError, match="longitude 200, latitude 95: there is no such place"):
        image.to_pixels(np.array([200.0]), np.array([95.0]))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_an_image_without_a_place_takes_no_degrees(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "n.tif", noise(8, 9), crs=None, transform=Affine.identity())
    image = read_image(path)
    assert image.middle is None
    with pytest.raises(DatasetError, match="does not say where it lies"):
        image.to_pixels(np.zeros(1), np.zeros(1))


def test_another_scale_is_refused(tmp_path: Path) -> None:
    fine = Affine(3.0, 0.0, 500_000.0, 0.0, -3.0, 2_990_000.0)
    path = write_raster(tmp_path / "fine.tif", noise(8, 9), crs=UTM_44N, transform=fine)
    with pytest.raises(DatasetError, match=r"pixels of 3\.0 m: the detector works at 10 m"):
        read_image(path)


def test_what_is_no_image_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("text")
    with pytest.raises(DatasetError, match="is no image that can be read"):
        read_image(tmp_path / "a.tif")
    with pytest.raises(DatasetError, match="There is no image at"):
        read_image(tmp_path / "b.tif")


@pytest.mark.parametrize("x", [-0.1, 80.1, np.nan])
def test_a_position_outside_or_nowhere_is_refused(x: float) -> None:
    check_inside(np.array([0.0, 80.0]), np.array([60.0, 0.0]), (60, 80), Path("a"))
    with pytest.raises(DatasetError, match="outside the image of 80 x 60 px"):
        check_inside(np.array([1.0, x]), np.array([1.0, 1.0]), (60, 80), Path("a"))
