import pandas as pd
import pytest
import shapely

from models.site_class import load_site_class
from models.weights import TrainedPlace, default_weights, load_card
from pipeline.cautions import cautions
from pipeline.survey import DetectorSpec, Survey, SurveyPlan
from tiles.catalog import Catalog
from tiles.coverage import CoverageMap
from tiles.region import Region

CARD = load_card(default_weights()).model_copy(
    update={"trained_places": (TrainedPlace(name="Delhi", lon=77.25, lat=28.75),)}
)


def said(lon=77.0, lat=28.0, unfamiliar_share=0.0, p_site=(0.9,) * 3, card=CARD):
    """The cautions of a survey of about 1,000 km2 at a place."""
    region = Region("r", shapely.box(lon, lat, lon + 0.32, lat + 0.28))
    seen = CoverageMap()
    seen.add_polygon(region.polygon, "searched")
    site_class = load_site_class("brick_kiln")
    plan = SurveyPlan(
        Catalog((), ()), region, "p", site_class, DetectorSpec(None, "", "cpu", "fp32", 0)
    )
    detections = pd.DataFrame({"score": p_site})
    survey = Survey(detections, seen.table(region, "p"), 1, (), unfamiliar_share)
    return cautions(plan, card, survey, pd.DataFrame({"p_site": p_site}))


def test_a_usual_survey_near_the_training_needs_no_caution():
    assert said() == ()
    assert said(lon=-60.0, card=CARD.model_copy(update={"trained_places": ()})) == ()


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
