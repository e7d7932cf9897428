"""A detector over labelled pictures: what it finds there, at every score, beside what is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from models.chips import Picture, PixelPoints
from models.detection import ArrayWindow, PixelBoxes, PixelOrigin
from models.detector import Detector
from models.inference.mosaic import LARGEST_PX, detect_chips
from models.judging.evaluation import (
    Evaluation,
    Places,
    evaluate_detections,
    match,
)
from models.labelled.dataset import Source
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
SCORE_COLUMNS = (
    "score",
    "is_site",
    "per_1000km2",
    "place",
    "region",
    "fold",
    "seed",
    "area_km2",
)
# What tables held before folds and seeds were told apart; they are still read.
FIRST_COLUMNS = SCORE_COLUMNS[:4]


@dataclass(frozen=True)
class Spots:
    """Positions on several pictures, pixel-corner convention.

    Attributes:
        picture: Number of the picture, shape (n,).
        row: Row on it.
        col: Column on it.
    """

    picture: NDArray[np.int64]
    row: Floats
    col: Floats

    def __len__(self) -> int:
        return len(self.row)

    @staticmethod
    def join(parts: Sequence[Spots]) -> Spots:
        """All spots, in order."""
        return Spots(
            np.concatenate([p.picture for p in parts]),
            np.concatenate([p.row for p in parts]),
            np.concatenate([p.col for p in parts]),
        )


@dataclass(frozen=True)
class Scored:
    """Detections and known sites of several pictures on one plane.

    Attributes:
        detections: Where something was detected.
        scores: Their scores.
        sites: What is known.
        doubtful: What counts neither way.
        area_km2: Area looked at.
        detected_at: The detections on their pictures.
        known_at: The sites on theirs.
    """

    detections: Places
    scores: Floats
    sites: Places
    doubtful: Places
    area_km2: float
    detected_at: Spots
    known_at: Spots

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


def detect_pictures(detector: Detector, pictures: Sequence[Picture]) -> list[PixelBoxes]:
    """Detections of every picture at `SCORE_FLOOR`, those in its blind edge left out."""
    before, detector.threshold = detector.threshold, SCORE_FLOOR
    try:
        boxes = _detect_all(detector, pictures)
    finally:
        detector.threshold = before
    return [b[off_edge(p, b.row, b.col)] for p, b in zip(pictures, boxes, strict=True)]


def _detect_all(detector: Detector, pictures: Sequence[Picture]) -> list[PixelBoxes]:
    """Detections of every picture; small ones many at a time."""
    if all(max(p.usable.shape) <= LARGEST_PX for p in pictures):
        return detect_chips(detector, pictures)
    return [detect_picture(detector, picture) for picture in pictures]


def score_pictures(detector: Detector, pictures: Sequence[Picture]) -> Scored:
    """Detect in all pictures at `SCORE_FLOOR` and put the results on one plane."""
    return scored_of(pictures, detect_pictures(detector, pictures))


def scored_of(pictures: Sequence[Picture], boxes: Sequence[PixelBoxes]) -> Scored:
    """What was detected in pictures and what is known there, on one plane.

    Labels within a picture's blind edge count neither way: they become doubtful.

    Args:
        pictures: The pictures.
        boxes: What `detect_pictures` found in each.
    """
    places = place_numbers(pictures)
    parts = [
        _scored(picture, found, number, places[number])
        for number, (picture, found) in enumerate(zip(pictures, boxes, strict=True))
    ]
    return Scored(
        detections=_join([p.detections for p in parts]),
        scores=np.concatenate([p.scores for p in parts]),
        sites=_join([p.sites for p in parts]),
        doubtful=_join([p.doubtful for p in parts]),
        area_km2=sum(p.area_km2 for p in parts),
        detected_at=Spots.join([p.detected_at for p in parts]),
        known_at=Spots.join([p.known_at for p in parts]),
    )


def _scored(picture: Picture, boxes: PixelBoxes, number: int, place: int) -> Scored:
    sites, doubtful = picture.sites, picture.doubtful
    whole = off_edge(picture, sites.row, sites.col)

    def places(row: Floats, col: Floats) -> Places:
        return _places(picture, PixelPoints(row, col), number, place)

    return Scored(
        detections=places(boxes.row, boxes.col),
        scores=boxes.score,
        sites=places(sites.row[whole], sites.col[whole]),
        doubtful=places(
            np.concatenate([doubtful.row, sites.row[~whole]]),
            np.concatenate([doubtful.col, sites.col[~whole]]),
        ),
        area_km2=inner_area_km2(picture),
        detected_at=_spots(number, boxes.row, boxes.col),
        known_at=_spots(number, sites.row[whole], sites.col[whole]),
    )


def _spots(number: int, row: Floats, col: Floats) -> Spots:
    return Spots(np.full(len(row), number, np.int64), row, col)


def inner_area_km2(picture: Picture) -> float:
    """Usable area of a picture less its blind edge."""
    edge = picture.blind_edge_px
    rows, cols = picture.usable.shape
    inner = picture.usable[edge : rows - edge, edge : cols - edge]
    return float(inner.sum()) * picture.ground.col_m * picture.ground.row_m / 1e6


def off_edge(picture: Picture, row: Floats, col: Floats) -> NDArray[np.bool_]:
    """Whether positions lie within a picture and outside its blind edge."""
    rows, cols = picture.usable.shape
    edge = picture.blind_edge_px
    inside = (row >= edge) & (row <= rows - edge) & (col >= edge) & (col <= cols - edge)
    return inside if edge else np.ones(len(row), bool)


def _places(picture: Picture, points: PixelPoints, number: int, place: int) -> Places:
    ground = picture.ground
    east = ground.east_m + points.col * ground.col_m
    north = ground.north_m - points.row * ground.row_m
    plane = np.stack([east + number * APART_M, north], axis=1)
    return Places(plane.reshape(-1, 2), land_blocks(picture, east, north, place))


def place_numbers(pictures: Sequence[Picture]) -> list[int]:
    """A number a place; a number a picture where all say the same place."""
    places = [p.place for p in pictures]
    if len(set(places)) < 2:
        return list(range(len(pictures)))
    number = {place: i for i, place in enumerate(sorted(set(places)))}
    return [number[place] for place in places]


def land_blocks(picture: Picture, east_m: Floats, north_m: Floats, place: int) -> NDArray[np.int64]:
    """Squares of `BLOCK_M`; a small picture lies in one, and one that lies nowhere in its place."""
    ground, (rows, cols) = picture.ground, picture.usable.shape
    if not ground.east_m and not ground.north_m and max(rows, cols) * ground.row_m < BLOCK_M:
        return np.full(len(east_m), place, np.int64)
    if max(rows, cols) * ground.row_m < BLOCK_M:
        # Tiles that overlap on the ground see the same sites: one unit of the bootstrap.
        east_m = np.full(len(east_m), ground.east_m + cols / 2 * ground.col_m)
        north_m = np.full(len(north_m), ground.north_m - rows / 2 * ground.row_m)
    row, col = np.floor(north_m / BLOCK_M), np.floor(east_m / BLOCK_M)
    return np.asarray(row * 100_000 + col, np.int64)


def _join(parts: Sequence[Places]) -> Places:
    return Places(
        np.concatenate([p.xyz_m for p in parts]), np.concatenate([p.block for p in parts])
    )


def find_mistakes(
    detector: Detector, sources: Sequence[Source], per_picture: int = 600
) -> dict[tuple[int, int], PixelPoints]:
    """Positions of the strongest false alarms on the training places, by source and picture."""
    return {
        (i, j): wrong
        for i, source in enumerate(sources)
        for j, boxes in enumerate(_detect_all(detector, source.pictures))
        if len(wrong := _mistakes(source.pictures[j], boxes, per_picture))
    }


def _mistakes(picture: Picture, boxes: PixelBoxes, most: int) -> PixelPoints:
    """The strongest false alarms of one picture."""
    known = np.concatenate(
        [
            np.stack([picture.sites.row, picture.sites.col], 1),
            np.stack([picture.doubtful.row, picture.doubtful.col], 1),
        ]
    )
    away = _away(boxes, known) & off_edge(picture, boxes.row, boxes.col)
    wrong = boxes[away & _taught(picture, boxes)]
    wrong = wrong[np.argsort(-wrong.score, kind="stable")[:most]]
    return PixelPoints(wrong.row, wrong.col)


def _taught(picture: Picture, boxes: PixelBoxes) -> NDArray[np.bool_]:
    """Whether a detection that matches nothing there would be a mistake."""
    if picture.taught is None:
        return np.ones(len(boxes), bool)
    rows, cols = (side - 1 for side in picture.taught.shape)
    row = np.clip(boxes.row.astype(np.int64), 0, rows)
    col = np.clip(boxes.col.astype(np.int64), 0, cols)
    return np.asarray(picture.taught[row, col])


def _away(boxes: PixelBoxes, known: Floats) -> NDArray[np.bool_]:
    if not len(known) or not len(boxes):
        return np.ones(len(boxes), bool)
    apart = np.hypot(boxes.row[:, None] - known[:, 0], boxes.col[:, None] - known[:, 1])
    return np.asarray(apart.min(axis=1) > MISTAKE_DISTANCE_PX)


def score_table(
    scored: Scored,
    place: str,
    tolerance_m: float,
    fold: str = "",
    seed: int = 0,
    region: str = "",
) -> pd.DataFrame:
    """Out-of-fold scores as a table of `SCORE_COLUMNS`.

    A site that was never found is a row with score 0, so that recall follows from the table too. A
    place with neither sites nor detections is one row with score 0 that is no site: its area counts
    in every rate.
    `per_1000km2` and `area_km2` are of the whole place, whose blocks of land stand in `place`.

    Args:
        scored: Pictures that training did not see.
        place: Their place.
        tolerance_m: A detection this near a site has found it.
        fold: Which fold held them out.
        seed: Of that training.
        region: That the place belongs to; the place's own name where it says nothing.
    """
    m = match(scored.detections, scored.scores, scored.sites, scored.doubtful, tolerance_m)
    missed = np.setdiff1d(np.arange(len(scored.sites)), m.site)
    block = np.concatenate([scored.detections.block[m.order], scored.sites.block[missed]])
    nothing = 0 if len(block) else 1
    block = np.concatenate([block, np.zeros(nothing, np.int64)])
    density = 1000 * len(scored.sites) / scored.area_km2
    return pd.DataFrame(
        {
            "score": np.concatenate([scored.scores[m.order], np.zeros(len(missed) + nothing)]),
            "is_site": np.concatenate([m.hit, np.ones(len(missed), bool), np.zeros(nothing, bool)]),
            "per_1000km2": round(density, 2),
            "place": [f"{place}/{b}" for b in block],
            "region": region or place,
            "fold": fold,
            "seed": seed,
            "area_km2": round(scored.area_km2, 4),
        }
    )


def by_place(pictures: Sequence[Picture]) -> list[list[Picture]]:
    """Pictures of one place together, places in order."""
    names = sorted({picture.place for picture in pictures})
    return [[picture for picture in pictures if picture.place == name] for name in names]


def score_places(
    pictures: Sequence[Picture],
    boxes: Sequence[PixelBoxes],
    tolerance_m: float,
    fold: str = "",
    seed: int = 0,
) -> pd.DataFrame:
    """Out-of-fold scores of several places as one table; see `score_table`.

    Args:
        pictures: Of any places.
        boxes: What was detected on each.
        tolerance_m: A detection this near a site has found it.
        fold: Which fold held the places out.
        seed: Of that training.
    """
    found = {id(picture): own for picture, own in zip(pictures, boxes, strict=True)}
    tables = []
    for group in by_place(pictures):
        scored = scored_of(group, [found[id(picture)] for picture in group])
        place, region = group[0].place, group[0].region
        tables.append(score_table(scored, place, tolerance_m, fold, seed, region))
    return join_scores(tables)


def join_scores(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables of scores as one, with the density of sites of each whole region.

    A place may hold no site by chance; what was chosen, and so has a density, is the region.
    """
    joined = pd.concat(tables, ignore_index=True)
    if joined.empty:
        return joined
    unit = [joined["region"], joined["fold"], joined["seed"]]
    place = joined["place"].str.rsplit("/", n=1).str[0]
    area_km2 = joined.groupby([*unit, place])["area_km2"].first().groupby(level=[0, 1, 2]).sum()
    sites = joined["is_site"].groupby(unit).sum()
    density = (1000 * sites / area_km2).round(2)
    keys = pd.MultiIndex.from_frame(joined[["region", "fold", "seed"]])
    return joined.assign(per_1000km2=density.reindex(keys).to_numpy())


