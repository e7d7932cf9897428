"""Two surveys of the same ground, or a survey and a list: what is in both, in one, or not seen."""

from collections.abc import Callable
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from maps.expected import COUNTED_FROM, Recall
from tiles.coverage import SEARCHED
from tiles.matching import Offset, Pairs, estimate_offset, match_places
from tiles.tables import Column, TableSchema

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

# Of two surveys, the earlier first.
OF_RUNS = ("unchanged", "new", "gone", "not_seen_before", "not_seen_after", "unsure")
# Of a survey and a list.
OF_LIST = ("matched", "missed", "extra", "not_seen", "unsure")

COMPARISON = TableSchema(
    name="comparison",
    version=1,
    columns=(
        Column("place_id", "string", "site_id, or row of the list as list-12 (first row: 1)"),
        Column("status", "string", "one of " + ", ".join(dict.fromkeys((*OF_RUNS, *OF_LIST)))),
        Column("first_id", "string", "site_id in the first survey", nullable=True),
        Column("second_id", "string", "site_id in the second, or row of the list", nullable=True),
        Column("lon", "float64", "longitude, degrees, WGS 84; of a list's place as corrected"),
        Column("lat", "float64", "latitude, degrees, WGS 84; of a list's place as corrected"),
        Column("distance_m", "float64", "between the two, in metres", nullable=True),
        Column("p_first", "float64", "p_site in the first survey", nullable=True),
        Column("p_second", "float64", "p_site in the second survey", nullable=True),
        Column("seen_first", "bool", "the ground was searched in the first survey"),
        Column("seen_second", "bool", "the same in the second; true for a list"),
    ),
    geometry_doc="the place, a point",
)


@dataclass(frozen=True)
class Looked:
    """One survey, as far as a comparison needs it.

    Attributes:
        sites: site_id, lon, lat, p_site.
        status_at: Coverage status of positions (lon, lat); see `tiles.coverage`.
        recall: Of its weights.
    """

    sites: pd.DataFrame
    status_at: Callable[[Floats, Floats], npt.NDArray[np.str_]]
    recall: Recall

    def seen(self, places: pd.DataFrame) -> Bools:
        """Whether the ground at each place was searched."""
        status = self.status_at(places["lon"].to_numpy(float), places["lat"].to_numpy(float))
        return np.isin(status, SEARCHED)


@dataclass(frozen=True)
class Comparison:
    """What came out.

    Attributes:
        table: A COMPARISON table.
        offset: What was added to the list's positions; nothing between surveys.
        by_chance: Sites of the first survey that the second would lack if nothing had changed and
            misses were independent; None against a list.
    """

    table: gpd.GeoDataFrame
    offset: Offset
    by_chance: float | None = None

    def count(self, status: str) -> int:
        """Places of a status."""
        return int((self.table["status"] == status).sum())


def compare_runs(first: Looked, second: Looked, within_m: float) -> Comparison:
    """Compare two surveys, the earlier first.

    A site that only one survey found is `new` or `gone` where the other searched its ground, else
    not seen there. Sites are paired whatever their p_site, but a difference counts only where
    p_site is 0.5 or more: `unsure` else.

    Args:
        first: The earlier survey.
        second: The later one.
        within_m: Farther apart two sites are two places; the class's match tolerance.
    """
    pairs = match_places(first.sites, second.sites, within_m)
    both = _joined(first.sites, second.sites, pairs)
    only_first = _alone(first.sites, pairs.first, "first")
    only_second = _alone(second.sites, pairs.second, "second")
    table = pd.concat([both, only_first, only_second], ignore_index=True)
    table["seen_first"], table["seen_second"] = first.seen(table), second.seen(table)
    there, here = table["p_first"].notna(), table["p_second"].notna()
    counted = table[["p_first", "p_second"]].max(axis=1) >= COUNTED_FROM
    table["status"] = np.select(
        [
            ~counted,
            there & here,
            there & table["seen_second"],
            there,
            table["seen_first"],
        ],
        ["unsure", "unchanged", "gone", "not_seen_after", "new"],
        "not_seen_before",
    )
    return Comparison(_finished(table), Offset(), _by_chance(table, second.recall))


