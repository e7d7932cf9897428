"""The operator's own table: every site with columns that stand apart, and ranks with intervals.

It is for the operator alone, who decides where teams go. It may weigh in the reporting rate of the
group a site lies in; a team's list (`maps.priority`, `maps.team_list`) never does. All columns come
from tables that are published or stay beside this one: the noised counts are the only thing of the
reports that gets here.

The priority is the weighted mean of shares in [0, 1]. A reporting rate counts as far as it is sure,
by the lower end of its interval: noise and a handful of false reporters move that least. Ranks are
by priority alone; their 90 % interval comes from drawing it anew: probabilities by the error of the
calibration curve, of which half the variance is taken as common to all sites and half as a site's
own, and each group's reporting rate by the log-normal error that its interval speaks of.
"""

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from maps.expected import Z_90
from maps.priority import Base, imagery_shares, travel_km, weighted_mean
from maps.team_list import Choice, spread_groups
from models.site_class import SiteClass
from tiles.tables import Column, TableSchema

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DRAWS = 100  # ends of 90 % intervals of ranks are then the fifth lowest and highest of a hundred
UNHEARD = "unheard"
LEAST_P = 1e-4  # log-odds need a probability inside (0, 1); four decimals are kept anyway

PRIORITIES = TableSchema(
    name="priorities",
    version=1,
    columns=(
        Column("site_id", "string", "the site, as in sites.parquet"),
        Column("site_class", "string", "name of the site class"),
        Column("cell_id", "string", "5 km cell that holds it"),
        Column("group_id", "string", "group of cells that holds it", nullable=True),
        Column("area", "string", "district, or 40 km square: every one keeps a floor in lists"),
        Column("p_site", "float64", "calibrated probability that this is a site of the class"),
        Column("p_low", "float64", "lower end of its 90 % interval"),
        Column("p_high", "float64", "upper end of its 90 % interval"),
        Column("p_active", "float64", "1: taken as at work, since nothing measures it yet"),
        Column("workers_low", "int64", "people at one site of the class, if it is one: few"),
        Column("workers_mid", "int64", "the same, usual; an order of magnitude"),
        Column("workers_high", "int64", "the same, many"),
        Column(
            "report_rate_ratio", "float64", "the group's reporting rate / median", nullable=True
        ),
        Column("report_rate_ratio_low", "float64", "lower end, 90 %", nullable=True),
        Column("report_rate_ratio_high", "float64", "upper end, 90 %", nullable=True),
        Column("evidence_class", "string", "of the group", nullable=True),
        Column("value_of_information", "float64", "what a visit would teach, 0 to 1"),
        Column("travel_km", "float64", "from the base, as the crow flies", nullable=True),
        Column("hotspot_class", "string", "hotspot class of the cell"),
        Column("size_fit", "float64", "how usual its length and width are, 0 to 1"),
        Column("priority", "float64", "weighted mean that orders this table; no probability"),
        Column("rank", "int64", "place by priority, 1 first"),
        Column("rank_low", "int64", "lower (better) end of its 90 % interval"),
        Column("rank_high", "int64", "upper end of its 90 % interval"),
        Column("place", "int64", "as rank, no group with more than one of 25 places"),
        Column("team_rank", "int64", "rank in sites.parquet: by imagery and area alone"),
        Column(
            "team_place", "int64", "place in the team's list; missing: not in it", nullable=True
        ),
        Column("team_selection", "string", "ranked, floor, random or not_listed"),
        Column("random_probability", "float64", "chance of being drawn into the random sample"),
        Column("reason", "string", "of the team's list: imagery and area only"),
    ),
    geometry_doc="centre of the site, a point",
)


class OperatorWeights(BaseModel):
    """How much each column counts in the operator's own order; only proportions matter."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    p_site: float = Field(default=0.4, gt=0)
    """Above zero, so that the sum is."""
    report_rate_ratio: float = Field(default=0.4, ge=0)
    """As much as being a site: what is looked for is people, and they are what reports speak of."""
    value_of_information: float = Field(default=0.1, ge=0)
    """Unsure and unheard places are never visited otherwise."""
    hotspot: float = Field(default=0.1, ge=0)
    size_fit: float = Field(default=0.05, ge=0)
    workers: float = Field(default=0.0, ge=0)
    """Alike for all sites of one class; counts where a class file tells sizes apart."""
    travel: float = Field(default=0.1, ge=0)
    """Counts for nothing without a base."""


def prioritise(
    ranked: gpd.GeoDataFrame,
    groups: pd.DataFrame,
    partition: pd.DataFrame,
    site_class: SiteClass,
    areas: "pd.Series[str]",
    chosen: Choice,
    weights: OperatorWeights,
    base: Base | None = None,
    seed: int = 1,
) -> gpd.GeoDataFrame:
    """Return the PRIORITIES table, first place first.

    Args:
        ranked: a SITES table, as `rank_sites` returns it.
        groups: a GROUPS table.
        partition: group_id and cell_ids of the same groups.
        site_class: people at one site.
        areas: district or square of each site, in the order of `ranked`.
        chosen: the team's list, from `choose_list` on `ranked`.
        weights: how much each column counts.
        base: where a team sets out from.
        seed: of the draws for the intervals.
    """
    table = ranked.rename(columns={"rank": "team_rank"}).drop(columns="priority")
    table["area"] = areas.to_numpy()
    table["p_active"] = 1.0
    for end, people in site_class.workers_per_site.model_dump().items():
        table[f"workers_{end}"] = np.full(len(table), people, dtype=np.int64)
    for name, values in _of_groups(table["cell_id"], groups, partition).items():
        table[name] = values
    table["value_of_information"] = value_of_information(
        table["p_site"].to_numpy(), (table["evidence_class"] == UNHEARD).to_numpy()
    )
    table["travel_km"] = np.nan if base is None else travel_km(table, base)
    table["priority"] = operator_priority(table, weights, base)
    table["rank"] = _ranks(table["priority"].to_numpy())
    table["rank_low"], table["rank_high"] = rank_intervals(table, weights, base, seed)
    table["place"] = spread_groups(table["rank"].to_numpy(), table["group_id"])
    table["team_place"], table["team_selection"] = chosen.place, chosen.selection
    table["random_probability"] = chosen.random_probability
    table = table.sort_values("place", ignore_index=True)
    return gpd.GeoDataFrame(table[[*PRIORITIES.column_names, "geometry"]], crs=ranked.crs)


def value_of_information(p_site: Floats, unheard: npt.NDArray[np.bool_]) -> Floats:
    """Return what a visit would teach: 4 p (1 - p), or p_site where nobody can report.

    The first is the variance of "it is a site" as a share of the largest, at even odds; the second
    says that in an unheard group a real site is where nothing else would ever tell.
    """
    unsure = 4 * p_site * (1 - p_site)
    return np.asarray(np.where(unheard, np.maximum(unsure, p_site), unsure))


def operator_priority(table: pd.DataFrame, weights: OperatorWeights, base: Base | None) -> Floats:
    """Return the weighted mean of the columns' shares; see the module's text."""
    return weighted_mean(operator_shares(table, base), weights.model_dump())


def operator_shares(table: pd.DataFrame, base: Base | None) -> dict[str, Floats]:
    """Return the columns of the operator's priority in [0, 1]."""
    people = table["workers_mid"].to_numpy(dtype=np.float64)
    return imagery_shares(table, base) | {
        "report_rate_ratio": ratio_share(table["report_rate_ratio_low"].to_numpy()),
        "value_of_information": table["value_of_information"].to_numpy(),
        "workers": people / max(float(people.max(initial=0.0)), 1.0),
    }


