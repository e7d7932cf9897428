import unicodedata

import pytest

from maps.accusations import accusation_in
from maps.language import LANGUAGES, load_language


@pytest.mark.parametrize(
    "text",
    [
        "Ill\u00adegal kilns",
        "il\u200dlegal",
        "ｉｌｌｅｇａｌ",
        "bonded-labour belt",
        "bonded  labour",
        "forced\nlabour",
        "debt-bondage",
        "bandhua mazdoor",
        "पी\u095cित",
        unicodedata.normalize("NFD", "पीड़ित"),
        "बाल मज़दूर",
        "শিশুশ্রম",
        "غیرقانونی",
        "غیر\u200cقانونی",
        "غير قانوني",
        "یہاں غلام ہیں",
    ],
)
def test_no_way_of_writing_hides_an_accusation(text):
    assert accusation_in(text)


@pytest.mark.parametrize(
    "text", ["غلام محمد آباد", "गुलाम नबी नगर", "Crimea", "Slavec", "Das Nagar", "12,34,567", ""]
)
def test_names_of_people_and_places_may_stand(text):
    assert accusation_in(text) is None


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_programs_own_sentences_may_stand(code):
    texts = load_language(code).texts
    assert [key for key, text in texts.items() if "{" not in text and accusation_in(text)] == []
