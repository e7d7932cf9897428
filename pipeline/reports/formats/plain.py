"""Plain tables and GeoJSON: this project's own names, or any names through a mapping file."""

from pipeline.reports.formats.base import Format, Head

NAMES = ("consent", "reporter", "lat", "lon", "month", "industry")


def _is_csv(head: Head) -> bool:
    return head.has(*NAMES)


def _is_geojson(head: Head) -> bool:
    # ODK's GeoJSON has an id for each submission and nothing but the path of the field.
    properties = head.record.get("properties")
    return (
        head.container == "features"
        and isinstance(properties, dict)
        and "fieldpath" not in properties
    )


PLAIN_CSV = Format(
    name="plain-csv",
    recognises=_is_csv,
    columns={
        "id": ("report_id", "id"),
        "lat": ("lat", "latitude"),
        "lon": ("lon", "longitude"),
        "accuracy": ("accuracy_m", "accuracy"),
        "when": ("month", "date"),
    },
    channel="file",
)
GEOJSON = Format(
    name="geojson",
    recognises=_is_geojson,
    columns={
        "id": ("properties/report_id", "properties/id", "id"),
        "point": ("geometry",),
        "accuracy": ("properties/accuracy_m", "properties/accuracy"),
        "when": ("properties/month", "properties/date"),
    },
    containers=frozenset({"features"}),
    channel="file",
)
