"""The scenes of a season as one clear picture: per pixel the median or medoid of its clear looks.

A composite is a scene like others to whoever reads its blocks; nothing is computed before a block
is asked for, and memory depends on the block alone, not on the number of dates.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from typing import Literal

import numpy as np
import numpy.typing as npt
import shapely
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from tiles.blocks import Block
from tiles.clouds import NODATA, SEARCHED
from tiles.looks import Looks
from tiles.order_statistics import U16, Bools, median, medoid
from tiles.radiometry import PLAIN_8_BIT, to_reflectance
from tiles.read import BlockPixels, read_block
from tiles.scene import Scene
from tiles.sensors import true_colour

Method = Literal["median", "medoid"]
METHODS = {"median": median, "medoid": medoid}
SAME_GROUND = 0.5  # of the smaller outline: neighbouring tiles share a fifth, repeats nearly all
SAME_SIZE = 1.2  # of two pixels: a coarser scene would blur the picture of the finer
ALIGNED_PX = 1e-3  # grids shifted by less than a thousandth of a pixel are one
STRIP_BYTES = 128 << 20  # looks held at once: eight dates of 2,400 px across in a thousand rows
LEAST_ROWS = 256  # of a strip: below, every file block would be read several times over
TALLEST_BLOCKS = 1024  # rows of file blocks that strips follow: 210 MB of eight dates at most

Days = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Composite(Scene):
    """Several dates of one ground; `path`, `bands` and `file_block` are those of its first member.

    Attributes:
        members: the scenes, by date.
        method: which of the clear looks a pixel shows.
    """

    members: tuple[Scene, ...] = ()
    method: Method = "median"


@dataclass(frozen=True)
class _Offset:
    """Where a member's first pixel lies on the composite's grid."""

    row: int
    col: int


def sources(scene: Scene) -> tuple[Scene, ...]:
    """The acquisitions that a scene is made of: its members, or itself."""
    return scene.members if isinstance(scene, Composite) else (scene,)


def dates_of(scene: Scene) -> tuple[str, ...]:
    """The days of the acquisitions (ISO 8601), in order; those that have none are left out."""
    return tuple(sorted(source.date for source in sources(scene) if source.date))


# --- which scenes are of one ground ---------------------------------------------------------------


def compose(scenes: Sequence[Scene], method: Method) -> tuple[Scene, ...]:
    """Put the dates of each ground together; a scene alone on its ground stays as it is.

    Scenes are of one ground when they share half of the smaller outline and their pixels are of
    about one size. CRS and grid may differ: the grid of the first (by name) is taken, and others
    are resampled to it where they do not lie on it.
    """
    return tuple(
        _composite(group.scenes, group.grid, method) if len(group.scenes) > 1 else group.scenes[0]
        for group in group_by_ground(scenes)
    )


@dataclass
class Group:
    """Scenes of one ground, and a grid that holds them all: the first one's, enlarged."""

    scenes: list[Scene]
    grid: GeoBox

    def takes(self, scene: Scene) -> bool:
        """Whether a scene is of this ground."""
        ours, theirs = self.scenes[0].gsd, scene.gsd
        ratios = (theirs.x_m / ours.x_m, theirs.y_m / ours.y_m)
        if not all(1 / SAME_SIZE <= ratio <= SAME_SIZE for ratio in ratios):
            return False
        outline, other = self.scenes[0].footprint, scene.footprint
        shared = outline.intersection(other).area
        return bool(shared >= SAME_GROUND * min(outline.area, other.area))

    def add(self, scene: Scene) -> None:
        """Take in a scene, and enlarge the grid by whole pixels to hold it."""
        at = _offset(self.grid, scene)
        if at is None:
            self.grid = self.grid | _enclosing(self.grid, scene)
        else:
            self.grid = self.grid | _shifted(self.grid, at, scene.rows, scene.cols)
        self.scenes.append(scene)


def group_by_ground(scenes: Sequence[Scene]) -> list[Group]:
    """Sort scenes by the ground they show; the order of the input does not matter."""
    groups: list[Group] = []
    for scene in sorted(scenes, key=lambda scene: scene.scene_id):
        group = next((group for group in groups if group.takes(scene)), None)
        if group is None:
            groups.append(Group([scene], grid_of(scene)))
        else:
            group.add(scene)
    return groups


