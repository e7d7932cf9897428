"""What the scores that a dataset's folds left say: figures, and how good probabilities are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict

from models.judging.out_of_fold import Threshold, best_of, figures_above, nested_figures_of_table
from models.judging.reliability import (
    Reliability,
    crossfitted_log_odds,
    log_odds_from,
    reliability_by_region,
)
from models.judging.scoring import read_scores
from models.labelled.dataset_file import read_dataset_file
from models.site_class import load_site_class
from models.weights import Figure
from tiles.errors import DatasetError
from tiles.files import write_text


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
    site_class = load_site_class(file.site_class)
    prevalence = site_class.prevalence_per_1000km2
    unseen = [] if beyond is None else list(_regions_unseen(within, beyond, prevalence))
    return HeldOutReport(
        dataset=file.name,
        version=file.version,
        site_class=site_class.name,
        prevalence_per_1000km2=prevalence,
        figures=tuple(nested_figures_of_table(within)),
        calibration=reliability_by_region(
            within, crossfitted_log_odds(within, prevalence), prevalence
        ),
        unseen=tuple(figure for _, figures, _ in unseen for figure in figures),
        calibration_unseen={region: found for region, _, found in unseen if found is not None},
        disclaimer=site_class.disclaimer,
    )


def _regions_unseen(
    within: pd.DataFrame, beyond: pd.DataFrame, prevalence: float
) -> Iterator[tuple[str, list[Figure], Reliability | None]]:
    """Each region with its figures, as if nobody had ever labelled a site there."""
    for region, here in beyond.groupby("region"):
        table, others = here.reset_index(drop=True), within[within["region"] != region]
        if not (others["is_site"] & (others["score"] > 0)).any():
            continue
        threshold = Threshold.fixed(table, best_of(others))
        log_odds = log_odds_from(others, table, prevalence)
        found = reliability_by_region(table, log_odds, prevalence)
        yield str(region), figures_above(str(region), table, threshold), found.get(str(region))


def write_report(report: HeldOutReport, folder: Path) -> Path:
    """Write `held_out.json` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "held_out.json"
    write_text(path, report.model_dump_json(indent=1) + "\n")
    return path
