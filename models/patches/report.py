"""`kilnlight evaluate` on labelled chips: what the tables of all folds say, and a page of chips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict

from models.judging.held_out import write_report
from models.judging.reliability import (
    Reliability,
    crossfitted_log_odds,
    reliability_by_region,
)
from models.judging.trade_offs import AtScore, Cheapest, cheapest, trade_offs
from models.labelled.chip_dataset import Chips, load_chips
from models.labelled.class_of_labels import named_class
from models.patches.chips_page import RankedChips, chips_page
from models.patches.figures import patch_figures
from models.patches.operating import land_table, land_threshold, place_numbers
from models.patches.training import out_of_fold_folder, read_out_of_fold
from models.weights import Figure
from tiles.errors import DatasetError
from tiles.files import write_text


class ChipsReport(BaseModel):
    """Figures of all folds together, each chip judged by a network that never saw its place.

    Attributes:
        dataset: Name of the dataset.
        version: Of the weights made from it.
        site_class: Class of the sites.
        licence: Of the weights.
        prevalence_per_1000km2: Density of sites that calibration and costs hold for.
        threshold: Of the greatest F1 at that density; chosen on the same scores.
        figures: Against hard negatives and against random land, in all and by fold.
        calibration: By fold and of all, with the curve that the other folds give; sites against
            random land.
        at_scores: What several thresholds would give on random land.
        cheapest: The thresholds of least cost there.
        disclaimer: What the figures say nothing about.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    version: str
    site_class: str
    licence: str
    prevalence_per_1000km2: float
    threshold: float
    figures: tuple[Figure, ...]
    calibration: dict[str, Reliability]
    at_scores: tuple[AtScore, ...]
    cheapest: tuple[Cheapest, ...]
    disclaimer: str

    def summary(self) -> str:
        """Some lines for people."""
        head = f"{self.dataset} {self.version}, galleries and places held out"
        lines = [f"  {f.name} {f.value:.3f} [{f.low:.3f}, {f.high:.3f}]" for f in self.figures]
        lines += [f"  {name}: calibration {r}" for name, r in self.calibration.items()]
        lines += [f"  {at}" for at in (*self.at_scores, *self.cheapest)]
        return "\n".join([head, *lines, self.disclaimer])


@dataclass(frozen=True)
class JudgedChips:
    """The record, and what it was made from."""

    record: ChipsReport
    chips: Chips
    scores: pd.DataFrame


def judge_chips(dataset: Path, data_root: Path) -> JudgedChips:
    """Report on the tables that trainings of the folds left in the folder named after the file.

    Raises:
        DatasetError: There are none, or one cannot be used.
    """
    chips = load_chips(dataset, data_root)
    scores = read_out_of_fold(dataset, chips)
    if scores is None:
        raise DatasetError(
            f"{out_of_fold_folder(dataset)} holds no .chips.csv: chips are judged by what the "
            "trainings of all folds wrote there, `kilnlight train --fold`."
        )
    site_class = named_class(chips.file.site_class, dataset)
    prevalence = site_class.prevalence_per_1000km2
    table = land_table(scores, chips)
    threshold = land_threshold(table, prevalence)
    log_odds = crossfitted_log_odds(table, prevalence)
    # random land stands in the table once for every network, and is one place all the same
    place = place_numbers(table)
    record = ChipsReport(
        dataset=chips.file.name,
        version=chips.file.version,
        site_class=site_class.name,
        licence=chips.file.licence,
        prevalence_per_1000km2=prevalence,
        threshold=threshold,
        figures=tuple(patch_figures(scores, chips)),
        calibration=reliability_by_region(table, log_odds, prevalence, place=place),
        at_scores=trade_offs(table, threshold, prevalence),
        cheapest=cheapest(table, prevalence),
        disclaimer=site_class.disclaimer,
    )
    return JudgedChips(record, chips, scores)


def write_judged_chips(judged: JudgedChips, folder: Path) -> tuple[Path, ...]:
    """Write `held_out.json` and `held_out.html` into a folder.

    Returns:
        The files.
    """
    record = judged.record
    title = f"{record.dataset} {record.version}"
    ranked = RankedChips.of(judged.scores, judged.chips)
    page = chips_page(title, record.licence, record.threshold, record.figures, ranked)
    paths = write_report(record, folder), folder / "held_out.html"
    write_text(paths[1], page)
    return paths
