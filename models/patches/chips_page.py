"""The chips that networks of other folds found, missed and took for a site, as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from models.judging.evaluation_page import Section, Shown, Table, picture_page, show_chip
from models.judging.mistakes_page import HITS_SHOWN, MOST_PICTURES, NOTICE
from models.labelled.chip_dataset import Chips
from models.patches.figures import HARD, RANDOM
from models.patches.operating import GSD_M
from models.weights import Figure

HIGHEST_FIRST = "Highest score first. Some may hold a site all the same."


@dataclass(frozen=True)
class RankedChips:
    """Chips from the highest score to the lowest.

    Attributes:
        chips: All of them.
        index: (n,), of those scored.
        score: (n,), the mean over the networks that never saw the chip's place.
    """

    chips: Chips
    index: NDArray[np.int64]
    score: NDArray[np.float64]

    @classmethod
    def of(cls, scores: pd.DataFrame, chips: Chips) -> RankedChips:
        """Ranked by a table of `chip, fold, seed, logit`."""
        logit = scores.groupby("chip")["logit"].mean().sort_values(ascending=False, kind="stable")
        return cls(chips, logit.index.to_numpy(np.int64), expit(logit.to_numpy(float)))

    def section(self, name: str, text: str, kept: NDArray[np.bool_], order: str) -> Section:
        """A section of those kept: the `first`, the `last`, or a `spread` over all of them."""
        at = np.flatnonzero(kept)
        if order == "spread":
            shown = at[:: max(-(-len(at) // HITS_SHOWN), 1)]
        else:
            shown = (at if order == "first" else at[::-1])[:MOST_PICTURES]
        pictures = tuple(self._shown(i) for i in shown)
        return Section(f"{name} ({len(at)})", text, pictures, len(at) - len(pictures))

    def _shown(self, i: int) -> Shown:
        chip, pixels = int(self.index[i]), self.chips.pixels[self.index[i]]
        words = "labelled as a site" if self.chips.is_site[chip] else "no site known"
        caption = f"chip {chip}, score {self.score[i]:.2f}"
        alt = f"Satellite picture, {pixels.shape[1] * GSD_M:.0f} m wide, {words}: {caption}"
        return show_chip(pixels, caption, alt)


def chips_page(
    title: str, licence: str, threshold: float, figures: Sequence[Figure], ranked: RankedChips
) -> str:
    """The page, as HTML.

    Args:
        title: Name and version of the weights.
        licence: Of the weights.
        threshold: Score above which a chip counts.
        figures: To stand in a table before the pictures.
        ranked: The chips, scored.
    """
    is_site = ranked.chips.is_site[ranked.index]
    random = ranked.chips.random_land[ranked.index]
    above = ranked.score > threshold
    sections = [
        ranked.section(
            f"Taken for a site: {HARD}", HIGHEST_FIRST, above & ~is_site & ~random, "first"
        ),
        ranked.section(f"Taken for a site: {RANDOM}", HIGHEST_FIRST, above & random, "first"),
        ranked.section("Missed", "Lowest score first.", ~above & is_site, "last"),
        ranked.section("Found", "Some of them, highest score first.", above & is_site, "spread"),
    ]
    side_m = ranked.chips.pixels.shape[2] * GSD_M
    lead = (
        "What networks that never saw a chip's place found, missed and took for a site at a "
        f"threshold of {threshold:.2f}, which was chosen on the same scores. Each chip is "
        f"{side_m:.0f} m wide."
    )
    source = ranked.chips.file.labelled_chips
    notice = f"{NOTICE.format(licence=licence)} Pictures: {source.credit} ({source.licence})."
    rows = tuple((f.name, f"{f.value:.3f}", f"{f.low:.3f} to {f.high:.3f}") for f in figures)
    table = Table("Figures", ("", "value", "95 % interval"), rows)
    return picture_page(title, lead, notice, [table], sections)
