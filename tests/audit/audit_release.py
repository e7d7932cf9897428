"""The long versions of the attacks on a release: thousands of draws through files and ledger.

Not collected by `make test`; `make audit` runs it (some minutes on two cores) and prints what it
measured. A release of many blocks of four groups is many draws at once: blocks have no person and
no noise in common, so each is a draw on its own input.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from maps.sybils import false_reporters_needed
from pipeline.reports.release import release_counts
from pipeline.reports.settings import KILN_INDUSTRY, ReleaseSettings
from tests.pipeline.reports.harness import BUGS, epsilon_at_least, plant
from tiles.cells import Cell, unproject
from tiles.noised_counts import NOISED_COUNTS
from tiles.partition import build_partition, write_partition
from tiles.tables import read_table

BLOCKS = 100
RELEASES = 60  # on each of the two inputs: 6,000 draws each
EPSILON = 1.0
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def blocks(tmp_path_factory):
    """A partition of 100 blocks of four groups, and reports with and without one person a block."""
    folder = tmp_path_factory.mktemp("audit")
    cells = [Cell(5000, 800 + row, 4800 + col) for row in range(20) for col in range(20)]
    names = [cell.cell_id for cell in cells]
    sites = pd.DataFrame({"cell_id": np.repeat(names, 5), "p_low": 1.0})
    table = pd.DataFrame({"cell_id": names, "area_km2": 25.0})
    write_partition(build_partition(sites, table), folder / "partition.parquet")
    middles = unproject([cell.square.centroid for cell in cells])
    header = "consent,reporter,lat,lon,month,industry"

    def line(person, at):
        point = middles[at]
        return f"yes,{person},{point.y:.5f},{point.x:.5f},2026-02,{KILN_INDUSTRY}"

    others = [line(f"other-{block}-{n}", 4 * block) for block in range(BLOCKS) for n in range(2)]
    busy = [
        line(f"busy-{block}", 4 * block + at) for block in range(BLOCKS) for at in (0, 0, 1, 2, 3)
    ]
    for name, rows in (("without", others), ("with", others + busy)):
        (folder / f"{name}.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder, names


def settings_of(folder, name, number):
    return ReleaseSettings(
        reports=folder / f"{name}.csv",
        partition=folder / "partition.parquet",
        period="2026-01/2026-03",
        ledger=folder / f"{name}-{number}" / "ledger.jsonl",
        output=folder / f"{name}-{number}" / "noised.parquet",
        epsilon=EPSILON,
    )


def drawn(folder, names, name, releases, tag):
    """Vectors of four counts, as the released files hold them."""
    vectors = []
    for number in range(releases):
        settings = settings_of(folder, name, f"{tag}-{number}")
        release_counts(settings)
        counts = read_table(settings.output, NOISED_COUNTS).set_index("group_id")["count_noised"]
        ordered = counts.loc[names].to_numpy().reshape(BLOCKS, 4)
        vectors += ordered.tolist()
    return vectors


def loss_at_least(pair):
    """The larger of what one release shows and half of what two show.

    Noise that is the same in every release looks like noise over many blocks; the difference of two
    releases of one block, which may cost twice epsilon, shows it.
    """
    apart = []
    for vectors in pair:
        by_release = np.array(vectors).reshape(-1, BLOCKS, 4)
        apart.append((by_release[0::2] - by_release[1::2]).reshape(-1, 4).tolist())
    return max(epsilon_at_least(*pair), epsilon_at_least(*apart) / 2)


def test_the_loss_of_the_command_never_passes_its_claim(blocks):
    folder, names = blocks
    pair = [drawn(folder, names, name, RELEASES, "honest") for name in ("with", "without")]
    bound = loss_at_least(pair)
    print(f"\nhonest: epsilon at least {bound:.2f} of {EPSILON:g} claimed, {len(pair[0]):,} draws")
    assert bound <= EPSILON


@pytest.mark.parametrize("bug", BUGS)
def test_every_planted_bug_shows(blocks, bug, monkeypatch):
    folder, names = blocks
    plant(bug, monkeypatch)
    tag = bug.replace(" ", "-").replace("/", "")
    pair = [drawn(folder, names, name, RELEASES, tag) for name in ("with", "without")]
    bound = loss_at_least(pair)
    print(f"\n{bug}: epsilon at least {bound:.2f}")
    assert bound > EPSILON


def test_the_command_line_draws_by_the_same_function(blocks):
    folder, names = blocks
    settings = settings_of(folder, "with", "cli")
    command = [sys.executable, "-c", "from pipeline.cli import main; main()"]
    command += ["reports", "release", str(settings.reports), "--period", "2026-01/2026-03"]
    for name, path in (
        ("partition", settings.partition),
        ("ledger", settings.ledger),
        ("out", settings.output),
    ):
        command += [f"--{name}", str(path)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    counts = read_table(settings.output, NOISED_COUNTS).set_index("group_id")["count_noised"]
    exact = np.tile([2, 0, 0, 0], BLOCKS)
    # one person a block in one of its groups, and noise of standard deviation 1.36 in 400 entries
    assert abs(int(counts.loc[names].sum()) - int(exact.sum()) - BLOCKS) < 8 * 1.36 * 20
    assert (counts.loc[names].to_numpy() != exact).mean() > 0.4


@pytest.mark.parametrize("sites", [6, 12, 25])
def test_false_reporters_are_counted(sites):
    """Printed for docs/privacy.md: fifteen of forty areas are well reported, the others quiet."""
    rng = np.random.default_rng(8)
    expected = rng.uniform(0.6 * sites, 1.4 * sites, 40)
    for rate in (0.5, 1.5, 5.0):
        usual = np.where(np.arange(40) < 15, rate, rate / 15)
        noise = rng.geometric(1 - np.exp(-1), 40) - rng.geometric(1 - np.exp(-1), 40)
        counts = (rng.poisson(usual * expected) + noise).astype(np.int64)
        found = false_reporters_needed(counts, 1.0, expected, (0.2 * expected) ** 2)
        print(f"\n{sites} sites an area, {rate:g} reporters a site: {found}")
        assert found is not None
        assert found.fewest >= 1
