"""The second notebook explains the numbers of any demo, and is committed as it ran."""

import re
import shutil

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from maps.evidence import GROUPS
from maps.hotspots import HOTSPOTS
from maps.linking import SITES
from maps.priorities import PRIORITIES
from tests.conftest import REPOSITORY
from tests.notebooks.execute import execute
from tests.notebooks.test_first_survey import code_cells, figure_of, outputs, printed, shown, tables
from tiles.noised_counts import NOISED_COUNTS
from tiles.tables import read_table, write_table

NOTEBOOK = REPOSITORY / "notebooks" / "02_what_the_numbers_mean.ipynb"


@pytest.fixture(scope="module")
def executed(folder):
    return execute(NOTEBOOK, folder)


def test_prints_the_figures_of_the_tables(folder, executed):
    text = printed(executed)
    sites = read_table(folder / "run/sites.parquet", SITES)
    hotspots = read_table(folder / "run/hotspots.parquet", HOTSPOTS)
    groups = read_table(folder / "run/groups.parquet", GROUPS)
    assert figure_of(text, "Boxes of any probability") == len(sites)
    assert figure_of(text, "Found, their probabilities") == round(sites["p_site"].sum())
    assert figure_of(text, "Expected in all") == round(hotspots["expected_sites"].sum())
    assert figure_of(text, "Groups with a reporting rate") == groups["report_rate"].notna().sum()
    held = re.search(r"Groups whose interval holds the truth: (\d+) of (\d+)", text)
    assert int(held[2]) == len(groups)
    assert int(held[1]) >= 0.5 * len(groups)
    assert figure_of(text, "Sites") == len(sites)


def test_shows_the_operators_order_with_its_intervals(folder, executed):
    first = read_table(folder / "run/priorities.parquet", PRIORITIES).iloc[0]
    shown_order = tables(executed)[-1]
    assert f"| 1 | {first['rank']} ({first['rank_low']} to {first['rank_high']}) |" in shown_order
    assert str(folder) not in nbformat.writes(executed)


def test_works_where_nothing_was_found_or_released(folder, tmp_path):
    bare = shutil.copytree(folder, tmp_path / "bare")
    for name, schema in (
        ("run/sites.parquet", SITES),
        ("run/priorities.parquet", PRIORITIES),
        ("noised_counts.parquet", NOISED_COUNTS),
    ):
        write_table(schema.empty(), bare / name, schema)
    assert figure_of(printed(execute(NOTEBOOK, bare)), "Boxes of any probability") == 0


def test_one_sentence_where_there_is_no_demo(tmp_path):
    with pytest.raises(CellExecutionError, match="run `make demo` first"):
        execute(NOTEBOOK, tmp_path)


def test_committed_with_every_output_and_nothing_of_a_machine():
    committed = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(committed)
    cells = code_cells(committed)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert {o.output_type for o in outputs(committed)} == {"stream", "display_data"}
    assert not any("execution" in cell.metadata for cell in cells)
    assert not re.search(r"/(home|root|tmp|work|Users)/|[A-Z]:\\\\|0x[0-9a-f]{6}", shown(committed))
    assert NOTEBOOK.stat().st_size < 500_000


def test_accuses_nobody_and_says_what_the_figures_are_not():
    text = shown(nbformat.read(NOTEBOOK, as_version=4)).lower()
    assert "a worksite is not proof of a crime" in text
    assert "worksite detected, labour conditions" in text
    assert not re.search(r"slave|traffick|perpetrator|offender|culprit|suspects?\b|illegal", text)
