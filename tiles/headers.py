"""What the header of a raster says: size of a pixel, which bands are which, day, number type."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyproj
import shapely
from affine import Affine
from pyproj import Geod
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader

from tiles.access import Access
from tiles.errors import SceneError, UnfitSceneError
from tiles.radiometry import MaskSource
from tiles.sensors import SourceFacts

WORKING_GSD_M = 10.0  # Sentinel-2's visible bands, which every set of weights so far was trained on
NEARLY_WHOLE = 0.02  # UTM's scale alone moves a pixel's size by a thousandth
AVERAGED_BELOW_M = 7.0  # finer pixels are averaged to 10 m; 7 to 12 m is worked on as it is
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
class BandFile:
    """Where a band is stored: a path, a GDAL path or an unsigned address, and its number there."""

    href: str
    index: int = 1


@dataclass(frozen=True)
class SceneSource:
    """Where a scene is and what its product or catalogue says of it, before a file is opened.

    Attributes:
        scene_id: its name in every table.
        files: one address that holds all colours, or three with red, green and blue.
        name: how to call it in messages.
        text: names in which a product's kind and processing may stand.
        mask: its classification of pixels.
        date: day of acquisition, ISO 8601; looked for in name and tags when None.
        platform: the satellite, as the catalogue writes it.
        cloud_percent: share of its pixels under cloud, as the catalogue says.
        collection: STAC collection it is from.
        baseline: Sentinel-2 processing baseline, such as 05.10.
        offset_applied: whether the catalogue says that the offset is already in the numbers.
        tags: metadata of the product.
        ground: where the catalogue says it lies (EPSG:4326).
        access: how to get at addresses.
    """

    scene_id: str
    files: tuple[str, ...]
    name: str
    text: str = ""
    mask: MaskSource | None = None
    date: str | None = None
    platform: str | None = None
    cloud_percent: float | None = None
    collection: str = ""
    baseline: str | None = None
    offset_applied: bool | None = None
    tags: dict[str, str] = field(default_factory=dict)
    ground: shapely.Polygon | None = None
    access: Access | None = None


def apply_affine(transform: Affine, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Bring positions (x, y) through an affine map, vectorised."""
    return transform.a * x + transform.b * y + transform.c, (
        transform.d * x + transform.e * y + transform.f
    )


@cache
def transformer(source: str, target: str) -> pyproj.Transformer:
    """A transformer between two CRS, x (longitude) first; made once."""
    return pyproj.Transformer.from_crs(source, target, always_xy=True)


def container_of(name: str) -> Path:
    """The file on disk behind a name that GDAL gives: the archive where it lies in one."""
    prefix, archive, inside = name.partition(".zip/")
    return Path(prefix.removeprefix("/vsizip/") + ".zip") if archive and inside else Path(name)


def source_facts(
    opened: Sequence[DatasetReader], source: SceneSource, bands: Bands, dtype: str, date: str | None
) -> SourceFacts:
    """All that bears on what the numbers mean."""
    colours = list(opened) * 3 if len(opened) == 1 else opened
    pairs = list(zip(colours, bands.indexes, strict=True))
    scales = tuple(float(dataset.scales[index - 1]) for dataset, index in pairs)
    offsets = tuple(float(dataset.offsets[index - 1]) for dataset, index in pairs)
    said = scales != (1.0, 1.0, 1.0) or offsets != (0.0, 0.0, 0.0)
    return SourceFacts(
        where=source.name,
        dtype=dtype,
        text=source.text or source.files[0],
        tags=opened[0].tags() | source.tags,
        date=date,
        scales=(scales[0], scales[1], scales[2]) if said else None,
        offsets=(offsets[0], offsets[1], offsets[2]) if said else None,
        collection=source.collection,
        baseline=source.baseline,
        offset_applied=source.offset_applied,
    )


