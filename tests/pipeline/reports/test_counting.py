from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.reports.counting import CONTRIBUTION_BOUND, Layout, exact_vector
from pipeline.reports.intake import read_reports
from tiles.partition import REST
from tiles.region import Period

INDUSTRIES = ("C_Manufacturing", "F_Construction")
PERIOD = Period("2025-11", "2026-06")


def counts(made_up, rows, choose=None):
    intake = read_reports(made_up.write(rows), PERIOD, INDUSTRIES)
    layout = made_up.layout(INDUSTRIES)
    vector = exact_vector(intake.reports, layout, *([choose] if choose else []))
    return {
        (entry.group_id, entry.industry): n
        for entry, n in zip(layout.entries, vector, strict=True)
        if n
    }


def test_the_layout_is_every_released_group_times_every_industry(made_up):
    layout = made_up.layout(INDUSTRIES)
    groups = [made_up.group(name) for name in "ABCD"]
    wanted = {(group, industry) for group in groups for industry in INDUSTRIES}
    assert {(entry.group_id, entry.industry) for entry in layout.entries} == wanted
    assert len(layout.entries) == 8
    assert REST not in {entry.group_id for entry in layout.entries}


def test_each_reporter_counts_once_where_they_reported(made_up):
    rows = [
        made_up.row("r1", "A"),
        made_up.row("r1", "A"),
        made_up.row(" R1", "A", month="2026-03"),
        made_up.row("\u200er1\u200f", "A"),  # pasted from a phone
        made_up.row("n.a.", "A"),  # nobody
        made_up.row("r2", "A"),
        made_up.row("r3", "B", industry="F_Construction"),
        made_up.row("r4", "R"),  # the rest is never counted
        made_up.row("r5", "C", consent="no"),
        made_up.row("r6", "C", month="2025-10"),
        made_up.row("r7", "C", lat="12.0"),
        made_up.row("", "C"),
    ]
    assert counts(made_up, rows) == {
        (made_up.group("A"), "C_Manufacturing"): 2,
        (made_up.group("B"), "F_Construction"): 1,
    }


def test_the_draw_over_several_groups_is_secret_and_even(made_up):
    rows = [made_up.row("r1", name) for name in "ABCD"]
    intake = read_reports(made_up.write(rows), PERIOD, INDUSTRIES)
    layout = made_up.layout(INDUSTRIES)
    seen = [0] * 8
    for _ in range(2000):
        vector = exact_vector(intake.reports, layout)
        assert sum(vector) == 1
        seen = [a + b for a, b in zip(seen, vector, strict=True)]
    # binomial(2000, 1/4): sd 19.4, so 400 to 600 is five of them either way
    assert sorted(map(bool, seen)) == [False] * 4 + [True] * 4
    assert all(400 < n < 600 for n in seen if n)


IDS = st.sampled_from(["asha", "Asha ", "ASHA", "ben", " Ben", "ｂｅｎ", "c", "D", "d", "", "none"])
ROWS = st.lists(
    st.tuples(
        IDS,
        st.sampled_from("AABCDR"),
        st.sampled_from(["yes", "yes", "true", "no", ""]),
        st.sampled_from(["2025-10", "2025-11", "2026-02", ""]),
        st.sampled_from([*INDUSTRIES, *INDUSTRIES, "P_Education", ""]),
    ),
    max_size=25,
)


@settings(deadline=None, max_examples=50)
@given(rows=ROWS, person=st.sampled_from(["asha", "ben", "c", "d"]), draw=st.integers(0, 10**6))
def test_removing_everything_one_person_sent_moves_the_vector_by_one(
    shared_made_up, rows, person, draw
):
    # The draw is fixed here, as a function of the options alone: the bound holds draw by draw.
    def choose(options):
        return options[draw % len(options)]

    def is_theirs(reporter):
        return reporter.strip().lower().replace("ｂｅｎ", "ben") == person

    made = [
        (r, shared_made_up.row(r, cell, consent=consent, month=month, industry=industry))
        for r, cell, consent, month, industry in rows
    ]
    everyone = counts(shared_made_up, [row for _, row in made], choose)
    without = counts(shared_made_up, [row for r, row in made if not is_theirs(r)], choose)
    distance = sum(
        abs(everyone.get(entry, 0) - without.get(entry, 0))
        for entry in everyone.keys() | without.keys()
    )
    assert distance <= CONTRIBUTION_BOUND
    counted = {
        r.strip().lower() for r, row in made if row["consent"] in ("yes", "true") and r.strip()
    }
    assert sum(everyone.values()) <= len(counted)


def test_a_layout_remembers_the_size_of_its_cells(made_up):
    layout = made_up.layout()
    assert isinstance(layout, Layout)
    assert layout.cell_size_m == 5000
    assert layout.indices_of([]) == []
