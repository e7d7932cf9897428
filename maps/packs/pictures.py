"""The pictures of a pack: each site near and from afar, as JPEG that every other file takes in."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from PIL import Image

from maps.packs.facts import PackFacts
from tiles.pictures import Picture, Place, View, cut_pictures
from tiles.scene import Scene

NEAR = View(side_m=640, side_px=192)  # a kiln and what is round it: fields, road, chimney's shadow
AROUND = View(side_m=3000, side_px=300)  # the way there: roads and villages within a walk
AROUND_PX = 200  # of it in the files: as many as the small map on a card can show
# Imagery this coarse holds no more near a site than the wide picture of 10 m does, which is then
# read only once; the pixels of the degrees that Sentinel-2 comes in are a little under 10 m.
COARSE_M = 8.0
JPEG_QUALITY = 85  # no artefact that an eye finds at 10 m, and phones show it without thought


@dataclass(frozen=True)
class Chip:
    """One picture.

    Attributes:
        jpeg: the file.
        date: day of the scene, ISO; None where it is not known.
    """

    jpeg: bytes
    date: str | None


@dataclass(frozen=True)
class Chips:
    """Pictures by site_id; a site that no imagery shows has none."""

    near: dict[str, Chip] = field(default_factory=dict)
    around: dict[str, Chip] = field(default_factory=dict)
    near_side_m: float = NEAR.side_m


def cut_chips(scenes: Sequence[Scene], rows: pd.DataFrame, facts: PackFacts) -> Chips:
    """Cut the pictures of all sites.

    Args:
        scenes: imagery that is still there; none gives no pictures.
        rows: what `pack_rows` returns.
        facts: the pack; its stamp is the comment of each file.
    """
    at = {
        str(site_id): Place(lon, lat)
        for site_id, lon, lat in zip(rows["site_id"], rows["lon"], rows["lat"], strict=True)
    }
    around = _cut(scenes, at, AROUND)
    near = {}
    if all(_is_coarse(scene) for scene in scenes):
        near = {site_id: _chip(_middle(wide), wide, facts) for site_id, wide in around.items()}
    rest = {site_id: place for site_id, place in at.items() if site_id not in near}
    for site_id, picture in _cut(scenes, rest, NEAR).items():
        near[site_id] = _chip(Image.fromarray(picture.pixels), picture, facts)
    small = (AROUND_PX, AROUND_PX)
    wide_chips = {
        site_id: _chip(Image.fromarray(wide.pixels).resize(small), wide, facts)
        for site_id, wide in around.items()
    }
    return Chips({site_id: near[site_id] for site_id in at if site_id in near}, wide_chips)


def _is_coarse(scene: Scene) -> bool:
    return not scene.resampled and min(scene.gsd.x_m, scene.gsd.y_m) >= COARSE_M


def _cut(scenes: Sequence[Scene], at: Mapping[str, Place], view: View) -> dict[str, Picture]:
    cut = cut_pictures(scenes, list(at.values()), view)
    return {site_id: found[0] for site_id, found in zip(at, cut, strict=True) if found}


def _middle(wide: Picture) -> Image.Image:
    """The near view out of the wide one, enlarged."""
    margin = (1 - NEAR.side_m / AROUND.side_m) / 2 * AROUND.side_px
    box = (margin, margin, AROUND.side_px - margin, AROUND.side_px - margin)
    size = (NEAR.side_px, NEAR.side_px)
    return Image.fromarray(wide.pixels).resize(size, Image.Resampling.BICUBIC, box=box)


def _chip(image: Image.Image, picture: Picture, facts: PackFacts) -> Chip:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, comment=facts.stamp.encode("utf-8"))
    return Chip(buffer.getvalue(), picture.date)
