import numpy as np
import pandas as pd
import pytest
import shapely

from maps.audit_estimate import estimate
from maps.audit_sample import Frame, make_frame
from maps.boundaries import Districts
from maps.district_audit import Audit, audit_in_districts, audited_moments
from maps.districts import (
    DISTRICTS,
    NO_DISTRICT,
    cell_pieces,
    district_figures,
    district_ground,
    order_of_magnitude,
    without_intervals,
)
from maps.expected import PARTS, expected_over
from models.site_class import load_site_class
from tiles.cells import project
from tiles.errors import RegionError, TableError
from tiles.tables import read_table, write_table

PERIOD = "2025-11/2026-06"
KILNS = load_site_class("brick_kiln")


def districts_of(boxes):
    polygons = np.array([shapely.box(*box) for box in boxes.values()], dtype=object)
    ground = np.array([project(polygon) for polygon in polygons], dtype=object)
    return Districts(tuple(boxes), polygons, ground)


def figures(survey, districts):
    ground = district_ground(survey.cells, survey.sites, districts, survey.region.polygon)
    return district_figures(survey.cells, survey.sites, districts, ground, KILNS, PERIOD)


HALVES = {"East": (77.4, 27.9, 79.0, 29.0), "West": (76.9, 27.9, 77.4, 29.0)}


def test_districts_share_out_the_survey_and_lose_nothing(survey, tmp_path):
    table = figures(survey, districts_of(HALVES))
    assert list(table["district"]) == ["East", "West"]
    total = expected_over(survey.cells)
    assert table["expected_sites"].sum() == pytest.approx(total.mean, rel=1e-9)
    assert table["surveyed_km2"].sum() == pytest.approx(survey.cells["area_km2"].sum(), rel=1e-6)
    assert table["searched_km2"].sum() == pytest.approx(
        survey.cells["searched_km2"].sum(), rel=1e-6
    )
    east = survey.sites["lon"] >= 77.4
    likely = survey.sites["p_site"] >= 0.5
    assert list(table["n_sites"]) == [(east & likely).sum(), (~east & likely).sum()]
    for row in table.itertuples():
        assert row.expected_low < row.expected_sites < row.expected_high
    write_table(table, tmp_path / "districts.parquet", DISTRICTS)
    assert len(read_table(tmp_path / "districts.parquet", DISTRICTS)) == 2


def test_one_district_round_all_has_the_interval_of_the_survey(survey):
    table = figures(survey, districts_of({"All": (70, 20, 90, 40)}))
    total = expected_over(survey.cells)
    assert table["expected_sites"].iloc[0] == pytest.approx(total.mean, rel=1e-9)
    ends = table[["expected_low", "expected_high"]].iloc[0]
    assert list(ends) == pytest.approx([total.low, total.high], abs=1)


def test_ground_in_no_district_is_a_row_of_its_own(survey):
    table = figures(survey, districts_of({"East": HALVES["East"]}))
    assert list(table["district"]) == ["East", NO_DISTRICT]
    assert table["expected_sites"].sum() == pytest.approx(
        expected_over(survey.cells).mean, rel=1e-9
    )
    assert table.geometry.iloc[1].is_empty


def test_a_district_partly_surveyed_or_hardly_searched_says_so(survey):
    blank = survey.cells.copy()
    west = blank["col"] < blank["col"].median()
    blank.loc[west, "searched_km2"] = 0.0
    districts = districts_of({"Edge": (76.0, 28.2, 77.2, 28.6), "Inside": (77.7, 28.2, 77.9, 28.4)})
    ground = district_ground(blank, survey.sites, districts, survey.region.polygon)
    table = district_figures(blank, survey.sites, districts, ground, KILNS, PERIOD)
    edge = table.iloc[0]
    assert edge["note"] == (
        "no figure: under 20 % of the ground was searched; "
        "the survey's region holds 17 % of the district"
    )
    figure = ["expected_sites", "expected_low", "expected_high", "workers_low", "workers"]
    assert edge[figure].isna().all()
    inside = table.iloc[1]
    assert inside["note"] == ""
    assert inside["workers_low"] == 50 * inside["expected_low"]
    assert inside["workers_high"] == 250 * inside["expected_high"]
    assert inside["workers"].endswith("thousands")


def test_a_district_that_only_a_site_beyond_the_edge_reaches_has_no_figure(survey):
    west, south, east, north = survey.region.polygon.bounds
    sites = survey.sites.copy()
    sites.loc[0, ["lon", "lat"]] = [east + 0.001, (south + north) / 2]
    sites.loc[0, "cell_id"] = "5000_765_4979"  # at the region's edge, and it reaches beyond
    assert "5000_765_4979" in set(survey.cells["cell_id"])
    districts = districts_of(
        {"In": (west, south, east, north), "Out": (east, south, east + 1, north)}
    )
    ground = district_ground(survey.cells, sites, districts, survey.region.polygon)
    table = district_figures(survey.cells, sites, districts, ground, KILNS, PERIOD)
    beyond = table.set_index("district").loc["Out"]
    assert beyond["surveyed_km2"] == 0
    assert beyond[["expected_sites", "per_1000km2", "workers"]].isna().all()
    assert beyond["note"].startswith("no figure: under 20 % of the ground was searched")


