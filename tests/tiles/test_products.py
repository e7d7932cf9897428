from zipfile import ZipFile

import numpy as np
import pytest
import rasterio

from tests.made_up import noise, write_raster
from tests.safe import PRODUCT, write_safe
from tiles.blocks import Block
from tiles.catalog import find_scenes
from tiles.errors import SceneError
from tiles.read import read_block
from tiles.scene import GsdLimits


@pytest.fixture
def safe(tmp_path):
    return write_safe(tmp_path / "in", noise(128, 128).astype(np.uint16) * 30 + 1000)


def zipped(folder, target):
    with ZipFile(target, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"{folder.name}/{file.relative_to(folder)}")
    return target


def only(source):
    catalog = find_scenes([str(source)], GsdLimits())
    assert catalog.broken == ()
    assert len(catalog.scenes) == 1
    return catalog.scenes[0]


def test_a_safe_folder_is_one_scene_with_all_that_its_metadata_say(safe):
    scene = only(safe)
    assert (scene.scene_id, scene.date) == (PRODUCT, "2026-01-15")
    assert (scene.platform, scene.cloud_percent) == ("sentinel-2b", 12.5)
    assert [band.href.rpartition("_")[0][-3:] for band in scene.colours] == ["B04", "B03", "B02"]
    assert scene.mask.kind == "scl"
    assert scene.mask.href.endswith("_SCL_20m.jp2")
    assert scene.radiometry.sensor == "sentinel-2-l2a"
    assert scene.radiometry.scale == (1e-4,) * 3
    assert scene.radiometry.offset == pytest.approx((-0.1,) * 3)
    assert len(scene.local_files()) == 4


def test_a_folder_of_products_and_images_gives_each_once(safe):
    write_raster(safe.parent / "plain.tif", noise(64, 64))
    found = find_scenes([str(safe.parent)], GsdLimits())
    assert [scene.scene_id for scene in found.scenes] == [PRODUCT, "plain"]


def test_the_offset_is_the_product_s_own(safe):
    metadata = safe / "MTD_MSIL2A.xml"
    metadata.write_text(metadata.read_text().replace('band_id="3">-1000', 'band_id="3">-500'))
    assert only(safe).radiometry.offset == pytest.approx((-0.05,) * 3)


def test_level_1c_has_its_bands_in_one_folder(tmp_path):
    safe = write_safe(tmp_path, noise(64, 64).astype(np.uint16) * 30, level="1C")
    scene = only(safe)
    assert (scene.radiometry.sensor, scene.mask) == ("sentinel-2-l1c", None)


def test_a_zip_of_a_product_reads_like_the_folder(safe, tmp_path):
    archive = zipped(safe, tmp_path / "product.zip")
    from_folder, from_zip = only(safe), only(archive)
    assert from_zip.scene_id == PRODUCT
    assert (from_zip.date, from_zip.radiometry) == (from_folder.date, from_folder.radiometry)
    assert from_zip.local_files() == (archive,)
    block = Block(0, 0, 128, 128, 0)
    read = [read_block(scene, block) for scene in (from_folder, from_zip)]
    assert np.array_equal(read[0].pixels, read[1].pixels)
    assert np.array_equal(read[0].status, read[1].status)
    with rasterio.open(from_folder.colours[0].href) as red:
        stored = red.read(1).astype(int)
    assert np.array_equal(read[0].pixels[0, :128, :128], np.clip(stored - 1000, 1, None))


def test_a_zip_of_images_holds_one_scene_an_image(tmp_path):
    for name in ("b", "a"):
        write_raster(tmp_path / f"{name}.tif", noise(64, 64))
    with ZipFile(tmp_path / "two.zip", "w") as archive:
        for name in ("b", "a"):
            archive.write(tmp_path / f"{name}.tif", f"deep/{name}.tif")
    found = find_scenes([str(tmp_path / "two.zip")], GsdLimits())
    assert [scene.scene_id for scene in found.scenes] == ["a", "b"]
    assert found.scenes[0].colours[0].href == f"/vsizip/{tmp_path}/two.zip/deep/a.tif"


def test_what_is_wrong_with_a_product_is_one_sentence(safe, tmp_path):
    def fault():
        with pytest.raises(SceneError) as caught:
            find_scenes([str(safe)], GsdLimits())
        return str(caught.value)

    metadata = safe / "MTD_MSIL2A.xml"
    whole = metadata.read_text()
    metadata.write_text(whole[:200])
    assert "MTD_MSIL2A.xml is damaged" in fault()
    metadata.write_text(whole.replace("PRODUCT_START_TIME", "OTHER"))
    assert "says no PRODUCT_START_TIME" in fault()
    metadata.unlink()
    assert "has no MTD_MSIL2A.xml" in fault()
    next(safe.rglob("*_B03_10m.jp2")).unlink()
    assert "has 0 files of band B03 at 10 m" in fault()
    (tmp_path / "bad.zip").write_bytes(b"PK nothing")
    with pytest.raises(SceneError, match="is no zip file that can be opened"):
        find_scenes([str(tmp_path / "bad.zip")], GsdLimits())
    with ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("notes.txt", "x")
    with pytest.raises(SceneError, match=r"empty\.zip holds no image"):
        find_scenes([str(tmp_path / "empty.zip")], GsdLimits())


def test_bands_of_another_size_are_refused(safe):
    red = next(safe.rglob("*_B04_10m.jp2"))
    next(safe.rglob("*_B02_10m.jp2")).write_bytes(next(safe.rglob("*_SCL_20m.jp2")).read_bytes())
    with pytest.raises(SceneError, match=f"number type than {red}: bands of one scene must lie"):
        find_scenes([str(safe)], GsdLimits())
