"""A detector to beat that sees no shape: each pixel's colours and their spread around it alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter, uniform_filter

from models.chips import Picture, PixelRect
from models.detection import SCORE_DECIMALS, PixelBoxes
from models.inference.prepared import to_tensors
from models.judging.scoring import SCORE_FLOOR, off_edge
from models.labelled.dataset import Source
from models.logistic import Prior, logistic_mode
from models.network import normalise
from models.weights import NetworkShape
from tiles.errors import DatasetError

Floats = NDArray[np.float64]

# Means and deviations over 30, 70 and 150 m: a kiln's core, its length, its yard.
WINDOWS_PX = (3, 7, 15)
# A pixel this near a site's centre is one of its own; nearer than twice that it teaches nothing.
SITE_PX = 2.5
SITE_AREA_PX = 20  # pi times its square
# Background pixels for each pixel of a site: enough that their spread is known.
BACKGROUND = 30
# Of one source, whose share says what they weigh: the products of a million fill the memory.
MOST_BACKGROUND = 100_000
# Weak: a dozen pictures have few colours, and products of features many coefficients.
RIDGE = 1e-3
# Half a kiln's short side: pixels of one kiln make one peak, and a single red pixel none.
SMOOTH_PX = 2.0
# As the detector's own.
SUPPRESSION_PX = 5
# Rows whose features are held at a time, and what the normalisation's window reaches beyond them;
# both on its squares of 8 px, so that strips give the values of the whole.
STRIP_PX, MARGIN_PX = 256, 96
# Pixels whose products of features are held at a time.
CHUNK = 1 << 16


@dataclass(frozen=True)
class ColourModel:
    """Logistic regression of a pixel's colours and their spread around it; it sees no shape.

    Attributes:
        mean: Of each feature, for scaling.
        deviation: Of each feature.
        coefficients: Intercept, features, squares and products of features.
        shape: Gives the window of the normalisation, which is the detector's own.
    """

    mean: Floats
    deviation: Floats
    coefficients: Floats
    shape: NetworkShape

    def heat(self, picture: Picture) -> Floats:
        """Probability of a site's centre at each pixel, (y, x)."""
        heat = np.zeros(picture.usable.shape)
        for first, features in feature_strips(picture, self.shape):
            rows = features.shape[1]
            flat = features.reshape(len(features), -1).T
            p = np.empty(len(flat))
            for start in range(0, len(flat), CHUNK):
                part = slice(start, start + CHUNK)
                p[part] = _sigmoid(self._design(flat[part]) @ self.coefficients)
            heat[first : first + rows] = p.reshape(rows, -1)
        return np.where(picture.usable, heat, 0.0)

    def _design(self, features: Floats) -> Floats:
        return _design((features - self.mean) / self.deviation)

    def detect(self, picture: Picture) -> PixelBoxes:
        """Local maxima of the smoothed heat above `SCORE_FLOOR`, as boxes without a size."""
        heat = np.round(gaussian_filter(self.heat(picture), SMOOTH_PX), SCORE_DECIMALS)
        side = 2 * SUPPRESSION_PX + 1
        peak = (heat == maximum_filter(heat, side)) & (heat > SCORE_FLOOR)
        row, col = np.nonzero(peak)
        none = np.zeros(len(row))
        boxes = PixelBoxes(
            row=row.astype(np.float64) + 0.5,
            col=col.astype(np.float64) + 0.5,
            peak_row=row.astype(np.int64),
            peak_col=col.astype(np.int64),
            length_px=none,
            width_px=none,
            angle_rad=none,
            score=heat[row, col],
        )
        return boxes[off_edge(picture, boxes.row, boxes.col)]


def feature_strips(picture: Picture, shape: NetworkShape) -> Iterator[tuple[int, Floats]]:
    """The first row and the features of one strip of rows after another."""
    rows, cols = picture.usable.shape
    for first in range(0, rows, STRIP_PX):
        top, bottom = max(first - MARGIN_PX, 0), min(first + STRIP_PX + MARGIN_PX, rows)
        part = picture.cut(PixelRect(top, bottom, 0, cols), picture.place)
        yield first, pixel_features(part, shape)[:, first - top : first - top + STRIP_PX]


