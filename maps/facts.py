"""What public pages say beside the groups: whose imagery, which weights, how private."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from maps.decisions import Decision
from maps.expected import Estimate, Recall
from maps.sybils import FalseReporters
from tiles.partition import K_SITES, SMALLEST_K
from tiles.region import DELAY_MONTHS

Tier = Literal["public", "partner"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WeightsFacts(_Frozen):
    """The detector that was used."""

    name: str
    version: str
    licence: str
    threshold: float
    """Score from which on something counts as detected."""
    recall: Recall
    trained_on: str
    """One sentence: which data, whose, under which licence."""


class ReleaseFacts(_Frozen):
    """The release of noised counts that was used."""

    release_id: str
    epsilon: float = Field(gt=0)
    noise_scale: float = Field(gt=0)
    """Scale of the discrete Laplace noise, in reporters."""
    epsilon_year: float | None = Field(default=None, gt=0)
    """Loss over twelve months of somebody present in every source and release."""
    epsilon_lifetime: float | None = Field(default=None, gt=0)
    """The same over all releases of the region."""
    ledger_head_sha256: str | None = None
    """The ledger's newest line when this was released: `kilnlight reports verify` looks for it."""
    false_reporters: FalseReporters | None = None
    """How many false reporters lift a quiet area into the list's first ten."""


class Publication(_Frozen):
    """Everything the public pages say that does not stand in the GROUPS table."""

    region_name: str
    period: str
    """First and last month, as 2025-11/2026-06."""
    site_title: str
    """What was looked for, in the singular: Brick kiln."""
    disclaimer: str
    imagery: str
    """One sentence: which imagery, with the credit its licence asks for."""
    software: str
    """Name and version."""
    weights: WeightsFacts
    expected_total: Estimate
    """Sites expected in the whole region, from `expected_over`."""
    release: ReleaseFacts | None = None
    cautions: tuple[str, ...] = ()
    """Sentences that every page must show: why the figures may not hold here."""
    decisions: tuple[Decision, ...] = ()
    """How the hotspots came about; of the region as a whole, never of a place in it."""
    not_before: str | None = Field(default=None, pattern=r"^\d{4}-(0[1-9]|1[0-2])$")
    """First month in which the folder may be made public, as 2026-10: the tier's delay."""
    simulated: bool = False
    """Made-up data: every page says so."""
    tier: Tier = "public"
    """Whom the pages are for."""
    preview: bool = False
    """Made by a run, before delay and ledger were checked: every page says so."""
    k: int = Field(default=K_SITES, ge=SMALLEST_K)
    """Real sites that an area with a reporting rate very probably holds, at least."""
    delay_months: int = Field(default=DELAY_MONTHS, ge=0)
    """Whole months between the period's end and `not_before`."""
    publisher: str | None = None
    """Who publishes, for the citation and for those who contest an entry."""
    contact: str | None = None
    """Where to write: an address for mail or e-mail, or a telephone number."""
    n_points: int | None = Field(default=None, ge=0)
    """Single sites that the partner tier lists; None in the public tier."""

    @property
    def months(self) -> str:
        """The period for people: `2025-11 to 2026-06`, or the one month."""
        first, _, last = self.period.partition("/")
        return first if last in ("", first) else f"{first} to {last}"
