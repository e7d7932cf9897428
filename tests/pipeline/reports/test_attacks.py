"""What an attacker would try, in seconds; `make audit` draws longer."""

import ast
import itertools
import json
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import geopandas as gpd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline.reports
from pipeline.commands.reports import _release_lines
from pipeline.reports import release
from pipeline.reports.counting import exact_vector
from pipeline.reports.intake import read_reports
from pipeline.reports.ledger import head_file
from pipeline.reports.noise import Noise
from pipeline.reports.release import check_reports, release_counts
from tests.pipeline.reports.harness import BUGS, epsilon_at_least, plant
from tiles.errors import KilnlightError
from tiles.noised_counts import NOISED_COUNTS
from tiles.region import Period
from tiles.tables import read_table

PERIOD = Period("2025-11", "2026-06")
EPSILON = 1.0
DRAWS = 2500
SOURCES = sorted(Path(pipeline.reports.__file__).parent.rglob("*.py"))


def intake_of(made_up, rows, id_spaces=1):
    path = made_up.write(rows)
    intake = read_reports(path, PERIOD, ("C_Manufacturing",))
    return replace(intake, id_spaces=id_spaces)


def draws_of(made_up, intake, draws=DRAWS, **change):
    """Vectors as the command draws them: `release.draw` is the one place of the noise."""
    settings = made_up.settings(None, epsilon=EPSILON, **change)
    layout = made_up.layout()
    noise = release.noise_for(settings, intake)
    return [release.draw(intake, layout, settings.anonymous_cap, noise) for _ in range(draws)]


def bound_on(made_up, pair, **change):
    return epsilon_at_least(*(draws_of(made_up, intake, **change) for intake in pair))


@pytest.fixture(scope="module")
def neighbours(shared_made_up):
    """Reports with and without one busy person, through the real intake."""
    others = [shared_made_up.row(f"r{n}", "A") for n in range(2)]
    busy = [shared_made_up.row("asha", name, month="2026-03") for name in "AABCD"]
    return [intake_of(shared_made_up, rows) for rows in (others + busy, others)]


@pytest.fixture(scope="module")
def in_three_sources(shared_made_up):
    """With and without somebody whom three sources know by ids that cannot be linked."""
    others = [shared_made_up.row("r", "B")]
    known = [shared_made_up.row(f"asha-{source}", "A") for source in range(3)]
    return [intake_of(shared_made_up, rows, 3) for rows in (others + known, others)]


@pytest.fixture(scope="module")
def nobody(shared_made_up):
    """Reports that name nobody: all in B are one person's, those in A somebody else's."""
    others = [shared_made_up.row("", "A") for _ in range(4)]
    theirs = [shared_made_up.row("", "B") for _ in range(200)]
    return [intake_of(shared_made_up, rows) for rows in (others + theirs, others)]


def test_the_release_spends_no_more_than_it_claims(shared_made_up, neighbours):
    assert bound_on(shared_made_up, neighbours) <= EPSILON


def test_somebody_present_in_every_source_loses_no_more(shared_made_up, in_three_sources):
    assert bound_on(shared_made_up, in_three_sources) <= EPSILON


def test_anonymous_reports_spend_no_more_than_they_claim(shared_made_up, nobody):
    assert bound_on(shared_made_up, nobody, anonymous_cap=2) <= EPSILON


def test_the_release_spends_what_it_claims_on_somebody_with_one_report(shared_made_up):
    # The harness has teeth: for one report in one group the loss is epsilon itself.
    pair = [intake_of(shared_made_up, rows) for rows in ([shared_made_up.row("asha", "A")], [])]
    draws = [draws_of(shared_made_up, intake, 2 * DRAWS) for intake in pair]
    assert 0.6 * EPSILON < epsilon_at_least(*draws) <= EPSILON


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs_are_caught(bug, shared_made_up, neighbours, monkeypatch):
    plant(bug, monkeypatch)
    assert bound_on(shared_made_up, neighbours) > EPSILON


def test_a_person_counted_in_every_source_at_the_price_of_one_is_caught(
    shared_made_up, in_three_sources, monkeypatch
):
    plant("one source's sensitivity for three", monkeypatch)
    assert bound_on(shared_made_up, in_three_sources) > EPSILON


def test_anonymous_reports_without_a_cap_are_caught(shared_made_up, nobody, monkeypatch):
    plant("anonymous reports without a cap", monkeypatch)
    assert bound_on(shared_made_up, nobody, anonymous_cap=2) > EPSILON


def test_a_total_that_is_drawn_apart_is_caught(shared_made_up):
    """Parts and their total, each with noise of its own: why there is one draw, and sums of it."""
    pair = [intake_of(shared_made_up, rows) for rows in ([shared_made_up.row("asha", "A")], [])]
    noise, layout = Noise.of(EPSILON, 1), shared_made_up.layout()

    def part_and_total(intake):
        exact = exact_vector(intake.reports, layout)
        return [noise.add(exact)[0], noise.add([sum(exact)])[0]]

    apart = [[part_and_total(intake) for _ in range(DRAWS)] for intake in pair]
    assert epsilon_at_least(*apart) > EPSILON
    one_draw = [draws_of(shared_made_up, intake) for intake in pair]
    together = [[[vector[0], sum(vector)] for vector in draws] for draws in one_draw]
    assert epsilon_at_least(*together) <= EPSILON


