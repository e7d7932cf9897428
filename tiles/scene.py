"""One image: where it lies, which of its bands are read, and the grid of pixels it is worked on."""

import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyproj
import rasterio
import shapely
from affine import Affine
from pyproj import Geod
from pyproj.exceptions import CRSError, ProjError
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from tiles.errors import SceneError, UnfitSceneError

WORKING_GSD_M = 10.0  # Sentinel-2's visible bands, which every set of weights so far was trained on
NEARLY_WHOLE = 0.02  # UTM's scale alone moves a pixel's size by a thousandth
AVERAGED_BELOW_M = 7.0  # finer pixels are averaged to 10 m; 7 to 12 m is worked on as it is
HALF_WAY_ROUND_DEG = 180.0  # no scene is that wide; one that seems so crosses the antimeridian
LAST_LATITUDE_DEG = 84.0  # where UTM ends, and within the grid of cells
EDGE_STEPS = 16  # points per edge of a footprint: a UTM edge of 110 km bends by metres in degrees
SENTINEL_BANDS = ("B04", "B03", "B02")  # red, green, blue by their Sentinel-2 names
DATE_IN_NAME = re.compile(r"(?<!\d)(20\d\d)[-_]?(0[1-9]|1[0-2])[-_]?(0[1-9]|[12]\d|3[01])(?!\d)")

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PixelSize:
    """Size of a pixel on the ground, in metres, along the columns (x) and rows (y)."""

    x_m: float
    y_m: float


@dataclass(frozen=True)
class GsdLimits:
    """Ground sample distances in metres at which the sites sought can be found."""

    finest_m: float = 0.3
    coarsest_m: float = 12.0


@dataclass(frozen=True)
class Bands:
    """One-based numbers of the red, green and blue band in the file."""

    red: int = 1
    green: int = 2
    blue: int = 3

    @property
    def indexes(self) -> list[int]:
        """The numbers in the order the network reads them."""
        return [self.red, self.green, self.blue]


@dataclass(frozen=True)
class FileBlock:
    """Shape of the blocks in which the file itself is stored, in native pixels."""

    rows: int
    cols: int


@dataclass(frozen=True)
class Scene:
    """One acquisition on its working grid of pixels.

    `transform` maps (column, row) of the working grid to the CRS; (0, 0) is the outer corner of
    the first pixel, its centre is (0.5, 0.5). `resampled` says that the working grid is coarser
    than the file's own.
    """

    scene_id: str
    path: Path
    crs_wkt: str
    transform: Affine
    rows: int
    cols: int
    bands: Bands
    dtype: str
    nodata: float | None
    date: str | None
    gsd: PixelSize
    file_block: FileBlock
    resampled: bool = False

    def to_lonlat(self, col: npt.ArrayLike, row: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Bring pixel positions (column, row) of the working grid to (longitude, latitude)."""
        x, y = _apply(self.transform, np.asarray(col, float), np.asarray(row, float))
        lon, lat = _transformer(self.crs_wkt, "EPSG:4326").transform(x, y)
        return np.asarray(lon), np.asarray(lat)

    def to_pixel(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Bring longitude, latitude to pixel positions (column, row) of the working grid."""
        return self.from_crs("EPSG:4326", lon, lat)

    def from_crs(
        self, crs: str, x: npt.ArrayLike, y: npt.ArrayLike
    ) -> tuple[FloatArray, FloatArray]:
        """Bring positions in any CRS (x first) to pixel positions (column, row)."""
        own = _transformer(crs, self.crs_wkt).transform(np.asarray(x, float), np.asarray(y, float))
        return _apply(~self.transform, *own)

    @property
    def footprint(self) -> shapely.Polygon:
        """The outline of the whole raster in EPSG:4326, cut finely so that edges follow the CRS."""
        return self.outline(0, 0, self.rows, self.cols)

    def outline(self, row: int, col: int, rows: int, cols: int) -> shapely.Polygon:
        """The outline in EPSG:4326 of a rectangle of pixels given by its first row and column."""
        step = np.linspace(0.0, 1.0, EDGE_STEPS, endpoint=False)
        along = np.concatenate([step, np.ones(EDGE_STEPS), 1 - step, np.zeros(EDGE_STEPS)])
        down = np.concatenate([np.zeros(EDGE_STEPS), step, np.ones(EDGE_STEPS), 1 - step])
        return shapely.Polygon(
            np.column_stack(self.to_lonlat(col + along * cols, row + down * rows))
        )


def _apply(transform: Affine, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    return transform.a * x + transform.b * y + transform.c, (
        transform.d * x + transform.e * y + transform.f
    )


@cache
def _transformer(source: str, target: str) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(source, target, always_xy=True)


def open_scene(path: Path, scene_id: str, limits: GsdLimits, bands: Bands | None = None) -> Scene:
    """Read what is known about an image from its header.

    Args:
        path: a raster that GDAL reads.
        scene_id: its name in every table.
        limits: which ground sample distances can be worked on.
        bands: which bands are red, green and blue; found by their names when None.

    Raises:
        SceneError: no raster, no CRS, too few bands, or pixels too coarse.
    """
    try:
        with rasterio.open(path) as dataset:
            scene = _describe(dataset, path, scene_id, limits, bands)
            _check_place(scene)
            return scene
    except RasterioError as error:
        raise SceneError(f"{path} is no raster that can be opened: check the file.") from error
    except (CRSError, ProjError) as error:
        raise SceneError(
            f"{path} has a coordinate system that cannot be brought to longitude and latitude: "
            "georeference it anew."
        ) from error


def _describe(
    dataset: DatasetReader, path: Path, scene_id: str, limits: GsdLimits, bands: Bands | None
) -> Scene:
    if dataset.crs is None:
        raise SceneError(f"{path} has no coordinate system: georeference it first.")
    native = pixel_size(dataset)
    if min(native.x_m, native.y_m) < limits.finest_m:
        raise UnfitSceneError(
            f"{path} has pixels of {min(native.x_m, native.y_m):.2g} m, finer than the "
            f"{limits.finest_m:g} m that were tried: average them first."
        )
    if max(native.x_m, native.y_m) > limits.coarsest_m:
        raise UnfitSceneError(
            f"{path} has pixels of {max(native.x_m, native.y_m):.0f} m, too coarse to show the "
            f"sites sought: use imagery of {limits.coarsest_m:.0f} m or finer."
        )
    chosen = bands or _find_bands(dataset, path)
    if max(chosen.indexes) > dataset.count:
        raise SceneError(
            f"{path} has {dataset.count} bands, not {max(chosen.indexes)}: set --bands."
        )
    if dataset.dtypes[chosen.red - 1].startswith("complex"):
        raise SceneError(f"{path} holds complex numbers: use a true-colour image.")
    fine = min(native.x_m, native.y_m) < AVERAGED_BELOW_M
    across = _averaging_factor(native.x_m) if fine else 1.0
    down = _averaging_factor(native.y_m) if fine else 1.0
    block_rows, block_cols = dataset.block_shapes[0]
    return Scene(
        scene_id=scene_id,
        path=path,
        crs_wkt=dataset.crs.to_wkt(),
        transform=dataset.transform @ Affine.scale(across, down),
        rows=math.ceil(dataset.height / down),
        cols=math.ceil(dataset.width / across),
        bands=chosen,
        dtype=dataset.dtypes[chosen.red - 1],
        nodata=dataset.nodata,
        date=_date(dataset, path),
        gsd=PixelSize(native.x_m * across, native.y_m * down),
        file_block=FileBlock(block_rows, block_cols),
        resampled=fine,
    )


def _averaging_factor(native_m: float) -> float:
    """File pixels a working pixel: whole where that is nearly 10 m, so that none is cut in two."""
    factor = WORKING_GSD_M / native_m
    return float(round(factor)) if abs(factor - round(factor)) < NEARLY_WHOLE * factor else factor


def pixel_size(dataset: DatasetReader) -> PixelSize:
    """Measure a pixel in the middle of an open raster on the ellipsoid, whatever the projection."""
    col, row = dataset.width / 2, dataset.height / 2
    corner = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])
    x, y = _apply(dataset.transform, col + corner[0], row + corner[1])
    lon, lat = _transformer(dataset.crs.to_wkt(), "EPSG:4326").transform(x, y)
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        raise SceneError(f"{dataset.name} lies nowhere on the globe: georeference it anew.")
    _, _, metres = Geod(ellps="WGS84").inv([lon[0]] * 2, [lat[0]] * 2, lon[1:], lat[1:])
    return PixelSize(float(metres[0]), float(metres[1]))


