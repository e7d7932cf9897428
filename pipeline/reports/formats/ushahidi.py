"""Ushahidi: posts of version 5 as JSON or CSV, and the CSV of version 2.

Version 5 CSV: row 2 holds HXL tags or is empty; a point is two columns, LABEL.lat and LABEL.lon;
Contact is a phone number or an e-mail address. Version 5 JSON: the answers lie in post_content,
task by task, each field with its label and value. Version 2: dates are dd/mm/yyyy, and a list of
categories ends in a comma and a blank.
"""

from collections.abc import Iterator, Mapping

from pipeline.reports.formats.base import PHONES, Format, Head, Suffixes
from pipeline.reports.formats.flat import Flat, as_text, geopoint, plain


def _is_v5_csv(head: Head) -> bool:
    return head.has("post id", "post status", "contact")


def _is_v5_json(head: Head) -> bool:
    return head.container in ("", "results") and head.holds("id", "post_content", "post_date")


def _is_v2(head: Head) -> bool:
    return head.has("#", "incident title", "incident date")


def _flatten_post(post: Mapping[str, object]) -> Flat:
    """Bring the fields of all tasks to their labels, beside the post's own members."""
    flat = Flat()
    for name, value in post.items():
        flat.values[plain(name)] = as_text(value)
    for label, value in _answers(post.get("post_content")):
        point = geopoint(value)
        flat.points.extend([label] if point else [])
        flat.values[label] = as_text(value) if point is None else point
    return flat


def _answers(tasks: object) -> Iterator[tuple[str, object]]:
    for task in tasks if isinstance(tasks, list) else []:
        fields = task.get("fields") if isinstance(task, Mapping) else None
        for one in fields if isinstance(fields, list) else []:
            if isinstance(one, Mapping) and isinstance(one.get("label"), str):
                yield plain(str(one["label"])), _answer(one.get("value"))


def _answer(value: object) -> object:
    """Take an answer out of its wrapping; categories are objects with a tag."""
    if isinstance(value, list):
        return [_unwrapped(one) for one in value]
    return _unwrapped(value)


def _unwrapped(value: object) -> object:
    for name in ("value", "tag"):
        if isinstance(value, Mapping) and name in value:
            return value[name]
    return value


USHAHIDI_JSON = Format(
    name="ushahidi-json",
    recognises=_is_v5_json,
    columns={
        "id": ("id",),
        "contact": ("contact", *PHONES, "author_email"),
        "person": ("user_id",),
        "when": ("post_date", "created"),
        "industry": ("categories",),
        "signs": ("methods of control",),
    },
    containers=frozenset({"results"}),
    flatten=_flatten_post,
    channel="web",
)
USHAHIDI_CSV = Format(
    name="ushahidi-csv",
    recognises=_is_v5_csv,
    columns={
        "id": ("post id",),
        "contact": ("contact",),
        "person": ("contact id",),
        "when": ("post date (utc)", "created (utc)"),
        "industry": ("categories",),
        "signs": ("methods of control",),
    },
    suffixes=Suffixes(".lat", ".lon", ".accuracy"),
    channel="web",
    hxl=True,
)
USHAHIDI_V2_CSV = Format(
    name="ushahidi-v2-csv",
    recognises=_is_v2,
    columns={
        "id": ("#",),
        "contact": (*PHONES, "email"),
        "lat": ("latitude",),
        "lon": ("longitude",),
        "when": ("incident date",),
        "industry": ("category",),
        "signs": ("category",),
    },
    date_order="dmy",
    channel="web",
)
