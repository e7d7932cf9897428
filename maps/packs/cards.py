"""The printed pack: a first page that says what it is, then one card a site.

A card is whole by itself, since it is torn off: where the site is in four notations, what it looks
like, how sure that is, how to behave, whom to turn to, and a form to bring back.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import segno
from PIL import Image

from maps.language import Language
from maps.outcomes import OUTCOMES
from maps.packs.coordinates import geo_uri
from maps.packs.facts import PackFacts
from maps.packs.fonts import FontSet
from maps.packs.maplet import Maplet, draw_around, draw_overview
from maps.packs.paper import BRICK, INK, LINES, PALE, SOFT, WHITE, Box, Colour, Paper
from maps.packs.pictures import Chips
from maps.packs.rows import caption, disclaimer, thing, whole_sentence
from tiles.files import atomic_path

LEFT, WIDTH, GAP = 12.0, 186.0, 6.0
TOP, FOOT = 28.0, 288.0
HALF = (WIDTH - GAP) / 2
QR_MM = 30.0
QR_MASK = 2  # columns of three: no long runs on the short addresses of places
# Side of the pictures, and where rules of conduct begin; Nastaliq's lines need more room.
PICTURE, ADVICE = 90.0, 189.0
TALL_PICTURE, TALL_ADVICE = 72.0, 184.0
CARD_TEXT, SMALL, HEAD = 8.5, 7.0, 9.5
FEWEST_RULES = 3  # lines to write contacts on, where none were supplied
FORM, TALL_FORM = 32.0, 40.0  # room of the form, with one line to write on
RULE_MM = 8.0  # between lines to write on
RULES = ("1", "2", "3", "4", "5")
Site = Mapping[Hashable, Any]


@dataclass(frozen=True)
class Cards:
    """Everything that the cards are drawn from."""

    facts: PackFacts
    language: Language
    fonts: FontSet
    rows: pd.DataFrame
    chips: Chips
    maplet: Maplet

    def say(self, key: str, **values: str | int | float) -> str:
        """Return a text of the pack's catalogue."""
        return self.language.say(f"pack.{key}", **values)


def write_cards(cards: Cards, path: Path) -> None:
    """Write the PDF, whole or not at all."""
    title = f"{cards.say('title')} {cards.facts.stamp}"
    paper = Paper(cards.fonts, cards.language, title, cards.facts.made)
    _first_page(paper, cards)
    for site in cards.rows.to_dict("records"):
        paper.page()
        paper.stamp("card", lambda: _frame(paper, cards))
        _card(paper, cards, site)
    with atomic_path(path) as temporary:
        paper.save(temporary)


def _first_page(paper: Paper, cards: Cards) -> None:
    facts, say = cards.facts, cards.say
    paper.page()
    paper.rectangle(Box(0, 0, 210, 24), None, INK)
    name = paper.cut(f"{say('title')}: {facts.region_name}", 17, WIDTH)
    paper.words(Box(LEFT, 5, WIDTH), name, 17, WHITE)
    team = paper.cut(say("team", team=facts.team), 11, WIDTH)
    paper.words(Box(LEFT, 14, WIDTH), team, 11, WHITE)
    y = paper.words(Box(LEFT, 29, WIDTH), say("valid", **_valid(facts)), 14, BRICK)
    lines = [
        say("made", made=facts.made),
        say("area", n=len(cards.rows), area=round(facts.area_km2)),
        f"{say('imagery', credit=facts.imagery)}",
        *([say("simulated")] if facts.simulated else []),
        *([] if cards.language.reviewed_by else [say("unchecked")]),
    ]
    for line in lines:
        y = paper.words(Box(LEFT, y + 0.6, WIDTH), line, 9.5, SOFT)
    y += 3
    for key in ("what", "keep", "lost", "files"):
        text = say(key, thing=thing(facts.site_class, cards.language), expires=facts.expires)
        y = paper.words(Box(LEFT, y, WIDTH), text, 10.5) + 2
    y = paper.words(Box(LEFT, y + 1, WIDTH), say("overview"), 12, BRICK) + 1
    draw_overview(paper, cards.maplet, Box(LEFT, y, WIDTH, FOOT - y - 2), cards.rows)
    _foot(paper, facts)


def _frame(paper: Paper, cards: Cards) -> None:
    """What every card holds alike: headings, rules of conduct, contacts and the form."""
    facts, say = cards.facts, cards.say
    paper.rectangle(Box(0, 0, 210, 22), None, INK)
    paper.rectangle(Box(0, 22, 210, 1.2), None, BRICK)
    x, side = (LEFT, "L") if paper.rtl else (LEFT + WIDTH - 100, "R")
    valid = paper.cut(say("valid", **_valid(facts)), 9, 100)
    paper.words(Box(x, 4.5, 100), valid, 9, WHITE, side)
    team = paper.cut(say("team", team=facts.team), 9, 100)
    paper.words(Box(x, 11.5, 100), team, 9, WHITE, side)
    _labels(paper, cards)
    _form(paper, cards, _advice(paper, cards, TALL_ADVICE if paper.fonts.main.tall else ADVICE))
    _foot(paper, facts)


