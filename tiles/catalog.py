"""Which scenes there are: files, folders and globs of rasters, and what is wrong with the rest."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob
from itertools import count
from pathlib import Path

import rasterio
import shapely
from rasterio.errors import CRSError, RasterioError
from rasterio.warp import transform_bounds

from tiles.errors import SceneError, UnfitSceneError
from tiles.scene import Bands, GsdLimits, Scene, open_scene

SUFFIXES = {
    ".tif",
    ".tiff",
    ".vrt",
    ".jp2",
}  # what a folder is searched for; a named file may have any


@dataclass(frozen=True)
class BrokenSource:
    """A file that cannot be used, why, and the ground it would have shown (EPSG:4326) if known."""

    path: Path
    reason: str
    footprint: shapely.Polygon | None = None


@dataclass(frozen=True)
class Catalog:
    """The scenes of a survey, in the order of their paths, and the files that were left out."""

    scenes: tuple[Scene, ...]
    broken: tuple[BrokenSource, ...]


def find_scenes(sources: Sequence[str], limits: GsdLimits, bands: Bands | None = None) -> Catalog:
    """Open every raster that the sources name.

    Args:
        sources: paths of files, folders (searched below), or globs.
        limits: ground sample distances that can be worked on.
        bands: which bands are red, green and blue; found by their names when None.

    Raises:
        SceneError: a source matches nothing, or no file among them can be used.
    """
    paths = sorted({path.absolute() for source in sources for path in _expand(source)})
    scenes: list[Scene] = []
    broken: list[BrokenSource] = []
    for path, scene_id in zip(paths, _scene_ids(paths), strict=True):
        try:
            scenes.append(open_scene(path, scene_id, limits, bands))
        except SceneError as error:
            # imagery of another kind was never meant to be searched: its ground is not ours
            known = None if isinstance(error, UnfitSceneError) else _footprint(path)
            broken.append(BrokenSource(path, str(error), known))
    if not scenes:
        others = f" (and {len(broken) - 1} more files failed)" if len(broken) > 1 else ""
        raise SceneError(broken[0].reason + others)
    return Catalog(tuple(scenes), tuple(broken))


def _expand(source: str) -> list[Path]:
    path = Path(source)
    if path.is_dir():
        found = [file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES]
    elif path.exists():
        found = [path]
    else:
        found = [Path(match) for match in glob(source, recursive=True)]
    if not found:
        raise SceneError(f"{source} names no image: give a GeoTIFF, a folder of them, or a glob.")
    return found


def _footprint(path: Path) -> shapely.Polygon | None:
    try:
        with rasterio.open(path) as dataset:
            bounds = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
            return shapely.Polygon(shapely.box(*bounds))
    except (RasterioError, CRSError):
        return None


def _scene_ids(paths: Sequence[Path]) -> list[str]:
    """File stems; where two are alike, numbered in the order of their paths until free."""
    stems = Counter(path.stem for path in paths)
    taken = {stem for stem, times in stems.items() if times == 1}
    ids = []
    for path in paths:
        name = path.stem
        if stems[name] > 1:
            name = next(f"{path.stem}-{n}" for n in count(1) if f"{path.stem}-{n}" not in taken)
            taken.add(name)
        ids.append(name)
    return ids
