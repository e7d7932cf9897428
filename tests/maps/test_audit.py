import numpy as np
import pandas as pd
import pytest
import shapely

from maps.audit_estimate import (
    CANNOT_TELL,
    NOT_REACHED,
    TOLD,
    estimate,
    if_untold,
    read_mark,
    read_marks,
)
from maps.audit_sample import (
    AUDIT_DESIGN,
    GROUND,
    PLACE,
    Frame,
    allocate,
    draw_sample,
    ground_frame,
    make_frame,
    place_stratum,
)
from tiles.cells import CellGrid, cell_polygons
from tiles.errors import ConfigError, TableError
from tiles.tables import read_table, write_table


def told(stratum, kind, population, values):
    return pd.DataFrame(
        {
            "stratum": stratum,
            "kind": kind,
            "population": population,
            "answer": TOLD,
            "value": np.asarray(values, float),
        }
    )


def marked():
    """100 sure places, 50 doubtful ones; 1,000 squares near and 4,000 far from sites."""
    return pd.concat(
        [
            told("detected_sure", PLACE, 100, [1] * 9 + [0]),
            told("detected_doubtful", PLACE, 50, [1] * 4 + [0] * 16),
            told("below_threshold_near", GROUND, 1000, [1, 1] + [0] * 38),
            told("below_threshold_far", GROUND, 4000, [0] * 20),
        ],
        ignore_index=True,
    )


def test_figures_are_those_of_inverse_inclusion_weights():
    audit = estimate(marked())
    assert audit.found.mean == pytest.approx(100 * 0.9 + 50 * 0.2)
    assert audit.missed.mean == pytest.approx(1000 * 2 / 40)
    assert audit.total.mean == pytest.approx(150)
    assert audit.recall.mean == pytest.approx(100 / 150)
    assert audit.precision.mean == pytest.approx(0.9)
    weights = audit.chips.groupby("stratum")["weight"].sum()
    assert weights.to_dict() == {
        "detected_sure": 100,
        "detected_doubtful": 50,
        "below_threshold_near": 1000,
        "below_threshold_far": 4000,
    }
    assert (audit.chips["weight"] * audit.chips["value"]).sum() == pytest.approx(150)


def test_a_stratum_without_an_event_has_an_interval_all_the_same():
    audit = estimate(marked())
    far = audit.strata.loc["below_threshold_far"]
    assert far["mean"] == 0
    assert far["sd_mean"] > 0
    # nought of twenty squares: 0.5 / 20 a square are not ruled out, on 4,000 squares
    assert audit.missed.low < 50 < 250 < audit.missed.high


def test_what_was_all_marked_is_known():
    every = told("detected_sure", PLACE, 4, [1, 1, 0, 1])
    audit = estimate(every)
    assert (audit.found.low, audit.found.mean, audit.found.high) == (3, 3, 3)
    assert audit.strata.loc["detected_sure", "sd_mean"] == 0


def test_could_not_tell_and_not_reached_are_kept_apart():
    chips = marked()
    chips.loc[0, ["answer", "value"]] = [CANNOT_TELL, np.nan]
    chips.loc[1, ["answer", "value"]] = [NOT_REACHED, np.nan]
    audit = estimate(chips)
    sure = audit.strata.loc["detected_sure"]
    assert (sure["drawn"], sure["told"], sure["cannot_tell"], sure["not_reached"]) == (10, 8, 1, 1)
    assert audit.precision.mean == pytest.approx(7 / 8)
    assert if_untold(audit, sites=False)["precision"] == pytest.approx(7 / 9)
    assert if_untold(audit, sites=True)["precision"] == pytest.approx(8 / 9)


def test_a_stratum_that_nobody_marked_is_refused():
    chips = marked()
    far = chips["stratum"] == "below_threshold_far"
    chips.loc[far, "answer"], chips.loc[far, "value"] = NOT_REACHED, np.nan
    with pytest.raises(TableError, match="no chip of below_threshold_far is marked"):
        estimate(chips)


def made_up_frame(rng):
    """2,000 places and 20,000 squares whose truth is known; misses stand in clumps."""
    p_site = rng.beta(2, 1, 2000)
    places = pd.DataFrame(
        {
            "kind": PLACE,
            "stratum": place_stratum(p_site),
            "predicted": p_site,
            "truth": rng.uniform(size=2000) < p_site * 0.9,  # the curve is too bold here
        }
    )
    near = np.arange(20_000) < 6000
    density = np.where(near, 0.05, 0.004) * rng.gamma(0.5, 2.0, 20_000)
    ground = pd.DataFrame(
        {
            "kind": GROUND,
            "stratum": np.where(near, "below_threshold_near", "below_threshold_far"),
            "predicted": 0.0,
            "truth": rng.poisson(density),
        }
    )
    units = pd.concat([places, ground], ignore_index=True)
    units["truth"] = units["truth"].astype(float)
    return units.assign(site_id=None, cell_id="5000_700_4900", lon=77.0, lat=28.0)


