import numpy as np
import pandas as pd
import pytest

from maps.review.agreement import agreements, disagreements
from maps.review.consensus import (
    corrected_boxes,
    place_decisions,
    review_status,
    statuses,
)
from maps.review.decisions import parse_decisions

DEGREES_PER_M = 1 / 111_000


def sites_at(*east_m):
    return pd.DataFrame(
        {
            "site_id": [f"KL-{number}" for number in range(len(east_m))],
            "lon": [east * DEGREES_PER_M for east in east_m],
            "lat": np.zeros(len(east_m)),
        }
    )


def decided(*rows, columns="site_id,east,decision,reviewer,stage,decided_at"):
    """Decisions at so many metres east of 0, 0."""
    names = columns.replace("east", "lon") + ",lat"
    lines = [names]
    for row in rows:
        values = dict(zip(columns.split(","), row, strict=False))
        values["east"] = float(values["east"]) * DEGREES_PER_M
        lines.append(",".join(str(values.get(name, "")) for name in columns.split(",")) + ",0")
    return parse_decisions("\n".join(lines), "made up")


def test_a_decision_belongs_to_its_site_by_name_or_to_the_nearest_within_50_m():
    sites = sites_at(0, 500, 1000)
    placed = place_decisions(
        decided(
            ("KL-0", 3, "yes", "A"),
            ("KL-OLD", 530, "no", "A"),  # another name, 30 m away: a run made again
            ("KL-2", 1200, "yes", "A"),  # the name is known, but lies 200 m off
            ("", 2000, "yes", "A"),
        ),
        sites,
    )
    assert list(placed["place"][:2]) == ["KL-0", "KL-1"]
    assert list(placed["known"]) == [True, True, False, False]
    assert len(set(placed["place"])) == 4


def test_a_place_taken_by_name_is_no_stranger_s():
    sites = sites_at(0, 60)
    placed = place_decisions(decided(("KL-0", 0, "yes", "A"), ("OTHER", 20, "no", "A")), sites)
    assert list(placed["place"]) == ["KL-0", "KL-1"]


def test_strangers_of_several_reviewers_are_one_place_within_50_m():
    placed = place_decisions(
        decided(("", 5000, "yes", "A"), ("", 5030, "yes", "B"), ("p", 5000, "no", "A")), sites_at(0)
    )
    assert placed["place"].nunique() == 2
    assert placed["place"].iloc[0] == placed["place"].iloc[1]


def test_status_agreed_disputed_adjudicated_and_unreviewed():
    sites = sites_at(0, 500, 1000, 1500, 2000)
    decisions = decided(
        ("KL-0", 0, "yes", "A"),
        ("KL-0", 0, "yes", "B"),
        ("KL-1", 500, "yes", "A"),
        ("KL-1", 500, "no", "B"),
        ("KL-2", 1000, "yes", "A"),
        ("KL-2", 1000, "no", "B"),
        ("KL-2", 1000, "wrong_class", "C", "adjudication"),
        ("KL-3", 1500, "yes", "A", "review", "2026-01-01T10:00:00Z"),
        ("KL-3", 1500, "no", "A", "review", "2026-01-01T10:05:00Z"),
    )
    assert list(review_status(sites, decisions)) == [
        "confirmed",
        "unsure",
        "wrong_class",
        "rejected",
        "unreviewed",
    ]
    disputed = disagreements(place_decisions(decisions, sites))
    assert list(disputed["place"]) == ["KL-1"]
    assert disputed["said"].iloc[0] == "A: confirmed; B: rejected"


def test_no_decisions_leave_all_unreviewed():
    assert list(review_status(sites_at(0, 9), decided())) == ["unreviewed", "unreviewed"]


def test_squares_of_ground_take_no_site_and_agree_by_their_number():
    columns = "site_id,east,decision,reviewer,chip_id,count"
    decisions = decided(
        ("", 0, "counted", "A", "chip-1", 2),
        ("", 0, "counted", "B", "chip-1", 2),
        ("", 0, "counted", "A", "chip-2", 0),
        ("", 0, "counted", "B", "chip-2", 1),
        columns=columns,
    )
    placed = place_decisions(decisions, sites_at(0))
    assert not placed["known"].any()
    assert statuses(placed).to_dict() == {"chip-1": "2", "chip-2": "unsure"}
    assert list(disagreements(placed)["chip_id"]) == ["chip-2"]
    assert agreements(placed) == []


def test_kappa_of_a_textbook_table():
    # Cohen's kappa of 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: 0.4 (Wikipedia's worked example)
    answers = (
        [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    )
    rows = [
        (f"KL-{n}", 500 * n, answer, reviewer)
        for n, pair in enumerate(answers)
        for reviewer, answer in zip("AB", pair, strict=True)
    ]
    sites = sites_at(*(500 * n for n in range(50)))
    (found,) = agreements(place_decisions(decided(*rows), sites))
    assert (found.first, found.second, found.places) == ("A", "B", 50)
    assert found.agreed == pytest.approx(0.7)
    assert found.kappa == pytest.approx(0.4)
    # Wilson's interval of 35 in 50 is 0.562 to 0.809; chance agrees on half
    assert (found.low, found.high) == pytest.approx((0.125, 0.618), abs=0.001)


def test_a_few_places_that_all_agree_do_not_prove_agreement():
    rows = [(f"KL-{n}", 500 * n, "yes" if n else "no", r) for n in range(2) for r in "AB"]
    (found,) = agreements(place_decisions(decided(*rows), sites_at(0, 500)))
    assert (found.kappa, found.high) == (1.0, 1.0)
    assert found.low < 0.2


def test_kappa_is_nothing_where_both_say_one_thing():
    rows = [(f"KL-{n}", 500 * n, "yes", reviewer) for n in range(3) for reviewer in "AB"]
    (found,) = agreements(place_decisions(decided(*rows), sites_at(0, 500, 1000)))
    assert found.agreed == 1.0
    assert np.isnan(found.kappa)


def test_five_reviewers_in_conflict_lose_nothing_and_every_conflict_shows():
    rng = np.random.default_rng(8)
    sites = sites_at(*(400 * n for n in range(40)))
    rows = [
        (f"KL-{n}", 400 * n, rng.choice(["yes", "no", "unsure"]), reviewer)
        for n in range(40)
        for reviewer in "ABCDE"
    ]
    decisions = decided(*rows)
    placed = place_decisions(decisions, sites)
    assert len(placed) == len(decisions) == 200
    conflicts = {
        place for place, group in placed.groupby("place") if group["decision"].nunique() > 1
    }
    disputed = disagreements(placed)
    assert set(disputed["place"]) == conflicts
    assert (disputed["reviewers"] == 5).all()
    assert len(agreements(placed)) == 10
    status = review_status(sites, decisions)
    assert set(status[sites["site_id"].isin(conflicts)]) == {"unsure"}


def test_an_adjudicated_box_stands_before_a_later_one():
    columns = "site_id,east,decision,reviewer,stage,decided_at,moved_lon,moved_lat"
    rows = (
        ("KL-0", 0, "yes", "A", "review", "2026-01-03T00:00:00Z", 0.1, 0.1),
        ("KL-0", 0, "yes", "C", "adjudication", "2026-01-01T00:00:00Z", 0.2, 0.2),
        ("KL-1", 500, "no", "A", "review", "2026-01-03T00:00:00Z", 0.3, 0.3),
    )
    placed = place_decisions(decided(*rows, columns=columns), sites_at(0, 500))
    boxes = corrected_boxes(placed)
    assert boxes["moved_lon"].to_dict() == {"KL-0": 0.2}
