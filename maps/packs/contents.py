"""The files of a pack, all of the same rows: for phones, for maps, for spreadsheets, for paper."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from shapely.geometry.base import BaseGeometry

from maps.boundaries import Places
from maps.language import Language
from maps.lists import write_gpx, write_sheet
from maps.packs.cards import Cards, write_cards
from maps.packs.facts import PackFacts
from maps.packs.fonts import FontSet
from maps.packs.geopackage import write_geopackage
from maps.packs.kmz import write_kmz
from maps.packs.maplet import maplet_of
from maps.packs.page import write_page
from maps.packs.pictures import Chips
from maps.packs.rows import disclaimer, thing, whole_sentence
from maps.packs.workbook import write_form, write_list
from maps.sheets import write_csv
from tiles.files import write_text

README = "READ_ME_FIRST.txt"
RETURN_COLUMNS = ("site_id", "rank", "outcome", "visited_on", "team", "note", "pack_id", "expires")


@dataclass(frozen=True)
class Pack:
    """Everything that the files of a pack are made from.

    Attributes:
        facts: the pack.
        rows: what `pack_rows` returns.
        area: the team's area, EPSG:4326.
        places: named points, or None.
        language: of the words.
        fonts: of the printed cards.
        chips: pictures.
    """

    facts: PackFacts
    rows: pd.DataFrame
    area: BaseGeometry
    places: Places | None
    language: Language
    fonts: FontSet
    chips: Chips


def write_pack(pack: Pack, folder: Path) -> None:
    """Write every file of a pack into a folder."""
    facts, rows, language = pack.facts, pack.rows, pack.language
    title = f"{language.say('pack.title')} {facts.pack_id}: {facts.region_name}"
    note = disclaimer(facts.site_class, language)
    valid = language.say("pack.valid", pack_id=facts.pack_id, expires=facts.expires)
    write_text(folder / README, _readme(pack, valid))
    write_sheet(rows, folder / "sites.csv", title, note)
    write_gpx(rows, folder / "sites.gpx", title, f"{note}. {valid}")
    write_list(rows, folder / "sites.xlsx", facts, title)
    write_geopackage(rows, folder / "sites.gpkg", facts, language)
    write_form(rows, folder / "visit_form.xlsx", facts, language)
    _write_return(pack, folder / "outcomes_to_fill.csv")
    jpegs = {site_id: chip.jpeg for site_id, chip in pack.chips.near.items()}
    write_kmz(rows, folder / "sites.kmz", facts, title, jpegs)
    write_page(rows, folder / "index.html", facts, language, pack.chips)
    maplet = maplet_of(rows, pack.area, pack.places)
    write_cards(Cards(facts, language, pack.fonts, rows, pack.chips, maplet), folder / "cards.pdf")


def _readme(pack: Pack, valid: str) -> str:
    facts, say = pack.facts, pack.language.say
    what = say("pack.what", thing=thing(facts.site_class, pack.language))
    lines = [
        f"{say('pack.title')}: {facts.region_name}",
        valid,
        say("pack.team", team=facts.team),
        say("pack.area", n=len(pack.rows), area=round(facts.area_km2)),
        *([say("pack.simulated")] if facts.simulated else []),
        "",
        what,
        say("pack.keep", expires=facts.expires),
        say("pack.lost"),
        say("pack.files"),
        "",
        say("pack.imagery", credit=facts.imagery),
        whole_sentence(disclaimer(facts.site_class, pack.language)),
    ]
    return "\n".join(lines) + "\n"


def _write_return(pack: Pack, path: Path) -> None:
    """Write the table to fill in by hand, one row a site."""
    facts = pack.facts
    rows = [
        (site_id, rank, "", "", facts.team, "", facts.pack_id, facts.expires)
        for site_id, rank in zip(pack.rows["site_id"], pack.rows["rank"], strict=True)
    ]
    write_csv(path, RETURN_COLUMNS, rows)
