"""The gate's look at a page: only the tags, scripts, styles and policy that it was made with."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

from maps.page import SealedPage, policy

Attributes = dict[str, str | None]

# A page that is all words, tables and drawings needs no others; none of these loads a file.
TAGS = re.compile(
    "html|head|meta|link|title|style|body|header|footer|main|aside|section|div|nav|h1|h2|p|a|strong"
    "|small|code|ul|li|dl|dt|dd|table|caption|thead|tbody|tr|th|td|svg|g|path|rect|defs|pattern"
    "|script|noscript"
)
ICON: Attributes = {"rel": "icon", "href": "data:,"}  # without it browsers ask for favicon.ico
LINKING = {"src", "srcset", "href", "xlink:href", "action", "formaction", "data", "poster", "ping"}
OWN_LINK = re.compile(r"data:,|#\w*|(?:index|map|method)\.html(?:#\w+)?|groups\.\w+|manifest\.json")
FETCHED_BY_STYLE = re.compile(r"""@import|url\((?!["']?(?:data:|#))""", re.IGNORECASE)
RAW = ("script", "style")  # tags whose content is no text of the page


class PageContent(HTMLParser):
    """What a page holds: words and attributes, scripts, styles, data blocks, and what is amiss."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.refused: list[str] = []
        self.words: list[str] = []
        self.metas: list[Attributes] = []
        self.raw: list[tuple[str, Attributes, str]] = []
        self._open: str | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect a tag and refuse what would load, send or run something."""
        if not TAGS.fullmatch(tag):
            self.refused.append(f"the tag <{tag}>")
        if tag == "link" and dict(attrs) != ICON:
            self.refused.append(f"a <link> with {dict(attrs)}")
        if tag == "meta":
            self.metas.append(dict(attrs))
        if tag in RAW:
            self._open = tag
            self.raw.append((tag, dict(attrs), ""))
        for name, value in attrs:
            self.words.append(value or "")
            if name in LINKING and not OWN_LINK.fullmatch(value or ""):
                self.refused.append(f"a {name} that points to {value!r}")
            elif name.startswith("on") or name == "style":
                self.refused.append(f"the attribute {name} on <{tag}>")

    def handle_endtag(self, tag: str) -> None:
        """Leave a script or style."""
        if tag == self._open:
            self._open = None

    def handle_data(self, data: str) -> None:
        """Collect text; that of a script or style stays whole."""
        if self._open is None:
            self.words.append(data)
        else:
            tag, attributes, before = self.raw[-1]
            self.raw[-1] = (tag, attributes, before + data)

    def handle_comment(self, data: str) -> None:
        """Refuse comments: nobody reads them on the page."""
        self.refused.append("a comment")

    def handle_pi(self, data: str) -> None:
        """Refuse processing instructions."""
        self.refused.append("a processing instruction")

    def unknown_decl(self, data: str) -> None:
        """Refuse marked sections."""
        self.refused.append("a marked section")


def read_page(html: str, made: SealedPage, refuse: Callable[[str], Exception]) -> PageContent:
    """Parse a page and compare it with what it was made of.

    Args:
        html: as written.
        made: the page as it was made: the scripts and styles that it may hold.
        refuse: makes the error from what the page must not hold.
    """
    page = PageContent(html)
    if page.refused:
        raise refuse(page.refused[0])
    if page.metas != _metas(made):
        raise refuse("another Content-Security-Policy or <meta> than it was made with")
    for tag, known in (("script", made.scripts), ("style", made.styles)):
        bare = [text for kind, attributes, text in page.raw if kind == tag and not attributes]
        if bare != list(known):
            raise refuse(f"a {tag} that it was not made with")
    for tag, attributes, _ in page.raw:
        if attributes and (tag != "script" or attributes.get("type") != "application/json"):
            raise refuse(f"a {tag} with {attributes}")
    for style in made.styles:
        if found := FETCHED_BY_STYLE.search(style):
            raise refuse(f"a style that loads a file ({found.group()})")
    return page


def data_blocks(page: PageContent) -> list[tuple[Attributes, Any]]:
    """Attributes and content of the page's blocks of JSON."""
    return [(attributes, json.loads(text)) for _, attributes, text in page.raw if attributes]


def _metas(made: SealedPage) -> list[Attributes]:
    """The <meta> tags of maps/assets/layout.html.j2."""
    return [
        {"charset": "utf-8"},
        {
            "http-equiv": "Content-Security-Policy",
            "content": policy(made.scripts, made.styles),
        },
        {"name": "viewport", "content": "width=device-width, initial-scale=1"},
        {"name": "referrer", "content": "no-referrer"},
    ]
