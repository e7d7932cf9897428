"""Overlapping scenes of any CRS and date: which of them a place is searched in.

The rule is `all` (every scene that shows the place; detections are linked afterwards), `newest`, or
`clearest`. Under the last two a scene gives way, pixel by pixel, to those that go before it where
they show the ground without cloud, so each place is searched once.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from odc.geo.overlap import compute_reproject_roi
from odc.geo.warp import rio_reproject

from tiles.blocks import Block
from tiles.clouds import NODATA, SEARCHED
from tiles.composite import dates_of, grid_of, read_looks
from tiles.scene import Scene

Rule = Literal["all", "newest", "clearest"]

SAMPLES = 8  # windows along each side of the ground: 64 in all tell a share to about 0.05
SAMPLE_PX = 8  # of a window, which with its margin costs one or two blocks of the file

Bools = npt.NDArray[np.bool_]


def order(scenes: Sequence[Scene], rule: Rule, ground: shapely.Geometry) -> tuple[Scene, ...]:
    """Give each scene the overlapping scenes that go before it, as `Scene.better`.

    Args:
        scenes: plain or composite, in the order of the survey, which is kept.
        rule: `all` gives none.
        ground: EPSG:4326; clearness is measured there.

    Raises:
        SceneError: a file cannot be read.
    """
    if rule == "all":
        return tuple(scenes)
    best_first = order_by_clearness(scenes, ground) if rule == "clearest" else _newest(scenes)
    better = {
        scene.scene_id: tuple(
            other for other in best_first[:place] if _overlap(scene, other, ground)
        )
        for place, scene in enumerate(best_first)
    }
    return tuple(replace(scene, better=better[scene.scene_id]) for scene in scenes)


def order_by_clearness(scenes: Sequence[Scene], ground: shapely.Geometry) -> list[Scene]:
    """The clearest over the ground first; of equals the newest.

    Raises:
        SceneError: a file cannot be read.
    """
    share = {scene.scene_id: clear_share(scene, ground) for scene in scenes}
    return sorted(_newest(scenes), key=lambda scene: -share[scene.scene_id])


def _newest(scenes: Sequence[Scene]) -> list[Scene]:
    """The newest first, scenes without a date last; of equals by name."""
    by_name = sorted(scenes, key=lambda scene: scene.scene_id)
    return sorted(by_name, key=lambda scene: max(dates_of(scene), default=""), reverse=True)


def owned(scene: Scene, block: Block) -> Bools | None:
    """Say which pixels of a block's core no scene that goes before shows without cloud.

    Returns:
        (y, x) of the core, which may reach beyond the scene; None where the scene owns it all.

    Raises:
        SceneError: a file cannot be read.
    """
    core = _sub_grid(grid_of(scene), block)
    covered = np.zeros((block.rows, block.cols), np.bool_)
    for other in scene.better:
        if covered.all():
            break
        covered |= _searched(other, core)
    return ~covered if covered.any() else None


def clear_share(scene: Scene, ground: shapely.Geometry) -> float:
    """The share of the ground that a scene shows without cloud, from samples of its pixels.

    Args:
        scene: plain or composite.
        ground: EPSG:4326.

    Returns:
        0 to 1, of the part of the ground within the scene's outline; 0 where they do not meet.

    Raises:
        SceneError: the file cannot be read.
    """
    shares = [
        float((read_looks(scene, window).status == SEARCHED).mean())
        for window in _sample_windows(scene, ground)
    ]
    return sum(shares) / len(shares) if shares else 0.0


def _overlap(scene: Scene, other: Scene, ground: shapely.Geometry) -> bool:
    shared = scene.footprint.intersection(other.footprint)
    return bool(shared.area > 0 and shared.intersects(ground))


def _sample_windows(scene: Scene, ground: shapely.Geometry) -> list[Block]:
    """Windows on an even lattice over the ground that a scene shows."""
    shown = scene.footprint.intersection(ground)
    if shown.is_empty or shown.area == 0:
        return []
    west, south, east, north = shown.bounds
    along = (np.arange(SAMPLES) + 0.5) / SAMPLES
    lon, lat = np.meshgrid(west + along * (east - west), south + along * (north - south))
    inside = shapely.contains_xy(shown, lon, lat)
    if not inside.any():
        centre = shown.representative_point()
        lon, lat, inside = np.array([centre.x]), np.array([centre.y]), np.array([True])
    col, row = scene.to_pixel(lon[inside], lat[inside])
    return [
        Block(int(r) - SAMPLE_PX // 2, int(c) - SAMPLE_PX // 2, SAMPLE_PX, SAMPLE_PX, 0)
        for r, c in zip(row, col, strict=True)
    ]


def _searched(other: Scene, core: GeoBox) -> Bools:
    """Where another scene shows the pixels of a grid without cloud: (y, x) of that grid."""
    theirs = grid_of(other)
    roi = compute_reproject_roi(theirs, core, padding=2).roi_src
    rows, cols = roi[0].stop - roi[0].start, roi[1].stop - roi[1].start
    if min(rows, cols) <= 0:
        return np.zeros(core.shape, np.bool_)
    window = Block(roi[0].start, roi[1].start, rows, cols, 0)
    status = read_looks(other, window).status.to_numpy()
    out = np.full(core.shape, NODATA, np.uint8)
    rio_reproject(status, out, _sub_grid(theirs, window), core, "nearest", dst_nodata=NODATA)
    return np.asarray(out == SEARCHED)


def _sub_grid(grid: GeoBox, block: Block) -> GeoBox:
    """The grid of a block's core, wherever it lies."""
    first = Affine.translation(block.col, block.row)
    return GeoBox((block.rows, block.cols), grid.affine @ first, grid.crs)
