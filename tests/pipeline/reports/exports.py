"""One made-up event as each platform would export it, by its documented columns."""

import csv
import io
import json
from dataclasses import dataclass, field

PHONE = "+91 98123 45670"
LAT, LON = "28.51234", "77.25678"
EVENT_ID = "417"
STORY = "My cousin Asha-Kumari cannot leave the kiln"  # kept nowhere
NAME = "Ravi-Prasad Yadav"


def table(header, *rows, delimiter=",", encoding="utf-8", end="\n"):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerows([header, *rows])
    return text.getvalue().encode(encoding)


def row(values, header):
    return [values.get(name, "") for name in header]


@dataclass(frozen=True)
class Export:
    """A file's bytes, its name, and what its source's settings say besides name and country."""

    format: str
    content: bytes
    settings: str = ""
    suffix: str = ".csv"
    names_phone: bool = True
    more: dict = field(default_factory=dict)


BASIS = """
[consent]
basis = "Callers are told that counts without names are published."
dated = 2025-01-01
"""


def plain_csv(phone=PHONE, lat=LAT, lon=LON):
    header = [
        "report_id",
        "consent",
        "reporter",
        "lat",
        "lon",
        "month",
        "industry",
        "signs",
        "note",
    ]
    values = [EVENT_ID, "yes", phone, lat, lon, "2026-02", "C_Manufacturing", "DebtBondage", STORY]
    return Export("plain-csv", table(header, values))


def mapped_csv():
    header = ["Nr", "Agreed?", "Mobile", "Where", "Seen on", "Work", "Signs seen", "Story"]
    values = [EVENT_ID, "Haan", "98123-45670", f"{LAT},{LON}", "11/02/2026", "brick kiln"]
    settings = """
date_order = "dmy"
[consent]
column = "Agreed?"
yes = ["haan"]
[columns]
id = "Nr"
contact = "Mobile"
point = "Where"
when = "Seen on"
industry = "Work"
signs = "Signs seen"
[values.industry]
"Brick kiln" = "C_Manufacturing"
[values.signs]
"peshgi" = "DebtBondage"
"""
    content = table(header, [*values, "peshgi; something else", STORY], delimiter=";")
    return Export("plain-csv", content, settings, more={"auto": False})


def geojson():
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [float(LON), float(LAT)]},
        "properties": {
            "report_id": int(EVENT_ID),
            "consent": True,
            "phone": PHONE,
            "date": "2026-02-11",
            "industry": "Manufacturing",
            "signs": ["Debt bondage"],
            "story": STORY,
        },
    }
    content = json.dumps({"type": "FeatureCollection", "features": [feature]}).encode()
    return Export("geojson", content, suffix=".geojson")


def htcds(signs_column="vic_MethodsOfControl", first_name="prs_FirstName"):
    header = [
        "Case Number", "con_Consent", first_name, "prs_MobilePhone", "hte_Latitude",
        "hte_Longitude", "hte_Date", "vic_ForcedLabourIndustry", signs_column, "cco_CaseComment",
    ]  # fmt: skip
    values = [
        EVENT_ID, "TRUE", NAME, PHONE, LAT, LON, "2026-02-11", "C_Manufacturing", "DebtBondage ",
        STORY,
    ]  # fmt: skip
    return Export("htcds-csv", table(header, values))


def htcds_labels():
    header = [
        "Case Number", "Consent", "First Name", "Mobile Phone", "Latitude", "Longitude", "Date",
        "Forced Labour Industry", "Methods of Control",
    ]  # fmt: skip
    values = [
        EVENT_ID, "Yes", NAME, PHONE, LAT, LON, "2026-02-11", "Manufacturing", "Debt bondage "
    ]  # fmt: skip
    return Export("htcds-csv", table(header, values))


def ushahidi_json():
    def answer(label, value, kind="varchar"):
        return {"label": label, "type": kind, "value": value}

    fields = [
        answer("Title", STORY, "title"),
        answer("Where was it?", {"value": {"lon": float(LON), "lat": float(LAT)}}, "point"),
        answer("Consent", "Yes"),
        answer("Phone", {"value": "098123 45670"}),
        answer("Industry", [{"tag": "Manufacturing"}], "tags"),
        answer("Methods of Control", ["DebtBondage"]),
    ]
    post = {
        "id": int(EVENT_ID),
        "title": STORY,
        "author_realname": NAME,
        "post_date": "2026-02-11T07:07:04+00:00",
        "status": "published",
        "contact": None,
        "post_content": [{"id": 1, "label": "Report", "fields": fields}],
    }
    return Export("ushahidi-json", json.dumps({"results": [post]}).encode(), suffix=".json")


