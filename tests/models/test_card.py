"""The model card for people says what the machine-readable one says."""

import pytest

from models.card import NEVER_SEEN, card_markdown
from models.site_class import load_site_class
from models.weights import Figure
from tests.models.made_up_models import make_card

KILN = load_site_class("brick_kiln")


def test_the_card_carries_figures_licence_limits_and_the_disclaimer() -> None:
    card = make_card(
        figures=(Figure(name="AP, east", value=0.8123, low=0.71, high=0.9),),
        limits=("falls for orange roofs",),
        trained_on=("made up, CC0",),
    )
    text = card_markdown(card, KILN)
    assert "| AP, east | 0.812 | 0.710 to 0.900 |" in text
    assert "- falls for orange roofs" in text
    assert "- made up, CC0" in text
    assert "| licence of the weights | Apache-2.0 |" in text
    assert "worksite detected, labour conditions not assessed" in text
    assert "80% of sites are found (95 % interval 70% to 90%)" in text


@pytest.mark.parametrize(
    ("spread", "said"),
    [(None, "trained on, for land"), (0.02, "trained on, all seeds together, for land")],
)
def test_a_card_says_when_detections_of_several_seeds_are_counted(
    spread: float | None, said: str
) -> None:
    figure = Figure(name="east: average precision", value=0.8, seed_spread=spread)
    beyond = Figure(name=f"west{NEVER_SEEN}: average precision", value=0.4, seed_spread=0.1)
    assert f"in places not {said}" in card_markdown(make_card(figures=(figure, beyond)), KILN)


def test_a_card_without_held_out_places_says_so() -> None:
    calibration = make_card().calibration.model_copy(update={"n_true": 0})
    text = card_markdown(make_card(calibration=calibration), KILN)
    assert "nothing was held out from this training" in text
    assert "Not calibrated" in text