def test_districts_elsewhere_are_refused(survey):
    with pytest.raises(RegionError, match="none of the 1 districts reaches into the surveyed"):
        figures(survey, districts_of({"Far": (10, 10, 11, 11)}))


def test_pieces_sum_to_their_cells(survey):
    districts = districts_of(HALVES)
    ground = district_ground(survey.cells, survey.sites, districts, survey.region.polygon)
    pieces = cell_pieces(survey.cells, survey.sites, ground)
    sums = pieces.groupby(["row", "col"])[["area_km2", "n_sites", *PARTS]].sum()
    whole = survey.cells.set_index(["row", "col"])[list(sums)]
    np.testing.assert_allclose(sums, whole.sort_index(), rtol=1e-9, atol=1e-9)
    assert (pieces[PARTS].to_numpy() >= -1e-9).all()


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0, 0, "none expected"),
        (0, 40, "none to tens"),
        (60, 400, "tens to hundreds"),
        (1200, 9000, "thousands"),
        (9_000, 2_000_000, "thousands to hundreds of thousands"),
        (np.nan, np.nan, None),
    ],
)
def test_workers_are_powers_of_ten(low, high, words):
    assert order_of_magnitude(low, high) == words


def test_a_list_has_no_intervals(survey):
    table = without_intervals(figures(survey, districts_of(HALVES)))
    assert table[["expected_low", "expected_high", "workers"]].isna().all(axis=None)
    assert table["expected_sites"].notna().all()
    assert table["note"].str.contains("no interval: nobody has checked").all()


def pieces_of(unsearched):
    count = len(unsearched)
    return pd.DataFrame(
        {
            "district": np.arange(count),
            "row": np.arange(count),
            "col": 0,
            **dict.fromkeys(PARTS, 0.0),
            "expected_unsearched": unsearched,
        }
    )


def test_an_audit_sample_corrects_districts_by_their_own_units():
    strata = pd.DataFrame(
        {"kind": ["place", "ground"], "mean": [0.8, 0.01], "sd_mean": [0.05, 0.002]},
        index=["detected_sure", "far"],
    )
    units = pd.DataFrame(
        {
            "district": [0] * 50 + [1] * 200 + [0] * 1000,
            "stratum": ["detected_sure"] * 250 + ["far"] * 1000,
        }
    )
    table = audited_moments(Audit(strata, units), pieces_of([4.0, 0.0]))
    assert list(table["mean"]) == pytest.approx([50 * 0.8 + 1000 * 0.01 + 4, 160])
    first = 50 * 0.16 + (50 * 0.05) ** 2 + 10 + (1000 * 0.002) ** 2 + 4
    assert list(table["variance"]) == pytest.approx([first, 200 * 0.16 + 10**2])


def marked(frame, truth):
    """Every second unit of each stratum marked with the truth: no error of drawing is left."""
    chips = frame.units[frame.units.groupby("stratum").cumcount() % 2 == 0]
    population = frame.units.groupby("stratum").size()
    return estimate(
        chips.assign(
            chip_id="",
            population=chips["stratum"].map(population),
            answer="told",
            value=truth[chips.index],
        )
    )


def test_figures_by_an_audit_sum_to_what_the_audit_says(survey):
    """The list is half false, and no square holds a site that it lacks: fewer sites than found."""
    districts = districts_of(HALVES)
    frame = make_frame(survey.coverage, survey.sites, survey.region.polygon)
    rng = np.random.default_rng(1)
    truth = np.where(frame.units["kind"] == "place", rng.uniform(size=len(frame.units)) < 0.5, 0)
    estimates = marked(frame, truth.astype(float))
    audit = audit_in_districts(estimates, frame, districts)
    ground = district_ground(survey.cells, survey.sites, districts, survey.region.polygon)
    args = (survey.cells, survey.sites, districts, ground, KILNS, PERIOD)
    by_audit, by_model = district_figures(*args, audit), district_figures(*args)
    unsearched = survey.cells["expected_unsearched"].sum()
    assert (by_audit["method"] == "audit").all()
    assert by_audit["expected_sites"].sum() == pytest.approx(
        estimates.found.mean + unsearched, rel=0.02
    )
    assert (by_audit["expected_sites"] < 0.7 * by_model["expected_sites"]).all()


def test_an_audit_of_another_survey_is_refused(survey):
    frame = make_frame(survey.coverage, survey.sites, survey.region.polygon)
    estimates = marked(frame, np.ones(len(frame.units)))
    fewer = Frame(frame.units[frame.units["stratum"] != "detected_sure"])
    with pytest.raises(TableError, match=r"units of detected_sure, and this survey has 0: give"):
        audit_in_districts(estimates, fewer, districts_of(HALVES))
