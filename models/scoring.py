"""A detector over labelled pictures: what it finds there, at every score, beside what is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.chips import Picture, PixelPoints
from models.dataset import Source
from models.detection import ArrayWindow, PixelBoxes, PixelOrigin
from models.detector import Detector
from models.evaluation import (
    Evaluation,
    Places,
    Ranking,
    evaluate_detections,
    figures_at,
    match,
)
from models.weights import Figure
from tiles.errors import DatasetError
from tiles.files import atomic_path

Floats = NDArray[np.float64]

# Side of a core: large enough that the halo costs little, small enough for the cache's sake.
CORE_PX = 768
# Peaks under this are noise by the hundred thousand; no survey's threshold comes near.
SCORE_FLOOR = 0.05
# Width of the blocks that a bootstrap over land resamples.
BLOCK_M = 10_000.0
# Pictures of separate tiles never match each other's sites, though some overlap on the ground.
APART_M = 1e7
# A mistake counts as one only away from anything known.
MISTAKE_DISTANCE_PX = 14.0
# Of a source of many small pictures the first ones stand for the rest; mining must stay quick.
MINED_PICTURES = 60
SCORE_COLUMNS = ("score", "is_site", "per_1000km2", "place")


@dataclass(frozen=True)
class Scored:
    """Detections and known sites of several pictures on one plane.

    Attributes:
        detections: Where something was detected.
        scores: Their scores.
        sites: What is known.
        doubtful: What counts neither way.
        area_km2: Area looked at.
    """

    detections: Places
    scores: Floats
    sites: Places
    doubtful: Places
    area_km2: float

    def evaluate(self, name: str, threshold: float) -> Evaluation:
        """All figures; see `evaluation.evaluate_detections`."""
        return evaluate_detections(
            self.detections, self.scores, self.sites, self.area_km2, threshold, self.doubtful, name
        )


def detect_picture(detector: Detector, picture: Picture) -> PixelBoxes:
    """All detections of one picture, cut into blocks as a survey does."""
    rows, cols = picture.usable.shape
    parts = [
        _detect_block(detector, picture, row, col)
        for row in range(0, rows, CORE_PX)
        for col in range(0, cols, CORE_PX)
    ]
    return PixelBoxes.concatenate(parts)


def _detect_block(detector: Detector, picture: Picture, row: int, col: int) -> PixelBoxes:
    halo = detector.halo_px
    rows, cols = picture.usable.shape
    core_rows, core_cols = min(CORE_PX, rows - row), min(CORE_PX, cols - col)
    top, left = row - halo, col - halo
    bottom, right = row + core_rows + halo, col + core_cols + halo
    outer = (slice(max(top, 0), min(bottom, rows)), slice(max(left, 0), min(right, cols)))
    pad = ((max(-top, 0), max(bottom - rows, 0)), (max(-left, 0), max(right - cols, 0)))
    return detector.detect(
        np.pad(picture.pixels[(slice(None), *outer)], ((0, 0), *pad)),
        np.pad(picture.usable[outer], pad),
        ArrayWindow(halo, halo, core_rows, core_cols),
        PixelOrigin(top, left),
    )


def score_pictures(detector: Detector, pictures: Sequence[Picture]) -> Scored:
    """Detect in all pictures at `SCORE_FLOOR` and put the results on one plane.

    Labels and detections within a picture's blind edge count neither way: sites there become
    doubtful, detections are dropped.
    """
    before, detector.threshold = detector.threshold, SCORE_FLOOR
    parts = [_score_picture(detector, p, i, len(pictures)) for i, p in enumerate(pictures)]
    detector.threshold = before
    return Scored(
        detections=_join([p.detections for p in parts]),
        scores=np.concatenate([p.scores for p in parts]),
        sites=_join([p.sites for p in parts]),
        doubtful=_join([p.doubtful for p in parts]),
        area_km2=sum(p.area_km2 for p in parts),
    )


def _score_picture(detector: Detector, picture: Picture, number: int, of: int) -> Scored:
    boxes = detect_picture(detector, picture)
    sites, doubtful = picture.sites, picture.doubtful
    seen = _off_edge(picture, boxes.row, boxes.col)
    whole = _off_edge(picture, sites.row, sites.col)
    number = number if of > 1 else 0

    def places(row: Floats, col: Floats) -> Places:
        return _places(picture, PixelPoints(row, col), number)

    edge = picture.blind_edge_px
    rows, cols = picture.usable.shape
    area = picture.area_km2 * (rows - 2 * edge) * (cols - 2 * edge) / (rows * cols)
    return Scored(
        detections=places(boxes.row[seen], boxes.col[seen]),
        scores=boxes.score[seen],
        sites=places(sites.row[whole], sites.col[whole]),
        doubtful=places(
            np.concatenate([doubtful.row, sites.row[~whole]]),
            np.concatenate([doubtful.col, sites.col[~whole]]),
        ),
        area_km2=area,
    )


def _off_edge(picture: Picture, row: Floats, col: Floats) -> NDArray[np.bool_]:
    rows, cols = picture.usable.shape
    edge = picture.blind_edge_px
    inside = (row >= edge) & (row <= rows - edge) & (col >= edge) & (col <= cols - edge)
    return inside if edge else np.ones(len(row), bool)


def _places(picture: Picture, points: PixelPoints, number: int) -> Places:
    ground = picture.ground
    east = ground.east_m + points.col * ground.col_m
    north = ground.north_m - points.row * ground.row_m
    block_row, block_col = np.floor(north / BLOCK_M), np.floor(east / BLOCK_M)
    small = max(picture.usable.shape) * ground.row_m < BLOCK_M
    block = np.full(len(points), number) if small else block_row * 100_000 + block_col
    plane = np.stack([east + number * APART_M, north], axis=1)
    return Places(plane.reshape(-1, 2), block.astype(np.int64))


def _join(parts: Sequence[Places]) -> Places:
    return Places(
        np.concatenate([p.xyz_m for p in parts]), np.concatenate([p.block for p in parts])
    )


def find_mistakes(
    detector: Detector, sources: Sequence[Source], per_picture: int = 600
) -> dict[tuple[int, int], PixelPoints]:
    """Positions of the strongest false alarms on the training places, by source and picture."""
    found = {}
    for i, j, picture in _numbered(sources):
        boxes = detect_picture(detector, picture)
        known = np.concatenate(
            [
                np.stack([picture.sites.row, picture.sites.col], 1),
                np.stack([picture.doubtful.row, picture.doubtful.col], 1),
            ]
        )
        away = _away(boxes, known) & _off_edge(picture, boxes.row, boxes.col)
        wrong = boxes[away]
        wrong = wrong[np.argsort(-wrong.score, kind="stable")[:per_picture]]
        if len(wrong):
            found[i, j] = PixelPoints(wrong.row, wrong.col)
    return found


def _numbered(sources: Sequence[Source]) -> Iterator[tuple[int, int, Picture]]:
    for i, source in enumerate(sources):
        for j, picture in enumerate(source.pictures[:MINED_PICTURES]):
            yield i, j, picture


def _away(boxes: PixelBoxes, known: Floats) -> NDArray[np.bool_]:
    if not len(known) or not len(boxes):
        return np.ones(len(boxes), bool)
    apart = np.hypot(boxes.row[:, None] - known[:, 0], boxes.col[:, None] - known[:, 1])
    return np.asarray(apart.min(axis=1) > MISTAKE_DISTANCE_PX)


def score_table(scored: Scored, place: str, tolerance_m: float) -> pd.DataFrame:
    """Out-of-fold scores as a table: `score, is_site, per_1000km2, place`.

    A site that was never found is a row with score 0, so that recall follows from the table too.
    """
    m = match(scored.detections, scored.scores, scored.sites, scored.doubtful, tolerance_m)
    missed = np.setdiff1d(np.arange(len(scored.sites)), m.site)
    block = np.concatenate([scored.detections.block[m.order], scored.sites.block[missed]])
    density = 1000 * len(scored.sites) / scored.area_km2
    return pd.DataFrame(
        {
            "score": np.concatenate([scored.scores[m.order], np.zeros(len(missed))]),
            "is_site": np.concatenate([m.hit, np.ones(len(missed), bool)]),
            "per_1000km2": round(density, 2),
            "place": [f"{place}/{b}" for b in block],
        }
    )


def figures_of_table(table: pd.DataFrame, threshold: float) -> list[Figure]:
    """Figures of every region of a table of scores, for a card."""
    region = table["place"].str.rsplit("/", n=1).str[0]
    return [
        figure
        for name, part in table.groupby(region)
        for figure in _figures(str(name), part, threshold)
    ]


def _figures(region: str, table: pd.DataFrame, threshold: float) -> list[Figure]:
    found = table[table["score"] > 0].sort_values("score", ascending=False, kind="stable")
    sites = table[table["is_site"]]
    if sites.empty:
        return []
    codes = pd.Series(pd.factorize(table["place"], sort=True)[0], index=table.index)
    ranking = Ranking(
        found["is_site"].to_numpy(bool),
        found["score"].to_numpy(float),
        codes[found.index].to_numpy(np.int64),
        codes[sites.index].to_numpy(np.int64),
    )
    area_km2 = 1000 * len(sites) / float(table["per_1000km2"].iloc[0])
    at = figures_at(ranking, 0.0, area_km2, threshold)
    intervals = {
        "average precision": at.average_precision,
        "F1": at.f1,
        "precision": at.precision,
        "recall": at.recall,
    }
    figures = [
        Figure(name=f"{region}: {name}", value=i.value, low=i.low, high=i.high)
        for name, i in intervals.items()
    ]
    rate = round(at.false_alarms_per_1000km2, 1)
    return [*figures, Figure(name=f"{region}: false alarms per 1,000 km2", value=rate)]


def write_scores(table: pd.DataFrame, path: Path) -> None:
    """Write a table of out-of-fold scores."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def read_scores(paths: Sequence[Path]) -> pd.DataFrame:
    """Tables of out-of-fold scores, joined.

    Raises:
        DatasetError: A table is missing or has other columns.
    """
    frames = []
    for path in paths:
        if not path.is_file():
            raise DatasetError(
                f"There are no out-of-fold scores at {path}: train the held-out datasets first."
            )
        frame = pd.read_csv(path)
        if tuple(frame.columns) != SCORE_COLUMNS:
            raise DatasetError(f"{path} has the columns {list(frame)}, not {list(SCORE_COLUMNS)}.")
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)
