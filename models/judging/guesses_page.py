"""What `kilnlight adapt` took for sites, as pictures: a person sees whether it went wrong."""

from __future__ import annotations

import numpy as np

from models.fitting.self_training import Guesses
from models.judging.evaluation_page import Section, Shown, picture_page, show
from models.judging.mistakes_page import outlines
from models.site_class import SiteClass
from models.weights import WeightsCard

# The best, and the last that still counted: where the best are wrong all is lost.
BEST_SHOWN, LAST_SHOWN = 24, 24


def guesses_page(guesses: Guesses, card: WeightsCard, site_class: SiteClass) -> str:
    """The page, as HTML.

    Args:
        guesses: Of one round.
        card: Of the weights that are adapted.
        site_class: What they find.
    """
    score = np.concatenate([boxes.score for boxes in guesses.taken])
    picture = np.repeat(np.arange(len(guesses.taken)), [len(boxes) for boxes in guesses.taken])
    first = np.concatenate([np.arange(len(boxes)) for boxes in guesses.taken])
    order = np.argsort(-score, kind="stable")
    best, rest = order[:BEST_SHOWN], order[BEST_SHOWN:]

    def shown(chosen: np.ndarray) -> tuple[Shown, ...]:
        return tuple(_show(guesses, int(picture[i]), int(first[i])) for i in chosen)

    things = site_class.title.lower()
    sections = [
        Section("The best", "Highest score first.", shown(best)),
        Section(
            "The last that were taken",
            "Just above the score from which a place was taken for a site.",
            shown(rest[-LAST_SHOWN:]),
            max(len(rest) - LAST_SHOWN, 0),
        ),
    ]
    return picture_page(
        f"What was taken for {things}s",
        f"{len(order)} places, each crop 640 m wide, from which {card.name} learns what {things}s "
        f"look like here; {guesses.n_open} more are left open, all other ground counts as empty. "
        f"At least eight in ten should be {things}s. If not, do not use the weights: adapt to "
        "imagery in which you know that there are some, or review places instead.",
        "Guesses of a detector: nobody has looked at them. Worksites seen from space: labour "
        "conditions not assessed. The pictures are parts of the imagery and carry its licence; "
        f"weights: {card.licence}.",
        [],
        [section for section in sections if section.pictures],
    )


def _show(guesses: Guesses, number: int, index: int) -> Shown:
    boxes, picture = guesses.taken[number], guesses.pictures[number].without_labels()
    row, col, score = (float(v[index]) for v in (boxes.row, boxes.col, boxes.score))
    x, y = col + picture.first_col, row + picture.first_row
    return show(
        picture,
        row,
        col,
        outlines(picture, boxes),
        caption=f"score {score:.2f}; {picture.name}, x {x:.0f}, y {y:.0f}",
        alt=f"Satellite picture, 640 m wide: taken for a site, score {score:.2f}",
    )
