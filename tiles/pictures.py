"""Pictures of places for people: north up, a square of metres, cut from the scenes of a survey."""

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from PIL import Image
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from tiles.errors import ConfigError, SceneError
from tiles.remote import open_raster
from tiles.scene import Scene

EQUATORIAL_M, FLATTENING = 6378137.0, 1 / 298.257223563  # the ellipsoid of WGS 84
SQUARED_ECCENTRICITY = FLATTENING * (2 - FLATTENING)
STRETCH_PERCENT = (0.5, 99.5)  # a kiln's chimney shadow and its bright bricks are few pixels
SAMPLE_WINDOWS = 5  # by 5 of them over a scene tell its darkest and brightest ground
SAMPLE_PX = 128  # a side of such a window: a quarter of a million pixels in all
FAR_PX = 2.5  # a cubic kernel looks two pixels beyond the edge of a picture
LEAST_SEEN = 0.2  # of the picture: less than a place in a scene's corner shows, a quarter
EMPTY_GREY = 128  # where the scene has no pixel: neither the black of water nor white of a roof
WEBP_QUALITY = 80  # no artefact that an eye finds at 10 m; a quarter of a PNG's bytes
WEBP_METHOD = 2  # of 0 to 6: twice as fast as the default for a twentieth more bytes

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class View:
    """How much ground a picture shows, and in how many pixels.

    Attributes:
        side_m: length of a side on the ground, metres.
        side_px: length of a side, pixels; finer than the scene's own pixels is interpolated.
    """

    side_m: float
    side_px: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.side_m) and self.side_m > 0 and self.side_px > 0):
            raise ConfigError(
                f"a picture of {self.side_m} m in {self.side_px} pixels cannot be cut: give "
                "lengths above 0."
            )


@dataclass(frozen=True)
class Place:
    """What a picture is centred on; `box` is an outline in EPSG:4326, if it has one."""

    lon: float
    lat: float
    box: shapely.Polygon | None = None


@dataclass(frozen=True)
class PerDegree:
    """How much a degree of longitude, and one of latitude, spans."""

    lon: float
    lat: float


def metres_per_degree(lat: float) -> PerDegree:
    """Metres a degree at a latitude, from the ellipsoid's radii (Snyder, USGS PP 1395, 4-18)."""
    sine = math.sin(math.radians(lat))
    across = EQUATORIAL_M / math.sqrt(1 - SQUARED_ECCENTRICITY * sine**2)
    along = across * (1 - SQUARED_ECCENTRICITY) / (1 - SQUARED_ECCENTRICITY * sine**2)
    return PerDegree(math.radians(across * math.cos(math.radians(lat))), math.radians(along))


