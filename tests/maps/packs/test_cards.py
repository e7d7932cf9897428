"""The printed cards, rendered by another program than the one that wrote them."""

import numpy as np
import pypdfium2
import pytest
import segno

from maps.language import load_language
from maps.packs.cards import (
    LEFT,
    PICTURE,
    QR_MASK,
    QR_MM,
    TOP,
    WIDTH,
    Cards,
    qr_image,
    write_cards,
)
from maps.packs.coordinates import geo_uri
from maps.packs.facts import Contact
from maps.packs.fonts import choose_fonts
from maps.packs.maplet import maplet_of
from maps.packs.pictures import Chips
from tests.made_up_packs import AREA, chips_of, facts_of, places_of, rows_of

LONG = "Long name of a place " * 24
MM = 72 / 25.4


def cards_for(survey, code="en", names=("Rampur",), count=6, **changes):
    facts, places = facts_of(**changes), places_of(*names)
    language = load_language(code)
    rows = rows_of(survey, code, facts, places=places, count=count)
    return Cards(
        facts, language, choose_fonts(language), rows, chips_of(rows), maplet_of(rows, AREA, places)
    )


def written(cards, path):
    write_cards(cards, path)
    with pypdfium2.PdfDocument(path) as pdf:
        return [page.get_textpage().get_text_bounded() for page in pdf]


def test_one_page_first_and_one_card_a_site(survey, tmp_path):
    cards = cards_for(survey)
    pages = written(cards, tmp_path / "cards.pdf")
    assert len(pages) == 1 + len(cards.rows)
    assert "6 sites on 432 km²" in pages[0]
    assert "Made-up data" in pages[0]
    for text, row in zip(pages[1:], cards.rows.to_dict("records"), strict=True):
        for part in ("site_id", "lat_lon", "plus_code", "nearest_place", "degrees_minutes"):
            assert str(row[part]) in text, part
        assert f"Site {row['rank']}" in text
        for part in ("How sure", "Do not", "Helpline, 1098", "What you found", "Not reached"):
            assert part in text
        assert "Worksite detected, labour conditions not assessed" in text


def test_what_is_stamped_stands_on_the_last_card_as_on_the_first(survey, tmp_path):
    path = tmp_path / "cards.pdf"
    written(cards_for(survey, "hi"), path)
    with pypdfium2.PdfDocument(path) as pdf:
        first, last = (
            pdf[at].render(scale=1).to_pil().crop((0, 540, 595, 842)) for at in (1, len(pdf) - 1)
        )
    assert first.tobytes() == last.tobytes()
    assert len(np.unique(np.asarray(first.convert("L")))) > 20, "there is something on it"


def test_letters_of_hindi_are_joined(survey, tmp_path):
    """Shaped, क्ष is one glyph, so fewer glyphs stand on the page than characters in the text."""
    path = tmp_path / "cards.pdf"
    cards = cards_for(survey, "hi", count=1)
    written(cards, path)
    with pypdfium2.PdfDocument(path) as pdf:
        text = pdf[1].get_textpage().get_text_bounded()
    assert "समन्वयक" in text, "what was shaped can be searched and copied"


@pytest.mark.parametrize("code", ["hi", "ne", "ur"])
def test_packaged_fonts_have_every_letter_of_a_language(code):
    fonts = choose_fonts(load_language(code))
    texts = load_language(code).texts
    for key in (key for key in texts if key.startswith("pack.")):
        assert fonts.drawable(texts[key]) == texts[key], key


def test_long_and_strange_names_stay_on_the_page(survey, tmp_path):
    path = tmp_path / "cards.pdf"
    contacts = tuple(Contact(name=f"Contact {n} " + "x" * 100) for n in range(9))
    cards = cards_for(
        survey, names=(LONG, "🔥🔥 ইটভাটা"), team=LONG[:500], region_name=LONG, contacts=contacts
    )
    written(cards, path)
    with pypdfium2.PdfDocument(path) as pdf:
        for page in pdf:
            image = page.render(scale=1).to_pil().convert("L")
            for edge in ((0, 100, 8, 842), (587, 100, 595, 842)):
                assert np.asarray(image.crop(edge)).min() == 255, "nothing runs over the edge"


@pytest.mark.parametrize(("code", "head"), [("en", "What you found"), ("hi", "दौरे का महीना")])
def test_long_contacts_leave_the_form_its_room(survey, tmp_path, code, head):
    contacts = tuple(
        Contact(name=f"Contact {n}", phone="1098 " * 11, helps_with="legal help " * 14)
        for n in range(20)
    )
    path = tmp_path / "cards.pdf"
    text = written(cards_for(survey, code, count=1, contacts=contacts), path)[1]
    assert "Contact 1" in text
    assert "Contact 19" not in text
    with pypdfium2.PdfDocument(path) as pdf:
        page = pdf[1].get_textpage()
        at, _ = page.search(head).get_next()
        _, low, _, _ = page.get_charbox(at)
    assert low / MM > 297 - 288 + 10, "the form stands above the foot, with a line to write on"


def test_a_pack_without_pictures_contacts_and_places_says_so(survey, tmp_path):
    cards = cards_for(survey, contacts=())
    rows = cards.rows.assign(nearest_place="")
    bare = Cards(
        cards.facts, cards.language, cards.fonts, rows, Chips(), maplet_of(rows, AREA, None)
    )
    text = written(bare, tmp_path / "cards.pdf")[1]
    assert "There is no picture of this place." in text
    assert "None were supplied" in text
    assert "no list of places was given" in text


def test_the_same_cards_are_the_same_bytes(survey, tmp_path):
    for name in ("a.pdf", "b.pdf"):
        written(cards_for(survey, "ur"), tmp_path / name)
    assert (tmp_path / "a.pdf").read_bytes() == (tmp_path / "b.pdf").read_bytes()


def test_the_printed_code_is_that_of_the_place_module_by_module(survey, tmp_path):
    """Rendered by another program and held against the symbol that the encoder made."""
    cards, path = cards_for(survey), tmp_path / "cards.pdf"
    written(cards, path)
    scale = 4.0
    with pypdfium2.PdfDocument(path) as pdf:
        for page, row in zip(list(pdf)[1:], cards.rows.to_dict("records"), strict=True):
            seen = np.asarray(page.render(scale=scale).to_pil().convert("L")) < 128
            wanted = segno.make(
                geo_uri(row["lon"], row["lat"]), error="m", micro=False, mask=QR_MASK
            )
            modules = np.array([list(line) for line in wanted.matrix], dtype=bool)
            side = QR_MM / (len(modules) + 4)  # two modules of quiet around it
            at = (2.5 + np.arange(len(modules))) * side
            x, y = (
                np.round((start + at) * MM * scale).astype(int)
                for start in (LEFT + WIDTH - QR_MM, TOP + PICTURE + 6)
            )
            assert (seen[np.ix_(y, x)] == modules).all(), row["site_id"]


def test_the_qr_code_has_its_quiet_zone_and_finders():
    image = qr_image(geo_uri(77.62397, 26.78677)).convert("L")
    modules = image.size[0] // 4 - 4
    assert modules in (25, 29), "version 2 or 3: large modules, which old phones read"
    assert image.getpixel((4, 4)) == 255
    assert image.getpixel((2 * 4 + 1, 2 * 4 + 1)) == 0
    assert qr_image(geo_uri(77.6, 26.7)).tobytes() != image.tobytes()
