"""What the scores that a dataset's folds left say: figures, and how good probabilities are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from models.judging.operating import operate
from models.judging.out_of_fold import Threshold, best_of, figures_above, nested_figures_of_table
from models.judging.reliability import (
    Reliability,
    crossfitted_log_odds,
    log_odds_from,
    reliability_by_region,
)
from models.judging.scoring import read_scores
from models.labelled.class_of_labels import class_of_labels
from models.labelled.dataset_file import read_dataset_file
from models.weights import Figure, OnceAdapted
from tiles.errors import DatasetError
from tiles.files import write_text

# Behind a region's name, where its figures are those of weights adapted to it unlabelled.
ONCE_ADAPTED = ", never labelled, adapted to"


class HeldOutReport(BaseModel):
    """Figures of all folds of a dataset together, each place judged by what other places chose.

    Attributes:
        dataset: Name of the dataset.
        version: Of the weights made from it.
        site_class: Class of the sites.
        prevalence_per_1000km2: Density of sites that the calibration figures hold for.
        figures: Within regions, with the threshold of every place chosen on the other places.
        calibration: By region and of all, with curves fitted on the other places; all scores.
        unseen: In regions never seen, with the threshold that is best in the others.
        calibration_unseen: By region never seen, with a curve fitted on the other regions alone;
            all scores.
        adapted: As `unseen`, once the weights were adapted to the region's own imagery, unlabelled.
        calibration_adapted: As `calibration_unseen`, likewise.
        disclaimer: What the figures say nothing about.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    version: str
    site_class: str
    prevalence_per_1000km2: float
    figures: tuple[Figure, ...]
    calibration: dict[str, Reliability]
    unseen: tuple[Figure, ...]
    calibration_unseen: dict[str, Reliability]
    adapted: tuple[Figure, ...] = ()
    calibration_adapted: dict[str, Reliability] = {}
    disclaimer: str

    def summary(self) -> str:
        """Some lines for people."""
        lines = [
            f"{self.dataset} {self.version}, places held out; thresholds chosen on other places",
            *map(_line, self.figures),
            *(f"  {name}: calibration {r}" for name, r in self.calibration.items()),
        ]
        if self.unseen:
            lines += ["Regions never seen; thresholds and curves from the other regions"]
            lines += map(_line, self.unseen)
            lines += [f"  {name}: calibration {r}" for name, r in self.calibration_unseen.items()]
        if self.adapted:
            lines += ["The same once adapted to their own imagery, unlabelled"]
            lines += map(_line, self.adapted)
            lines += [f"  {name}: calibration {r}" for name, r in self.calibration_adapted.items()]
        return "\n".join([*lines, self.disclaimer])


def _line(figure: Figure) -> str:
    ends = "" if figure.low is None else f" [{figure.low:.3f}, {figure.high:.3f}]"
    return f"  {figure.name} {figure.value:.3f}{ends}"


def held_out_report(dataset: Path) -> HeldOutReport:
    """Report on the tables that a dataset file names as `out_of_fold` and `transfers`.

    Raises:
        DatasetError: The file names none, or a table cannot be used.
    """
    file = read_dataset_file(dataset)
    if not file.out_of_fold:
        raise DatasetError(
            f"{dataset} names no out_of_fold tables: train its folds, and name the .scores.csv "
            "that each writes."
        )
    within = read_scores([dataset.parent / path for path in file.out_of_fold])
    beyond = read_scores([dataset.parent / p for p in file.transfers]) if file.transfers else None
    adapted = read_scores([dataset.parent / p for p in file.adapted]) if file.adapted else None
    site_class = class_of_labels(file, dataset)
    prevalence = site_class.prevalence_per_1000km2
    return HeldOutReport(
        dataset=file.name,
        version=file.version,
        site_class=site_class.name,
        prevalence_per_1000km2=prevalence,
        figures=tuple(nested_figures_of_table(within)),
        calibration=reliability_by_region(
            within, crossfitted_log_odds(within, prevalence), prevalence
        ),
        unseen=() if beyond is None else tuple(unseen_figures(within, beyond)),
        calibration_unseen=_calibration_unseen(within, beyond, prevalence),
        # what adapted weights' scores mean only other adapted weights can say
        adapted=() if adapted is None else tuple(unseen_figures(adapted, adapted)),
        calibration_adapted=_calibration_unseen(adapted, adapted, prevalence),
        disclaimer=site_class.disclaimer,
    )


def unseen_figures(within: pd.DataFrame, beyond: pd.DataFrame, suffix: str = "") -> list[Figure]:
    """Figures of regions held out whole, each with the threshold that is best in the others.

    As if nobody had ever labelled a site there. With several seeds, means over them.

    Args:
        within: Scores on places held out one by one.
        beyond: Scores on whole regions held out.
        suffix: Put after each region's name.
    """
    figures = []
    for region, table, others in _regions_unseen(within, beyond):
        threshold = Threshold.fixed(table, best_of(others))
        figures += figures_above(region + suffix, table, threshold)
    return figures


def once_adapted(scores: pd.DataFrame, prevalence_per_1000km2: float) -> OnceAdapted | None:
    """What holds once weights are adapted; None where nothing was found in any region.

    The curve is fitted on all regions. How far it may be off elsewhere is what the curve of the
    others was off in each, not what this one is off where it was fitted.

    Args:
        scores: Of regions adapted to without their labels.
        prevalence_per_1000km2: Density of sites that probabilities are to presuppose.
    """
    operating = operate(scores, prevalence_per_1000km2)
    if operating is None:
        return None
    elsewhere = [
        known.calibration.variance_elsewhere
        for _, here, others in _regions_unseen(scores, scores)
        if (known := operate(others, prevalence_per_1000km2, here)) is not None
    ]
    variance = round(float(np.mean(elsewhere)), 6) if elsewhere else 0.0
    calibration = operating.calibration.model_copy(update={"variance_elsewhere": variance})
    return OnceAdapted(
        threshold=operating.threshold,
        calibration=calibration,
        recall=operating.recall,
        figures=tuple(unseen_figures(scores, scores, ONCE_ADAPTED)),
    )


def _calibration_unseen(
    within: pd.DataFrame | None, beyond: pd.DataFrame | None, prevalence: float
) -> dict[str, Reliability]:
    """How good probabilities are in each region, with a curve fitted on the others alone."""
    if within is None or beyond is None:
        return {}
    found: dict[str, Reliability] = {}
    for region, table, others in _regions_unseen(within, beyond):
        log_odds = log_odds_from(others, table, prevalence)
        by_region = reliability_by_region(table, log_odds, prevalence)
        found |= {region: by_region[region]} if region in by_region else {}
    return found


def _regions_unseen(
    within: pd.DataFrame, beyond: pd.DataFrame
) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Each region held out whole: its name, its own scores, and those of the other regions."""
    for region, here in beyond.groupby("region"):
        others = within[within["region"] != region]
        if (others["is_site"] & (others["score"] > 0)).any():
            yield str(region), here.reset_index(drop=True), others


def write_report(report: BaseModel, folder: Path) -> Path:
    """Write `held_out.json` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "held_out.json"
    write_text(path, report.model_dump_json(indent=1) + "\n")
    return path
