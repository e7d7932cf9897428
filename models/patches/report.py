"""`kilnlight evaluate` on labelled chips: what the tables of all folds say, as one record."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from models.labelled.chip_dataset import load_chips
from models.labelled.class_of_labels import named_class
from models.patches.figures import patch_figures
from models.patches.training import out_of_fold_folder, read_out_of_fold
from models.weights import Figure
from tiles.errors import DatasetError


class ChipsReport(BaseModel):
    """Figures of all folds together, each chip judged by a network that never saw its place.

    Attributes:
        dataset: Name of the dataset.
        version: Of the weights made from it.
        site_class: Class of the sites.
        figures: Against hard negatives and against random land, in all and by fold.
        disclaimer: What the figures say nothing about.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    version: str
    site_class: str
    figures: tuple[Figure, ...]
    disclaimer: str

    def summary(self) -> str:
        """Some lines for people."""
        head = f"{self.dataset} {self.version}, galleries and places held out"
        lines = [f"  {f.name} {f.value:.3f} [{f.low:.3f}, {f.high:.3f}]" for f in self.figures]
        return "\n".join([head, *lines, self.disclaimer])


def chips_report(dataset: Path, data_root: Path) -> ChipsReport:
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
    return ChipsReport(
        dataset=chips.file.name,
        version=chips.file.version,
        site_class=site_class.name,
        figures=tuple(patch_figures(scores, chips)),
        disclaimer=site_class.disclaimer,
    )
