"""The page of a comparison: what it says, a picture, and every place that differs."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from maps.comparison import Comparison
from maps.page import asset, seal

WIDTH = 640  # units of the picture's own coordinates; it scales with the page
MARGIN = 14
SUREST = 0.99  # 0.996 rounds to 1.00, and nothing here is certain
MOST_ROWS = 500  # of a status; the CSV holds them all
# Colours of Okabe and Ito (2008), told apart by every eye; the shapes differ too.
MARKS = {
    "unchanged": ("#7a8793", "circle"),
    "matched": ("#7a8793", "circle"),
    "new": ("#009e73", "plus"),
    "extra": ("#009e73", "plus"),
    "gone": ("#d55e00", "cross"),
    "missed": ("#d55e00", "cross"),
    "not_seen": ("#0072b2", "square"),
    "not_seen_before": ("#0072b2", "square"),
    "not_seen_after": ("#0072b2", "diamond"),
    "unsure": ("#b9860b", "dot"),
}
WORDS = {
    "unchanged": "In both surveys",
    "new": "New: the earlier survey searched the ground and found nothing",
    "gone": "Gone: the later survey searched the ground and found nothing",
    "not_seen_before": "Not seen before: the earlier survey did not search the ground",
    "not_seen_after": "Not seen after: the later survey did not search the ground",
    "matched": "In the survey and in the list",
    "missed": "Missed: listed, the ground was searched, nothing was found",
    "extra": "Extra: found, and not in the list",
    "not_seen": "Not seen: listed on ground that was not searched",
    "unsure": "Too unsure to count: under even chances",
}
SHAPES = {
    "circle": '<circle r="3" fill="{c}"/>',
    "dot": '<circle r="2" fill="none" stroke="{c}" stroke-width="1.4"/>',
    "plus": '<path d="M-4 0H4M0 -4V4" stroke="{c}" stroke-width="2.4"/>',
    "cross": '<path d="M-4 -4L4 4M-4 4L4 -4" stroke="{c}" stroke-width="2.2"/>',
    "square": '<path d="M-3 -3H3V3H-3Z" fill="none" stroke="{c}" stroke-width="1.8"/>',
    "diamond": '<path d="M0 -4L4 0L0 4L-4 0Z" fill="none" stroke="{c}" stroke-width="1.8"/>',
}


@dataclass(frozen=True)
class ComparisonFacts:
    """What the page says beside the table.

    Attributes:
        title: What was compared.
        statuses: Those that can occur, in the order in which they are shown.
        lines: The outcome in sentences.
        cautions: Why it may not hold.
        disclaimer: The class's sentence.
    """

    title: str
    statuses: tuple[str, ...]
    lines: tuple[str, ...]
    cautions: tuple[str, ...]
    disclaimer: str


@dataclass(frozen=True)
class _Listed:
    """One status on the page."""

    status: str
    words: str
    count: int
    mark: Markup
    rows: list[dict[str, str]]
    more: int


def comparison_page(found: Comparison, facts: ComparisonFacts) -> str:
    """Return index.html: one file without a script that asks nobody for anything.

    Args:
        found: What came out.
        facts: What the page says beside.
    """
    css = "\n".join([asset("base.css"), asset("page.css"), asset("comparison.css")])
    templates = Environment(
        loader=PackageLoader("maps", "assets"), autoescape=True, undefined=StrictUndefined
    )
    html = templates.get_template("comparison.html.j2").render(
        facts=facts,
        css=Markup(css),
        picture=_picture(found.table, facts),
        listed=[_listed(found.table, status) for status in facts.statuses],
    )
    return seal(html, (), [css])


def _listed(table: pd.DataFrame, status: str) -> _Listed:
    chosen = table[table["status"] == status]
    # what both hold needs no list of places; what differs does
    shown = chosen.iloc[: 0 if status in ("unchanged", "matched") else MOST_ROWS]
    return _Listed(
        status=status,
        words=WORDS[status],
        count=len(chosen),
        mark=_mark(status, 8.0, 8.0),
        rows=[_row(row) for row in shown.to_dict("records")],
        more=len(chosen) - len(shown),
    )


def _row(row: Mapping[Hashable, Any]) -> dict[str, str]:
    p = np.fmax(row["p_first"], row["p_second"])
    return {
        "place_id": str(row["place_id"]),
        "at": f"{row['lat']:.5f}, {row['lon']:.5f}",
        "p": "" if np.isnan(p) else f"{min(p, SUREST):.2f}",
    }


def _mark(status: str, x: float, y: float) -> Markup:
    colour, shape = MARKS[status]
    return Markup('<g transform="translate({} {})">{}</g>').format(
        round(x, 1), round(y, 1), Markup(SHAPES[shape].replace("{c}", colour))
    )


def _picture(table: pd.DataFrame, facts: ComparisonFacts) -> Markup:
    """All places as marks; what differs is drawn last, so that it is not covered."""
    if table.empty:
        return Markup("")
    lon, lat = table["lon"].to_numpy(float), table["lat"].to_numpy(float)
    shrink = float(np.cos(np.radians(lat.mean())))
    span = max((lon.max() - lon.min()) * shrink, lat.max() - lat.min(), 1e-3)
    scale = (WIDTH - 2 * MARGIN) / span
    x = MARGIN + (lon - lon.min()) * shrink * scale
    y = MARGIN + (lat.max() - lat) * scale
    height = int(np.ceil(y.max())) + MARGIN
    order = {status: at for at, status in enumerate(["unsure", *facts.statuses])}
    rank = table["status"].map(order).to_numpy()
    marks = [
        _mark(table["status"].iloc[at], x[at], y[at]) for at in np.argsort(rank, kind="stable")
    ]
    return Markup(
        '<svg class="map" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(WIDTH, height, f"All places of the comparison {facts.title}", Markup("\n").join(marks))