def _composite(scenes: Sequence[Scene], grid: GeoBox, method: Method) -> Composite:
    members = tuple(sorted(scenes, key=lambda scene: (scene.date or "", scene.scene_id)))
    plain = all(member.radiometry is None for member in members)
    known = {field.name: getattr(scenes[0], field.name) for field in fields(Scene)}
    days = sorted({member.date for member in members if member.date})
    known |= {
        "scene_id": _name(members, days, method),
        "transform": grid.affine,
        "rows": grid.shape.y,
        "cols": grid.shape.x,
        "dtype": PLAIN_8_BIT if plain else "uint16",
        "nodata": None,
        "date": days[0] if len(days) == 1 else None,
        "radiometry": None,
        "mask": None,
    }
    return Composite(**known, members=members, method=method)


def _name(members: Sequence[Scene], days: Sequence[str], method: Method) -> str:
    """A name for tables: method, span, number of dates, and a mark of which scenes they are."""
    mark = sha256("\n".join(member.scene_id for member in members).encode()).hexdigest()[:8]
    span = f"{days[0]}_{days[-1]}" if days else "undated"
    return f"{method}_{span}_{len(members)}_{mark}"


def grid_of(scene: Scene) -> GeoBox:
    """The working grid of a scene as odc-geo's GeoBox."""
    return GeoBox((scene.rows, scene.cols), scene.transform, scene.crs_wkt)


def _shifted(grid: GeoBox, at: _Offset, rows: int, cols: int) -> GeoBox:
    """The same grid from another pixel on."""
    affine = grid.affine @ Affine.translation(at.col, at.row)
    return GeoBox((rows, cols), affine, grid.crs)


def _enclosing(grid: GeoBox, scene: Scene) -> GeoBox:
    """The smallest part of an endless grid that holds a scene of any CRS."""
    lon, lat = shapely.get_coordinates(scene.footprint).T
    own = Transformer.from_crs(4326, str(grid.crs), always_xy=True).transform(lon, lat)
    col, row = ~grid.affine @ own
    first = _Offset(math.floor(row.min()), math.floor(col.min()))
    rows, cols = math.ceil(row.max()) - first.row, math.ceil(col.max()) - first.col
    return _shifted(grid, first, rows, cols)


def _offset(grid: GeoBox, scene: Scene) -> _Offset | None:
    """Where a scene lies on a grid of the same CRS, in whole pixels; None where it does not."""
    if grid.crs != grid_of(scene).crs:
        return None
    shift = ~grid.affine @ scene.transform
    at = _Offset(round(shift.f), round(shift.c))
    corner = shift @ (scene.cols, scene.rows)
    apart = max(
        abs(shift.c - at.col),
        abs(shift.f - at.row),
        abs(corner[0] - at.col - scene.cols),
        abs(corner[1] - at.row - scene.rows),
        abs(shift.b) * scene.rows,
        abs(shift.d) * scene.cols,
    )
    return at if apart < ALIGNED_PX else None


# --- reading --------------------------------------------------------------------------------------


def read_looks(scene: Scene, block: Block) -> BlockPixels:
    """Read a block with its halo, of a composite or of a plain scene.

    Returns:
        As `tiles.read.read_block`; of a composite with `looks`, and with the best status of its
        dates at each pixel. Pixels are uint8 where all members are 8-bit true colour, else
        reflectance times 10,000.

    Raises:
        SceneError: a file cannot be read there.
    """
    if not isinstance(scene, Composite):
        return read_block(scene, block)
    rows, cols = block.rows + 2 * block.halo, block.cols + 2 * block.halo
    top, left = block.row - block.halo, block.col - block.halo
    pixels = np.zeros((len(scene.bands.indexes), rows, cols), np.dtype(scene.dtype))
    status = np.full((rows, cols), NODATA, np.uint8)
    looks = Looks.none(rows, cols)
    for strip in _strips(scene, top, rows, cols):
        window = Block(top + strip.start, left, strip.stop - strip.start, cols, 0)
        seen = _Stack.read(scene, window)
        status[strip] = seen.status
        looks.fill(strip, seen.usable, seen.days)
        if seen.days:
            pixels[:, strip] = METHODS[scene.method](seen.layers, seen.usable)
    return BlockPixels(
        pixels=xr.DataArray(
            pixels,
            dims=("band", "y", "x"),
            coords={"band": ["red", "green", "blue"], **_axes(top, left, rows, cols)},
        ),
        status=xr.DataArray(status, dims=("y", "x"), coords=_axes(top, left, rows, cols)),
        looks=looks,
    )