def _advice(paper: Paper, cards: Cards, y: float) -> float:
    """What to do and not to do, side by side, and whom to turn to; return where it ends."""
    ends = []
    for column, (head, colour) in enumerate((("do", Colour(22, 101, 52)), ("dont", BRICK))):
        at_left = 1 - column if paper.rtl else column
        box = Box(LEFT + at_left * (HALF + GAP), y, HALF)
        at = paper.words(box, cards.say(head), HEAD, colour) + 0.4
        for number in RULES:
            text = f"• {cards.say(f'{head}_{number}')}"
            at = paper.words(Box(box.x, at, HALF), text, SMALL + 0.5) + 0.3
        ends.append(at)
    y = paper.words(Box(LEFT, max(ends) + 1.5, WIDTH), cards.say("contacts"), HEAD, BRICK) + 0.4
    if cards.facts.contacts:
        end = FOOT - (TALL_FORM if paper.fonts.main.tall else FORM)
        for shown, contact in enumerate(cards.facts.contacts):
            line = contact.line()
            if shown and y + paper.height(line, CARD_TEXT, WIDTH) > end:
                break  # the form keeps its room; the page has them all
            y = paper.words(Box(LEFT, y, WIDTH), line, CARD_TEXT) + 0.3
        return y
    y = paper.words(Box(LEFT, y, WIDTH), cards.say("no_contacts"), SMALL + 0.5, SOFT)
    for _ in range(FEWEST_RULES - 1):
        y += 6
        paper.rule(Box(LEFT, y, WIDTH), SOFT)
    return y + 1


