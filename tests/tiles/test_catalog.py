import pytest

from tests.made_up import noise, write_raster
from tests.seasons import Cloud, ground, write_date
from tiles.catalog import find_scenes
from tiles.errors import SceneError
from tiles.scene import GsdLimits


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deep").mkdir()
    write_raster(tmp_path / "b.tif", noise(64, 64))
    write_raster(tmp_path / "a.tif", noise(64, 64))
    write_raster(tmp_path / "deep" / "a.tif", noise(64, 64))
    (tmp_path / "notes.txt").write_text("not an image")
    return tmp_path


def test_folders_files_and_globs_name_the_same_scenes_once(folder):
    by_folder = find_scenes([str(folder)], GsdLimits())
    assert [scene.scene_id for scene in by_folder.scenes] == ["a-1", "b", "a-2"]
    by_glob = find_scenes([str(folder / "**" / "*.tif"), str(folder / "b.tif")], GsdLimits())
    assert by_glob == by_folder


def test_no_two_scenes_share_a_name(folder):
    write_raster(folder / "a-1.tif", noise(64, 64))
    names = [scene.scene_id for scene in find_scenes([str(folder)], GsdLimits()).scenes]
    assert names == ["a-1", "a-2", "b", "a-3"]


def test_one_broken_file_among_many_is_reported(folder):
    (folder / "broken.tif").write_text("x")
    grey = write_raster(folder / "grey.tif", noise(64, 64)[:1])
    catalog = find_scenes([str(folder)], GsdLimits())
    assert len(catalog.scenes) == 3
    assert {source.path.name for source in catalog.broken} == {"broken.tif", "grey.tif"}
    known = {source.path: source.footprint for source in catalog.broken}
    assert known[folder / "broken.tif"] is None
    assert known[grey].contains(catalog.scenes[0].footprint.centroid)


def test_a_virtual_raster_is_a_scene(folder):
    (folder / "mosaic.vrt").write_text(
        """<VRTDataset rasterXSize="64" rasterYSize="64"><SRS>EPSG:32644</SRS>
        <GeoTransform>500000, 10, 0, 2990000, 0, -10</GeoTransform>"""
        + "".join(
            f"""<VRTRasterBand dataType="Byte" band="{band}"><SimpleSource>
            <SourceFilename>{folder / "a.tif"}</SourceFilename><SourceBand>{band}</SourceBand>
            </SimpleSource></VRTRasterBand>"""
            for band in (1, 2, 3)
        )
        + "</VRTDataset>"
    )
    catalog = find_scenes([str(folder / "mosaic.vrt")], GsdLimits())
    assert [(scene.rows, scene.cols) for scene in catalog.scenes] == [(64, 64)]


def test_nothing_usable_is_one_sentence(tmp_path):
    with pytest.raises(SceneError, match="names no image"):
        find_scenes([str(tmp_path / "*.tif")], GsdLimits())
    for name in ("x.tif", "y.tif"):
        (tmp_path / name).write_text("x")
    with pytest.raises(SceneError, match=r"x\.tif is no raster .*1 more files failed"):
        find_scenes([str(tmp_path)], GsdLimits())


def test_a_classification_beside_an_image_is_its_mask_and_no_scene(tmp_path):
    scene = write_date(tmp_path, "2026-01-05", ground(64, 64), (Cloud(0, 0, 32),))
    write_raster(tmp_path / "plain.tif", noise(64, 64))
    for source in (str(tmp_path), str(tmp_path / "*.tif")):
        found = find_scenes([source], GsdLimits())
        assert found.broken == ()
        masks = {one.scene_id: one.mask for one in found.scenes}
        assert masks == {scene.scene_id: scene.mask, "plain": None}
    [named] = find_scenes([str(scene.path)], GsdLimits()).scenes
    assert named.mask == scene.mask
    assert str(scene.mask.href) in {str(path) for path in named.local_files()}
