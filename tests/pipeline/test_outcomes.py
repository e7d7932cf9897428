import csv
import stat
import zipfile

import pandas as pd
import pyogrio
import pytest
from openpyxl import Workbook
from typer.testing import CliRunner

from maps.language import LANGUAGES, load_language
from maps.linking import SITES
from maps.outcomes import OUTCOME_COLUMNS, OUTCOMES
from maps.packs.geopackage import write_geopackage
from maps.packs.register import PackRegister
from pipeline.cli import app
from pipeline.outcomes import import_outcomes, outcomes_of, read_answers, read_outcomes
from pipeline.priorities import PrioritySettings, make_lists
from tests.made_up_packs import KILNS, facts_of, rows_of, write_run
from tests.maps.conftest import make_survey
from tiles.errors import RunFolderError, TableError
from tiles.tables import read_table


@pytest.fixture(scope="module")
def survey():
    return make_survey()


@pytest.fixture
def run_folder(survey, tmp_path):
    return write_run(tmp_path / "run", survey)


@pytest.fixture
def ids(run_folder):
    return list(read_table(run_folder / "sites.parquet", SITES)["site_id"])


def save(path, header, *rows, delimiter=","):
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter=delimiter).writerows([header, *rows])
    return path


def taken(run_folder):
    table = pd.read_csv(run_folder / "outcomes.csv", encoding="utf-8-sig")
    return table.set_index("site_id")


def test_a_table_filled_by_hand(run_folder, ids, tmp_path):
    header = ["site_id", "rank", "outcome", "visited_on", "team", "note", "pack_id", "expires"]
    form = save(
        tmp_path / "filled.csv",
        header,
        [ids[0], 1, "confirmed", "2026-12", "Ganga", "big", "KP-1", "2027-01-21"],
        [ids[1], 2, " Not a site ", "2026-12-03", "Ganga", "", "KP-1", "2027-01-21"],
        [ids[2], 3, "", "", "Ganga", "", "KP-1", "2027-01-21"],
    )
    said = import_outcomes([form], run_folder, None, None)
    table = taken(run_folder)
    assert list(pd.read_csv(run_folder / "outcomes.csv", encoding="utf-8-sig").columns) == list(
        OUTCOME_COLUMNS
    )
    assert table["outcome"].to_dict() == {ids[0]: "confirmed", ids[1]: "not_a_site"}
    assert set(table["visited_on"]) == {"2026-12"}
    sites = read_table(run_folder / "sites.parquet", SITES).set_index("site_id")
    assert table.loc[ids[0], "lon"] == pytest.approx(sites.loc[ids[0], "lon"], abs=1e-6)
    assert "Of 2 sites that teams told of, 1 are real: 50%" in said
    assert stat.S_IMODE((run_folder / "outcomes.csv").stat().st_mode) == 0o600


KOBO = [
    "start", "end", "today", "username", "deviceid", "phonenumber", "visit/site_id",
    "visit/outcome", "visit/visited_on", "visit/note", "pack_id", "team", "_id", "_uuid",
    "_submission_time", "_submitted_by", "_index",
]  # fmt: skip
ODK = [
    "SubmissionDate", "meta-instanceID", "visit-site_id", "visit-outcome", "visit-visited_on",
    "visit-note", "pack_id", "team", "KEY", "SubmitterID", "SubmitterName", "DeviceID",
    "FormVersion",
]  # fmt: skip


def test_kobo_separates_by_semicolons_and_groups_by_strokes(run_folder, ids, tmp_path):
    row = ["2026-12-04T09:00:00.000+05:30", "2026-12-04T09:05:00.000+05:30", "2026-12-04",
           "asha", "ee.kobo:x", "98100", ids[4], "closed", "2026-12-01", "wall; broken", "KP-1",
           "Ganga", "7", "uuid", "2026-12-04T03:35:00", "asha", "1"]  # fmt: skip
    form = save(tmp_path / "kobo.csv", KOBO, row, delimiter=";")
    import_outcomes([form], run_folder, None, None)
    at = taken(run_folder).loc[ids[4]]
    assert (at["outcome"], at["visited_on"], at["team"]) == ("closed", "2026-12", "Ganga")
    assert at["note"] == "wall; broken"
    text = (run_folder / "outcomes.csv").read_text(encoding="utf-8")
    assert not [word for word in ("asha", "98100", "ee.kobo") if word in text]


