"""One release: reports in, noised counts out, recorded in the ledger before anybody can see them.

The order is what makes it safe; each step runs only when all before it have succeeded:

1. Read and check the partition and all reports. Bad input ends here, nothing written.
2. Lock and check the ledger: chain, head, months, partition, budget; and that the store's keys
   note no release of this period, under whatever ledger. A refusal ends here, nothing drawn.
3. Draw (`draw`), and write the table to a hidden folder (mode 0700).
4. Append the release with the SHA-256 of its counts to the ledger; wait until it is on the disk.
   Note it beside the keys.
5. Rename the file to its name.

Killed before 4 is done, nothing is recorded and nothing is visible: the hidden draw was seen by
nobody but the operator, who has the reports anyway, and the next attempt throws it away. Killed
after 4, the release is recorded and its file waits in the hidden folder: the same command then
performs step 5 with that very file (its counts must be the recorded ones) and draws nothing; any
other release to the same name is refused until then. There is no moment at which a visible file is
not recorded.

Given reports that can be read, whether there is a release never depends on what they say, not even
when none counts: that a file exists would tell as much as a count without noise.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd

from pipeline.reports.counting import (
    Layout,
    anonymous_sensitivity,
    anonymous_vector,
    exact_vector,
    sensitivity,
)
from pipeline.reports.intake import Gate, Intake, closed_gate, is_store, read_reports
from pipeline.reports.keys import KeyFolder
from pipeline.reports.ledger import Ledger, LedgerLine, Vector, open_ledger
from pipeline.reports.noise import Noise
from pipeline.reports.settings import ReleaseSettings
from pipeline.reports.staging import Staged
from tiles.errors import ReleaseError
from tiles.noised_counts import (
    HEAD_NOTE,
    LIFETIME_NOTE,
    LINES_NOTE,
    SENSITIVITY_NOTE,
    VECTOR_NOTE,
    YEAR_NOTE,
    counts_sha256,
)
from tiles.partition import earlier_versions, partition_sha256, read_partition
from tiles.region import Period


@dataclass(frozen=True)
class ReleaseSummary:
    """What the operator is told; nothing in it depends on what the reports say.

    Attributes:
        release_id: the release's name in the ledger.
        vector: what was counted.
        output: the noised counts.
        ledger: the ledger.
        groups: groups of the partition that were released, empty ones included.
        industries: HTCDS v2 codes that were counted.
        epsilon: privacy loss of this release for one person present in every source.
        epsilon_year: of the twelve months up to this period's end, this release included.
        epsilon_lifetime: sum over the ledger, this release included.
        sensitivity: L1 distance that this person can move the exact vector by.
        scale: of the discrete Laplace noise, in reporters.
        ledger_begun: the ledger was not there before; a mistyped path begins a second account.
        resumed: no noise was drawn, the file of an interrupted release was put in its place.
    """

    release_id: str
    vector: Vector
    output: Path
    ledger: Path
    groups: int
    industries: tuple[str, ...]
    epsilon: float
    epsilon_year: float
    epsilon_lifetime: float
    sensitivity: int
    scale: float
    ledger_begun: bool
    resumed: bool


def release_counts(settings: ReleaseSettings) -> ReleaseSummary:
    """Release noised counts of one period, once.

    Raises:
        ReportError: the reports cannot be used.
        TableError: the partition cannot be used.
        ReleaseError: the release is refused, or a file cannot be written.
    """
    partition = _read_checked_partition(settings)
    layout = Layout.of(partition, settings.industries)
    intake = _read(settings)
    with _held_keys(settings) as keys, open_ledger(settings.ledger) as ledger:
        if settings.output.exists():
            raise ReleaseError(
                f"{settings.output} is there already: give another name, since released counts "
                "are never replaced."
            )
        begun = not ledger.lines
        line = _interrupted(settings, ledger)
        resumed = line is not None
        if line is None:
            _check_account(settings, ledger, keys)
            noise = noise_for(settings, intake)
            rows = _rows(partition, layout, draw(intake, layout, settings.anonymous_cap, noise))
            line = _record(settings, ledger, rows, noise)
        if keys is not None:
            keys.note_release(settings.period, settings.vector, line.release_id)
        Staged(settings.output, settings.ledger).make_visible()
        return ReleaseSummary(
            release_id=line.release_id,
            vector=line.vector,
            output=settings.output,
            ledger=settings.ledger,
            groups=len(layout.entries) // len(settings.industries),
            industries=line.industries,
            epsilon=line.epsilon,
            epsilon_year=ledger.epsilon_year(settings.period),
            epsilon_lifetime=ledger.epsilon_lifetime,
            sensitivity=line.sensitivity,
            scale=line.scale,
            ledger_begun=begun,
            resumed=resumed,
        )


def noise_for(settings: ReleaseSettings, intake: Intake) -> Noise:
    """Choose the noise for what one person can do to the vector; rows have no say in it."""
    if settings.anonymous_cap is None:
        return Noise.of(settings.epsilon, sensitivity(intake.id_spaces))
    return Noise.of(settings.epsilon, anonymous_sensitivity(settings.anonymous_cap))


def draw(intake: Intake, layout: Layout, anonymous_cap: int | None, noise: Noise) -> list[int]:
    """Count and add the noise: the one place where reports become numbers that leave."""
    if anonymous_cap is None:
        return noise.add(exact_vector(intake.reports, layout))
    return noise.add(anonymous_vector(intake.anonymous, layout, anonymous_cap))


def check_reports(settings: ReleaseSettings) -> str | None:
    """Say, for the screen only, why no report would be counted; None when one would.

    Whether any report counts is an exact fact. A release therefore never says it, since what a
    release says ends up in the logs of whatever runs it. Spends nothing.

    Raises:
        ReportError: the reports cannot be used.
        TableError: the partition cannot be used.
        ReleaseError: the partition cannot be released on.
    """
    layout = Layout.of(_read_checked_partition(settings), settings.industries)
    return _note(_read(settings), layout, settings.vector)


def _read(settings: ReleaseSettings) -> Intake:
    return read_reports(settings.reports, settings.period, settings.industries, settings.keys)


def _read_checked_partition(settings: ReleaseSettings) -> gpd.GeoDataFrame:
    partition = read_partition(settings.partition)
    small = partition[partition["released"] & (partition["k_lower"] < settings.k)]
    if len(small):
        raise ReleaseError(
            f"{settings.partition}: group {small['group_id'].iloc[0]} holds fewer than "
            f"{settings.k} sites: build the partition with k {settings.k}."
        )
    return partition


def _note(intake: Intake, layout: Layout, vector: Vector) -> str | None:
    reports = intake.reports if vector == "reporters" else intake.anonymous
    if any(index is not None for index in layout.indices_of(reports)):
        return None
    if vector == "anonymous":
        return "no report that names nobody lies in a group that can be released"
    return f"no report could be counted: {closed_gate(intake.passed) or Gate.GROUP}"


@contextmanager
def _held_keys(settings: ReleaseSettings) -> Iterator[KeyFolder | None]:
    """Hold the store's keys against other commands until the block ends; a plain CSV has none."""
    if settings.keys is None or not is_store(settings.reports):
        yield None
        return
    keys = KeyFolder(settings.keys)
    with keys.locked():
        yield keys


