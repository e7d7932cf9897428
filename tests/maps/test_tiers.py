from itertools import chain

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maps.reporting import Release
from maps.tiers import PUBLIC_K_FACTOR, tier_partition, tier_release
from tiles.cells import Cell, join_cells
from tiles.errors import TableError
from tiles.partition import REST, build_partition
from tiles.partition_versions import atoms, next_version, released_cells

NO_SITES = pd.DataFrame({"cell_id": [], "review_status": []})


def partition_of(groups):
    """Groups as (name, cells as (row, col), k_lower, released)."""
    cell_ids = [[Cell(5000, row, col).cell_id for row, col in cells] for _, cells, _, _ in groups]
    return gpd.GeoDataFrame(
        {
            "group_id": [name for name, _, _, _ in groups],
            "cell_ids": cell_ids,
            "k_lower": np.array([k for _, _, k, _ in groups], dtype=np.int64),
            "released": [released for _, _, _, released in groups],
            "area_km2": [25.0 * len(ids) for ids in cell_ids],
        },
        geometry=[join_cells(ids) for ids in cell_ids],
        crs="EPSG:4326",
    )


FOUR = partition_of(
    [
        ("5000_8_8", [(8, 8)], 6, True),
        ("5000_8_9", [(8, 9)], 5, True),
        ("10000_4_4_part", [(9, 8), (9, 9)], 7, True),
        ("5000_8_10", [(8, 10)], 12, True),
        (REST, [(9, 10), (9, 11)], 1, False),
    ]
)


def rejected(*cells, status="rejected"):
    ids = [Cell(5000, row, col).cell_id for row, col in cells]
    return pd.DataFrame({"cell_id": ids, "review_status": status})


def test_partner_groups_are_the_partitions_own():
    found = tier_partition(FOUR, NO_SITES, "partner")
    assert list(found["group_id"]) == list(FOUR["group_id"])
    assert [list(ids) for ids in found["cell_ids"]] == [list(ids) for ids in FOUR["cell_ids"]]
    assert list(found["released"]) == list(FOUR["released"])


def test_public_groups_hold_twice_k_where_a_square_allows_it():
    found = tier_partition(FOUR, NO_SITES, "public").set_index("group_id")
    # 5 and 6 make 11, and 7 still lacks 3: it joins the smaller of its square, which is all of it.
    assert list(found.index) == ["10000_4_4", "5000_8_10", REST]
    assert found["members"]["10000_4_4"] == ["5000_8_8", "5000_8_9", "10000_4_4_part"]
    assert found["area_km2"]["10000_4_4"] == 100
    assert found["k_lower"]["10000_4_4"] == 7  # what one member holds for sure, all of them hold
    assert not found["released"][REST]


def test_a_group_that_reviewers_emptied_is_joined_in_both_tiers_or_has_no_figure():
    looked = rejected((8, 9), (8, 9), (8, 10), status="wrong_class")
    fine = tier_partition(FOUR, looked, "partner").set_index("group_id")
    assert fine["members"].str.len().max() == 2
    assert fine["released"].drop(REST).all()
    assert (fine["k_lower"].drop(REST) >= 5).all()
    alone = partition_of([("5000_8_8", [(8, 8)], 5, True), ("5000_90_90", [(90, 90)], 9, True)])
    for tier in ("partner", "public"):
        found = tier_partition(alone, rejected((8, 8)), tier).set_index("group_id")
        assert found["released"].to_dict() == {"5000_8_8": False, "5000_90_90": True}
        assert found["k_lower"]["5000_8_8"] == 4


def test_counts_of_unions_are_sums_and_say_how_many():
    release = Release("r", pd.Series({"5000_8_8": 4, "5000_8_9": -1, "10000_4_4_part": 3}), 1.0, 1)
    public = tier_partition(FOUR, NO_SITES, "public")
    found = tier_release(release, public)
    assert found.count_noised.to_dict() == {"10000_4_4": 6}
    assert found.draws.to_dict() == {"10000_4_4": 3}
    assert (found.noise_scale, found.epsilon, found.release_id) == (1.0, 1, "r")
    emptied = tier_partition(FOUR, rejected(*[(8, 10)] * 8), "partner")
    assert "5000_8_10" not in tier_release(release, emptied).count_noised
    assert tier_release(None, public) is None


@st.composite
def surveys(draw):
    """Sites scattered over 16 x 16 cells, some cells crowded."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    cells = [Cell(5000, row, col).cell_id for row in range(16, 32) for col in range(16, 32)]
    counts = rng.negative_binomial(1, 1 / (1 + draw(st.sampled_from([1, 3, 8]))), len(cells))
    sites = pd.DataFrame({"cell_id": np.repeat(cells, counts)})
    sites["p_low"] = rng.uniform(0.5, 1.0, len(sites)).round(3)
    sites["review_status"] = rng.choice(["unreviewed", "confirmed", "rejected"], len(sites))
    return sites, pd.DataFrame({"cell_id": cells, "area_km2": 25.0})


@settings(deadline=None, max_examples=20)
@given(survey=surveys())
def test_public_groups_are_unions_of_partner_groups_and_both_of_the_partitions(survey):
    sites, cells = survey
    partition = build_partition(sites, cells)
    tiers = {tier: tier_partition(partition, sites, tier) for tier in ("partner", "public")}
    for found in tiers.values():
        assert sorted(chain.from_iterable(found["members"])) == sorted(partition["group_id"])
        assert sorted(chain.from_iterable(found["cell_ids"])) == sorted(cells["cell_id"])
        assert found["group_id"].is_unique
        assert (found.loc[found["released"], "k_lower"] >= 5).all()
        assert found["area_km2"].sum() == pytest.approx(25.0 * len(cells))
        gone = set(partition.loc[~partition["released"], "group_id"])
        held_back = found.loc[~found["released"], "members"]
        assert gone <= set(chain.from_iterable(held_back))
    fine = [set(cells) for cells in tiers["partner"]["cell_ids"]]
    for wide in map(set, tiers["public"]["cell_ids"]):
        assert all(part <= wide or not part & wide for part in fine)
    # With nothing to join but k, the wider groups hold more where their square had another.
    assert len(tiers["public"]) <= len(tiers["partner"]) <= len(partition)
    names = [
        set(zip(t["group_id"], map(tuple, t["cell_ids"]), strict=True)) for t in tiers.values()
    ]
    ground = dict(names[0])
    assert all(ground.get(name, cells) == cells for name, cells in names[1])


@settings(deadline=None, max_examples=15)
@given(survey=surveys(), seed=st.integers(0, 99))
def test_both_tiers_of_two_versions_single_out_no_place_that_the_partitions_do_not(survey, seed):
    """Whatever is added and subtracted, the places it speaks of are unions of the versions' own."""
    sites, cells = survey
    first = build_partition(sites, cells)
    kept = sites.sample(frac=0.9, random_state=seed)
    try:
        second = next_version(kept, cells, [first])
    except TableError:  # no second version is safe, so there is none to attack
        return
    own = [released_cells(version) for version in (first, second)]
    published = [
        released_cells(tier_partition(version, looked, tier))
        for version, looked in ((first, sites), (second, kept))
        for tier in ("partner", "public")
    ]
    fine = [set(atom) for atom in atoms(own)]
    for atom in map(set, atoms(published)):
        assert all(part <= atom or not part & atom for part in fine)


def test_public_k_is_twice_the_partners():
    assert PUBLIC_K_FACTOR == 2