def test_odk_central_groups_by_hyphens(run_folder, ids, tmp_path):
    row = ["2026-12-04T03:35:00.000Z", "uuid:1", ids[5], "unsafe", "", "", "KP-1", "Ganga",
           "uuid:1", "12", "Asha Devi", "collect:y", "20261122"]  # fmt: skip
    form = save(tmp_path / "odk.csv", ODK, row)
    import_outcomes([form], run_folder, None, None)
    at = taken(run_folder).loc[ids[5]]
    assert (at["outcome"], at["visited_on"]) == ("unsafe", "2026-12"), "the day it was sent"
    assert "Asha" not in (run_folder / "outcomes.csv").read_text(encoding="utf-8")


def test_kobo_gives_xlsx_with_labels_in_any_language(run_folder, ids, tmp_path):
    book = Workbook()
    book.active.append(KOBO)
    rows = list(zip(LANGUAGES, OUTCOMES, ids, strict=False))
    for code, outcome, site_id in rows:
        label = load_language(code).say(f"pack.{outcome}")
        cells = dict.fromkeys(KOBO) | {"visit/site_id": site_id, "visit/outcome": label}
        book.active.append([*(cells | {"today": "2026-12-04"}).values()])
    book.save(tmp_path / "kobo.xlsx")
    import_outcomes([tmp_path / "kobo.xlsx"], run_folder, None, "Ganga")
    table = taken(run_folder)
    assert table["outcome"].to_dict() == {site_id: outcome for _, outcome, site_id in rows}
    assert set(table["team"]) == {"Ganga"}


def test_qfield_brings_the_packs_own_geopackage_back(survey, run_folder, tmp_path):
    rows, path = rows_of(survey), tmp_path / "sites.gpkg"
    write_geopackage(rows, path, facts_of(), load_language("en"))
    layer = pyogrio.read_dataframe(path, layer="sites").astype({"outcome": object})
    layer = layer.astype({"visited_on": object, "remark": object})
    layer.loc[0, ["outcome", "visited_on", "remark"]] = ["confirmed", "2026-12", "big"]
    layer.loc[1, ["outcome", "visited_on"]] = ["unsafe", "2027-01"]
    path = tmp_path / "filled.gpkg"
    pyogrio.write_dataframe(layer, path, layer="sites", driver="GPKG")
    import_outcomes([path], run_folder, None, "Ganga")
    table = taken(run_folder).loc[rows["site_id"].iloc[:2]]
    assert table["outcome"].tolist() == ["confirmed", "unsafe"]
    assert table["visited_on"].tolist() == ["2026-12", "2027-01"]
    assert table["note"].iloc[0] == "big"