def ushahidi_csv(hxl=True):
    header = [
        "Post ID", "Survey", "Post Status", "Created (UTC)", "Updated (UTC)", "Post Date (UTC)",
        "Contact ID", "Contact", "Data Source ID", "Source", "Title", "Site.lat", "Site.lon",
        "Consent", "Industry", "Signs",
    ]  # fmt: skip
    tags = ["#meta +id", *[""] * 10, "#geo +lat", "#geo +lon", "", "", ""]
    values = [
        EVENT_ID, "Kilns", "published", "2026-02-11 08:00:00", "2026-02-12 08:00:00",
        "2026-02-11 07:07:04", "9", "919812345670", "", "SMS", STORY, LAT, LON, "yes",
        "C_Manufacturing", "DebtBondage",
    ]  # fmt: skip
    return Export("ushahidi-csv", table(header, tags if hxl else [""] * len(tags), values))


def ushahidi_v2():
    header = [
        "#", "INCIDENT TITLE", "INCIDENT DATE", "LOCATION", "DESCRIPTION", "CATEGORY", "LATITUDE",
        "LONGITUDE", "Phone", "FIRST NAME", "LAST NAME", "EMAIL", "APPROVED", "VERIFIED",
    ]  # fmt: skip
    values = [
        EVENT_ID, STORY, "11/02/2026 07:07:04", "by the river", STORY, "Brick kiln, Peshgi, ", LAT,
        LON, "09812345670", NAME, "", "", "YES", "NO",
    ]  # fmt: skip
    settings = f"""{BASIS}
[values.industry]
"Brick kiln" = "C_Manufacturing"
[values.signs]
Peshgi = "DebtBondage "
"""
    return Export("ushahidi-v2-csv", table(header, values), settings, more={"consent": "basis"})


def kobo_csv():
    header = [
        "start", "end", "consent", "phone", "Site", "_Site_latitude", "_Site_longitude",
        "_Site_altitude", "_Site_precision", "industry", "signs", "signs/DebtBondage", "_id",
        "_uuid", "_submission_time", "_submitted_by",
    ]  # fmt: skip
    values = [
        "2026-02-11T09:00:00.000+05:30", "2026-02-11T09:10:00.000+05:30", "1", PHONE,
        f"{LAT} {LON} 210 0", LAT, LON, "210", "", "C_Manufacturing", "DebtBondage", "1", EVENT_ID,
        "uuid-1", "2026-02-12T03:45:00", "enumerator_3",
    ]  # fmt: skip
    return Export("kobo-csv", table(header, values, delimiter=";"))


def kobo_json():
    record = {
        "_id": int(EVENT_ID),
        "_uuid": "uuid-1",
        "_submission_time": "2026-02-12T03:45:00",
        "_submitted_by": "enumerator_3",
        "start": "2026-02-11T09:00:00.000+05:30",
        "intro/consent": "yes",
        "intro/phone": PHONE,
        "site/industry": "C_Manufacturing",
        "site/signs": "DebtBondage",
        "_geolocation": [float(LAT), float(LON)],
        "_attachments": [{"filename": "photo-of-Asha.jpg"}],
    }
    content = json.dumps({"count": 1, "next": None, "results": [record]}).encode()
    return Export("kobo-json", content, suffix=".json")


def odk_csv():
    header = [
        "SubmissionDate", "start", "consent", "phone", "site-Latitude", "site-Longitude",
        "site-Altitude", "site-Accuracy", "industry", "signs", "meta-instanceID", "KEY",
        "SubmitterID", "SubmitterName", "DeviceID",
    ]  # fmt: skip
    values = [
        "2026-02-12T03:45:00.000Z", "2026-02-11T09:00:00.000+05:30", "yes", PHONE, LAT, LON, "210",
        "", "C_Manufacturing", "DebtBondage", "uuid:1", EVENT_ID, "4", NAME, "device-7",
    ]  # fmt: skip
    return Export("odk-csv", table(header, values))


def odk_odata():
    record = {
        "__id": EVENT_ID,
        "__system": {"submissionDate": "2026-02-12T03:45:00.000Z", "submitterName": NAME},
        "start": "2026-02-11T09:00:00.000+05:30",
        "person": {"consent": "yes", "phone": PHONE},
        "site": {
            "location": {
                "type": "Point",
                "coordinates": [float(LON), float(LAT), 210],
                "properties": {"accuracy": None},
            },
            "industry": "C_Manufacturing",
            "signs": "DebtBondage",
        },
    }
    content = json.dumps({"value": [record], "@odata.context": "x"}).encode()
    return Export("odk-odata", content, suffix=".json")


