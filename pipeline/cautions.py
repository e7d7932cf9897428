"""Why the figures of a survey may not hold: sentences for the terminal and for every page."""

from math import sqrt

import pandas as pd

from maps.expected import Recall
from models.site_class import SiteClass
from models.weights import WeightsCard, nearest_place
from pipeline.pixels import describe_outside
from pipeline.survey import Survey, SurveyPlan
from tiles.composite import sources
from tiles.coverage import searched_km2
from tiles.scene import Scene
from tiles.season import split_by_season

UNFAMILIAR_SHARE = 0.5  # of blocks; above it the imagery as a whole is unlike the training data
PREVALENCE_FACTOR = 2.0  # a survey this far above the stated density has another prior


def cautions(
    plan: SurveyPlan,
    card: WeightsCard,
    survey: Survey,
    sites: pd.DataFrame,
    gate: Recall | None = None,
) -> tuple[str, ...]:
    """Say what a reader must know before using the figures; no file names, no fine positions.

    Args:
        plan: what was looked at.
        card: of the detector.
        survey: what was found.
        sites: linked, with p_site.
        gate: share of the detector's finds that the gate keeps, where one looked first.
    """
    found = [
        _unfamiliar(survey),
        _out_of_season(plan),
        _other_sensor(plan),
        _far(plan, card),
        _adapted(card),
        _dense(plan, card, survey, sites),
        _gated(survey, gate),
    ]
    return tuple(sentence for sentence in found if sentence is not None)


def _unfamiliar(survey: Survey) -> str | None:
    if survey.unfamiliar_share <= UNFAMILIAR_SHARE:
        return None
    return (
        f"{survey.unfamiliar_share:.0%} of this imagery does not look like what the detector was "
        "trained on: its probabilities and counts cannot be trusted here."
    )


def _out_of_season(plan: SurveyPlan) -> str | None:
    """Scenes of months in which the sites cannot be seen at work: left out, or searched anyway."""
    if plan.out_of_season:
        left_out = describe_outside(plan.out_of_season, plan.site_class, plan.country)
        return f"{left_out}: left out; ground that no other scene shows counts as not searched."
    months = plan.site_class.seasons.months(plan.country)
    acquired = [source for scene in plan.catalog.scenes for source in sources(scene)]
    outside = split_by_season(acquired, months).outside
    if not outside:
        return None
    searched = describe_outside(outside, plan.site_class, plan.country)
    return f"{searched}: sites may be idle, flooded or overgrown there, and missed."


def _other_sensor(plan: SurveyPlan) -> str | None:
    """Scenes whose pixels are of another size than those of the sensors that the class names."""
    site_class, scenes = plan.site_class, plan.catalog.scenes
    count = sum(not _of_known_sensor(scene, site_class) for scene in scenes)
    if not count:
        return None
    known = ", ".join(
        f"{name} ({gsd.low:g} to {gsd.high:g} m)" for name, gsd in site_class.sensors.items()
    )
    return (
        f"{count} of {len(scenes)} scenes have pixels of another size than the imagery that "
        f"{site_class.title.lower()}s were learnt in, {known}: how well they are found there was "
        "never measured."
    )


def _of_known_sensor(scene: Scene, site_class: SiteClass) -> bool:
    gsd_m = sqrt(scene.gsd.x_m * scene.gsd.y_m)  # pixels of degrees are not square
    if scene.resampled:  # its own pixels are finer than these
        return any(gsd.low < gsd_m / 1.5 for gsd in site_class.sensors.values())
    return bool(site_class.sensors_at(gsd_m))


def _far(plan: SurveyPlan, card: WeightsCard) -> str | None:
    """Distance from the region's middle to the nearest place that training knew."""
    middle = plan.region.polygon.centroid
    nearest = nearest_place(card, middle.x, middle.y)
    if nearest is None or not nearest.is_far:
        return None
    return (
        f"The detector was trained near {nearest.name}, {nearest.distance_km:,.0f} km from here: "
        "how well it does in this region was never measured."
    )


def _adapted(card: WeightsCard) -> str | None:
    """Weights whose figures are of other regions, if they were measured at all once adapted."""
    if not card.adapted_to:
        return None
    measured = "in other regions" if card.figures else "before"
    return (
        "The detector learnt the look of a region from its own guesses there, which nobody had "
        f"labelled: recall and probabilities are what was measured {measured}, and how well it "
        "does here nobody knows until somebody looks at a sample."
    )


def _gated(survey: Survey, gate: Recall | None) -> str | None:
    """Ground at which the detector itself never looked, and what is lost there."""
    areas = survey.coverage.groupby("status")["area_km2"].sum()
    shut_km2 = float(areas.get("searched_gate", 0.0))
    if gate is None or not shut_km2:
        return None
    return (
        f"On {shut_km2:,.0f} of {float(searched_km2(survey.coverage).sum()):,.0f} km2 only a quick "
        f"first look was taken and nothing seen. It keeps {gate.mean:.1%} of the sites that the "
        f"detector finds (90 % interval {gate.low:.1%} to {gate.high:.1%}, on land that it never "
        "saw); expected numbers allow for that."
    )


def _dense(plan: SurveyPlan, card: WeightsCard, survey: Survey, sites: pd.DataFrame) -> str | None:
    usual = plan.site_class.prevalence_per_1000km2
    looked_at_km2 = float(searched_km2(survey.coverage).sum())
    found = 1000 * float(sites["p_site"].sum()) / looked_at_km2 if looked_at_km2 else 0.0
    if found <= usual * PREVALENCE_FACTOR:
        return None
    suggested = card.calibration.survey_prevalence(
        survey.detections["score"].to_numpy(), looked_at_km2, card.recall.mean
    )
    return (
        f"{found:,.0f} sites per 1,000 km2 were found where {usual:,.0f} were presumed, so "
        "probabilities and counts are too low here if a look at some sites bears them out; the "
        f"scores themselves speak for about {suggested:,.0f}, which can be stated as prevalence."
    )
