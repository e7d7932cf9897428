import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.cli import main
from pipeline.commands.reports import _release_lines
from pipeline.reports import durable, ledger, staging
from pipeline.reports.intake import HTCDS_INDUSTRIES
from pipeline.reports.ledger import open_ledger
from pipeline.reports.release import check_reports, release_counts
from tests.pipeline.reports.conftest import made_up_partition
from tiles.errors import KilnlightError, ReleaseError, ReportError, TableError
from tiles.files import sha256_file
from tiles.noised_counts import NOISED_COUNTS, counts_sha256
from tiles.partition import REST, build_partition, partition_sha256, read_partition, write_partition
from tiles.tables import read_notes, read_table

INDUSTRIES = ("C_Manufacturing", "F_Construction")
REPOSITORY = Path(__file__).resolve().parents[3]


class Killed(BaseException):
    """Stands for the end of the process: no handler of ours may catch it."""


@pytest.fixture
def rows(made_up):
    return [made_up.row(f"reporter-{n}", "AB"[n % 2]) for n in range(40)]


def line_hashes(path):
    return [hashlib.sha256(raw).hexdigest() for raw in path.read_bytes().splitlines()]


def counts_in(path):
    return counts_sha256(read_table(path, NOISED_COUNTS))


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_release_is_every_group_and_industry_with_the_ledger_naming_its_bytes(made_up, rows):
    settings = made_up.settings(rows, industries=INDUSTRIES)
    summary = release_counts(settings)
    table = read_table(settings.output, NOISED_COUNTS)
    partition = read_partition(made_up.partition)
    groups = [group for group in partition["group_id"] if group != REST]
    assert list(table["group_id"]) == [group for group in groups for _ in INDUSTRIES]
    assert list(table["industry"]) == list(INDUSTRIES) * 4
    assert table["count_noised"].dtype == np.int64
    assert set(table["release_id"]) == {summary.release_id}
    assert set(table["partition_sha256"]) == {partition_sha256(made_up.partition)}
    assert set(table["period"]) == {"2025-11/2026-06"}
    assert set(table["noise_scale"]) == set(table["epsilon"]) == {1.0}
    outlines = partition.set_index("group_id").geometry
    assert all(row.geometry.equals(outlines[row.group_id]) for row in table.itertuples(index=False))
    (recorded,) = map(json.loads, settings.ledger.read_text().splitlines())
    assert recorded["counts_sha256"] == counts_sha256(table)
    assert recorded["release_id"] == summary.release_id
    assert recorded["epsilon"] == 1.0
    assert read_notes(settings.output)["ledger_head_sha256"] == line_hashes(settings.ledger)[-1]
    assert names(settings.output.parent) == ["noised_counts.parquet"]  # no hidden folder is left
    assert settings.output.stat().st_mode & 0o777 == 0o600
    assert (summary.groups, summary.epsilon_lifetime, summary.ledger_begun) == (4, 1.0, True)


def test_counts_are_right_where_noise_is_tiny(made_up, rows):
    # epsilon 60 leaves an odds of e^-60 for any noise at all: only good for looking through it
    settings = made_up.settings(rows, epsilon=60, max_epsilon_a_year=60)
    release_counts(settings)
    table = read_table(settings.output, NOISED_COUNTS).set_index("group_id")["count_noised"]
    assert table[made_up.group("A")] == 20
    assert table[made_up.group("B")] == 20
    assert table[made_up.group("C")] == 0


def test_two_releases_differ_though_the_reports_are_the_same(made_up, rows):
    drawn = []
    for n in range(2):
        settings = made_up.settings(
            rows,
            industries=HTCDS_INDUSTRIES,  # 84 entries: equal by chance once in 10^50
            ledger=made_up.folder / f"{n}" / "ledger.jsonl",
            output=made_up.folder / f"{n}" / "noised.parquet",
        )
        drawn.append((release_counts(settings), read_table(settings.output, NOISED_COUNTS)))
    (first, one), (second, other) = drawn
    assert list(one["count_noised"]) != list(other["count_noised"])
    assert first.release_id != second.release_id


