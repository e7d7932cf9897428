"""The public pages: a folium map that asks nobody, an overview and the method, sealed by CSP."""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import folium
import geopandas as gpd
import shapely
from branca.element import Element, Figure, MacroElement
from folium.template import Template
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from shapely.geometry.base import BaseGeometry

from maps.evidence import GROUPS
from maps.facts import Publication
from maps.hotspots import HOT_CLASSES
from maps.layers import GapsLayer, GraticuleLayer, RegionLayer, Theme, ThemeLayer, themes
from maps.overview import overview_svg
from maps.wording import describe, interval, share
from tiles.errors import PublishError

# Leaflet 1.9.4 as django-js-lib-leaflet 1.9.4.x carries it; another file is not ours to inline.
LEAFLET_SHA256 = {
    "leaflet.js": "db49d009c841f5ca34a888c96511ae936fd9f5533e90d8b2c4d57596f4e5641a",
    "leaflet.css": "a7837102824184820dfa198d1ebcd109ff6d0ff9a2672a074b9a1b4d147d04c6",
}
COORDINATE_DECIMALS = 5  # about a metre
CSP_MARK = "@csp@"  # where the layout leaves room for the policy
MORE_COLUMNS = {"report_note": "why there is no reporting rate, where there is none"}


@dataclass(frozen=True)
class SealedPage:
    """A page and the only scripts and styles that its policy lets run."""

    html: str
    scripts: tuple[str, ...]
    styles: tuple[str, ...]


def map_page(
    groups: gpd.GeoDataFrame, gaps: BaseGeometry, surveyed: BaseGeometry, facts: Publication
) -> SealedPage:
    """Return map.html: one file that asks nobody for anything.

    Args:
        groups: a GROUPS table.
        gaps: cells hardly searched, what `search_gaps` returns.
        surveyed: cells that the survey touched, joined; never the user's own polygon, which can
            be drawn round a single place.
        facts: what the page says beside.
    """
    layers = themes(groups)
    figure = _drawn(layers)
    for child in figure._children.values():
        child.render()
    return _page(
        "map.html",
        facts,
        [leaflet("leaflet.css"), asset("base.css"), asset("map.css")],
        [leaflet("leaflet.js"), asset("map.js"), figure.script.render()],
        map_html=Markup(figure.html.render()),
        themes=layers,
        groups_json=script_json(group_features(groups)),
        gaps_json=script_json(_feature(gaps, {})),
        region_json=script_json(_feature(surveyed, {})),
    )


def index_page(
    groups: gpd.GeoDataFrame, gaps: BaseGeometry, surveyed: BaseGeometry, facts: Publication
) -> SealedPage:
    """Return index.html: what this is and is not, key figures, the table, the downloads."""
    theme = themes(groups)[0]
    order = groups.sort_values(
        ["expected_sites", "group_id"], ascending=[False, True], kind="stable"
    )
    total = facts.expected_total
    area_km2 = groups["area_km2"].sum()
    middle, _, limits = interval(total.mean, total.low, total.high).partition(" (")
    return _page(
        "index.html",
        facts,
        [asset("base.css"), asset("page.css")],
        theme=theme,
        overview=overview_svg(groups, gaps, surveyed, theme),
        words=describe(order),
        hot=int(groups["hotspot_class"].isin(HOT_CLASSES).sum()),
        searched=share(groups["searched_km2"].sum() / area_km2 if area_km2 else 0.0),
        total=middle,
        total_range=limits.rstrip(")"),
    )


def method_page(facts: Publication) -> SealedPage:
    """Return method.html: how the figures were made, the privacy of reports, the limits."""
    columns = [(column.name, column.doc) for column in GROUPS.columns]
    styles = [asset("base.css"), asset("page.css")]
    return _page("method.html", facts, styles, columns=[*columns, *MORE_COLUMNS.items()])


