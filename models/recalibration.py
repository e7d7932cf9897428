"""A survey's own calibration from people's decisions, without training again.

Reviewers looked at some of a survey's detections and said yes or no. Their answers move the curve
from score to probability that came with the weights: a logistic regression of the answers on the
log-odds that were said, with a prior around "they were right" (intercept 0, slope 1), by Laplace's
approximation (MacKay, Neural Computation 4 (1992) 720-736).

Which detections were asked about may depend on the score or on chance, and the regression stays
right, because it is conditional on the score; answers that were asked for because another detector
disagrees, say, must be left out before. The order of the list leans a little on what stands around
a site too, so decisions from its top alone make the curve a little too sure.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.calibration import Calibration, score_logit
from models.logistic import Prior, logistic_mode
from tiles.errors import ReviewError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FEWEST = 50  # answers; with fewer the prior decides
FEWEST_OF_A_KIND = 5  # of yes and of no: else the curve has no end to hang on
# How far a region lies from the curve, in log-odds, where the weights' own folds cannot tell:
# false alarms in regions never seen were 6.5 to 9.5 times as many, which is 1.9 to 2.3.
LEAST_DEVIATION = 2.0
SLOPE_DEVIATION = 0.3  # slopes measured on regions not trained on lay between 0.6 and 1.6
LEAST_SLOPE = 0.05  # nothing or less would turn the order of the scores round


class Recalibration(BaseModel):
    """log-odds of P(site) = intercept + slope * log-odds said before.

    Attributes:
        intercept: What is added; below 0 the survey was too sure.
        slope: Below 1 it was overconfident.
        variance_intercept: Variance of the intercept.
        variance_slope: Variance of the slope.
        covariance: Covariance of the two.
        n_yes: Decisions that a detection is a site.
        n_no: Decisions that it is none.
        weights_sha256: Of the weights whose scores these are.
        prevalence_per_1000km2: Density that the log-odds said before presumed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    intercept: float
    slope: float = Field(gt=0)
    variance_intercept: float = Field(ge=0)
    variance_slope: float = Field(ge=0)
    covariance: float
    n_yes: int = Field(ge=0)
    n_no: int = Field(ge=0)
    weights_sha256: str
    prevalence_per_1000km2: float = Field(gt=0)

    def applied_to(self, calibration: Calibration) -> Calibration:
        """The weights' curve at this survey's prevalence, moved by the decisions.

        What the decisions do not tell stays in the interval; the spread between regions does not,
        because they say where this region lies.
        """
        said, slope = calibration.intercept, calibration.slope
        # intercept' = a + b * said and slope' = b * slope, both linear in (a, b)
        to_intercept, to_slope = np.array([1.0, said]), np.array([0.0, slope])
        spread = np.array(
            [
                [self.variance_intercept, self.covariance],
                [self.covariance, self.variance_slope],
            ]
        )
        return calibration.model_copy(
            update={
                "intercept": self.intercept + self.slope * said,
                "slope": self.slope * slope,
                "variance_intercept": float(to_intercept @ spread @ to_intercept),
                "variance_slope": float(to_slope @ spread @ to_slope),
                "covariance": float(to_intercept @ spread @ to_slope),
                "variance_between": 0.0,
                "n_true": self.n_yes,
                "n_false": self.n_no,
            }
        )

    def __str__(self) -> str:
        return (
            f"from {self.n_yes} yes and {self.n_no} no: log-odds = {self.intercept:+.2f} + "
            f"{self.slope:.2f} x those said before (standard errors "
            f"{self.variance_intercept**0.5:.2f}, {self.variance_slope**0.5:.2f})"
        )


def recalibrate(
    scores: Floats, is_site: Bools, calibration: Calibration, weights_sha256: str
) -> Recalibration:
    """Fit a survey's own curve.

    Args:
        scores: Of the detections that were decided on, shape (n,).
        is_site: What was decided, shape (n,).
        calibration: The weights' curve, at the survey's prevalence.
        weights_sha256: Of the weights.

    Raises:
        ReviewError: There are too few decisions, or nearly all say the same.
    """
    n_yes, n_no = int(is_site.sum()), int((~is_site).sum())
    if n_yes + n_no < FEWEST or min(n_yes, n_no) < FEWEST_OF_A_KIND:
        raise ReviewError(
            f"{n_yes} yes and {n_no} no are too few to calibrate by: decide on at least {FEWEST} "
            f"places, {FEWEST_OF_A_KIND} of either kind."
        )
    said = calibration.intercept + calibration.slope * score_logit(scores)
    design = np.stack([np.ones_like(said), said], axis=1)
    between = calibration.variance_between + calibration.variance_intercept
    precision = np.diag([1 / max(between, LEAST_DEVIATION**2), 1 / SLOPE_DEVIATION**2])
    mode = logistic_mode(design, is_site.astype(float), Prior(np.array([0.0, 1.0]), precision))
    spread = np.linalg.inv(mode.curvature)
    return Recalibration(
        intercept=float(mode.beta[0]),
        slope=max(float(mode.beta[1]), LEAST_SLOPE),
        variance_intercept=float(spread[0, 0]),
        variance_slope=float(spread[1, 1]),
        covariance=float(spread[0, 1]),
        n_yes=n_yes,
        n_no=n_no,
        weights_sha256=weights_sha256,
        prevalence_per_1000km2=calibration.prevalence_per_1000km2,
    )