def pixel_features(picture: Picture, shape: NetworkShape) -> Floats:
    """Normalised colours, their means and their deviations in windows, (feature, y, x).

    The normalisation is the detector's, so that what differs between the two is shape alone. Of
    more than three bands every three share a deviation, as red, green and blue do.
    """
    normalised = []
    with torch.inference_mode():
        for first in range(0, len(picture.pixels), 3):
            x, usable = to_tensors(picture.pixels[first : first + 3], picture.usable, 3)
            normalised.append(normalise(x, usable, shape)[0].numpy())
    rows, cols = picture.usable.shape
    bands = np.concatenate(normalised)[:, :rows, :cols].astype(np.float64)
    features = [*bands]
    for side in WINDOWS_PX:
        means = [uniform_filter(band, side) for band in bands]
        squares = [uniform_filter(band * band, side) for band in bands]
        features += means
        features += [
            np.sqrt(np.maximum(square - mean * mean, 0))
            for mean, square in zip(means, squares, strict=True)
        ]
    return np.stack(features)


def fit_colour_model(sources: Sequence[Source], shape: NetworkShape, seed: int = 0) -> ColourModel:
    """Fit on the pixels of sites and on background of the same pictures, empty ones among them.

    Each source has the weight of its share, as in training; doubtful places teach nothing.

    Args:
        sources: Of a dataset's training part.
        shape: Gives the window of the normalisation.
        seed: Of the background pixels drawn.

    Raises:
        DatasetError: No source holds a site.
    """
    rng = np.random.default_rng(seed)
    parts = [_samples(source, shape, rng) for source in sources]
    features = np.concatenate([p[0] for p in parts])
    is_site = np.concatenate([p[1] for p in parts])
    weights = np.concatenate([p[2] for p in parts])
    if not is_site.any():
        raise DatasetError("A colour model needs a site to learn from: the sources hold none.")
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-6
    design = _design((features - mean) / deviation)
    return ColourModel(mean, deviation, _fit(design, is_site, weights), shape)


def _samples(
    source: Source, shape: NetworkShape, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Features (n, feature), whether they are of a site, and weights of one source's pixels."""
    n_sites = max(sum(len(p.sites) for p in source.pictures), len(source.pictures))
    area = sum(int(p.usable.sum()) for p in source.pictures)
    rows, truth = [], []
    for picture in source.pictures:
        near = _distance_px(picture)
        far = (near > 2 * SITE_PX) & picture.usable & ~_doubtful(picture)
        most = min(BACKGROUND * SITE_AREA_PX * n_sites, MOST_BACKGROUND)
        wanted = most * picture.usable.sum() / max(area, 1)
        far &= rng.random(far.shape) < wanted / max(int(far.sum()), 1)
        for first, features in feature_strips(picture, shape):
            part = slice(first, first + features.shape[1])
            for chosen, label in ((near[part] <= SITE_PX, 1.0), (far[part], 0.0)):
                rows.append(features[:, chosen].T)
                truth.append(np.full(int(chosen.sum()), label))
    is_site = np.concatenate(truth)
    return np.concatenate(rows), is_site, np.full(len(is_site), source.share / len(is_site))


def _distance_px(picture: Picture) -> Floats:
    """Distance of each pixel's centre to the nearest site's centre, up to 2 x SITE_PX."""
    distance = np.full(picture.usable.shape, np.inf)
    reach = int(np.ceil(2 * SITE_PX)) + 1
    for row, col in zip(picture.sites.row, picture.sites.col, strict=True):
        r0, c0 = max(int(row) - reach, 0), max(int(col) - reach, 0)
        part = distance[r0 : int(row) + reach + 1, c0 : int(col) + reach + 1]
        rows, cols = np.mgrid[r0 : r0 + part.shape[0], c0 : c0 + part.shape[1]]
        np.minimum(part, np.hypot(rows + 0.5 - row, cols + 0.5 - col), out=part)
    return distance


def _doubtful(picture: Picture) -> NDArray[np.bool_]:
    mask = np.zeros(picture.usable.shape, bool)
    reach = int(4 * SITE_PX)
    for row, col in zip(picture.doubtful.row, picture.doubtful.col, strict=True):
        top, left = max(int(row) - reach, 0), max(int(col) - reach, 0)
        mask[top : int(row) + reach + 1, left : int(col) + reach + 1] = True
    return mask


def _design(scaled: Floats) -> Floats:
    """Intercept, features and their squares and products: a colour may matter in a range only."""
    scaled = np.clip(scaled, -6, 6)
    first, second = np.triu_indices(scaled.shape[1])
    products = scaled[:, first] * scaled[:, second]
    return np.concatenate([np.ones((len(scaled), 1)), scaled, products], axis=1)


def _fit(design: Floats, truth: Floats, weights: Floats) -> Floats:
    """Logistic regression with a weak ridge."""
    n = design.shape[1]
    prior = Prior(np.zeros(n), RIDGE * np.eye(n))
    return logistic_mode(design, truth, prior, weights=weights / weights.sum()).beta


def _sigmoid(values: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -30, 30))))