def test_the_later_month_stands_and_a_visit_beats_a_miss(run_folder, ids, tmp_path):
    header = ["site_id", "outcome", "visited_on"]
    first = save(
        tmp_path / "1.csv",
        header,
        [ids[0], "confirmed", "2026-11"],
        [ids[1], "not_reached", "2026-11"],
        [ids[2], "confirmed", "2026-11"],
    )
    then = save(
        tmp_path / "2.csv",
        header,
        [ids[0], "closed", "2026-12"],
        [ids[1], "not_a_site", "2026-10"],
        [ids[2], "not_reached", "2026-12"],
    )
    import_outcomes([first], run_folder, None, None)
    said = import_outcomes([then], run_folder, None, None)
    found = taken(run_folder)["outcome"]
    assert found[ids[:3]].tolist() == ["closed", "not_a_site", "confirmed"]
    assert "Took 3 rows (3 of sites told of before or twice)" in said
    before = (run_folder / "outcomes.csv").read_bytes()
    import_outcomes([then], run_folder, None, None)
    assert (run_folder / "outcomes.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("header", "row", "sentence"),
    [
        (["a", "b"], ["1", "2"], "lacks the columns site_id and outcome"),
        (["site_id", "outcome"], ["KL-1", "confirmed"], r"row 2: 'KL-1' is no site_id"),
        (["site_id", "outcome"], ["ID", "perhaps"], r"row 2: 'perhaps' is no outcome"),
        (["site_id", "outcome"], ["ID", "confirmed"], r"visited_on \(empty\) names no month"),
        (["site_id", "outcome", "today"], ["ID", "closed", "4.12.26"], "names no month"),
        (
            ["site_id", "outcome", "today"],
            ["KL-000000000", "closed", "2026-12-04"],
            "KL-000000000 is no site of",
        ),
    ],
)
def test_a_form_that_does_not_do_changes_nothing(run_folder, ids, tmp_path, header, row, sentence):
    form = save(tmp_path / "form.csv", header, [ids[0] if cell == "ID" else cell for cell in row])
    with pytest.raises(TableError, match=sentence):
        import_outcomes([form], run_folder, None, None)
    assert not (run_folder / "outcomes.csv").exists()


@pytest.mark.parametrize(
    ("name", "content"), [("a.gpkg", b"no base"), ("a.xlsx", b"no zip"), ("a.csv", b"\xff\xfe\x00")]
)
def test_what_is_no_table_is_one_sentence(run_folder, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError, match=r"holds no rows|is no XLSX|holds no layer"):
        import_outcomes([tmp_path / name], run_folder, None, None)
    with pytest.raises(RunFolderError, match="holds no run"):
        import_outcomes([tmp_path / name], tmp_path, None, None)


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252", "utf-8-sig"])
def test_tables_that_a_spreadsheet_saved_again(run_folder, ids, tmp_path, encoding):
    form = tmp_path / "form.csv"
    text = f"sep=;\r\nsite_id;outcome;visited_on;note\r\n{ids[0]};closed;Feb-27;café\r\n"
    form.write_bytes(text.encode(encoding))
    import_outcomes([form], run_folder, None, None)
    at = taken(run_folder).loc[ids[0]]
    assert (at["outcome"], at["visited_on"], at["note"]) == ("closed", "2027-02", "café")


@pytest.mark.parametrize(
    ("written", "month"),
    [("2027-02", "2027-02"), ("2027-02-28 00:00:00", "2027-02"), ("Feb-27", "2027-02"),
     ("September 2026", "2026-09"), ("Sept. 26", "2026-09"), ("27-02", None), ("Mai-27", None),
     ("02/03/2027", None), ("2027-13", None)],
)  # fmt: skip
def test_months_as_spreadsheets_rewrite_them(ids, tmp_path, written, month):
    form = save(
        tmp_path / "f.csv", ["site_id", "outcome", "visited_on"], [ids[0], "closed", written]
    )
    if month is None:
        with pytest.raises(TableError, match="names no month"):
            list(read_answers(form, None))
    else:
        assert [answer.visited_on for answer in read_answers(form, None)] == [month]


@pytest.mark.parametrize("content", [b"", b"site_id,outcome\n"])
def test_a_form_without_rows_is_no_form(run_folder, tmp_path, content):
    (tmp_path / "form.csv").write_bytes(content)
    with pytest.raises(TableError, match="holds no rows"):
        import_outcomes([tmp_path / "form.csv"], run_folder, None, None)
    assert not (run_folder / "outcomes.csv").exists()


def test_a_workbook_that_is_broken_inside_is_one_sentence(run_folder, tmp_path):
    path = tmp_path / "form.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<x>")
    with pytest.raises(TableError, match="is no XLSX"):
        import_outcomes([path], run_folder, None, None)


