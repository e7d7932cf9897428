"""How much a mechanism gives away, from its draws alone; and bugs that it must not overlook.

A mechanism of privacy loss epsilon gives every event at most e^epsilon times the chance on one of
two neighbouring inputs that it has on the other. So two shares that certainly differ by more show a
larger loss: the lower Clopper-Pearson bound of the one over the upper bound of the other (Ding et
al., "Detecting violations of differential privacy", CCS 2018; Jagielski, Ullman and Oprea,
"Auditing differentially private machine learning", NeurIPS 2020).
"""

import math
import random
from collections import Counter

from scipy.stats import beta

from pipeline.reports import release
from pipeline.reports.counting import anonymous_vector, exact_vector
from pipeline.reports.noise import Noise, _laplace

ERROR = 1e-7  # chance that one interval misses: the honest mechanism fails here once in 10^4 runs
THRESHOLDS = range(-3, 9)


def epsilon_at_least(one, other):
    """A bound under the epsilon of a mechanism that holds with near certainty, from its draws.

    The events are thresholds on each entry, on their sum and on their smallest, both ways, and the
    exact values that came most often: where noise is missing, a single value gives the input away.

    Args:
        one: vectors drawn on one input.
        other: vectors drawn on its neighbour.
    """
    features = [[_features(vector) for vector in draws] for draws in (one, other)]
    sizes = (len(one), len(other))
    bound = 0.0
    for column in range(len(features[0][0])):
        seen = [[draw[column] for draw in draws] for draws in features]
        for event in _events(seen):
            hits = [sum(map(event, values)) for values in seen]
            bound = max(bound, _loss(hits, sizes), _loss(hits[::-1], sizes[::-1]))
    return bound


def clopper_pearson(hits, draws):
    """The exact interval of a share (Clopper and Pearson, Biometrika 26, 1934)."""
    low = beta.ppf(ERROR / 2, hits, draws - hits + 1) if hits else 0.0
    high = beta.ppf(1 - ERROR / 2, hits + 1, draws - hits) if hits < draws else 1.0
    return low, high


def _loss(hits, sizes):
    low, high = clopper_pearson(hits[0], sizes[0])[0], clopper_pearson(hits[1], sizes[1])[1]
    return math.log(low / high) if low > 0 else 0.0


def _features(vector):
    return [*vector, sum(vector), min(vector)]


def _events(seen):
    for threshold in THRESHOLDS:
        yield lambda x, t=threshold: x >= t
        yield lambda x, t=threshold: x < t
    for value, _ in Counter(seen[0] + seen[1]).most_common(3):
        yield lambda x, v=value: x == v


def every_row(reports, layout):
    """Every row counts: no contribution bound."""
    counts = [0] * len(layout.entries)
    for index in layout.indices_of(reports):
        if index is not None:
            counts[index] += 1
    return counts


def plant(bug, monkeypatch):
    """Put a bug where the command would have it; names are those of BUGS."""
    honest_add, honest_of = Noise.add, Noise.of
    rng = random.Random(7)
    fixed = {}

    def same_noise(self, exact):
        if len(exact) not in fixed:
            fixed[len(exact)] = honest_add(self, [0] * len(exact))
        return [n + z for n, z in zip(exact, fixed[len(exact)], strict=True)]

    def too_little(self, exact):
        return [int(n) for n in _laplace(self.scale / 4)(list(exact))]

    def on_some(self, exact):
        return [a if b else 0 for a, b in zip(honest_add(self, exact), exact, strict=True)]

    patches = {
        "no contribution bound": (release, "exact_vector", every_row),
        "noise on non-empty groups only": (Noise, "add", on_some),
        "suppression without noise": (
            Noise,
            "add",
            lambda self, exact: [n if n >= 3 else 0 for n in exact],
        ),
        "fixed-seed noise": (Noise, "add", same_noise),
        "scale / 4": (Noise, "add", too_little),
        "uniform noise": (
            Noise,
            "add",
            lambda self, exact: [n + rng.randint(-3, 3) for n in exact],
        ),
        "one source's sensitivity for three": (
            release,
            "noise_for",
            lambda settings, intake: honest_of(settings.epsilon, 1),
        ),
        "anonymous reports without a cap": (
            release,
            "anonymous_vector",
            lambda reports, layout, cap: anonymous_vector(reports, layout, len(reports)),
        ),
    }
    monkeypatch.setattr(*patches[bug])


BUGS = (
    "no contribution bound",
    "noise on non-empty groups only",
    "suppression without noise",
    "fixed-seed noise",
    "scale / 4",
    "uniform noise",
)
__all__ = ["BUGS", "clopper_pearson", "epsilon_at_least", "every_row", "exact_vector", "plant"]