@dataclass(frozen=True)
class PictureGrid:
    """The pixels of a picture on the ground: a plane that touches the ellipsoid at its middle.

    Over the few kilometres of a picture the plane is right to a thousandth of a pixel. (0, 0) is
    the outer corner of the north-western pixel, x runs to the east and y to the south.
    """

    lon: float
    lat: float
    view: View

    @property
    def m_per_px(self) -> float:
        """Metres of a picture's pixel."""
        return self.view.side_m / self.view.side_px

    @property
    def px_per_degree(self) -> PerDegree:
        """Pixels a degree."""
        metres = metres_per_degree(self.lat)
        return PerDegree(metres.lon / self.m_per_px, metres.lat / self.m_per_px)

    def to_px(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Bring longitude, latitude to (x, y) of the picture, pixels."""
        scale = self.px_per_degree
        middle = self.view.side_px / 2
        east, north = np.asarray(lon, float) - self.lon, np.asarray(lat, float) - self.lat
        return middle + east * scale.lon, middle - north * scale.lat

    def to_lonlat(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Bring (x, y) of the picture to longitude, latitude."""
        scale = self.px_per_degree
        middle = self.view.side_px / 2
        east, south = np.asarray(x, float) - middle, np.asarray(y, float) - middle
        return self.lon + east / scale.lon, self.lat - south / scale.lat


@dataclass(frozen=True)
class Picture:
    """One place in one scene.

    Attributes:
        scene_id: the scene it was cut from.
        date: the scene's day (ISO), if known.
        grid: where its pixels lie.
        pixels: (y, x, 3) uint8, red, green, blue, stretched; no box is drawn into them.
        box_px: corners of the place's box, (n, 2) as x, y in pixels of the picture; None without.
    """

    scene_id: str
    date: str | None
    grid: PictureGrid
    pixels: Bytes
    box_px: Floats | None

    def webp(self) -> bytes:
        """The picture as WebP; the same pixels give the same bytes with one version of Pillow."""
        return _encoded(self.pixels, "WEBP", quality=WEBP_QUALITY, method=WEBP_METHOD)

    def png(self) -> bytes:
        """The picture as PNG, without loss."""
        return _encoded(self.pixels, "PNG", optimize=True)


@dataclass(frozen=True)
class Stretch:
    """Values of a scene shown as black and as white, for red, green, blue."""

    black: Floats
    white: Floats

    def apply(self, pixels: npt.NDArray[np.generic]) -> Bytes:
        """(band, y, x) of the file's type -> (y, x, band) uint8."""
        span = np.maximum(self.white - self.black, 1e-9)[:, None, None]
        shown = (pixels.astype(np.float64) - self.black[:, None, None]) / span
        return np.moveaxis(np.clip(shown * 255 + 0.5, 0, 255).astype(np.uint8), 0, -1)


def cut_pictures(
    scenes: Sequence[Scene], places: Sequence[Place], view: View, dates: int = 1
) -> list[tuple[Picture, ...]]:
    """Cut pictures of places, each scene opened once, its places in the order of its rows.

    Contrast: a scene's own 0.5 and 99.5 percentiles, band by band, of 25 windows spread over it;
    so all pictures of a scene compare, and its haze is taken off. Ground without a usable pixel is
    grey.

    Args:
        scenes: what there is to cut from.
        places: in any order.
        view: ground and pixels of every picture.
        dates: at most so many pictures a place, of as many scenes.

    Returns:
        Pictures of each place, latest scene first (undated ones last, then by scene_id); none for
        a place that no scene shows at its middle and in a fifth of the picture.
    """
    found: list[list[Picture]] = [[] for _ in places]
    newest = sorted(scenes, key=lambda scene: scene.scene_id)
    newest.sort(key=lambda scene: scene.date or "", reverse=True)
    for scene in newest:
        wanted = [number for number, pictures in enumerate(found) if len(pictures) < dates]
        for number, picture in _cut_from(scene, places, wanted, view):
            found[number].append(picture)
    return [tuple(pictures) for pictures in found]


def cut_picture(scenes: Sequence[Scene], place: Place, view: View) -> Picture | None:
    """The latest picture of one place, or None where no scene shows it."""
    pictures = cut_pictures(scenes, [place], view)[0]
    return pictures[0] if pictures else None


@dataclass(frozen=True)
class _Files:
    """The one, two or three open files that hold a scene's red, green and blue, on one grid."""

    parts: tuple[tuple[DatasetReader, list[int]], ...]

    @property
    def first(self) -> DatasetReader:
        """The file that holds red; the others have its grid."""
        return self.parts[0][0]

    def read(self, window: Window, rows: int, cols: int) -> tuple[npt.NDArray[np.generic], Bools]:
        """Values (band, y, x) and where all are valid (y, x), averaged to so many rows, columns."""
        values, valid = [], np.ones((rows, cols), dtype=np.bool_)
        for dataset, indexes in self.parts:
            shape = (len(indexes), rows, cols)
            how = {"window": window, "out_shape": shape, "resampling": Resampling.average}
            values.append(dataset.read(indexes, **how))
            valid &= dataset.read_masks(indexes, **how).all(axis=0)
        return np.concatenate(values), valid


@contextmanager
def _opened(scene: Scene) -> Iterator[_Files]:
    with ExitStack() as stack:
        parts = [
            (stack.enter_context(open_raster(href, scene.access)), [band.index for band in bands])
            for href, bands in groupby(scene.colours, key=lambda band: band.href)
        ]
        yield _Files(tuple(parts))


def _cut_from(
    scene: Scene, places: Sequence[Place], wanted: Sequence[int], view: View
) -> Iterator[tuple[int, Picture]]:
    """Pictures of the places that lie in a scene; a part of a file that cannot be read has none."""
    if not wanted:
        return
    col, row = scene.to_pixel(
        [places[number].lon for number in wanted], [places[number].lat for number in wanted]
    )
    inside = (col >= 0) & (row >= 0) & (col < scene.cols) & (row < scene.rows)
    if not inside.any():
        return
    try:
        with _opened(scene) as files:
            stretch = _stretch(files)
            # along the file's own rows of blocks, so that a decoded block is used while it is held
            down = (row // scene.file_block.rows)[inside]
            for at in np.flatnonzero(inside)[np.lexsort((col[inside], down))]:
                picture = _cut(files, scene, places[wanted[at]], view, stretch)
                if picture is not None:
                    yield wanted[at], picture
    except (RasterioError, SceneError):
        return


def _cut(files: _Files, scene: Scene, place: Place, view: View, stretch: Stretch) -> Picture | None:
    grid = PictureGrid(place.lon, place.lat, view)
    pixels = _warped(files, scene, grid, stretch)
    if pixels is None:
        return None
    box = None
    if place.box is not None:
        corners = shapely.get_coordinates(place.box)[:-1]
        box = np.column_stack(grid.to_px(corners[:, 0], corners[:, 1]))
    return Picture(scene.scene_id, scene.date, grid, pixels, box)


def _warped(files: _Files, scene: Scene, grid: PictureGrid, stretch: Stretch) -> Bytes | None:
    """(y, x, 3) of a picture, or None where the scene does not show its middle."""
    to_file = _to_file(files.first, scene, grid)
    try:
        window, factor = _window(files.first, to_file, grid.view)
        shape = math.ceil(window.height / factor), math.ceil(window.width / factor)
        values, valid = files.read(window, *shape)
    except (RasterioError, ValueError):
        return None
    onto = (
        Affine.scale(shape[1] / window.width, shape[0] / window.height)
        @ Affine.translation(-window.col_off, -window.row_off)
        @ to_file
    )
    shown = _transformed(Image.fromarray(stretch.apply(values)), onto, grid.view, smooth=True)
    seen = _transformed(Image.fromarray(valid.astype(np.uint8)), onto, grid.view, smooth=False) > 0
    middle = grid.view.side_px // 2
    if not seen[middle, middle] or seen.mean() < LEAST_SEEN:
        return None
    shown[~seen] = EMPTY_GREY
    return shown


def _to_file(dataset: DatasetReader, scene: Scene, grid: PictureGrid) -> Affine:
    """The map from (x, y) of the picture to (column, row) of the file, from three of its points."""
    side = float(grid.view.side_px)
    x, y = np.array([0.0, side, 0.0]), np.array([0.0, 0.0, side])
    col, row = scene.to_pixel(*grid.to_lonlat(x, y))
    across = scene.transform.a / dataset.transform.a if scene.resampled else 1.0
    down = scene.transform.e / dataset.transform.e if scene.resampled else 1.0
    col, row = col * across, row * down
    return Affine(
        (col[1] - col[0]) / side,
        (col[2] - col[0]) / side,
        col[0],
        (row[1] - row[0]) / side,
        (row[2] - row[0]) / side,
        row[0],
    )


def _window(dataset: DatasetReader, to_file: Affine, view: View) -> tuple[Window, float]:
    """The part of the file that a picture needs, and how many file pixels are averaged to one."""
    side = float(view.side_px)
    corners = [to_file @ corner for corner in ((0.0, 0.0), (side, 0.0), (0.0, side), (side, side))]
    cols, rows = zip(*corners, strict=True)
    scale = math.sqrt(abs(to_file.determinant))  # file pixels a pixel of the picture
    factor = max(1.0, scale)
    margin = FAR_PX * factor
    left, top = max(math.floor(min(cols) - margin), 0), max(math.floor(min(rows) - margin), 0)
    right = min(math.ceil(max(cols) + margin), dataset.width)
    bottom = min(math.ceil(max(rows) + margin), dataset.height)
    if right <= left or bottom <= top:
        raise ValueError("the picture lies outside the file")
    return Window(left, top, right - left, bottom - top), factor


def _transformed(image: Image.Image, onto: Affine, view: View, smooth: bool) -> Bytes:
    how = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    size = (view.side_px, view.side_px)
    turned = image.transform(size, Image.Transform.AFFINE, data=onto[:6], resample=how)
    return np.array(turned, dtype=np.uint8)


def _stretch(files: _Files) -> Stretch:
    samples = []
    rows, cols = files.first.height, files.first.width
    high, wide = min(SAMPLE_PX, rows), min(SAMPLE_PX, cols)
    for row in np.linspace(0, rows - high, SAMPLE_WINDOWS).astype(int):
        for col in np.linspace(0, cols - wide, SAMPLE_WINDOWS).astype(int):
            values, valid = files.read(Window(int(col), int(row), wide, high), high, wide)
            samples.append(values[:, valid])
    sample = np.concatenate(samples, axis=1)
    if sample.shape[1] == 0:
        return Stretch(np.zeros(3), np.full(3, 255.0))
    black, white = np.percentile(sample, STRETCH_PERCENT, axis=1)
    return Stretch(black, white)


def _encoded(pixels: Bytes, how: str, **settings: int | bool) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=how, **settings)
    return buffer.getvalue()
