"""Detections against known sites: one-to-one matching, precision, recall, AP, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from pyproj import Transformer
from scipy.spatial import cKDTree

from tiles.errors import DatasetError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

# The match tolerances every report gives: half, one and two lengths of a kiln.
TOLERANCES_M = (50.0, 100.0, 200.0)
# Replicates of the block bootstrap; the ends of a 95 % interval move by under 0.005 with more.
REPLICATES = 1000
# The recall at which false alarms are counted, so that thresholds of several models compare.
FIXED_RECALL = 0.9


class Interval(BaseModel):
    """A figure with the ends of its 95 % interval."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


class AtTolerance(BaseModel):
    """All figures for one match tolerance.

    Attributes:
        tolerance_m: A detection this near an unmatched site has found it.
        average_precision: Mean over all sites of the precision at which each was found, 0 if never.
        precision: At the threshold.
        recall: At the threshold.
        f1: At the threshold.
        hits: Sites found at the threshold.
        false_alarms: Detections at the threshold on no site and no doubtful place.
        false_alarms_per_1000km2: The same over the area looked at.
        false_alarms_per_1000km2_at_recall_090: At the threshold that finds 90 % of sites; None
            where no threshold does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tolerance_m: float
    average_precision: Interval
    precision: Interval
    recall: Interval
    f1: Interval
    hits: int
    false_alarms: int
    false_alarms_per_1000km2: float
    false_alarms_per_1000km2_at_recall_090: float | None


class Evaluation(BaseModel):
    """How detections compare with the sites known in one area."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    n_sites: int
    n_detections: int
    n_blocks: int
    area_km2: float
    threshold: float
    tolerances: tuple[AtTolerance, ...]

    def at(self, tolerance_m: float) -> AtTolerance:
        """The figures for one of the tolerances."""
        return next(t for t in self.tolerances if t.tolerance_m == tolerance_m)

    def summary(self) -> str:
        """A few lines for people."""
        head = (
            f"{self.name}: {self.n_sites} sites known in {self.area_km2:,.0f} km2, "
            f"threshold {self.threshold:.2f} (95 % intervals: bootstrap of {self.n_blocks} blocks)"
        )
        return "\n".join([head, *(_line(t) for t in self.tolerances)])


def _line(t: AtTolerance) -> str:
    fixed = t.false_alarms_per_1000km2_at_recall_090
    at_90 = "recall 0.9 is never reached" if fixed is None else f"{fixed:.0f} at recall 0.9"
    return (
        f"  within {t.tolerance_m:.0f} m: AP {t.average_precision}, F1 {t.f1}, "
        f"precision {t.precision}, recall {t.recall}; {t.hits} found, {t.false_alarms} false; "
        f"false alarms per 1,000 km2: {t.false_alarms_per_1000km2:.0f} ({at_90})"
    )


@dataclass(frozen=True)
class Places:
    """Points on the ground: coordinates in metres, shape (n, 2) or (n, 3), and a block of each.

    Attributes:
        xyz_m: Planar or earth-centred coordinates; only distances matter.
        block: Number of the block of land of each point, the unit of the bootstrap.
    """

    xyz_m: Floats
    block: Ints

    def __len__(self) -> int:
        return len(self.xyz_m)

    def __getitem__(self, index: Bools | Ints) -> Places:
        return Places(self.xyz_m[index], self.block[index])


def places_from_lonlat(lon: Floats, lat: Floats, block_m: float = 10_000.0) -> Places:
    """Points given in degrees, in earth-centred metres, with blocks about `block_m` wide.

    Chords of an ellipsoid differ from arcs by under a micrometre at the tolerances used here.
    """
    to_earth = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    lon, lat = np.asarray(lon, float), np.asarray(lat, float)
    xyz = np.stack(to_earth.transform(lon, lat, np.zeros_like(lon)), axis=-1)
    to_plane = Transformer.from_crs("EPSG:4326", "EPSG:6933", always_xy=True)
    x, y = to_plane.transform(lon, lat)
    column, row = np.floor(np.asarray(x) / block_m), np.floor(np.asarray(y) / block_m)
    return Places(xyz.reshape(-1, 3), (row * 100_000 + column).astype(np.int64))


