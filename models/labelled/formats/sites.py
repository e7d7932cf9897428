"""A scene with a table of its sites: CSV, GeoJSON or GeoParquet, in pixels or on the ground."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pyogrio.errors
import shapely

from models.chips import Bools, Floats, Picture, PixelPoints, SiteLabels
from models.labelled.formats.images import RGB, Image, check_inside, numbers, read_csv, read_image
from models.labelled.formats.notes import apply_notes, read_notes
from tiles.errors import DatasetError

CORNERS = [f"{axis}{i}" for i in (1, 2, 3, 4) for axis in "xy"]
VECTOR_SUFFIXES = (".geojson", ".json", ".gpkg")
TABLE_SUFFIXES = (".parquet", ".geoparquet")


def read_scene(
    image: Path,
    table: Path,
    place: str,
    notes: Path | None = None,
    bands: tuple[int, ...] = RGB,
) -> Picture:
    """A scene and its sites.

    A CSV has the centres as `x, y` (pixels) or `lon, lat` (degrees), and may have `trusted` (False
    makes a doubtful place) and the corners `x1, y1 ... x4, y4` (pixels) of a box. A GeoJSON,
    GeoPackage or GeoParquet has points, or polygons of the sites' outlines, whose smallest
    rectangle becomes the box; `trusted` likewise.

    Args:
        image: The raster.
        table: The sites.
        place: Name of the place.
        notes: Corrections; see `formats.notes`.
        bands: One-based numbers of red, green and blue.

    Raises:
        DatasetError: A file is missing, unreadable or lacks a column, or a site lies outside.
    """
    read = read_image(image, bands)
    if table.suffix.lower() in (*VECTOR_SUFFIXES, *TABLE_SUFFIXES):
        sites, trusted = _read_outlines(table, read)
    else:
        sites, trusted = _read_rows(table, read)
    check_inside(sites.col, sites.row, read.pixels.shape, table)
    picture = Picture(
        name=image.name,
        place=place,
        pixels=read.pixels,
        usable=read.usable,
        sites=sites.shifted(0, 0, trusted),
        doubtful=PixelPoints(sites.row, sites.col).shifted(0, 0, ~trusted),
        blind_edge_px=0,
        ground=read.ground,
        middle=read.middle,
    )
    return apply_notes(picture, read_notes(notes)) if notes else picture


def _trusted(frame: pd.DataFrame, path: Path) -> Bools:
    if "trusted" not in frame:
        return np.ones(len(frame), bool)
    text = frame["trusted"].astype(str).str.lower()
    unknown = ~text.isin(["true", "false", "1", "0"])
    if unknown.any():
        raise DatasetError(
            f"{path} says {text[unknown].iloc[0]!r} in the column trusted: write true or false."
        )
    return text.isin(["true", "1"]).to_numpy(bool)


def _read_rows(path: Path, image: Image) -> tuple[SiteLabels, Bools]:
    frame = read_csv(path, ())
    if "x" in frame and "y" in frame:
        x, y = numbers(frame, ("x", "y"), path).T
    elif "lon" in frame and "lat" in frame:
        x, y = image.to_pixels(*numbers(frame, ("lon", "lat"), path).T)
    else:
        raise DatasetError(
            f"{path} has no column 'x' and 'y' (pixels), nor 'lon' and 'lat' (degrees): "
            f"its columns are {list(frame)}."
        )
    boxes = SiteLabels.from_corners(numbers(frame.reindex(columns=CORNERS), CORNERS, path))
    return replace(boxes, row=y, col=x), _trusted(frame, path)


def _read_outlines(path: Path, image: Image) -> tuple[SiteLabels, Bools]:
    frame = _read_vector(path)
    if image.crs is None:
        raise DatasetError(
            f"{image.path} does not say where it lies, so {path} cannot be put on it: use a "
            "GeoTIFF, or a CSV of pixel positions."
        )
    outlines = frame.to_crs(image.crs).affine_transform((~image.transform).to_shapely()).to_numpy()
    centres = shapely.get_coordinates(shapely.centroid(outlines))
    sites = SiteLabels.from_corners(np.stack([rectangle(outline) for outline in outlines]))
    return replace(sites, row=centres[:, 1], col=centres[:, 0]), _trusted(frame, path)


def _read_vector(path: Path) -> geopandas.GeoDataFrame:
    if not path.is_file():
        raise DatasetError(f"There is no table at {path}: check the path and the data folder.")
    try:
        if path.suffix.lower() in TABLE_SUFFIXES:
            frame = geopandas.read_parquet(path)
        else:
            frame = geopandas.read_file(path)
    except (ValueError, OSError, pyogrio.errors.DataSourceError) as error:
        raise DatasetError(
            f"{path} holds no sites that can be read ({error}): check it."
        ) from error
    if frame.crs is None:
        raise DatasetError(f"{path} names no coordinate system: write it with one, EPSG:4326 say.")
    absent = frame.geometry.isna() | frame.geometry.is_empty
    if absent.any() or frame.empty:
        raise DatasetError(
            f"{path} has {int(absent.sum())} of {len(frame)} rows without a geometry, and needs at "
            "least one with: remove the others."
        )
    return frame


def rectangle(shape: shapely.Geometry) -> Floats:
    """Corners (4, 2) of the smallest rectangle around an outline; NaN for what has no area."""
    around = shapely.minimum_rotated_rectangle(shape)
    if around.geom_type != "Polygon" or around.is_empty:
        return np.full((4, 2), np.nan)
    return np.asarray(shapely.get_coordinates(around)[:4])
