"""From a survey's tables to sites, hotspots, groups, the public map and the ranked list."""

import shutil
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from maps.access import read_access
from maps.basemap import MapNames
from maps.decisions import Decision
from maps.editions import SurveyTables, contents_of
from maps.evidence import GROUPS, group_evidence
from maps.exclusions import read_exclusions
from maps.expected import Estimate, Recall, expected_by_cell, expected_over
from maps.facts import Publication, ReleaseFacts, WeightsFacts
from maps.linking import SITES, link_sites
from maps.lists import write_lists
from maps.publish import publish
from maps.record import SurveyRecord, write_record
from maps.reporting import Release, select_release
from maps.sybils import false_reporters_of
from models.gate.card import load_gate_card
from models.weights import WeightsCard
from pipeline.cautions import cautions
from pipeline.config import RunSettings
from pipeline.hotspot_tables import Boundaries, make_hotspot_tables, write_hotspot_tables
from pipeline.outcomes import outcomes_of
from pipeline.partitions import write_partition_of_survey
from pipeline.priorities import make_lists, write_operator_list
from pipeline.recalibrating import recalibrated
from pipeline.reviewing import with_review_status
from pipeline.survey import Survey, SurveyPlan
from tiles.cells import CellGrid
from tiles.errors import ConfigError, TableError
from tiles.files import atomic_path, sha256_file
from tiles.noised_counts import (
    HEAD_NOTE,
    LIFETIME_NOTE,
    NOISED_COUNTS,
    VECTOR_NOTE,
    YEAR_NOTE,
)
from tiles.partition import K_SITES, partition_sha256, read_partition
from tiles.region import UNDATED, Period
from tiles.tables import read_notes, read_table, write_table

PARTITION_FILE = "partition.parquet"
COUNTS_FILE = "noised_counts.parquet"
PREVIEW = "public"  # the public tier's folder, its delay and ledger not checked
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
        RegionError: districts or places cannot be used.
    """
    read_exclusions(settings.exclusions)
    Boundaries.read(settings.districts, settings.places, settings.audit)
    outcomes_of(settings.out, settings.outcomes)
    ours = CellGrid().cells_of(plan.region.polygon)["cell_id"]
    if settings.partition is None:
        if settings.priority.access is not None:
            read_access(settings.priority.access, list(ours))
        if settings.noised_counts is not None:
            raise ConfigError(
                f"{settings.noised_counts} belongs to a partition: give it with --partition."
            )
        return
    partition = read_partition(settings.partition)
    known = set(partition["cell_ids"].explode())
    if ours.isin(known).mean() < OVERLAP_SHARE:
        raise TableError(
            f"{settings.partition} holds {ours.isin(known).sum()} of this region's {len(ours)} "
            "cells: give the partition that was built for it."
        )
    _access(settings, partition)
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
    detections = recalibrated(
        survey.detections, folder, card, plan.detector.weights_sha256, site_class
    )
    sites = read_exclusions(settings.exclusions).without(link_sites(detections, site_class))
    sites = with_review_status(sites, folder)
    recall = Recall(**card.recall.model_dump())
    gate = gate_recall(plan)
    cells = expected_by_cell(sites, survey.coverage, recall, site_class, gate)
    boundaries = Boundaries.read(settings.districts, settings.places, settings.audit)
    tables = make_hotspot_tables(
        cells, sites, plan.region, site_class, period, boundaries, coverage=survey.coverage
    )
    hotspots = tables.hotspots
    partition = take_partition(folder, sites, survey.coverage, settings)
    sha256 = partition_sha256(folder / PARTITION_FILE)
    release = take_release(settings, plan, partition, sha256)
    access = _access(settings, partition)
    groups = group_evidence(cells, hotspots, partition, period, release, access)
    lists = make_lists(
        sites,
        hotspots,
        groups,
        partition,
        site_class,
        settings.priority,
        boundaries.districts,
        outcomes_of(folder, settings.outcomes),
    )
    ranked = lists.ranked
    total = expected_over(cells)
    warned = cautions(plan, card, survey, ranked, gate)
    released = _release_facts(settings.noised_counts, release, groups)
    facts = _facts(plan, card, settings, total, released, warned, tables.decisions)
    facts = facts.model_copy(update={"preview": True, "k": k_of(folder / PARTITION_FILE)})
    for frame, schema in ((ranked, SITES), (groups, GROUPS)):
        write_table(frame, folder / f"{schema.name}.parquet", schema)
    chosen = f"{site_class.title}: how the hotspots of {plan.region.name} came about"
    write_hotspot_tables(tables, folder, chosen, site_class.disclaimer)
    record = SurveyRecord(facts=facts, site_class=site_class, gate=gate, access=_by_cell(access))
    write_record(folder, record)
    _keep_counts(folder, settings.noised_counts)
    kept = SurveyTables(ranked, survey.coverage, hotspots, partition, release, record)
    names = MapNames(boundaries.districts, boundaries.places)
    contents = replace(
        contents_of(kept, facts), names=names, look=settings.map.look(lambda: plan.catalog.scenes)
    )
    publish(contents, ranked, folder / PREVIEW, settings.map.language)
    title = f"{site_class.title}: ranked sites, {plan.region.name}, {facts.months}"
    write_lists(lists.team, folder / "restricted", title, site_class.disclaimer)
    write_operator_list(lists.operator, folder)
    inputs = _inputs(sha256, settings.noised_counts, release)
    return MapTables(ranked, hotspots, groups, total, warned, inputs)


def gate_recall(plan: SurveyPlan) -> Recall | None:
    """What share of the detector's finds the gate keeps that looked first; None without one."""
    if plan.detector.gate is None:
        return None
    return Recall(**load_gate_card(plan.detector.gate).recall.model_dump())


