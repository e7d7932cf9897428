"""Makes up people and what they report: a background, one planted cluster, some refusals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tiles.simulation.plan import BeltPlan, PlantedCluster, Points
from tiles.simulation.settings import BeltSettings, stream

MONTHS = ("2026-01", "2026-02", "2026-03")  # the firing season around the dates of the scenes
# Codes of ForcedLabourIndustry in HTCDS v2, and how often each is named.
INDUSTRIES = {
    "C_Manufacturing": 0.82,
    "A_AgricultureForestryAndFishing": 0.11,
    "F_Construction": 0.07,
}
CONSENTS = {"yes": 0.95, "no": 0.04, "": 0.01}  # an empty answer is no consent
PROLIFIC_SHARE = 0.03  # people who send many rows: what the bound on contributions is for
PROLIFIC_ROWS = (10, 40)
NEAR_KILN_SHARE = 0.3  # of the background; the others report from villages
SPREAD_M = 500.0  # between what one person reports, and around the village


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One row of the made-up file of reports; the place in ground metres."""

    consent: str
    reporter: str
    x_m: float
    y_m: float
    month: str
    industry: str


def reports_cluster(plan: BeltPlan) -> PlantedCluster:
    """Return the planted cluster of reports: over the western kilns; the eastern stay unheard."""
    west = plan.clusters[0]
    return PlantedCluster("reports-west", west.x_m, west.y_m, west.radius_m)


def simulate_reports(plan: BeltPlan) -> tuple[ReportRow, ...]:
    """Return the rows of all reporters, by month, then in no order that tells who sent them."""
    settings = plan.settings
    rng = stream(settings, "reports")
    cluster = reports_cluster(plan)
    planted = round(settings.reporters * settings.reports_cluster_share)
    names = rng.permutation(settings.reporters)
    rows: list[ReportRow] = []
    for n, name in enumerate(names):
        home = cluster.draw(rng) if n < planted else _home(plan, rng)
        rows += _rows_of(f"R{name + 1:05d}", home, settings, rng)
    order = rng.permutation(len(rows))
    return tuple(sorted((rows[n] for n in order), key=lambda row: row.month))


def _home(plan: BeltPlan, rng: np.random.Generator) -> Points:
    """Return where somebody of the background lives: in a village, or at a kiln."""
    by_kiln = rng.random() < NEAR_KILN_SHARE
    places: Sequence[tuple[float, float]] = [
        (place.x_m, place.y_m) for place in (plan.kilns if by_kiln else plan.villages)
    ]
    return np.array(places[int(rng.integers(len(places)))]) + rng.normal(0, SPREAD_M, 2)


def _rows_of(
    name: str, home: Points, settings: BeltSettings, rng: np.random.Generator
) -> list[ReportRow]:
    if rng.random() < PROLIFIC_SHARE:
        count = int(rng.integers(PROLIFIC_ROWS[0], PROLIFIC_ROWS[1] + 1))
    else:
        count = int(rng.choice([1, 2, 3], p=[0.85, 0.11, 0.04]))
    consent = str(rng.choice(list(CONSENTS), p=list(CONSENTS.values())))
    industry = str(rng.choice(list(INDUSTRIES), p=list(INDUSTRIES.values())))
    reach = settings.half_m - 1  # reports stay in the region
    rows = []
    for _ in range(count):
        x, y = np.clip(home + rng.normal(0, SPREAD_M / 4, 2), -reach, reach)
        month = MONTHS[int(rng.integers(len(MONTHS)))]
        rows.append(ReportRow(consent, name, float(x), float(y), month, industry))
    return rows
