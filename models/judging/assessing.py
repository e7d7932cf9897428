"""Scores a detector on the places a dataset holds out and makes the record of `assessment`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.calibration import Calibration
from models.chips import Picture
from models.detector import Detector
from models.judging.assessment import Assessed, Assessment, EmptyReport, RegionReport, RegionScored
from models.judging.evaluation import FIXED_RECALL, match
from models.judging.land_rates import land_rates
from models.judging.mistakes_page import mistakes_page
from models.judging.never_seen import check_class, check_never_seen
from models.judging.out_of_fold import Gain, compare_tables
from models.judging.perfect import perfect_detector
from models.judging.reliability import Reliability, forecasts_of, log_odds_of, reliability
from models.judging.scoring import (
    Scored,
    detect_pictures,
    join_scores,
    score_table,
    scored_of,
    write_scores,
)
from models.judging.trade_offs import cheapest, trade_offs
from models.labelled.class_of_labels import class_of_labels
from models.labelled.dataset import Dataset, load_dataset
from models.labelled.formats.notes import read_notes
from models.site_class import SiteClass
from tiles.errors import DatasetError
from tiles.files import write_text


@dataclass(frozen=True)
class Question:
    """What to assess.

    Attributes:
        dataset: Dataset file, or a folder of labelled tiles.
        data_root: Folder that the dataset's paths start from.
        fold: Which fold of it.
        site_class: Class of the labels, where no dataset file says so.
    """

    dataset: Path
    data_root: Path
    fold: str | None = None
    site_class: str | None = None


def assess(detector: Detector, question: Question, against: Detector | None = None) -> Assessed:
    """Score a detector on what a dataset holds out.

    Args:
        detector: To score.
        question: On what.
        against: A detector to beat; both are resampled together.

    Raises:
        DatasetError: The dataset cannot be used, or holds out nothing; or the weights find
            something else, or learnt from what is held out.
    """
    noted = load_dataset(question.dataset, question.data_root, question.fold, simulate=False)
    if not noted.test and not noted.empty:
        raise DatasetError(
            f"{question.dataset} holds nothing out{_with_folds(noted)}: there is nothing to score."
        )
    site_class = class_of_labels(noted.file, question.dataset, question.site_class)
    for judged in (detector, against) if against else (detector,):
        check_class(judged.card, site_class)
        check_never_seen(judged.card, noted)
    regions = _regions(detector, noted.test)
    labels = _labels_as_they_are(noted, question)
    reports = tuple(_region_report(r, detector, site_class, labels) for r in regions)
    table = _table(regions, site_class.match_tolerance_m)
    gains = _gains(table, regions, detector, against, site_class) if against else []
    record = Assessment(
        weights=f"{detector.card.name} {detector.card.version}",
        sha256=detector.sha256,
        licence=detector.card.licence,
        dataset=noted.file.name,
        fold=noted.fold,
        site_class=site_class.name,
        threshold=detector.card.threshold,
        prevalence_per_1000km2=site_class.prevalence_per_1000km2,
        regions=reports,
        empty=tuple(_empty_reports(detector, noted.empty, reports)),
        gains=tuple(gains),
        disclaimer=site_class.disclaimer,
    )
    return Assessed(record, regions, table, site_class.match_tolerance_m)


def _with_folds(dataset: Dataset) -> str:
    names = ", ".join(dataset.file.folds)
    return f" without --fold (its folds are {names})" if names and not dataset.fold else ""


def by_region(pictures: Sequence[Picture]) -> dict[str, list[Picture]]:
    """Pictures by region, or by place where no region is said, in order of the name."""
    named = [(p.region or p.place, p) for p in pictures]
    return {name: [p for n, p in named if n == name] for name in sorted({n for n, _ in named})}


def _regions(detector: Detector, pictures: Sequence[Picture]) -> tuple[RegionScored, ...]:
    found = []
    for region, group in by_region(pictures).items():
        boxes = detect_pictures(detector, group)
        found.append(RegionScored(region, tuple(group), tuple(boxes), scored_of(group, boxes)))
    return tuple(found)


@dataclass(frozen=True)
class _Labels:
    """Labels before correction, by region, and the notes; empty where there are no notes."""

    pictures: dict[str, list[Picture]]
    notes: pd.DataFrame | None


def _labels_as_they_are(dataset: Dataset, question: Question) -> _Labels:
    file = dataset.file
    named = [s.notes for s in file.scenes] + [s.notes for s in file.tiles]
    paths = [path for path in named if path is not None]
    if not paths:
        return _Labels({}, None)
    raw = load_dataset(
        question.dataset, question.data_root, question.fold, notes=False, simulate=False
    )
    notes = pd.concat([read_notes(question.data_root / path) for path in paths])
    return _Labels(by_region(raw.test), notes)


def _region_report(
    found: RegionScored, detector: Detector, site_class: SiteClass, labels: _Labels
) -> RegionReport:
    threshold, tolerance_m = detector.card.threshold, site_class.match_tolerance_m
    noted = found.scored.evaluate(found.region, threshold)
    as_they_are, perfect = noted, None
    if labels.notes is not None and found.region in labels.pictures:
        raw = labels.pictures[found.region]
        perfect = perfect_detector(raw, labels.notes)
    if perfect is not None:
        as_they_are = scored_of(raw, found.boxes).evaluate(found.region, threshold)
    table = score_table(found.scored, found.region, tolerance_m)
    wrong = _false_alarms(found.scored, threshold, tolerance_m)
    return RegionReport(
        region=found.region,
        places=tuple(sorted({p.place for p in found.pictures})),
        labels=as_they_are,
        perfect=perfect,
        noted=noted if perfect is not None else None,
        score_at_recall=_score_at_recall(table),
        calibration=_reliability(table, detector.card.calibration, site_class, 0.0),
        calibration_above=_reliability(table, detector.card.calibration, site_class, threshold),
        at_scores=trade_offs(table, threshold, site_class.prevalence_per_1000km2),
        cheapest=cheapest(table, site_class.prevalence_per_1000km2),
        land=land_rates(found.pictures, wrong),
    )


def _false_alarms(scored: Scored, threshold: float, tolerance_m: float) -> NDArray[np.float64]:
    """Picture, row and column of the detections above a score that are on no site, (n, 3)."""
    m = match(scored.detections, scored.scores, scored.sites, scored.doubtful, tolerance_m)
    index = m.order[~m.hit & (scored.scores[m.order] > threshold)]
    at = scored.detected_at
    return np.stack([at.picture[index].astype(float), at.row[index], at.col[index]], axis=1)


def _reliability(
    table: pd.DataFrame, calibration: Calibration, site_class: SiteClass, threshold: float
) -> Reliability | None:
    prevalence = site_class.prevalence_per_1000km2
    above = table[table["score"] > threshold].reset_index(drop=True)
    curve = calibration.at_prevalence(prevalence)
    log_odds = log_odds_of(curve, above["score"].to_numpy(float))
    return reliability(forecasts_of(above, log_odds), prevalence)


def _score_at_recall(table: pd.DataFrame) -> float | None:
    sites = table[table["is_site"]]["score"].sort_values(ascending=False).to_numpy(float)
    score = sites[int(np.ceil(FIXED_RECALL * len(sites) - 1e-9)) - 1]
    return float(score) if score > 0 else None


def _table(regions: Sequence[RegionScored], tolerance_m: float) -> pd.DataFrame:
    tables = [score_table(r.scored, r.region, tolerance_m) for r in regions]
    return join_scores(tables) if tables else pd.DataFrame()


def _gains(
    table: pd.DataFrame,
    regions: Sequence[RegionScored],
    detector: Detector,
    against: Detector,
    site_class: SiteClass,
) -> list[Gain]:
    others = [
        replace(r, boxes=tuple(boxes), scored=scored_of(r.pictures, boxes))
        for r in regions
        for boxes in [detect_pictures(against, r.pictures)]
    ]
    before = _table(others, site_class.match_tolerance_m)
    return compare_tables(before, table, against.card.threshold, detector.card.threshold)


def _empty_reports(
    detector: Detector, pictures: Sequence[Picture], regions: Sequence[RegionReport]
) -> list[EmptyReport]:
    reports = []
    for region, group in by_region(pictures).items():
        scored = scored_of(group, detect_pictures(detector, group))
        above = _false_alarms(scored, detector.card.threshold, 0.0)
        reports.append(
            EmptyReport(
                region=region,
                n_pictures=len(group),
                area_km2=round(scored.area_km2, 2),
                rates=land_rates(group, above),
                at_recall={
                    r.region: round(
                        1000 * int((scored.scores >= r.score_at_recall).sum()) / scored.area_km2, 1
                    )
                    for r in regions
                    if r.score_at_recall is not None
                },
            )
        )
    return reports


def write_assessment(assessed: Assessed, folder: Path) -> tuple[Path, ...]:
    """Write `evaluation.json`, `evaluation.html` and `scores.csv` into a folder.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record, page = folder / "evaluation.json", folder / "evaluation.html"
    write_text(record, assessed.record.model_dump_json(indent=1) + "\n")
    write_text(page, mistakes_page(assessed))
    if assessed.table.empty:
        return record, page
    write_scores(assessed.table, folder / "scores.csv")
    return record, page, folder / "scores.csv"
