"""From a survey's tables to sites, hotspots, groups, the public map and the ranked list."""

import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from maps.evidence import GROUPS, group_evidence
from maps.expected import Estimate, Recall, expected_by_cell, expected_over
from maps.facts import Publication, ReleaseFacts, WeightsFacts
from maps.hotspots import HOTSPOTS, find_hotspots
from maps.linking import SITES, link_sites
from maps.lists import write_lists
from maps.priority import rank_sites
from maps.publish import publish
from maps.reporting import Release, select_release
from models.weights import WeightsCard
from pipeline.cautions import cautions
from pipeline.config import RunSettings
from pipeline.survey import Survey, SurveyPlan
from tiles.cells import CellGrid
from tiles.coverage import COVERAGE
from tiles.errors import ConfigError, ReleaseError, TableError
from tiles.files import atomic_path, sha256_file
from tiles.noised_counts import NOISED_COUNTS
from tiles.partition import (
    K_SITES,
    REST,
    build_partition,
    partition_sha256,
    read_partition,
    write_partition,
)
from tiles.region import UNDATED, Period
from tiles.tables import read_table, write_table

PARTITION_FILE = "partition.parquet"
OVERLAP_SHARE = 0.5  # of the region's cells; a partition that holds fewer was built for another


@dataclass(frozen=True)
class MapTables:
    """What was made from a survey."""

    sites: gpd.GeoDataFrame
    hotspots: gpd.GeoDataFrame
    groups: gpd.GeoDataFrame
    expected: Estimate
    cautions: tuple[str, ...]
    inputs: dict[str, Any]


def check_inputs(settings: RunSettings, plan: SurveyPlan) -> None:
    """Check the partition and the noised counts before the work, so that errors come early.

    Raises:
        ConfigError: noised counts were given without the partition they belong to.
        TableError: a file is no such table, or speaks of another region, class or period.
    """
    if settings.partition is None:
        if settings.noised_counts is not None:
            raise ConfigError(
                f"{settings.noised_counts} belongs to a partition: give it with --partition."
            )
        return
    partition = read_partition(settings.partition)
    known = set(partition["cell_ids"].explode())
    ours = CellGrid().cells_of(plan.region.polygon)["cell_id"]
    if ours.isin(known).mean() < OVERLAP_SHARE:
        raise TableError(
            f"{settings.partition} holds {ours.isin(known).sum()} of this region's {len(ours)} "
            "cells: give the partition that was built for it."
        )
    take_release(settings, plan, partition, partition_sha256(settings.partition))


def make_maps(
    folder: Path, plan: SurveyPlan, card: WeightsCard, survey: Survey, settings: RunSettings
) -> MapTables:
    """Make everything after the survey, and write it into the run folder.

    Raises:
        TableError: the noised counts do not fit the partition, the class or the period.
        PublishError: a public file would hold what its tier never holds.
    """
    site_class, period = plan.site_class, plan.period
    sites = link_sites(survey.detections, site_class)
    recall = Recall(**card.recall.model_dump())
    cells = expected_by_cell(sites, survey.coverage, recall, site_class)
    hotspots = find_hotspots(cells, period, site_class.name)
    partition = take_partition(folder, sites, survey.coverage, settings)
    sha256 = partition_sha256(folder / PARTITION_FILE)
    release = take_release(settings, plan, partition, sha256)
    groups = group_evidence(cells, hotspots, partition, period, release)
    ranked = rank_sites(sites, hotspots, site_class)
    total = expected_over(cells)
    warned = cautions(plan, card, survey, ranked)
    facts = _facts(plan, card, settings, total, release, warned)
    for frame, schema in ((ranked, SITES), (hotspots, HOTSPOTS), (groups, GROUPS)):
        write_table(frame, folder / f"{schema.name}.parquet", schema)
    publish(groups, cells, ranked, facts, folder / "public")
    title = f"{site_class.title}: ranked sites, {plan.region.name}, {facts.months}"
    write_lists(ranked, folder / "restricted", title, site_class.disclaimer)
    inputs = _inputs(sha256, settings.noised_counts, release)
    return MapTables(ranked, hotspots, groups, total, warned, inputs)


