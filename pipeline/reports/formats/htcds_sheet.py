"""Spreadsheets with the columns of the Human Trafficking Case Data Standard, as CSV.

Two spellings are in use: the field list writes vic_MethodsOfControl, the XLSForm made from it
vic_Methods_of_Control; some programs write the labels instead of the names.
"""

from pipeline.reports.formats.base import PHONES, Format, Head

PREFIXES = ("vic_", "hte_", "cas_", "prs_", "con_")
FEWEST = 3  # columns with a prefix of the standard; a form may borrow one or two


def _is_sheet(head: Head) -> bool:
    prefixed = sum(name.startswith(PREFIXES) for name in head.header)
    return prefixed >= FEWEST or head.has("forced labour industry", "methods of control")


HTCDS_CSV = Format(
    name="htcds-csv",
    recognises=_is_sheet,
    columns={
        "id": ("case number", "id"),
        "contact": ("mobile phone", "home phone", *PHONES, "prs_Email", "email"),
        "lat": ("hte_Latitude", "latitude"),
        "lon": ("hte_Longitude", "longitude"),
        "when": (
            "hte_Date",
            "date",
            "cas_IncomingReferralDate",
            "incoming referral date",
        ),
        "industry": ("vic_ForcedLabourIndustry", "forced labour industry"),
        "signs": ("vic_MethodsOfControl", "vic_Methods_of_Control", "methods of control"),
    },
)
