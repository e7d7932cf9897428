"""What is wrong with weights is said before a survey starts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely

from models.detector import Detector
from models.site_class import load_site_class
from models.weights import Recall, TrainedPlace, default_weights, load_card, load_weights
from pipeline.engine.search import DetectorSpec, Searcher
from pipeline.plan import check_class, check_judged, lies_elsewhere
from tiles.errors import WeightsError
from tiles.region import Region

PATH = Path("own.safetensors")


@pytest.fixture(scope="module")
def card():
    return load_card(default_weights())


def test_weights_that_were_never_judged_are_refused(card):
    check_judged(card, PATH)
    unknown = card.model_copy(update={"recall": Recall(mean=0, low=0, high=1)})
    with pytest.raises(WeightsError, match=r"own\.safetensors do not say how much they find"):
        check_judged(unknown, PATH)


def test_weights_of_another_class_are_refused(card):
    check_class(card, load_site_class("brick_kiln"), PATH)
    with pytest.raises(WeightsError, match="finds brick_kiln, not gold_mine"):
        check_class(card, load_site_class("gold_mine"), PATH)


def test_a_region_far_from_all_places_trained_on_lies_elsewhere(card):
    delhi = card.model_copy(
        update={"trained_places": (TrainedPlace(name="Delhi", lon=77.25, lat=28.75),)}
    )
    assert not lies_elsewhere(delhi, Region("near", shapely.box(77, 28, 78, 29)))
    assert lies_elsewhere(delhi, Region("Mumbai", shapely.box(72.8, 18.9, 73.2, 19.3)))
    nowhere = card.model_copy(update={"trained_places": ()})
    assert not lies_elsewhere(nowhere, Region("Mumbai", shapely.box(72.8, 18.9, 73.2, 19.3)))


def test_a_worker_says_less_of_a_region_elsewhere():
    weights = load_weights(default_weights())
    curve = weights.card.calibration.model_copy(update={"variance_elsewhere": 4.0})
    card = weights.card.model_copy(update={"calibration": curve})
    detector = Detector(replace(weights, card=card), "cpu", "fp32")
    score = np.array([0.5])
    near, far = (Searcher(detector, elsewhere).curve(30.0) for elsewhere in (False, True))
    assert near.probabilities(score).p == far.probabilities(score).p
    assert far.probabilities(score).low < near.probabilities(score).low
    assert DetectorSpec(PATH, "", "cpu", "fp32", 0).elsewhere is False
