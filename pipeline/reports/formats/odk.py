"""ODK Central: CSV (NAME-Latitude and so on), OData (points as GeoJSON, longitude first), GeoJSON.

Submitters are app users or enumerators, not reporters: they name nobody here. The GeoJSON of a
form holds points and ids alone, so that its source must declare a basis of consent and a month.
"""

from collections.abc import Mapping

from pipeline.reports.formats.base import Format, Head, Suffixes


def _is_csv(head: Head) -> bool:
    return head.has("submissiondate", "key")


def _is_odata(head: Head) -> bool:
    return head.container == "value" and head.holds("__id", "__system")


def _is_geojson(head: Head) -> bool:
    properties = head.record.get("properties")
    return (
        head.container == "features"
        and head.holds("id")
        and isinstance(properties, Mapping)
        and "fieldpath" in properties
    )


ODK_CSV = Format(
    name="odk-csv",
    recognises=_is_csv,
    columns={"id": ("key",), "when": ("today", "start", "submissiondate")},
    suffixes=Suffixes("-latitude", "-longitude", "-accuracy"),
)
ODK_ODATA = Format(
    name="odk-odata",
    recognises=_is_odata,
    columns={"id": ("__id",), "when": ("today", "start", "__system/submissiondate")},
    containers=frozenset({"value"}),
)
ODK_GEOJSON = Format(
    name="odk-geojson",
    recognises=_is_geojson,
    columns={"id": ("id",), "point": ("geometry",), "when": ("properties/today",)},
    containers=frozenset({"features"}),
)
