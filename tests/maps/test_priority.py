from inspect import signature

import numpy as np
import pytest
from geopandas.testing import assert_geodataframe_equal
from pydantic import ValidationError

from maps.hotspots import HOT_CLASSES
from maps.linking import SITES
from maps.priority import Base, PriorityWeights, rank_sites, size_fit, travel_km
from models.site_class import load_site_class
from tiles.tables import write_table

KILNS = load_site_class("brick_kiln")


def unranked(survey):
    columns = ["size_fit", "hotspot_class", "rank", "priority", "reason"]
    return survey.sites.drop(columns=columns)


def test_ranks_follow_priority_and_the_table_fits_its_schema(survey, tmp_path):
    sites = survey.sites
    assert list(sites["rank"]) == list(range(1, len(sites) + 1))
    assert sites["priority"].is_monotonic_decreasing
    assert sites["priority"].between(0, 1).all()
    write_table(sites, tmp_path / "sites.parquet", SITES)


def test_order_of_rows_changes_nothing(survey):
    shuffled = unranked(survey).sample(frac=1, random_state=1)
    again = rank_sites(shuffled, survey.hotspots, KILNS)
    assert_geodataframe_equal(again, survey.sites)


def test_priority_is_the_stated_mean(survey):
    plain = rank_sites(unranked(survey), survey.hotspots, KILNS)
    site = plain[plain["hotspot_class"] == "hot_99"].iloc[0]
    expected = 0.6 * site["p_site"] + 0.2 * 1.0 + 0.1 * site["size_fit"]
    assert site["priority"] == pytest.approx(expected / 0.9, abs=1e-6)


def test_weights_of_one_column_sort_by_it_alone(survey):
    only_p = PriorityWeights(p_site=1, hotspot=0, size_fit=0)
    ranked = rank_sites(unranked(survey), survey.hotspots, KILNS, only_p)
    assert ranked["p_site"].is_monotonic_decreasing
    for wrong in ({"report_rate_ratio": 1}, {"area": 0.1}, {"p_site": 0}):
        with pytest.raises(ValidationError):
            PriorityWeights(**wrong)


def test_ranks_are_the_same_whatever_the_reports(survey, more_heard):
    assert not survey.release.count_noised.equals(more_heard.release.count_noised)
    assert not survey.groups["report_rate"].equals(more_heard.groups["report_rate"])
    assert_geodataframe_equal(survey.sites, more_heard.sites)


def test_no_figure_of_reports_can_be_given_to_the_ranking():
    of_imagery = {"sites", "hotspots", "site_class", "weights", "base"}
    assert set(signature(rank_sites).parameters) == of_imagery
    assert set(PriorityWeights.model_fields) == {"p_site", "hotspot", "size_fit", "travel"}


def test_reasons_speak_of_imagery_and_area_only(survey):
    text = " ".join(survey.sites["reason"]).lower()
    for word in ("report", "heard", "told", "testimon", "victim", "slave", "bonded", "forced"):
        assert word not in text
    assert survey.sites["reason"].iloc[0].startswith("Very likely a brick kiln (")
    assert "in a hotspot (99 %)" in survey.sites["reason"].iloc[0]
    hot = survey.sites["hotspot_class"].isin(HOT_CLASSES)
    assert not survey.sites.loc[~hot, "reason"].str.contains("hotspot").any()


def test_unfamiliar_imagery_is_said(survey):
    sites = unranked(survey).assign(unfamiliar=True)
    ranked = rank_sites(sites, survey.hotspots, KILNS)
    assert ranked["reason"].str.contains("unlike what the detector learned from").all()


def test_size_fit_is_one_inside_and_nought_at_the_limits(survey):
    sites = (
        unranked(survey)
        .head(4)
        .assign(length_m=[120.0, 40.0, 200.0, 300.0], width_m=[60.0, 60.0, 60.0, 60.0])
    )
    np.testing.assert_allclose(size_fit(sites, KILNS), [1, 0, 0, 0])


def test_near_places_come_first_where_there_is_a_base(survey):
    base = Base(lon=77.0, lat=28.0)
    alone = PriorityWeights(p_site=1e-6, hotspot=0, size_fit=0, travel=1)
    ranked = rank_sites(unranked(survey), survey.hotspots, KILNS, alone, base)
    assert np.all(np.diff(travel_km(ranked, base)) > -0.1)
    without = rank_sites(unranked(survey), survey.hotspots, KILNS, PriorityWeights(travel=0))
    assert_geodataframe_equal(without, survey.sites)


def test_distance_is_along_the_ellipsoid(survey):
    """A degree of the meridian at 28 degrees north is 110.8 km."""
    site = survey.sites.head(1).assign(lon=77.0, lat=28.5)
    assert travel_km(site, Base(lon=77.0, lat=27.5))[0] == pytest.approx(110.8, abs=0.05)
