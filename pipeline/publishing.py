"""From a run folder to a folder, or an encrypted file, that leaves the operator's hands."""

import json
import tempfile
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import geopandas as gpd
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from maps.downloads import MANIFEST
from maps.editions import CONFIRMED, SurveyTables, contents_of, points_of
from maps.exclusions import read_exclusions
from maps.facts import Publication, ReleaseFacts, Tier
from maps.hotspots import HOTSPOTS
from maps.language import LanguageCode
from maps.linking import SITES
from maps.map_data import MapSurvey
from maps.publish import Contents, publish, write_checked
from maps.record import SurveyRecord, read_record
from maps.reporting import Release, select_release
from maps.sealing import SUFFIX, read_recipients, write_sealed
from maps.tiers import NO_SITE, tier_partition
from pipeline.config import RunSettings, read_run_file
from pipeline.map_settings import map_names
from pipeline.mapping import COUNTS_FILE, PARTITION_FILE, k_of
from pipeline.reports.ledger import LedgerLine, read_ledger
from pipeline.run_folder import RUN_FILE
from pipeline.run_imagery import scenes_of_run
from tiles.coverage import COVERAGE
from tiles.errors import ConfigError, PublishError
from tiles.noised_counts import NOISED_COUNTS, counts_sha256
from tiles.partition import partition_sha256, read_partition
from tiles.region import DELAY_MONTHS, UNDATED, Period
from tiles.tables import read_table

OPERATOR_ONLY = 0o700  # what is not encrypted is for its owner alone on this machine


