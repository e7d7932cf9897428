"""The settings of a made-up belt, and the random numbers that follow from them."""

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator

from tiles.errors import SimulationError

MOST_PER_KM2 = 0.4  # denser than this, kilns with their yards overlap and placing them fails


class BeltSettings(BaseModel):
    """What to simulate.

    Attributes:
        side_km: Side of the square region.
        gsd_m: Ground size of a pixel.
        seed: Same seed, same bytes.
        n_kilns: How many; None: 40 per 1,000 km2, at least 8.
        cluster_share: Share of the kilns in each of the two planted clusters.
        cluster_radius_km: Of each; None: 8 % of the side.
        centre_lon, centre_lat: Degrees; on a zone boundary (78 E) the scenes lie in two UTM zones.
        overlap_share: Width of the strip that both scenes show, as a share of the side.
        cloud_share: Share of each scene under cloud, roughly.
        haze: Greatest opacity of the haze in the hazier scene.
        n_reporters: How many people report; None: 6 per 100 km2, at least 60.
        reports_cluster_share: Share of reporters in the planted cluster of reports.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    side_km: float = 100.0
    gsd_m: float = 10.0
    seed: int = 2026
    n_kilns: int | None = None
    cluster_share: float = 0.17
    cluster_radius_km: float | None = None
    centre_lon: float = 78.0
    centre_lat: float = 27.0
    overlap_share: float = 0.1
    cloud_share: float = 0.03
    haze: float = 0.35
    n_reporters: int | None = None
    reports_cluster_share: float = 0.2

    @model_validator(mode="after")
    def _check(self) -> "BeltSettings":
        bounds: dict[str, tuple[float, float]] = {
            "side_km": (3, 300),  # below, no cluster fits; above, flat metres and one UTM zone fail
            "gsd_m": (5, 20),
            "seed": (0, 2**31 - 1),
            "cluster_share": (0, 0.45),
            "centre_lon": (-177, 177),
            "centre_lat": (-60, 60),  # kilns of this kind, and UTM without its exceptions
            "overlap_share": (0.02, 0.5),
            "cloud_share": (0, 0.3),
            "haze": (0, 0.8),
            "reports_cluster_share": (0, 0.9),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise SimulationError(f"{name}={value} is out of range: use {low:g} to {high:g}.")
        self._check_counts()
        return self

    def _check_counts(self) -> None:
        most = int(MOST_PER_KM2 * self.side_km**2)
        if self.n_kilns is not None and not 1 <= self.n_kilns <= most:
            raise SimulationError(
                f"n_kilns={self.n_kilns} does not fit a belt of {self.side_km:g} km: "
                f"use 1 to {most}."
            )
        if self.n_reporters is not None and self.n_reporters < 1:
            raise SimulationError(f"n_reporters={self.n_reporters} is too few: use 1 or more.")
        radius = self.cluster_radius_km
        if radius is not None and not 0 < radius <= self.side_km / 8:
            raise SimulationError(
                f"cluster_radius_km={radius} does not fit: use more than 0, "
                f"at most {self.side_km / 8:g} (an eighth of side_km)."
            )

    @property
    def kilns(self) -> int:
        """Number of kilns, resolved."""
        return self.n_kilns or max(8, round(self.side_km**2 * 0.04))

    @property
    def reporters(self) -> int:
        """Number of reporters, resolved."""
        return self.n_reporters or max(60, round(self.side_km**2 * 0.06))

    @property
    def cluster_radius_m(self) -> float:
        """Radius of the planted clusters in metres, resolved."""
        km = 0.08 * self.side_km if self.cluster_radius_km is None else self.cluster_radius_km
        return km * 1000

    @property
    def half_m(self) -> float:
        """Half of the side, in metres."""
        return self.side_km * 500


def stream(settings: BeltSettings, name: str) -> np.random.Generator:
    """Return the random numbers of one purpose, so that a change in one leaves the others alone."""
    return np.random.default_rng([settings.seed, *name.encode()])
