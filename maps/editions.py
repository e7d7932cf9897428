"""From a survey's tables to what a tier's folder is made of, for previews and publication alike."""

from dataclasses import dataclass

import geopandas as gpd
import pandas as pd

from maps.evidence import group_evidence
from maps.expected import expected_by_cell
from maps.facts import Publication, Tier
from maps.publish import Contents
from maps.record import SurveyRecord
from maps.reporting import Release
from maps.sybils import false_reporters_of
from maps.tiers import NO_SITE, tier_partition, tier_release

CONFIRMED = "confirmed"


@dataclass(frozen=True)
class SurveyTables:
    """What a run folder holds of a survey.

    Attributes:
        sites: a SITES table, without the places that are never to be shown.
        coverage: a COVERAGE table of one period.
        hotspots: a HOTSPOTS table.
        partition: a PARTITION table.
        release: noised counts on its groups, where reports were released.
        record: what the tables do not hold.
    """

    sites: gpd.GeoDataFrame
    coverage: pd.DataFrame
    hotspots: pd.DataFrame
    partition: gpd.GeoDataFrame
    release: Release | None
    record: SurveyRecord


def contents_of(
    tables: SurveyTables,
    facts: Publication,
    points: gpd.GeoDataFrame | None = None,
    partition: gpd.GeoDataFrame | None = None,
) -> Contents:
    """Return what the folder of a tier is made of.

    Args:
        tables: of the survey.
        facts: what the pages say, its tier and k among it.
        points: the partner tier's sites, what `points_of` returns.
        partition: the tier's groups, where they are another period's; else of these sites.
    """
    record = tables.record
    cells = expected_by_cell(
        tables.sites,
        tables.coverage,
        facts.weights.recall,
        record.site_class,
        record.gate,
    )
    if partition is None:
        partition = tier_partition(tables.partition, tables.sites, facts.tier, facts.k)
    release = tier_release(tables.release, partition)
    access = None if record.access is None else pd.Series(record.access, dtype="float64")
    groups = group_evidence(cells, tables.hotspots, partition, facts.period, release, access)
    if release is not None and facts.release is not None:
        false_reporters = false_reporters_of(release, groups)
        told = facts.release.model_copy(update={"false_reporters": false_reporters})
        facts = facts.model_copy(update={"release": told})
    if points is not None:
        facts = facts.model_copy(update={"n_points": len(points)})
    return Contents(groups, cells, partition, facts, points)


def points_of(tier: Tier, sites: gpd.GeoDataFrame, *, unreviewed: bool) -> gpd.GeoDataFrame | None:
    """Return the sites that a tier shows, in the order of their names; None where it shows none.

    Args:
        tier: whose folder.
        sites: a SITES table, without the places that are never to be shown.
        unreviewed: sites that nobody confirmed may stand among them; rejected ones never do.
    """
    if tier == "public":
        return None
    status = sites["review_status"]
    shown = ~status.isin(NO_SITE) if unreviewed else status == CONFIRMED
    return sites[shown.to_numpy()].sort_values("site_id", ignore_index=True)
