"""From decisions to one status a place: whose place it is, who agreed, and what is in dispute."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from maps.review.decisions import (
    ADJUDICATION,
    CONFIRMED,
    COUNTED,
    REVIEW,
    UNSURE,
    VERDICTS,
    latest,
)
from tiles.matching import EARTH_RADIUS_M, ELLIPSOID, match_places

UNREVIEWED = "unreviewed"
REVIEW_STATUSES = (UNREVIEWED, *VERDICTS)
# A run made again with other weights puts a box some pixels away; kilns under 100 m apart are 2 %.
SAME_PLACE_M = 50.0


def place_decisions(decisions: pd.DataFrame, sites: pd.DataFrame) -> pd.DataFrame:
    """Say which place each decision is about.

    A decision belongs to the site of its name where that lies within 50 m of where the decision
    was made, else to the nearest site within 50 m that no nearer place takes. What belongs to no
    site keeps a place of its own, so that nothing is lost.

    Args:
        decisions: a decisions table.
        sites: site_id, lon, lat.

    Returns:
        The decisions with `place` (name of the place; of a square of ground its chip), `known`
        (whether it is one of `sites`) and `answer` (the decision, or the number that was counted).
    """
    is_ground = (decisions["chip_id"] != "") & (decisions["site_id"] == "")
    ground = is_ground.to_numpy(bool)
    asked = decisions.loc[~ground, ["site_id", "lon", "lat"]].drop_duplicates(ignore_index=True)
    place = _named(asked, sites)
    rest = np.flatnonzero(place == "")
    free = sites[~sites["site_id"].isin(set(place))]
    pairs = match_places(asked.iloc[rest], free, SAME_PLACE_M)
    place[rest[pairs.first]] = free["site_id"].to_numpy()[pairs.second]
    known = place != ""
    lost = np.flatnonzero(~known)
    place[lost] = _own_places(asked.iloc[lost])
    found = asked.assign(place=place, known=known)
    placed = decisions.merge(found, on=["site_id", "lon", "lat"], how="left")
    placed["place"] = placed["place"].where(~ground, placed["chip_id"])
    placed["known"] = np.where(ground, False, placed["known"]).astype(bool)
    number = placed["count"].fillna(0).astype("int64").astype(str)
    placed["answer"] = placed["decision"].where(placed["decision"] != COUNTED, number)
    return placed


def statuses(placed: pd.DataFrame) -> "pd.Series[str]":
    """The answer that stands for every place, by place; of places one of VERDICTS.

    An adjudication stands over all; else what every reviewer says alike. Where they differ, it is
    unsure until somebody adjudicates: nothing disputed is confirmed.
    """
    votes = votes_of(placed)
    judged = votes[votes["stage"] == ADJUDICATION]
    last_word = latest(judged, ["place"]).set_index("place")["answer"]
    first_round = votes[votes["stage"] == REVIEW].groupby("place")["answer"]
    agreed = first_round.first().where(first_round.nunique() == 1, UNSURE)
    status = agreed.reindex(agreed.index.union(last_word.index)).astype(object)
    status.update(last_word)
    return status


def review_status(sites: pd.DataFrame, decisions: pd.DataFrame) -> "pd.Series[str]":
    """The status of each site, in the order of the sites: one of REVIEW_STATUSES."""
    placed = place_decisions(decisions, sites)
    found = statuses(placed[placed["known"]])
    return sites["site_id"].map(found).astype(object).fillna(UNREVIEWED)


def votes_of(placed: pd.DataFrame) -> pd.DataFrame:
    """The last answer of each reviewer on each place, in each stage."""
    return latest(placed, ["place", "reviewer", "stage"])


def corrected_boxes(placed: pd.DataFrame) -> pd.DataFrame:
    """The corrected box of each place that has one: an adjudicator's, else the last, by place."""
    boxed = placed[placed["moved_lon"].notna() & (placed["decision"] == CONFIRMED)]
    last = latest(boxed, ["place", "stage"])
    return last.sort_values("stage", kind="stable").drop_duplicates("place").set_index("place")


def _named(asked: pd.DataFrame, sites: pd.DataFrame) -> npt.NDArray[np.object_]:
    """The site of each row's own name where it lies near enough to be that place, else ""."""
    at = sites.set_index("site_id")[["lon", "lat"]].reindex(asked["site_id"])
    there = at["lon"].notna().to_numpy()
    near = np.zeros(len(asked), dtype=bool)
    near[there] = _apart_m(asked[there], at[there]) <= SAME_PLACE_M
    return np.where(near, asked["site_id"].to_numpy(dtype=object), "").astype(object)


def _apart_m(one: pd.DataFrame, other: pd.DataFrame) -> npt.NDArray[np.float64]:
    from_lon, from_lat = (one[name].to_numpy(float) for name in ("lon", "lat"))
    to_lon, to_lat = (other[name].to_numpy(float) for name in ("lon", "lat"))
    return np.asarray(ELLIPSOID.inv(from_lon, from_lat, to_lon, to_lat)[2])


def _own_places(asked: pd.DataFrame) -> list[str]:
    """Names for rows of no known site: alike where the name is and they lie within 50 m."""
    if asked.empty:
        return []
    across, up = (np.radians(asked[name].to_numpy(float)) for name in ("lon", "lat"))
    xyz = [np.cos(up) * np.cos(across), np.cos(up) * np.sin(across), np.sin(up)]
    tree = cKDTree(EARTH_RADIUS_M * np.column_stack(xyz))
    one, other = tree.query_pairs(SAME_PLACE_M, output_type="ndarray").T
    names = asked["site_id"].to_numpy()
    alike = names[one] == names[other]
    links = coo_matrix((np.ones(alike.sum()), (one[alike], other[alike])), shape=(len(asked),) * 2)
    label = connected_components(links, directed=False)[1]
    first = asked.assign(label=label).groupby("label")[["site_id", "lon", "lat"]].transform("first")
    return [
        f"{name or 'added'} at {lat:.5f}, {lon:.5f}"
        for name, lon, lat in zip(first["site_id"], first["lon"], first["lat"], strict=True)
    ]
