"""Detections that are one place become one site, whatever scenes they were seen in."""

from collections.abc import Iterator
from itertools import product

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from pyproj import Transformer
from scipy.spatial import cKDTree

from models.site_class import SiteClass
from tiles.cells import CellGrid
from tiles.tables import Column, TableSchema

GEOCENTRIC = 4978  # WGS 84 X, Y, Z in metres: a chord of 60 m is the distance on the ground
SQUARE_M = 25  # a site's name comes from this square: under half a kiln, over a pixel's error
# Two boxes of one scene that share half of the smaller one's ground are one kiln seen twice: real
# kilns stand side by side, and errors of a pixel or two make such boxes overlap by a fifth.
DUPLICATE_OVERLAP = 0.5
BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: no I, L, O, U, so it can be read aloud
SITE_ID_DIGITS = 9  # 45 bits: 20 for the row and 21 for the column of the 25 m squares
SITE_ID_PATTERN = r"KL-[0-9A-HJKMNP-TV-Z]{9}(?:-\d+)?"

SITES = TableSchema(
    name="sites",
    version=2,
    columns=(
        Column("site_id", "string", "name of the place, from its 25 m square of EPSG:6933"),
        Column("site_class", "string", "name of the site class"),
        Column("kind", "string", "kind of the best detection: FCBK, Zigzag, CFCBK or unknown"),
        Column("lon", "float64", "longitude of the centre, degrees, WGS 84"),
        Column("lat", "float64", "latitude of the centre, degrees, WGS 84"),
        Column("length_m", "float64", "long side in metres"),
        Column("width_m", "float64", "short side in metres"),
        Column("azimuth_deg", "float64", "long side, clockwise from true north, in [0, 180)"),
        Column("p_site", "float64", "calibrated probability that this is a site of the class"),
        Column("p_low", "float64", "lower end of the 90 % interval of p_site"),
        Column("p_high", "float64", "upper end of the 90 % interval of p_site"),
        Column("n_detections", "int64", "detections linked to this site"),
        Column("n_scenes", "int64", "scenes in which it was detected"),
        Column("first_date", "string", "earliest scene in which it was detected", nullable=True),
        Column("last_date", "string", "latest scene in which it was detected", nullable=True),
        Column("cell_id", "string", "5 km cell that holds the centre"),
        Column("unfamiliar", "bool", "the imagery here is unlike what the weights were trained on"),
        Column(
            "review_status",
            "string",
            "what people decided: unreviewed, confirmed, rejected, unsure or wrong_class",
        ),
        Column("size_fit", "float64", "how usual its length and width are for the class, 0 to 1"),
        Column("hotspot_class", "string", "hotspot class of its cell; says nothing of labour"),
        Column("rank", "int64", "place in the list, 1 first"),
        Column("priority", "float64", "weighted mean that orders the list, 0 to 1; no probability"),
        Column(
            "reason", "string", "why it stands where it stands, in words about imagery and area"
        ),
    ),
    geometry_doc="centre of the site, a point",
)
OF_BEST_DETECTION = [
    "site_class",
    "kind",
    "lon",
    "lat",
    "length_m",
    "width_m",
    "azimuth_deg",
    "p_site",
    "p_low",
    "p_high",
    "unfamiliar",
]


def link_sites(detections: gpd.GeoDataFrame, site_class: SiteClass) -> gpd.GeoDataFrame:
    """Merge the detections of all scenes into sites, one per place.

    Pairs within the class's merge radius are joined, nearest first, as long as every detection of
    the one cluster may stand with every detection of the other: within the radius, and of another
    scene, or of the same scene with footprints that share half of the smaller one. So a chain of
    kilns never becomes one site, and two kilns that one scene shows side by side stay two. The
    order of the rows does not matter.

    A site takes position, size, kind and p_site with its interval from its best detection (highest
    p_site, then score). How far looks at one place are independent is not known, so probabilities
    of several scenes are not multiplied: the highest stands, and n_scenes beside it.

    Args:
        detections: a DETECTIONS table.
        site_class: its merge radius is used.

    Returns:
        The columns of SITES up to `unfamiliar` and a point each, sorted by site_id; `rank_sites`
        adds the rest.
    """
    ordered = detections.sort_values("detection_id", kind="stable", ignore_index=True)
    ordered["cluster"] = _clusters(ordered, site_class.merge_radius_m)
    best = ordered.sort_values(
        ["p_site", "score", "detection_id"], ascending=[False, False, True], kind="stable"
    ).drop_duplicates("cluster")
    sites = best.set_index("cluster")[OF_BEST_DETECTION].join(_over_scenes(ordered))
    sites["cell_id"] = CellGrid().cell_ids_at(sites["lon"], sites["lat"])
    sites.insert(0, "site_id", _site_ids(sites))
    points = gpd.points_from_xy(sites["lon"], sites["lat"], crs="EPSG:4326")
    return gpd.GeoDataFrame(sites, geometry=points).sort_values("site_id", ignore_index=True)