@dataclass(frozen=True)
class Matches:
    """The outcome of matching, detections in descending order of score.

    Attributes:
        order: Indexes of the detections that count, best first.
        hit: Whether each of those found a site.
        site: Index of the site it found, -1 where none.
    """

    order: Ints
    hit: Bools
    site: Ints


def match(
    detections: Places, scores: Floats, sites: Places, doubtful: Places, tolerance_m: float
) -> Matches:
    """Match one to one: best detection first, each takes the nearest site that is still free.

    A detection without a site that lies within the tolerance of a doubtful place counts neither
    way. Ties of score are broken by position, so the outcome does not depend on the input's order.
    """
    order = np.lexsort((*detections.xyz_m.T, -np.asarray(scores, float)))
    near_doubtful = _near(detections, doubtful, tolerance_m)
    free = np.ones(len(sites), bool)
    found = np.full(len(order), -1, np.int64)
    tree = cKDTree(sites.xyz_m) if len(sites) else None
    for position, index in enumerate(order):
        if tree is not None:
            found[position] = _take(tree, sites, free, detections.xyz_m[index], tolerance_m)
    counts = (found >= 0) | ~near_doubtful[order]
    return Matches(order[counts].astype(np.int64), found[counts] >= 0, found[counts])


def _take(tree: cKDTree, sites: Places, free: Bools, point: Floats, tolerance_m: float) -> int:
    near = [i for i in tree.query_ball_point(point, tolerance_m) if free[i]]
    if not near:
        return -1
    distance = np.linalg.norm(sites.xyz_m[near] - point, axis=1)
    chosen = near[int(np.lexsort((near, distance))[0])]
    free[chosen] = False
    return int(chosen)


def _near(points: Places, others: Places, radius_m: float) -> Bools:
    if not len(points) or not len(others):
        return np.zeros(len(points), bool)
    distance, _ = cKDTree(others.xyz_m).query(points.xyz_m)
    return np.asarray(distance <= radius_m)


def average_precision(hit: Bools, n_sites: int) -> float:
    """Sum of the precision at each hit, best detection first, over the number of sites.

    Not interpolated (Manning, Raghavan and Schütze, 2008, section 8.4); sites never found add 0.
    """
    if n_sites == 0:
        return float("nan")
    hits = np.cumsum(hit)
    precision = hits / np.arange(1, len(hit) + 1)
    return float((precision * hit).sum() / n_sites)


def evaluate_detections(
    detections: Places,
    scores: Floats,
    sites: Places,
    area_km2: float,
    threshold: float,
    doubtful: Places | None = None,
    name: str = "evaluation",
    seed: int = 0,
) -> Evaluation:
    """All figures of one area, with intervals from resampling its blocks of land.

    Args:
        detections: Detections inside the area, at every score that was kept.
        scores: One score each.
        sites: The sites known there.
        area_km2: Area that was looked at.
        threshold: Score above which a detection counts for precision, recall and F1.
        doubtful: Places that count neither way.
        name: Of the area, for the report.
        seed: Of the bootstrap.

    Raises:
        DatasetError: No site is known or the area is not positive.
    """
    if not len(sites) or area_km2 <= 0:
        raise DatasetError(
            f"{name} knows {len(sites)} sites in {area_km2} km2: an evaluation needs at least one "
            "site and an area, so check the labels and the part held out."
        )
    nowhere = Places(sites.xyz_m[:0], sites.block[:0])
    blocks = np.unique(np.concatenate([sites.block, detections.block]))
    tolerances = [
        figures_at(
            rank(detections, scores, sites, doubtful or nowhere, tolerance_m),
            tolerance_m,
            area_km2,
            threshold,
            seed,
        )
        for tolerance_m in TOLERANCES_M
    ]
    return Evaluation(
        name=name,
        n_sites=len(sites),
        n_detections=int((scores > threshold).sum()),
        n_blocks=len(blocks),
        area_km2=area_km2,
        threshold=threshold,
        tolerances=tuple(tolerances),
    )


@dataclass(frozen=True)
class Ranking:
    """Detections that count, best first, and the sites they were matched with.

    Attributes:
        hit: Whether each found a site.
        score: Its score.
        block: Its block of land.
        site_block: The block of every known site, found or not.
    """

    hit: Bools
    score: Floats
    block: Ints
    site_block: Ints