def test_a_second_draw_is_caught(shared_made_up):
    """Averaging: why a month is released once."""
    pair = [intake_of(shared_made_up, rows) for rows in ([shared_made_up.row("asha", "A")], [])]
    draws = [draws_of(shared_made_up, intake, 2 * DRAWS) for intake in pair]
    twice = [[[a[0] + b[0]] for a, b in itertools.pairwise(vectors)] for vectors in draws]
    assert epsilon_at_least(*twice) > EPSILON


def test_what_is_written_is_the_draw_and_nothing_else(made_up, monkeypatch):
    """The harness asks `draw`; this shows that the command writes what `draw` answers."""
    monkeypatch.setattr(release, "draw", lambda *_: [17, -4, 0, 99])
    settings = made_up.settings([made_up.row("r", "A")])
    release_counts(settings)
    assert list(read_table(settings.output, NOISED_COUNTS)["count_noised"]) == [17, -4, 0, 99]


def test_reports_become_numbers_in_one_place():
    """Only `draw` calls what counts, and only there is noise added."""
    callers = {}
    for source in SOURCES:
        for function in ast.walk(ast.parse(source.read_text())):
            if isinstance(function, ast.FunctionDef):
                for call in ast.walk(function):
                    name = getattr(getattr(call, "func", None), "id", None)
                    if name in ("exact_vector", "anonymous_vector", "draw"):
                        callers.setdefault(name, set()).add(f"{source.stem}.{function.name}")
    assert callers == {
        "exact_vector": {"release.draw"},
        "anonymous_vector": {"release.draw"},
        "draw": {"release.release_counts"},
    }


DRAWERS = {"random", "default_rng", "RandomState", "Generator", "normal", "laplace", "logging"}


def names_in(tree):
    """Every name that a module imports or reads as an attribute, split at dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (part for alias in node.names for part in alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            yield from [*str(node.module).split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Attribute):
            yield node.attr


def test_no_other_generator_is_in_the_release_path():
    """Reports see OpenDP's noise and `secrets`, and no other source of chance (nor a log)."""
    assert len(SOURCES) >= 20
    for source in SOURCES:
        used = set(names_in(ast.parse(source.read_text())))
        assert not DRAWERS & used, f"{source.name} uses {DRAWERS & used}"
    assert any("secrets" in names_in(ast.parse(source.read_text())) for source in SOURCES)


@pytest.mark.parametrize("name", ["counting", "noise"])
def test_counts_meet_whole_numbers_only(name):
    """Between the count and the table there is no division, no float, no rounding.

    What floating-point noise gives away: Mironov, "On significance of the least significant bits
    for differential privacy", CCS 2012. A scale is a float; it never meets a count.
    """
    (source,) = (path for path in SOURCES if path.stem == name)
    for function in ast.walk(ast.parse(source.read_text())):
        if not isinstance(function, ast.FunctionDef) or function.name == "of":
            continue  # `of` chooses the scale, before any count
        for node in ast.walk(function):
            assert not isinstance(node, ast.Div | ast.Pow), function.name
            if isinstance(node, ast.Constant):
                assert not isinstance(node.value, float), function.name
            if isinstance(node, ast.Name):
                assert node.id not in ("round", "np", "numpy"), function.name


def test_the_noise_is_drawn_over_whole_numbers():
    noise = Noise.of(0.37, 3)
    assert str(noise.measurement.input_domain) == "VectorDomain(AtomDomain(T=i64))"
    assert all(type(count) is int for count in noise.add([0, -5, 2**53 + 1]))


def planted(made_up):
    """Rows of all kinds with strings that are found nowhere else, and those strings."""
    lat, lon = made_up.place("A")
    rows, secrets = [], []
    for n, change in enumerate(
        [{}, {"consent": "refused-by-me"}, {"month": "2019-08"}, {"industry": "my-secret-trade"}]
    ):
        reporter, near = f"+91981234567{n}", (f"{lat}{n}7391", f"{lon}{n}8264")
        rows.append(made_up.row(reporter, "A", lat=near[0], lon=near[1], **change))
        secrets += [reporter, *near, *(value for value in change.values())]
    return rows, secrets


def told_by(settings, capfd):
    """Release and return all that anybody is told: files, screen and summary, as one text.

    Parquet columns are compressed, so their values are read too, beside the bytes of the files.
    """
    summary = release_counts(settings)
    screen = "".join(capfd.readouterr()) + "\n".join([repr(summary), *_release_lines(summary)])
    files = {settings.output, settings.ledger, head_file(settings.ledger)}
    assert set(settings.output.parent.iterdir()) == files
    return "\n".join([screen, *map(readable, sorted(files))])