def compare_list(
    found: Looked, listed: pd.DataFrame, within_m: float, offset: Offset | None = None
) -> Comparison:
    """Compare a survey with a list of known places, whose own displacement is taken out first.

    Args:
        found: The survey.
        listed: Columns lon, lat.
        within_m: Farther apart a site and a listed place are two places.
        offset: What to add to the list; estimated when None.
    """
    offset = estimate_offset(listed, found.sites) if offset is None else offset
    places = offset.moved(listed[["lon", "lat"]].astype(float).reset_index(drop=True))
    places = places.assign(site_id=[f"list-{row}" for row in range(1, len(places) + 1)])
    places["p_site"] = np.nan
    pairs = match_places(found.sites, places, within_m)
    both = _joined(found.sites, places, pairs)
    only_found = _alone(found.sites, pairs.first, "first")
    only_listed = _alone(places, pairs.second, "second")
    table = pd.concat([both, only_found, only_listed], ignore_index=True)
    table["seen_first"], table["seen_second"] = found.seen(table), True
    is_listed, is_found = table["second_id"].notna(), table["first_id"].notna()
    table["status"] = np.select(
        [
            is_listed & is_found,
            is_found & (table["p_first"] >= COUNTED_FROM),
            is_found,
            table["seen_first"],
        ],
        ["matched", "extra", "unsure", "missed"],
        "not_seen",
    )
    return Comparison(_finished(table), offset)


def _joined(first: pd.DataFrame, second: pd.DataFrame, pairs: Pairs) -> pd.DataFrame:
    """A row a pair, at the second's place: it is the later look, or the corrected list."""
    one, other = first.iloc[pairs.first], second.iloc[pairs.second]
    return pd.DataFrame(
        {
            "place_id": other["site_id"].to_numpy(object),
            "first_id": one["site_id"].to_numpy(object),
            "second_id": other["site_id"].to_numpy(object),
            "lon": other["lon"].to_numpy(float),
            "lat": other["lat"].to_numpy(float),
            "distance_m": pairs.distance_m.round(1),
            "p_first": one["p_site"].to_numpy(float),
            "p_second": other["p_site"].to_numpy(float),
        }
    )


def _alone(places: pd.DataFrame, paired: npt.NDArray[np.int64], which: str) -> pd.DataFrame:
    """The rows that have no pair."""
    rest = places.iloc[np.setdiff1d(np.arange(len(places)), paired)]
    table = pd.DataFrame(
        {
            "place_id": rest["site_id"].to_numpy(object),
            "lon": rest["lon"].to_numpy(float),
            "lat": rest["lat"].to_numpy(float),
        }
    )
    for side in ("first", "second"):
        own = side == which
        table[f"{side}_id"] = rest["site_id"].to_numpy(object) if own else None
        table[f"p_{side}"] = rest["p_site"].to_numpy(float) if own else np.nan
    return table.assign(distance_m=np.nan)


def _finished(table: pd.DataFrame) -> gpd.GeoDataFrame:
    points = gpd.points_from_xy(table["lon"], table["lat"], crs="EPSG:4326")
    frame = gpd.GeoDataFrame(table, geometry=points)
    return frame.sort_values(["status", "place_id"], ignore_index=True)


def _by_chance(table: pd.DataFrame, recall: Recall) -> float:
    """Of the first survey's counted sites on ground that both saw: those false or missed again.

    A false detection is taken not to come twice, and misses to be independent between surveys;
    what is hard to see once is hard to see twice, so the true figure is lower.
    """
    counted = table[(table["p_first"] >= COUNTED_FROM) & table["seen_second"]]
    p = counted["p_first"].to_numpy(float)
    return float((p * (1 - recall.mean) + (1 - p)).sum())
