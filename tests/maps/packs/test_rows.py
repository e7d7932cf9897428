import numpy as np
import pytest
import shapely

from maps.language import LANGUAGES, load_language
from maps.packs.rows import NEEDED, PACK_COLUMNS, pack_rows, sites_in, why
from tests.made_up_packs import AREA, KILNS, facts_of, rows_of
from tests.maps.conftest import make_survey


@pytest.fixture(scope="module")
def site(survey):
    return survey.sites.rename(columns={"rank": "place"}).iloc[0].to_dict()


def test_rows_are_the_areas_sites_in_the_teams_order_numbered_anew(survey):
    rows = rows_of(survey, count=1000)
    inside = survey.sites[shapely.intersects_xy(AREA, survey.sites["lon"], survey.sites["lat"])]
    assert list(rows.columns) == PACK_COLUMNS
    assert 20 < len(rows) < 30
    assert list(rows["site_id"]) == list(inside.sort_values("rank")["site_id"])
    assert list(rows["rank"]) == list(range(1, len(rows) + 1))
    assert set(rows["pack_id"]) == {"KP-0TEST0AB"}
    assert set(rows["expires"]) == {"2027-01-21"}
    assert rows["p_high"].max() <= 0.99, "nothing is certain"


def test_reports_have_no_way_into_a_row(survey):
    for name in (*NEEDED, *PACK_COLUMNS):
        assert not any(word in name for word in ("report", "evidence", "group", "priority"))
    heard = make_survey(reporters=4.0)
    assert not survey.groups["report_rate"].equals(heard.groups["report_rate"])
    assert rows_of(heard, count=1000).equals(rows_of(survey, count=1000))


@pytest.mark.parametrize("code", LANGUAGES)
def test_why_is_said_in_every_language_without_a_word_of_reports(code, site):
    language = load_language(code)
    every = site | {"n_scenes": 3, "unfamiliar": True, "hotspot_class": "hot_95"}
    every |= {"review_status": "confirmed", "p_site": 0.93, "size_fit": 0.2}
    said = why(every, KILNS, language)
    assert len(said) == 6
    assert said[0].count(language.share(93)) == 1
    assert "report" not in " ".join(said).lower()
    assert len(why(site | {"hotspot_class": "not_significant"}, KILNS, language)) == 3


@pytest.mark.parametrize(
    ("p_site", "begins"),
    [
        (0.95, "Very likely a"),
        (0.75, "Likely a"),
        (0.55, "More likely than not"),
        (0.2, "Possibly"),
    ],
)
def test_words_go_with_the_probability(p_site, begins, site):
    assert why(site | {"p_site": p_site}, KILNS, load_language("en"))[0].startswith(begins)


def test_another_class_is_called_by_its_own_title(site):
    own = KILNS.model_copy(update={"name": "charcoal", "title": "Charcoal camp"})
    assert "Charcoal camp" in why(site, own, load_language("hi"))[0]


def test_the_note_is_the_classes_sentence_in_the_language(survey):
    assert set(rows_of(survey)["note"]) == {KILNS.disclaimer}
    assert set(rows_of(survey, "hi")["note"]) != {KILNS.disclaimer}


def test_an_area_without_sites_gives_no_rows(survey):
    sites = survey.sites.rename(columns={"rank": "place"})
    none = sites_in(sites, shapely.box(10, 10, 10.1, 10.1))
    rows = pack_rows(none, facts_of(), load_language("en"), None)
    assert list(rows.columns) == PACK_COLUMNS
    assert len(rows) == 0


def test_a_row_tells_where_the_site_is_in_words(survey):
    rows = rows_of(survey)
    assert (
        rows["nearest_place"].str.fullmatch(r"\d+\.?\d* km [a-z-]+ of (Rampur|Sohna|Kheri)").all()
    )
    assert np.allclose(
        rows["lat_lon"].str.split(", ", expand=True).astype(float), rows[["lat", "lon"]]
    )
    assert set(rows_of(survey, places=None)["nearest_place"]) == {""}
