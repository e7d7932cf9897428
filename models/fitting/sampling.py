"""Where training samples come from: around sites, around mistakes made so far, and anywhere."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from models.chips import PixelPoints
from models.fitting.augment import SAMPLE_PX, AugmentSettings, Sample, draw_placement, make_sample
from models.labelled.dataset import Source

# Share of samples around a site, around a mined mistake; the rest lie anywhere.
SITE_SHARE = 0.5
MISTAKE_SHARE = 0.2
# A site lies anywhere in the inner part of its sample, never always in the middle.
SITE_JITTER_PX = 44.0


@dataclass
class Sampler:
    """Draws training samples; keeps positions of mistakes so far, by source and picture."""

    sources: tuple[Source, ...]
    rng: np.random.Generator
    settings: AugmentSettings = field(default_factory=AugmentSettings)
    mistakes: dict[tuple[int, int], PixelPoints] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shares = np.array([s.share for s in self.sources])
        self._share = shares / shares.sum()
        # Pictures in proportion to their area, so that a large scene is not one tile among many.
        areas = [np.array([float(p.usable.size) for p in s.pictures]) for s in self.sources]
        self._by_area = [a / a.sum() for a in areas]
        sites = [np.array([float(len(p.sites)) for p in s.pictures]) for s in self.sources]
        self._by_sites = [n / n.sum() if n.sum() else None for n in sites]

    def draw(self) -> Sample:
        """One sample."""
        source = int(self.rng.choice(len(self.sources), p=self._share))
        kind = self.rng.random()
        picture, points = self._around_nothing(source)
        if kind < SITE_SHARE:
            picture, points = self._around_site(source) or (picture, points)
        elif kind < SITE_SHARE + MISTAKE_SHARE:
            picture, points = self._around_mistake(source) or (picture, points)
        chosen = self.sources[source].pictures[picture]
        i = int(self.rng.integers(len(points)))
        jitter = self.rng.uniform(-SITE_JITTER_PX, SITE_JITTER_PX, 2)
        placement = draw_placement(
            self.rng, points.row[i] + jitter[0], points.col[i] + jitter[1], self.settings
        )
        return make_sample(chosen, placement, self.rng, self.settings)

    def _around_site(self, source: int) -> tuple[int, PixelPoints] | None:
        share = self._by_sites[source]
        if share is None:
            return None
        picture = int(self.rng.choice(len(share), p=share))
        sites = self.sources[source].pictures[picture].sites
        return picture, PixelPoints(sites.row, sites.col)

    def _around_mistake(self, source: int) -> tuple[int, PixelPoints] | None:
        keys = [key for key in self.mistakes if key[0] == source]
        if not keys:
            return None
        sizes = np.array([len(self.mistakes[key]) for key in keys], float)
        key = keys[int(self.rng.choice(len(keys), p=sizes / sizes.sum()))]
        return key[1], self.mistakes[key]

    def _around_nothing(self, source: int) -> tuple[int, PixelPoints]:
        share = self._by_area[source]
        picture = int(self.rng.choice(len(share), p=share))
        rows, cols = self.sources[source].pictures[picture].usable.shape
        row, col = (self._inner(side) for side in (rows, cols))
        return picture, PixelPoints(np.array([row]), np.array([col]))

    def _inner(self, side_px: int) -> float:
        """A position such that the sample lies within the picture where the picture is large."""
        margin = min(SAMPLE_PX / 2, side_px / 2)
        return float(self.rng.uniform(margin, side_px - margin)) if side_px > 2 * margin else margin