def _check_account(settings: ReleaseSettings, ledger: Ledger, keys: KeyFolder | None) -> None:
    follows = earlier_versions(settings.partition)
    ledger.check_allows(
        settings.period,
        settings.vector,
        {partition_sha256(settings.partition), *follows},
        settings.epsilon,
        settings.max_epsilon_a_year,
    )
    noted = None if keys is None else keys.release_of(settings.period, settings.vector)
    if noted is not None:
        raise ReleaseError(
            f"{settings.period} of store {settings.reports} was released before, as release "
            f"{noted}, which ledger {settings.ledger} does not hold: give the ledger that does, or "
            "restore it from your copy; a second draw would let the noise be averaged away."
        )


def _interrupted(settings: ReleaseSettings, ledger: Ledger) -> LedgerLine | None:
    """The recorded release whose file a crash left in the hidden folder, if this is its command.

    Raises:
        ReleaseError: the file that waits there is another recorded release's; it cannot be drawn
            again, so nothing may take its place.
    """
    waiting = Staged(settings.output, settings.ledger).waiting()
    line = None if waiting is None else ledger.line_of_counts(waiting.counts_sha256)
    if waiting is None or line is None or line.sha256 != waiting.head_sha256:
        return None
    recorded = (line.period, line.vector, line.partition_sha256, line.industries)
    partition_hash = partition_sha256(settings.partition)
    asked = (str(settings.period), settings.vector, partition_hash, settings.industries)
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
    line = LedgerLine(
        release_id=release_id,
        vector=settings.vector,
        partition_sha256=partition_hash,
        period=str(settings.period),
        industries=settings.industries,
        epsilon=noise.epsilon,
        sensitivity=noise.sensitivity,
        scale=noise.scale,
        output=settings.output.name,
        counts_sha256=counts_sha256(frame),
        previous_sha256=ledger.head_sha256,
        recorded_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    staged = Staged(settings.output, settings.ledger)
    try:
        staged.write(frame, _notes(line, ledger))
        ledger.append(line)
    except ReleaseError:
        if line not in ledger.lines:
            staged.clear()
        raise
    return line


def _notes(line: LedgerLine, ledger: Ledger) -> dict[str, str]:
    """What the file says beside its counts: the head that the ledger will have with this line."""
    year = ledger.epsilon_year(Period.parse(line.period)) + line.epsilon
    return {
        VECTOR_NOTE: line.vector,
        SENSITIVITY_NOTE: str(line.sensitivity),
        LIFETIME_NOTE: f"{ledger.epsilon_lifetime + line.epsilon:g}",
        YEAR_NOTE: f"{year:g}",
        LINES_NOTE: str(len(ledger.lines) + 1),
        HEAD_NOTE: line.sha256,
    }