def test_the_same_months_are_not_released_again_under_any_pretext(made_up, rows):
    settings = made_up.settings(rows)
    release_counts(settings)
    before = settings.ledger.read_bytes()
    pretexts = (
        {"output": made_up.folder / "other.parquet"},
        {"output": made_up.folder / "other.parquet", "industries": ("F_Construction",)},
        {"output": made_up.folder / "other.parquet", "period": "2026-06/2026-09"},
        {"output": made_up.folder / "other.parquet", "epsilon": 0.1},
        {},
    )
    for pretext in pretexts:
        with pytest.raises(ReleaseError, match=r"averaged away|there already"):
            release_counts(made_up.settings(**pretext))
    assert settings.ledger.read_bytes() == before
    assert not (made_up.folder / "other.parquet").exists()


def test_the_next_months_are_released_until_the_budget_is_spent(made_up, rows):
    for quarter, months in enumerate(["2026-01/2026-03", "2026-04/2026-06", "2026-07/2026-09"]):
        settings = made_up.settings(
            rows, period=months, output=made_up.folder / f"{quarter}.parquet", max_epsilon_a_year=2
        )
        if quarter < 2:
            assert release_counts(settings).epsilon_year == quarter + 1
        else:
            with pytest.raises(ReleaseError, match="epsilon 3 of at most 2"):
                release_counts(settings)
    heads = [read_notes(made_up.folder / f"{n}.parquet")["ledger_head_sha256"] for n in range(2)]
    assert heads == line_hashes(settings.ledger)
    assert read_notes(made_up.folder / "1.parquet")["epsilon_lifetime"] == "2"


def test_an_output_that_is_there_is_never_replaced(made_up, rows):
    settings = made_up.settings(rows)
    settings.output.parent.mkdir()
    settings.output.write_text("mine")
    with pytest.raises(ReleaseError, match="is there already"):
        release_counts(settings)
    assert settings.output.read_text() == "mine"
    assert not settings.ledger.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epsilon": 0}, "epsilon 0"),
        ({"epsilon": -1}, "epsilon -1"),
        ({"epsilon": float("nan")}, "epsilon nan"),
        ({"epsilon": float("inf")}, "epsilon inf"),
        ({"max_epsilon_a_year": float("inf")}, "epsilon inf"),
        ({"industries": ("brick_kiln",)}, "no HTCDS v2 code"),
        ({"industries": ()}, "at least one"),
        ({"industries": ("C_Manufacturing",) * 2}, "each once"),
        ({"k": 1}, "at least 2 sites"),
        ({"k": -5}, "at least 2 sites"),
        ({"period": "2026-13"}, "write months"),
        ({"period": "2026-06/2026-01"}, "ends before"),
    ],
)
def test_settings_out_of_range_are_one_sentence(made_up, change, message):
    with pytest.raises(KilnlightError, match=message):
        made_up.settings(**change)


@pytest.mark.parametrize("field", ["ledger", "output"])
def test_files_may_not_be_one_and_the_same(made_up, field):
    with pytest.raises(ReleaseError, match="four different files"):
        made_up.settings(**{field: made_up.folder / "x" / ".." / "reports.csv"})


def test_bad_reports_leave_nothing_behind(made_up, rows):
    settings = made_up.settings([*rows, made_up.row("r", "A", lat="123.4")])
    before = names(made_up.folder)
    with pytest.raises(ReportError, match="line 42"):
        release_counts(settings)
    assert names(made_up.folder) == before


def test_a_partition_that_is_none_or_too_fine_is_refused(made_up, rows):
    settings = made_up.settings(rows)
    with pytest.raises(ReleaseError, match="fewer than 6 sites"):
        release_counts(made_up.settings(k=6))
    made_up.partition.write_bytes(b"no parquet")
    with pytest.raises(TableError, match="no readable parquet"):
        release_counts(settings)
    made_up.partition.unlink()
    with pytest.raises(TableError, match="is not there"):
        release_counts(settings)
    assert names(made_up.folder) == ["reports.csv"]


