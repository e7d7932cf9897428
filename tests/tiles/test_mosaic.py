from dataclasses import replace

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import Transformer

from tests.made_up import UTM_ORIGIN
from tests.seasons import Cloud, ground, write_date
from tiles.blocks import Block
from tiles.composite import compose
from tiles.mosaic import clear_share, order, order_by_clearness, owned

ROWS, COLS = 200, 200
WHOLE = Block(0, 0, ROWS, COLS, 32)


@pytest.fixture
def dates(tmp_path):
    """Three dates of one ground: the newest is half under cloud, the middle one clear."""
    half = tuple(Cloud(row, col, 50) for row in (0, 50, 100, 150) for col in (0, 50))
    return [
        write_date(tmp_path, "2025-11-05", ground(ROWS, COLS), (Cloud(0, 150, 50),)),
        write_date(tmp_path, "2026-01-04", ground(ROWS, COLS)),
        write_date(tmp_path, "2026-03-15", ground(ROWS, COLS), half),
    ]


def shares(scenes, ground):
    """The share of its pixels that each scene owns."""
    own = [owned(scene, WHOLE) for scene in scenes]
    return [1.0 if mask is None else float(mask.mean()) for mask in own]


def test_all_gives_every_place_to_every_scene(dates):
    assert order(dates, "all", dates[0].footprint) == tuple(dates)
    assert shares(dates, None) == [1.0, 1.0, 1.0]


def test_the_newest_clear_scene_owns_a_place(dates):
    ordered = order(dates, "newest", dates[0].footprint)
    assert [len(scene.better) for scene in ordered] == [2, 1, 0]
    newest_clear = owned(ordered[1], WHOLE)
    # the cloud of the newest reaches column 99 and, grown by 100 m, 109
    assert newest_clear[:, :110].all()
    assert not newest_clear[:, 110:].any()
    assert shares(ordered, None) == [0.0, 0.55, 1.0]


def test_every_pixel_that_somebody_sees_is_owned_and_clear_ones_once(dates):
    ordered = order(dates, "newest", dates[0].footprint)
    times = np.zeros((ROWS, COLS), int)
    for scene in ordered:
        mask = owned(scene, WHOLE)
        times += np.ones((ROWS, COLS), int) if mask is None else mask
    assert times.min() == 1
    assert (times[:, 110:] == 1).all()


def test_the_clearest_goes_first_and_of_equals_the_newest(dates):
    ground_seen = dates[0].footprint
    clear = [round(clear_share(scene, ground_seen), 2) for scene in dates]
    assert clear[1] == 1.0
    assert clear[0] == pytest.approx(0.91, abs=0.05)
    assert clear[2] == pytest.approx(0.45, abs=0.05)
    assert [s.date for s in order_by_clearness(dates, ground_seen)] == [
        *("2026-01-04", "2025-11-05", "2026-03-15")
    ]
    twin = replace(dates[1], scene_id="twin", date="2026-02-01")
    assert order_by_clearness([*dates, twin], ground_seen)[0] is twin


def test_clearness_is_of_the_ground_asked_for(dates):
    lon, lat = dates[2].to_lonlat([130, 195], [195, 5])
    corner = shapely.box(*(float(v) for v in (lon[0], lat[0], lon[1], lat[1])))
    assert clear_share(dates[2], corner) == 1.0
    assert clear_share(dates[2], shapely.box(10, 10, 11, 11)) == 0.0


def test_a_scene_in_another_zone_gives_way_where_the_other_is_clear(dates, tmp_path):
    x, y = Transformer.from_crs(32644, 32643).transform(*UTM_ORIGIN @ (COLS / 2, ROWS / 2))
    west = Affine.translation(round(x) - 2000, round(y) + 2000) @ Affine.scale(10, -10)
    other = write_date(
        tmp_path, "2024-12-01", ground(400, 400), transform=west, crs="EPSG:32643", masked=False
    )
    older, newer = order([other, dates[0]], "newest", other.footprint)
    assert [scene.date for scene in older.better] == ["2025-11-05"]
    mask = owned(older, Block(0, 0, 400, 400, 0))
    lon, lat = newer.to_lonlat([100.5, 190.5], [100.5, 10.5])  # clear; under the newer one's cloud
    col, row = (np.floor(v).astype(int) for v in older.to_pixel(lon, lat))
    assert mask[row, col].tolist() == [False, True]
    assert (~mask).mean() == pytest.approx((ROWS * COLS - 60 * 60) / 400**2, rel=0.03)
    assert newer.better == ()


def test_composites_are_ordered_by_their_last_date(dates):
    (composite,) = compose(dates[:2], "median")
    first, second = order([composite, dates[2]], "newest", dates[0].footprint)
    assert [scene.scene_id for scene in first.better] == [dates[2].scene_id]
    assert second.better == ()
    assert float(owned(first, WHOLE).mean()) == 0.55
