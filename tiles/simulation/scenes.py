"""The two made-up acquisitions: where each scene lies, its sky and light, and its GeoTIFF."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from pyproj import CRS, Transformer
from rasterio.transform import Affine
from rasterio.windows import Window

from tiles.files import atomic_path
from tiles.simulation.canvas import Colour, Floats, Frame
from tiles.simulation.pixels import Cloud, Gap, Landscape, Radiometry, Sky, render
from tiles.simulation.plan import BeltPlan, Points
from tiles.simulation.settings import BeltSettings, stream

TILE_PX = 512  # of the file
PAINT_PX = 256  # painted at once: the arrays of a block stay in the processor's cache
GRAIN_PX = 512  # the sensor's noise repeats after this; nobody sees it at 1.5 counts
CLOUD_RADIUS_M = 1300.0  # fair-weather cumulus banks
OPAQUE_SHARE = 0.52  # of the disc of the median cloud; measured over 300 clouds of mixed sizes
SWATH_TILT_RAD = 0.21  # a sun-synchronous track crosses 27 N at about 12 degrees from north
GAP_REACH = 1.0  # swath edge in half sides from the centre: cuts 2 % off the square, at a corner
HIDDEN_ALPHA = 0.5  # a kiln under a thicker cloud than this cannot be observed
CACHE_MB = 64  # GDAL keeps at most this much of the file unwritten


@dataclass(frozen=True)
class SceneSpec:
    """One acquisition: its name, date, grid, sky and radiometry.

    Attributes:
        name: "west" or "east".
        taken: YYYY:MM:DD HH:MM:SS, as TIFFTAG_DATETIME wants it.
        date_number: 0 for the first date, 1 for the second.
        epsg: UTM zone of the grid.
        left_m, top_m: Easting and northing of the outer corner of the first pixel.
        rows, cols: Of the grid; pixels are square, `settings.gsd_m`.
        sky: Above it on that date.
        radiometry: Of the sensor and its stretch.
        settings: Of the belt.
    """

    name: str
    taken: str
    date_number: int
    epsg: int
    left_m: float
    top_m: float
    rows: int
    cols: int
    sky: Sky
    radiometry: Radiometry
    settings: BeltSettings

    @property
    def file_name(self) -> str:
        """Name of its GeoTIFF."""
        return f"scene_{self.name}.tif"

    @cached_property
    def _from_utm(self) -> Transformer:
        return Transformer.from_crs(self.epsg, ground_crs(self.settings), always_xy=True)

    @cached_property
    def _grain(self) -> Floats:
        rng = stream(self.settings, f"grain {self.name}")
        return rng.standard_normal((3, GRAIN_PX, GRAIN_PX), dtype=np.float32)

    def locate(self, col: Points, row: Points) -> tuple[Points, Points]:
        """Return ground metres x, y of pixel coordinates (col, row)."""
        gsd = self.settings.gsd_m
        x, y = self._from_utm.transform(self.left_m + col * gsd, self.top_m - row * gsd)
        return x, y

    def shows(self, points: Points) -> npt.NDArray[np.bool_]:
        """Say which ground points (n, 2) it shows: on the grid, with data, under no thick cloud."""
        x, y = points[:, 0], points[:, 1]
        easting, northing = self._from_utm.transform(x, y, direction="INVERSE")
        col = (np.asarray(easting) - self.left_m) / self.settings.gsd_m
        row = (self.top_m - np.asarray(northing)) / self.settings.gsd_m
        inside = (col >= 0) & (col < self.cols) & (row >= 0) & (row < self.rows)
        place = x.astype(np.float32), y.astype(np.float32)
        clear = self.sky.cloud_alpha(*place) < HIDDEN_ALPHA
        return np.asarray(inside & clear & ~self.sky.nodata(*place), np.bool_)

    def blocks(
        self, landscape: Landscape, block_px: int = PAINT_PX
    ) -> Iterator[tuple[Window, npt.NDArray[np.uint8]]]:
        """Yield each window of the scene with its pixels, (3, rows, cols), row by row."""
        for row0 in range(0, self.rows, block_px):
            for col0 in range(0, self.cols, block_px):
                rows, cols = min(block_px, self.rows - row0), min(block_px, self.cols - col0)
                frame = Frame(row0, col0, rows, cols, self.settings.gsd_m, self.locate)
                row = np.arange(row0, row0 + rows) % GRAIN_PX
                col = np.arange(col0, col0 + cols) % GRAIN_PX
                grain = self._grain[:, row[:, None], col]
                picture = render(frame, landscape, self.sky, self.radiometry, grain)
                yield Window(col0, row0, cols, rows), picture


def ground_crs(settings: BeltSettings) -> CRS:
    """Return the plane of the ground: transverse Mercator through the centre, true to 1e-4."""
    return CRS.from_proj4(
        f"+proj=tmerc +lat_0={settings.centre_lat} +lon_0={settings.centre_lon} "
        "+k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m +no_defs"
    )


def scene_specs(settings: BeltSettings) -> tuple[SceneSpec, SceneSpec]:
    """Return the western scene of one date and the eastern of another, with a common strip."""
    half, overlap = settings.half_m, settings.side_km * 500 * settings.overlap_share
    west_edge = Gap(np.pi - SWATH_TILT_RAD, GAP_REACH * half)
    east_edge = Gap(-SWATH_TILT_RAD, GAP_REACH * half)
    west = _spec(
        settings,
        name="west",
        taken="2026:02:14 05:30:00",
        date_number=0,
        x_range=(-half, overlap),
        gap=west_edge,
        radiometry=Radiometry(gain=Colour(1.02, 1.0, 0.98), noise=1.5),
    )
    east = _spec(
        settings,
        name="east",
        taken="2026:03:06 05:20:00",
        date_number=1,
        x_range=(-overlap, half),
        gap=east_edge,
        radiometry=Radiometry(Colour(1.10, 1.04, 0.98), Colour(4, 5, 8), gamma=0.93, noise=2.0),
    )
    return west, east


def _spec(
    settings: BeltSettings,
    name: str,
    taken: str,
    date_number: int,
    x_range: tuple[float, float],
    gap: Gap,
    radiometry: Radiometry,
) -> SceneSpec:
    """Return the scene on the UTM grid, on whole pixels, that holds the strip x_range."""
    gsd, ground = settings.gsd_m, ground_crs(settings)
    to_lonlat = Transformer.from_crs(ground, 4326, always_xy=True)
    lon, lat = to_lonlat.transform(sum(x_range) / 2, 0.0)
    epsg = (32600 if lat >= 0 else 32700) + int((lon + 180) // 6) + 1
    left, bottom, right, top = Transformer.from_crs(ground, epsg, always_xy=True).transform_bounds(
        x_range[0], -settings.half_m, x_range[1], settings.half_m
    )
    left, top = np.floor(left / gsd) * gsd, np.ceil(top / gsd) * gsd
    return SceneSpec(
        name,
        taken,
        date_number,
        epsg,
        float(left),
        float(top),
        rows=int(np.ceil((top - bottom) / gsd)),
        cols=int(np.ceil((right - left) / gsd)),
        sky=_sky(settings, name, date_number, x_range, gap),
        radiometry=radiometry,
        settings=settings,
    )


def _sky(
    settings: BeltSettings, name: str, date_number: int, x_range: tuple[float, float], gap: Gap
) -> Sky:
    rng = stream(settings, f"sky {name}")
    radius = min(CLOUD_RADIUS_M, settings.side_km * 100)  # small belts get small clouds
    area = (x_range[1] - x_range[0]) * 2 * settings.half_m
    count = round(settings.cloud_share * area / (np.pi * radius**2 * OPAQUE_SHARE))
    if settings.cloud_share > 0:
        count = max(1, count)
    clouds = []
    for _ in range(count):
        x, y = rng.uniform(*x_range), rng.uniform(-settings.half_m, settings.half_m)
        size = radius * float(np.exp(rng.normal(0, 0.35)))
        clouds.append(Cloud(float(x), float(y), size, int(rng.integers(2**31))))
    haze = settings.haze * (1.0 if date_number else 0.45)  # the second day is the hazier
    return Sky(tuple(clouds), (gap,), haze, seed=int(rng.integers(2**31)))


def write_scene(plan: BeltPlan, spec: SceneSpec, path: Path) -> None:
    """Paint a scene block by block into a tiled GeoTIFF: uint8 RGB, nodata 0, DEFLATE."""
    landscape = plan.landscape(spec.date_number)
    gsd = spec.settings.gsd_m
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": 3,
        "width": spec.cols,
        "height": spec.rows,
        "crs": f"EPSG:{spec.epsg}",
        "transform": Affine(gsd, 0, spec.left_m, 0, -gsd, spec.top_m),
        "nodata": 0,
        "tiled": True,
        "blockxsize": TILE_PX,
        "blockysize": TILE_PX,
        "compress": "deflate",
        "zlevel": 1,  # higher levels cost more time than the painting and save 5 %
        "predictor": 2,
        "photometric": "RGB",
    }
    with (
        atomic_path(path) as temporary,
        rasterio.Env(GDAL_CACHEMAX=CACHE_MB),
        rasterio.open(temporary, "w", **profile) as dataset,
    ):
        dataset.update_tags(TIFFTAG_DATETIME=spec.taken, TIFFTAG_SOFTWARE="kilnlight simulate")
        for window, picture in spec.blocks(landscape):
            dataset.write(picture, window=window)
