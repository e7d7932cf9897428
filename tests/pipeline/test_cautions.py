from types import SimpleNamespace

import pandas as pd
import pytest
import shapely

from maps.expected import Recall
from models.site_class import load_site_class
from models.weights import TrainedPlace, default_weights, load_card
from pipeline.cautions import cautions
from pipeline.survey import DetectorSpec, Survey, SurveyPlan
from tiles.catalog import Catalog
from tiles.coverage_map import CoverageMap
from tiles.region import Region
from tiles.scene import PixelSize

CARD = load_card(default_weights()).model_copy(
    update={"trained_places": (TrainedPlace(name="Delhi", lon=77.25, lat=28.75),)}
)


def said(
    lon=77.0,
    lat=28.0,
    unfamiliar_share=0.0,
    p_site=(0.9,) * 3,
    card=CARD,
    scenes=(),
    country=None,
    status="searched",
    gate=None,
):
    """The cautions of a survey of about 1,000 km2 at a place."""
    region = Region("r", shapely.box(lon, lat, lon + 0.32, lat + 0.28))
    seen = CoverageMap()
    seen.add_polygon(region.polygon, status)
    site_class = load_site_class("brick_kiln")
    plan = SurveyPlan(
        Catalog(tuple(scenes), ()),
        region,
        "p",
        site_class,
        DetectorSpec(None, "", "cpu", "fp32", 0),
        block_px=2048,
        country=country,
    )
    detections = pd.DataFrame({"score": p_site})
    survey = Survey(detections, seen.table(region, "p"), 1, (), unfamiliar_share)
    return cautions(plan, card, survey, pd.DataFrame({"p_site": p_site}), gate)


def test_a_usual_survey_near_the_training_needs_no_caution():
    assert said() == ()
    assert said(lon=-60.0, card=CARD.model_copy(update={"trained_places": ()})) == ()


def test_ground_that_only_the_gate_looked_at_is_said_with_what_it_loses():
    gate = Recall(0.993, 0.985, 0.998)
    (sentence,) = said(status="searched_gate", gate=gate)
    assert "On 975 of 975 km2 only a quick first look was taken" in sentence
    assert "keeps 99.3% of the sites that the detector finds" in sentence
    assert said(gate=gate) == ()


def test_weights_that_learnt_from_their_own_guesses_are_said_to_be_unmeasured_here():
    adapted = CARD.model_copy(update={"adapted_to": ("scene",)})
    (sentence,) = said(card=adapted)
    assert "what was measured in other regions" in sentence
    assert "scene" not in sentence, "the name of a file is the operator's"
    (sentence,) = said(card=adapted.model_copy(update={"figures": ()}))
    assert "what was measured before" in sentence


def scene(date, gsd_m=10.0, resampled=False):
    return SimpleNamespace(date=date, gsd=PixelSize(gsd_m, gsd_m), resampled=resampled)


def test_months_out_of_season_are_said_by_country():
    scenes = [scene("2026-01-10"), scene("2026-06-11"), scene(None)]
    assert said(scenes=scenes) == said(scenes=scenes, country="IN") == ()
    (idle,) = said(scenes=scenes, country="BD")
    assert idle.startswith("1 scene is of June, out of season for brick kilns in BD: sites may")
    (idle,) = said(scenes=[scene("2025-08-01"), scene("2025-07-01")])
    assert idle.startswith("2 scenes are of July, August, out of season for brick kilns: sites may")


def test_pixels_of_another_size_are_said():
    assert said(scenes=[scene(None, 9.4)]) == ()
    (other,) = said(scenes=[scene(None), scene(None, 5.0), scene(None, 10.0, resampled=True)])
    assert other.startswith("2 of 3 scenes have pixels of another size than the imagery")
    assert "sentinel-2 (8.5 to 12 m)" in other


def test_unfamiliar_imagery_far_places_and_odd_densities_are_said():
    (unfamiliar,) = said(unfamiliar_share=0.6)
    assert unfamiliar.startswith("60% of this imagery does not look like")
    (far,) = said(lon=73.0, lat=19.0)  # Mumbai
    assert "trained near Delhi, 1,1" in far
    (dense,) = said(p_site=(0.9,) * 200)
    assert dense.startswith("18")
    assert "where 30 were presumed" in dense
    suggested = float(dense.split("about ")[1].split(",")[0])
    assert 180 < suggested < 320  # 200 sure sites and those missed, in 970 km2


@pytest.mark.parametrize("share", [0.5, 0.0])
def test_half_unfamiliar_is_not_yet_all(share):
    assert said(unfamiliar_share=share) == ()
