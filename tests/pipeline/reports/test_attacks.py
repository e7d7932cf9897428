"""What an attacker would try, in seconds; an audit draws longer."""

import ast
import itertools
import json
import math
import random
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import geopandas as gpd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import beta

import pipeline.reports
from pipeline.cli import _release_lines
from pipeline.reports.counting import exact_vector
from pipeline.reports.intake import read_reports
from pipeline.reports.noise import Noise, _laplace
from pipeline.reports.release import release_counts
from tiles.errors import KilnlightError
from tiles.region import Period

PERIOD = Period("2025-11", "2026-06")
EPSILON = 1.0
DRAWS = 4000
ERROR = 1e-7  # chance that one interval misses: the honest mechanism fails here once in 10^4 runs
SOURCES = sorted(Path(pipeline.reports.__file__).parent.glob("*.py"))


def clopper_pearson(hits, draws):
    low = beta.ppf(ERROR / 2, hits, draws - hits + 1) if hits else 0.0
    high = beta.ppf(1 - ERROR / 2, hits + 1, draws - hits) if hits < draws else 1.0
    return low, high


def epsilon_at_least(mechanism, one, other):
    """A bound under the epsilon of a mechanism that holds with near certainty, from its draws.

    The events are thresholds on each entry and on their sum, both ways, and the exact values that
    came most often: where noise is missing, a single value gives the input away.
    """
    features = [[_features(mechanism(data)) for _ in range(DRAWS)] for data in (one, other)]
    bound = 0.0
    for column in range(len(features[0][0])):
        seen = [[draw[column] for draw in draws] for draws in features]
        for event in _events(seen):
            hits = [sum(map(event, values)) for values in seen]
            for a, b in (hits, hits[::-1]):
                low, high = clopper_pearson(a, DRAWS)[0], clopper_pearson(b, DRAWS)[1]
                if low > 0:
                    bound = max(bound, math.log(low / high))
    return bound


def _features(vector):
    return [*vector, sum(vector)]


def _events(seen):
    values = seen[0] + seen[1]
    for threshold in range(-3, 9):
        yield lambda x, t=threshold: x >= t
        yield lambda x, t=threshold: x < t
    for value in sorted(set(values), key=values.count)[-3:]:
        yield lambda x, v=value: x == v


@pytest.fixture(scope="module")
def neighbours(shared_made_up):
    """Reports with and without one busy person, through the real intake."""
    others = [shared_made_up.row(f"r{n}", "A") for n in range(2)]
    busy = [shared_made_up.row("asha", name, month="2026-03") for name in "AABCD"]
    return [
        read_reports(shared_made_up.write(rows), PERIOD, ("C_Manufacturing",)).reports
        for rows in (others + busy, others)
    ]


@pytest.fixture(scope="module")
def layout(shared_made_up):
    return shared_made_up.layout()


def honest(layout, noise):
    return lambda reports: noise.add(exact_vector(reports, layout))


def unbounded(layout):
    """Every row counts: the planted bug of no contribution bound."""

    def vector(reports):
        counts = [0] * len(layout.entries)
        for index in layout.indices_of(reports):
            counts[index] += 1
        return counts

    return vector


def test_the_release_spends_no_more_than_it_claims(neighbours, layout):
    assert epsilon_at_least(honest(layout, Noise.of(EPSILON)), *neighbours) <= EPSILON


def test_the_release_spends_what_it_claims_on_somebody_with_one_report(shared_made_up, layout):
    # The harness has teeth: for one report in one group the loss is epsilon itself.
    rows = [shared_made_up.row("asha", "A")]
    data = [
        read_reports(shared_made_up.write(r), PERIOD, ("C_Manufacturing",)).reports
        for r in (rows, [])
    ]
    bound = epsilon_at_least(honest(layout, Noise.of(EPSILON)), *data)
    assert 0.7 * EPSILON < bound <= EPSILON


def planted_bugs(layout):
    noise = Noise.of(EPSILON)
    too_small = _laplace(noise.scale / 4)
    rng = random.Random(7)
    fixed = noise.add([0] * len(layout.entries))
    every_row = unbounded(layout)

    def suppressed(reports):
        return [n if n >= 3 else 0 for n in exact_vector(reports, layout)]

    def only_where_somebody_is(reports):
        exact = exact_vector(reports, layout)
        return [a if b else 0 for a, b in zip(noise.add(exact), exact, strict=True)]

    return {
        "scale / 4": lambda reports: too_small(exact_vector(reports, layout)),
        "no contribution bound": lambda reports: noise.add(every_row(reports)),
        "noise on non-empty groups only": only_where_somebody_is,
        "suppression without noise": suppressed,
        "fixed seed": lambda reports: [
            n + z for n, z in zip(exact_vector(reports, layout), fixed, strict=True)
        ],
        "uniform noise": lambda reports: [
            n + rng.randint(-3, 3) for n in exact_vector(reports, layout)
        ],
    }


BUGS = (
    "scale / 4",
    "no contribution bound",
    "noise on non-empty groups only",
    "suppression without noise",
    "fixed seed",
    "uniform noise",
)


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs_are_caught(bug, neighbours, layout):
    assert epsilon_at_least(planted_bugs(layout)[bug], *neighbours) > EPSILON


def test_no_other_generator_and_no_floating_noise_is_in_the_release_path():
    assert len(SOURCES) >= 6
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Attribute):
                names = [node.attr]
            for name in names:
                parts = name.split(".")
                assert not {"random", "default_rng", "make_gaussian", "logging"} & set(parts), (
                    f"{source.name} uses {name}"
                )


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
    assert set(settings.output.parent.iterdir()) == {settings.output, settings.ledger}
    return f"{screen}\n{readable(settings.output)}\n{readable(settings.ledger)}"


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
        drawn = {line.pop(key) for key in ("release_id", "output_sha256", "recorded_utc")}
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
    for lines in spoiled:
        settings = made_up.settings()
        settings.reports.write_text("\n".join(lines))
        with pytest.raises(KilnlightError) as caught:
            release_counts(settings)
        for secret in secrets:
            assert secret not in str(caught.value)
        assert not settings.ledger.exists()
