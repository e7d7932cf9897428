"""What is wrong with weights is said before a survey starts."""

from pathlib import Path

import pytest

from models.site_class import load_site_class
from models.weights import Recall, default_weights, load_card
from pipeline.plan import check_class, check_judged
from tiles.errors import WeightsError

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