def _check_place(scene: Scene) -> None:
    """Refuse what the grid of cells cannot hold.

    Raises:
        SceneError: the outline crosses the antimeridian, reaches a pole, or is no place at all.
    """
    footprint = scene.footprint
    west, south, east, north = footprint.bounds
    if not math.isfinite(west + south + east + north):
        raise SceneError(f"{scene.path} lies nowhere on the globe: georeference it anew.")
    if east - west > HALF_WAY_ROUND_DEG:
        raise SceneError(f"{scene.path} crosses the antimeridian: cut it in two at 180 degrees.")
    if max(abs(south), abs(north)) > LAST_LATITUDE_DEG:
        raise SceneError(f"{scene.path} lies beyond {LAST_LATITUDE_DEG:.0f} degrees of latitude.")
    if not footprint.is_valid or footprint.area == 0:
        raise SceneError(f"{scene.path} has an outline that crosses itself: georeference it anew.")


def _find_bands(dataset: DatasetReader, path: Path) -> Bands:
    """Find red, green and blue by Sentinel-2 band names, by colour, or as the first three."""
    names = [str(name or "").upper() for name in dataset.descriptions]
    if all(band in names for band in SENTINEL_BANDS):
        return Bands(*(names.index(band) + 1 for band in SENTINEL_BANDS))
    colours = list(dataset.colorinterp)
    wanted = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    if all(colour in colours for colour in wanted):
        return Bands(*(colours.index(colour) + 1 for colour in wanted))
    if dataset.count < 3:
        raise SceneError(
            f"{path} has {dataset.count} band(s): red, green and blue are needed, so use a "
            "true-colour image."
        )
    if dataset.count > 4:
        raise SceneError(
            f"{path} has {dataset.count} unnamed bands: say which are red, green and blue with "
            "--bands, e.g. --bands 4,3,2."
        )
    return Bands()


def _date(dataset: DatasetReader, path: Path) -> str | None:
    """The day of acquisition (ISO) from the file's name, else from the TIFF's own tag.

    The name goes first: a GIS that exports a scene puts the day of the export into the tag.
    """
    stamp = str(dataset.tags().get("TIFFTAG_DATETIME", ""))[:10].replace(":", "-")
    found = DATE_IN_NAME.search(path.stem) or DATE_IN_NAME.search(stamp)
    return "-".join(found.groups()) if found else None
