"""Fixing the groups of cells: from a survey or a published list, once, and later only joined."""

from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import pandas as pd
from pydantic import BaseModel, ConfigDict, model_validator

from maps.linking import SITES
from models.site_class import load_site_class
from tiles.cells import CellGrid
from tiles.coverage import COVERAGE
from tiles.errors import ConfigError, ReleaseError
from tiles.files import sha256_file
from tiles.listed import read_listed
from tiles.partition import (
    K_SITES,
    MIN_PEOPLE,
    REST,
    USUAL_RULE,
    Rule,
    build_partition,
    partition_sha256,
    read_partition,
    version_notes,
    write_partition,
)
from tiles.partition_versions import next_version
from tiles.population import with_people
from tiles.region import read_region
from tiles.tables import read_table

FROM_DETECTIONS = {"sites": "detections"}  # a note: what the real sites were counted from


class PartitionSettings(BaseModel):
    """What `kilnlight partition build` is told; unknown keys are refused.

    Attributes:
        out: file to write; must not be there.
        run_folder: a finished run: its sites, unless a list is given, and its cells.
        positions: published list of sites of the class, instead of the run's detections.
        region: polygons to cover, where there is no run.
        share_real: share of the listed positions that are real sites, at least.
        site_class: says how close two positions of one site can lie.
        population: raster of people per pixel.
        previous: every earlier version that counts were released on, oldest first.
        k: real sites (lower 90 % bound) that a group must hold.
        min_people: people that a group must hold, where a population raster is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    out: Path
    run_folder: Path | None = None
    positions: Path | None = None
    region: Path | None = None
    share_real: float | None = None
    site_class: str = "brick_kiln"
    population: Path | None = None
    previous: tuple[Path, ...] = ()
    k: int = K_SITES
    min_people: int = MIN_PEOPLE

    # ConfigError is no ValueError, so pydantic lets it through as the one sentence that it is.
    @model_validator(mode="after")
    def _sources(self) -> "PartitionSettings":
        if self.run_folder is None and (self.positions is None or self.region is None):
            raise ConfigError(
                "a partition needs a run folder, or --positions with --region: give one of these."
            )
        if self.run_folder is not None and self.region is not None:
            raise ConfigError("the cells are those of the run folder: leave out --region.")
        return self


@dataclass(frozen=True)
class _Evidence:
    """Sites and cells, and from what they were counted (for the file's notes)."""

    sites: pd.DataFrame
    cells: pd.DataFrame
    notes: dict[str, str]


def make_partition(settings: PartitionSettings) -> str:
    """Write a partition, and say what it holds.

    Raises:
        TableError: a file cannot be used, or no new version is safe beside the earlier ones.
        RegionError: the region cannot be used, or does not hold all of the earlier version.
        ConfigError: a setting is out of range.
        ReleaseError: `out` is there already, or an earlier version is missing.
    """
    if settings.out.exists():
        raise ReleaseError(f"{settings.out} is there already: a partition is made once and kept.")
    rule = Rule(settings.k, settings.min_people)
    evidence = _evidence(settings)
    notes = _notes(evidence.notes, rule) | version_notes(settings.previous)
    if settings.previous:
        earlier = [read_partition(path) for path in settings.previous]
        partition = next_version(evidence.sites, evidence.cells, earlier, rule)
    else:
        partition = build_partition(evidence.sites, evidence.cells, rule)
    write_partition(partition, settings.out, notes)
    return _words(partition, rule, settings.out)


def write_partition_of_survey(sites: pd.DataFrame, coverage: pd.DataFrame, path: Path) -> None:
    """Write what `kilnlight partition build` makes of a survey, unless it is told otherwise."""
    partition = build_partition(sites, cells_of_survey(coverage), USUAL_RULE)
    write_partition(partition, path, _notes(FROM_DETECTIONS, USUAL_RULE))


def _notes(evidence: dict[str, str], rule: Rule) -> dict[str, str]:
    return {**evidence, "k": str(rule.k)}


def cells_of_survey(coverage: pd.DataFrame) -> pd.DataFrame:
    """Return a survey's cells; the rows of a cell's coverage sum to its area in the region."""
    return coverage.groupby("cell_id")[["area_km2"]].sum().reset_index()


def _evidence(settings: PartitionSettings) -> _Evidence:
    run_folder = settings.run_folder
    notes = FROM_DETECTIONS
    if run_folder is not None:
        cells = cells_of_survey(read_table(run_folder / "coverage.parquet", COVERAGE))
        sites = read_table(run_folder / "sites.parquet", SITES)
    if settings.region is not None:
        cells = CellGrid().cells_of(read_region(settings.region).polygon)
    if settings.positions is not None:
        same_site_m = load_site_class(settings.site_class).match_tolerance_m
        sites = read_listed(settings.positions, settings.share_real, same_site_m)
        notes = {"sites": f"positions {sha256_file(settings.positions)}"}
    if settings.population is not None:
        cells = with_people(cells, settings.population)
        notes |= {
            "people": str(settings.min_people),
            "population": sha256_file(settings.population),
        }
    return _Evidence(sites, cells, notes)


def _words(partition: gpd.GeoDataFrame, rule: Rule, out: Path) -> str:
    groups = int((partition["group_id"] != REST).sum())
    rest = partition[partition["group_id"] == REST]
    tail = ""
    if len(rest):
        n_cells = len(rest["cell_ids"].iloc[0])
        tail = (
            f"; the rest ({n_cells} cells) can be released as one"
            if rest["released"].iloc[0]
            else f"; on the rest ({n_cells} cells) no release is possible"
        )
    return (
        f"{groups} groups of at least {rule.k} sites in {out} "
        f"(SHA-256 {partition_sha256(out)[:12]}...){tail}."
    )
