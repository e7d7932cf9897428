"""map.html: a folium map of our own layers that asks nobody, in all languages, in one file."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import folium
import pandas as pd
from branca.element import Element, Figure, MacroElement
from folium.template import Template
from markupsafe import Markup

from maps.basemap import MapNames, base_block
from maps.cell_code import bounds_of_cells, cell_keys
from maps.facts import Publication
from maps.inline_json import script_json
from maps.language import catalogue_json, load_language, page_name
from maps.map_data import MapSurvey, map_block
from maps.page import SealedPage, asset, leaflet, make_page
from tiles.errors import PublishError

OWN_SCRIPTS = (
    "map_words.js",
    "map_cells.js",
    "map_sheets.js",
    "map_search.js",
    "map_legend.js",
    "map_print.js",
    "map_panel.js",
)
# One host, no port, no user: what a policy can name and a reader can understand.
TILES = re.compile(r"https://[a-z0-9.-]+/[\w./{}@?=&-]*")


@dataclass(frozen=True)
class MapPicture:
    """Some of the survey's own imagery, north up, and the degrees where it ends."""

    webp: bytes
    west: float
    south: float
    east: float
    north: float

    @property
    def address(self) -> str:
        """The picture itself, as an address that asks nobody."""
        return f"data:image/webp;base64,{base64.b64encode(self.webp).decode('ascii')}"

    @property
    def ends_mdeg(self) -> list[list[int]]:
        """South-west and north-east corner as latitude, longitude in thousandths of a degree."""
        corners = ((self.south, self.west), (self.north, self.east))
        return [[round(1000 * degrees) for degrees in corner] for corner in corners]


@dataclass(frozen=True)
class MapLook:
    """What may lie under the survey beside borders."""

    tiles: str | None = None
    """Address of online tiles, with {z}, {x} and {y}; nothing is asked before the reader agrees."""
    tiles_credit: str = ""
    pictures: tuple[MapPicture, ...] = ()

    def __post_init__(self) -> None:
        if self.tiles is not None and not TILES.fullmatch(self.tiles):
            raise PublishError(
                f"online tiles {self.tiles!r}: give an address like https://host/{{z}}/{{x}}/{{y}}.png."
            )

    @property
    def host(self) -> str:
        """Whom online tiles are asked from; nobody if there are none."""
        return "" if self.tiles is None else urlsplit(self.tiles).netloc


def map_page(
    surveys: Sequence[MapSurvey],
    facts: Publication,
    language: str = "en",
    sites: pd.DataFrame | None = None,
    names: MapNames | None = None,
    look: MapLook | None = None,
) -> SealedPage:
    """Return map.html: one file that asks nobody for anything.

    Args:
        surveys: one a period, the newest last.
        facts: what the page says beside.
        language: that it opens in; the others are in it too.
        sites: single sites, for the partner tier alone.
        names: districts and places to show and to find.
        look: online tiles and the survey's own imagery, if wanted.
    """
    look = look or MapLook()
    block = map_block(surveys, facts.tier, sites)
    cells = cell_keys([cell for survey in surveys for cell in survey.cells["cell_id"]])
    figure = _drawn(look, with_sites=block.sites is not None)
    for child in figure._children.values():
        child.render()
    return make_page(
        "map.html",
        facts,
        [leaflet("leaflet.css"), asset("base.css"), asset("map.css")],
        [leaflet("leaflet.js"), *map(asset, OWN_SCRIPTS), figure.script.render()],
        language=load_language(language),
        default=language,
        images=() if look.tiles is None else (f"https://{look.host}",),
        map_html=Markup(figure.html.render()),
        block=block,
        look=look,
        table=page_name("table", language, language),
        survey_json=script_json(block.model_dump()),
        base_json=script_json(base_block(bounds_of_cells(cells), names).model_dump()),
        words_json=Markup(catalogue_json()),
    )


class OfflineMap(folium.Map):
    """folium's map without links to other hosts, and without a ban on zooming the page."""

    default_js: list[tuple[str, str]] = []  # noqa: RUF012  (as folium declares them)
    default_css: list[tuple[str, str]] = []  # noqa: RUF012
    _template = Template("""
        {% macro html(this, kwargs) %}
            <div class="folium-map" id="{{ this.get_name() }}" role="application"></div>
        {% endmacro %}
        {% macro script(this, kwargs) %}
            kilnlight.survey = new kilnlight.Survey(kilnlight.block("survey"));
            kilnlight.ground = kilnlight.block("base");
            kilnlight.languages(kilnlight.block("words"), document.body.dataset.language);
            var {{ this.get_name() }} = L.map(
                "{{ this.get_name() }}", kilnlight.motion({{ this.options|tojavascript }})
            );
            L.control.scale({imperial: false}).addTo({{ this.get_name() }});
        {% endmacro %}
        """)


class SheetLayer(MacroElement):
    """One of our own layers: a canvas that maps/assets/map_sheets.js paints."""

    _template = Template("""
        {% macro script(this, kwargs) %}
            var {{ this.get_name() }} = kilnlight.{{ this.kind }}(
                {{ this._parent.get_name() }}, {{ this.arguments }}
            );
        {% endmacro %}
        """)

    def __init__(self, kind: str, arguments: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # branca leaves it untyped
        self._name = "Sheet"
        self.kind, self.arguments = kind, arguments


class PictureLayer(MacroElement):
    """The survey's own imagery under the cells; hidden until asked for."""

    _template = Template("""
        {% macro script(this, kwargs) %}
            var {{ this.get_name() }} = kilnlight.pictures({{ this.pictures|tojson }});
        {% endmacro %}
        """)

    def __init__(self, pictures: Sequence[MapPicture]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # branca leaves it untyped
        self._name = "Pictures"
        self.pictures = [
            {"address": picture.address, "ends": picture.ends_mdeg} for picture in pictures
        ]


class _Start(MacroElement):
    """Hands the layers to the panel and shows the whole region."""

    _template = Template("""
        {% macro script(this, kwargs) %}
            kilnlight.start({{ this._parent.get_name() }}, { {% for name, layer in this.layers %}
                {{ name }}: {{ layer.get_name() }}, {% endfor %} });
        {% endmacro %}
        """)

    def __init__(self, layers: list[tuple[str, Element]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # branca leaves it untyped
        self.layers = layers


def _drawn(look: MapLook, with_sites: bool) -> Figure:
    """Build the folium tree; names come from what a thing is, never from chance."""
    drawn = _named(
        OfflineMap(tiles=None, prefer_canvas=True, zoom_snap=0.25, attribution_control=False),
        "survey",
    )
    survey, state = "kilnlight.survey", "kilnlight.state"
    layers: list[tuple[str, Element]] = [
        ("base", SheetLayer("base", f"kilnlight.ground, {survey}")),
        ("cells", SheetLayer("cells", f"{survey}, {state}")),
        ("gaps", SheetLayer("gaps", survey)),
        ("outline", SheetLayer("outline", survey)),
        ("chosen", SheetLayer("chosen", f"{survey}, {state}")),
        ("graticule", SheetLayer("graticule", survey)),
    ]
    if with_sites:
        layers.append(("sites", SheetLayer("sites", survey)))
    if look.pictures:
        layers.append(("picture", PictureLayer(look.pictures)))
    for name, layer in layers:
        drawn.add_child(_named(layer, name))
    drawn.add_child(_named(_Start(layers), "start"))
    figure = Figure()
    figure.add_child(drawn)
    return figure


def _named(element: Element, name: str) -> Element:
    element._id = name
    return element
