"""What a detector found, missed and took for a site, as pictures for `kilnlight evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.chips import Picture
from models.detection import PixelBoxes
from models.judging.assessment import Assessed, Assessment, RegionReport, RegionScored
from models.judging.evaluation import Matches, match
from models.judging.evaluation_page import Outline, Section, Shown, Table, picture_page, show
from models.judging.scoring import Spots

Ints = NDArray[np.int64]

# Enough to see what goes wrong; the page stays under about 3 MB a region.
MOST_PICTURES = 48
# Hits are shown over their whole range of scores, not the best alone.
HITS_SHOWN = 16
COLOURS = "Yellow: detected. Blue: labelled. Pink, dashed: counts neither way."
NOTICE = (
    "Worksites seen from space: labour conditions not assessed. The pictures are parts of the "
    "imagery that was scored and carry its licence; weights: {licence}."
)


def mistakes_page(assessed: Assessed) -> str:
    """The page, as HTML.

    Args:
        assessed: What `assessing.assess` returned.
    """
    record, tolerance_m = assessed.record, assessed.tolerance_m
    sections = [
        section
        for region in assessed.regions
        for section in _sections(region, record.threshold, tolerance_m)
    ]
    title = f"{record.weights} on {record.dataset}" + (f", {record.fold}" if record.fold else "")
    lead = (
        "What the detector found, missed and took for a site on places that it was scored on, at "
        f"its threshold of {record.threshold:.2f}, each crop 640 m wide. {COLOURS}"
    )
    notice = NOTICE.format(licence=record.licence)
    return picture_page(title, lead, notice, _tables(record, tolerance_m), sections)


def _tables(record: Assessment, tolerance_m: float) -> list[Table]:
    columns = ("", "AP", "F1", "precision", "recall", "false per 1,000 km2")
    rows = [row for report in record.regions for row in _figures(report, tolerance_m)]
    rows += [
        (f"{e.region}, no site known", "", "", "", "", f"{e.rates[0].per_1000km2.value:.0f}")
        for e in record.empty
    ]
    return [Table(f"Figures within {tolerance_m:.0f} m", columns, tuple(rows))]


def _figures(report: RegionReport, tolerance_m: float) -> list[tuple[str, ...]]:
    rows = []
    words = ", labels as they are" if report.noted is not None else ""
    named = [(report.labels, words), (report.noted, ", label notes applied")]
    for evaluation, words in named:
        if evaluation is None:
            continue
        at = evaluation.at(tolerance_m)
        figures = map(str, (at.average_precision, at.f1, at.precision, at.recall))
        rate = f"{at.false_alarms_per_1000km2:.0f}"
        rows.append((f"{report.region}{words}", *figures, rate))
    if report.perfect is not None:
        p = report.perfect
        best = [f"{v:.3f}" for v in (p.average_precision, p.f1, p.precision, p.recall)]
        rows.insert(1, (f"{report.region}, a perfect detector", *best, ""))
    return rows


def _sections(region: RegionScored, threshold: float, tolerance_m: float) -> list[Section]:
    scored = region.scored
    m = match(scored.detections, scored.scores, scored.sites, scored.doubtful, tolerance_m)
    above = scored.scores[m.order] > threshold
    wrong = m.order[above & ~m.hit]
    hits = m.order[above & m.hit]
    low_score = _scores_of_sites(m, scored.scores, len(scored.sites))
    missed = np.flatnonzero(low_score <= threshold)
    missed = missed[np.argsort(low_score[missed], kind="stable")].astype(np.int64)
    shown_hits = hits[np.unique(np.linspace(0, len(hits) - 1, HITS_SHOWN).astype(int))]
    return [
        _section(
            f"{region.region}: taken for a site",
            "Detections above the threshold on no labelled site, highest score first. Some may be "
            "sites without a label.",
            [_detected(region, i, "false alarm", threshold) for i in wrong[:MOST_PICTURES]],
            len(wrong),
        ),
        _section(
            f"{region.region}: missed",
            "Labelled sites without a detection above the threshold, lowest score first.",
            [_missed(region, i, float(low_score[i]), threshold) for i in missed[:MOST_PICTURES]],
            len(missed),
        ),
        _section(
            f"{region.region}: found",
            "Some of the sites found, from the highest score to the lowest.",
            [_detected(region, i, "hit", threshold) for i in (shown_hits if len(hits) else hits)],
            len(hits),
        ),
    ]


def _section(title: str, text: str, pictures: Sequence[Shown], n: int) -> Section:
    return Section(f"{title} ({n})", text, tuple(pictures), n - len(pictures))


def _scores_of_sites(m: Matches, scores: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """The score with which each site was found, 0 where it never was."""
    found = np.zeros(n)
    found[m.site[m.hit]] = scores[m.order[m.hit]]
    return found


def _detected(region: RegionScored, index: int, what: str, threshold: float) -> Shown:
    at = region.scored.detected_at
    words = f"{what}, score {region.scored.scores[index]:.2f}"
    return _at(region, _Spot.of(at, index), words, threshold)


def _missed(region: RegionScored, index: int, score: float, threshold: float) -> Shown:
    words = f"missed, score {score:.2f}" if score else "missed, nothing detected"
    return _at(region, _Spot.of(region.scored.known_at, index), words, threshold)


@dataclass(frozen=True)
class _Spot:
    picture: int
    row: float
    col: float

    @classmethod
    def of(cls, spots: Spots, index: int) -> _Spot:
        return cls(int(spots.picture[index]), float(spots.row[index]), float(spots.col[index]))


def _at(region: RegionScored, spot: _Spot, what: str, threshold: float) -> Shown:
    picture = region.pictures[spot.picture]
    boxes = region.boxes[spot.picture]
    x, y = spot.col + picture.first_col, spot.row + picture.first_row
    return show(
        picture,
        spot.row,
        spot.col,
        outlines(picture, boxes[boxes.score > threshold]),
        caption=f"{what}; {picture.name}, x {x:.0f}, y {y:.0f}",
        alt=f"Satellite picture, 640 m wide, {region.region}: {what}",
    )


def outlines(picture: Picture, boxes: PixelBoxes) -> list[Outline]:
    """What was detected on a picture, and everything labelled and doubtful there."""
    sites, doubtful = picture.sites, picture.doubtful
    found = zip(boxes.row, boxes.col, boxes.length_px, boxes.width_px, boxes.angle_rad, strict=True)
    known = zip(sites.row, sites.col, sites.length_px, sites.width_px, sites.angle_rad, strict=True)
    return [
        *(Outline("known", *map(float, box)) for box in known),
        *(Outline("found", *map(float, box)) for box in found),
        *(
            Outline("doubtful", float(r), float(c))
            for r, c in zip(doubtful.row, doubtful.col, strict=True)
        ),
    ]