def _form(paper: Paper, cards: Cards, y: float) -> None:
    top = y + 2
    bottom = FOOT - 1
    paper.rectangle(Box(LEFT, top, WIDTH, bottom - top), LINES, PALE)
    y = paper.words(Box(LEFT + 3, top + 1.5, WIDTH - 6), cards.say("found"), HEAD, BRICK) + 1
    width = (WIDTH - 6) / len(OUTCOMES)
    for number, outcome in enumerate(OUTCOMES):
        at = len(OUTCOMES) - 1 - number if paper.rtl else number
        x = LEFT + 3 + at * width
        tick = x + width - 4.4 if paper.rtl else x
        paper.rectangle(Box(tick, y + 0.3, 3.4, 3.4), INK, WHITE)
        label = x if paper.rtl else x + 4.4
        paper.words(Box(label, y, width - 5.4), cards.say(outcome), SMALL + 0.5)
    y += 9 if paper.fonts.main.tall is False else 12
    third = (WIDTH - 6) / 3
    months = Box(LEFT + 3 + (2 * third if paper.rtl else 0), y, third - 4)
    remark = Box(LEFT + 3 + (0 if paper.rtl else third), y, 2 * third - (4 if paper.rtl else 0))
    paper.words(months, f"{cards.say('month')}:", SMALL + 0.5)
    paper.words(remark, f"{cards.say('remark')}:", SMALL + 0.5)
    lines = max(int((bottom - 3 - y - RULE_MM) // RULE_MM) + 1, 1)
    for line in range(lines):
        paper.rule(Box(remark.x, bottom - 3 - RULE_MM * line, remark.width), SOFT)
    paper.rule(Box(months.x, bottom - 3 - RULE_MM * (lines - 1), months.width), SOFT)


def _foot(paper: Paper, facts: PackFacts) -> None:
    sentence = whole_sentence(disclaimer(facts.site_class, paper.language))
    text = f"{sentence} {facts.pack_id}, {facts.expires}"
    paper.words(Box(LEFT, FOOT + 1, WIDTH), text, SMALL + 0.5, SOFT, "C")


def _card(paper: Paper, cards: Cards, site: Site) -> None:
    """What only this card holds."""
    side, name = _side(paper), str(site["site_id"])
    x, align = (LEFT + WIDTH - 84, "R") if paper.rtl else (LEFT, "L")
    paper.words(Box(x, 3, 84), cards.say("site", n=str(site["rank"])), 17, WHITE, align)
    paper.words(Box(x, 13.5, 84), name, 11, WHITE, align)
    picture = Box(LEFT + (HALF - side) / 2, TOP, side, side)
    around = Box(picture.x + HALF + GAP, TOP, side, side)
    chip = cards.chips.near.get(name)
    if chip is None:
        paper.rectangle(picture, LINES, PALE)
        middle = Box(picture.x + 8, TOP + side / 2 - 4, side - 16)
        paper.words(middle, cards.say("no_picture"), CARD_TEXT, SOFT, "C")
    else:
        paper.picture(picture, chip.jpeg)
        words = caption(chip.date, cards.chips.near_side_m, cards.language)
        paper.words(Box(picture.x, TOP + side + 0.5, side), words, SMALL, SOFT)
    draw_around(paper, cards.maplet, around, site, cards.chips.around.get(name))
    _where(paper, cards, site)


def _labels(paper: Paper, cards: Cards) -> None:
    """Every word round the facts of a card that is the same on all of them."""
    side = _side(paper)
    words = cards.say("around", km=cards.maplet.side_m / 1000)
    at = Box(LEFT + (HALF - side) / 2 + HALF + GAP, TOP + side + 0.5, side)
    paper.words(at, words, SMALL, SOFT)
    for slot in _slots(paper, cards):
        if slot.label:
            above = paper.line_mm(SMALL, slot.label)
            box = Box(slot.box.x, slot.box.y - above, slot.box.width)
            paper.words(box, slot.label, SMALL, SOFT)
    code, sure = _code_box(paper), _sure_box(paper, cards)
    scan = Box(LEFT if paper.rtl else code.x - 20, code.y + QR_MM + 0.3, QR_MM + 20)
    paper.words(scan, cards.say("scan"), SMALL - 0.5, SOFT, "L" if paper.rtl else "R")
    head = cards.say("how_sure")
    paper.words(Box(LEFT, sure.y - paper.line_mm(HEAD, head), WIDTH), head, HEAD, BRICK)


@dataclass(frozen=True)
class _Slot:
    """Room for one line of a card: a label above it, and which column it shows."""

    label: str
    column: str
    size: float
    box: Box


def _slots(paper: Paper, cards: Cards) -> list[_Slot]:
    """The position in four notations, from the top down; every value is one line."""
    say = cards.say
    wanted = (
        (say("coordinates"), "lat_lon", 12.0, "0"),
        ("", "degrees_minutes", CARD_TEXT + 1, "0"),
        (say("plus_code"), "plus_code", 12.0, "0"),
        (say("nearest"), "nearest_place", CARD_TEXT + 1, say("nearest")),
    )
    x = LEFT + QR_MM + GAP if paper.rtl else LEFT
    y, slots = TOP + _side(paper) + 6, []
    for label, column, size, sample in wanted:
        y += paper.line_mm(SMALL, label) if label else 0.0
        slots.append(_Slot(label, column, size, Box(x, y, WIDTH - QR_MM - GAP)))
        y += paper.line_mm(size, sample) + 0.6
    return slots


def _code_box(paper: Paper) -> Box:
    top = TOP + _side(paper) + 6
    return Box(LEFT if paper.rtl else LEFT + WIDTH - QR_MM, top, QR_MM, QR_MM)


def _sure_box(paper: Paper, cards: Cards) -> Box:
    """Where it is said how sure a site is, under its head."""
    last = _slots(paper, cards)[-1]
    below = last.box.y + paper.line_mm(last.size, last.label) + 0.6
    top = max(below, _code_box(paper).y + QR_MM + 4)
    return Box(LEFT, top + paper.line_mm(HEAD, cards.say("how_sure")) + 0.4, WIDTH)


def _side(paper: Paper) -> float:
    return TALL_PICTURE if paper.fonts.main.tall else PICTURE


def _where(paper: Paper, cards: Cards, site: Site) -> None:
    """The position, its code, and how sure the site is."""
    for slot in _slots(paper, cards):
        value = str(site[slot.column] or cards.say("no_places"))
        paper.words(slot.box, paper.cut(value, slot.size, slot.box.width), slot.size)
    code = qr_image(geo_uri(float(site["lon"]), float(site["lat"])))
    paper.picture(_code_box(paper), code)
    paper.words(_sure_box(paper, cards), str(site["reason"]), CARD_TEXT)


def _valid(facts: PackFacts) -> dict[str, str]:
    return {"pack_id": facts.pack_id, "expires": facts.expires}


def qr_image(content: str) -> Image.Image:
    """Return a QR code (ISO/IEC 18004, level M) as a black and white image."""
    buffer = BytesIO()
    # any mask can be read; trying all eight of them takes longer than the rest of the card
    segno.make(content, error="m", micro=False, mask=QR_MASK).save(
        buffer, kind="png", scale=4, border=2
    )
    buffer.seek(0)
    return Image.open(buffer)


def drawn_texts(rows: pd.DataFrame, facts: PackFacts) -> Sequence[str]:
    """Return what users brought to the pages: names, which may hold any character."""
    contacts = [contact.line() for contact in facts.contacts]
    return [facts.team, facts.region_name, facts.imagery, *contacts, *rows["nearest_place"]]
