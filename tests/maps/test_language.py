import re

import pytest

from maps import language
from maps.language import (
    LANGUAGES,
    LanguageError,
    catalogue_json,
    load_language,
    page_name,
)

TAGS = re.compile(r"</?(\w+)>")


@pytest.fixture
def catalogues(monkeypatch, tmp_path):
    """Puts other catalogues in the place of the real ones: a text for each code."""

    def put(**texts):
        (tmp_path / "languages" / "packs").mkdir(parents=True)
        for code, text in texts.items():
            (tmp_path / "languages" / f"{code}.toml").write_text(text, encoding="utf-8")
            (tmp_path / "languages" / "packs" / f"{code}.toml").write_text("", encoding="utf-8")
        monkeypatch.setattr(language.resources, "files", lambda _: tmp_path)
        load_language.cache_clear()

    yield put
    load_language.cache_clear()


def meta(name="X"):
    months = ", ".join('"m"' for _ in range(12))
    return (
        f'[meta]\nname = "{name}"\ndirection = "ltr"\ndigits = "0123456789"\n'
        f'grouping = "western"\nreviewed_by = ""\nmonths = [{months}]\n'
    )


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_catalogue_is_whole_and_fills_in_the_same_places(code):
    found = load_language(code)
    assert set(found.texts) == set(load_language("en").texts)
    assert all(text for text in found.texts.values())


@pytest.mark.parametrize("code", LANGUAGES)
def test_translations_hold_the_tags_of_the_english_text_and_no_other(code):
    english, found = load_language("en"), load_language(code)
    for key, text in found.texts.items():
        assert sorted(TAGS.findall(text)) == sorted(TAGS.findall(english.texts[key])), key
        assert set(TAGS.findall(text)) <= {"strong", "code"}, key


@pytest.mark.parametrize("code", set(LANGUAGES) - {"en"})
def test_a_translation_is_one(code):
    english, found = load_language("en"), load_language(code)
    letters = re.compile(r"[a-z]{4,}")
    same = [
        key
        for key, text in found.texts.items()
        if text == english.texts[key] and letters.search(re.sub(r"\{\w+\}", "", text))
    ]
    assert same == []


def test_a_missing_text_stops_everything(catalogues):
    catalogues(en=meta() + '[a]\nb = "B"\nc = "C"\n', hi=meta() + '[a]\nb = "B"\n')
    with pytest.raises(LanguageError, match=r"hi.toml lacks a\.c"):
        load_language("hi")


def test_a_text_too_many_stops_everything(catalogues):
    catalogues(en=meta() + '[a]\nb = "B"\n', hi=meta() + '[a]\nb = "B"\nc = "C"\n')
    with pytest.raises(LanguageError, match=r"en.toml lacks a\.c"):
        load_language("hi")


def test_another_place_to_fill_in_stops_everything(catalogues):
    catalogues(en=meta() + '[a]\nb = "{n} cells"\n', hi=meta() + '[a]\nb = "{m} cells"\n')
    with pytest.raises(LanguageError, match=r"a\.b fills in \['m'\], English \['n'\]"):
        load_language("hi")


def test_an_unknown_language_is_named():
    with pytest.raises(LanguageError, match="no language 'fr': there are en, hi, bn, ur, ne"):
        load_language("fr")


def test_a_place_that_is_not_filled_in_is_named():
    with pytest.raises(LanguageError, match=r"class\.under is not told 'high'"):
        load_language("en").say("class.under")


@pytest.mark.parametrize(
    ("code", "value", "decimals", "text"),
    [
        ("en", 1234567.25, 1, "1,234,567.2"),
        ("hi", 1234567, 0, "12,34,567"),
        ("bn", 123456, 0, "১,২৩,৪৫৬"),
        ("ur", 1234567, 0, "1,234,567"),
        ("ne", 1234.5, 1, "१,२३४.५"),
        ("en", 999, 0, "999"),
        ("en", -0.04, 1, "0.0"),
        ("en", -3.26, 1, "-3.3"),
    ],
)
def test_numbers_are_written_as_readers_write_them(code, value, decimals, text):
    assert load_language(code).number(value, decimals) == text


def test_numbers_in_texts_keep_their_decimals():
    assert load_language("ne").say("class.between", low=0.1, high=3) == "०.१ देखि ३"
    assert load_language("en").say("class.over", low=12000) == "12,000 and more"


@pytest.mark.parametrize(
    ("code", "period", "text"),
    [
        ("en", "2025-11/2026-06", "November 2025 to June 2026"),
        ("en", "2026-02/2026-02", "February 2026"),
        ("bn", "2025-11/2026-06", "নভেম্বর ২০২৫ থেকে জুন ২০২৬"),
        ("en", "undated", "no date known"),
    ],
)
def test_periods_are_months_in_words(code, period, text):
    assert load_language(code).span(period) == text


def test_sentences_of_the_program_are_translated_and_others_marked_as_english():
    hindi = load_language("hi")
    assert hindi.known("Brick kiln") == "ईंट भट्ठा"
    assert hindi.known("<i>Glass works") == '<span lang="en" dir="ltr">&lt;i&gt;Glass works</span>'
    assert load_language("en").known("<i>") == "&lt;i&gt;"


def test_what_is_filled_in_is_escaped_and_the_catalogues_tags_are_not():
    text = load_language("en").markup("index.not_accused", disclaimer="<script>")
    assert text.startswith("<strong>&lt;script&gt;.</strong>")


def test_the_default_language_has_the_plain_file_names():
    assert page_name("index", "hi", "hi") == "index.html"
    assert page_name("index", "en", "hi") == "index.en.html"


def test_the_block_of_words_cannot_end_its_script():
    assert "<" not in catalogue_json()
