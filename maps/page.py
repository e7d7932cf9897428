"""How a page is made: templates, texts of one language, and a seal that lets nothing else run."""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import shapely
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from maps.facts import Publication
from maps.inline_json import script_json as script_json
from maps.language import (
    LANGUAGES,
    Language,
    Value,
    known_key,
    load_language,
    page_name,
)
from tiles.errors import PublishError

# Leaflet 1.9.4 as django-js-lib-leaflet 1.9.4.x carries it; another file is not ours to inline.
LEAFLET_SHA256 = {
    "leaflet.js": "db49d009c841f5ca34a888c96511ae936fd9f5533e90d8b2c4d57596f4e5641a",
    "leaflet.css": "a7837102824184820dfa198d1ebcd109ff6d0ff9a2672a074b9a1b4d147d04c6",
}
COORDINATE_DECIMALS = 5  # about a metre
CSP_MARK = "@csp@"  # where the layout leaves room for the policy
PAGES = ("index", "map", "table", "method")  # in the order of the links on every page
MAP_PAGE = "map"  # holds all languages in one file: its data are large, its words few


@dataclass(frozen=True)
class SealedPage:
    """A page and the only scripts, styles and hosts of pictures that its policy lets in."""

    html: str
    scripts: tuple[str, ...]
    styles: tuple[str, ...]
    images: tuple[str, ...] = ()
    """Hosts of online tiles; empty unless the run file names one."""


@dataclass(frozen=True)
class PageLink:
    """A link to another page, or to this one in another language."""

    href: str
    text: str
    code: str
    """Page, or language, that it leads to."""


def make_page(
    template: str,
    facts: Publication,
    styles: Sequence[str],
    scripts: Sequence[str] = (),
    *,
    language: Language | None = None,
    default: str = "en",
    images: Sequence[str] = (),
    **content: object,
) -> SealedPage:
    """Fill in a template of maps/assets in one language, and seal it.

    Args:
        template: name of the page, as `index.html`.
        facts: what every page says.
        styles: texts of its styles, in order.
        scripts: texts of its scripts, in order.
        language: of this file; English when absent.
        default: the language whose files carry no code in their names.
        images: hosts that pictures may come from once the reader agrees; see `policy`.
        **content: what this template needs beside.
    """
    language = language or load_language("en")
    here = template.removesuffix(".html")
    css = "\n".join(styles)
    said = _Said(language, live=here == MAP_PAGE)
    html = (
        _templates()
        .get_template(f"{template}.j2")
        .render(
            here=here,
            facts=facts,
            language=language,
            default=default,
            pages=page_links(here, language, default),
            languages=language_links(here, language, default),
            t=language.say,
            th=language.markup,
            said=said.text,
            saying=said.attributes,
            said_known=said.known,
            known=language.known,
            number=language.number,
            share=language.share,
            month=language.month,
            span=language.span,
            css=Markup(css),
            scripts=[Markup(script) for script in scripts],
            **content,
        )
    )
    sealed = seal(html, scripts, [css], images)
    return SealedPage(sealed, tuple(scripts), (css,), tuple(images))


Told = Value | Sequence[str]  # ["known", a sentence], ["span", a period], or a plain value


@dataclass(frozen=True)
class _Said:
    """Texts of a template; on a page that holds all languages they can be said anew."""

    language: Language
    live: bool

    def text(self, key: str, **values: Told) -> Markup:
        """Return a text, in an element that says which one it is where that is needed."""
        words = self.language.say(key, **{name: self._plain(of) for name, of in values.items()})
        if not self.live:
            return escape(words)
        return Markup("<span{}>{}</span>").format(self.attributes(key, **values), words)

    def attributes(self, key: str, **values: Told) -> Markup:
        """Return the attributes by which the map's script finds a text again."""
        if not self.live:
            return Markup("")
        told = {name: self._told(of) for name, of in values.items()}
        text = Markup(' data-say="{}"').format(key)
        return text + Markup(' data-args="{}"').format(json.dumps(told)) if told else text

    def known(self, sentence: str) -> Markup:
        """Return a sentence of the program, or one that has no translation, marked as English."""
        key = known_key(sentence)
        return self.language.known(sentence) if key is None else self.text(key)

    def _plain(self, value: Told) -> Value:
        if isinstance(value, str | int | float):
            return value
        how, of = value
        return self.language.known(of).striptags() if how == "known" else self.language.span(of)

    def _told(self, value: Told) -> object:
        if isinstance(value, str | int | float):
            return value
        how, of = value
        if how == "known":
            key = known_key(of)
            return of if key is None else {"known": key}
        return {how: of}


def page_links(here: str, language: Language, default: str) -> list[PageLink]:
    """Return links to the other pages in the same language."""
    return [
        PageLink(page_href(page, language.code, default), language.say(f"nav.{page}"), page)
        for page in PAGES
        if page != here
    ]


def language_links(here: str, language: Language, default: str) -> list[PageLink]:
    """Return links to this page in every language, this one's own included."""
    return [
        PageLink(page_href(here, code, default), load_language(code).name, code)
        for code in LANGUAGES
    ]


def page_href(page: str, code: str, default: str) -> str:
    """Return the link to a page in a language."""
    if page == MAP_PAGE:
        return "map.html" if code == default else f"map.html#lang={code}"
    return page_name(page, code, default)


def geometry_json(shape: shapely.Geometry) -> dict[str, object]:
    """Return a geometry as GeoJSON, to about a metre."""
    rounded = shapely.transform(shape, lambda at: at.round(COORDINATE_DECIMALS))
    geometry: dict[str, object] = json.loads(shapely.to_geojson(rounded))
    return geometry


def asset(name: str) -> str:
    """Return a text file of maps/assets."""
    return (resources.files("maps") / "assets" / name).read_text(encoding="utf-8")


def leaflet(name: str) -> str:
    """Return a file of the installed Leaflet, without its pointers to other files.

    Raises:
        PublishError: it is not the file that this version was checked with.
    """
    content = (resources.files("js_lib_leaflet") / "static" / "js_lib_leaflet" / name).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != LEAFLET_SHA256[name]:
        raise PublishError(
            f"{name} of the package django-js-lib-leaflet has SHA-256 {digest[:12]}..., not the "
            "one checked: install the pinned version."
        )
    text = content.decode("utf-8").replace("\r\n", "\n")
    text = re.sub(r"(behavior|background-image): url\([^)]*\);", "", text)
    return re.sub(r"\n//# sourceMappingURL=.*", "\n", text)


def policy(scripts: Sequence[str], styles: Sequence[str], images: Sequence[str] = ()) -> str:
    """Return the Content-Security-Policy that lets just these scripts, styles and hosts in.

    https://www.w3.org/TR/CSP3/: hashes are of the exact text between the tags.
    """
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts)) or chr(39) + 'none' + chr(39)}",
            f"style-src {' '.join(map(_hash, styles))}",
            " ".join(["img-src data:", *images]),
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def seal(
    html: str, scripts: Sequence[str], styles: Sequence[str], images: Sequence[str] = ()
) -> str:
    """Put in the policy of known scripts and styles; whatever else stands in the page cannot run.

    Hashes are never taken from the page itself: what found its way into it would be let run.
    """
    return html.replace(CSP_MARK, policy(scripts, styles, images), 1)


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("maps", "assets"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
