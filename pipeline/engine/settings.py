"""How the work is cut, spread, limited and given up: the `engine` section of a run file."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tiles.blocks import COMPOSITE_CORE_PX, CORE_PX

ENGINE_PATHS = ("tls_ca", "tls_cert", "tls_key")


class EngineSettings(BaseModel):
    """What decides how a survey is computed, and nothing of what it finds.

    Attributes:
        block_px: wanted side of a task's block, in pixels of 10 m; results do not depend on it.
            Twice as much where dates are put together, if it is absent (see `side_px`).
        retries: times that a task which failed is tried again before it is given up.
        backoff_s: seconds before the first retry; each further one waits twice as long.
        task_limit_s: seconds after which a task counts as hung, and its worker is ended.
        max_failed: tasks that may be given up before the run stops; of 2,048 px
            blocks a Sentinel-2 tile is 36.
        worker_wait_s: seconds to wait for a worker when a scheduler has none.
        tls_ca: file of the certificate authority that signed the scheduler's certificate (PEM).
        tls_cert: this client's certificate (PEM).
        tls_key: this client's key (PEM).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    block_px: int | None = Field(default=None, ge=512, le=8192)
    retries: int = Field(default=2, ge=0)
    backoff_s: float = Field(default=2.0, ge=0)
    task_limit_s: float = Field(default=600.0, gt=0)
    max_failed: int = Field(default=100, ge=0)
    worker_wait_s: float = Field(default=300.0, gt=0)
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None

    def side_px(self, composite: bool) -> int:
        """Wanted side of a block, pixels; of a composite larger, as its margins cost every date."""
        return self.block_px or (COMPOSITE_CORE_PX if composite else CORE_PX)

    @model_validator(mode="after")
    def _whole_identity(self) -> Self:
        given = [getattr(self, name) is not None for name in ENGINE_PATHS]
        if any(given) and not all(given):
            raise ValueError("tls_ca, tls_cert and tls_key belong together: give all three")
        return self
