"""What a perfect detector gets against labels with errors, by hand."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from models.chips import SiteLabels
from models.judging.evaluation import average_precision
from models.judging.perfect import expected_precision, perfect_detector
from tests.models.made_up_models import simulated_picture


def picture(name: str, *at: tuple[float, float]) -> object:
    row, col = np.array(at, float).T
    none = np.zeros(len(row))
    sites = SiteLabels(row, col, none, none, none)
    return replace(simulated_picture(0), name=name, sites=sites, blind_edge_px=5)


def notes(*rows: tuple[str, float, float, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["tile", "x_px", "y_px", "verdict"])


@pytest.mark.parametrize(("hits", "others"), [(3, 2), (4, 1), (2, 0), (1, 3)])
def test_expected_precision_is_the_mean_over_all_orders(hits: int, others: int) -> None:
    orders = set(permutations([1] * hits + [0] * others))
    mean = np.mean([average_precision(np.array(o, bool), hits) for o in orders])
    assert expected_precision(hits, others) == pytest.approx(mean)


def test_unlabelled_sites_cost_precision_and_wrong_labels_recall() -> None:
    one = picture("a.tif", (20, 20), (60, 60), (100, 100), (140, 140))
    two = picture("b.tif", (50, 50))
    remarks = notes(
        ("a", 60.0, 61.0, "wrong label"),
        ("a.tif", 20.0, 120.0, "unlabelled kiln"),
        ("b", 52.0, 50.0, "faint label"),
        ("b", 90.0, 90.0, "doubtful"),
        ("c", 90.0, 90.0, "unlabelled kiln"),
    )
    p = perfect_detector([one, two], remarks)
    assert p is not None
    assert (p.n_labels, p.n_right, p.n_unlabelled) == (5, 4, 1)
    assert p.recall == pytest.approx(0.8)
    assert p.precision == pytest.approx(0.8)
    assert p.f1 == pytest.approx(0.8)
    assert p.average_precision == pytest.approx(0.8 * expected_precision(4, 1), abs=1e-4)
    assert "1 of 5 labels are wrong" in str(p)


def test_what_lies_in_the_blind_edge_counts_neither_way() -> None:
    one = picture("a.tif", (20, 20), (3, 60))
    p = perfect_detector([one], notes(("a", 80.0, 2.0, "unlabelled kiln"), ("a", 80, 80, "x")))
    assert p is not None
    assert (p.n_labels, p.n_unlabelled, p.average_precision) == (1, 0, 1.0)


def test_no_notes_no_figure() -> None:
    assert perfect_detector([picture("a.tif", (20, 20))], notes(("b", 1, 1, "x"))) is None
