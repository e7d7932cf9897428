"""Which site to look at first, and why, in words about imagery and area only."""

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field
from pyproj import Geod

from maps.hotspots import NOT_TESTED
from maps.linking import SITES
from maps.review.consensus import UNREVIEWED
from maps.wording import share
from models.site_class import Limits, SiteClass

Floats = npt.NDArray[np.float64]

HOTSPOT_SHARE = {"hot_99": 1.0, "hot_95": 0.8, "hot_90": 0.6}  # strongest class first, evenly down
# Words for how well a size fits: 0.5 is half of the way from the limit to the usual range.
SIZE_WORDS = (
    (0.999, "a usual size"),
    (0.5, "towards the edge of the usual sizes"),
    (0.0, "an unusual size"),
)
HALF_WORTH_KM = 50.0  # two hours there and back on country roads: half of a short day
PRIORITY_DECIMALS = 6  # ties are ties: sums in another order must not reshuffle the list


class Base(BaseModel):
    """Where a team sets out from, in degrees, WGS 84."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lon: float = Field(ge=-180, le=180)
    lat: float = Field(ge=-90, le=90)


class PriorityWeights(BaseModel):
    """How much each column counts in a team's list; only their proportions matter.

    None of them knows of reports, and none can be added: the tier of a team's list never holds a
    statement that there are reports at or near a site, and an order that mixed in a group's
    reporting rate would be one. Whoever holds the other columns can read the rates off the order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    p_site: float = Field(default=0.6, gt=0)
    """A visit to a place that is no site is lost: this counts most. Above zero, so the sum is."""
    hotspot: float = Field(default=0.2, ge=0)
    """Several sites within a drive of each other."""
    size_fit: float = Field(default=0.1, ge=0)
    """Boxes of unusual size are more often something else, or badly placed."""
    travel: float = Field(default=0.1, ge=0)
    """Near places first; counts for nothing without a base."""


def rank_sites(
    sites: gpd.GeoDataFrame,
    hotspots: pd.DataFrame,
    site_class: SiteClass,
    weights: PriorityWeights | None = None,
    base: Base | None = None,
) -> gpd.GeoDataFrame:
    """Return the full SITES table, first rank first.

    The priority is the weighted mean of columns in [0, 1]: p_site, the hotspot class of the cell,
    how usual the size is and how near the base. All are of imagery and area: a figure of reports,
    even a noised one of a whole group, could be read back from the order of the list.

    Args:
        sites: what `link_sites` returns, and maybe `review_status`; unreviewed where it is absent.
        hotspots: what `find_hotspots` returns.
        site_class: usual sizes and the name of what is looked for.
        weights: how much each column counts.
        base: where the team sets out from.
    """
    table = sites.copy()
    if "review_status" not in table:
        table["review_status"] = UNREVIEWED
    table["size_fit"] = size_fit(table, site_class)
    classes = hotspots.set_index("cell_id")["hotspot_class"]
    table["hotspot_class"] = table["cell_id"].map(classes).fillna(NOT_TESTED)
    shares = imagery_shares(table, base)
    table["priority"] = weighted_mean(shares, (weights or PriorityWeights()).model_dump())
    table = table.sort_values(
        ["priority", "p_site", "site_id"], ascending=[False, False, True], kind="stable"
    ).reset_index(drop=True)
    table["rank"] = np.arange(1, len(table) + 1, dtype=np.int64)
    table["reason"] = [reason(row, site_class) for row in table.to_dict("records")]
    return table[[*SITES.column_names, "geometry"]]


def imagery_shares(sites: pd.DataFrame, base: Base | None) -> dict[str, Floats]:
    """Return the columns of a team's priority in [0, 1]; `travel` only where there is a base.

    Args:
        sites: p_site, hotspot_class, size_fit, lon, lat.
        base: where the team sets out from.
    """
    shares = {
        "p_site": sites["p_site"].to_numpy(dtype=np.float64),
        "hotspot": sites["hotspot_class"].map(HOTSPOT_SHARE).fillna(0.0).to_numpy(),
        "size_fit": sites["size_fit"].to_numpy(),
    }
    if base is not None:
        shares["travel"] = 1 / (1 + travel_km(sites, base) / HALF_WORTH_KM)
    return shares


def weighted_mean(shares: dict[str, Floats], weights: dict[str, float]) -> Floats:
    """Return the mean of shares; weights of columns that are not there count for nothing."""
    total = sum(weights[name] * share for name, share in shares.items())
    return np.round(total / sum(weights[name] for name in shares), PRIORITY_DECIMALS)


def travel_km(sites: pd.DataFrame, base: Base) -> Floats:
    """Return the distance from the base in km along the ellipsoid; roads are longer."""
    lon, lat = (sites[axis].to_numpy(dtype=np.float64) for axis in ("lon", "lat"))
    from_lon, from_lat = np.full(len(lon), base.lon), np.full(len(lat), base.lat)
    return np.asarray(Geod(ellps="WGS84").inv(from_lon, from_lat, lon, lat)[2]) / 1000


def size_fit(sites: pd.DataFrame, site_class: SiteClass) -> Floats:
    """Return 1 in the middle half of the class's range of lengths and widths, 0 outside it."""
    length = _fit(sites["length_m"].to_numpy(), site_class.length_m)
    return np.minimum(length, _fit(sites["width_m"].to_numpy(), site_class.width_m))


def _fit(value: Floats, limits: Limits) -> Floats:
    quarter = max((limits.high - limits.low) / 4, 1e-9)
    from_end = np.minimum(value - limits.low, limits.high - value)
    return np.clip(from_end / quarter, 0.0, 1.0)


def reason(site: dict[str, object], site_class: SiteClass) -> str:
    """Say why a site stands where it stands: imagery and area, never reports."""
    p_site, low, high = (float(str(site[name])) for name in ("p_site", "p_low", "p_high"))
    parts = [
        f"{_how_likely(p_site)} a {site_class.title.lower()} "
        f"({share(p_site)}, 90 % interval {share(low)} to {share(high)})",
        _size(site),
    ]
    if site["hotspot_class"] in HOTSPOT_SHARE:
        sure = str(site["hotspot_class"]).removeprefix("hot_")
        parts.append(f"in a hotspot ({sure} %): sites are denser here than by chance")
    scenes = int(str(site["n_scenes"]))
    parts.append(f"seen in {scenes} images" if scenes > 1 else "seen in one image")
    if site["unfamiliar"]:
        parts.append("the imagery here is unlike what the detector learned from: look first")
    return "; ".join(parts) + "."


def _how_likely(p_site: float) -> str:
    words = ((0.9, "Very likely"), (0.7, "Likely"), (0.5, "More likely than not"))
    return next((word for least, word in words if p_site >= least), "Possibly")


def _size(site: dict[str, object]) -> str:
    fit = float(str(site["size_fit"]))
    usual = next(word for least, word in SIZE_WORDS if fit >= least)
    return f"{site['length_m']:.0f} m by {site['width_m']:.0f} m, {usual}"
