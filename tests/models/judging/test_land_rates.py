"""False alarms by kind of land: areas and rates by hand, on land of two kinds."""

from dataclasses import replace

import numpy as np
import pytest

from models.chips import Ground, Picture
from models.judging.land_rates import ALL_LAND, land_rates
from tests.models.judging.test_backgrounds import land
from tests.models.made_up_models import simulated_picture


def picture(blind_edge_px: int = 0, east_m: float = 0.0) -> Picture:
    """200 columns of crops, 200 of bare soil, 20 x 10 m pixels."""
    pixels = np.concatenate([land("vegetation", 200, 200), land("bare soil", 200, 200)], axis=2)
    return replace(
        simulated_picture(0),
        pixels=pixels,
        usable=np.ones((200, 400), bool),
        ground=Ground(east_m, 0.0, 20.0, 10.0),
        blind_edge_px=blind_edge_px,
    )


def test_rates_by_hand() -> None:
    wrong = np.array([[0, 50.0, 50.0], [0, 100.0, 300.0], [0, 150.0, 350.0]])
    rates = {r.kind: r for r in land_rates([picture()], wrong)}
    assert rates[ALL_LAND].area_km2 == pytest.approx(16.0)
    assert rates[ALL_LAND].per_1000km2.value == pytest.approx(187.5)
    assert (rates["vegetation"].false_alarms, rates["bare soil"].false_alarms) == (1, 2)
    assert rates["bare soil"].area_km2 == pytest.approx(8.0, abs=0.4)
    assert rates["bare soil"].per_1000km2.value == pytest.approx(250, rel=0.06)


def test_the_blind_edge_is_no_area() -> None:
    (whole, *_) = land_rates([picture(10)], np.zeros((0, 3)))
    assert whole.area_km2 == pytest.approx(180 * 380 * 200 / 1e6)
    assert whole.per_1000km2.value == 0.0


def test_intervals_resample_pictures() -> None:
    pictures = [replace(picture(), name=str(i)) for i in range(4)]
    wrong = np.array([[0, 50.0, 50.0]] * 4)  # all on the first of four
    (whole, *_) = land_rates(pictures, wrong)
    assert whole.per_1000km2.value == pytest.approx(1000 * 4 / 64)
    assert whole.per_1000km2.low == 0.0
    assert whole.per_1000km2.high > 2 * whole.per_1000km2.value
