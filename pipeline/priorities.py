"""The [priority] section of a run file, and the two lists made by it: team's and operator's."""

from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from pydantic import BaseModel, ConfigDict, Field

from maps.boundaries import Districts
from maps.outcomes import visited
from maps.priorities import PRIORITIES, OperatorWeights, prioritise
from maps.priority import Base, PriorityWeights, rank_sites
from maps.team_list import NOT_LISTED, Choice, choose_list, squares
from models.site_class import SiteClass
from tiles.tables import write_table

FOR_OWNER = 0o600


class PrioritySettings(BaseModel):
    """Which sites come first, and for whom.

    Attributes:
        team: weights of a team's list; of imagery and area alone.
        operator: weights of the operator's own table, which may use the reporting rate.
        base: where a team sets out from; distance counts for nothing without one.
        list_size: sites in the team's list; all of them when absent.
        random_share: share of a list of limited size that is drawn at random.
        area_floor: sites that every district keeps in it; 40 km squares where none are given.
        seed: of the random share and of the intervals of ranks.
        access: raster of population or phone coverage; reporting rates then count who can report.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    team: PriorityWeights = PriorityWeights()
    operator: OperatorWeights = OperatorWeights()
    base: Base | None = None
    list_size: int | None = Field(default=None, ge=1)
    random_share: float = Field(default=0.15, ge=0.1, le=0.2)
    area_floor: int = Field(default=1, ge=0)
    seed: int = Field(default=1, ge=0)
    access: Path | None = None


@dataclass(frozen=True)
class Lists:
    """Every site in the team's order, the team's list, and the operator's table."""

    ranked: gpd.GeoDataFrame
    team: gpd.GeoDataFrame
    operator: gpd.GeoDataFrame


def make_lists(
    sites: gpd.GeoDataFrame,
    hotspots: pd.DataFrame,
    groups: pd.DataFrame,
    partition: pd.DataFrame,
    site_class: SiteClass,
    settings: PrioritySettings,
    districts: Districts | None = None,
    outcomes: pd.DataFrame | None = None,
) -> Lists:
    """Rank sites for a team by imagery and area, and for the operator by all that is known.

    Places that teams were at (`outcomes`) stay in the survey and leave the team's list.
    """
    ranked = rank_sites(sites, hotspots, site_class, settings.team, settings.base)
    areas = areas_of(ranked, districts)
    chosen = _choose_unvisited(ranked, areas, outcomes, site_class.merge_radius_m, settings)
    listed = ranked.assign(rank=chosen.place).dropna(subset=["rank"])
    listed = listed.astype({"rank": "int64"}).sort_values("rank", ignore_index=True)
    operator = prioritise(
        ranked,
        groups,
        partition,
        site_class,
        areas,
        chosen,
        settings.operator,
        settings.base,
        settings.seed,
    )
    return Lists(ranked=ranked, team=listed, operator=operator)


def _choose_unvisited(
    ranked: pd.DataFrame,
    areas: "pd.Series[str]",
    outcomes: pd.DataFrame | None,
    radius_m: float,
    settings: PrioritySettings,
) -> Choice:
    """The team's list of the sites that nobody was at, in the order of all ranked ones."""
    count = len(ranked)
    left = np.ones(count, dtype=np.bool_)
    if outcomes is not None:
        left = ~visited(ranked, outcomes, radius_m)
    chosen = choose_list(
        ranked[left],
        areas[left],
        settings.list_size,
        settings.random_share,
        settings.area_floor,
        settings.seed,
    )
    place, selection = np.full(count, np.nan), np.full(count, NOT_LISTED, dtype="<U10")
    chance = np.zeros(count)
    place[left], selection[left] = chosen.place, chosen.selection
    chance[left] = chosen.random_probability
    return Choice(place, selection, chance)


def write_operator_list(table: gpd.GeoDataFrame, folder: Path) -> None:
    """Write priorities.parquet, which never leaves the operator."""
    path = folder / f"{PRIORITIES.name}.parquet"
    write_table(table, path, PRIORITIES)
    path.chmod(FOR_OWNER)


def areas_of(sites: pd.DataFrame, districts: Districts | None) -> "pd.Series[str]":
    """Return the district of each site; its 40 km square where there is none."""
    square = squares(sites["cell_id"])
    if districts is None or sites.empty:
        return square
    points = shapely.points(sites["lon"].to_numpy(), sites["lat"].to_numpy())
    site, district = shapely.STRtree(districts.polygons).query(points, predicate="intersects")
    name = pd.Series(square.to_numpy(dtype=object), index=sites.index)
    # On a border two districts hold a site: the first by name, whatever the order of the file.
    name.iloc[site[::-1]] = np.array(districts.names, dtype=object)[district[::-1]]
    return name
