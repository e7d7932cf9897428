"""What one person can do to the exact vector, through every format, the screening and the store."""

import itertools

import numpy as np
import pandas as pd
import pytest

from pipeline.reports.counting import Layout, anonymous_vector, exact_vector
from pipeline.reports.intake import read_reports
from pipeline.reports.release import noise_for
from pipeline.reports.settings import ReleaseSettings
from tests.pipeline.reports.desk import PERIOD, Desk
from tests.pipeline.reports.exports import EXPORTS, LAT, LON
from tiles.cells import CellGrid
from tiles.partition import build_partition, write_partition

PLACES = ((LAT, LON), ("28.61234", "77.25678"), ("28.71234", "77.05678"))
NAMED = {name: export for name, export in EXPORTS.items() if export.names_phone}
KILNS = ("C_Manufacturing",)


def sent(export, person, place, number):
    """The made-up export as another person's report from another place."""
    content = export.content
    for old, new in (
        (b"98123 45670", f"98123 4567{person}".encode()),
        (b"9812345670", f"981234567{person}".encode()),
        (b"98123-45670", f"98123-4567{person}".encode()),
        (b"417", f"5{number:03d}".encode()),
        (LAT.encode(), place[0].encode()),
        (LON.encode(), place[1].encode()),
    ):
        content = content.replace(old, new)
    assert content != export.content
    assert person == 0 or b"45670" not in content  # no other spelling of the phone is left
    return content


def desk_of(folder, reports, scope):
    """A store that holds these reports: (format, person, place, number)."""
    folder.mkdir()
    desk = Desk(folder)
    for at, (name, group) in enumerate(itertools.groupby(sorted(reports), key=lambda one: one[0])):
        export = EXPORTS[name]
        files = [
            desk.file(sent(export, person, PLACES[place], number), f"{at}-{n}{export.suffix}")
            for n, (_, person, place, number) in enumerate(group)
        ]
        settings = f'default_country = "IN"\n{scope(at)}{export.settings}'
        source = desk.source(settings, f"source-{at}")
        desk.bring(*files, format=export.format, source=source, region=desk.region())
    return desk


@pytest.fixture(scope="module")
def partition(tmp_path_factory):
    lats, lons = zip(*((float(lat), float(lon)) for lat, lon in PLACES), strict=True)
    cells = CellGrid().cell_ids_at(lons, lats)
    sites = pd.DataFrame({"cell_id": np.repeat(cells, 5), "p_low": 1.0})
    path = tmp_path_factory.mktemp("partition") / "partition.parquet"
    frame = build_partition(sites, pd.DataFrame({"cell_id": cells, "area_km2": 25.0}))
    write_partition(frame, path)
    return frame, path


def vector_of(desk, partition, draw):
    """The exact vector, each reporter's draw a function of the options alone, and the noise."""
    frame, path = partition
    layout = Layout.of(frame, KILNS)
    intake = read_reports(desk.store, PERIOD, KILNS, desk.keys)
    settings = ReleaseSettings(
        reports=desk.store,
        keys=desk.keys,
        partition=path,
        period=PERIOD,
        ledger=desk.folder / "ledger.jsonl",
        output=desk.folder / "noised.parquet",
    )
    vector = exact_vector(intake.reports, layout, lambda at: sorted(at)[draw % len(at)])
    return np.array(vector), noise_for(settings, intake)


def everybody(seed):
    """Reports of four people in every format that names them, from one place or several."""
    rng = np.random.default_rng(seed)
    return [
        (name, person, int(rng.integers(3)), 10 * at + person)
        for at, name in enumerate(NAMED)
        for person in range(4)
        if rng.random() < 0.6 or person == 0  # the first is present in every source
    ]


@pytest.mark.parametrize("seed", [1, 2])
def test_taking_one_person_away_moves_the_vector_by_no_more_than_opendp_was_told(
    seed, partition, tmp_path
):
    def one_scope(at):
        return 'reporter_scope = "phones"\n'

    reports = everybody(seed)
    whole, noise = vector_of(desk_of(tmp_path / "all", reports, one_scope), partition, seed)
    assert whole.sum() == 4  # four people, whatever they sent
    assert noise.sensitivity == 1
    for person in range(4):
        left = [report for report in reports if report[1] != person]
        desk = desk_of(tmp_path / f"without-{person}", left, one_scope)
        without, same = vector_of(desk, partition, seed)
        assert np.abs(whole - without).sum() == 1 <= noise.sensitivity
        assert same.scale == noise.scale  # who is there does not change the noise
    assert noise.measurement.map(d_in=noise.sensitivity) <= noise.epsilon


def test_sources_whose_ids_are_their_own_cost_one_each(partition, tmp_path):
    desk = desk_of(tmp_path / "own", everybody(3), lambda at: "")
    _, noise = vector_of(desk, partition, 0)
    assert noise.sensitivity == len(NAMED)
    assert noise.scale == pytest.approx(len(NAMED))


def test_a_source_counts_by_its_settings_and_not_by_its_rows(partition, tmp_path):
    first = EXPORTS["plain CSV"]
    desk = desk_of(tmp_path / "one", [("plain CSV", 0, 0, 1)], lambda at: "")
    empty = desk.file(first.content.splitlines(keepends=True)[0], "empty.csv")
    desk.bring(empty, format=first.format, source=desk.source("", "silent"))
    vector, noise = vector_of(desk, partition, 0)
    assert (vector.sum(), noise.sensitivity) == (1, 2)


@pytest.mark.parametrize("seed", range(20))
def test_all_anonymous_reports_of_one_person_move_the_vector_by_twice_the_cap(seed, shared_made_up):
    """The order of all reports is the lot; each of the two inputs is read in the same order."""
    rng = np.random.default_rng(seed)
    layout, cap = shared_made_up.layout(), int(rng.integers(1, 6))
    rows = [shared_made_up.row("", "ABCD"[at]) for at in rng.integers(0, 4, 30)]
    theirs = rng.random(30) < rng.random()
    order = rng.permutation(30)

    def vector(kept):
        chosen = [rows[at] for at in order if kept[at]]
        path = shared_made_up.write(chosen, "anonymous.csv")
        found = read_reports(path, PERIOD, KILNS).anonymous
        assert len(found) == len(chosen)
        return np.array(anonymous_vector(found, layout, cap, lambda n: 0))  # the first ones

    everyone, without = vector(np.ones(30, bool)), vector(~theirs)
    assert everyone.sum() == cap
    assert np.abs(everyone - without).sum() <= 2 * cap
