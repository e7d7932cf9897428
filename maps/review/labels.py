"""Decisions as labels: boxes that people confirmed, places they rejected, ground they saw empty."""

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pyproj import Geod

from maps.review.agreement import disagreements
from maps.review.consensus import UNREVIEWED, corrected_boxes, statuses
from maps.review.decisions import BOX, CONFIRMED, COUNTED, REJECTED, VERDICTS, latest
from tiles.tables import Column, TableSchema

SITE, NOT_SITE, DOUBTFUL = "site", "not_site", "doubtful"
# A rejected place says that no site stands in the middle of the picture, not in its corners.
REJECTED_SIDE_M = 200.0
GEOD = Geod(ellps="WGS84")

REVIEW_LABELS = TableSchema(
    name="review_labels",
    version=1,
    columns=(
        Column("place", "string", "name of the place; a site_id where it is a site of the run"),
        Column("label", "string", "site, not_site, or doubtful: unsure, disputed or another class"),
        Column("trusted", "bool", "a site that people agree on; what readers of labels call so"),
        Column("lon", "float64", "longitude of the middle, degrees, WGS 84"),
        Column("lat", "float64", "latitude of the middle, degrees, WGS 84"),
        Column("length_m", "float64", "long side in metres", nullable=True),
        Column("width_m", "float64", "short side in metres", nullable=True),
        Column("azimuth_deg", "float64", "long side, clockwise from true north", nullable=True),
        Column("moved", "bool", "a person moved or drew the box"),
        Column("status", "string", "confirmed, rejected, unsure, wrong_class or unreviewed"),
        Column("reviewers", "int64", "people who decided"),
        Column("agreed", "float64", "share of them that said what the status says"),
        Column("weight", "float64", "for training: agreed, times 1 - 1 / (reviewers + 1)"),
        Column("audit", "bool", "drawn for an audit sample: keep it out of training to test with"),
    ),
    geometry_doc="the box, a polygon; where nobody knows one, the middle, a point",
)
REVIEWED_GROUND = TableSchema(
    name="reviewed_ground",
    version=1,
    columns=(
        Column("place", "string", "name of the place or of the chip"),
        Column("sites", "int64", "sites that people saw in it beside those of the run; 0 is empty"),
        Column("side_m", "float64", "side of the square in metres"),
        Column("audit", "bool", "drawn for an audit sample"),
    ),
    geometry_doc="a square of ground that people looked at, a polygon",
)


def labels_of(placed: pd.DataFrame, sites: pd.DataFrame) -> gpd.GeoDataFrame:
    """The REVIEW_LABELS table: places with a verdict, and sites without one as doubtful.

    Args:
        placed: what `place_decisions` returns.
        sites: site_id, lon, lat, length_m, width_m, azimuth_deg; boxes of places nobody moved.
    """
    placed = placed[placed["decision"].isin(VERDICTS)]
    status = statuses(placed)
    votes = latest(placed[placed["place"].isin(status.index)], ["place", "reviewer", "stage"])
    table = votes.groupby("place").agg(
        lon=("lon", "first"),
        lat=("lat", "first"),
        reviewers=("reviewer", "nunique"),
        audit=("chip_id", lambda chips: bool((chips != "").any())),
    )
    table["status"] = status
    table["agreed"] = (
        (votes["decision"] == votes["place"].map(status)).groupby(votes["place"]).mean()
    )
    table = _with_boxes(table, sites, corrected_boxes(placed))
    disputed = table.index.isin(disagreements(placed)["place"])
    table["label"] = np.select(
        [disputed, table["status"] == CONFIRMED, table["status"] == REJECTED],
        [DOUBTFUL, SITE, NOT_SITE],
        DOUBTFUL,
    )
    table["trusted"] = table["label"] == SITE
    table["weight"] = table["agreed"] * (1 - 1 / (table["reviewers"] + 1))
    table["reviewers"] = table["reviewers"].astype("int64")
    boxes = table[["lon", "lat", "length_m", "width_m", "azimuth_deg"]].to_numpy(float)
    shapes = [_outline(*box) for box in boxes]
    labels = gpd.GeoDataFrame(table.reset_index(names="place"), geometry=shapes, crs="EPSG:4326")
    return _with_undecided(labels, sites)


