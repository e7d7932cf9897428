import threading

import pytest
import rasterio
from rasterio.errors import RasterioError

from tests.made_up import noise, write_raster
from tiles.handles import GDAL_SETTINGS, KEPT_OPEN, close_all, kept_open, use_gdal_settings


@pytest.fixture(autouse=True)
def _fresh():
    close_all()
    yield
    close_all()


def handle_of(path):
    with kept_open(str(path)) as dataset:
        return dataset


def test_a_file_is_opened_once_a_thread(tmp_path):
    path = write_raster(tmp_path / "s.tif", noise(32, 32))
    assert handle_of(path) is handle_of(path)
    elsewhere = []

    def work():
        elsewhere.append(handle_of(path))
        close_all()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert elsewhere[0] is not handle_of(path)


def test_a_file_that_was_replaced_is_opened_again(tmp_path):
    path = write_raster(tmp_path / "s.tif", noise(32, 32))
    before = handle_of(path)
    new = write_raster(tmp_path / "new.tif", noise(48, 32))
    new.rename(path)
    assert handle_of(path) is not before
    assert handle_of(path).height == 48


def test_after_an_error_the_handle_is_closed_and_forgotten(tmp_path):
    path = write_raster(tmp_path / "s.tif", noise(32, 32))
    with pytest.raises(RasterioError), kept_open(str(path)) as dataset:
        raise RasterioError("blocks never came")
    assert dataset.closed
    assert not handle_of(path).closed


def test_no_more_files_are_kept_open_than_allowed(tmp_path):
    paths = [write_raster(tmp_path / f"{n}.tif", noise(8, 8)) for n in range(KEPT_OPEN + 1)]
    handles = [handle_of(path) for path in paths]
    assert [handle.closed for handle in handles] == [True] + [False] * KEPT_OPEN


def test_settings_of_the_user_stand(monkeypatch):
    monkeypatch.setenv("GDAL_CACHEMAX", "17")
    monkeypatch.delenv("GDAL_NUM_THREADS", raising=False)
    assert use_gdal_settings() == {**GDAL_SETTINGS, "GDAL_CACHEMAX": "17"}


def test_three_threads_read_one_file_alike(tmp_path):
    pixels = noise(256, 256)
    path = write_raster(tmp_path / "s.tif", pixels, tiled=True, blockxsize=64, blockysize=64)
    found = []

    def work():
        with kept_open(str(path)) as dataset:
            found.append((dataset.read() == pixels).all())
        close_all()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 3
    with rasterio.open(path) as dataset:
        assert dataset.count == 3
