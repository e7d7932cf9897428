"""A page of pictures that opens anywhere: crops inlined, outlines drawn over them, no script."""

from __future__ import annotations

import base64
import hashlib
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from models.chips import Picture

Floats = NDArray[np.float64]

# A kiln with its yard and a little land: 640 m at 10 m.
CROP_PX = 64
# Brightest and darkest hundredth of a crop are clipped, so that one roof does not dim a field.
STRETCH = (1.0, 99.0)


@dataclass(frozen=True)
class Outline:
    """A box or a ring to draw.

    Attributes:
        style: `found`, `known` or `doubtful`; the page's style sheet has a colour for each.
        row: Centre on the picture, pixels.
        col: Centre on the picture, pixels.
        length_px: Long side; 0 draws a ring.
        width_px: Short side.
        angle_rad: Of the long side, from +col towards +row.
    """

    style: str
    row: float
    col: float
    length_px: float = 0.0
    width_px: float = 0.0
    angle_rad: float = 0.0


@dataclass(frozen=True)
class Shown:
    """One picture of the page.

    Attributes:
        caption: Under the picture.
        alt: What it shows, for those who do not see it.
        png: As a data URI.
        shapes: SVG elements over it.
        size_px: Side of the crop.
    """

    caption: str
    alt: str
    png: str
    shapes: Markup
    size_px: int = CROP_PX


@dataclass(frozen=True)
class Section:
    """A heading, a paragraph and pictures; `more` counts those not shown."""

    title: str
    text: str
    pictures: tuple[Shown, ...]
    more: int = 0


@dataclass(frozen=True)
class Table:
    """A small table: column names and rows of text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def picture_page(
    title: str, lead: str, notice: str, tables: Sequence[Table], sections: Sequence[Section]
) -> str:
    """The whole page as HTML.

    Args:
        title: Of the page.
        lead: What it is, in a sentence or two.
        notice: What it does not say and may not be used for.
        tables: Figures, before the pictures.
        sections: The pictures.
    """
    css = (resources.files("models") / "assets" / "pictures.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(css.encode("utf-8")).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'"
    )
    templates = Environment(
        loader=PackageLoader("models", "assets"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return templates.get_template("pictures.html.j2").render(
        title=title,
        lead=lead,
        notice=notice,
        tables=tables,
        sections=sections,
        css=Markup(css),
        policy=policy,
    )


def show(
    picture: Picture, row: float, col: float, outlines: Sequence[Outline], caption: str, alt: str
) -> Shown:
    """A crop around a position with outlines over it.

    Args:
        picture: To crop; what lies outside it or is unusable is black.
        row: Middle of the crop, pixels.
        col: Middle of the crop, pixels.
        outlines: What to draw; those that do not touch the crop are left out.
        caption: Under it.
        alt: What it shows, in words.
    """
    top, left = round(row) - CROP_PX // 2, round(col) - CROP_PX // 2
    shapes = [shape for o in outlines if (shape := _shape(o, top, left)) is not None]
    return Shown(caption, alt, _png(_crop(picture, top, left)), Markup("").join(shapes))


def show_chip(pixels: NDArray[np.uint8], caption: str, alt: str) -> Shown:
    """A chip as a whole, (3, side, side), with nothing drawn over it."""
    side = pixels.shape[1]
    stretched = _stretched(pixels, np.ones((side, side), bool))
    return Shown(caption, alt, _png(stretched), Markup(""), side)


def _crop(picture: Picture, top: int, left: int) -> NDArray[np.uint8]:
    rows, cols = picture.usable.shape
    r0, r1 = max(top, 0), min(top + CROP_PX, rows)
    c0, c1 = max(left, 0), min(left + CROP_PX, cols)
    crop = np.zeros((3, CROP_PX, CROP_PX), np.uint8)
    if r0 >= r1 or c0 >= c1:
        return crop
    usable = picture.usable[r0:r1, c0:c1]
    if usable.any():
        inner = _stretched(picture.pixels[:3, r0:r1, c0:c1], usable)
        crop[:, r0 - top : r1 - top, c0 - left : c1 - left] = inner
    return crop


def _stretched(pixels: NDArray[Any], usable: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(3, y, x) over the whole range of bytes; what is unusable is black."""
    values = pixels.astype(np.float64)
    low, high = np.percentile(values[:, usable], STRETCH)
    scaled = np.clip((values - low) / max(high - low, 1e-9) * 255, 0, 255)
    return np.where(usable, scaled.round(), 0).astype(np.uint8)


def _png(crop: NDArray[np.uint8]) -> str:
    """A crop as PNG (ISO/IEC 15948): eight bits, three colours, no filter, as a data URI."""
    bands, rows, cols = crop.shape
    lines = np.zeros((rows, 1 + bands * cols), np.uint8)  # each row begins with its filter: none
    lines[:, 1:] = crop.transpose(1, 2, 0).reshape(rows, bands * cols)
    header = struct.pack(">IIBBBBB", cols, rows, 8, 2, 0, 0, 0)
    body = zlib.compress(lines.tobytes(), 9)
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    encoded = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return "data:image/png;base64," + base64.b64encode(encoded).decode("ascii")


def _shape(outline: Outline, top: int, left: int) -> Markup | None:
    x, y = outline.col - left, outline.row - top
    reach = outline.length_px / 2
    if not (-reach < x < CROP_PX + reach and -reach < y < CROP_PX + reach):
        return None
    if not outline.length_px:
        return Markup('<circle class="{}" cx="{:.2f}" cy="{:.2f}" r="5"/>').format(
            outline.style, x, y
        )
    along = np.array([1.0, 1.0, -1.0, -1.0]) * outline.length_px / 2
    across = np.array([1.0, -1.0, -1.0, 1.0]) * outline.width_px / 2
    cos, sin = np.cos(outline.angle_rad), np.sin(outline.angle_rad)
    corners = zip(x + along * cos - across * sin, y + along * sin + across * cos, strict=True)
    points = " ".join(f"{a:.2f},{b:.2f}" for a, b in corners)
    return Markup('<polygon class="{}" points="{}"/>').format(outline.style, points)