def test_an_outcomes_file_that_was_spoilt_is_refused(tmp_path):
    path = save(tmp_path / "outcomes.csv", OUTCOME_COLUMNS, ["KL-1", 1, 2, "maybe", "", "", ""])
    with pytest.raises(TableError, match="'maybe' at KL-1 is no outcome"):
        read_outcomes(path)
    save(path, OUTCOME_COLUMNS, ["KL-1", "x", 2, "closed", "", "", ""])
    with pytest.raises(TableError, match="a position is no number"):
        read_outcomes(path)
    save(path, OUTCOME_COLUMNS, ["KL-1", 1, 200, "closed", "2027-02", "", ""])
    with pytest.raises(TableError, match="not on the earth"):
        read_outcomes(path)
    save(path, OUTCOME_COLUMNS, ["KL-1", 1, 2, "closed", "soon", "", ""])
    with pytest.raises(TableError, match="visited_on at KL-1 names no month"):
        read_outcomes(path)
    save(path, OUTCOME_COLUMNS, ["KL-1", 1, 2, "closed", "Feb-27", "", ""])
    assert list(read_outcomes(path)["visited_on"]) == ["2027-02"]
    save(path, ["site_id", "outcome"], ["KL-1", "closed"])
    with pytest.raises(TableError, match="lacks lon, lat"):
        read_outcomes(path)
    assert outcomes_of(tmp_path / "elsewhere", None) is None


def test_a_formula_that_was_made_text_comes_back_as_it_was(tmp_path):
    path = save(
        tmp_path / "form.csv",
        ["site_id", "outcome", "today", "note"],
        ["KL-000000000", "closed", "2026-12", "'=1+1"],
    )
    assert [answer.note for answer in read_answers(path, None)] == ["=1+1"]


def test_visited_places_leave_the_next_list_and_stay_in_the_survey(survey):
    sites = survey.sites.drop(columns=["rank", "priority", "reason", "size_fit", "hotspot_class"])
    first = survey.sites["site_id"].iloc[:3]
    outcomes = survey.sites.iloc[:3][["site_id", "lon", "lat"]].assign(outcome="confirmed")

    def lists(size, done):
        settings = PrioritySettings(list_size=size)
        tables = survey.hotspots, survey.groups, survey.partition
        return make_lists(sites, *tables, KILNS, settings, outcomes=done)

    for size in (None, 50):
        after = lists(size, outcomes)
        assert set(first) <= set(after.ranked["site_id"])
        assert not set(first) & set(after.team["site_id"])
        assert list(after.team["rank"]) == list(range(1, len(after.team) + 1))
        left = after.operator.set_index("site_id").loc[first]
        assert set(left["team_selection"]) == {"not_listed"}
        assert (left["random_probability"] == 0).all()
    whole = lists(None, None).team
    assert list(lists(None, outcomes).team["site_id"]) == list(whole["site_id"][3:])


def test_precision_uses_how_a_pack_drew_its_sites(run_folder, ids, tmp_path):
    register = PackRegister(run_folder)
    sites = read_table(run_folder / "sites.parquet", SITES).set_index("site_id").loc[ids[:3]]
    held = pd.DataFrame(sites[["lon", "lat", "p_site"]]).reset_index()
    held["selection"], held["random_probability"] = ["ranked", "random", "random"], [0.9, 0.5, 0.1]
    register.note({"pack_id": "KP-00000001"}, held)
    rows = [[ids[0], "confirmed"], [ids[1], "confirmed"], [ids[2], "not_a_site"]]
    form = save(
        tmp_path / "form.csv",
        ["site_id", "outcome", "today"],
        *([*row, "2026-12-01"] for row in rows),
    )
    said = import_outcomes([form], run_folder, None, None)
    assert "3 sites that teams told of, 2 are real: 67%" in said
    assert "Of all sites that the packs were drawn from: 17%" in said


def test_from_the_command_line(run_folder, ids, tmp_path):
    form = save(tmp_path / "f.csv", ["site_id", "outcome", "today"], [ids[0], "closed", "2026-12"])
    asked = ["outcomes", "import", str(form), "--run", str(run_folder), "--team", "Ganga"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.exception
    assert done.stdout.startswith("Took 1 rows")
