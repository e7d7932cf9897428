from collections import Counter

import numpy as np
import pytest

from tiles.simulation.plan import plan_belt
from tiles.simulation.reports import INDUSTRIES, MONTHS, reports_cluster, simulate_reports
from tiles.simulation.settings import BeltSettings


@pytest.fixture(scope="module")
def plan():
    return plan_belt(BeltSettings(side_km=30, n_reporters=2000, seed=4))


@pytest.fixture(scope="module")
def rows(plan):
    return simulate_reports(plan)


def test_reporters_are_as_many_as_asked_and_some_send_very_many_rows(rows):
    counts = Counter(row.reporter for row in rows)
    assert len(counts) == 2000
    assert max(counts.values()) >= 30
    assert np.median(list(counts.values())) == 1
    prolific = [count for count in counts.values() if count >= 10]
    assert 0.015 < len(prolific) / 2000 < 0.05


def test_some_rows_lack_consent_in_both_ways(rows):
    shares = Counter(row.consent for row in rows)
    assert set(shares) == {"yes", "no", ""}
    assert 0.9 < shares["yes"] / len(rows) < 0.99


def test_months_and_industries_are_of_the_lists(rows):
    assert {row.month for row in rows} == set(MONTHS)
    assert {row.industry for row in rows} == set(INDUSTRIES)
    assert [row.month for row in rows] == sorted(row.month for row in rows)


def test_the_planted_cluster_has_many_times_the_background(plan, rows):
    cluster = reports_cluster(plan)
    people = {row.reporter: (row.x_m, row.y_m) for row in rows}
    inside = cluster.holds(np.array(list(people.values()))).sum()
    disc_km2 = np.pi * (cluster.radius_m / 1000) ** 2
    outside_rate = (2000 - inside) / (900 - disc_km2)
    assert inside / disc_km2 > 5 * outside_rate
    east = plan.clusters[1]  # kilns, but nobody who reports more than elsewhere
    assert east.holds(np.array(list(people.values()))).sum() / disc_km2 < 4 * outside_rate


def test_reports_stay_in_the_region(rows):
    assert max(max(abs(row.x_m), abs(row.y_m)) for row in rows) < 15_000
