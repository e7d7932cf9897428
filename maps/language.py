"""The languages of the pages: one catalogue each, checked against English before it is used."""

import string
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal, get_args

from markupsafe import Markup, escape

from maps.inline_json import script_json
from tiles.errors import PublishError
from tiles.region import UNDATED

LanguageCode = Literal["en", "hi", "bn", "ur", "ne"]
LANGUAGES: tuple[LanguageCode, ...] = get_args(LanguageCode)
SOURCE: LanguageCode = "en"  # the catalogue that the others are held to
META = {"name", "direction", "digits", "grouping", "reviewed_by", "months"}
MONTHS = 12
# Parts of the catalogues that map.html holds in every language.
ON_MAP = frozenset(
    {
        "number",
        "nav",
        "page",
        "banner",
        "known",
        "theme",
        "class",
        "row",
        "words",
        "evidence",
        "map",
    }
)
THOUSAND = 3  # digits that stay together, first from the right
LAKH = 2  # and after that in South Asia: 12,34,567
Value = str | int | float


class LanguageError(PublishError):
    """A catalogue lacks a text, holds one too many, or leaves out what is to be filled in."""


@dataclass(frozen=True)
class Language:
    """One catalogue: texts by key, and how numbers and months are written."""

    code: str
    name: str
    """As its readers write it."""
    direction: str
    """ltr or rtl."""
    digits: str
    """The ten digits, nought first."""
    grouping: str
    """western: 1,234,567; indian: 12,34,567."""
    reviewed_by: str
    """The native speaker who read it; empty as long as nobody has."""
    months: tuple[str, ...]
    texts: Mapping[str, str]

    def say(self, key: str, **values: Value) -> str:
        """Return a text with its places filled in; numbers are written as the language writes them.

        Raises:
            LanguageError: there is no such text, or a place in it is not filled.
        """
        return self._text(key).format(**self._values(key, values))

    def markup(self, key: str, **values: Value) -> Markup:
        """Return a text that may hold tags of its own; what is filled in is escaped."""
        return Markup(self._text(key)).format(**self._values(key, values))

    def number(self, value: float, decimals: int = 0) -> str:
        """Write a number with its thousands apart."""
        whole, point, part = f"{abs(value):.{decimals}f}".partition(".")
        sign = "-" if value < 0 and (whole + part).strip("0") else ""
        return self.numeral(f"{sign}{self._grouped(whole)}{point}{part}")

    def numeral(self, text: str) -> str:
        """Return a text with its digits written as the language writes them."""
        return text.translate(str.maketrans("0123456789", self.digits))

    def share(self, per_cent: int) -> str:
        """Write a share of whole per cent."""
        return self.say("number.per_cent", n=per_cent)

    def month(self, month: str) -> str:
        """Write a month given as 2026-10."""
        year, number = month.split("-")
        return self.say("number.month", month=self.months[int(number) - 1], year=self.numeral(year))

    def span(self, period: str) -> str:
        """Write a period given as 2025-11/2026-06, or `undated`."""
        if period == UNDATED:
            return self.say("number.undated")
        first, _, last = period.partition("/")
        if last in ("", first):
            return self.month(first)
        return self.say("number.months", first=self.month(first), last=self.month(last))

    def known(self, text: str) -> Markup:
        """Return a sentence of the program in this language; others stay English, marked so."""
        key = known_key(text)
        if key is not None:
            return escape(self._text(key))
        if self.code == SOURCE:
            return escape(text)
        return Markup('<span lang="en" dir="ltr">{}</span>').format(text)

    def _text(self, key: str) -> str:
        if key not in self.texts:
            raise LanguageError(f"{self.code}: no text {key!r}: add it to the catalogues.")
        return self.texts[key]

    def _values(self, key: str, values: Mapping[str, Value]) -> dict[str, str]:
        if missing := _places(self._text(key)) - set(values):
            raise LanguageError(f"{self.code}: {key} is not told {min(missing)!r}.")
        return {name: self._written(value) for name, value in values.items()}

    def _written(self, value: Value) -> str:
        if isinstance(value, str):
            return value
        if isinstance(value, int):
            return self.number(value)
        _, _, part = f"{value:.12g}".partition(".")
        return self.number(value, len(part))

    def _grouped(self, whole: str) -> str:
        step = THOUSAND if self.grouping == "western" else LAKH
        head, tail = whole[:-THOUSAND], whole[-THOUSAND:]
        first = len(head) % step
        parts = [head[:first], *(head[at : at + step] for at in range(first, len(head), step))]
        return ",".join(part for part in (*parts, tail) if part)


@cache
def load_language(code: str) -> Language:
    """Return the language of a code, its catalogue checked.

    Raises:
        LanguageError: there is no such language, or its catalogue and English do not match.
    """
    if code not in LANGUAGES:
        raise LanguageError(f"no language {code!r}: there are {', '.join(LANGUAGES)}.")
    meta, texts = _read(code)
    _, english = _read(SOURCE)
    for key in sorted(set(english) | set(texts)):
        if key not in texts or key not in english:
            where = f"{code if key not in texts else SOURCE}.toml"
            raise LanguageError(f"maps/languages/{where} lacks {key}: write it there.")
        if _places(texts[key]) != _places(english[key]):
            raise LanguageError(
                f"maps/languages/{code}.toml: {key} fills in {sorted(_places(texts[key]))}, "
                f"English {sorted(_places(english[key]))}: use the same names."
            )
    return Language(code=code, texts=texts, **meta)


def page_name(page: str, code: str, default: str) -> str:
    """Return the file of a page in a language: index.html, or index.hi.html beside the default."""
    return f"{page}.html" if code == default else f"{page}.{code}.html"


def _read(code: str) -> tuple[dict[str, Any], dict[str, str]]:
    file = resources.files("maps") / "languages" / f"{code}.toml"
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    meta = content.pop("meta", {})
    if set(meta) != META or len(meta["months"]) != MONTHS or len(meta["digits"]) != 10:
        raise LanguageError(f"maps/languages/{code}.toml: [meta] must hold {sorted(META)}.")
    packs = resources.files("maps") / "languages" / "packs" / f"{code}.toml"
    content |= tomllib.loads(packs.read_text(encoding="utf-8"))  # what field packs say
    return meta | {"months": tuple(meta["months"])}, dict(_flat(content))


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", str(value).strip()


def _places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def known_key(text: str) -> str | None:
    """Return the key of a sentence that reaches pages in English from elsewhere in the program."""
    return _known().get(text)


def catalogue_json() -> str:
    """Return the block `words` of map.html: what it needs of every catalogue, and of no survey."""
    words: dict[str, object] = {}
    for code in LANGUAGES:
        language = load_language(code)
        meta = {name: getattr(language, name) for name in sorted(META)}
        texts = {key: text for key, text in language.texts.items() if _of_map(key)}
        words[code] = {"meta": meta, "texts": texts}
    return str(script_json(words))


def _of_map(key: str) -> bool:
    return key.partition(".")[0] in ON_MAP


@cache
def _known() -> dict[str, str]:
    """The sentences of [known] in English, and their keys."""
    return {text: key for key, text in _read(SOURCE)[1].items() if key.startswith("known.")}
