"""A detector on the places a dataset holds out: every figure, region by region, as one record."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from pydantic import BaseModel, ConfigDict

from models.chips import Picture
from models.detection import PixelBoxes
from models.judging.evaluation import FIXED_RECALL, Evaluation
from models.judging.land_rates import LandRate
from models.judging.out_of_fold import Gain
from models.judging.perfect import Perfect
from models.judging.reliability import Reliability
from models.judging.scoring import Scored
from models.judging.trade_offs import AtScore, Cheapest


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RegionReport(_Frozen):
    """Figures of one region that was held out.

    Attributes:
        region: Its name.
        places: The places of it that were scored.
        labels: Against the labels as they are.
        perfect: What a perfect detector would get against the same labels, as far as the label
            notes tell; None where there are none.
        noted: With the label notes applied: noted places count neither way, wrong labels not at
            all. None where there are no notes.
        score_at_recall: Score of the detection that reaches `FIXED_RECALL`, None if none does.
        calibration: Of all detections down to the lowest score kept, at the survey's prevalence.
        calibration_above: Of those above the threshold, which a survey reports.
        at_scores: What several thresholds would give.
        cheapest: The thresholds of least cost.
        land: False alarms above the threshold by kind of land.
    """

    region: str
    places: tuple[str, ...]
    labels: Evaluation
    perfect: Perfect | None
    noted: Evaluation | None
    score_at_recall: float | None
    calibration: Reliability | None
    calibration_above: Reliability | None
    at_scores: tuple[AtScore, ...]
    cheapest: tuple[Cheapest, ...]
    land: tuple[LandRate, ...]


class EmptyReport(_Frozen):
    """False alarms on land that holds no site at all.

    Attributes:
        region: Its name.
        n_pictures: How many pictures.
        area_km2: Their area.
        rates: False alarms above the threshold, in all and by kind of land.
        at_recall: False alarms per 1,000 km2 at the score at which `FIXED_RECALL` of a region's
            sites are found, by region.
    """

    region: str
    n_pictures: int
    area_km2: float
    rates: tuple[LandRate, ...]
    at_recall: dict[str, float]


class Assessment(_Frozen):
    """Everything `kilnlight evaluate` found.

    Attributes:
        weights: Name and version.
        sha256: Of the weights.
        licence: Of the weights.
        dataset: Name of the dataset.
        fold: Which fold was scored.
        site_class: Class of the sites.
        threshold: Score above which a detection counts.
        prevalence_per_1000km2: Density of sites that the calibration figures hold for.
        regions: Regions with sites.
        empty: Land without any.
        gains: Against another detector, where one was named.
        disclaimer: What the figures say nothing about.
    """

    weights: str
    sha256: str
    licence: str
    dataset: str
    fold: str
    site_class: str
    threshold: float
    prevalence_per_1000km2: float
    regions: tuple[RegionReport, ...]
    empty: tuple[EmptyReport, ...]
    gains: tuple[Gain, ...] = ()
    disclaimer: str

    def summary(self) -> str:
        """Some lines for people."""
        head = f"{self.weights} ({self.licence}) on {self.dataset}" + (
            f", fold {self.fold}" if self.fold else ""
        )
        lines = [head, *(line for r in self.regions for line in _region_lines(r))]
        lines += [line for e in self.empty for line in _empty_lines(e)]
        return "\n".join([*lines, *map(str, self.gains), self.disclaimer])


@dataclass(frozen=True)
class RegionScored:
    """One region's pictures and what was detected there, for the page of pictures.

    Attributes:
        region: Its name.
        pictures: With label notes applied.
        boxes: What was detected on each.
        scored: The same on one plane.
    """

    region: str
    pictures: tuple[Picture, ...]
    boxes: tuple[PixelBoxes, ...]
    scored: Scored


@dataclass(frozen=True)
class Assessed:
    """The record, what it was made from, the scores, and how near a detection must be to a site."""

    record: Assessment
    regions: tuple[RegionScored, ...]
    table: pd.DataFrame
    tolerance_m: float


def _region_lines(report: RegionReport) -> list[str]:
    lines = [report.labels.summary()]
    if report.perfect is not None and report.noted is not None:
        lines += [f"  {report.perfect}", "With the label notes applied:", report.noted.summary()]
    if report.calibration is not None:
        lines.append(f"  calibration of all scores {report.calibration}")
    if report.calibration_above is not None:
        lines.append(f"  calibration above the threshold {report.calibration_above}")
    lines += [f"  {at}" for at in (*report.at_scores, *report.cheapest)]
    return [*lines, *(f"  false alarms on {rate}" for rate in report.land)]


def _empty_lines(report: EmptyReport) -> list[str]:
    head = (
        f"{report.region}, no site known: {report.n_pictures} pictures, {report.area_km2:,.0f} km2"
    )
    at = [
        f"  {rate:.0f} false alarms per 1,000 km2 where {FIXED_RECALL:.0%} are found in {region}"
        for region, rate in report.at_recall.items()
    ]
    return [head, *(f"  false alarms on {rate}" for rate in report.rates), *at]