def group_features(groups: gpd.GeoDataFrame) -> dict[str, object]:
    """Return the groups as GeoJSON with what a popup says; `at` is the row in the table."""
    features = [
        _feature(shape, {"at": at, "title": words.title, "rows": words.rows()})
        for at, (shape, words) in enumerate(zip(groups.geometry, describe(groups), strict=True))
    ]
    return {"type": "FeatureCollection", "features": features}


def geometry_json(shape: shapely.Geometry) -> dict[str, object]:
    """Return a geometry as GeoJSON, to about a metre."""
    rounded = shapely.transform(shape, lambda at: at.round(COORDINATE_DECIMALS))
    geometry: dict[str, object] = json.loads(shapely.to_geojson(rounded))
    return geometry


def _feature(shape: shapely.Geometry, properties: dict[str, object]) -> dict[str, object]:
    return {"type": "Feature", "geometry": geometry_json(shape), "properties": properties}


def script_json(content: object) -> Markup:
    """Return JSON that can stand inside a script element: no character can end it."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


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


def policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    """Return the Content-Security-Policy that lets just these scripts and styles run.

    https://www.w3.org/TR/CSP3/: hashes are of the exact text between the tags.
    """
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts)) or chr(39) + 'none' + chr(39)}",
            f"style-src {' '.join(map(_hash, styles))}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def seal(html: str, scripts: Sequence[str], styles: Sequence[str]) -> str:
    """Put in the policy of known scripts and styles; whatever else stands in the page cannot run.

    Hashes are never taken from the page itself: what found its way into it would be let run.
    """
    return html.replace(CSP_MARK, policy(scripts, styles), 1)


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _page(
    here: str,
    facts: Publication,
    styles: Sequence[str],
    scripts: Sequence[str] = (),
    **content: object,
) -> SealedPage:
    templates = Environment(
        loader=PackageLoader("maps", "assets"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    css = "\n".join(styles)
    html = templates.get_template(f"{here}.j2").render(
        here=here,
        facts=facts,
        css=Markup(css),
        scripts=[Markup(script) for script in scripts],
        **content,
    )
    return SealedPage(seal(html, scripts, [css]), tuple(scripts), (css,))


class OfflineMap(folium.Map):
    """folium's map without links to other hosts, and without a ban on zooming the page."""

    default_js: list[tuple[str, str]] = []  # noqa: RUF012  (as folium declares them)
    default_css: list[tuple[str, str]] = []  # noqa: RUF012
    _template = Template("""
        {% macro html(this, kwargs) %}
            <div class="folium-map" id="{{ this.get_name() }}"></div>
        {% endmacro %}
        {% macro script(this, kwargs) %}
            var {{ this.get_name() }} = L.map(
                "{{ this.get_name() }}", {{ this.options|tojavascript }}
            );
            L.control.scale({imperial: false}).addTo({{ this.get_name() }});
        {% endmacro %}
        """)


class _Finish(MacroElement):
    """Moves the layer control into the panel and shows the whole region."""

    _template = Template("""
        {% macro script(this, kwargs) %}
            kilnlight.finish({{ this.map }}, {{ this.control }});
        {% endmacro %}
        """)

    def __init__(self, drawn: Element, control: Element) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # branca leaves it untyped
        self.map, self.control = drawn.get_name(), control.get_name()


def _drawn(layers: list[Theme]) -> Figure:
    """Build the folium tree; names come from what a thing is, never from chance."""
    drawn = _named(
        OfflineMap(tiles=None, prefer_canvas=True, zoom_snap=0.25, attribution_control=False),
        "survey",
    )
    for number, theme in enumerate(layers):
        drawn.add_child(_named(ThemeLayer(theme, show=number == 0), theme.key))
    drawn.add_child(_named(GapsLayer(), "gaps"))
    drawn.add_child(_named(RegionLayer(), "outline"))
    drawn.add_child(_named(GraticuleLayer(), "degrees"))
    control = _named(folium.LayerControl(collapsed=False), "themes")
    drawn.add_child(control)
    drawn.add_child(_named(_Finish(drawn, control), "view"))
    figure = Figure()
    figure.add_child(drawn)
    return figure


def _named(element: Element, name: str) -> Element:
    element._id = name
    return element
