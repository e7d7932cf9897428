"""KMZ for Google Earth and phones: pins that need no server, with the picture of each site inside.

KML 2.3 (OGC 12-007r2); the icon lies in the archive, since the usual ones are fetched from a host.
"""

import io
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from PIL import Image, ImageDraw

from maps.lists import xml_text
from maps.packs.archive import zipped
from maps.packs.facts import PackFacts
from tiles.files import atomic_path

ICON_PX = 64
BRICK = (143, 58, 18, 255)
SHOWN = ("lat_lon", "degrees_minutes", "plus_code", "nearest_place")  # facts in a balloon


def write_kmz(
    rows: pd.DataFrame, path: Path, facts: PackFacts, title: str, chips: Mapping[str, bytes]
) -> None:
    """Write the sites as a KMZ.

    Args:
        rows: what `pack_rows` returns.
        path: file to write.
        facts: the pack.
        title: name of the folder of pins.
        chips: JPEG of each site_id that has one.
    """
    pins = "\n".join(_pin(row, row["site_id"] in chips) for row in rows.to_dict("records"))
    kml = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<kml xmlns="http://www.opengis.net/kml/2.2"><Document>\n'
        f"<name>{xml_text(title)}</name><description>{xml_text(facts.stamp)}</description>\n"
        '<Style id="site"><IconStyle><scale>0.9</scale><Icon><href>icon.png</href></Icon>'
        "</IconStyle><LabelStyle><scale>0.8</scale></LabelStyle></Style>\n"
        f"{pins}\n</Document></kml>\n"
    )
    members = {"doc.kml": kml.encode("utf-8"), "icon.png": _icon()}
    members |= {
        f"chips/{site_id}.jpg": chips[site_id] for site_id in rows["site_id"] if site_id in chips
    }
    with atomic_path(path) as temporary:
        temporary.write_bytes(zipped(members))


def _pin(row: Mapping[object, object], has_chip: bool) -> str:
    picture = f'<p><img src="chips/{row["site_id"]}.jpg" width="320"/></p>' if has_chip else ""
    facts = "".join(f"<p>{_html(row[name])}</p>" for name in SHOWN if row[name])
    stamp = f"{row['pack_id']}, valid until {row['expires']}"
    text = f"{picture}<p>{_html(row['reason'])}</p>{facts}<p>{_html(row['note'])}<br/>{stamp}</p>"
    name = f"{row['rank']} {row['site_id']}"
    return (
        f"<Placemark><name>{xml_text(name)}</name>"
        f"<styleUrl>#site</styleUrl><description>{xml_text(text)}</description>"
        f"<Point><coordinates>{row['lon']:.5f},{row['lat']:.5f}</coordinates></Point></Placemark>"
    )


def _html(text: object) -> str:
    """Text for the HTML of a balloon, which the XML around it escapes once more."""
    return xml_text(str(text))


def _icon() -> bytes:
    image = Image.new("RGBA", (ICON_PX, ICON_PX), (0, 0, 0, 0))
    edge, middle = ICON_PX - 6, ICON_PX // 2
    draw = ImageDraw.Draw(image)
    draw.ellipse((6, 6, edge, edge), fill=BRICK, outline=(255, 255, 255, 255), width=5)
    draw.ellipse((middle - 6, middle - 6, middle + 6, middle + 6), fill=(255, 255, 255, 255))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