def _by_cell(access: "pd.Series[float] | None") -> dict[str, float | None] | None:
    """As JSON can hold it: nothing where the raster has no value."""
    if access is None:
        return None
    return {str(cell_id): None if pd.isna(v) else float(v) for cell_id, v in access.items()}


def _keep_counts(folder: Path, counts: Path | None) -> None:
    """Keep the release that the maps were made with beside them, for those who publish later."""
    kept = folder / COUNTS_FILE
    if counts is None:
        kept.unlink(missing_ok=True)
    elif counts.resolve() != kept.resolve():
        with atomic_path(kept) as temporary:
            shutil.copyfile(counts, temporary)


def _inputs(sha256: str, counts: Path | None, release: Release | None) -> dict[str, Any]:
    """What the maps were made from beside the survey, for the manifest."""
    inputs: dict[str, Any] = {"partition_sha256": sha256}
    if counts is not None and release is not None:
        inputs["release_id"] = release.release_id
        inputs["noised_counts_sha256"] = sha256_file(counts)
        inputs["epsilon"] = release.epsilon
        inputs[HEAD_NOTE] = read_notes(counts).get(HEAD_NOTE)
    return inputs


def _release_facts(
    counts: Path | None, release: Release | None, groups: pd.DataFrame
) -> ReleaseFacts | None:
    """What pages say of a release: its own figures, and the account's as its file tells them."""
    if counts is None or release is None:
        return None
    notes = read_notes(counts)
    return ReleaseFacts(
        release_id=release.release_id,
        epsilon=release.epsilon,
        noise_scale=release.noise_scale,
        epsilon_year=_number(notes.get(YEAR_NOTE)),
        epsilon_lifetime=_number(notes.get(LIFETIME_NOTE)),
        ledger_head_sha256=notes.get(HEAD_NOTE),
        false_reporters=false_reporters_of(release, groups),
    )


def _access(settings: RunSettings, partition: pd.DataFrame) -> "pd.Series[float] | None":
    """Who can report in each cell of the partition, where a raster says it."""
    path = settings.priority.access
    return None if path is None else read_access(path, list(partition["cell_ids"].explode()))


def take_partition(
    folder: Path, sites: pd.DataFrame, coverage: pd.DataFrame, settings: RunSettings
) -> gpd.GeoDataFrame:
    """Put the partition into the run folder: the given one, or one of this survey's sites."""
    path = folder / PARTITION_FILE
    if settings.partition is None:
        write_partition_of_survey(sites, coverage, path)
    elif settings.partition.resolve() != path.resolve():
        with atomic_path(path) as temporary:
            shutil.copyfile(settings.partition, temporary)
    return read_partition(path)


def k_of(partition: Path) -> int:
    """Real sites that each group of a partition file was built to hold."""
    return int(read_notes(partition).get("k", K_SITES))


def take_release(
    settings: RunSettings, plan: SurveyPlan, partition: gpd.GeoDataFrame, sha256: str
) -> Release | None:
    """Take from the noised counts what speaks of this survey's class and period.

    A partition of which no group can be released has no table of counts.
    """
    if settings.noised_counts is None or not partition["released"].any():
        return None
    if read_notes(settings.noised_counts).get(VECTOR_NOTE) == "anonymous":
        raise TableError(
            f"{settings.noised_counts} counts reports that name nobody, not reporters: give the "
            "release of reporters."
        )
    return select_release(
        read_table(settings.noised_counts, NOISED_COUNTS),
        partition["group_id"],
        sha256,
        plan.site_class.industry,
        plan.period,
    )


def not_before(period: str) -> str | None:
    """The month from which the public folder may go out; None where the period is not known."""
    return None if period == UNDATED else Period.parse(period).a_quarter_later


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


def _facts(
    plan: SurveyPlan,
    card: WeightsCard,
    settings: RunSettings,
    total: Estimate,
    release: ReleaseFacts | None,
    warned: tuple[str, ...],
    decisions: tuple[Decision, ...],
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
        release=release,
        cautions=warned,
        decisions=decisions,
        not_before=not_before(plan.period),
        simulated=settings.simulated,
    )