class PublishSettings(BaseModel):
    """What `kilnlight publish` is told; unknown keys are refused.

    Attributes:
        run_folder: a finished run.
        out: folder to write; of the encrypted partner tier a file, which ends in .age.
        tier: whom it is for.
        publisher: who publishes, for the citation and those who contest an entry.
        contact: where to write to contest an entry or ask for a take-down.
        ledger: of the region's releases; needed where the run has reports in it.
        exclusions: places that are never to be shown, beside the run's own list.
        unreviewed: the partner tier may list sites that no reviewer confirmed.
        to: public keys that the partner tier is encrypted for, or files of them.
        plain: write the partner tier as it is.
        delay_months: whole months between the period's end and the public tier.
        today: the day to hold the delay against; the system's, if absent.
        earlier: run folders of earlier periods on the same groups, for the map's slider.
        language: of the files without a code in their names.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_folder: Path
    out: Path
    tier: Tier
    publisher: str = Field(min_length=1)
    contact: str = Field(min_length=1)
    ledger: Path | None = None
    exclusions: Path | None = None
    unreviewed: bool = False
    to: tuple[str, ...] = ()
    plain: bool = False
    delay_months: int = Field(default=DELAY_MONTHS, ge=0)
    today: date | None = None
    earlier: tuple[Path, ...] = ()
    language: LanguageCode = "en"


def publish_run(settings: PublishSettings) -> str:
    """Write a tier of a run, or refuse and write nothing; return what to tell the operator.

    Raises:
        KilnlightError: the run is not whole, or a gate is closed.
    """
    target = _target(settings)
    recipients = None
    if settings.tier == "partner" and not settings.plain:
        recipients = read_recipients(settings.to)
    elif settings.to:
        raise ConfigError("--to encrypts the partner tier: leave it out, or leave out --plain.")
    contents, tables = _contents(settings)
    if recipients is None:
        publish(contents, tables.sites, target, settings.language)
        if settings.tier == "partner":
            target.chmod(OPERATOR_ONLY)
    else:
        with tempfile.TemporaryDirectory(dir=_parent(target), prefix=".kilnlight-") as held:
            folder = Path(held)
            folder.chmod(OPERATOR_ONLY)
            write_checked(contents, tables.sites, folder, settings.language)
            write_sealed(folder, target, recipients)
    return "\n".join(_words(settings, contents, tables, target))


def _parent(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.parent


def _contents(settings: PublishSettings) -> tuple[Contents, SurveyTables]:
    tables = checked_tables(settings.run_folder, settings)
    facts = _facts(settings, tables.record)
    points = points_of(settings.tier, tables.sites, unreviewed=settings.unreviewed)
    if points is not None:
        _check_reviewed(points, tables.sites, settings)
    before = [_earlier_tables(folder, settings, facts.period) for folder in settings.earlier]
    # What a reviewer of any of the periods rejected holds no report in any of them.
    looked = pd.concat(
        [each.sites[["cell_id", "site_id", "review_status"]] for each in (tables, *before)]
    )
    looked = looked[looked["review_status"].isin(NO_SITE)].drop_duplicates("site_id")
    partition = tier_partition(tables.partition, looked, facts.tier, facts.k)
    contents = contents_of(tables, facts, points, partition)
    run = _settings_of(settings.run_folder)
    look = run.map.look(lambda: scenes_of_run(settings.run_folder))
    contents = replace(contents, names=map_names(run.districts, run.places), look=look)
    earlier = tuple(_earlier(each, partition, facts.tier) for each in before)
    return replace(contents, earlier=earlier), tables


def checked_tables(folder: Path, settings: PublishSettings) -> SurveyTables:
    """Read a run folder, its exclusions honoured and its release found in the ledger.

    Raises:
        KilnlightError: a file is missing or damaged, a site is one never to be shown, or the
            ledger does not hold the release.
    """
    record = read_record(folder)
    sites = read_table(folder / "sites.parquet", SITES)
    _check_exclusions(folder, sites, settings.exclusions)
    partition = read_partition(folder / PARTITION_FILE)
    coverage = read_table(folder / "coverage.parquet", COVERAGE)
    if searched := set(coverage["period"]) - {record.facts.period}:
        raise PublishError(
            f"{folder} says {record.facts.period} on its pages and searched {min(searched)}: run "
            "`kilnlight run` on it again, since the delay is counted from the period."
        )
    return SurveyTables(
        sites=sites,
        coverage=coverage,
        hotspots=read_table(folder / "hotspots.parquet", HOTSPOTS),
        partition=partition,
        release=_release(folder, record, partition, settings.ledger),
        record=record,
    )


def _earlier_tables(folder: Path, settings: PublishSettings, period: str) -> SurveyTables:
    """The tables of an earlier period on the same groups."""
    partitions = [run / PARTITION_FILE for run in (folder, settings.run_folder)]
    if partition_sha256(partitions[0]) != partition_sha256(partitions[1]):
        raise PublishError(
            f"{folder} has other groups of cells than {settings.run_folder}: run it again with the "
            "same --partition, since groups that overlap could be subtracted."
        )
    tables = checked_tables(folder, settings)
    if tables.record.facts.period >= period:
        raise PublishError(
            f"{folder} is of {tables.record.facts.period}, not earlier than {period}."
        )
    return tables


def _earlier(tables: SurveyTables, partition: gpd.GeoDataFrame, tier: Tier) -> MapSurvey:
    """The figures of an earlier period, for the slider."""
    facts = tables.record.facts.model_copy(update={"tier": tier})
    contents = contents_of(tables, facts, partition=partition)
    return MapSurvey(contents.groups, contents.cells)


def _check_exclusions(folder: Path, sites: gpd.GeoDataFrame, given: Path | None) -> None:
    """Refuse a run that still counts a place that is never to be shown.

    The run leaves such places out before it counts anything; left out of a list alone, they could
    be told from the figures.
    """
    for path in {_settings_of(folder).exclusions, given} - {None}:
        hidden = int(read_exclusions(path).hides(sites).sum()) if len(sites) else 0
        if hidden:
            raise PublishError(
                f"{folder} still counts {hidden} of the places that {path} keeps from being shown: "
                f"run `kilnlight run {folder / RUN_FILE} --exclusions {path}` first, which keeps "
                "the survey and makes the rest without them."
            )


def _settings_of(folder: Path) -> RunSettings:
    """What the run was told: its own list of exclusions and the look of its map."""
    run_file = folder / RUN_FILE
    return RunSettings.of(read_run_file(run_file), str(run_file))


def _release(
    folder: Path, record: SurveyRecord, partition: gpd.GeoDataFrame, ledger: Path | None
) -> Release | None:
    """The release in the run, which the ledger must hold to the last count."""
    told = record.facts.release
    if told is None:
        return None
    if ledger is None:
        raise PublishError(
            f"{folder} holds reports (release {told.release_id}), so their epsilon must be in the "
            "ledger of releases: give it with --ledger."
        )
    counts = read_table(folder / COUNTS_FILE, NOISED_COUNTS)
    sha256 = partition_sha256(folder / PARTITION_FILE)
    line = read_ledger(ledger).line_of_counts(counts_sha256(counts))
    release = select_release(
        counts,
        partition["group_id"],
        sha256,
        record.site_class.industry,
        record.facts.period,
    )
    if line is None or not _agrees(line, release, sha256, told):
        raise PublishError(
            f"ledger {ledger} does not hold release {told.release_id} as {folder} has it: give the "
            "region's own ledger, or run again with the released table; `kilnlight reports verify` "
            "finds what was changed."
        )
    return release


def _agrees(line: LedgerLine, release: Release, sha256: str, told: ReleaseFacts) -> bool:
    """Whether the ledger, the table of counts and what the pages will say are of one release."""
    recorded = (line.release_id, line.epsilon, line.scale)
    return (
        (release.release_id, release.epsilon, release.noise_scale) == recorded
        and (told.release_id, told.epsilon, told.noise_scale) == recorded
        and (line.partition_sha256, line.sha256) == (sha256, told.ledger_head_sha256)
    )


def _facts(settings: PublishSettings, record: SurveyRecord) -> Publication:
    """What the pages say; the public tier only after its delay."""
    facts = record.facts
    not_before = None
    if facts.period != UNDATED:
        not_before = Period.parse(facts.period).later(settings.delay_months)
    if settings.tier == "public":
        _check_delay(not_before, settings)
    return Publication.model_validate(
        facts.model_dump()
        | {
            "tier": settings.tier,
            "preview": False,
            "k": k_of(settings.run_folder / PARTITION_FILE),
            "not_before": not_before if settings.tier == "public" else None,
            "delay_months": settings.delay_months,
            "publisher": settings.publisher,
            "contact": settings.contact,
        }
    )


def _check_delay(not_before: str | None, settings: PublishSettings) -> None:
    if not_before is None:
        raise PublishError(
            f"{settings.run_folder} names no months, so nobody can say when the delay is over: run "
            "it again with --period, which keeps the survey."
        )
    today = settings.today or datetime.now(UTC).date()
    if f"{today:%Y-%m}" < not_before:
        raise PublishError(
            f"the public tier waits {settings.delay_months} months, until {not_before} (today is "
            f"{today}): publish then, or give another --delay-months if you have weighed what an "
            "earlier date tells about who is there now."
        )


def _check_reviewed(
    points: gpd.GeoDataFrame, sites: gpd.GeoDataFrame, settings: PublishSettings
) -> None:
    if settings.unreviewed or len(points) or sites.empty:
        return
    raise PublishError(
        f"none of the {len(sites)} sites in {settings.run_folder} was confirmed by a reviewer, so "
        "the partner tier would list none: review them with `kilnlight review`, or list them as "
        "they are with --unreviewed."
    )


def _target(settings: PublishSettings) -> Path:
    """The folder or file to write; nothing of somebody else's is ever replaced."""
    out = settings.out
    if settings.tier == "partner" and not settings.plain:
        target = out if out.suffix == ".age" else out.with_name(out.name + SUFFIX)
        if target.is_dir():
            raise ConfigError(f"{target} is a folder: give another --out.")
        return target
    if out.is_symlink() or (out.exists() and not _is_ours(out)):
        raise ConfigError(
            f"{out} holds something else than an earlier publication: choose another --out."
        )
    if out.resolve() in (settings.run_folder.resolve(), *settings.run_folder.resolve().parents):
        raise ConfigError(f"{out} holds the run folder: choose another --out.")
    return out


