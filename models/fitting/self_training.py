"""Guesses of a detector as labels: how it learns the look of a region that nobody has labelled.

Self-training with pseudo-labels (Lee, 2013), without the data that the detector was trained on
(source-free adaptation; Liang et al., 2020): the best of what it finds is taken for sites, what is
doubtful teaches nothing, all the rest is background; from these guesses it learns, guesses again,
and learns again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.chips import Picture, PixelPoints, SiteLabels
from models.detection import PixelBoxes
from tiles.errors import DatasetError

# The median of so many best scores says how sure the detector is, at best, of a site there.
BEST = 10
# Shares of that: from the first on a detection is taken for a site, up to the second for none.
# Scores fall from region to region, so no fixed score would do.
TAKEN, OPEN = 0.7, 0.3


@dataclass(frozen=True)
class Guesses:
    """What is taken for known, of pictures that nobody has labelled.

    Attributes:
        pictures: With guesses in the place of labels.
        taken: Boxes of each picture that are taken for sites.
        n_open: How many detections teach nothing.
        taken_above: Score from which a detection is taken for a site.
    """

    pictures: tuple[Picture, ...]
    taken: tuple[PixelBoxes, ...]
    n_open: int
    taken_above: float

    @property
    def n_taken(self) -> int:
        """How many places are taken for sites."""
        return sum(map(len, self.taken))


def guess(pictures: Sequence[Picture], boxes: Sequence[PixelBoxes]) -> Guesses:
    """Take the best of what was detected for sites, by the shares `TAKEN` and `OPEN`.

    Args:
        pictures: Whose labels, if they have any, are not looked at.
        boxes: What was detected in each, down to the lowest score of interest.

    Raises:
        DatasetError: Fewer than `BEST` places were detected at all.
    """
    scores = np.sort(np.concatenate([np.zeros(0), *(b.score for b in boxes)]))[::-1]
    if len(scores) < BEST:
        raise DatasetError(
            f"Only {len(scores)} places there look like a site at all, and {BEST} are needed to "
            "learn the look of a region: give imagery in which you know that there are some."
        )
    best = float(np.median(scores[:BEST]))
    taken = tuple(box[box.score >= TAKEN * best] for box in boxes)
    doubted = [box[(box.score >= OPEN * best) & (box.score < TAKEN * best)] for box in boxes]
    labelled = tuple(map(_labelled, pictures, taken, doubted))
    return Guesses(labelled, taken, sum(map(len, doubted)), TAKEN * best)


def _labelled(picture: Picture, taken: PixelBoxes, doubted: PixelBoxes) -> Picture:
    return replace(
        picture.without_labels(),
        sites=SiteLabels(taken.row, taken.col, taken.length_px, taken.width_px, taken.angle_rad),
        doubtful=PixelPoints(doubted.row, doubted.col),
    )
