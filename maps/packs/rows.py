"""The rows of a pack: the team's sites in its area, in order, in words that a team needs.

All that is here comes from imagery and area. Nothing in a pack may say that there are reports at or
near a site, or let anybody work it out: the columns that come in are `NEEDED`, and no others.
"""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import shapely
from shapely.geometry.base import BaseGeometry

from maps.boundaries import Places
from maps.language import Language
from maps.lists import COORDINATE_DECIMALS, SUREST
from maps.packs.coordinates import (
    Bearing,
    decimal_degrees,
    degrees_minutes_seconds,
    geo_uri,
    nearest,
    plus_code,
)
from maps.packs.facts import PackFacts
from maps.priority import HOTSPOT_SHARE, SIZE_WORDS
from models.site_class import SiteClass

# What a pack takes from the survey; `place` is the team's order.
NEEDED = [
    "site_id",
    "place",
    "kind",
    "lon",
    "lat",
    "length_m",
    "width_m",
    "azimuth_deg",
    "p_site",
    "p_low",
    "p_high",
    "n_scenes",
    "first_date",
    "last_date",
    "unfamiliar",
    "size_fit",
    "hotspot_class",
    "review_status",
]
# Columns of the lists in a pack. `rank` is the place in this pack, so that nobody can tell from a
# gap how many sites another team got.
PACK_COLUMNS = [
    "rank",
    "site_id",
    "lat_lon",
    "lat",
    "lon",
    "degrees_minutes",
    "plus_code",
    "nearest_place",
    "p_site",
    "p_low",
    "p_high",
    "kind",
    "length_m",
    "width_m",
    "azimuth_deg",
    "n_scenes",
    "first_date",
    "last_date",
    "review_status",
    "reason",
    "pack_id",
    "expires",
    "note",
]
CONFIRMED = "confirmed"
INTERVAL_PERCENT = 90  # of p_low to p_high
SURE_WORDS = ((0.9, "very_likely"), (0.7, "likely"), (0.5, "even"), (0.0, "possibly"))
SIZE_KEYS = dict(zip((least for least, _ in SIZE_WORDS), ("usual", "edge", "unusual"), strict=True))


def sites_in(sites: pd.DataFrame, area: BaseGeometry) -> pd.DataFrame:
    """Return the sites whose middle lies in an area (EPSG:4326), in the team's order."""
    shapely.prepare(area)
    held = shapely.intersects_xy(area, sites["lon"].to_numpy(), sites["lat"].to_numpy())
    return sites.loc[held, NEEDED].sort_values("place", kind="stable", ignore_index=True)


def pack_rows(
    sites: pd.DataFrame, facts: PackFacts, language: Language, places: Places | None
) -> pd.DataFrame:
    """Return the rows of PACK_COLUMNS, the first to visit first.

    Args:
        sites: what `sites_in` returns.
        facts: the pack.
        language: of the words; names of columns stay English.
        places: named points that positions are told from.
    """
    rows = sites.reset_index(drop=True)
    rows["rank"] = np.arange(1, len(rows) + 1, dtype=np.int64)
    rows["lat"], rows["lon"] = (rows[at].round(COORDINATE_DECIMALS) for at in ("lat", "lon"))
    at = list(zip(rows["lon"], rows["lat"], strict=True))
    rows["lat_lon"] = [decimal_degrees(lon, lat) for lon, lat in at]
    rows["degrees_minutes"] = [degrees_minutes_seconds(lon, lat) for lon, lat in at]
    rows["plus_code"] = [plus_code(lon, lat) for lon, lat in at]
    seen_from = [nearest(lon, lat, places) for lon, lat in at]
    rows["nearest_place"] = [place_words(bearing, language) for bearing in seen_from]
    chances = ["p_site", "p_low", "p_high"]
    rows[chances] = rows[chances].round(2).clip(upper=SUREST)
    sizes = ["length_m", "width_m", "azimuth_deg"]
    rows[sizes] = rows[sizes].round(0)
    rows["reason"] = [
        " ".join(why(row, facts.site_class, language)) for row in rows.to_dict("records")
    ]
    rows["pack_id"], rows["expires"] = facts.pack_id, facts.expires
    rows["note"] = disclaimer(facts.site_class, language)
    return rows[PACK_COLUMNS]


def geo_uris(rows: pd.DataFrame) -> list[str]:
    """Return the geo: URI of each row."""
    return [geo_uri(lon, lat) for lon, lat in zip(rows["lon"], rows["lat"], strict=True)]


def place_words(bearing: Bearing | None, language: Language) -> str:
    """Say where a site lies as seen from the nearest named place; empty without one."""
    if bearing is None:
        return ""
    return language.say(
        "pack.nearest_at",
        km=round(bearing.distance_km, 1),
        point=language.say(f"pack.{bearing.point}"),
        name=bearing.name,
    )


def caption(date: str | None, side_m: float, language: Language) -> str:
    """Say what a picture shows."""
    side = round(side_m)
    if date is None:
        return language.say("pack.picture_undated", side=side)
    return language.say("pack.picture", date=date, side=side)


def thing(site_class: SiteClass, language: Language) -> str:
    """Return what is looked for in the language, or the class's own title where nobody said it."""
    key = f"pack.{site_class.name}"
    return language.say(key) if key in language.texts else site_class.title


def disclaimer(site_class: SiteClass, language: Language) -> str:
    """Return the class's sentence, in the language where the program has it there."""
    return str(language.known(site_class.disclaimer).striptags())


def whole_sentence(text: str) -> str:
    """Return a disclaimer as a sentence by itself."""
    return f"{text[:1].upper()}{text[1:]}."


def why(site: dict[Hashable, Any], site_class: SiteClass, language: Language) -> Sequence[str]:
    """Say how sure a site is and why, in sentences about imagery and area, never of reports."""
    sure = next(key for least, key in SURE_WORDS if site["p_site"] >= least)
    size = next(key for least, key in SIZE_KEYS.items() if site["size_fit"] >= least)
    scenes = int(site["n_scenes"])
    chances = {
        name: language.share(round(100 * float(site[column])))
        for name, column in (("share", "p_site"), ("low", "p_low"), ("high", "p_high"))
    } | {"level": language.share(INTERVAL_PERCENT)}
    measures = {"length": int(site["length_m"]), "width": int(site["width_m"])}
    sentences = [
        language.say(f"pack.{sure}", thing=thing(site_class, language), **chances),
        language.say(f"pack.size_{size}", **measures),
        language.say("pack.seen_often", n=scenes) if scenes > 1 else language.say("pack.seen_once"),
    ]
    if site["hotspot_class"] in HOTSPOT_SHARE:
        sentences.append(language.say("pack.hotspot"))
    if site["unfamiliar"]:
        sentences.append(language.say("pack.unfamiliar"))
    if site["review_status"] == CONFIRMED:
        sentences.append(language.say("pack.reviewed"))
    return sentences
