"""Scenes that nobody has labelled, as pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from models.chips import Ground, Picture, PixelPoints, SiteLabels
from tiles.blocks import Block
from tiles.catalog import find_scenes
from tiles.errors import DatasetError
from tiles.headers import GsdLimits
from tiles.read import read_block
from tiles.scene import Scene

# Two whole Sentinel-2 tiles: two gigabytes in memory, and more than enough to learn a look from.
MOST_PX = 250_000_000


def unlabelled_scenes(
    sources: Sequence[str], limits: GsdLimits, say: Callable[[str], None] = lambda _: None
) -> tuple[Picture, ...]:
    """Whole scenes as pictures, without their clouds.

    Args:
        sources: Files, folders, globs, and all else that `tiles.catalog.find_scenes` takes.
        limits: Ground sample distances that the detector works at.
        say: Told of every file among others that cannot be used, and why.

    Raises:
        SceneError: A source matches nothing, or a file cannot be read.
        DatasetError: They are too large to be held in memory at once.
    """
    catalog = find_scenes(sources, limits)
    for source in catalog.broken:
        say(f"left out: {source.reason}")
    scenes = catalog.scenes
    total_px = sum(scene.rows * scene.cols for scene in scenes)
    if total_px > MOST_PX:
        raise DatasetError(
            f"The {len(scenes)} scenes have {total_px / 1e6:,.0f} megapixels, and at most "
            f"{MOST_PX / 1e6:,.0f} are learnt from at once: name one or two of them in which you "
            "know that there are sites."
        )
    return tuple(map(_picture, scenes))


def _picture(scene: Scene) -> Picture:
    seen = read_block(scene, Block(0, 0, scene.rows, scene.cols, 0))
    pixels = np.ascontiguousarray(seen.pixels.to_numpy())
    if pixels.dtype.kind == "f":  # NaN times a mask's 0 is NaN, and would spoil all that is learnt
        pixels = np.nan_to_num(pixels, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    nothing = PixelPoints.none()
    return Picture(
        name=scene.scene_id,
        place=scene.scene_id,
        pixels=pixels,
        usable=seen.usable,
        sites=SiteLabels.at(nothing),
        doubtful=nothing,
        blind_edge_px=0,
        ground=Ground(0.0, 0.0, scene.gsd.x_m, scene.gsd.y_m),  # nothing is measured between scenes
        region=scene.scene_id,
    )