def test_ninety_five_per_cent_intervals_hold_the_truth():
    units = made_up_frame(np.random.default_rng(4))
    kind, truth = units["kind"], units["truth"]
    found, missed = truth[kind == PLACE].sum(), truth[kind == GROUND].sum()
    likely = (kind == PLACE) & units["stratum"].isin(["detected_sure", "detected_likely"])
    known = {
        "found": found,
        "missed": missed,
        "total": found + missed,
        "recall": found / (found + missed),
        "precision": truth[likely].mean(),
    }
    inside = dict.fromkeys(known, 0)
    means = {name: [] for name in known}
    rounds = 60
    for seed in range(rounds):
        chips = pd.DataFrame(draw_sample(Frame(units), 300, seed)).assign(answer=TOLD)
        audit = estimate(chips.rename(columns={"truth": "value"}))
        for name, one in audit.figures.items():
            inside[name] += one.low <= known[name] <= one.high
            means[name].append(one.mean)
    # 0.95, less three standard errors of 60 rounds
    assert all(hits / rounds >= 0.87 for hits in inside.values()), inside
    for name in ("found", "missed", "total", "precision"):
        error = np.std(means[name]) / np.sqrt(rounds)
        assert abs(np.mean(means[name]) - known[name]) < 3 * error


def test_allocation_spends_all_chips_and_never_more_than_there_are():
    population = pd.Series({"detected_sure": 3, "below_threshold_near": 900, "gated": 50})
    drawn = allocate(population, 40)
    assert sum(drawn.values()) == 40
    assert drawn["detected_sure"] == 3
    assert drawn["below_threshold_near"] > 2 * drawn["gated"]
    assert sum(allocate(population, 10_000).values()) == 953
    with pytest.raises(ConfigError, match="5 chips are too few for 3 kinds"):
        allocate(population, 5)


def test_nothing_to_draw_from_is_one_sentence():
    with pytest.raises(ConfigError, match="nothing was searched and nothing found"):
        draw_sample(Frame(pd.DataFrame({"stratum": []})), 20, 1)


def test_squares_fill_the_searched_cells_inside_the_region():
    region = shapely.box(77.0, 28.0, 77.2, 28.2)
    cells = CellGrid().cells_of(region)
    coverage = pd.DataFrame(
        {"cell_id": cells["cell_id"], "status": "searched", "area_km2": cells["area_km2"]}
    )
    coverage.loc[0, "status"] = "cloud"
    coverage.loc[1, "status"] = "searched_gate"
    middle = cells.iloc[len(cells) // 2]
    sites = pd.DataFrame({"cell_id": [middle["cell_id"]], "p_site": [0.8]})
    squares = ground_frame(coverage, sites, region)
    searched_km2 = cells["area_km2"].sum() - cells["area_km2"].iloc[0]
    assert len(squares) * 0.25 == pytest.approx(searched_km2, rel=0.02)
    assert cells["cell_id"].iloc[0] not in set(squares["cell_id"])
    assert set(squares.loc[squares["stratum"] == "gated", "cell_id"]) == {cells["cell_id"].iloc[1]}
    near = squares.loc[squares["stratum"] == "below_threshold_near", "cell_id"].unique()
    assert len(near) == 9
    assert middle["cell_id"] in near
    for cell_id, here in squares.groupby("cell_id"):
        polygon = cell_polygons([cell_id]).iloc[0].buffer(1e-9)
        assert shapely.contains_xy(polygon, here["lon"], here["lat"]).all()


def test_a_survey_gives_a_design_that_is_read_back(survey, tmp_path):
    frame = make_frame(survey.coverage, survey.sites, survey.region.polygon)
    design = draw_sample(frame, 60, seed=3)
    write_table(design, tmp_path / "design.parquet", AUDIT_DESIGN)
    back = read_table(tmp_path / "design.parquet", AUDIT_DESIGN)
    assert list(back["chip_id"]) == [f"chip-{n:04d}" for n in range(1, 61)]
    sizes = frame.units.groupby("stratum").size()
    by = back.groupby("stratum")
    assert (by["population"].first() == sizes).all()
    np.testing.assert_allclose(by["inclusion_probability"].first(), by.size() / sizes)
    assert back["site_id"].notna().equals(back["kind"] == PLACE)
    assert draw_sample(frame, 60, seed=3).equals(design)
    assert not draw_sample(frame, 60, seed=4).equals(design)


@pytest.mark.parametrize(
    ("text", "kind", "answer", "value"),
    [
        (" Yes ", PLACE, TOLD, 1),
        ("NO", PLACE, TOLD, 0),
        ("could_not tell", PLACE, CANNOT_TELL, None),
        ("", GROUND, NOT_REACHED, None),
        ("Not reached", PLACE, NOT_REACHED, None),
        ("2", GROUND, TOLD, 2),
        ("not imaged", GROUND, TOLD, 0),
    ],
)
def test_marks_are_read_as_people_write_them(text, kind, answer, value):
    found = read_mark(text, kind, "sheet.csv, chip-0001")
    assert found[0] == answer
    assert np.isnan(found[1]) if value is None else found[1] == value


@pytest.mark.parametrize(
    ("text", "kind"),
    [("2", PLACE), ("maybe", PLACE), ("yes", GROUND), ("-1", GROUND), ("1.5", GROUND)],
)
def test_other_marks_are_one_sentence(text, kind):
    with pytest.raises(TableError, match=r"sheet.csv, chip-0001: the mark '.*' is no answer"):
        read_mark(text, kind, "sheet.csv, chip-0001")


def test_sheets_of_other_spreadsheets_are_read(tmp_path):
    path = tmp_path / "sheet.csv"
    path.write_text("\ufeffchip_id;question;mark\nchip-0001;a, b;yes\n", encoding="utf-8")
    assert dict(read_marks(path)) == {"chip-0001": "yes"}
    path.write_text("chip_id,mark\nchip-0001,yes\nchip-0001,no\n", encoding="utf-8")
    with pytest.raises(TableError, match="names chip-0001 twice"):
        dict(read_marks(path))
    path.write_text("chip,answer\n", encoding="utf-8")
    with pytest.raises(TableError, match="lacks the columns chip_id and mark"):
        dict(read_marks(path))