def _axes(top: int, left: int, rows: int, cols: int) -> dict[str, npt.NDArray[np.int64]]:
    return {"y": np.arange(top, top + rows), "x": np.arange(left, left + cols)}


def _strips(composite: Composite, top: int, rows: int, cols: int) -> Iterator[slice]:
    """Slices of a window's rows of which all dates fit the memory set aside for them.

    They end where the files' own blocks do, so that within a window none is decoded twice.
    """
    step = max(LEAST_ROWS, STRIP_BYTES // (len(composite.members) * cols * 3 * 2))
    stored = composite.file_block.rows
    edge = stored if stored <= TALLEST_BLOCKS else 1
    first = 0
    while first < rows:
        last = first + max(step, edge)
        last -= (top + last) % edge
        yield slice(first, min(last, rows))
        first = last


@dataclass(frozen=True)
class _Stack:
    """The looks at one window.

    Attributes:
        layers: (look, band, y, x), all on one scale.
        usable: (look, y, x).
        days: of each look, ISO 8601 or None.
        status: (y, x), the best of all looks.
    """

    layers: U16
    usable: Bools
    days: tuple[str | None, ...]
    status: npt.NDArray[np.uint8]

    @classmethod
    def read(cls, composite: Composite, window: Block) -> "_Stack":
        """Read the members that reach the window."""
        there = [
            (member, own)
            for member in composite.members
            if (own := _own_window(composite, member, window)) is not None
        ]
        layers = np.zeros((len(there), 3, window.rows, window.cols), np.uint16)
        usable = np.zeros((len(there), window.rows, window.cols), np.bool_)
        status = np.full((window.rows, window.cols), NODATA, np.uint8)
        for number, (member, own) in enumerate(there):
            read = read_block(_on_grid(composite, member), own)
            layers[number] = _on_scale(read.pixels.to_numpy(), member, composite)
            np.equal(read.status.to_numpy(), SEARCHED, out=usable[number])
            np.minimum(status, read.status.to_numpy(), out=status)
        return cls(layers, usable, tuple(member.date for member, _ in there), status)


def _own_window(composite: Composite, member: Scene, window: Block) -> Block | None:
    """The window on the grid that the member is read on; None where the member does not reach."""
    at = _offset(grid_of(composite), member)
    if at is None:
        within = composite.outline(window.row, window.col, window.rows, window.cols)
        return window if within.intersects(member.footprint) else None
    own = replace(window, row=window.row - at.row, col=window.col - at.col)
    reaches = -own.rows < own.row < member.rows and -own.cols < own.col < member.cols
    return own if reaches else None


def _on_grid(composite: Composite, member: Scene) -> Scene:
    """The member itself, or as it is read on the composite's grid where it does not lie on it."""
    grid = grid_of(composite)
    if _offset(grid, member) is not None:
        return member
    return replace(
        member,
        crs_wkt=composite.crs_wkt,
        transform=composite.transform,
        rows=composite.rows,
        cols=composite.cols,
        gsd=composite.gsd,
        resampled=True,
    )


def _on_scale(
    pixels: npt.NDArray[np.generic], member: Scene, composite: Composite
) -> npt.NDArray[np.generic]:
    """Pixels of a member on the composite's scale: its own numbers, or reflectance x 10,000."""
    mixed = member.radiometry is None and composite.dtype != PLAIN_8_BIT
    return to_reflectance(pixels, true_colour()) if mixed else pixels