def write_scores(table: pd.DataFrame, path: Path) -> None:
    """Write a table of out-of-fold scores."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def read_scores(paths: Sequence[Path]) -> pd.DataFrame:
    """Tables of out-of-fold scores, joined.

    Raises:
        DatasetError: A table is missing, unreadable, or has other columns or other than numbers.
    """
    frames = []
    for path in paths:
        try:
            frame = pd.read_csv(path, keep_default_na=False)
            frame.drop(columns=["place", "region", "fold"], errors="ignore").astype(float)
        except (OSError, ValueError) as error:
            raise DatasetError(
                f"There are no out-of-fold scores at {path} ({error}): train the held-out datasets "
                "first."
            ) from error
        if tuple(frame.columns) == FIRST_COLUMNS:
            frame = _of_first_columns(frame)
        if tuple(frame.columns) != SCORE_COLUMNS:
            raise DatasetError(f"{path} has the columns {list(frame)}, not {list(SCORE_COLUMNS)}.")
        frames.append(frame.astype({"fold": str, "region": str}))
    return join_scores(frames)


def _of_first_columns(frame: pd.DataFrame) -> pd.DataFrame:
    region = frame["place"].str.rsplit("/", n=1).str[0]
    sites = frame["is_site"].groupby(region).transform("sum")
    area_km2 = (1000 * sites / frame["per_1000km2"]).round(4)
    return frame.assign(region=region, fold="", seed=0, area_km2=area_km2)
