"""The pack as one page for a phone: it asks nobody for anything and holds its pictures itself."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from maps.language import Language
from maps.packs.facts import PackFacts
from maps.packs.pictures import Chips
from maps.packs.rows import caption, disclaimer, geo_uris, thing, whole_sentence
from maps.page import SealedPage, asset, seal
from tiles.files import write_text

SHOWN = ("site_id", "lat_lon", "degrees_minutes", "plus_code", "nearest_place", "reason")


def pack_page(rows: pd.DataFrame, facts: PackFacts, language: Language, chips: Chips) -> SealedPage:
    """Return index.html of a pack.

    Args:
        rows: what `pack_rows` returns.
        facts: the pack.
        language: of the words.
        chips: pictures, put into the page.
    """
    templates = Environment(
        loader=PackageLoader("maps", "assets"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    css, script = "\n".join((asset("base.css"), asset("pack.css"))), asset("pack.js")
    html = templates.get_template("pack.html.j2").render(
        facts=facts,
        language=language,
        say=lambda key, **values: language.say(f"pack.{key}", **values),
        thing=thing(facts.site_class, language),
        disclaimer=whole_sentence(disclaimer(facts.site_class, language)),
        sites=list(_sites(rows, language, chips)),
        css=Markup(css),
        script=Markup(script),
    )
    return SealedPage(seal(html, [script], [css]), (script,), (css,))


def write_page(
    rows: pd.DataFrame, path: Path, facts: PackFacts, language: Language, chips: Chips
) -> None:
    """Write the page."""
    write_text(path, pack_page(rows, facts, language, chips).html)


def _sites(rows: pd.DataFrame, language: Language, chips: Chips) -> Iterator[dict[str, Any]]:
    for row, geo in zip(rows.to_dict("records"), geo_uris(rows), strict=True):
        chip = chips.near.get(str(row["site_id"]))
        yield {name: row[name] for name in SHOWN} | {
            "rank": str(row["rank"]),
            "geo": geo,
            "chip": chip and base64.b64encode(chip.jpeg).decode("ascii"),
            "caption": chip and caption(chip.date, chips.near_side_m, language),
        }