def readable(path):
    """A file's bytes as text and, of a parquet file, every value and note that it holds."""
    text = path.read_bytes().decode("latin-1")
    if path.suffix != ".parquet":
        return text
    table = pq.read_table(path)
    shapes = gpd.read_parquet(path).geometry.to_wkt() if "geometry" in table.column_names else ""
    return f"{text}\n{table.schema}\n{table.schema.metadata}\n{table.to_pydict()}\n{shapes}"


def test_the_search_sees_into_compressed_columns(tmp_path):
    path = tmp_path / "table.parquet"
    names = [f"+9198123{n:05d}" for n in range(2000)]
    table = pa.table({"name": names, "tally": range(1237, 3237)})
    pq.write_table(table, path, compression="zstd")
    assert b"+919812301111" not in path.read_bytes()  # a search of the bytes alone is blind
    assert "+919812301111" in readable(path)
    assert whole_numbers(readable(path)) >= set(range(1237, 3237))


def beside(made_up, rows, **change):
    """Settings whose ledger and output share a folder that holds nothing else."""
    folder = made_up.folder / "told"
    paths = {"ledger": folder / "ledger.jsonl", "output": folder / "noised_counts.parquet"}
    return made_up.settings(rows, **paths, **change)


def test_nothing_of_a_report_is_in_any_file_or_on_screen(made_up, capfd):
    rows, secrets = planted(made_up)
    told = told_by(beside(made_up, rows), capfd)
    assert "C_Manufacturing" in told
    for secret in secrets:
        assert secret not in told


OFFSET = 10**6  # stands for the noise, so that an exact figure can only come from somewhere else
TALLIES = {  # rows a kind: primes, so that their sums are recognised as well
    "A": ({}, 1237),
    "B": ({}, 1451),
    "R": ({}, 1949),
    "refused": ({"consent": "no"}, 1583),
    "nobody": ({"reporter": "n.a."}, 1069),
    "early": ({"month": "2024-01"}, 1699),
    "building": ({"industry": "F_Construction"}, 1823),
}


def tally_rows(made_up):
    return [
        made_up.row(f"{kind}-{n}", kind if kind in "ABR" else "A") | change
        for kind, (change, rows) in TALLIES.items()
        for n in range(rows)
    ]


def whole_numbers(text):
    """Numbers that stand alone in a text; digits inside names and hashes are none."""
    return {int(found) for found in re.findall(r"(?<![\w.])\d+(?!\w)", text.replace(",", " "))}


def test_no_exact_tally_is_in_any_file_or_on_screen(made_up, capfd, monkeypatch):
    monkeypatch.setattr(Noise, "add", lambda self, exact: [n + OFFSET for n in exact])
    told = told_by(beside(made_up, tally_rows(made_up)), capfd)
    numbers = whole_numbers(told) | whole_numbers(re.sub(r"(?<=\d),(?=\d)", "", told))
    assert numbers >= {OFFSET, OFFSET + 1237, OFFSET + 1451}  # the search does see the table
    tallies = [rows for _, rows in TALLIES.values()]
    sums = {
        sum(some)
        for size in range(1, len(tallies) + 1)
        for some in itertools.combinations(tallies, size)
    }
    assert not numbers & sums
    assert OFFSET + 1237 + 1451 not in numbers  # and no total, noised or not


def test_the_ledger_and_the_summary_are_the_same_whatever_the_reports_say(made_up, capfd):
    """All that is written or said besides the noised counts is known before reports are read."""
    told = []
    for rows in ([], [made_up.row("r", "R")], [made_up.row(f"r{i}", "A") for i in range(30)]):
        settings = beside(made_up, rows)
        summary = release_counts(settings)
        line = json.loads(settings.ledger.read_text())
        drawn = {line.pop(key) for key in ("release_id", "counts_sha256", "recorded_utc")}
        assert summary.release_id in drawn
        said = asdict(summary)
        del said["release_id"]
        screen = [*_release_lines(summary), *capfd.readouterr()]
        told.append((line, said, screen))
        shutil.rmtree(settings.ledger.parent)
    assert told[0] == told[1] == told[2]


def test_no_error_quotes_a_report(made_up):
    rows, secrets = planted(made_up)
    good = made_up.write(rows).read_text().splitlines()
    spoiled = itertools.chain(
        (good[1:],),
        ([good[0], line.replace(",", ";")] for line in good[1:]),
        ([good[0], line + ",x"] for line in good[1:]),
        ([good[0], line.replace(line.split(",")[2], "99.5")] for line in good[1:]),
        ([good[0], f'"{line}'] for line in good[1:]),
    )
    stopped = 0
    for lines in spoiled:
        settings = made_up.settings()
        settings.reports.write_text("\n".join(lines))
        try:
            said = check_reports(settings) or ""
        except KilnlightError as error:
            said = str(error)
            stopped += 1
        for secret in secrets:
            assert secret not in said
    assert stopped >= 12  # of 17; other rows are passed over for want of consent or of months