def ratio_share(ratio: Floats) -> Floats:
    """Return a share in [0, 1): half at the usual rate, two thirds at twice it.

    A site whose group has no rate stands in the middle: neither heard nor silent.
    """
    known = np.isfinite(ratio)
    middle = np.median(ratio[known]) if known.any() else 1.0
    surely = np.where(known, ratio, middle)
    return np.asarray(surely / (1 + surely))


def rank_intervals(
    table: pd.DataFrame, weights: OperatorWeights, base: Base | None, seed: int
) -> tuple[Ints, Ints]:
    """Return the 5 and 95 % points of each site's rank over draws of what is uncertain."""
    rng = np.random.default_rng(seed)
    shares, factors = operator_shares(table, base), weights.model_dump()
    p, sd_logit = _logits(table)
    ratio, sd_ratio, group = _ratios(table)
    unheard = (table["evidence_class"] == UNHEARD).to_numpy()
    ranks = np.empty((DRAWS, len(table)), dtype=np.int32)
    for draw in range(DRAWS):
        common, own = rng.normal(), rng.normal(size=len(table))
        of_group = rng.normal(size=group.max(initial=-1) + 1)
        p_site = 1 / (1 + np.exp(-p - sd_logit * (common + own) * np.sqrt(0.5)))
        drawn = {
            "p_site": p_site,
            "report_rate_ratio": ratio_share(ratio * np.exp(sd_ratio * of_group[group])),
            "value_of_information": value_of_information(p_site, unheard),
        }
        ranks[draw] = _ranks(weighted_mean(shares | drawn, factors))
    ranks.partition([4, DRAWS - 5], axis=0)
    own_rank = table["rank"].to_numpy()
    low, high = (ranks[at].astype(np.int64) for at in (4, DRAWS - 5))
    return np.minimum(low, own_rank), np.maximum(high, own_rank)


def _ranks(priority: Floats) -> Ints:
    """Rank 1 for the highest; ties in the order of the rows, which is the team's."""
    ranks = np.empty(len(priority), dtype=np.int64)
    ranks[np.argsort(-priority, kind="stable")] = np.arange(1, len(priority) + 1)
    return ranks


def _logits(table: pd.DataFrame) -> tuple[Floats, Floats]:
    p, low, high = (
        np.clip(table[name].to_numpy(dtype=np.float64), LEAST_P, 1 - LEAST_P)
        for name in ("p_site", "p_low", "p_high")
    )
    logit = [np.log(value / (1 - value)) for value in (p, low, high)]
    return logit[0], (logit[2] - logit[1]) / (2 * Z_90)


def _ratios(table: pd.DataFrame) -> tuple[Floats, Floats, Ints]:
    """Lower end of the ratio, standard deviation of its logarithm, and the number of the group."""
    low, high = (
        table[f"report_rate_ratio_{end}"].to_numpy(dtype=np.float64) for end in ("low", "high")
    )
    group = pd.factorize(table["group_id"].fillna(""))[0].astype(np.int64)
    return low, np.log(high / low) / (2 * Z_90), group


def _of_groups(
    cell_ids: pd.Series, groups: pd.DataFrame, partition: pd.DataFrame
) -> dict[str, pd.Series]:
    """What the group of each site's cell says: its rate as a share of the median, its class."""
    members = partition[["group_id", "cell_ids"]].explode("cell_ids")
    group_id = cell_ids.map(members.set_index("cell_ids")["group_id"])
    by_group = groups.set_index("group_id")
    usual = by_group["report_rate"].median()
    found = {"group_id": group_id, "evidence_class": group_id.map(by_group["evidence_class"])}
    for end in ("", "_low", "_high"):
        rate = group_id.map(by_group[f"report_rate{end}"]).astype("float64")
        found[f"report_rate_ratio{end}"] = rate / usual
    return found
