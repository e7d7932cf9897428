import numpy as np
import pytest
from pydantic import ValidationError
from scipy.spatial import cKDTree

from tiles.errors import SimulationError
from tiles.simulation.plan import PlantedCluster, plan_belt
from tiles.simulation.settings import BeltSettings

PUBLISHED_SIZES_M = {  # 5, 25, 50, 75, 95 % points, ../shared/data/README.md
    "FCBK": ((76, 92, 102, 112, 126), (35, 42, 47, 51, 59), 2.19),
    "Zigzag": ((73, 87, 97, 108, 125), (37, 44, 49, 55, 64), 1.98),
}
PUBLISHED_NEAREST_M = (145, 411, 939, 1944, 4297)
POINTS = (5, 25, 50, 75, 95)


@pytest.fixture(scope="module")
def plans():
    """Three belts of the full size, planned but not painted."""
    return [plan_belt(BeltSettings(seed=seed)) for seed in (2026, 1, 2)]


def centres(plan):
    return np.array([(kiln.x_m, kiln.y_m) for kiln in plan.kilns])


def test_a_full_belt_has_four_hundred_kilns_in_two_clusters_and_a_background(plans):
    for plan in plans:
        assert len(plan.kilns) == 400
        assert [cluster.cluster_id for cluster in plan.clusters] == ["kilns-west", "kilns-east"]
        for cluster in plan.clusters:
            named = sum(name == cluster.cluster_id for name in plan.cluster_ids)
            assert named == cluster.holds(centres(plan)).sum() == 68
        disc_km2 = np.pi * 8**2
        background = (400 - 2 * 68) / (10_000 - 2 * disc_km2)
        assert 68 / disc_km2 > 10 * background
        assert 22 <= background * 1000 <= 36  # per 1,000 km2, as over the South Asian belt


@pytest.mark.parametrize("kind", ["FCBK", "Zigzag"])
def test_kilns_have_the_published_sizes(plans, kind):
    kilns = [kiln for plan in plans for kiln in plan.kilns if kiln.kind == kind]
    lengths, widths, ratio = PUBLISHED_SIZES_M[kind]
    np.testing.assert_allclose(np.percentile([k.length_m for k in kilns], POINTS), lengths, atol=4)
    np.testing.assert_allclose(np.percentile([k.width_m for k in kilns], POINTS), widths, atol=3)
    assert np.mean([k.length_m / k.width_m for k in kilns]) == pytest.approx(ratio, abs=0.1)


def test_all_three_kinds_occur_and_the_long_axis_is_the_long_one(plans):
    kilns = [kiln for plan in plans for kiln in plan.kilns]
    shares = {kind: np.mean([k.kind == kind for k in kilns]) for kind in ("FCBK", "CFCBK")}
    assert shares["FCBK"] == pytest.approx(0.42, abs=0.05)
    assert shares["CFCBK"] == pytest.approx(0.08, abs=0.03)
    assert all(kiln.length_m > kiln.width_m for kiln in kilns)


def test_nearest_neighbours_are_as_far_as_published(plans):
    measured = []
    for plan in plans:
        distance = cKDTree(centres(plan)).query(centres(plan), k=2)[0][:, 1]
        assert distance.min() > 100
        measured.append(np.percentile(distance, POINTS))
    np.testing.assert_allclose(np.mean(measured, axis=0), PUBLISHED_NEAREST_M, rtol=0.2)


def test_kilns_stay_inside_and_off_villages(plans):
    for plan in plans:
        assert np.abs(centres(plan)).max() < 50_000 - 134 / 2
        places = np.array([(v.x_m, v.y_m) for v in plan.villages])
        distance, index = cKDTree(places).query(centres(plan))
        assert (distance > np.array([v.radius_m for v in plan.villages])[index]).all()


@pytest.mark.parametrize("side_km", [3.0, 4.0, 10.0])
def test_small_belts_can_be_planned_with_any_seed(side_km):
    for seed in range(8):
        plan = plan_belt(BeltSettings(side_km=side_km, seed=seed))
        assert len(plan.kilns) == 8
        assert plan.cluster_ids[:2] == ("kilns-west", "kilns-east")


def test_seeds_make_different_belts_and_the_same_seed_the_same():
    first, again, other = (plan_belt(BeltSettings(side_km=5, seed=seed)) for seed in (3, 3, 4))
    assert first.kilns == again.kilns
    assert first.things == again.things
    assert first.kilns != other.kilns


def test_cluster_draws_lie_in_the_disc():
    cluster = PlantedCluster("c", 100, -50, 30)
    rng = np.random.default_rng(0)
    points = np.array([cluster.draw(rng) for _ in range(500)])
    assert cluster.holds(points).all()
    inner = np.hypot(*(points - [100, -50]).T) < 15
    assert inner.mean() == pytest.approx(0.25, abs=0.06)  # even by area


@pytest.mark.parametrize(
    ("bad", "part"),
    [
        ({"side_km": 1}, "side_km=1"),
        ({"gsd_m": 50}, "gsd_m=50"),
        ({"seed": -1}, "seed=-1"),
        ({"centre_lat": 80}, "centre_lat=80"),
        ({"overlap_share": 0}, "overlap_share=0"),
        ({"n_kilns": 0}, "n_kilns=0"),
        ({"side_km": 4, "n_kilns": 400}, "use 1 to 6"),
        ({"n_reporters": 0}, "n_reporters=0"),
        ({"cluster_radius_km": 30}, "at most 12.5"),
    ],
)
def test_bad_settings_are_refused_with_the_value_and_the_remedy(bad, part):
    with pytest.raises(SimulationError, match=part):
        BeltSettings(**bad)


def test_unknown_settings_are_refused():
    with pytest.raises(ValidationError):
        BeltSettings(side=4)


def test_a_belt_too_full_is_refused():
    crowded = BeltSettings(
        side_km=30, n_kilns=300, cluster_share=0.45, cluster_radius_km=0.2, seed=1
    )
    with pytest.raises(SimulationError, match="smaller n_kilns"):
        plan_belt(crowded)