def _with_undecided(labels: gpd.GeoDataFrame, sites: pd.DataFrame) -> gpd.GeoDataFrame:
    """The labels, and every site that nobody decided on: in a picture it is no empty ground."""
    rest = sites[~sites["site_id"].isin(labels["place"])]
    boxes = rest[["lon", "lat", "length_m", "width_m", "azimuth_deg"]]
    said: dict[str, str | bool | int | float] = {
        "label": DOUBTFUL,
        "trusted": False,
        "moved": False,
        "status": UNREVIEWED,
    }
    said |= {"reviewers": 0, "agreed": 0.0, "weight": 0.0, "audit": False}
    table = boxes.assign(place=rest["site_id"])
    for name, value in said.items():
        table[name] = value
    shapes = [_outline(*box) for box in boxes.to_numpy(float)]
    undecided = gpd.GeoDataFrame(table, geometry=shapes, crs="EPSG:4326")
    if undecided.empty:
        return labels
    joined = pd.concat([labels, undecided[labels.columns]], ignore_index=True)
    return gpd.GeoDataFrame(joined, geometry="geometry", crs="EPSG:4326")


def reviewed_ground(
    placed: pd.DataFrame, labels: pd.DataFrame, audit_side_m: float
) -> gpd.GeoDataFrame:
    """The REVIEWED_GROUND table: squares of an audit that were counted, and rejected places.

    Args:
        placed: what `place_decisions` returns.
        labels: what `labels_of` returns.
        audit_side_m: side of an audit's squares.
    """
    counted = placed[(placed["decision"] == COUNTED) & (placed["chip_id"] != "")]
    chips = latest(counted, ["chip_id"])
    rejected = labels[labels["label"] == NOT_SITE]
    table = pd.concat(
        [
            pd.DataFrame(
                {"place": chips["chip_id"], "lon": chips["lon"], "lat": chips["lat"]}
            ).assign(sites=chips["count"].astype("int64"), side_m=audit_side_m, audit=True),
            pd.DataFrame(rejected[["place", "lon", "lat", "audit"]]).assign(
                sites=0, side_m=REJECTED_SIDE_M
            ),
        ],
        ignore_index=True,
    ).astype({"sites": "int64", "side_m": "float64", "audit": "bool", "place": "object"})
    squares = [
        box_outline(lon, lat, side_m, side_m, 0.0)
        for lon, lat, side_m in table[["lon", "lat", "side_m"]].to_numpy(float)
    ]
    ground = table.drop(columns=["lon", "lat"])
    return gpd.GeoDataFrame(ground, geometry=squares, crs="EPSG:4326")


def box_outline(
    lon: float, lat: float, length_m: float, width_m: float, azimuth_deg: float
) -> shapely.Polygon:
    """An oriented box on the ellipsoid as a polygon in EPSG:4326."""
    half = np.hypot(length_m, width_m) / 2
    turn = np.degrees(np.arctan2(width_m, length_m))
    bearings = azimuth_deg + np.array([-turn, turn, 180 - turn, 180 + turn])
    across, up, _ = GEOD.fwd(np.full(4, lon), np.full(4, lat), bearings, np.full(4, half))
    return shapely.Polygon(np.column_stack([across, up]))


def _with_boxes(table: pd.DataFrame, sites: pd.DataFrame, corrected: pd.DataFrame) -> pd.DataFrame:
    """The run's own box of every place, and over it what a person corrected."""
    sides = ["length_m", "width_m", "azimuth_deg"]
    own = sites.set_index("site_id")[["lon", "lat", *sides]].reindex(table.index)
    drawn = corrected[list(BOX)].rename(columns={"moved_lon": "lon", "moved_lat": "lat"})
    drawn = drawn.reindex(table.index)
    for name in ("lon", "lat"):
        table[name] = drawn[name].fillna(own[name]).fillna(table[name])
    for name in sides:
        table[name] = drawn[name].fillna(own[name])
    table["moved"] = drawn["lon"].notna()
    return table


def _outline(
    lon: float, lat: float, length_m: float, width_m: float, azimuth_deg: float
) -> shapely.Geometry:
    if np.isnan(length_m) or np.isnan(width_m):
        return shapely.Point(lon, lat)
    return box_outline(lon, lat, length_m, width_m, np.nan_to_num(azimuth_deg))
