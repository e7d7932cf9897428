"""One image: where it lies, which of its bands are read, and the grid of pixels it is worked on."""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from pyproj.exceptions import CRSError, ProjError
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from tiles.access import Access, is_url
from tiles.errors import SceneError
from tiles.headers import (
    AVERAGED_BELOW_M,
    FloatArray,
    apply_affine,
    averaging_factor,
    check_alike,
    checked_size,
    choose_bands,
    container_of,
    date_of,
    source_facts,
    transformer,
)
from tiles.headers import BandFile as BandFile
from tiles.headers import Bands as Bands
from tiles.headers import FileBlock as FileBlock
from tiles.headers import GsdLimits as GsdLimits
from tiles.headers import PixelSize as PixelSize
from tiles.headers import SceneSource as SceneSource
from tiles.radiometry import MaskSource, Radiometry
from tiles.remote import fingerprint_of, open_raster
from tiles.sensors import SensorProfile, radiometry_of

HALF_WAY_ROUND_DEG = 180.0  # no scene is that wide; one that seems so crosses the antimeridian
LAST_LATITUDE_DEG = 84.0  # where UTM ends, and within the grid of cells
EDGE_STEPS = 16  # points per edge of a footprint: a UTM edge of 110 km bends by metres in degrees


@dataclass(frozen=True)
class Scene:
    """One acquisition on its working grid of pixels.

    `transform` maps (column, row) of the working grid to the CRS; (0, 0) is the outer corner of
    the first pixel, its centre is (0.5, 0.5). `resampled` says that the working grid is coarser
    than the file's own. `path` is the file that holds all colours, or the first of `files`; where
    to read is for `colours` to say, for files may lie in an archive or on a server. `better` are
    overlapping scenes that it gives way to where they are clear (see `tiles.mosaic`).
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
    files: tuple[BandFile, ...] = ()
    radiometry: Radiometry | None = None
    mask: MaskSource | None = None
    platform: str | None = None
    cloud_percent: float | None = None
    access: Access | None = None
    fingerprint: str | None = None
    better: tuple["Scene", ...] = ()

    @property
    def colours(self) -> tuple[BandFile, ...]:
        """Where red, green and blue are stored, in this order."""
        return self.files or tuple(BandFile(str(self.path), index) for index in self.bands.indexes)

    @property
    def is_remote(self) -> bool:
        """Whether any of its bytes come from a server, or from what was kept of one."""
        return any(is_url(band.href) for band in self.colours)

    def local_files(self) -> tuple[Path, ...]:
        """Every file here that the scene is read from: bands, mask, sources of a VRT, sidecars."""
        hrefs = {band.href for band in self.colours} | ({self.mask.href} if self.mask else set())
        found: set[Path] = set()
        for href in hrefs:
            if not is_url(href):
                with open_raster(href) as dataset:
                    found |= {container_of(name) for name in dataset.files}
        return tuple(sorted(found))

    def to_lonlat(self, col: npt.ArrayLike, row: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Bring pixel positions (column, row) of the working grid to (longitude, latitude)."""
        x, y = apply_affine(self.transform, np.asarray(col, float), np.asarray(row, float))
        lon, lat = transformer(self.crs_wkt, "EPSG:4326").transform(x, y)
        return np.asarray(lon), np.asarray(lat)

    def to_pixel(self, lon: npt.ArrayLike, lat: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Bring longitude, latitude to pixel positions (column, row) of the working grid."""
        return self.from_crs("EPSG:4326", lon, lat)

    def from_crs(
        self, crs: str, x: npt.ArrayLike, y: npt.ArrayLike
    ) -> tuple[FloatArray, FloatArray]:
        """Bring positions in any CRS (x first) to pixel positions (column, row)."""
        own = transformer(crs, self.crs_wkt).transform(np.asarray(x, float), np.asarray(y, float))
        return apply_affine(~self.transform, *own)

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
    return open_source(SceneSource(scene_id, (str(path),), str(path)), limits, bands)


def open_source(
    source: SceneSource,
    limits: GsdLimits,
    bands: Bands | None = None,
    sensor: SensorProfile | None = None,
) -> Scene:
    """Read what is known about a scene from the headers of its files.

    Args:
        source: where it is, and what its product or catalogue says.
        limits: which ground sample distances can be worked on.
        bands: which bands of a single file are red, green and blue; found by their names when None.
        sensor: what the numbers mean; found by the product's name or the catalogue when None.

    Raises:
        SceneError: a file is missing or no raster, has no CRS, too few bands or pixels too coarse;
            files do not fit together; or they lie elsewhere than the catalogue says.
    """
    try:
        with ExitStack() as stack:
            opened = [
                stack.enter_context(open_raster(href, source.access)) for href in source.files
            ]
            scene = _describe(opened, source, limits, bands, sensor)
        _check_place(scene, source)
        return scene
    except RasterioError as error:
        raise SceneError(
            f"{source.name} is no raster that can be opened: check the file."
        ) from error
    except (CRSError, ProjError) as error:
        raise SceneError(
            f"{source.name} has a coordinate system that cannot be brought to longitude and "
            "latitude: georeference it anew."
        ) from error


def _describe(
    opened: Sequence[DatasetReader],
    source: SceneSource,
    limits: GsdLimits,
    bands: Bands | None,
    sensor: SensorProfile | None,
) -> Scene:
    first = opened[0]
    check_alike(opened, source)
    native = checked_size(first, limits, source.name)
    chosen = choose_bands(opened, bands, source.name)
    dtype = first.dtypes[chosen.red - 1]
    fine = min(native.x_m, native.y_m) < AVERAGED_BELOW_M
    across = averaging_factor(native.x_m) if fine else 1.0
    down = averaging_factor(native.y_m) if fine else 1.0
    block_rows, block_cols = first.block_shapes[0]
    date = source.date or date_of(first, source)
    return Scene(
        scene_id=source.scene_id,
        path=container_of(source.files[0]),
        crs_wkt=first.crs.to_wkt(),
        transform=first.transform @ Affine.scale(across, down),
        rows=math.ceil(first.height / down),
        cols=math.ceil(first.width / across),
        bands=chosen,
        dtype=dtype,
        nodata=first.nodata,
        date=date,
        gsd=PixelSize(native.x_m * across, native.y_m * down),
        file_block=FileBlock(block_rows, block_cols),
        resampled=fine,
        files=_band_files(source.files, chosen),
        radiometry=radiometry_of(source_facts(opened, source, chosen, dtype, date), sensor),
        mask=source.mask,
        platform=source.platform,
        cloud_percent=source.cloud_percent,
        access=source.access,
        fingerprint=fingerprint_of([*source.files, *_mask_hrefs(source)], source.access),
    )


def _mask_hrefs(source: SceneSource) -> list[str]:
    return [source.mask.href] if source.mask else []


def _band_files(hrefs: Sequence[str], bands: Bands) -> tuple[BandFile, ...]:
    """Where each colour lies; nothing where the scene's own path says it all."""
    if len(hrefs) == 1:
        plain = str(container_of(hrefs[0])) == hrefs[0]
        return () if plain else tuple(BandFile(hrefs[0], index) for index in bands.indexes)
    return tuple(BandFile(href, index) for href, index in zip(hrefs, bands.indexes, strict=True))


def _check_place(scene: Scene, source: SceneSource) -> None:
    """Refuse what the grid of cells cannot hold, and what lies elsewhere than its catalogue says.

    Raises:
        SceneError: the outline crosses the antimeridian, reaches a pole, is no place at all, or
            does not touch the ground that the catalogue names.
    """
    footprint, name = scene.footprint, source.name
    west, south, east, north = footprint.bounds
    if not math.isfinite(west + south + east + north):
        raise SceneError(f"{name} lies nowhere on the globe: georeference it anew.")
    if east - west > HALF_WAY_ROUND_DEG:
        raise SceneError(f"{name} crosses the antimeridian: cut it in two at 180 degrees.")
    if max(abs(south), abs(north)) > LAST_LATITUDE_DEG:
        raise SceneError(f"{name} lies beyond {LAST_LATITUDE_DEG:.0f} degrees of latitude.")
    if not footprint.is_valid or footprint.area == 0:
        raise SceneError(f"{name} has an outline that crosses itself: georeference it anew.")
    if source.ground is not None and not source.ground.intersects(footprint):
        lon, lat = footprint.centroid.x, footprint.centroid.y
        raise SceneError(
            f"{name} lies around {lat:.2f} N, {lon:.2f} E by its file and elsewhere by its "
            "catalogue: one of them is wrong, so it is left out."
        )