def _inputs(sha256: str, counts: Path | None, release: Release | None) -> dict[str, Any]:
    """What the maps were made from beside the survey, for the manifest."""
    inputs: dict[str, Any] = {"partition_sha256": sha256}
    if counts is not None and release is not None:
        inputs["release_id"] = release.release_id
        inputs["noised_counts_sha256"] = sha256_file(counts)
        inputs["epsilon"] = release.epsilon
    return inputs


def take_partition(
    folder: Path, sites: pd.DataFrame, coverage: pd.DataFrame, settings: RunSettings
) -> gpd.GeoDataFrame:
    """Put the partition into the run folder: the given one, or one of this survey's sites."""
    path = folder / PARTITION_FILE
    if settings.partition is None:
        write_partition(_partition_of(sites, coverage, K_SITES), path)
    elif settings.partition.resolve() != path.resolve():
        with atomic_path(path) as temporary:
            shutil.copyfile(settings.partition, temporary)
    return read_partition(path)


def _partition_of(sites: pd.DataFrame, coverage: pd.DataFrame, k: int) -> gpd.GeoDataFrame:
    """The partition of a survey; the rows of a cell's coverage sum to its area in the region."""
    cells = coverage.groupby("cell_id")[["area_km2"]].sum().reset_index()
    return build_partition(sites, cells, k)


def take_release(
    settings: RunSettings, plan: SurveyPlan, partition: gpd.GeoDataFrame, sha256: str
) -> Release | None:
    """Take from the noised counts what speaks of this survey's class and period.

    A partition that has no group but "rest" allows no release: its table of counts is empty.
    """
    if settings.noised_counts is None or set(partition["group_id"]) == {REST}:
        return None
    return select_release(
        read_table(settings.noised_counts, NOISED_COUNTS),
        partition["group_id"],
        sha256,
        plan.site_class.industry,
        plan.period,
    )


def partition_from_run(run_folder: Path, out: Path, k: int) -> str:
    """Write the partition of a run folder's sites and cells; say what it holds.

    Raises:
        TableError: the folder holds no finished run.
        ReleaseError: `out` is there already; a partition is made once and kept.
    """
    if out.exists():
        raise ReleaseError(f"{out} is there already: a partition is made once and kept.")
    sites = read_table(run_folder / "sites.parquet", SITES)
    coverage = read_table(run_folder / "coverage.parquet", COVERAGE)
    partition = _partition_of(sites, coverage, k)
    write_partition(partition, out)
    groups = int((partition["group_id"] != REST).sum())
    return (
        f"{groups} groups of at least {k} sites in {out} (SHA-256 {partition_sha256(out)[:12]}...)"
    )


def not_before(period: str) -> str | None:
    """The month from which the public folder may go out; None where the period is not known."""
    return None if period == UNDATED else Period.parse(period).a_quarter_later


def _facts(
    plan: SurveyPlan,
    card: WeightsCard,
    settings: RunSettings,
    total: Estimate,
    release: Release | None,
    warned: tuple[str, ...],
) -> Publication:
    return Publication(
        region_name=plan.region.name,
        period=plan.period,
        site_title=plan.site_class.title,
        disclaimer=plan.site_class.disclaimer,
        imagery=settings.imagery_credit,
        software=f"Kilnlight {version('kilnlight')}",
        weights=WeightsFacts(
            name=card.name,
            version=card.version,
            licence=card.licence,
            threshold=card.threshold,
            recall=Recall(**card.recall.model_dump()),
            trained_on="; ".join(card.trained_on),
        ),
        expected_total=total,
        release=None
        if release is None
        else ReleaseFacts(
            release_id=release.release_id,
            epsilon=release.epsilon,
            noise_scale=release.noise_scale,
        ),
        cautions=warned,
        not_before=not_before(plan.period),
        simulated=settings.simulated,
    )
