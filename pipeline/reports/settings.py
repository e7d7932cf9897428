"""What a release is told: files, months, what to count, and what it may cost."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, field_validator, model_validator

from pipeline.reports.intake import HTCDS_INDUSTRIES
from pipeline.reports.ledger import Vector, head_file
from tiles.errors import ReleaseError
from tiles.partition import K_SITES, SMALLEST_K
from tiles.region import Period

EPSILON = 1.0  # one reporter changes the odds of any statement by a factor of e = 2.7 at most
MAX_EPSILON_A_YEAR = 4.0  # four releases of 1, a year of quarters
SMALLEST_EPSILON = 0.001  # at a noise of 1,000 reporters an entry a count says nothing
KILN_INDUSTRY = "C_Manufacturing"  # of the class brick_kiln: HTCDS has no code for bricks alone


def _period(value: object) -> object:
    return Period.parse(value) if isinstance(value, str) else value


GivenPeriod = Annotated[Period, BeforeValidator(_period)]  # as 2025-11/2026-06, or a Period


class ReleaseSettings(BaseModel):
    """What `kilnlight reports release` is told; unknown keys are refused.

    Attributes:
        reports: encrypted store, or plain CSV, of crowd reports.
        keys: folder of the store's keys; none for a plain CSV.
        partition: groups of cells, written by `kilnlight partition build`.
        period: months whose reports count, all of them released at once.
        ledger: the region's ledger; begun when it is not there.
        output: noised_counts.parquet to write; must not be there.
        industries: HTCDS v2 codes to count, fixed before reports are looked at.
        epsilon: privacy loss of this release for one reporter, 0.001 at least.
        max_epsilon_a_year: what the losses of twelve months in a row may add up to.
        k: real sites (lower 90 % bound) that every group of the partition must hold, at least 2.
        anonymous_cap: count at most so many reports that name nobody, and nothing else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    reports: Path
    keys: Path | None = None
    partition: Path
    period: GivenPeriod
    ledger: Path
    output: Path
    industries: tuple[str, ...] = (KILN_INDUSTRY,)
    epsilon: float = EPSILON
    max_epsilon_a_year: float = MAX_EPSILON_A_YEAR
    k: int = K_SITES
    anonymous_cap: int | None = None

    @property
    def vector(self) -> Vector:
        """What is counted."""
        return "reporters" if self.anonymous_cap is None else "anonymous"

    # ReleaseError is no ValueError, so pydantic lets it through as the one sentence that it is.
    @field_validator("epsilon", "max_epsilon_a_year")
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

    @field_validator("anonymous_cap")
    @classmethod
    def _some(cls, value: int | None) -> int | None:
        if value is not None and value < 1:
            raise ReleaseError(f"anonymous cap {value}: write 1 or more, or leave it out.")
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
        paths = [self.reports, self.partition, self.ledger, head_file(self.ledger), self.output]
        if len({path.resolve() for path in paths}) != len(paths):
            raise ReleaseError(
                "reports, partition, ledger and output must be four different files: "
                "give each its own path."
            )
        return self
