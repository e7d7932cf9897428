"""RapidPro messages, saved as CSV: incoming ones with a geo: attachment are reports."""

from pipeline.reports.formats.base import Format, Head
from pipeline.reports.formats.flat import plain

PHONES = ("tel", "phone")  # schemes whose addresses are phone numbers as they stand


def _is_messages(head: Head) -> bool:
    return head.has("contact uuid", "urn scheme", "direction", "attachments")


def _name_scheme(row: dict[str, str]) -> None:
    """Say of an address what it is: a number of Telegram is no phone number."""
    scheme = plain(row.get("urn scheme", ""))
    address = row.get("urn value", "").strip()
    if scheme and address and scheme not in PHONES:
        row["urn value"] = f"{scheme}:{address}"


RAPIDPRO_CSV = Format(
    name="rapidpro-csv",
    recognises=_is_messages,
    columns={
        # Messages have no id in the export. One with an own column is named in the settings.
        "contact": ("urn value",),
        "person": ("anon value", "contact uuid"),
        "point": ("attachments",),
        "when": ("date",),
        "industry": ("labels",),
        "signs": ("labels",),
    },
    adapt=_name_scheme,
    channel="messaging",
    only=("direction", "in"),
)