def check_alike(opened: Sequence[DatasetReader], source: SceneSource) -> None:
    """Refuse bands that do not lie on one grid of pixels.

    Raises:
        SceneError: they do not, or have no coordinate system.
    """
    first = opened[0]
    if first.crs is None:
        raise SceneError(f"{source.name} has no coordinate system: georeference it first.")
    for href, dataset in zip(source.files[1:], opened[1:], strict=True):
        same = (dataset.crs, dataset.transform, dataset.shape, dataset.dtypes[0]) == (
            *(first.crs, first.transform, first.shape, first.dtypes[0]),
        )
        if not same:
            raise SceneError(
                f"{href} has another size, place or number type than {source.files[0]}: bands of "
                "one scene must lie on one grid."
            )


def checked_size(dataset: DatasetReader, limits: GsdLimits, name: str) -> PixelSize:
    """Measure a pixel, and refuse sizes that cannot be worked on.

    Raises:
        UnfitSceneError: too fine or too coarse.
    """
    native = pixel_size(dataset)
    if min(native.x_m, native.y_m) < limits.finest_m:
        raise UnfitSceneError(
            f"{name} has pixels of {min(native.x_m, native.y_m):.2g} m, finer than the "
            f"{limits.finest_m:g} m that were tried: average them first."
        )
    if max(native.x_m, native.y_m) > limits.coarsest_m:
        raise UnfitSceneError(
            f"{name} has pixels of {max(native.x_m, native.y_m):.0f} m, too coarse to show the "
            f"sites sought: use imagery of {limits.coarsest_m:.0f} m or finer."
        )
    return native


def choose_bands(opened: Sequence[DatasetReader], bands: Bands | None, name: str) -> Bands:
    """Numbers of the colours, each in its own file where there are three.

    Raises:
        SceneError: they cannot be told, are too few, or hold complex numbers.
    """
    if len(opened) > 1:
        return Bands(1, 1, 1)
    dataset = opened[0]
    chosen = bands or _find_bands(dataset, name)
    if max(chosen.indexes) > dataset.count:
        raise SceneError(
            f"{name} has {dataset.count} bands, not {max(chosen.indexes)}: set --bands."
        )
    if dataset.dtypes[chosen.red - 1].startswith("complex"):
        raise SceneError(f"{name} holds complex numbers: use a true-colour image.")
    return chosen


def averaging_factor(native_m: float) -> float:
    """File pixels a working pixel: whole where that is nearly 10 m, so that none is cut in two."""
    factor = WORKING_GSD_M / native_m
    return float(round(factor)) if abs(factor - round(factor)) < NEARLY_WHOLE * factor else factor


def pixel_size(dataset: DatasetReader) -> PixelSize:
    """Measure a pixel in the middle of an open raster on the ellipsoid, whatever the projection."""
    col, row = dataset.width / 2, dataset.height / 2
    corner = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])
    x, y = apply_affine(dataset.transform, col + corner[0], row + corner[1])
    lon, lat = transformer(dataset.crs.to_wkt(), "EPSG:4326").transform(x, y)
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        raise SceneError(f"{dataset.name} lies nowhere on the globe: georeference it anew.")
    _, _, metres = Geod(ellps="WGS84").inv([lon[0]] * 2, [lat[0]] * 2, lon[1:], lat[1:])
    return PixelSize(float(metres[0]), float(metres[1]))


def _find_bands(dataset: DatasetReader, where: str) -> Bands:
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
            f"{where} has {dataset.count} band(s): red, green and blue are needed, so use a "
            "true-colour image."
        )
    if dataset.count > 4:
        raise SceneError(
            f"{where} has {dataset.count} unnamed bands: say which are red, green and blue with "
            "--bands, e.g. --bands 4,3,2."
        )
    return Bands()


def date_of(dataset: DatasetReader, source: SceneSource) -> str | None:
    """The day of acquisition (ISO) from the file's name, else from the TIFF's own tag.

    The name goes first: a GIS that exports a scene puts the day of the export into the tag.
    """
    stamp = str(dataset.tags().get("TIFFTAG_DATETIME", ""))[:10].replace(":", "-")
    found = DATE_IN_NAME.search(Path(source.files[0]).stem) or DATE_IN_NAME.search(stamp)
    return "-".join(found.groups()) if found else None
