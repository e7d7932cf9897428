"""Discrete Laplace noise from OpenDP, whose own map states what it costs."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from opendp.domains import atom_domain, vector_domain
from opendp.measurements import make_laplace
from opendp.metrics import l1_distance
from opendp.mod import Measurement, OpenDPException, enable_features

from tiles.errors import ReleaseError

ROUNDING_STEPS = 8  # OpenDP rounds its map upwards; 3,000 values of epsilon needed one step at most


@dataclass(frozen=True)
class Noise:
    """A measurement over integer vectors with the privacy loss it was checked against.

    Attributes:
        epsilon: the loss that OpenDP's map stays within for `sensitivity`.
        sensitivity: L1 distance that one person can move the exact vector by, in reporters.
        scale: of the discrete Laplace distribution, in reporters.
    """

    epsilon: float
    sensitivity: int
    scale: float
    measurement: Measurement

    @classmethod
    def of(cls, epsilon: float, sensitivity: int) -> "Noise":
        """Choose the smallest scale, about sensitivity / epsilon, that OpenDP accepts.

        The mechanism adds to each entry an integer with P(x) proportional to exp(-|x| / scale)
        (Ghosh, Roughgarden, Sundararajan, "Universally utility-maximizing privacy mechanisms",
        STOC 2009), sampled exactly and from the system's secure randomness (Canonne, Kamath,
        Steinke, "The discrete Gaussian for differential privacy", NeurIPS 2020, section 5).

        Raises:
            ReleaseError: OpenDP proves no such scale.
        """
        scale = sensitivity / epsilon
        for _ in range(ROUNDING_STEPS):
            measurement = _laplace(scale)
            if _loss(measurement, sensitivity) <= epsilon:
                return cls(epsilon, sensitivity, scale, measurement)
            scale = math.nextafter(scale, math.inf)
        raise ReleaseError(f"OpenDP proves no noise scale for epsilon {epsilon}: use 1.")

    def add(self, exact: Sequence[int]) -> list[int]:
        """Return the vector with noise on every entry, zeros too; signed and never clamped.

        Raises:
            ReleaseError: the loss that OpenDP states exceeds epsilon; nothing is drawn then.
        """
        if not _loss(self.measurement, self.sensitivity) <= self.epsilon:
            raise ReleaseError(f"the noise scale {self.scale} is too small for {self.epsilon}.")
        noised = [int(count) for count in self.measurement(list(exact))]
        if len(noised) != len(exact):
            raise ReleaseError("OpenDP answered another number of counts: report this as a bug.")
        return noised


def _loss(measurement: Measurement, sensitivity: int) -> float:
    """The privacy loss that OpenDP proves for a distance of `sensitivity`."""
    privacy_map = cast(Callable[..., float], measurement.map)  # OpenDP leaves it untyped
    return privacy_map(d_in=sensitivity)


def _laplace(scale: float) -> Measurement:
    enable_features(
        "contrib"
    )  # make_laplace has a proof, but OpenDP's reviewers have not signed it
    try:
        return make_laplace(vector_domain(atom_domain(T="i64")), l1_distance(T="i64"), scale=scale)
    except OpenDPException:
        raise ReleaseError(f"OpenDP accepts no noise of scale {scale}: use epsilon 1.") from None
