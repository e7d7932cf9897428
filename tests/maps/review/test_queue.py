import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maps.review.queue import (
    AUDIT,
    RANKED,
    USEFUL,
    deal,
    probability_elsewhere,
    spread_order,
    usefulness,
)


def sites(*p_site, unfamiliar=()):
    return pd.DataFrame(
        {"p_site": p_site, "unfamiliar": [n in unfamiliar for n in range(len(p_site))]}
    )


def test_the_most_uncertain_the_unfamiliar_and_the_disputed_are_worth_most():
    plain = usefulness(sites(0.5, 0.9, 0.99)).worth
    assert plain[0] == pytest.approx(1.0)
    assert plain[0] > plain[1] > plain[2]
    assert usefulness(sites(0.9, 0.9, unfamiliar=(1,))).worth[1] == pytest.approx(plain[1] + 0.5)
    two = usefulness(sites(0.95, 0.95), np.array([0.9, 0.0]))
    assert two.worth[1] - two.worth[0] == pytest.approx(0.95 - 0.05)
    assert two.why[1] == "the other run found nothing here"
    assert usefulness(sites(0.5)).why == ["the detector cannot tell"]


def test_one_cell_does_not_take_the_whole_beginning():
    worth = np.array([1.0, 0.99, 0.98, 0.9])
    assert list(spread_order(worth, ["a", "a", "a", "b"])) == [0, 3, 1, 2]
    assert list(spread_order(np.ones(3), ["a", "b", "c"])) == [0, 1, 2]


def test_a_second_run_is_matched_by_place():
    ours = pd.DataFrame({"lon": [77.0, 77.1], "lat": [28.0, 28.0]})
    theirs = pd.DataFrame({"lon": [77.0003, 77.2], "lat": [28.0, 28.0], "p_site": [0.7, 0.9]})
    assert probability_elsewhere(ours, theirs).tolist() == [0.7, 0.0]


def test_dealing_keeps_shares_and_audit_places_are_asked_as_such_only():
    names = [f"s{n}" for n in range(100)]
    queues = {AUDIT: ["s3", "g1", "s7", "g2"], USEFUL: names, RANKED: names[::-1]}
    order = deal(queues)
    assert len(order) == 102
    assert len({name for name, _ in order}) == 102
    assert {name for name, queue in order if queue == AUDIT} == {"s3", "g1", "s7", "g2"}
    first = [queue for _, queue in order[:20]]
    assert (first.count(USEFUL), first.count(RANKED), first.count(AUDIT)) == (8, 8, 4)
    assert deal(queues, 10) == order[:10]


@given(
    audit=st.lists(st.integers(0, 40), unique=True),
    useful=st.lists(st.integers(0, 40), unique=True),
    ranked=st.lists(st.integers(0, 40), unique=True),
)
def test_everything_is_dealt_once(audit, useful, ranked):
    queues = {
        AUDIT: [str(n) for n in audit],
        USEFUL: [str(n) for n in useful],
        RANKED: [str(n) for n in ranked],
    }
    order = deal(queues)
    assert sorted(name for name, _ in order) == sorted({str(n) for n in audit + useful + ranked})
    assert {name for name, queue in order if queue == AUDIT} == set(queues[AUDIT])
