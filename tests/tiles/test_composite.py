from dataclasses import replace

import numpy as np
import pytest
from affine import Affine
from pyproj import Transformer

from tests.made_up import UTM_ORIGIN, noise, write_raster
from tests.seasons import SHADOW_SCL, SNOW_SCL, Cloud, ground, write_date
from tiles.blocks import Block
from tiles.clouds import CLOUD, NODATA, SEARCHED, SNOW
from tiles.composite import Composite, compose, dates_of, read_looks, sources
from tiles.coverage import NO_FIRST, day_text
from tiles.headers import FileBlock, GsdLimits
from tiles.lazy import as_dataset
from tiles.read import read_block
from tiles.scene import open_scene

ROWS, COLS = 200, 240
WHOLE = Block(0, 0, ROWS, COLS, 0)
DATES = ("2025-11-05", "2025-12-20", "2026-01-04", "2026-02-03", "2026-03-15")


@pytest.fixture
def season(tmp_path):
    """Five dates that differ by 0, 10, 20, 30, 40; each has a cloud elsewhere."""
    return [
        write_date(tmp_path, date, ground(ROWS, COLS) + np.uint16(10 * n), (Cloud(40, 40 * n, 40),))
        for n, date in enumerate(DATES)
    ]


def test_the_median_of_clear_looks_and_what_is_kept_of_them(season):
    (composite,) = compose(season, "median")
    read = read_looks(composite, WHOLE)
    assert read.pixels.dtype == np.uint16
    assert np.array_equal(read.pixels.to_numpy()[:, 100:], ground(ROWS, COLS)[:, 100:] + 20)
    # at row 60 the second date is clouded in columns 30 to 89, the third in 70 to 129
    assert read.looks.count[60, [60, 75, 220]].tolist() == [4, 3, 5]
    under_first = read.looks.first_day[60, 20], read.looks.last_day[60, 20]
    assert [day_text(int(day)) for day in under_first] == ["2025-12-20", "2026-03-15"]
    assert (read.status == SEARCHED).all()


def test_a_composite_does_not_depend_on_the_cut(season):
    (composite,) = compose(season, "median")
    whole = read_looks(composite, WHOLE)
    for row in range(0, ROWS, 100):
        for col in range(0, COLS, 80):
            part = read_looks(composite, Block(row, col, 100, 80, 16))
            core = np.s_[16:-16, 16:-16]
            at = np.s_[row : row + 100, col : col + 80]
            assert np.array_equal(part.pixels.to_numpy()[:, *core], whole.pixels.to_numpy()[:, *at])
            assert np.array_equal(part.status.to_numpy()[core], whole.status.to_numpy()[at])
            assert np.array_equal(part.looks.count[core], whole.looks.count[at])
            assert np.array_equal(part.looks.last_day[core], whole.looks.last_day[at])
    assert list(part.pixels["y"].to_numpy()[[0, -1]]) == [84, 215]


def test_the_medoid_shows_one_date_a_pixel(season):
    (composite,) = compose(season, "medoid")
    read = read_looks(composite, WHOLE).pixels.to_numpy()
    assert np.array_equal(read[:, 100:], ground(ROWS, COLS)[:, 100:] + 20)
    steps = read.astype(int) - ground(ROWS, COLS)
    assert set(np.unique(steps)) <= {0, 10, 20, 30, 40}
    assert (steps == steps[:1]).all(), "the same date in all bands"


def test_shadow_is_out_snow_has_its_name_and_what_nobody_saw_is_cloud(tmp_path):
    everywhere = Cloud(40, 40, 60)
    dates = [
        write_date(tmp_path, DATES[0], ground(ROWS, COLS), (everywhere,)),
        write_date(tmp_path, DATES[1], ground(ROWS, COLS), (replace(everywhere, code=SHADOW_SCL),)),
    ]
    (composite,) = compose(dates, "median")
    read = read_looks(composite, WHOLE)
    assert (read.status.to_numpy()[40:100, 40:100] == CLOUD).all()
    assert (read.pixels.to_numpy()[:, 70, 70] == 0).all()
    assert read.looks.first_day[70, 70] == NO_FIRST
    snowy = write_date(
        tmp_path, DATES[2], ground(ROWS, COLS), (replace(everywhere, code=SNOW_SCL),)
    )
    assert read_block(snowy, WHOLE).status.to_numpy()[70, 70] == SNOW


def test_members_that_cover_less_and_more_ground_share_one_grid(tmp_path):
    first = write_date(tmp_path, DATES[0], ground(ROWS, COLS))
    moved = UTM_ORIGIN @ Affine.translation(-20, 30)
    second = write_date(tmp_path, DATES[1], ground(ROWS, COLS, 1), transform=moved)
    (composite,) = compose([second, first], "median")
    assert (composite.rows, composite.cols) == (ROWS + 30, COLS + 20)
    assert composite.transform == UTM_ORIGIN @ Affine.translation(-20, 0)
    read = read_looks(composite, Block(0, 0, ROWS + 30, COLS + 20, 0))
    counts = read.looks.count
    assert (counts[:30, :20] == 0).all()
    assert (counts[30:ROWS, 20:COLS] == 2).all()
    both = (ground(ROWS, COLS)[:, 30, 0].astype(int) + ground(ROWS, COLS, 1)[:, 0, 20]) // 2
    assert np.array_equal(read.pixels.to_numpy()[:, 30, 20], both)
    assert (read.status.to_numpy()[:30, :20] == NODATA).all()