def rank(
    detections: Places, scores: Floats, sites: Places, doubtful: Places, tolerance_m: float
) -> Ranking:
    """Match, and keep what figures need."""
    m = match(detections, scores, sites, doubtful, tolerance_m)
    score = np.asarray(scores, float)[m.order]
    return Ranking(m.hit, score, detections.block[m.order], sites.block)


@dataclass(frozen=True)
class Curve:
    """Weighted figures of one bootstrap replicate, or of the whole."""

    ap: float
    precision: float
    recall: float
    f1: float


def figures_at(
    ranking: Ranking, tolerance_m: float, area_km2: float, threshold: float, seed: int = 0
) -> AtTolerance:
    """All figures of one ranking; see `AtTolerance`."""
    blocks = np.unique(np.concatenate([ranking.block, ranking.site_block]))
    above = ranking.score > threshold
    whole = curve(ranking, blocks, np.ones(len(blocks)), above)
    replicates = [curve(ranking, blocks, w, above) for w in draws(len(blocks), seed)]
    false_alarms = int((above & ~ranking.hit).sum())
    fixed = false_alarms_at_recall(ranking.hit, len(ranking.site_block), FIXED_RECALL)
    return AtTolerance(
        tolerance_m=tolerance_m,
        average_precision=interval_of(whole.ap, [r.ap for r in replicates]),
        precision=interval_of(whole.precision, [r.precision for r in replicates]),
        recall=interval_of(whole.recall, [r.recall for r in replicates]),
        f1=interval_of(whole.f1, [r.f1 for r in replicates]),
        hits=int((above & ranking.hit).sum()),
        false_alarms=false_alarms,
        false_alarms_per_1000km2=1000 * false_alarms / area_km2,
        false_alarms_per_1000km2_at_recall_090=None if fixed is None else 1000 * fixed / area_km2,
    )


def draws(n_blocks: int, seed: int) -> Floats:
    """How often each block is drawn in each replicate, shape (REPLICATES, n_blocks)."""
    rng = np.random.default_rng(seed)
    share = np.full(n_blocks, 1 / n_blocks)
    return rng.multinomial(n_blocks, share, size=REPLICATES).astype(float)


def curve(ranking: Ranking, blocks: Ints, block_weight: Floats, above: Bools) -> Curve:
    """Figures of a ranking whose blocks count `block_weight` times each.

    Args:
        ranking: Detections, best first, and sites.
        blocks: Sorted numbers of all blocks.
        block_weight: How often each counts.
        above: Which detections count for precision, recall and F1.
    """
    weight = block_weight[np.searchsorted(blocks, ranking.block)]
    n_sites = block_weight[np.searchsorted(blocks, ranking.site_block)].sum()
    hits, seen = np.cumsum(weight * ranking.hit), np.cumsum(weight)
    precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
    ap = float((precision * weight * ranking.hit).sum() / max(n_sites, 1e-9))
    true, all_above = (weight * (ranking.hit & above)).sum(), (weight * above).sum()
    return Curve(
        ap=ap,
        precision=float(true / all_above) if all_above else 0.0,
        recall=float(true / max(n_sites, 1e-9)),
        f1=float(2 * true / max(all_above + n_sites, 1e-9)),
    )


def false_alarms_at_recall(hit: Bools, n_sites: int, recall: float) -> int | None:
    """False alarms above the highest score that finds this share of sites; None if none does."""
    needed = int(np.ceil(recall * n_sites - 1e-9))
    hits = np.cumsum(hit)
    if not len(hits) or hits[-1] < needed:
        return None
    return int((~hit[: int(np.searchsorted(hits, needed)) + 1]).sum())


def best_threshold(scores: Floats, hit: Bools, n_sites: int) -> float:
    """The score, to two decimals, above which F1 is greatest; the lowest such where several tie."""
    candidates = np.round(np.arange(0.05, 0.96, 0.01), 2)
    f1 = [2 * (hit & (scores > c)).sum() / ((scores > c).sum() + n_sites) for c in candidates]
    return float(candidates[int(np.argmax(f1))])


def interval_of(value: float, replicates: Sequence[float] | Floats) -> Interval:
    """A figure with the 2.5 and 97.5 % quantiles of its replicates."""
    low, high = np.quantile(replicates, [0.025, 0.975])
    return Interval(value=round(value, 4), low=round(float(low), 4), high=round(float(high), 4))
