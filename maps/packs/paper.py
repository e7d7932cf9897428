"""Pages of text that any script can be read on: shaped, wrapped, and quick for hundreds of cards.

Shaping follows fpdf2's `cell` with HarfBuzz; Latin text needs none and is five times faster so.
Lines are broken here, since a width is asked for once a word and kept. What stands on every card
alike (`stamp`) is drawn once and its operators are repeated.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from fpdf import FPDF
from fpdf.enums import PDFResourceType, TextDirection
from PIL.Image import Image

from maps.language import Language
from maps.packs.fonts import FontSet

PT_PER_MM = 72 / 25.4
LINE = 1.35  # of the size of the letters: room for the marks of Devanagari above and below
TALL_LINE = 2.1  # Nastaliq's slanted words
LATIN_SAMPLE = "aZ0"
LAST_SIMPLE = 0x250  # Latin letters need neither joining nor reordering
SIMPLE = (range(0x2010, 0x2040), range(0x20A0, 0x20D0), range(0x2190, 0x2200))  # punctuation, signs


@dataclass(frozen=True)
class Colour:
    """Red, green, blue, 0 to 255."""

    red: int
    green: int
    blue: int


INK, SOFT, BRICK = Colour(20, 32, 43), Colour(82, 96, 109), Colour(143, 58, 18)
LINES, PALE, WHITE = Colour(190, 198, 205), Colour(243, 239, 235), Colour(255, 255, 255)


@dataclass(frozen=True)
class Box:
    """A rectangle on a page, millimetres from its upper left corner."""

    x: float
    y: float
    width: float
    height: float = 0.0


def is_simple(text: str) -> bool:
    """Say whether a text needs no shaping: Latin letters, numbers, signs."""
    return all(ord(c) < LAST_SIMPLE or any(ord(c) in simple for simple in SIMPLE) for c in text)


class Paper:
    """A document in one language. Lengths are millimetres, sizes of letters are points."""

    def __init__(self, fonts: FontSet, language: Language, title: str, made: str) -> None:
        """Begin a document without pages."""
        self.fonts, self.language = fonts, language
        self.pdf = FPDF(orientation="P", unit="mm", format="A4")
        self.pdf.set_auto_page_break(False)
        self.pdf.c_margin = 0.0
        self.pdf.set_title(title)
        self.pdf.set_lang(language.code)
        self.pdf.set_creator("Kilnlight")
        day = datetime.fromisoformat(made).replace(tzinfo=UTC)
        self.pdf.set_creation_date(day)  # else two packs of one day differ
        for number, face in enumerate(fonts.faces):
            self.pdf.add_font(f"f{number}", "", face.path)
        self._latin = next(
            f"f{number}" for number, face in enumerate(fonts.faces) if face.has(LATIN_SAMPLE)
        )
        others = [f"f{number}" for number in range(1, len(fonts.faces))]
        self.pdf.set_fallback_fonts(others, exact_match=False)
        self.rtl = language.direction == "rtl"
        self._shaping = False
        self._stamps: dict[str, tuple[bytes, frozenset[int]]] = {}
        self._width = cache(self._measured)
        self._lines = cache(self._wrapped)

    def page(self) -> None:
        """Begin a page."""
        self.pdf.add_page()
        self.pdf.set_font("f0", "", 10)

    def line_mm(self, size: float, text: str) -> float:
        """Return the height of a line of a text."""
        tall = self.fonts.main.tall and not is_simple(text)
        return size * (TALL_LINE if tall else LINE) / PT_PER_MM

    def height(self, text: str, size: float, width: float) -> float:
        """Return the height of a text that is broken to a width."""
        return len(self._lines(text, size, width)) * self.line_mm(size, text)

    def words(
        self, box: Box, text: str, size: float, colour: Colour = INK, align: str | None = None
    ) -> float:
        """Write text from the top of a box, broken to its width; return where it ends.

        Args:
            box: its height is not looked at.
            text: what to write; characters that no font has are shown as question marks.
            size: of the letters, points.
            colour: of the letters.
            align: L, C or R; the side that the language begins on when absent.
        """
        pdf, height = self.pdf, self.line_mm(size, text)
        pdf.set_text_color(colour.red, colour.green, colour.blue)
        y = box.y
        for line in self._lines(text, size, box.width):
            self._take_font(line, size)
            pdf.current_font_is_set_on_page = False  # a stamp must not lean on what went before
            pdf.set_xy(box.x, y)
            pdf.cell(box.width, height, line, align=align or ("R" if self.rtl else "L"))
            y += height
        return y

    def cut(self, text: str, size: float, width: float) -> str:
        """Return as much of a text as fits on one line, with an ellipsis where it was cut."""
        text = self.fonts.drawable(text)
        if self._width(text, size) <= width:
            return text
        fits = self._fitting(text, size, width - self._width("…", size))
        return f"{text[:fits].rstrip()}…"

    def rectangle(self, box: Box, line: Colour | None = LINES, fill: Colour | None = None) -> None:
        """Draw a rectangle."""
        if fill is not None:
            self.pdf.set_fill_color(fill.red, fill.green, fill.blue)
        if line is not None:
            self.pdf.set_draw_color(line.red, line.green, line.blue)
        style = ("D" if line is not None else "") + ("F" if fill is not None else "")
        self.pdf.set_line_width(0.25)
        self.pdf.rect(box.x, box.y, box.width, box.height, style=style)

    def rule(self, box: Box, colour: Colour = LINES) -> None:
        """Draw a line along the top of a box."""
        self.pdf.set_draw_color(colour.red, colour.green, colour.blue)
        self.pdf.set_line_width(0.25)
        self.pdf.line(box.x, box.y, box.x + box.width, box.y)

    def outline(self, points: list[tuple[float, float]]) -> None:
        """Draw a closed line through (x, y) points."""
        self.pdf.set_draw_color(INK.red, INK.green, INK.blue)
        self.pdf.set_line_width(0.4)
        self.pdf.polygon(points, style="D")

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Draw a disc with a white edge."""
        self.pdf.set_fill_color(colour.red, colour.green, colour.blue)
        self.pdf.set_draw_color(WHITE.red, WHITE.green, WHITE.blue)
        self.pdf.set_line_width(0.25)
        self.pdf.circle(x, y, radius, style="DF")

    def ring(self, x: float, y: float, radius: float, colour: Colour, line_mm: float) -> None:
        """Draw a circle."""
        self.pdf.set_draw_color(colour.red, colour.green, colour.blue)
        self.pdf.set_line_width(line_mm)
        self.pdf.circle(x, y, radius, style="D")

    def width(self, text: str, size: float) -> float:
        """Return the width of a line in millimetres."""
        return self._width(text, size)

    def picture(self, box: Box, content: bytes | Image) -> None:
        """Put a JPEG, or an image in memory, into a box."""
        self.pdf.image(content, box.x, box.y, box.width, box.height)

    def stamp(self, name: str, draw: Callable[[], None]) -> None:
        """Draw what every page holds alike; it must use no pictures.

        The first time it is drawn, then its operators are repeated. They stand between q and Q and
        set fonts and colours themselves, so they do not depend on what the page holds already.
        """
        pdf = self.pdf
        content = pdf.pages[pdf.page].contents
        if not isinstance(content, bytearray):
            raise TypeError("fpdf2 keeps pages in another form than the version that was checked")
        fonts = pdf._resource_catalog.get_resources_per_page
        if name in self._stamps:
            operators, used = self._stamps[name]
            content.extend(operators)
            for font in used:
                pdf._resource_catalog.add(PDFResourceType.FONT, font, pdf.page)
            return
        start = len(content)
        with pdf.local_context():
            draw()
        used = frozenset(int(str(font)) for font in fonts(pdf.page, PDFResourceType.FONT))
        self._stamps[name] = bytes(content[start:]), used

    def save(self, path: Path) -> None:
        """Write the document."""
        self.pdf.output(str(path))

    def _take_font(self, text: str, size: float) -> None:
        """Latin in the Latin font, unshaped; all else shaped: joining, reordering, direction."""
        simple = is_simple(text)
        self.pdf.set_font(self._latin if simple else "f0", "", size)
        if simple == self._shaping:
            direction = TextDirection.RTL if self.rtl else TextDirection.LTR
            self.pdf.set_text_shaping(not simple, direction=None if simple else direction)
            self._shaping = not simple

    def _measured(self, text: str, size: float) -> float:
        self._take_font(text, size)
        return float(self.pdf.get_string_width(text))

    def _fitting(self, text: str, size: float, width: float) -> int:
        """How many characters of a text fit into a width."""
        counts = range(1, len(text) + 1)
        return bisect_right(counts, width, key=lambda n: self._width(text[:n], size))

    def _wrapped(self, text: str, size: float, width: float) -> tuple[str, ...]:
        space = self._width(" ", size)
        lines: list[str] = []
        line, used = "", 0.0
        for word in self._words(text, size, width):
            long = self._width(word, size)
            if line and used + space + long > width:
                lines.append(line)
                line, used = "", 0.0
            line, used = (f"{line} {word}", used + space + long) if line else (word, long)
        return (*lines, line)

    def _words(self, text: str, size: float, width: float) -> list[str]:
        """Words of a text; one that is wider than the line is cut into parts that fit."""
        words = []
        for word in self.fonts.drawable(text).split():
            while len(word) > 1 and self._width(word, size) > width:
                fits = max(self._fitting(word, size, width), 1)
                words.append(word[:fits])
                word = word[fits:]
            words.append(word)
        return words
