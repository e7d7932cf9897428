"""The figures of docs/hotspots.md: false finds, planted discs, neighbourhoods, a million cells."""

import time

import numpy as np
import pytest

from maps.bands import Band, choose_band
from maps.hotspots import check_cells, hotspot_classes
from tests.benchmarks.fields import BELT, null_fields, planted_disc, share_with_interval

FIELDS = 1000
CHOOSING, REPORTING = range(1_000, 1_040), range(90_000, 90_200)  # seeds that never meet
BANDS = (2, 4, 5, 8, 9, 10, 13, 16)


@pytest.mark.parametrize("mean", [0.2, 0.75, 5.0])
def test_false_finds_where_density_is_even(mean):
    found, by_normal = null_fields(mean, FIELDS, seed=70_000 + int(100 * mean))
    ours, normal = (share_with_interval(n, FIELDS) for n in (found, by_normal))
    print(
        f"\n{mean} sites a cell: any find at 5 % in {ours.share:.3f} "
        f"({ours.low:.3f} to {ours.high:.3f}) of {FIELDS} fields; by the normal p of Gi* in "
        f"{normal.share:.3f} ({normal.low:.3f} to {normal.high:.3f})"
    )
    assert ours.low <= 0.05
    assert normal.low > 0.05


@pytest.mark.parametrize("patchy", [False, True], ids=["all searched", "10 to 100 % searched"])
@pytest.mark.parametrize("side", [60, 100])
@pytest.mark.parametrize("radius_km", [10, 20, 40])
def test_planted_discs(radius_km, side, patchy):
    discs = np.array([planted_disc(radius_km, seed, side, patchy) for seed in REPORTING])
    found, inside, far, hot = discs.sum(axis=0)
    touched = (discs[:, 0] > 0).mean()
    print(
        f"\n{radius_km} km in {5 * side} km, {'10 to 100 %' if patchy else 'all'} searched: "
        f"{found / inside:.3f} of the discs' cells hot, {touched:.2f} of {len(discs)} discs "
        f"touched, {far / hot:.3f} of hot cells further than one cell"
    )
    if radius_km >= 20 and not patchy:
        assert found >= 0.9 * inside
        assert far <= 0.1 * hot


@pytest.mark.parametrize("density", [0.4, BELT, 1.5, 3.0])
def test_neighbourhoods_to_choose_from(density):
    print(f"\n{density} sites a cell; cells of discs found / hot cells further than one cell away")
    for squared in BANDS:
        band = Band(squared)
        shares = []
        for radius_km in (10, 20, 40):
            discs = [planted_disc(radius_km, s, 60, False, density, band) for s in CHOOSING]
            found, inside, far, hot = np.sum(discs, axis=0)
            shares.append(f"{radius_km} km {found / inside:.2f} / {far / max(hot, 1):.2f}")
        print(f"  {band.n_cells:2d} cells, {band.radius_km:4.1f} km: {', '.join(shares)}")


def test_a_million_cells():
    rng = np.random.default_rng(1)
    rows, cols = np.divmod(np.arange(1_000_000), 1000)
    searched = rng.uniform(5, 25, 1_000_000)
    counts = rng.poisson(0.03 * searched)
    started = time.perf_counter()
    result = check_cells(rows, cols, counts, searched, choose_band(len(rows), int(counts.sum())))
    classes = hotspot_classes(result.q_value)
    seconds = time.perf_counter() - started
    print(f"\na million cells tested, with bins: {seconds:.2f} s")
    assert seconds < 3
    assert len(classes) == 1_000_000
