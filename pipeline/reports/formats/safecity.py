"""Safecity: three headers of its CSV are in use, one of which writes Lattitude.

The one with Lattitude has a row for every question of a report: rows after the first of a report
are the same platform id again.
"""

from pipeline.reports.formats.base import Format, Head


def _is_safecity(head: Head) -> bool:
    return (
        head.has("id", "posted_by", "time from", "time to", "latitude")
        or head.has("report id", "lattitude", "longitude")
        or head.has("incident id", "incident title", "latitude", "longitude")
    )


SAFECITY_CSV = Format(
    name="safecity-csv",
    recognises=_is_safecity,
    columns={
        "id": ("report id", "incident id", "id"),
        "person": ("user id", "posted_by"),
        "lat": ("latitude", "lattitude"),
        "lon": ("longitude",),
        "when": ("date", "created_on"),
        "industry": ("category", "categories"),
        "signs": ("category", "categories"),
    },
    date_order="mdy",
    channel="web",
)
