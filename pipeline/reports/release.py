"""One release: reports in, noised counts out, recorded in the ledger before anybody can see them.

The order is what makes it safe; each step runs only when all before it have succeeded:

1. Read and check the partition and the whole report file. Bad input ends here, nothing written.
2. Lock and check the ledger: chain, months, budget. A refusal ends here, nothing drawn.
3. Draw one entry per reporter, add the noise, write the table to a hidden folder (mode 0700).
4. Append the release with that file's SHA-256 to the ledger; wait until it is on the disk.
5. Rename the file to its name.

Killed before 4 is done, nothing is recorded and nothing is visible: the hidden draw was seen by
nobody but the operator, who has the reports anyway, and the next attempt throws it away. Killed
after 4, the release is recorded and its file waits in the hidden folder: the same command then
performs step 5 with that very file (its hash must be the recorded one) and draws nothing; any other
release to the same name is refused until then. There is no moment at which a visible file is not
recorded.

Given a file that can be read, whether there is a release never depends on what the reports say,
not even when none counts: that a file exists would tell as much as a count without noise.
"""

import hashlib
import os
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import geopandas as gpd
import numpy as np
import pandas as pd
from pydantic import BaseModel, BeforeValidator, ConfigDict, field_validator, model_validator

from pipeline.reports.counting import CONTRIBUTION_BOUND, Layout, exact_vector
from pipeline.reports.intake import (
    HTCDS_INDUSTRIES,
    Gate,
    Intake,
    closed_gate,
    read_reports,
)
from pipeline.reports.ledger import Ledger, LedgerLine, make_folder, open_ledger, sync_folder
from pipeline.reports.noise import Noise
from tiles.errors import ReleaseError
from tiles.files import sha256_file
from tiles.noised_counts import NOISED_COUNTS
from tiles.partition import K_SITES, REST, SMALLEST_K, partition_sha256, read_partition
from tiles.region import Period
from tiles.tables import write_table

EPSILON = 1.0  # one reporter changes the odds of any statement by a factor of e = 2.7 at most
MAX_EPSILON_TOTAL = 4.0  # four releases of 1, a year of quarters
SMALLEST_EPSILON = 0.001  # at a noise of 1,000 reporters an entry a count says nothing
KILN_INDUSTRY = "C_Manufacturing"  # of the class brick_kiln: HTCDS has no code for bricks alone


def _period(value: object) -> object:
    return Period.parse(value) if isinstance(value, str) else value


