import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from maps.accusations import accusation_in
from maps.citation import CFF_VERSION, citation, read_citation

# The keys of CFF 1.2.0 that we use, and what the format's schema asks of them.
NAMES = {"cff-version", "message", "title", "type", "version", "abstract", "authors"}


def test_a_citation_is_valid_and_says_what_it_is(survey):
    facts = survey.facts.model_copy(update={"publisher": "Kiln Watch"})
    read = yaml.safe_load(citation(facts))
    assert set(read) == NAMES
    assert read["cff-version"] == CFF_VERSION == "1.2.0"
    assert read["type"] == "dataset"
    assert read["version"] == "2025-11/2026-06"
    assert read["authors"] == [{"name": "Kiln Watch"}]
    assert "labour conditions not assessed" in read["message"]
    assert all(
        isinstance(value, str) and value for value in read.values() if value != read["authors"]
    )


@given(name=st.text(min_size=1, max_size=60))
def test_no_name_can_add_a_line_or_a_key(survey, name):
    facts = survey.facts.model_copy(update={"publisher": name, "region_name": name})
    text = citation(facts)
    read = yaml.safe_load(text)
    assert set(read) == NAMES
    assert read["authors"] == [{"name": name}]
    assert read["title"] == f"Brick kiln survey: {name}, 2025-11/2026-06"
    assert read_citation(text)["authors"] == name


@pytest.mark.parametrize("text", ["", "title: x\n", 'title: "x"\n', "- a\n"])
def test_what_is_no_citation_is_refused(text):
    with pytest.raises(ValueError, match="no "):
        read_citation(text)


@pytest.mark.parametrize(
    "text",
    [
        "Kilns with bonded labour",
        "Modern SLAVERY belt",
        "human trafficking corridor",
        "बंधुआ मजदूरी",
        "অবৈধ ইটভাটা",
        "غیر قانونی بھٹہ",
    ],
)
def test_words_that_accuse_are_found(text):
    assert accusation_in(f"Survey of {text} 2026")


@pytest.mark.parametrize(
    "text",
    [
        "it is. From space nobody can tell who works freely. A site is not a crime, and an area "
        "with many sites is not accused of anything. More.",
        "Survey of Uttar Pradesh",
        "Slavec valley",
        "worksite detected, labour conditions not assessed",
        "https, CC BY 4.0, © Copernicus",
    ],
)
def test_our_own_sentences_and_plain_names_pass(text):
    assert accusation_in(text) is None