def test_another_crs_is_resampled_to_the_grid_of_the_first(tmp_path):
    smooth = np.broadcast_to(
        (1000 + 2 * np.arange(COLS) + 3 * np.arange(ROWS)[:, None]).astype(np.uint16),
        (3, ROWS, COLS),
    )
    first = write_date(tmp_path, DATES[0], smooth)
    # the same ground in the next zone to the west, where its pixels lie turned by 2.7 degrees
    x, y = Transformer.from_crs(32644, 32643).transform(*UTM_ORIGIN @ (COLS / 2, ROWS / 2))
    west = Affine.translation(round(x) - 3000, round(y) + 3000) @ Affine.scale(10, -10)
    other = write_date(
        tmp_path,
        DATES[1],
        np.full((3, 600, 600), 1500, np.uint16),
        crs="EPSG:32643",
        transform=west,
        masked=False,
    )
    assert other.footprint.contains(first.footprint.centroid)
    (composite,) = compose([replace(first, scene_id="a"), replace(other, scene_id="b")], "median")
    assert composite.crs_wkt == first.crs_wkt
    lon, lat = first.to_lonlat([120.5], [100.5])
    col, row = composite.to_pixel(lon, lat)
    read = read_looks(composite, Block(int(row[0]), int(col[0]), 1, 1, 0))
    assert read.looks.count.tolist() == [[2]]
    assert read.pixels.to_numpy()[:, 0, 0].tolist() == [(int(smooth[0, 100, 120]) + 1500) // 2] * 3


def test_true_colour_stays_8_bit_alone_and_becomes_reflectance_among_others(tmp_path):
    pictures = [
        write_raster(tmp_path / f"{date}.tif", noise(ROWS, COLS, n)) for n, date in enumerate(DATES)
    ]
    plain = [open_scene(path, path.stem, GsdLimits()) for path in pictures]
    (composite,) = compose(plain, "median")
    read = read_looks(composite, WHOLE)
    exact = np.median([noise(ROWS, COLS, n) for n in range(5)], axis=0)
    assert read.pixels.dtype == np.uint8
    assert np.array_equal(read.pixels.to_numpy(), exact)
    reflectance = write_date(tmp_path, "2026-04-01", ground(ROWS, COLS))
    (mixed,) = compose([plain[0], reflectance], "median")
    values = read_looks(mixed, WHOLE).pixels.to_numpy()[0, 0, 0]
    expected = (
        round(int(noise(ROWS, COLS)[0, 0, 0]) * 3558 / 255) + ground(ROWS, COLS)[0, 0, 0]
    ) // 2
    assert values == expected


def test_scenes_of_other_ground_or_size_of_pixel_stay_apart(tmp_path):
    here = [write_date(tmp_path, date, ground(ROWS, COLS)) for date in DATES[:2]]
    beside = UTM_ORIGIN @ Affine.translation(COLS - 40, 0)  # a sixth of it is shared
    away = write_date(tmp_path, DATES[2], ground(ROWS, COLS), transform=beside)
    finer = UTM_ORIGIN @ Affine.scale(0.8)
    fine = write_date(tmp_path, DATES[3], ground(ROWS, COLS), transform=finer, masked=False)
    scenes = compose([*here, away, fine], "median")
    assert [len(sources(scene)) for scene in scenes] == [2, 1, 1]
    assert scenes[1:] == (away, fine)


def test_the_name_tells_method_span_and_members(season):
    (composite,) = compose(season, "median")
    assert composite.scene_id.startswith("median_2025-11-05_2026-03-15_5_")
    assert dates_of(composite) == DATES
    assert composite.date is None
    (fewer,) = compose(season[:4], "median")
    assert fewer.scene_id != composite.scene_id
    assert isinstance(fewer, Composite)
    assert compose(season[::-1], "median") == (composite,)


def test_the_whole_as_a_lazy_dataset(season):
    (composite,) = compose(season, "median")
    lazy = as_dataset(composite, 96)
    assert lazy["red"].chunks == ((96, 96, 8), (96, 96, 48))
    assert lazy.odc.geobox.shape == (ROWS, COLS)
    read = read_looks(composite, WHOLE)
    made = lazy.compute(scheduler="synchronous")
    assert np.array_equal(made["blue"], read.pixels[2])
    assert np.array_equal(made["looks"], read.looks.count)
    assert made["last_day"].dt.strftime("%Y-%m-%d").to_numpy()[0, 0] == "2026-03-15"
    alone = as_dataset(season[0]).compute(scheduler="synchronous")
    assert alone["looks"].to_numpy()[60, [20, 200]].tolist() == [0, 1]
    assert np.isnat(alone["first_day"].to_numpy()[60, 20])


def test_strips_of_a_window_end_where_the_files_blocks_do(season, monkeypatch):
    (composite,) = compose([replace(one, file_block=FileBlock(64, 64)) for one in season], "median")
    monkeypatch.setattr("tiles.composite.LEAST_ROWS", 80)
    monkeypatch.setattr("tiles.composite.STRIP_BYTES", 0)
    windows: list[Block] = []

    def watched(scene, block):
        windows.append(block)
        return read_block(scene, block)

    monkeypatch.setattr("tiles.composite.read_block", watched)
    read = read_looks(composite, Block(0, 0, ROWS, COLS, 20))
    strips = sorted({(window.row, window.rows) for window in windows})
    assert strips == [(0, 64), (64, 64), (128, 64), (192, 28)]
    monkeypatch.undo()
    whole = read_looks(composite, Block(0, 0, ROWS, COLS, 20))
    assert np.array_equal(read.pixels, whole.pixels)