def _over_scenes(detections: pd.DataFrame) -> pd.DataFrame:
    by_cluster = detections.groupby("cluster")
    first = detections.dropna(subset=["first_date"]).groupby("cluster")["first_date"]
    last = detections.dropna(subset=["last_date"]).groupby("cluster")["last_date"]
    return pd.DataFrame(
        {
            "n_detections": by_cluster.size().astype("int64"),
            "n_scenes": by_cluster["scene_id"].nunique().astype("int64"),
            "first_date": first.min(),
            "last_date": last.max(),
        }
    )


def _clusters(detections: gpd.GeoDataFrame, radius_m: float) -> npt.NDArray[np.int64]:
    """Number the cluster of each detection, by its first member."""
    members: dict[int, list[int]] = {}  # only of clusters that have grown beyond one
    cluster = np.arange(len(detections), dtype=np.int64)
    pairs = _linkable_pairs(detections, radius_m)
    linkable = set(pairs)
    for first, second in pairs:
        one, other = sorted((int(cluster[first]), int(cluster[second])))
        ours, theirs = members.get(one, [one]), members.get(other, [other])
        if one != other and all(_ordered(a, b) in linkable for a, b in product(ours, theirs)):
            members[one] = ours + theirs
            cluster[theirs] = one
    return cluster


def _ordered(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a < b else (b, a)


def _linkable_pairs(detections: gpd.GeoDataFrame, radius_m: float) -> list[tuple[int, int]]:
    """Pairs of rows that may be one site, nearest first."""
    if len(detections) < 2:
        return []
    to_xyz = Transformer.from_crs(4979, GEOCENTRIC, always_xy=True)
    lon, lat = detections["lon"].to_numpy(), detections["lat"].to_numpy()
    xyz = np.column_stack(to_xyz.transform(lon, lat, np.zeros(len(lon))))
    pairs = cKDTree(xyz).query_pairs(radius_m, output_type="ndarray")
    first, second = np.sort(pairs, axis=1).T
    may_join = _may_join(detections, first, second)
    first, second = first[may_join], second[may_join]
    distance_m = np.linalg.norm(xyz[first] - xyz[second], axis=1)
    nearest = np.lexsort((second, first, distance_m))
    return list(zip(first[nearest].tolist(), second[nearest].tolist(), strict=True))


def _may_join(
    detections: gpd.GeoDataFrame, first: npt.NDArray[np.intp], second: npt.NDArray[np.intp]
) -> npt.NDArray[np.bool_]:
    scene = pd.factorize(detections["scene_id"])[0]
    kind = pd.factorize(detections["site_class"])[0]
    may_join = (scene[first] != scene[second]) & (kind[first] == kind[second])
    alike = np.flatnonzero((scene[first] == scene[second]) & (kind[first] == kind[second]))
    footprints = detections.geometry.to_numpy()
    ours, theirs = footprints[first[alike]], footprints[second[alike]]
    # A share of areas is the same in degrees as in metres, because both axes only stretch.
    shared = shapely.area(shapely.intersection(ours, theirs))
    smaller = np.minimum(shapely.area(ours), shapely.area(theirs))
    may_join[alike] = shared >= DUPLICATE_OVERLAP * smaller
    return np.asarray(may_join)


def _site_ids(sites: pd.DataFrame) -> list[str]:
    """Name each site by its square; of two in one square, the worse gets -2."""
    rows, cols = CellGrid(SQUARE_M).cells_at(sites["lon"], sites["lat"])
    names = pd.Series([_base32(int(r) << 21 | int(c)) for r, c in zip(rows, cols, strict=True)])
    order = sites.reset_index(drop=True).sort_values(
        ["p_site", "lon", "lat"], ascending=[False, True, True], kind="stable"
    )
    nth = names[order.index].groupby(names[order.index]).cumcount().sort_index()
    return [f"KL-{name}{f'-{n + 1}' if n else ''}" for name, n in zip(names, nth, strict=True)]


def _base32(number: int) -> str:
    return "".join(BASE32[digit] for digit in _digits(number))


def _digits(number: int) -> Iterator[int]:
    return (number >> 5 * place & 31 for place in reversed(range(SITE_ID_DIGITS)))
