"""The formats that reports come in, one module a platform; other files come through a mapping."""

from pipeline.reports.formats.base import Format
from pipeline.reports.formats.htcds_sheet import HTCDS_CSV
from pipeline.reports.formats.kobo import KOBO_CSV, KOBO_JSON
from pipeline.reports.formats.odk import ODK_CSV, ODK_GEOJSON, ODK_ODATA
from pipeline.reports.formats.plain import GEOJSON, PLAIN_CSV
from pipeline.reports.formats.rapidpro import RAPIDPRO_CSV
from pipeline.reports.formats.safecity import SAFECITY_CSV
from pipeline.reports.formats.ushahidi import USHAHIDI_CSV, USHAHIDI_JSON, USHAHIDI_V2_CSV

FORMATS: tuple[Format, ...] = (
    PLAIN_CSV,
    GEOJSON,
    HTCDS_CSV,
    USHAHIDI_JSON,
    USHAHIDI_CSV,
    USHAHIDI_V2_CSV,
    KOBO_CSV,
    KOBO_JSON,
    ODK_CSV,
    ODK_ODATA,
    ODK_GEOJSON,
    SAFECITY_CSV,
    RAPIDPRO_CSV,
)
AUTO = "auto"
