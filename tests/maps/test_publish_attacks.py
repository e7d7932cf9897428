"""What somebody finds who holds every folder, knows every kiln, and has time."""

import numpy as np
import pytest
import shapely

from maps.exclusions import Exclusion, Exclusions
from maps.linking import link_sites
from maps.tiers import tier_partition, tier_release
from tests.maps.conftest import detections_at
from tests.maps.test_publish_extremes import KILNS, publish_sites
from tiles.region import Region

GROUND = Region("Belt", shapely.box(77.0, 28.0, 77.5, 28.4))


@pytest.fixture(scope="module")
def kilns():
    rng = np.random.default_rng(17)
    return rng.uniform(77.02, 77.48, 150), rng.uniform(28.02, 28.38, 150)


@pytest.mark.parametrize("tier", ["public", "partner"])
def test_an_excluded_place_is_one_that_the_detector_missed(survey, kilns, tier, tmp_path):
    """No arithmetic on these bytes can find it: they are those of a survey that never saw it."""
    lon, lat = kilns
    found = link_sites(detections_at(lon, lat), KILNS)
    excluded = Exclusions((Exclusion(lon=lon[40], lat=lat[40], radius_m=30),))
    assert excluded.hides(found).sum() == 1
    missed = link_sites(detections_at(np.delete(lon, 40), np.delete(lat, 40)), KILNS)
    of_list, of_miss = (
        publish_sites(survey, tier, GROUND, sites, tmp_path / name)
        for name, sites in (("list", excluded.without(found)), ("miss", missed))
    )
    assert of_list == of_miss
    whole = publish_sites(survey, tier, GROUND, found, tmp_path / "whole")
    assert whole["groups.csv"] != of_list["groups.csv"], "the attack has something to find"


def test_counts_of_both_tiers_and_two_releases_speak_of_partner_groups_only(survey):
    """Every public count is a whole sum of partner counts, in each release, and no other."""
    partner = tier_partition(survey.partition, survey.sites, "partner")
    public = tier_partition(survey.partition, survey.sites, "public")
    fine = tier_release(survey.release, partner).count_noised
    wide = tier_release(survey.release, public).count_noised
    rows = []
    for name, members in zip(public["group_id"], public["members"], strict=True):
        if name in wide.index:
            assert wide[name] == fine[members].sum()
            rows.append([float(group in members) for group in fine.index])
    rows = np.array(rows)
    everything = np.vstack([np.eye(len(fine)), rows])
    assert np.linalg.matrix_rank(everything) == len(fine), "nothing finer than the partner's groups"
    assert (rows.sum(axis=0) == 1).all(), "and no total that gives away a rest"
