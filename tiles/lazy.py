"""A scene or composite as one lazy xarray Dataset on its whole grid, for notebooks and exports.

Nothing is read before a part is computed, and then block by block: the memory is that of the
blocks under work.
"""

from functools import partial
from typing import cast

import dask.array as da
import numpy as np
import numpy.typing as npt
import xarray as xr
from odc.geo.xr import xr_coords

from tiles.blocks import Block
from tiles.composite import grid_of, read_looks
from tiles.coverage import NO_FIRST, NO_LAST
from tiles.looks import Looks
from tiles.radiometry import PLAIN_8_BIT
from tiles.scene import Scene

CHUNK_PX = 1024  # a few file blocks: a chunk of eight dates is read in about a second
LAYERS = ("red", "green", "blue", "status", "looks", "first_day", "last_day")


def as_dataset(scene: Scene, chunk_px: int = CHUNK_PX) -> xr.Dataset:
    """The pixels of a scene with what is known of each, lazily, as dask arrays.

    Args:
        scene: plain or composite.
        chunk_px: side of a chunk in pixels of the working grid.

    Returns:
        Variables red, green, blue (reflectance times 10,000, or 8-bit true colour), status (index
        into `tiles.coverage.STATUSES`), looks (usable dates), first_day and last_day (datetime64,
        NaT without a dated look), each (y, x), with odc-geo's coordinates of the grid.
    """
    chunks = (_cut(scene.rows, chunk_px), _cut(scene.cols, chunk_px))
    stack = da.map_blocks(
        partial(_read, scene, chunk_px),
        chunks=((len(LAYERS),), *chunks),
        dtype=np.int32,
        meta=np.empty((0, 0, 0), np.int32),
    )
    coords = xr_coords(grid_of(scene))
    layers = {
        name: xr.DataArray(_typed(name, layer, scene), dims=tuple(coords)[:2])
        for name, layer in zip(LAYERS, stack, strict=True)
    }
    return xr.Dataset(layers, coords=coords)


def _cut(side_px: int, chunk_px: int) -> tuple[int, ...]:
    return tuple(min(chunk_px, side_px - first) for first in range(0, side_px, chunk_px))


def _read(
    scene: Scene, chunk_px: int, block_info: dict[object, dict[str, tuple[int, ...]]]
) -> npt.NDArray[np.int32]:
    """All layers of one chunk in the widest type, (layer, y, x)."""
    info = block_info[None]
    (_, rows, cols), (_, row, col) = info["chunk-shape"], info["chunk-location"]
    read = read_looks(scene, Block(row * chunk_px, col * chunk_px, rows, cols, 0))
    looks = read.looks
    if looks is None:
        looks = Looks.none(rows, cols)
        looks.fill(slice(0, rows), read.usable[None], [scene.date])
    parts = [*read.pixels.to_numpy(), read.status.to_numpy()]
    parts += [looks.count, looks.first_day, looks.last_day]
    return np.stack([part.astype(np.int32) for part in parts])


def _typed(name: str, layer: da.Array, scene: Scene) -> da.Array:
    """A layer in the type that its values have."""
    if name in ("first_day", "last_day"):
        return cast(da.Array, da.map_blocks(_as_days, layer, dtype="datetime64[s]"))
    types = {"status": np.uint8, "looks": np.uint16}
    colour = np.uint8 if scene.dtype == PLAIN_8_BIT else np.uint16
    return cast(da.Array, layer.astype(types.get(name, colour)))


def _as_days(layer: npt.NDArray[np.int32]) -> npt.NDArray[np.datetime64]:
    days = layer.astype("datetime64[D]").astype("datetime64[s]")
    days[(layer == NO_FIRST) | (layer == NO_LAST)] = np.datetime64("NaT")
    return days
