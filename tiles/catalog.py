"""Which scenes there are: rasters, products, archives and items of catalogues; what is wrong."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from glob import glob
from itertools import count
from pathlib import Path

import rasterio
import shapely
from rasterio.errors import CRSError, RasterioError
from rasterio.warp import transform_bounds

from tiles.access import is_url
from tiles.errors import SceneError, UnfitSceneError
from tiles.products import SUFFIXES, is_product, product_sources
from tiles.radiometry import MaskKind, MaskSource
from tiles.scene import Bands, GsdLimits, Scene, SceneSource, open_source
from tiles.search import Query
from tiles.sensors import SensorProfile
from tiles.stac import find_items, is_catalogue
from tiles.stac_scenes import source_of_item

# what stands behind the name of an image in that of its classification: a.tif and a_SCL.tif
MASKS_BESIDE: dict[str, MaskKind] = {"_SCL": "scl", "_QA_PIXEL": "qa_pixel"}


@dataclass(frozen=True)
class BrokenSource:
    """A file that cannot be used, why, and the ground it would have shown (EPSG:4326) if known."""

    path: Path
    reason: str
    footprint: shapely.Polygon | None = None


@dataclass(frozen=True)
class Catalog:
    """The scenes of a survey, in the order of their addresses, and what was left out."""

    scenes: tuple[Scene, ...]
    broken: tuple[BrokenSource, ...]


def find_scenes(
    sources: Sequence[str],
    limits: GsdLimits,
    bands: Bands | None = None,
    query: Query | None = None,
    sensor: SensorProfile | None = None,
) -> Catalog:
    """Open the headers of every scene that the sources name.

    Args:
        sources: paths of files, folders (searched below), `.SAFE` folders, zip files, globs,
            addresses of rasters, `stac:URL#COLLECTION`, STAC items or lists of them.
        limits: ground sample distances that can be worked on.
        bands: which bands are red, green and blue; found by their names when None.
        query: what catalogues are asked for, and how servers are got at.
        sensor: what the numbers mean; found by name or catalogue when None.

    Raises:
        SceneError: a source matches nothing, or no file among them can be used.
    """
    query = query or Query()
    named: list[SceneSource] = []
    broken: list[BrokenSource] = []
    for source in sources:
        for one in _sources(source, query):
            if isinstance(one, BrokenSource):
                broken.append(one)
            else:
                named.append(one)
    unique = {one.files: one for one in named}
    ordered = [unique[files] for files in sorted(unique)]
    scenes: list[Scene] = []
    for opened in _opened(_with_own_names(ordered), limits, bands, sensor, query):
        if isinstance(opened, BrokenSource):
            broken.append(opened)
        else:
            scenes.append(opened)
    if not scenes:
        others = f" (and {len(broken) - 1} more files failed)" if len(broken) > 1 else ""
        raise SceneError(broken[0].reason + others)
    return Catalog(tuple(scenes), tuple(sorted(broken, key=lambda one: str(one.path))))


def _sources(source: str, query: Query) -> Iterator[SceneSource | BrokenSource]:
    """What one `--imagery` names."""
    if is_catalogue(source):
        # workers never ask a catalogue, and a file that has changed is noticed as it is read
        access = query.access.model_copy(update={"refresh": False})
        for item in find_items(source, query):
            try:
                yield source_of_item(item, query.search, access)
            except SceneError as error:
                yield BrokenSource(Path(item["id"]), str(error))
    elif is_url(source):
        href = query.access.web_address(source)
        yield SceneSource(Path(href.partition("?")[0]).stem, (href,), href, access=query.access)
    else:
        for path in _expand(source):
            yield from _of_path(path.absolute())


def _of_path(path: Path) -> Iterator[SceneSource | BrokenSource]:
    if not is_product(path):
        yield SceneSource(path.stem, (str(path),), str(path), mask=_mask_beside(path))
        return
    try:
        yield from product_sources(path)
    except SceneError as error:
        yield BrokenSource(path, str(error))


def _mask_beside(path: Path) -> MaskSource | None:
    """The classification of an image's pixels in a file beside it, called after it."""
    for ending, kind in MASKS_BESIDE.items():
        beside = path.with_name(f"{path.stem}{ending}{path.suffix}")
        if beside.is_file():
            return MaskSource(str(beside), kind)
    return None


def _is_mask(path: Path) -> bool:
    """Whether a file is the classification of an image beside it, and no scene of its own."""
    return any(
        path.stem.endswith(ending)
        and path.with_name(path.stem.removesuffix(ending) + path.suffix).is_file()
        for ending in MASKS_BESIDE
    )


def _expand(source: str) -> list[Path]:
    path = Path(source)
    if path.is_dir() and not is_product(path):
        found = [file for file in _below(path) if not _is_mask(file)]
    elif path.exists():
        found = [path]
    else:
        matches = (Path(match) for match in glob(source, recursive=True))
        found = [file for file in matches if not _is_mask(file)]
    if not found:
        raise SceneError(f"{source} names no image: give a GeoTIFF, a folder of them, or a glob.")
    return sorted(found)


def _below(folder: Path) -> Iterator[Path]:
    """Rasters and products in a folder and below; what lies within a product belongs to it."""
    for path in folder.iterdir():
        if is_product(path) or (path.is_file() and path.suffix.lower() in SUFFIXES):
            yield path
        elif path.is_dir():
            yield from _below(path)


def _opened(
    sources: Sequence[SceneSource],
    limits: GsdLimits,
    bands: Bands | None,
    sensor: SensorProfile | None,
    query: Query,
) -> Iterable[Scene | BrokenSource]:
    """Open headers, those on servers side by side; in the order of the sources."""

    def opened(source: SceneSource) -> Scene | BrokenSource:
        try:
            return open_source(source, limits, bands, sensor)
        except UnfitSceneError as error:
            # imagery of another kind was never meant to be searched: its ground is not ours
            return BrokenSource(_path_of(source), str(error))
        except SceneError as error:
            return BrokenSource(_path_of(source), str(error), source.ground or _footprint(source))

    if not any(source.access for source in sources):
        return [opened(source) for source in sources]
    with ThreadPoolExecutor(query.access.connections) as pool:
        return list(pool.map(opened, sources))


def _path_of(source: SceneSource) -> Path:
    return Path(source.files[0])


def _footprint(source: SceneSource) -> shapely.Polygon | None:
    """Where a file here that cannot be used lies, if it says so."""
    if source.access is not None:
        return None
    try:
        with rasterio.open(source.files[0]) as dataset:
            bounds = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
            return shapely.Polygon(shapely.box(*bounds))
    except (RasterioError, CRSError):
        return None


def _with_own_names(sources: Sequence[SceneSource]) -> list[SceneSource]:
    """Sources whose names differ: those alike are numbered in their order until free."""
    stems = Counter(source.scene_id for source in sources)
    taken = {stem for stem, times in stems.items() if times == 1}
    named = []
    for source in sources:
        name = source.scene_id
        if stems[name] > 1:
            name = next(f"{name}-{n}" for n in count(1) if f"{name}-{n}" not in taken)
            taken.add(name)
        named.append(replace(source, scene_id=name))
    return named
