"""What an attacker would try, in seconds; an audit draws longer."""

import ast
import itertools
import json
import math
import random
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from scipy.stats import beta

import pipeline.reports
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


def test_nothing_of_a_report_is_in_any_file_or_on_screen(made_up, capfd):
    rows, secrets = planted(made_up)
    settings = made_up.settings(rows)
    summary = release_counts(settings)
    told = repr(summary) + "".join(capfd.readouterr())
    written = [
        path
        for path in made_up.folder.rglob("*")
        if path.is_file() and path not in (settings.reports, settings.partition)
    ]
    assert sorted(path.name for path in written) == ["ledger.jsonl", "noised_counts.parquet"]
    table = pq.read_table(settings.output)
    told += str(table.to_pydict()) + str(table.schema.metadata)
    raw = b"".join(path.read_bytes() for path in written) + told.encode()
    for secret in secrets:
        assert secret.encode() not in raw


def test_the_ledger_and_the_summary_are_the_same_whatever_the_reports_say(made_up):
    """All that is written besides the noised counts is known before the reports are read."""
    told = []
    for n, rows in enumerate([[], [made_up.row(f"r{i}", "A") for i in range(30)]]):
        settings = made_up.settings(
            rows,
            ledger=made_up.folder / str(n) / "ledger.jsonl",
            output=made_up.folder / str(n) / "noised.parquet",
        )
        summary = release_counts(settings)
        line = json.loads(settings.ledger.read_text())
        drawn = {line.pop(key) for key in ("release_id", "output_sha256", "recorded_utc")}
        assert summary.release_id in drawn
        told.append(line)
    assert told[0] == told[1]


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
