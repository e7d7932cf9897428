import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tiles.cells import Cell
from tiles.errors import RegionError, TableError
from tiles.partition import REST, Rule, build_partition, ground_of, lower_site_count
from tiles.partition_versions import atoms, next_version, released_cells, unsafe_atoms

ROW, COL = 800, 4800  # the north-west cell of one whole 40 km square
RULE = Rule()


def cell(row, col):
    return Cell(5000, ROW + row, COL + col).cell_id


def region(rows=8, cols=8):
    ids = [cell(row, col) for row in range(rows) for col in range(cols)]
    return pd.DataFrame({"cell_id": ids, "area_km2": 25.0})


def sites(counts):
    ids = [cell(*place) for place, n in counts.items() for _ in range(n)]
    return pd.DataFrame({"cell_id": pd.Series(ids, dtype=object), "p_low": 1.0})


def groups_of(frame):
    return {g: set(ids) for g, ids in zip(frame["group_id"], frame["cell_ids"], strict=True)}


def intersections_too_small(one, other, points):
    """The attack, written down apart from the code: who reported in both periods is in both."""
    found = []
    for first, second in itertools.product(released_cells(one).values(), repeat=2):
        for shared in (set(first) & set(second),):
            assert shared in (set(), set(first))  # groups of one version share nothing
    for first, second in itertools.product(
        released_cells(one).values(), released_cells(other).values()
    ):
        for part in (set(first) & set(second), set(first) - set(second), set(second) - set(first)):
            names = {one_cell.cell_id for one_cell in part}
            held = int(points["cell_id"].isin(names).sum())
            if (
                part
                and held < RULE.k
                and tuple(sorted(part)) not in {*released_cells(one).values()}
            ):
                found.append(names)
    return found


FIRST = sites({(0, 0): 5, (0, 1): 3, (1, 0): 2, (4, 4): 6, (5, 4): 2})
LATER = sites({(0, 0): 3, (0, 1): 5, (1, 0): 2, (4, 4): 3, (5, 4): 5, (7, 0): 6})


def test_groups_made_anew_could_be_intersected_and_are_found_out():
    old = build_partition(FIRST, region())
    # The survey sees two kilns more at (0, 1) and two fewer at (0, 0): the ordinary rule cuts
    # elsewhere, and what the two versions share is (1, 0) and (1, 1) with two kilns.
    new = build_partition(LATER, region())
    found = unsafe_atoms(
        released_cells(new), [released_cells(old)], ground_of(LATER, region()), RULE
    )
    assert intersections_too_small(old, new, LATER)
    assert {c.cell_id for cells in found for c in cells} >= {cell(1, 0)}


def test_the_next_version_joins_groups_and_stands_the_attack():
    old = build_partition(FIRST, region())
    new = next_version(LATER, region(), [old])
    assert not intersections_too_small(old, new, LATER)
    before, after = groups_of(old), groups_of(new)
    for name, cells in before.items():
        if name != REST:
            assert sum(bool(cells & joined) for joined in after.values()) == 1  # never cut
    # (0, 0) holds three now: it is joined with what is left of its 10 km square
    assert after["10000_400_2400"] == {cell(0, 0), cell(0, 1), cell(1, 0), cell(1, 1)}
    assert after["5000_807_4800"] == {cell(7, 0)}  # ground that was never released stands alone
    assert (new["k_lower"][new["released"]] >= 5).all()


def test_a_group_that_nothing_can_fill_goes_to_the_rest():
    old = build_partition(FIRST, region())
    few = sites({(0, 0): 1, (4, 4): 6})
    new = next_version(few, region(), [old])
    assert groups_of(new)[REST] >= {cell(0, 0), cell(0, 1)}
    assert not unsafe_atoms(
        released_cells(new), [released_cells(old)], ground_of(few, region()), RULE
    )


def test_what_is_left_of_a_released_rest_must_hold_enough():
    # Two 40 km squares with three kilns each: the rest of six is released as one.
    cells = region(8, 16)
    before = sites({(0, 0): 3, (0, 15): 3, (4, 4): 5})
    old = build_partition(before, cells)
    assert bool(old.set_index("group_id")["released"][REST])
    # Two more at (0, 0) would make a group of five; the rest less that group would be three.
    after = sites({(0, 0): 5, (0, 15): 3, (4, 4): 5})
    fresh = build_partition(after, cells)
    assert unsafe_atoms(released_cells(fresh), [released_cells(old)], ground_of(after, cells), RULE)
    new = next_version(after, cells, [old])
    assert not unsafe_atoms(
        released_cells(new), [released_cells(old)], ground_of(after, cells), RULE
    )
    assert cell(0, 0) in groups_of(new)[REST]


def test_three_versions_are_looked_at_together():
    # Each pair would pass; of the three, {a, b} and {b, c} single out b.
    a, b, c = (Cell.parse(cell(0, n)) for n in range(3))

    assert atoms([{"g": (a, b)}, {"h": (b, c)}]) == [(a,), (b,), (c,)]
    assert atoms([{"g": (a, b)}, {"h": (a, b, c)}]) == [(a, b), (c,)]


def test_cells_that_nothing_releases_are_no_atom():
    old = build_partition(FIRST, region())
    inside = {one.cell_id for cells in atoms([released_cells(old)]) for one in cells}
    assert not inside & groups_of(old)[REST]


def test_a_region_that_lost_a_cell_is_refused():
    old = build_partition(FIRST, region())
    with pytest.raises(RegionError, match="lies outside the region"):
        next_version(FIRST, region(7, 8), [old])


COUNTS = st.dictionaries(
    st.tuples(st.integers(0, 7), st.integers(0, 8)), st.integers(1, 7), max_size=15
)


def test_where_no_site_is_left_a_version_releases_nothing_and_is_no_error():
    # The second version, less the first, tells of ground that holds five sites then, and none now.
    cells = region(8, 9)
    versions = [build_partition(sites({(0, 0): 5}), cells)]
    versions.append(next_version(sites({(0, 1): 1, (0, 8): 4}), cells, versions))
    assert [len(released_cells(version)) for version in versions] == [1, 1]
    new = next_version(sites({}), cells, versions)
    assert not new["released"].any()
    assert sorted(new["cell_ids"].explode()) == sorted(cells["cell_id"])


@settings(deadline=None, max_examples=20)
@example(first={(0, 0): 5}, second={(0, 1): 1, (0, 8): 4}, third={})
@given(first=COUNTS, second=COUNTS, third=COUNTS)
def test_every_version_is_refused_or_safe_beside_all_earlier_ones(first, second, third):
    cells = region(8, 9)
    versions = [build_partition(sites(first), cells)]
    for counts in (second, third):
        points = sites(counts)
        try:
            new = next_version(points, cells, versions)
        except TableError:  # the earlier one is kept
            continue
        ids = [cell_id for cell_ids in new["cell_ids"] for cell_id in cell_ids]
        assert sorted(ids) == sorted(cells["cell_id"])
        assert new["group_id"].is_unique
        released = {tuple(c) for old in versions for c in released_cells(old).values()}
        looked_at = [released_cells(version) for version in (*versions, new)]
        for part in atoms(looked_at) if looked_at[-1] else []:  # nothing released tells nothing
            inside = points["cell_id"].isin([one.cell_id for one in part])
            enough = lower_site_count(points.loc[inside, "p_low"]) >= RULE.k
            assert enough or part in released
        held = new["k_lower"][new["released"]]
        assert np.all(held >= RULE.k)
        versions.append(new)
        next_version(points, cells, versions)  # where nothing changed it is not refused
