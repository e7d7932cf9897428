"""Fonts of the printed pack: those that packages carry, then the machine's own, then the user's.

Noto Sans with Latin, Devanagari and Arabic letters comes with the program's packages. Bengali and
the Nastaliq style of Urdu do not: Debian and Ubuntu have them in `fonts-noto-core`, and any other
file is taken with --font. Urdu falls back on Noto Sans Arabic, which is readable but not the style
that most readers of Urdu expect.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import fontpkg
from fontTools.ttLib import TTFont, TTLibError

from maps.language import Language
from tiles.errors import ConfigError

LATIN, DEVANAGARI, ARABIC = "Noto Sans", "Noto Sans Devanagari", "Noto Sans Arabic"
# Where systems keep fonts: Linux, one's own, macOS, Windows.
FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/Library/Fonts",
    "/System/Library/Fonts/Supplemental",
    "C:/Windows/Fonts",
)
# File names, best first. Nirmala and Shonar Bangla come with Windows, Bangla MN with macOS.
SYSTEM_FONTS = {
    "bn": (
        "NotoSansBengali-Regular.ttf",
        "NotoSansBengali[wdth,wght].ttf",
        "Lohit-Bengali.ttf",
        "Nirmala.ttf",
        "Shonar.ttf",
    ),
    "ur": ("NotoNastaliqUrdu-Regular.ttf", "NotoNastaliqUrdu[wght].ttf"),
}
PACKAGED = {"en": LATIN, "hi": DEVANAGARI, "ne": DEVANAGARI, "ur": ARABIC}
SAMPLE = {"hi": "क", "ne": "क", "bn": "ক", "ur": "ے", "en": "a"}  # what a font must hold at least
LAST_LATIN = 0x24F
SAID_ON_CARDS = ("pack.", "known.", "number.")
TALL = "Nastaliq"  # its lines slope down and need more room


@dataclass(frozen=True)
class FontFace:
    """A font file and the characters that it has."""

    path: Path
    characters: frozenset[int]
    tall: bool

    def has(self, text: str) -> bool:
        """Say whether the font has every character of a text."""
        return all(ord(character) in self.characters for character in text)


@dataclass(frozen=True)
class FontSet:
    """The fonts of a pack: one for the language's own text, others for letters in names."""

    main: FontFace
    others: tuple[FontFace, ...]

    @property
    def faces(self) -> tuple[FontFace, ...]:
        """All of them, the main one first."""
        return (self.main, *self.others)

    def drawable(self, text: str) -> str:
        """Return a text in which characters that no font has are question marks."""
        return "".join(
            c if c.isspace() or any(ord(c) in face.characters for face in self.faces) else "?"
            for c in text
        )


def choose_fonts(language: Language, own: Path | None = None) -> FontSet:
    """Return the fonts for a language; `own` comes before all others.

    Raises:
        ConfigError: no font with the language's letters is on this machine, or `own` cannot be
            used.
    """
    packaged = [font_face(fontpkg.path(name)) for name in (LATIN, DEVANAGARI, ARABIC)]
    faces = [face for face in (_own(own), *_system(language.code)) if face is not None]
    if language.code in PACKAGED:
        faces.append(font_face(fontpkg.path(PACKAGED[language.code])))
    if own is not None and not faces[0].has(SAMPLE[language.code]):
        raise ConfigError(
            f"font {own} has no letters of {language.name} ({SAMPLE[language.code]}): give one "
            "that has."
        )
    if not faces:
        raise ConfigError(
            f"no font with the letters of {language.name} is on this machine: install one (Debian "
            "and Ubuntu: apt install fonts-noto-core), or give a .ttf with --font."
        )
    main = faces[0]
    chosen = FontSet(main, tuple(face for face in packaged if face.path != main.path))
    _refuse_gaps(chosen, language)
    return chosen


def _refuse_gaps(chosen: FontSet, language: Language) -> None:
    """Question marks in a name are said; in what the cards themselves say they are refused.

    Letters out of another font do not join with their neighbours, so the main one must have all.
    """
    texts = [text for key, text in language.texts.items() if key.startswith(SAID_ON_CARDS)]
    said = set("".join([*texts, language.digits]))
    joined = {c for c in said if ord(c) > LAST_LATIN and unicodedata.category(c)[0] in "LM"}
    lacking = sorted(
        c for c in said if not (chosen.main.has(c) if c in joined else chosen.drawable(c) == c)
    )
    if lacking:
        raise ConfigError(
            f"font {chosen.main.path} lacks letters of {language.name} ({' '.join(lacking[:5])}): "
            "give another with --font."
        )


def _own(path: Path | None) -> FontFace | None:
    return None if path is None else font_face(path)


def _system(code: str) -> Iterator[FontFace]:
    """The first font of the language that is installed on the machine."""
    folders: Sequence[Path] = [Path(name).expanduser() for name in FOLDERS]
    for name in SYSTEM_FONTS.get(code, ()):
        for folder in folders:
            # a name with brackets is no pattern here
            found = sorted(path for path in folder.rglob("*.ttf") if path.name == name)
            if found:
                yield font_face(found[0])
                return


@cache
def font_face(path: Path) -> FontFace:
    """Open a font file.

    Raises:
        ConfigError: it is no TrueType or OpenType font.
    """
    if path.suffix.lower() not in (".ttf", ".otf"):
        raise ConfigError(f"font {path} is no .ttf or .otf file: give one that is.")
    try:
        with path.open("rb") as stream, TTFont(stream, lazy=True) as font:
            characters = frozenset(font.getBestCmap() or ())
    except (TTLibError, OSError) as error:
        raise ConfigError(f"font {path} cannot be read ({error}): give a .ttf file.") from error
    return FontFace(path, characters, TALL in path.name)