class ReleaseSettings(BaseModel):
    """What `kilnlight reports release` is told; unknown keys are refused.

    Attributes:
        reports: plain CSV of crowd reports.
        partition: groups of cells, written by `kilnlight partition build`.
        period: months whose reports count, all of them released at once.
        ledger: the region's ledger; begun when it is not there.
        output: noised_counts.parquet to write; must not be there.
        industries: HTCDS v2 codes to count, fixed before reports are looked at.
        epsilon: privacy loss of this release for one reporter, 0.001 at least.
        max_epsilon_total: what the losses in the ledger may add up to.
        k: real sites (lower 90 % bound) that every group of the partition must hold, at least 2.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reports: Path
    partition: Path
    period: Annotated[Period, BeforeValidator(_period)]
    ledger: Path
    output: Path
    industries: tuple[str, ...] = (KILN_INDUSTRY,)
    epsilon: float = EPSILON
    max_epsilon_total: float = MAX_EPSILON_TOTAL
    k: int = K_SITES

    # ReleaseError is no ValueError, so pydantic lets it through as the one sentence that it is.
    @field_validator("epsilon", "max_epsilon_total")
    @classmethod
    def _finite(cls, value: float) -> float:
        if not SMALLEST_EPSILON <= value < float("inf"):  # refuses NaN too
            raise ReleaseError(
                f"epsilon {value} is out of range: {SMALLEST_EPSILON} to 4 is usual."
            )
        return value

    @field_validator("k")
    @classmethod
    def _hides(cls, value: int) -> int:
        if value < SMALLEST_K:
            raise ReleaseError(
                f"k is {value}: a group must hold at least {SMALLEST_K} sites, {K_SITES} is usual."
            )
        return value

    @field_validator("industries")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [code for code in value if code not in HTCDS_INDUSTRIES]
        if unknown:
            raise ReleaseError(
                f"industry {unknown[0]!r} is no HTCDS v2 code: write one such as {KILN_INDUSTRY}."
            )
        if not value or len(set(value)) != len(value):
            raise ReleaseError("industries must name at least one HTCDS v2 code, each once.")
        return value

    @model_validator(mode="after")
    def _separate_files(self) -> "ReleaseSettings":
        paths = [self.reports, self.partition, self.ledger, self.output]
        if len({path.resolve() for path in paths}) != len(paths):
            raise ReleaseError(
                "reports, partition, ledger and output must be four different files: "
                "give each its own path."
            )
        return self


@dataclass(frozen=True)
class ReleaseSummary:
    """What the operator is told; nothing in it depends on what the reports say.

    Attributes:
        release_id: the release's name in the ledger.
        output: the noised counts.
        ledger: the ledger.
        groups: groups of the partition that were released, empty ones included.
        industries: HTCDS v2 codes that were counted.
        epsilon: privacy loss of this release for one reporter.
        epsilon_spent: sum over the ledger, this release included.
        scale: of the discrete Laplace noise, in reporters.
        ledger_begun: the ledger was not there before; a mistyped path begins a second account.
        resumed: no noise was drawn, the file of an interrupted release was put in its place.
    """

    release_id: str
    output: Path
    ledger: Path
    groups: int
    industries: tuple[str, ...]
    epsilon: float
    epsilon_spent: float
    scale: float
    ledger_begun: bool
    resumed: bool


@dataclass(frozen=True)
class _Staged:
    """The hidden place of a file that is not released yet; the same command finds it again.

    Its name depends on the ledger too: two ledgers that are told to write the same output never
    touch each other's unrecorded file.
    """

    output: Path
    ledger: Path

    @property
    def folder(self) -> Path:
        account = hashlib.sha256(os.fsencode(self.ledger.resolve())).hexdigest()[:8]
        return self.output.with_name(f".{self.output.name}.unreleased-{account}")

    @property
    def file(self) -> Path:
        return self.folder / self.output.name

    def clear(self) -> None:
        """Throw away what waits here; only ever called for a file that no ledger line records."""
        shutil.rmtree(self.folder, ignore_errors=True)


def release_counts(settings: ReleaseSettings) -> ReleaseSummary:
    """Release noised counts of one period, once.

    Raises:
        ReportError: the report file cannot be used.
        TableError: the partition cannot be used.
        ReleaseError: the release is refused, or a file cannot be written.
    """
    partition = _read_checked_partition(settings)
    layout = Layout.of(partition, settings.industries)
    noise = Noise.of(settings.epsilon)
    reports = read_reports(settings.reports, settings.period, settings.industries).reports
    with open_ledger(settings.ledger) as ledger:
        if settings.output.exists():
            raise ReleaseError(
                f"{settings.output} is there already: give another name, since released counts "
                "are never replaced."
            )
        begun = not ledger.lines
        interrupted = _interrupted(settings, ledger)
        if interrupted is None:
            ledger.check_allows(
                settings.period,
                partition_sha256(settings.partition),
                settings.epsilon,
                settings.max_epsilon_total,
            )
            counts = noise.add(exact_vector(reports, layout))
            line = _record(settings, ledger, _rows(partition, layout, counts), noise)
        else:
            line = interrupted
        _make_visible(_Staged(settings.output, settings.ledger))
        return ReleaseSummary(
            release_id=line.release_id,
            output=settings.output,
            ledger=settings.ledger,
            groups=len(layout.entries) // len(settings.industries),
            industries=line.industries,
            epsilon=line.epsilon,
            epsilon_spent=ledger.epsilon_spent,
            scale=line.scale,
            ledger_begun=begun,
            resumed=interrupted is not None,
        )


def check_reports(settings: ReleaseSettings) -> str | None:
    """Say, for the screen only, why no row would be counted; None when one would. Spends nothing.

    Whether any row counts is an exact fact. A release therefore never says it, since what a release
    says ends up in the logs of whatever runs it.

    Raises:
        ReportError: the report file cannot be used.
        TableError: the partition cannot be used.
        ReleaseError: the partition cannot be released on.
    """
    layout = Layout.of(_read_checked_partition(settings), settings.industries)
    intake = read_reports(settings.reports, settings.period, settings.industries)
    return _note(intake, layout)


def _read_checked_partition(settings: ReleaseSettings) -> gpd.GeoDataFrame:
    partition = read_partition(settings.partition)
    small = partition[(partition["group_id"] != REST) & (partition["k_lower"] < settings.k)]
    if len(small):
        raise ReleaseError(
            f"{settings.partition}: group {small['group_id'].iloc[0]} holds fewer than "
            f"{settings.k} sites: build the partition with k {settings.k}."
        )
    return partition


def _note(intake: Intake, layout: Layout) -> str | None:
    passed = set(intake.passed)
    if any(index is not None for index in layout.indices_of(intake.reports)):
        passed.add(Gate.GROUP)
    closed = closed_gate(passed)
    return None if closed is None else f"no report could be counted: {closed}"


def _interrupted(settings: ReleaseSettings, ledger: Ledger) -> LedgerLine | None:
    """The recorded release whose file a crash left in the hidden folder, if this is its command.

    Raises:
        ReleaseError: the file that waits there is another recorded release's; it cannot be drawn
            again, so nothing may take its place.
    """
    staged = _Staged(settings.output, settings.ledger).file
    line = ledger.line_of_file(sha256_file(staged)) if staged.is_file() else None
    if line is None:
        return None
    recorded = (line.period, line.partition_sha256, line.industries)
    asked = (str(settings.period), partition_sha256(settings.partition), settings.industries)
    if recorded != asked:
        raise ReleaseError(
            f"release {line.release_id} for {line.period} is recorded in ledger {settings.ledger} "
            f"and its file still waits to become {settings.output}: finish that release first: run "
            "its command again."
        )
    return line


def _rows(partition: gpd.GeoDataFrame, layout: Layout, counts: Sequence[int]) -> gpd.GeoDataFrame:
    outlines = dict(zip(partition["group_id"], partition.geometry, strict=True))
    return gpd.GeoDataFrame(
        {
            "group_id": pd.Series([entry.group_id for entry in layout.entries], dtype=object),
            "industry": pd.Series([entry.industry for entry in layout.entries], dtype=object),
            "count_noised": np.array(counts, dtype=np.int64),
        },
        geometry=gpd.GeoSeries(
            [outlines[entry.group_id] for entry in layout.entries], crs=partition.crs
        ),
    )


def _record(
    settings: ReleaseSettings, ledger: Ledger, rows: gpd.GeoDataFrame, noise: Noise
) -> LedgerLine:
    """Write the table where nobody looks, and record it; on an error neither is left."""
    release_id = secrets.token_hex(8)  # 64 random bits: no name that a date or a count could give
    partition_hash = partition_sha256(settings.partition)
    frame = rows.assign(
        release_id=release_id,
        partition_sha256=partition_hash,
        period=str(settings.period),
        noise_scale=noise.scale,
        epsilon=noise.epsilon,
    )
    staged = _Staged(settings.output, settings.ledger)
    try:
        output_sha256 = _stage(frame, staged, ledger.head_sha256)
        line = LedgerLine(
            release_id=release_id,
            partition_sha256=partition_hash,
            period=str(settings.period),
            industries=settings.industries,
            epsilon=noise.epsilon,
            scale=noise.scale,
            contribution_bound=CONTRIBUTION_BOUND,
            output=settings.output.name,
            output_sha256=output_sha256,
            previous_sha256=ledger.head_sha256,
            recorded_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        ledger.append(line)
    except ReleaseError:
        staged.clear()
        raise
    return line


def _stage(frame: gpd.GeoDataFrame, staged: _Staged, head_sha256: str) -> str:
    """Write the table to its hidden place, durably, and return its SHA-256."""
    notes = {"contribution_bound": str(CONTRIBUTION_BOUND), "ledger_previous_sha256": head_sha256}
    try:
        staged.clear()
        make_folder(staged.output.parent)
        staged.folder.mkdir(mode=0o700)
        write_table(frame, staged.file, NOISED_COUNTS, notes)
        staged.file.chmod(0o600)
        with staged.file.open("rb") as stream:
            os.fsync(stream.fileno())
        sync_folder(staged.folder)
        sync_folder(staged.folder.parent)  # the hidden folder's own name
    except OSError as error:
        raise ReleaseError(
            f"{staged.output} cannot be written ({error.strerror}): nothing was released; "
            "choose a folder that can be written."
        ) from None
    return sha256_file(staged.file)


def _make_visible(staged: _Staged) -> None:
    try:
        staged.file.rename(staged.output)
        sync_folder(staged.output.parent)
    except OSError as error:
        raise ReleaseError(
            f"the release is recorded but {staged.output} could not be put in its place "
            f"({error.strerror}): run the same command again, nothing is drawn anew."
        ) from None
    staged.clear()