def test_a_partition_of_nothing_but_rest_is_refused(made_up, rows):
    cells = pd.DataFrame({"cell_id": [made_up.group("A")], "area_km2": 25.0})
    nothing = pd.DataFrame({"cell_id": pd.Series([], dtype=object), "p_low": 1.0})
    write_partition(build_partition(nothing, cells), made_up.partition)
    with pytest.raises(ReleaseError, match="no group of the partition"):
        release_counts(made_up.settings(rows))


@pytest.mark.parametrize("place", ["output", "ledger"])
def test_a_folder_that_cannot_be_written_leaves_nothing(made_up, rows, place):
    (made_up.folder / "file").write_text("")
    settings = made_up.settings(rows, **{place: made_up.folder / "file" / "name"})
    before = set(names(made_up.folder))
    with pytest.raises(ReleaseError, match=r"choose another|choose a folder"):
        release_counts(settings)
    assert set(names(made_up.folder)) == before


def test_a_full_disk_at_the_ledger_leaves_nothing(made_up, rows, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    settings = made_up.settings(rows)
    monkeypatch.setattr("pipeline.reports.ledger.append_durably", full)
    with pytest.raises(ReleaseError, match="nothing was released"):
        release_counts(settings)
    assert names(settings.output.parent) == []
    assert not settings.ledger.exists()
    assert not ledger.head_file(settings.ledger).exists()


@pytest.mark.parametrize("step", ["write_table", "sync_folder"])
def test_killed_before_the_ledger_nothing_is_recorded_and_nothing_visible(
    made_up, rows, step, monkeypatch
):
    settings = made_up.settings(rows)
    real = getattr(staging, step)

    def killed(*arguments):
        real(*arguments)
        raise Killed

    monkeypatch.setattr(staging, step, killed)
    with pytest.raises(Killed):
        release_counts(settings)
    monkeypatch.undo()
    assert not settings.ledger.exists()
    assert not settings.output.exists()
    (hidden,) = settings.output.parent.iterdir()
    assert hidden.name.startswith(".")
    assert hidden.stat().st_mode & 0o777 == 0o700
    unrecorded = sha256_file(hidden / settings.output.name)
    summary = release_counts(settings)  # draws anew: the first draw was never released
    assert not summary.resumed
    assert sha256_file(settings.output) != unrecorded
    assert names(settings.output.parent) == ["noised_counts.parquet"]


def killed_after_the_ledger(made_up, settings, monkeypatch):
    def killed(_):
        raise Killed

    monkeypatch.setattr(staging.Staged, "make_visible", killed)
    with pytest.raises(Killed):
        release_counts(settings)
    monkeypatch.undo()
    assert not settings.output.exists()
    return json.loads(settings.ledger.read_text())


def test_killed_after_the_ledger_the_recorded_file_is_put_in_its_place(made_up, rows, monkeypatch):
    settings = made_up.settings(rows)
    recorded = killed_after_the_ledger(made_up, settings, monkeypatch)
    with pytest.raises(ReleaseError, match="averaged away"):  # elsewhere is a second draw
        release_counts(made_up.settings(output=made_up.folder / "elsewhere.parquet"))
    with pytest.raises(ReleaseError, match="finish that release first"):  # so are other months
        release_counts(made_up.settings(period="2026-06"))
    made_up.write(rows[:3])  # what the reports say by now no longer matters
    summary = release_counts(settings)
    assert summary.resumed
    assert summary.release_id == recorded["release_id"]
    assert counts_in(settings.output) == recorded["counts_sha256"]
    assert len(settings.ledger.read_text().splitlines()) == 1
    assert names(settings.output.parent) == ["noised_counts.parquet"]


@pytest.mark.parametrize(
    "other",
    [
        {"period": "2026-07/2026-09"},
        {"period": "2026-06"},
        {"industries": INDUSTRIES},
        {"partition": "another.parquet"},
    ],
)
def test_no_other_release_takes_the_place_of_one_that_is_recorded_and_waits(
    made_up, rows, other, monkeypatch
):
    settings = made_up.settings(rows)
    recorded = killed_after_the_ledger(made_up, settings, monkeypatch)
    another = made_up.folder / "another.parquet"
    write_partition(made_up_partition(sites_in_a=6), another)
    other = {**other, **({"partition": another} if "partition" in other else {})}
    with pytest.raises(ReleaseError, match=f"{recorded['release_id']} .* finish that release"):
        release_counts(made_up.settings(**other))
    assert release_counts(settings).resumed
    assert counts_in(settings.output) == recorded["counts_sha256"]


def test_the_next_months_may_have_the_same_name_after_the_first_file_was_moved(made_up, rows):
    first = made_up.settings(rows)
    release_counts(first)
    first.output.rename(made_up.folder / "kept.parquet")
    assert release_counts(made_up.settings(period="2026-07/2026-09")).epsilon_lifetime == 2.0


def test_a_second_release_on_another_partition_is_refused(made_up, rows):
    release_counts(made_up.settings(rows))
    write_partition(made_up_partition(sites_in_a=6), made_up.partition)
    later = made_up.settings(period="2026-07/2026-09", output=made_up.folder / "later.parquet")
    with pytest.raises(ReleaseError, match="which the one given neither is nor follows"):
        release_counts(later)
    assert not later.output.exists()
    assert len(later.ledger.read_text().splitlines()) == 1


def test_every_name_is_on_the_disk_before_the_ledger_line(made_up, rows, monkeypatch):
    settings = made_up.settings(rows)
    steps = []
    for module in (staging, durable):
        real = module.sync_folder
        monkeypatch.setattr(
            module, "sync_folder", lambda path, real=real: (steps.append(path), real(path))
        )
    real_append = ledger.append_durably
    monkeypatch.setattr(
        ledger, "append_durably", lambda *line: (steps.append("line"), real_append(*line))
    )
    release_counts(settings)
    before = steps[: steps.index("line")]
    # the file's name, the hidden folder's name, the name of the folder that was made for both
    (hidden,) = {path for path in before if path.name.startswith(".")}
    assert before[before.index(hidden) + 1] == settings.output.parent
    assert made_up.folder in before


def test_ctrl_c_after_the_ledger_says_what_is_true_and_the_same_command_goes_on(
    made_up, rows, monkeypatch, capsys
):
    settings = made_up.settings(rows)
    command = ["kilnlight", "reports", "release", str(settings.reports)]
    for name in ("partition", "period", "ledger"):
        command += [f"--{name}", str(getattr(settings, name))]
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(settings.output)])

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(staging.Staged, "make_visible", interrupted)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 130
    said = capsys.readouterr().err
    assert "run the same command again" in said
    assert "nothing" not in said
    monkeypatch.undo()
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(settings.output)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    assert "nothing was drawn" in capsys.readouterr().err
    assert settings.output.is_file()


