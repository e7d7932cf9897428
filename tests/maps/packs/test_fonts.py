import shutil
from pathlib import Path

import fontpkg
import pytest
from fontTools.subset import Subsetter
from fontTools.ttLib import TTFont

from maps.language import load_language
from maps.packs import fonts
from maps.packs.fonts import DEVANAGARI, LATIN, choose_fonts
from tiles.errors import ConfigError


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine without fonts of its own, but for those put into the folder."""
    monkeypatch.setattr(fonts, "FOLDERS", (str(tmp_path),))
    return tmp_path


def test_what_comes_with_the_program_is_enough_for_four_languages(bare):
    for code, face in (("en", LATIN), ("hi", DEVANAGARI), ("ne", DEVANAGARI)):
        assert choose_fonts(load_language(code)).main.path == fontpkg.path(face)
    assert "Arabic" in choose_fonts(load_language("ur")).main.path.name


def test_bengali_needs_a_font_and_the_sentence_says_which(bare):
    with pytest.raises(ConfigError, match=r"apt install fonts-noto-core.*--font"):
        choose_fonts(load_language("bn"))


def test_the_machines_own_font_is_found_in_its_folders(bare):
    deep = bare / "truetype" / "noto" / "NotoNastaliqUrdu[wght].ttf"
    deep.parent.mkdir(parents=True)
    shutil.copy(fontpkg.path("Noto Sans Arabic"), deep)
    chosen = choose_fonts(load_language("ur"))
    assert chosen.main.path == deep
    assert chosen.main.tall, "Nastaliq's lines need more room"


def test_an_own_font_comes_first_if_it_has_the_letters(bare):
    own = fontpkg.path(DEVANAGARI)
    assert choose_fonts(load_language("hi"), own).main.path == own
    with pytest.raises(ConfigError, match="has no letters of"):
        choose_fonts(load_language("bn"), own)


@pytest.mark.parametrize(("name", "content"), [("a.woff2", b"wOF2"), ("a.ttf", b"no font")])
def test_what_is_no_font_is_one_sentence(bare, name, content):
    (bare / name).write_bytes(content)
    with pytest.raises(ConfigError, match=r"font .* (is no|cannot be read)"):
        choose_fonts(load_language("en"), bare / name)
    with pytest.raises(ConfigError, match="cannot be read"):
        choose_fonts(load_language("en"), bare / "missing.ttf")


def test_a_font_that_lacks_letters_of_the_cards_themselves_is_refused(bare):
    with TTFont(fontpkg.path(DEVANAGARI)) as font:
        cut = Subsetter()
        cut.populate(text="क")
        cut.subset(font)
        font.save(bare / "part.ttf")
    with pytest.raises(ConfigError, match=r"part.ttf lacks letters of .* --font"):
        choose_fonts(load_language("hi"), bare / "part.ttf")


def test_characters_that_no_font_has_are_question_marks(bare):
    chosen = choose_fonts(load_language("en"))
    assert chosen.drawable("Team 🔥 दौसा ইট") == "Team ? दौसा ??"


def test_bengali_is_shaped_where_its_font_is_installed():
    try:
        chosen = choose_fonts(load_language("bn"))
    except ConfigError:
        pytest.skip("no Bengali font on this machine: Debian's fonts-noto-core has one")
    texts = load_language("bn").texts
    for key in (key for key in texts if key.startswith("pack.")):
        assert chosen.drawable(texts[key]) == texts[key], key
    assert Path(chosen.main.path).is_file()
