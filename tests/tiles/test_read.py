import numpy as np
import pytest
import rasterio
from affine import Affine

from tests.made_up import ROTATED, UTM_ORIGIN, noise, write_raster
from tiles.blocks import Block
from tiles.clouds import CLOUD, NODATA, SEARCHED
from tiles.errors import SceneError
from tiles.read import read_block
from tiles.scene import GsdLimits, open_scene


def scene_of(path, **options):
    return open_scene(path, "s", GsdLimits(), **options)


def blocks_of(rows, cols, side, halo):
    """Blocks smaller than a survey's, so that a small scene has many seams."""
    corners = [(row, col) for row in range(0, rows, side) for col in range(0, cols, side)]
    return [Block(row, col, side, side, halo) for row, col in corners]


def test_cores_put_side_by_side_are_the_file(tmp_path):
    pixels = noise(300, 500)
    scene = scene_of(write_raster(tmp_path / "s.tif", pixels, transform=ROTATED))
    mosaic = np.zeros((3, 512, 512), np.uint8)
    for block in blocks_of(300, 500, 128, 32):
        core = read_block(scene, block).pixels.to_numpy()[:, 32:-32, 32:-32]
        mosaic[:, block.row : block.row + 128, block.col : block.col + 128] = core
    assert np.array_equal(mosaic[:, :300, :500], pixels)


def test_the_halo_holds_the_neighbours_and_is_unusable_outside_the_scene(tmp_path):
    pixels = noise(256, 256)
    scene = scene_of(write_raster(tmp_path / "s.tif", pixels))
    read = read_block(scene, Block(0, 128, 128, 128, 32))
    assert read.pixels.shape == (3, 192, 192)
    assert np.array_equal(read.pixels.to_numpy()[:, 32:, :160], pixels[:, :160, 96:])
    assert read.usable[32:, :160].all()
    assert not read.usable[:32].any()
    assert not read.usable[:, 160:].any()
    assert list(read.pixels["y"].to_numpy()[[0, -1]]) == [-32, 159]
    assert list(read.pixels["x"].to_numpy()[[0, -1]]) == [96, 287]


def test_nodata_masks_and_nan_are_not_usable(tmp_path):
    pixels = noise(64, 64)
    pixels[:, :10] = 0
    block = Block(0, 0, 64, 64, 0)
    by_value = scene_of(write_raster(tmp_path / "value.tif", pixels, nodata=0))
    assert read_block(by_value, block).status.to_numpy()[[9, 10], 0].tolist() == [NODATA, SEARCHED]
    masked = write_raster(tmp_path / "mask.tif", noise(64, 64))
    mask = np.full((64, 64), 255, np.uint8)
    mask[:, 60:] = 0
    with rasterio.open(masked, "r+") as dataset:
        dataset.write_mask(mask)
    assert read_block(scene_of(masked), block).usable.sum() == 64 * 60
    floats = noise(64, 64).astype(np.float32) / 255
    floats[1, 5, 6] = np.nan
    as_float = scene_of(write_raster(tmp_path / "float.tif", floats))
    assert np.argwhere(~read_block(as_float, block).usable).tolist() == [[5, 6]]


@pytest.mark.parametrize(
    ("white", "scale"), [(np.uint8(255), 1), (np.uint16(4500), 20), (np.float32(0.45), 0.002)]
)
def test_thick_cloud_is_found_in_every_number_type(tmp_path, white, scale):
    pixels = (noise(200, 200) * scale).astype(white.dtype)
    pixels[:, 80:120, 80:120] = white
    pixels[:, 20:30, 20:30] = white  # a factory roof of 100 m is no cloud
    scene = scene_of(write_raster(tmp_path / "s.tif", pixels))
    status = read_block(scene, Block(0, 0, 224, 224, 0)).status.to_numpy()
    assert (status[80:120, 80:120] == CLOUD).all()
    assert (status[75:125, 75:125] == CLOUD).all(), "its thin edge is left out too"
    assert (status[:60] != CLOUD).all()


def test_clouds_do_not_depend_on_the_cut(tmp_path):
    pixels = noise(256, 256)
    pixels[:, 100:140, 110:150] = 255
    scene = scene_of(write_raster(tmp_path / "s.tif", pixels))
    whole = read_block(scene, Block(0, 0, 256, 256, 64)).status.to_numpy()[64:-64, 64:-64]
    for block in blocks_of(256, 256, 64, 64):
        part = read_block(scene, block).status.to_numpy()[64:-64, 64:-64]
        assert np.array_equal(part, whole[block.row :, block.col :][:64, :64])


def test_fine_imagery_is_averaged(tmp_path):
    fine = np.repeat(np.repeat(noise(50, 60), 2, axis=1), 2, axis=2)
    path = write_raster(tmp_path / "s.tif", fine, transform=UTM_ORIGIN @ Affine.scale(0.5))
    read = read_block(scene_of(path), Block(0, 0, 64, 64, 0))
    assert np.array_equal(read.pixels.to_numpy()[:, :50, :60], noise(50, 60))


def test_masks_survive_averaging_and_unused_bands_do_not_count(tmp_path):
    fine = np.concatenate([noise(128, 128), noise(128, 128)[:1]])
    half = UTM_ORIGIN @ Affine.scale(0.5)
    masked = write_raster(tmp_path / "mask.tif", fine[:3], transform=half)
    mask = np.full((128, 128), 255, np.uint8)
    mask[:, 64:] = 0
    with rasterio.open(masked, "r+") as dataset:
        dataset.write_mask(mask)
    assert read_block(scene_of(masked), Block(0, 0, 64, 64, 0)).usable.sum() == 64 * 32
    fine[:3, :64] = 0
    fine[3] = 200  # near infrared is valid where the colours are not
    partly = write_raster(tmp_path / "nir.tif", fine, nodata=0, photometric="minisblack")
    assert read_block(scene_of(partly), Block(0, 0, 128, 128, 0)).usable.sum() == 64 * 128


def test_black_borders_without_a_tag_are_nodata_and_black_dots_are_not(tmp_path):
    pixels = noise(200, 200)
    pixels[:, :, :40] = 0
    pixels[:, 100, 100:104] = 0
    scene = scene_of(write_raster(tmp_path / "s.tif", pixels))
    usable = read_block(scene, Block(0, 0, 224, 224, 0)).usable[:200, :200]
    assert not usable[:, :40].any()
    assert usable[:, 40:].all()


def test_sidecar_files_count(tmp_path):
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False):
        path = write_raster(tmp_path / "s.tif", noise(64, 64))
        with rasterio.open(path, "r+") as dataset:
            dataset.write_mask(np.repeat(np.uint8([[0], [255]]), 32, axis=0).repeat(64, axis=1))
    assert (tmp_path / "s.tif.msk").exists()
    assert read_block(scene_of(path), Block(0, 0, 64, 64, 0)).usable.sum() == 32 * 64


def test_a_file_cut_off_is_one_sentence(tmp_path):
    options = {"tiled": True, "blockxsize": 256, "blockysize": 256}
    path = write_raster(tmp_path / "s.tif", noise(1024, 1024), **options)
    scene = scene_of(path)
    path.write_bytes(path.read_bytes()[:2_000_000])
    read_block(scene, Block(0, 0, 256, 256, 0))
    with pytest.raises(SceneError, match=r"s\.tif cannot be read at row 768, column 768"):
        read_block(scene, Block(768, 768, 256, 256, 0))
