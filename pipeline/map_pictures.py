"""The survey's own imagery under the map: coarse, so that it shows land and no single site."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from maps.map_page import MapPicture
from tiles.pictures import Picture, Place, View, cut_picture, metres_per_degree
from tiles.scene import Scene

LEAST_M_PER_PX = 100.0  # a kiln of 100 x 45 m is under a pixel
MOST_PX = 700  # of a picture's side: about 60 kB
MOST_PICTURES = 8  # half a megabyte; a survey of more scenes shows the first
QUALITY = 60  # of WebP: land in the background needs no more


def survey_pictures(scenes: Sequence[Scene]) -> tuple[MapPicture, ...]:
    """Return a coarse picture of each scene; of many scenes, of the first by name.

    A picture's rows are even in latitude where the map's are even in Mercator's: over a scene of
    100 km the two differ by 150 m in the middle, about a pixel.
    """
    ordered = sorted(scenes, key=lambda scene: scene.scene_id)[:MOST_PICTURES]
    found = (_picture(scene) for scene in ordered)
    return tuple(picture for picture in found if picture is not None)


def _picture(scene: Scene) -> MapPicture | None:
    west, south, east, north = scene.footprint.bounds
    lon, lat = (west + east) / 2, (south + north) / 2
    metres = metres_per_degree(lat)
    side_m = max((east - west) * metres.lon, (north - south) * metres.lat)
    side_px = min(MOST_PX, int(side_m / LEAST_M_PER_PX))
    if side_px < 1:
        return None
    cut = cut_picture([scene], Place(lon, lat), View(side_m, side_px))
    return None if cut is None else _cropped(cut, (west, east), (north, south))


def _cropped(cut: Picture, lon: tuple[float, float], lat: tuple[float, float]) -> MapPicture:
    """Leave away what lies beside the scene, which would hide the scenes next to it."""
    x, y = cut.grid.to_px(np.array(lon), np.array(lat))
    left, top = int(np.floor(x[0])), int(np.floor(y[0]))
    right, bottom = int(np.ceil(x[1])), int(np.ceil(y[1]))
    side = cut.grid.view.side_px
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, side), min(bottom, side)
    ends = cut.grid.to_lonlat(np.array([left, right]), np.array([top, bottom]))
    webp = _webp(cut.pixels[top:bottom, left:right])
    (west, east), (north, south) = (tuple(map(float, end)) for end in ends)
    return MapPicture(webp, west, south, east, north)


def _webp(pixels: npt.NDArray[np.uint8]) -> bytes:
    held = BytesIO()
    Image.fromarray(pixels).save(held, "WEBP", quality=QUALITY, method=4)
    return held.getvalue()