def _is_ours(folder: Path) -> bool:
    """Whether a folder is empty, or holds what this command wrote and nothing else."""
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    if not names:
        return True
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return "tier" in content and names == {*content["sha256"], MANIFEST}
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _bare_groups(contents: Contents, sites: pd.DataFrame) -> int:
    """How many groups with a figure of reports hold fewer sites than they were made to."""
    held = sites.loc[~sites["review_status"].isin(NO_SITE), "cell_id"].value_counts()
    groups = contents.partition[contents.partition["released"].to_numpy()]
    counts = [int(held.reindex(ids).fillna(0).sum()) for ids in groups["cell_ids"]]
    return sum(count < contents.facts.k for count in counts)


def _words(
    settings: PublishSettings, contents: Contents, tables: SurveyTables, target: Path
) -> list[str]:
    facts = contents.facts
    lines = [f"Published the {facts.tier} tier of {facts.region_name}, {facts.period}: {target}"]
    if contents.points is not None:
        left_out = len(tables.sites) - len(contents.points)
        confirmed = int((contents.points["review_status"] == CONFIRMED).sum())
        lines.append(
            f"{len(contents.points):,} sites are listed, {confirmed:,} of them confirmed; "
            f"{left_out:,} are left out (rejected, or nobody confirmed them)."
        )
        if bare := _bare_groups(contents, tables.sites):
            lines.append(
                f"Areas with a reporting figure and under {facts.k} sites of this run: {bare:,}. "
                "Their groups were made from other sites, or a place was excluded after they were "
                "made, and a partner who counts can tell (docs/privacy.md)."
            )
    if facts.release is not None:
        lines.append(f"Epsilon {facts.release.epsilon:g}, in the ledger {settings.ledger}.")
    if settings.tier == "partner" and not settings.plain:
        lines.append("Encrypted for the keys of --to; nobody else can open it.")
    elif settings.tier == "partner":
        lines.append("It is NOT encrypted: whoever gets the folder can read the sites in it.")
    else:
        lines.append(f"See it with `kilnlight serve {target}`, or open {target / 'index.html'}.")
    return lines
