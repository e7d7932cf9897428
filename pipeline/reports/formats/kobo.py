"""KoBoToolbox: CSV (semicolons, a point as _NAME_latitude and so on) and JSON.

Accounts of enumerators (_submitted_by) are not reporters: they name nobody here.
"""

from collections.abc import Mapping

from pipeline.reports.formats.base import Format, Head, Suffixes
from pipeline.reports.formats.flat import Flat, as_text, flatten

GEOLOCATION = "_geolocation"


def _is_csv(head: Head) -> bool:
    return head.has("_id", "_uuid", "_submission_time")


def _is_json(head: Head) -> bool:
    return head.container in ("", "results") and head.holds("_id", "_uuid", "_submission_time")


def _flatten_submission(record: Mapping[str, object]) -> Flat:
    """Flatten a submission; _geolocation is [lat, lon], latitude first, or [null, null]."""
    flat = flatten(record)
    place = record.get(GEOLOCATION)
    parts = [as_text(one) for one in place] if isinstance(place, list) else []
    flat.values[GEOLOCATION] = " ".join(parts).strip()
    return flat


KOBO_CSV = Format(
    name="kobo-csv",
    recognises=_is_csv,
    columns={"id": ("_id", "_uuid"), "when": ("today", "start", "_submission_time")},
    suffixes=Suffixes("_latitude", "_longitude", "_precision"),
)
KOBO_JSON = Format(
    name="kobo-json",
    recognises=_is_json,
    columns={
        "id": ("_id", "_uuid"),
        "point": (GEOLOCATION,),
        "when": ("today", "start", "_submission_time"),
    },
    containers=frozenset({"results"}),
    flatten=_flatten_submission,
)