def test_killed_after_the_ledger_a_changed_file_is_not_put_in_its_place(made_up, rows, monkeypatch):
    settings = made_up.settings(rows)
    killed_after_the_ledger(made_up, settings, monkeypatch)
    (hidden,) = settings.output.parent.iterdir()
    with (hidden / settings.output.name).open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(ReleaseError, match="averaged away"):
        release_counts(settings)
    assert not settings.output.exists()


def test_a_process_that_really_dies_leaves_a_release_that_can_be_finished(made_up, rows):
    settings = made_up.settings(rows)
    script = (
        "import os, sys\n"
        "from pipeline.reports import release\n"
        "release.Staged.make_visible = lambda staged: os._exit(9)\n"
        "release.release_counts(release.ReleaseSettings.model_validate_json(sys.argv[1]))\n"
    )
    values = {name: str(getattr(settings, name)) for name in ("reports", "partition", "ledger")}
    values |= {"output": str(settings.output), "period": str(settings.period)}
    died = subprocess.run(
        [sys.executable, "-c", script, json.dumps(values)], cwd=REPOSITORY, check=False
    )
    assert died.returncode == 9
    assert not settings.output.exists()
    assert release_counts(settings).resumed  # the dead process holds no lock
    recorded = json.loads(settings.ledger.read_text())
    assert counts_in(settings.output) == recorded["counts_sha256"]


def test_a_name_that_cannot_be_given_is_given_by_the_same_command_later(made_up, rows, monkeypatch):
    settings = made_up.settings(rows)

    def refused(self, target):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(ReleaseError, match="run the same command again"):
        release_counts(settings)
    monkeypatch.undo()
    assert release_counts(settings).resumed