def odk_geojson():
    feature = {
        "type": "Feature",
        "id": EVENT_ID,
        "geometry": {"type": "Point", "coordinates": [float(LON), float(LAT), 210]},
        "properties": {"fieldpath": "/site/location"},
    }
    settings = f'month = "2026-02"\nindustry = "C_Manufacturing"\n{BASIS}'
    content = json.dumps({"type": "FeatureCollection", "features": [feature]}).encode()
    more = {"consent": "basis", "signs": ()}
    return Export("odk-geojson", content, settings, ".geojson", names_phone=False, more=more)


SAFECITY_COLUMNS = f'\n[values.industry]\n"Brick kiln" = "C_Manufacturing"\n{BASIS}'


def safecity(which):
    date = {"webapp": "2026-02-11", "admin": "2026-02-11", "public": "02/11/26"}[which]
    headers = {
        "webapp": (
            "id", "status", "posted_by", "date", "category", "age", "time from", "time to",
            "description", "Additional Details", "area", "city", "state", "country", "latitude",
            "longitude", "created_on", "updated_on",
        ),
        "admin": (
            "Report ID", "Status", "Form Type", "Question", "Answer", "Client ID", "Lang ID",
            "User ID", "Age", "Description", "Categories", "Reported To Police", "Attack Reason",
            "Additional Details", "Building", "Landmark", "Area", "City", "State", "Country",
            "Lattitude", "Longitude", "Platform", "App Version", "Date",
        ),
        "public": (
            "Incident ID", "Incident title", "Date", "TIME", "DESCRIPTION", "Category", "Location",
            "Country Code", "City Code", "Latitude", "LONGITUDE",
        ),
    }  # fmt: skip
    values = {
        "id": EVENT_ID, "report id": EVENT_ID, "incident id": EVENT_ID, "date": date,
        "latitude": LAT, "lattitude": LAT, "longitude": LON, "category": "Brick kiln",
        "categories": "Brick kiln | Debt bondage", "description": STORY, "user id": "0",
    }  # fmt: skip
    if which != "admin":
        values["category"] = "Brick kiln, DebtBondage"
    line = [values.get(name.casefold(), "") for name in headers[which]]
    more = {"consent": "basis"}
    content = table(headers[which], line)
    return Export("safecity-csv", content, SAFECITY_COLUMNS, names_phone=False, more=more)


def rapidpro(anonymous=False):
    urn = "Anon Value" if anonymous else "URN Value"
    header = [
        "Date", "Contact UUID", "Contact Name", "URN Scheme", urn, "Flow", "Direction", "Text",
        "Attachments", "Status", "Channel", "Labels", "Message",
    ]  # fmt: skip
    place = f"image/jpeg:http://x/y.jpg, geo:{LAT},{LON}"
    address = "0012034" if anonymous else "919812345670"
    incoming = [
        "2026-02-11 09:00:00", "c-1", NAME, "whatsapp", address, "", "IN", STORY, place,
        "handled", "Line 4", "Manufacturing, Debt bondage", EVENT_ID,
    ]  # fmt: skip
    outgoing = [*incoming[:6], "OUT", "Thank you", *incoming[8:12], "418"]
    settings = f'channel = "form"\n{BASIS}\n[columns]\nid = "Message"\n'
    more = {"consent": "basis"}
    content = table(header, incoming, outgoing)
    return Export("rapidpro-csv", content, settings, names_phone=not anonymous, more=more)


EXPORTS = {
    "plain CSV": plain_csv(),
    "mapped CSV": mapped_csv(),
    "GeoJSON": geojson(),
    "HTCDS, names of the field list": htcds(),
    "HTCDS, names of the XLSForm": htcds("vic_Methods_of_Control", "prs_First_Name"),
    "HTCDS, labels": htcds_labels(),
    "Ushahidi 5 JSON": ushahidi_json(),
    "Ushahidi 5 CSV": ushahidi_csv(),
    "Ushahidi 5 CSV without tags": ushahidi_csv(hxl=False),
    "Ushahidi 2 CSV": ushahidi_v2(),
    "KoBo CSV": kobo_csv(),
    "KoBo JSON": kobo_json(),
    "ODK CSV": odk_csv(),
    "ODK OData": odk_odata(),
    "ODK GeoJSON": odk_geojson(),
    "Safecity, web app": safecity("webapp"),
    "Safecity, Lattitude": safecity("admin"),
    "Safecity, public": safecity("public"),
    "RapidPro": rapidpro(),
    "RapidPro, anonymous": rapidpro(anonymous=True),
}
