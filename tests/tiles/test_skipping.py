import numpy as np
import rasterio
from rasterio.enums import Resampling

from tests.made_up import noise, write_raster
from tests.seasons import Cloud, ground, write_date
from tiles.blocks import Block
from tiles.clouds import CLOUD, NODATA, SEARCHED
from tiles.handles import close_all
from tiles.scene import GsdLimits, open_scene
from tiles.skipping import GATE_PX, SEARCHED_GATE, gate_status, known_status, unread_status

SIDE = 2048
WEST, EAST = Block(0, 0, 1024, 1024, 128), Block(0, 1024, 1024, 1024, 128)


def scene_with_overviews(folder, pixels, overviews=(2, 4, 8), **options):
    path = write_raster(folder / "s.tif", pixels, tiled=True, **options)
    if overviews:
        with rasterio.open(path, "r+") as dataset:
            dataset.build_overviews(list(overviews), Resampling.nearest)
    close_all()
    return open_scene(path, "s", GsdLimits())


def half_empty():
    pixels = noise(1024, SIDE)
    pixels[:, :, 1024:] = 0
    return pixels


def test_what_an_overview_shows_as_nodata_is_not_read(tmp_path):
    scene = scene_with_overviews(tmp_path, half_empty(), nodata=0)
    assert unread_status(scene, WEST) is None
    status = unread_status(scene, EAST)
    assert status.shape == (1024, 1024)
    assert (status == NODATA).all()


def test_black_without_a_tag_is_empty_too(tmp_path):
    scene = scene_with_overviews(tmp_path, half_empty())
    assert unread_status(scene, WEST) is None
    assert (unread_status(scene, EAST) == NODATA).all()


def test_a_strip_of_ground_is_enough_to_read_all(tmp_path):
    pixels = half_empty()
    pixels[:, 500:508, 1500:1508] = 90  # one pixel of the coarsest overview that counts
    assert unread_status(scene_with_overviews(tmp_path, pixels, nodata=0), EAST) is None


def test_without_an_overview_fine_enough_the_block_is_read(tmp_path):
    assert unread_status(scene_with_overviews(tmp_path, half_empty(), (), nodata=0), EAST) is None
    coarse = tmp_path / "coarse"
    coarse.mkdir()
    assert unread_status(scene_with_overviews(coarse, half_empty(), (16,), nodata=0), EAST) is None


def test_a_tile_is_empty_in_whichever_block_it_lies(tmp_path):
    """Ground three pixels wide falls between the overview's samples: no cut may bring it back."""
    pixels = half_empty()
    pixels[:, :, 1500:1503] = 90
    scene = scene_with_overviews(tmp_path, pixels, nodata=0)
    assert unread_status(scene, EAST) is not None, "the overview does not show it"
    both = known_status(scene, Block(0, 0, 1024, SIDE, 128))
    assert np.array_equal(both[:, 1024:], known_status(scene, EAST))
    assert (both[:, :1024] == SEARCHED).all()
    assert unread_status(scene, Block(0, 0, 1024, SIDE, 128)) is None


def test_a_tile_that_the_classification_shuts_is_known_by_it(tmp_path):
    hidden = Cloud(0, 1024, 1024)
    scene = write_date(tmp_path, "2026-01-14", ground(1024, SIDE), (hidden,))
    known = known_status(scene, Block(0, 0, 1024, SIDE, 128))
    assert (known[:, 1024:] == CLOUD).all()
    assert (known[:, :1024] == SEARCHED).all()


def test_a_gate_s_word_counts_only_where_the_ground_was_seen():
    status = np.full((100, 130), SEARCHED, np.uint8)
    status[:10] = CLOUD
    passed = np.array([[True, False, False], [False, False, True]])
    after = gate_status(status, passed)
    assert (after[:10] == CLOUD).all()
    assert (after[10:GATE_PX, :GATE_PX] == SEARCHED).all()
    assert (after[10:GATE_PX, GATE_PX:] == SEARCHED_GATE).all()
    assert (after[GATE_PX:, : 2 * GATE_PX] == SEARCHED_GATE).all()
    assert (after[GATE_PX:, 2 * GATE_PX :] == SEARCHED).all()
