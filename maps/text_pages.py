"""The pages of words and tables: the overview, the table of all areas, and the method."""

from dataclasses import dataclass

import geopandas as gpd
from shapely.geometry.base import BaseGeometry

from maps.dictionary import dictionary
from maps.facts import Publication
from maps.hotspots import HOT_CLASSES
from maps.language import Language
from maps.layers import themes
from maps.overview import overview_svg
from maps.page import SealedPage, asset, make_page, page_href
from maps.tiers import PUBLIC_K_FACTOR
from maps.wording import ROWS, describe, interval, share

STYLES = ("base.css", "page.css")


@dataclass(frozen=True)
class Edition:
    """One language of a published folder.

    Attributes:
        language: of the texts.
        default: code of the language whose files carry none in their names.
    """

    language: Language
    default: str

    def links(self) -> dict[str, str]:
        """Where the pages of this language lie, and the map's view of an area less its number."""
        code = self.language.code
        hrefs = {page: page_href(page, code, self.default) for page in ("map", "table", "method")}
        area = "&area=" if "#" in hrefs["map"] else "#area="
        return hrefs | {"map_area": hrefs["map"] + area}


def index_page(
    groups: gpd.GeoDataFrame,
    gaps: BaseGeometry,
    surveyed: BaseGeometry,
    facts: Publication,
    downloads: tuple[str, ...],
    edition: Edition,
    *,
    any_site: bool = True,
) -> SealedPage:
    """Return the overview: what this is and is not, key figures, the downloads.

    Args:
        groups: a GROUPS table.
        gaps: cells hardly searched.
        surveyed: cells that the survey touched, joined.
        facts: what the page says beside.
        downloads: names of the files beside it.
        edition: its language.
        any_site: the survey found something.
    """
    language = edition.language
    theme = themes(groups)[0]
    total = facts.expected_total
    area_km2 = groups["area_km2"].sum()
    middle, _, limits = interval(total.mean, total.low, total.high, language).partition(" (")
    return _page(
        "index.html",
        facts,
        edition,
        theme=theme,
        overview=overview_svg(groups, gaps, surveyed, theme, language),
        n_areas=len(groups),
        any_site=any_site,
        hot=int(groups["hotspot_class"].isin(HOT_CLASSES).sum()),
        searched=share(groups["searched_km2"].sum() / area_km2 if area_km2 else 0.0, language),
        total=middle,
        total_range=limits.rstrip(")"),
        downloads=downloads,
    )


def table_page(groups: gpd.GeoDataFrame, facts: Publication, edition: Edition) -> SealedPage:
    """Return the table of all areas: what the map shows, for a keyboard or a screen reader.

    An area's anchor is `area-` and its row in `groups`; the map knows it by the same number.
    """
    language = edition.language
    words = describe(groups, language)
    order = groups.reset_index(drop=True).sort_values(
        ["expected_sites", "group_id"], ascending=[False, True], kind="stable"
    )
    return _page(
        "table.html",
        facts,
        edition,
        labels=[language.say(f"row.{name}") for name in ROWS],
        areas=[(int(at), words[int(at)]) for at in order.index],
    )


def method_page(facts: Publication, edition: Edition) -> SealedPage:
    """Return the method: how the figures were made, reports' privacy, limits, whom to ask."""
    recall, language = facts.weights.recall, edition.language
    return _page(
        "method.html",
        facts,
        edition,
        dictionary=dictionary(facts.tier),
        threshold=language.number(facts.weights.threshold, 2),
        recall=share(recall.mean, language),
        recall_low=language.number(100 * recall.low),
        recall_high=language.number(100 * recall.high),
        figure=lambda value: language.numeral(f"{value:.3g}"),
        public_k=PUBLIC_K_FACTOR * facts.k,
    )


def _page(template: str, facts: Publication, edition: Edition, **content: object) -> SealedPage:
    return make_page(
        template,
        facts,
        [asset(name) for name in STYLES],
        (),
        language=edition.language,
        default=edition.default,
        images=(),
        links=edition.links(),
        **content,
    )