def test_reports_that_name_nobody_are_a_vector_of_their_own(made_up, rows):
    nobody = [made_up.row("", "B") for _ in range(30)]
    release_counts(made_up.settings(rows + nobody, epsilon=0.5))
    settings = made_up.settings(
        anonymous_cap=3, epsilon=0.5, output=made_up.folder / "anonymous.parquet"
    )
    summary = release_counts(settings)
    assert (summary.vector, summary.sensitivity, summary.scale) == ("anonymous", 6, 12.0)
    assert (summary.epsilon_year, summary.epsilon_lifetime) == (1.0, 1.0)
    assert set(read_table(settings.output, NOISED_COUNTS)["noise_scale"]) == {12.0}
    assert read_notes(settings.output)["vector"] == "anonymous"
    again = made_up.settings(anonymous_cap=1, output=made_up.folder / "again.parquet")
    with pytest.raises(ReleaseError, match="averaged away"):
        release_counts(again)
    with pytest.raises(ReleaseError, match="anonymous cap 0"):
        made_up.settings(anonymous_cap=0)


def test_a_check_of_reports_that_name_nobody(made_up, rows):
    settings = made_up.settings(rows, anonymous_cap=3)
    assert "names nobody" in check_reports(settings)
    made_up.write([made_up.row("none", "A")])
    assert check_reports(settings) is None


def test_the_rest_is_counted_only_where_it_may_be(made_up, rows):
    cells = pd.DataFrame({"cell_id": [made_up.group(n) for n in "ABR"], "area_km2": 25.0})
    for sites_in_rest, released in ((3, False), (4, True)):
        # B holds too few for a group, alone and in its square; with R it is a rest of 6 or 7
        sites = np.repeat(cells["cell_id"].to_numpy(), [5, 1, sites_in_rest])
        partition = build_partition(pd.DataFrame({"cell_id": sites, "p_low": 1.0}), cells)
        path = made_up.folder / f"{released}.parquet"
        write_partition(partition, path)
        settings = made_up.settings(
            [*rows, *(made_up.row(f"far-{n}", "R") for n in range(300))],
            partition=path,
            ledger=made_up.folder / f"{released}.jsonl",
            output=made_up.folder / f"{released}-counts.parquet",
            epsilon=60,
            max_epsilon_a_year=60,
        )
        release_counts(settings)
        table = read_table(settings.output, NOISED_COUNTS).set_index("group_id")["count_noised"]
        assert (REST in table.index) == released
        if released:
            assert table[REST] == 320


def test_a_release_under_way_keeps_others_out(made_up, rows):
    settings = made_up.settings(rows)
    with open_ledger(settings.ledger), pytest.raises(ReleaseError, match="another release"):
        release_counts(settings)
    assert not settings.output.exists()


def test_a_broken_ledger_stops_the_release(made_up, rows):
    settings = made_up.settings(rows)
    settings.ledger.write_text('{"version":1}\n')
    with pytest.raises(ReleaseError, match="line 1"):
        release_counts(settings)
    assert not settings.output.parent.exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"consent": "oui"}, "yes, true or 1"),
        ({"reporter": "unknown"}, "names its reporter"),
        ({"month": "2024-01"}, "a month in the period"),
        ({"industry": "brick_kiln"}, "names an industry"),
        ({"lat": "", "lon": ""}, "has coordinates"),
        ({"lat": "12.0"}, "lies in a group"),
    ],
)
def test_when_no_row_counts_only_a_check_says_why(made_up, change, reason):
    settings = made_up.settings([made_up.row(f"r{n}", "A", **change) for n in range(5)])
    assert reason in check_reports(settings)
    assert not settings.ledger.exists()  # a check spends nothing
    summary = release_counts(settings)
    assert reason not in "\n".join([repr(summary), *_release_lines(summary)])
    table = read_table(settings.output, NOISED_COUNTS)
    assert len(table) == 4  # a release like any other
    assert reason.encode() not in settings.output.read_bytes() + settings.ledger.read_bytes()


def test_a_check_says_nothing_when_a_row_counts(made_up, rows):
    assert check_reports(made_up.settings(rows)) is None
