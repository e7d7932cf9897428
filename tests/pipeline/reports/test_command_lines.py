"""What the commands say where nobody may be looking: nothing exact."""

from tests.made_up import kilnlight
from tests.pipeline.reports.desk import Desk

ROWS = (
    b"report_id,consent,phone,lat,lon,month,industry\n"
    b"1,yes,+91 9800000001,28.1,77.1,2026-02,C_Manufacturing\n"
)


def test_a_check_speaks_on_a_terminal_only(tmp_path):
    desk = Desk(tmp_path)
    options = ("--partition", tmp_path / "p", "--ledger", tmp_path / "l", "--out", tmp_path / "o")
    code, said = kilnlight(
        "reports", "release", desk.file(ROWS), *options, "--period", "2025-11/2026-06", "--check"
    )
    assert code == 2
    assert "terminal only" in said


def test_an_import_without_settings_says_what_that_means(tmp_path):
    desk = Desk(tmp_path)
    options = ("--store", desk.store, "--keys", desk.keys, "--period", "2025-11/2026-06")
    code, said = kilnlight("reports", "import", desk.file(ROWS), *options, "--as", "plain-csv")
    assert code == 0, said
    assert "Without --source all files of one format count as one source" in said
    source = desk.source('default_country = "IN"')
    code, said = kilnlight(
        "reports",
        "import",
        desk.file(ROWS, "more.csv"),
        *options,
        "--as",
        "plain-csv",
        "--source",
        source,
    )
    assert code == 0, said
    assert "Without --source" not in said
